#include "kernels/cpu/reference/matmul.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/reference/store_row.h"
#include "linnet/parallel.h"

namespace linnet::cpu {
namespace {

constexpr int64_t kRows = 32;      // rows of a task
constexpr int64_t kColumns = 256;  // columns of a tile of b
constexpr int64_t kDepth = 64;     // rows of a tile of b

template <class T>
class MatmulTask {
  using A = ProductAccumulator<T>;

 public:
  explicit MatmulTask(const MatmulProblem& p)
      : p_(p),
        tile_(static_cast<size_t>(kDepth * kColumns)),
        sums_(static_cast<size_t>(kRows * kColumns)) {}

  void operator()(int64_t batch, int64_t first_row) {
    const int64_t rows = std::min(kRows, p_.m - first_row);
    const T* a =
        static_cast<const T*>(p_.a) + batch * p_.a_strides[0] + first_row * p_.a_strides[1];
    const T* b = static_cast<const T*>(p_.b) + batch * p_.b_strides[0];
    for (int64_t column = 0; column < p_.n; column += kColumns) {
      const int64_t columns = std::min(kColumns, p_.n - column);
      std::fill_n(sums_.data(), rows * kColumns, A(0));
      for (int64_t depth = 0; depth < p_.k; depth += kDepth) {
        const int64_t depths = std::min(kDepth, p_.k - depth);
        pack(b + depth * p_.b_strides[1] + column * p_.b_strides[2], depths, columns);
        for (int64_t row = 0; row < rows; ++row) {
          multiply_row(a + row * p_.a_strides[1] + depth * p_.a_strides[2], depths, columns,
                       &sums_[static_cast<size_t>(row * kColumns)]);
        }
      }
      for (int64_t row = 0; row < rows; ++row) {
        store_row<T>(p_.out_dtype, &sums_[static_cast<size_t>(row * kColumns)], columns, p_.out,
                     (batch * p_.m + first_row + row) * p_.n + column, 1);
      }
    }
  }

 private:
  void pack(const T* b, int64_t depths, int64_t columns) {
    for (int64_t i = 0; i < depths; ++i) {
      A* to = &tile_[static_cast<size_t>(i * kColumns)];
      for (int64_t j = 0; j < columns; ++j)
        to[j] = lift_product(b[i * p_.b_strides[1] + j * p_.b_strides[2]]);
    }
  }

  void multiply_row(const T* a, int64_t depths, int64_t columns, A* __restrict sums) const {
    int64_t i = 0;
    for (; i + 4 <= depths; i += 4) {
      A factor[4];
      for (int64_t j = 0; j < 4; ++j) factor[j] = lift_product(a[(i + j) * p_.a_strides[2]]);
      const A* __restrict b0 = &tile_[static_cast<size_t>(i * kColumns)];
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
      const A* __restrict b = &tile_[static_cast<size_t>(i * kColumns)];
      for (int64_t c = 0; c < columns; ++c) sums[c] += factor * b[c];
    }
  }

  const MatmulProblem& p_;
  std::vector<A> tile_;
  std::vector<A> sums_;
};

}  // namespace

void reference_matmul(const MatmulProblem& problem) {
  const int64_t blocks = (problem.m + kRows - 1) / kRows;
  const int64_t work = std::max<int64_t>(1, std::min(kRows, problem.m) * problem.n * problem.k);
  visit_dtype(problem.dtype, [&](auto zero) {
    parallel_for(problem.batch * blocks, std::max<int64_t>(1, 65536 / work),
                 [&](int64_t begin, int64_t end) {
                   MatmulTask<decltype(zero)> task(problem);
                   for (int64_t i = begin; i < end; ++i) task(i / blocks, i % blocks * kRows);
                 });
  });
}

}  // namespace linnet::cpu
