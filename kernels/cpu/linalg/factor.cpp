#include "kernels/cpu/linalg/factor.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/workspace.h"
#include "linnet/parallel.h"

namespace linnet::cpu {
namespace {

/// H = 1 - factor v v' acts on the last `height` rows.
struct Reflector {
  double* v;
  int64_t height;
  double factor;
  double diagonal;  ///< of R
};

struct Space {
  Space(Workspace& w, int64_t rows, int64_t columns)
      : reflectors(w.take<Reflector>(columns)),
        vectors(w.take<double>(rows * columns)),
        sums(w.take<double>(columns)) {}
  Reflector* reflectors;
  double* vectors;  ///< one behind the other
  double* sums;     ///< of each column
};

/// The reflector that turns column `j` below the diagonal into zeros.
Reflector reflector_of(int64_t rows, int64_t columns, const double* matrix, int64_t j, double* v) {
  double square = 0;
  for (int64_t i = j; i < rows; ++i) {
    v[i - j] = matrix[i * columns + j];
    square += v[i - j] * v[i - j];
  }
  // Away from the first element, so that the subtraction does not cancel.
  const double diagonal = v[0] > 0 ? -std::sqrt(square) : std::sqrt(square);
  v[0] -= diagonal;
  const double length = 2 * (square - (v[0] + diagonal) * diagonal);  // |v|^2
  return {v, rows - j, length > 0 ? 2 / length : 0, diagonal};
}

/// Applies H to columns [first_column, columns).
void apply(const Reflector& h, int64_t rows, int64_t columns, int64_t first_column, double* matrix,
           double* column_sums) {
  const int64_t grain = std::max<int64_t>(16, 32768 / h.height);
  parallel_for(columns - first_column, grain, [&](int64_t begin, int64_t end) {
    double* block = matrix + (rows - h.height) * columns + first_column + begin;
    double* const sums = column_sums + first_column + begin;
    const int64_t width = end - begin;
    std::fill_n(sums, width, 0.0);
    for (int64_t i = 0; i < h.height; ++i) {
      for (int64_t c = 0; c < width; ++c) sums[c] += h.v[i] * block[i * columns + c];
    }
    for (int64_t i = 0; i < h.height; ++i) {
      const double scale = h.factor * h.v[i];
      for (int64_t c = 0; c < width; ++c) block[i * columns + c] -= scale * sums[c];
    }
  });
}

}  // namespace

size_t qr_workspace(int64_t rows, int64_t columns) { return workspace_bytes<Space>(rows, columns); }

void qr_orthogonal(int64_t rows, int64_t columns, double* matrix, void* workspace) {
  Workspace w(workspace);
  const Space space(w, rows, columns);
  for (int64_t j = 0; j < columns; ++j) {
    space.reflectors[j] = reflector_of(rows, columns, matrix, j, space.vectors + j * rows);
    apply(space.reflectors[j], rows, columns, j + 1, matrix, space.sums);
  }
  std::fill(matrix, matrix + rows * columns, 0.0);
  for (int64_t j = 0; j < columns; ++j) matrix[j * columns + j] = 1;
  for (int64_t j = columns; j-- > 0;)
    apply(space.reflectors[j], rows, columns, j, matrix, space.sums);
  for (int64_t j = 0; j < columns; ++j) {
    if (space.reflectors[j].diagonal >= 0) continue;
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
