#include "kernels/cpu/norm/cross_entropy.h"

#include <limits>

#include "kernels/cpu/norm/real_rows.h"
#include "kernels/cpu/norm/softmax_kernels.h"
#include "linnet/parallel.h"
#include "linnet/visit_dtype.h"

namespace linnet::cpu {
namespace {

void check_labels(DType dtype) {
  if (!is_integer(dtype)) {
    throw DTypeError("softmax_cross_entropy: expected labels of an integer type, got " +
                     std::string(name_of(dtype)));
  }
}

// The label of a row, counted from the end if negative, or -1 if it is out of range.
int64_t label_of(DType dtype, const void* labels, int64_t row, int64_t classes) {
  return visit_dtype(dtype, [&](auto zero) -> int64_t {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T>) {
      const T label = static_cast<const T*>(labels)[row];
      if (std::is_unsigned_v<T> && static_cast<uint64_t>(label) >= static_cast<uint64_t>(classes))
        return -1;
      const int64_t at = static_cast<int64_t>(label) + (label < T(0) ? classes : 0);
      return at >= 0 && at < classes ? at : -1;
    } else {
      return -1;
    }
  });
}

// The rows of both functions.
template <class T>
struct Scratch : RowScratch<T> {
  Scratch(Workspace& w, int64_t rows, int64_t classes)
      : RowScratch<T>(w, parallel_slots(rows, row_grain(classes)), 2, classes) {}
};

}  // namespace

size_t cross_entropy_workspace(DType dtype, int64_t rows, int64_t classes) {
  return size_of(dtype) == 2 ? workspace_bytes<Scratch<float16>>(rows, classes) : 0;
}

void softmax_cross_entropy(DType dtype, int64_t rows, int64_t classes, const void* logits,
                           DType label_dtype, const void* labels, void* loss, void* log_sum,
                           void* workspace) {
  check_labels(label_dtype);
  visit_real("softmax_cross_entropy", dtype, [&](auto zero) {
    using T = decltype(zero);
    using W = Wide<T>;
    const T* from = static_cast<const T*>(logits);
    Workspace w(workspace);
    const Scratch<T> scratch(w, rows, classes);
    parallel_for_slots(rows, row_grain(classes), [&](int64_t begin, int64_t end, int64_t slot) {
      const InputRow<T> input(scratch.row(slot, 0));
      for (int64_t row = begin; row < end; ++row) {
        const W* x = input(from + row * classes, classes);
        const W shift = exponent_shift_of_row(classes, x);
        const W total = log_sum_of_row(classes, x, shift);
        const int64_t at = label_of(label_dtype, labels, row, classes);
        if (log_sum) static_cast<W*>(log_sum)[row] = total;
        if (loss)
          static_cast<W*>(loss)[row] =
              at < 0 ? std::numeric_limits<W>::quiet_NaN() : total - (x[at] - shift);
      }
    });
  });
}

void softmax_cross_entropy_backward(DType dtype, int64_t rows, int64_t classes, const void* logits,
                                    const void* log_sum, DType label_dtype, const void* labels,
                                    const void* dloss, void* dlogits, void* workspace) {
  check_labels(label_dtype);
  visit_real("softmax_cross_entropy gradient", dtype, [&](auto zero) {
    using T = decltype(zero);
    using W = Wide<T>;
    const T* from = static_cast<const T*>(logits);
    T* to = static_cast<T*>(dlogits);
    Workspace w(workspace);
    const Scratch<T> scratch(w, rows, classes);
    parallel_for_slots(rows, row_grain(classes), [&](int64_t begin, int64_t end, int64_t slot) {
      const InputRow<T> input(scratch.row(slot, 0));
      const OutputRow<T> output(scratch.row(slot, 1));
      for (int64_t row = begin; row < end; ++row) {
        const int64_t at = label_of(label_dtype, labels, row, classes);
        const W gradient = static_cast<const W*>(dloss)[row];
        const W* x = input(from + row * classes, classes);
        W* dx = output(to + row * classes);
        scaled_shares_of_row(classes, x, exponent_shift_of_row(classes, x),
                             static_cast<const W*>(log_sum)[row], gradient, dx);
        if (at >= 0) dx[at] -= gradient;
        output.store(to + row * classes, classes);
      }
    });
  });
}

}  // namespace linnet::cpu
