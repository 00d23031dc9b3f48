#include "kernels/cpu/norm/cross_entropy.h"

#include <limits>
#include <vector>

#include "kernels/cpu/norm/real_rows.h"
#include "kernels/cpu/norm/softmax_kernels.h"
#include "linnet/parallel.h"

namespace linnet::cpu {
namespace {

// Labels as int64, counted from the end if negative, with -1 for those out of range.
std::vector<int64_t> read_labels(DType dtype, const void* labels, int64_t rows, int64_t classes) {
  if (!is_integer(dtype)) {
    throw DTypeError("softmax_cross_entropy: expected labels of an integer type, got " +
                     std::string(name_of(dtype)));
  }
  std::vector<int64_t> result(static_cast<size_t>(rows));
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T>) {
      for (int64_t row = 0; row < rows; ++row) {
        const T label = static_cast<const T*>(labels)[row];
        const bool large =
            std::is_unsigned_v<T> && static_cast<uint64_t>(label) >= static_cast<uint64_t>(classes);
        const int64_t at = large ? -1 : static_cast<int64_t>(label) + (label < T(0) ? classes : 0);
        result[static_cast<size_t>(row)] = at >= 0 && at < classes ? at : -1;
      }
    }
  });
  return result;
}

}  // namespace

void softmax_cross_entropy(DType dtype, int64_t rows, int64_t classes, const void* logits,
                           DType label_dtype, const void* labels, void* loss, void* lse) {
  const std::vector<int64_t> label = read_labels(label_dtype, labels, rows, classes);
  visit_real("softmax_cross_entropy", dtype, [&](auto zero) {
    using T = decltype(zero);
    using W = Wide<T>;
    const T* from = static_cast<const T*>(logits);
    parallel_for(rows, row_grain(classes), [&](int64_t begin, int64_t end) {
      InputRow<T> input(classes);
      for (int64_t row = begin; row < end; ++row) {
        const W* x = input(from + row * classes, classes);
        const W total = logsumexp_row(classes, x);
        const int64_t at = label[static_cast<size_t>(row)];
        if (lse) static_cast<W*>(lse)[row] = total;
        if (loss)
          static_cast<W*>(loss)[row] = at < 0 ? std::numeric_limits<W>::quiet_NaN() : total - x[at];
      }
    });
  });
}

void softmax_cross_entropy_backward(DType dtype, int64_t rows, int64_t classes, const void* logits,
                                    const void* lse, DType label_dtype, const void* labels,
                                    const void* dloss, void* dlogits) {
  const std::vector<int64_t> label = read_labels(label_dtype, labels, rows, classes);
  visit_real("softmax_cross_entropy gradient", dtype, [&](auto zero) {
    using T = decltype(zero);
    using W = Wide<T>;
    const T* from = static_cast<const T*>(logits);
    T* to = static_cast<T*>(dlogits);
    parallel_for(rows, row_grain(classes), [&](int64_t begin, int64_t end) {
      InputRow<T> input(classes);
      OutputRow<T> output(classes);
      for (int64_t row = begin; row < end; ++row) {
        const int64_t at = label[static_cast<size_t>(row)];
        const W gradient = static_cast<const W*>(dloss)[row];
        W* dx = output(to + row * classes);
        scaled_exponential_row(classes, input(from + row * classes, classes),
                               static_cast<const W*>(lse)[row], gradient, dx);
        if (at >= 0) dx[at] -= gradient;
        output.store(to + row * classes, classes);
      }
    });
  });
}

}  // namespace linnet::cpu
