#include "kernels/cpu/linalg/factor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "linnet/parallel.h"

namespace linnet::cpu {
namespace {

/// H = 1 - factor v v' acts on rows [first, first + v.size()).
struct Reflector {
  std::vector<double> v;
  double factor = 0;
  double diagonal = 0;  ///< of R
};

/// The reflector that turns column `j` below the diagonal into zeros.
Reflector reflector_of(int64_t rows, int64_t columns, const double* matrix, int64_t j) {
  Reflector out;
  double square = 0;
  for (int64_t i = j; i < rows; ++i) {
    out.v.push_back(matrix[i * columns + j]);
    square += out.v.back() * out.v.back();
  }
  // Away from the first element, so that the subtraction does not cancel.
  out.diagonal = out.v[0] > 0 ? -std::sqrt(square) : std::sqrt(square);
  out.v[0] -= out.diagonal;
  const double length = 2 * (square - (out.v[0] + out.diagonal) * out.diagonal);  // |v|^2
  out.factor = length > 0 ? 2 / length : 0;
  return out;
}

/// Applies H to columns [first_column, columns).
void apply(const Reflector& h, int64_t rows, int64_t columns, int64_t first_column,
           double* matrix) {
  const int64_t height = static_cast<int64_t>(h.v.size());
  const int64_t grain = std::max<int64_t>(16, 32768 / height);
  parallel_for(columns - first_column, grain, [&](int64_t begin, int64_t end) {
    double* block = matrix + (rows - height) * columns + first_column + begin;
    const int64_t width = end - begin;
    std::vector<double> sums(static_cast<size_t>(width), 0.0);
    for (int64_t i = 0; i < height; ++i) {
      for (int64_t c = 0; c < width; ++c)
        sums[static_cast<size_t>(c)] += h.v[static_cast<size_t>(i)] * block[i * columns + c];
    }
    for (int64_t i = 0; i < height; ++i) {
      const double scale = h.factor * h.v[static_cast<size_t>(i)];
      for (int64_t c = 0; c < width; ++c)
        block[i * columns + c] -= scale * sums[static_cast<size_t>(c)];
    }
  });
}

}  // namespace

void qr_orthogonal(int64_t rows, int64_t columns, double* matrix) {
  std::vector<Reflector> reflectors;
  for (int64_t j = 0; j < columns; ++j) {
    reflectors.push_back(reflector_of(rows, columns, matrix, j));
    apply(reflectors.back(), rows, columns, j + 1, matrix);
  }
  std::fill(matrix, matrix + rows * columns, 0.0);
  for (int64_t j = 0; j < columns; ++j) matrix[j * columns + j] = 1;
  for (int64_t j = columns; j-- > 0;)
    apply(reflectors[static_cast<size_t>(j)], rows, columns, j, matrix);
  for (int64_t j = 0; j < columns; ++j) {
    if (reflectors[static_cast<size_t>(j)].diagonal >= 0) continue;
    for (int64_t i = 0; i < rows; ++i) matrix[i * columns + j] = -matrix[i * columns + j];
  }
}

void cholesky(int64_t n, double* matrix) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      double sum = (matrix[i * n + j] + matrix[j * n + i]) / 2;
      for (int64_t k = 0; k < j; ++k) sum -= matrix[i * n + k] * matrix[j * n + k];
      if (i != j) {
        matrix[i * n + j] = sum / matrix[j * n + j];
      } else {
        matrix[i * n + i] = sum > 0 ? std::sqrt(sum) : std::numeric_limits<double>::quiet_NaN();
      }
    }
  }
  for (int64_t i = 0; i < n; ++i) std::fill(matrix + i * n + i + 1, matrix + (i + 1) * n, 0.0);
}

}  // namespace linnet::cpu
