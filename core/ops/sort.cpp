#include "core/ops/sort.h"

#include "core/ops/dims.h"
#include "core/ops/reduce.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

TypeList infer_sort(const SortParams&, Inputs x) { return {x[0].type()}; }

TypeList infer_argsort(const SortParams& p, Inputs x) {
  require_i32_positions("argsort", p.axis, x[0]);
  return {{DType::kI32, x[0].shape(), false, x[0].device()}};
}

Tensor argsort_of(const SortParams& p, const Tensor& x) {
  return emit_one(argsort_primitive(), {x}, p);
}

/// The order is found again from the operand, so that sorting without derivatives need not keep it.
/// The inverse permutation is the order of the order.
TensorList vjp_sort(const SortParams& p, Inputs x, Outputs, Inputs cts) {
  if (x[0].size() == 0) return {cts[0]};
  const Tensor inverse = argsort_of(p, argsort_of(p, x[0]));
  return {take_along_axis(cts[0], inverse, p.axis, GatherMode::kPromiseInBounds)};
}

TensorList jvp_sort(const SortParams& p, Inputs x, Outputs, Inputs tangents) {
  if (x[0].size() == 0) return {tangents[0]};
  return {take_along_axis(tangents[0], argsort_of(p, x[0]), p.axis, GatherMode::kPromiseInBounds)};
}

DimMap sort_dims(const SortParams& p, Inputs x) { return dims::aligned(x, {p.axis}, x[0].shape()); }

}  // namespace

const Primitive& sort_primitive() {
  static const Primitive& p = define(Smooth<SortParams>{.name = "sort",
                                                        .infer = infer_sort,
                                                        .vjp = vjp_sort,
                                                        .jvp = jvp_sort,
                                                        .dims = sort_dims,
                                                        .saves_outputs = 0});
  return p;
}

const Primitive& argsort_primitive() {
  static const Primitive& p =
      define(Opaque<SortParams>{.name = "argsort", .infer = infer_argsort, .dims = sort_dims});
  return p;
}

void define_sorting() {
  sort_primitive();
  argsort_primitive();
}

Tensor sort(const Tensor& x, int64_t axis) {
  return emit_one(sort_primitive(), {x}, SortParams{normalize_axis(axis, x.rank(), "sort")});
}

Tensor argsort(const Tensor& x, int64_t axis) {
  return argsort_of({normalize_axis(axis, x.rank(), "argsort")}, x);
}

}  // namespace linnet
