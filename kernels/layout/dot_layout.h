// Private: a contraction of strided operands as a batch of matrix products.
#pragma once

#include "core/ops/dot.h"
#include "linnet/kernel.h"

namespace linnet {

/// Dimensions of one role (batch, rows, columns, contracted) with their strides in both operands;
/// an operand that lacks the dimension has stride 0.
struct DotRole {
  Shape sizes;
  Strides lhs, rhs;

  void add(int64_t size, int64_t lhs_stride, int64_t rhs_stride);
  int64_t count() const { return element_count(sizes); }
  /// Merges neighbours that are one dimension to both operands, and drops sizes of 1.
  void merge();
};

/// A batch of products of strided matrices. Strides count elements and have the rank of `batch`
/// plus two, outermost first: (batch..., m, k) and (batch..., k, n). A batch stride of 0 repeats
/// the operand; the result is dense.
struct MatrixProduct {
  Shape batch;
  int64_t m = 0, n = 0, k = 0;
  Strides a_strides, b_strides;
};

struct DotLayout {
  DotRole batch, rows, columns, contracted;

  DotLayout(const DotParams& params, const OperandView& lhs, const OperandView& rhs);

  int64_t m() const { return rows.count(); }
  int64_t n() const { return columns.count(); }
  int64_t k() const { return contracted.count(); }

  /// Whether strides alone can describe the operand as matrices.
  bool lhs_is_matrix() const;
  bool rhs_is_matrix() const;
  /// Makes all but the innermost rows dimensions of the batch, along which the right operand
  /// repeats. The result is the same.
  void move_rows_to_batch();
  /// Replaces the operand by a dense copy [batch…, m, k] or [batch…, k, n]; batch dimensions along
  /// which it repeats are not copied. Gives sizes and strides of what is copied from and to.
  struct Packing {
    Shape shape;
    Strides from, to;
    int64_t size = 1;
  };
  Packing pack_lhs();
  Packing pack_rhs();

  /// Sizes and strides; both operands are matrices.
  MatrixProduct product() const;
};

}  // namespace linnet
