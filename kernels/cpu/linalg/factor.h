// Factors of small dense matrices, computed in double precision.
//
//   std::vector<double> q = matrix;                       // [4,3], row-major
//   cpu::qr_orthogonal(4, 3, q.data(), workspace);        // orthonormal columns
#pragma once

#include <cstddef>
#include <cstdint>

namespace linnet::cpu {

/// Replaces a [rows, columns] matrix, rows >= columns, by the orthonormal factor Q of its QR
/// factorisation in which the diagonal of R is positive; that makes it unique for a matrix of full
/// rank.
void qr_orthogonal(int64_t rows, int64_t columns, double* matrix, void* workspace);
/// Bytes of its workspace, aligned to 64.
size_t qr_workspace(int64_t rows, int64_t columns);

/// Replaces a symmetric positive definite [n, n] matrix by its lower Cholesky factor, zero above
/// the diagonal. Reads the mean of both triangles. NaN if it is not positive definite.
void cholesky(int64_t n, double* matrix);

}  // namespace linnet::cpu
