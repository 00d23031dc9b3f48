#include "kernels/layout/dot_layout.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "kernels/layout/insertion_sort.h"

namespace linnet {
namespace {

/// Order in which contracted dimensions may merge: by falling stride in one operand.
void sort_by_stride(DotRole& role, bool by_lhs) {
  const Strides& strides = by_lhs ? role.lhs : role.rhs;
  SmallVector<size_t, 8> order(role.sizes.size(), 0);
  std::iota(order.begin(), order.end(), size_t{0});
  insertion_sort(order.begin(), order.end(),
                 [&](size_t a, size_t b) { return std::abs(strides[a]) > std::abs(strides[b]); });
  DotRole sorted;
  for (size_t i : order) sorted.add(role.sizes[i], role.lhs[i], role.rhs[i]);
  role = sorted;
}

/// Whether the dimensions are one with a positive stride, or none, to the operand of these strides.
bool is_single(const Shape& sizes, const Strides& strides) {
  for (size_t i = 0; i < sizes.size(); ++i) {
    const bool last = i + 1 == sizes.size();
    if (last ? strides[i] <= 0 : strides[i] != strides[i + 1] * sizes[i + 1]) return false;
  }
  return true;
}

int64_t only_stride(const Strides& strides) { return strides.empty() ? 1 : strides[0]; }

bool non_negative(const Strides& strides) {
  return std::all_of(strides.begin(), strides.end(), [](int64_t stride) { return stride >= 0; });
}

void append(DotLayout::Packing& p, const Shape& sizes, const Strides& strides) {
  p.shape.append(sizes.begin(), sizes.end());
  p.from.append(strides.begin(), strides.end());
}

/// Dense strides for the copy; a repeated batch dimension is kept as a single element.
void finish(DotLayout::Packing& p, size_t batch_rank) {
  for (size_t i = 0; i < batch_rank; ++i) {
    if (p.from[i] == 0) p.shape[i] = 1;
  }
  p.to = dense_strides(p.shape);
  p.size = element_count(p.shape);
}

Strides batch_strides_of(const DotLayout::Packing& p, const Strides& before) {
  Strides out;
  for (size_t i = 0; i < before.size(); ++i) out.push_back(before[i] == 0 ? 0 : p.to[i]);
  return out;
}

Strides matrix_strides(const Strides& batch, int64_t row, int64_t column) {
  Strides out = batch;
  out.push_back(row);
  out.push_back(column);
  return out;
}

}  // namespace

void DotRole::add(int64_t size, int64_t lhs_stride, int64_t rhs_stride) {
  sizes.push_back(size);
  lhs.push_back(lhs_stride);
  rhs.push_back(rhs_stride);
}

void DotRole::merge() {
  DotRole out;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 1) continue;
    const size_t last = out.sizes.size() - 1;
    const bool joins = !out.sizes.empty() && out.lhs[last] == lhs[i] * sizes[i] &&
                       out.rhs[last] == rhs[i] * sizes[i];
    if (joins) {
      out.sizes[last] *= sizes[i];
      out.lhs[last] = lhs[i];
      out.rhs[last] = rhs[i];
    } else {
      out.add(sizes[i], lhs[i], rhs[i]);
    }
  }
  *this = out;
}

DotLayout::DotLayout(const DotParams& p, const OperandView& lhs, const OperandView& rhs) {
  for (size_t i = 0; i < p.lhs_batch.size(); ++i) {
    const size_t a = static_cast<size_t>(p.lhs_batch[i]), b = static_cast<size_t>(p.rhs_batch[i]);
    batch.add(lhs.shape[a], lhs.strides[a], rhs.strides[b]);
  }
  for (size_t i = 0; i < p.lhs_contract.size(); ++i) {
    const size_t a = static_cast<size_t>(p.lhs_contract[i]),
                 b = static_cast<size_t>(p.rhs_contract[i]);
    contracted.add(lhs.shape[a], lhs.strides[a], rhs.strides[b]);
  }
  for (int64_t axis : free_axes(lhs.shape.size(), p.lhs_contract, p.lhs_batch)) {
    rows.add(lhs.shape[static_cast<size_t>(axis)], lhs.strides[static_cast<size_t>(axis)], 0);
  }
  for (int64_t axis : free_axes(rhs.shape.size(), p.rhs_contract, p.rhs_batch)) {
    columns.add(rhs.shape[static_cast<size_t>(axis)], 0, rhs.strides[static_cast<size_t>(axis)]);
  }
  sort_by_stride(contracted, true);
  if (!is_single(contracted.sizes, contracted.lhs)) sort_by_stride(contracted, false);
  batch.merge();
  rows.merge();
  columns.merge();
  contracted.merge();
}

bool DotLayout::lhs_is_matrix() const {
  return is_single(rows.sizes, rows.lhs) && is_single(contracted.sizes, contracted.lhs) &&
         non_negative(batch.lhs);
}

bool DotLayout::rhs_is_matrix() const {
  return is_single(columns.sizes, columns.rhs) && is_single(contracted.sizes, contracted.rhs) &&
         non_negative(batch.rhs);
}

void DotLayout::move_rows_to_batch() {
  DotRole inner;
  for (size_t i = 0; i < rows.sizes.size(); ++i) {
    DotRole& to = i + 1 == rows.sizes.size() ? inner : batch;
    to.add(rows.sizes[i], rows.lhs[i], 0);
  }
  rows = inner;
  batch.merge();
}

DotLayout::Packing DotLayout::pack_lhs() {
  Packing p;
  append(p, batch.sizes, batch.lhs);
  append(p, rows.sizes, rows.lhs);
  append(p, contracted.sizes, contracted.lhs);
  finish(p, batch.sizes.size());
  const Strides repeated = batch.lhs;
  batch.lhs = batch_strides_of(p, repeated);
  const size_t first = batch.sizes.size(), next = first + rows.sizes.size();
  for (size_t i = 0; i < rows.sizes.size(); ++i) rows.lhs[i] = p.to[first + i];
  for (size_t i = 0; i < contracted.sizes.size(); ++i) contracted.lhs[i] = p.to[next + i];
  return p;
}

DotLayout::Packing DotLayout::pack_rhs() {
  Packing p;
  append(p, batch.sizes, batch.rhs);
  append(p, contracted.sizes, contracted.rhs);
  append(p, columns.sizes, columns.rhs);
  finish(p, batch.sizes.size());
  const Strides repeated = batch.rhs;
  batch.rhs = batch_strides_of(p, repeated);
  const size_t first = batch.sizes.size(), next = first + contracted.sizes.size();
  for (size_t i = 0; i < contracted.sizes.size(); ++i) contracted.rhs[i] = p.to[first + i];
  for (size_t i = 0; i < columns.sizes.size(); ++i) columns.rhs[i] = p.to[next + i];
  return p;
}

MatrixProduct DotLayout::product() const {
  MatrixProduct s;
  s.batch = batch.sizes;
  s.m = m();
  s.n = n();
  s.k = k();
  DotRole inner = contracted, left = rows, right = columns;
  inner.merge();
  left.merge();
  right.merge();
  s.a_strides =
      matrix_strides(batch.lhs, left.sizes.empty() ? only_stride(inner.lhs) * s.k : left.lhs[0],
                     only_stride(inner.lhs));
  s.b_strides =
      matrix_strides(batch.rhs, inner.sizes.empty() ? only_stride(right.rhs) * s.n : inner.rhs[0],
                     only_stride(right.rhs));
  return s;
}

}  // namespace linnet
