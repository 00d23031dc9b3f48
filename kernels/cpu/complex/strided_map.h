// One function applied to every element of strided arrays.
#pragma once

#include <algorithm>
#include <tuple>
#include <utility>

#include "kernels/cpu/elementwise/elementwise.h"
#include "kernels/cpu/elementwise/strided.h"
#include "linnet/parallel.h"

namespace linnet::cpu {

/// out = f(in...) for operands of types In; `grain` elements are worth a thread.
template <class Out, class... In, class F>
void strided_map(std::span<const int64_t> shape, std::span<const Operand> in,
                 const Destination& out, int64_t grain, F f) {
  constexpr size_t kArity = sizeof...(In);
  const int64_t* strides[kArity + 1];
  for (size_t k = 0; k < kArity; ++k) strides[k] = in[k].strides;
  strides[kArity] = out.strides;
  const StridedSpace space(shape, strides);
  if (space.element_count() == 0) return;
  const auto run = [&]<size_t... K>(std::index_sequence<K...>, int64_t begin, int64_t end) {
    StridedCursor cursor(space, begin);
    while (begin < end) {
      const int64_t count = std::min(end - begin, cursor.left_in_row());
      const std::tuple<const In*...> from(static_cast<const In*>(in[K].data) + cursor.offset(K)...);
      const int64_t steps[] = {space.inner_stride(K)...};
      Out* const to = static_cast<Out*>(out.data) + cursor.offset(kArity);
      const int64_t step = space.inner_stride(kArity);
      for (int64_t i = 0; i < count; ++i) to[i * step] = f(std::get<K>(from)[i * steps[K]]...);
      cursor.advance(count);
      begin += count;
    }
  };
  parallel_for(space.element_count(), grain, [&](int64_t begin, int64_t end) {
    run(std::index_sequence_for<In...>{}, begin, end);
  });
}

}  // namespace linnet::cpu
