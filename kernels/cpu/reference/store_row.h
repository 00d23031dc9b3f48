// Writes a run of accumulated values as elements of the result type chosen at run time.
#pragma once

#include <cstdint>

#include "kernels/cpu/reference/accumulate.h"
#include "linnet/visit_dtype.h"

namespace linnet::cpu {

/// to[offset + i * stride] = values[i] for i < count, converted from the accumulator of operand
/// type T.
template <class T>
void store_row(DType out_dtype, const ProductAccumulator<T>* values, int64_t count, void* to,
               int64_t offset, int64_t stride) {
  visit_dtype(out_dtype, [&](auto zero) {
    using To = decltype(zero);
    To* out = static_cast<To*>(to) + offset;
    for (int64_t i = 0; i < count; ++i) out[i * stride] = lower_product<To, T>(values[i]);
  });
}

}  // namespace linnet::cpu
