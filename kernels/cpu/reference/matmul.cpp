#include "kernels/cpu/reference/matmul.h"

#include <algorithm>

#include "kernels/cpu/reference/store_row.h"
#include "linnet/parallel.h"
#include "linnet/visit_dtype.h"

namespace linnet::cpu {
namespace {

constexpr int64_t kRows = 32;      // rows of a task
constexpr int64_t kColumns = 256;  // columns of a tile of b
constexpr int64_t kDepth = 64;     // rows of a tile of b

template <class T>
class MatmulTask {
  using A = ProductAccumulator<T>;

 public:
  static constexpr int64_t kScratch = (kDepth + kRows) * kColumns;
  /// @param scratch of `kScratch` elements
  MatmulTask(const MatmulProblem& p, A* scratch)
      : p_(p), tile_(scratch), sums_(scratch + kDepth * kColumns) {}

  void operator()(int64_t batch, int64_t first_row) {
    const int64_t rows = std::min(kRows, p_.m - first_row);
    const T* a =
        static_cast<const T*>(p_.a) + batch * p_.a_strides[0] + first_row * p_.a_strides[1];
    const T* b = static_cast<const T*>(p_.b) + batch * p_.b_strides[0];
    for (int64_t column = 0; column < p_.n; column += kColumns) {
      const int64_t columns = std::min(kColumns, p_.n - column);
      std::fill_n(sums_, rows * kColumns, A(0));
      for (int64_t depth = 0; depth < p_.k; depth += kDepth) {
        const int64_t depths = std::min(kDepth, p_.k - depth);
        pack(b + depth * p_.b_strides[1] + column * p_.b_strides[2], depths, columns);
        for (int64_t row = 0; row < rows; ++row) {
          multiply_row(a + row * p_.a_strides[1] + depth * p_.a_strides[2], depths, columns,
                       sums_ + row * kColumns);
        }
      }
      for (int64_t row = 0; row < rows; ++row) {
        store_row<T>(p_.out_dtype, sums_ + row * kColumns, columns, p_.out,
                     (batch * p_.m + first_row + row) * p_.n + column, 1);
      }
    }
  }

 private:
  void pack(const T* b, int64_t depths, int64_t columns) {
    for (int64_t i = 0; i < depths; ++i) {
      A* to = tile_ + i * kColumns;
      for (int64_t j = 0; j < columns; ++j)
        to[j] = lift_product(b[i * p_.b_strides[1] + j * p_.b_strides[2]]);
    }
  }

  void multiply_row(const T* a, int64_t depths, int64_t columns, A* __restrict sums) const {
    int64_t i = 0;
    for (; i + 4 <= depths; i += 4) {
      A factor[4];
      for (int64_t j = 0; j < 4; ++j) factor[j] = lift_product(a[(i + j) * p_.a_strides[2]]);
      const A* __restrict b0 = tile_ + i * kColumns;
      const A* __restrict b1 = b0 + kColumns;
      const A* __restrict b2 = b1 + kColumns;
      const A* __restrict b3 = b2 + kColumns;
      for (int64_t c = 0; c < columns; ++c) {
        sums[c] = (((sums[c] + factor[0] * b0[c]) + factor[1] * b1[c]) + factor[2] * b2[c]) +
                  factor[3] * b3[c];
      }
    }
    for (; i < depths; ++i) {
      const A factor = lift_product(a[i * p_.a_strides[2]]);
      const A* __restrict b = tile_ + i * kColumns;
      for (int64_t c = 0; c < columns; ++c) sums[c] += factor * b[c];
    }
  }

  const MatmulProblem& p_;
  A *tile_, *sums_;
};

int64_t row_blocks(const MatmulProblem& p) { return (p.m + kRows - 1) / kRows; }

int64_t block_grain(const MatmulProblem& p) {
  const int64_t work = std::max<int64_t>(1, std::min(kRows, p.m) * p.n * p.k);
  return std::max<int64_t>(1, 65536 / work);
}

}  // namespace

size_t reference_matmul_workspace(const MatmulProblem& problem) {
  const int64_t slots = parallel_slots(problem.batch * row_blocks(problem), block_grain(problem));
  return visit_dtype(problem.dtype, [&](auto zero) {
    using T = decltype(zero);
    return static_cast<size_t>(slots * MatmulTask<T>::kScratch) * sizeof(ProductAccumulator<T>);
  });
}

void reference_matmul(const MatmulProblem& problem, void* workspace) {
  const int64_t blocks = row_blocks(problem);
  visit_dtype(problem.dtype, [&](auto zero) {
    using T = decltype(zero);
    parallel_for_slots(problem.batch * blocks, block_grain(problem),
                       [&](int64_t begin, int64_t end, int64_t slot) {
                         MatmulTask<T> task(problem,
                                            static_cast<ProductAccumulator<T>*>(workspace) +
                                                slot * MatmulTask<T>::kScratch);
                         for (int64_t i = begin; i < end; ++i) task(i / blocks, i % blocks * kRows);
                       });
  });
}

}  // namespace linnet::cpu
