// Scatters that multiply, or keep the smaller or the larger number.
#include "core/ops/indexing_scatter.h"
#include "linnet/scatter.h"

namespace linnet {
namespace {

/// Whoever equals the result has the derivative; several share it.
TensorList vjp_scatter_extreme(const ScatterParams& p, Inputs x, Outputs y, Inputs cts) {
  const Tensor& ct = cts[0];
  const Shape& windows = x[2].shape();
  const Tensor kept = astype(equal(x[0], y[0]), ct.dtype());
  const Tensor won = astype(equal(x[2], read_windows(p, y[0], x[1], windows)), ct.dtype());
  const Tensor equals = kept + emit_one(scatter_add_primitive(), {zeros_like(ct), x[1], won}, p);
  const Tensor share = where(equals > 0, ct / where(equals > 0, equals, 1.0), 0.0);
  return {kept * share, Tensor(), won * read_windows(p, share, x[1], windows)};
}

/// A factor's derivative is the product of the others: the product of all that are not zero,
/// divided by the factor if none is zero, whole if the factor is the only zero.
TensorList vjp_scatter_mul(const ScatterParams& p, Inputs x, Outputs, Inputs cts) {
  const Tensor &ct = cts[0], &updates = x[2];
  const Shape& windows = updates.shape();
  const Tensor zero = equal(updates, 0), safe = where(zero, 1.0, updates);
  const Tensor product = emit_one(scatter_mul_primitive(), {ones_like(ct), x[1], safe}, p);
  const Tensor zeros_met =
      emit_one(scatter_add_primitive(), {zeros_like(ct), x[1], astype(zero, ct.dtype())}, p);
  const Tensor others = read_windows(p, ct * x[0] * product, x[1], windows);
  const Tensor met = read_windows(p, zeros_met, x[1], windows);
  const Tensor for_update =
      where(zero, where(equal(met, 1), others, 0.0), where(equal(met, 0), others / safe, 0.0));
  return {ct * where(equal(zeros_met, 0), product, 0.0), Tensor(), for_update};
}

Smooth<ScatterParams> combining_scatter(const char* name) {
  return {.name = name,
          .infer = nullptr,
          .vjp = vjp_scatter_extreme,
          .dims = scatter_dims,
          .nondifferentiable = 1u << 1};
}

}  // namespace

const Primitive& scatter_mul_primitive() {
  static const Primitive& p = []() -> const Primitive& {
    Smooth<ScatterParams> description = combining_scatter("scatter_mul");
    description.infer = [](const ScatterParams& q, Inputs x) {
      return infer_scatter("scatter_mul", q, x);
    };
    description.batch = [](const ScatterParams& q, const BatchedInputs& in) {
      return batch_scatter(scatter_mul_primitive(), q, in);
    };
    description.vjp = vjp_scatter_mul;
    description.saves_outputs = 0;
    return define(description);
  }();
  return p;
}

const Primitive& scatter_min_primitive() {
  static const Primitive& p = []() -> const Primitive& {
    Smooth<ScatterParams> description = combining_scatter("scatter_min");
    description.infer = [](const ScatterParams& q, Inputs x) {
      return infer_scatter("scatter_min", q, x);
    };
    description.batch = [](const ScatterParams& q, const BatchedInputs& in) {
      return batch_scatter(scatter_min_primitive(), q, in);
    };
    return define(description);
  }();
  return p;
}

const Primitive& scatter_max_primitive() {
  static const Primitive& p = []() -> const Primitive& {
    Smooth<ScatterParams> description = combining_scatter("scatter_max");
    description.infer = [](const ScatterParams& q, Inputs x) {
      return infer_scatter("scatter_max", q, x);
    };
    description.batch = [](const ScatterParams& q, const BatchedInputs& in) {
      return batch_scatter(scatter_max_primitive(), q, in);
    };
    return define(description);
  }();
  return p;
}

Tensor scatter_mul(const Tensor& x, const Tensor& indices, const Tensor& updates,
                   const ScatterDims& dims, ScatterMode mode) {
  return scatter_with(scatter_mul_primitive(), x, indices, updates, dims, mode);
}
Tensor scatter_min(const Tensor& x, const Tensor& indices, const Tensor& updates,
                   const ScatterDims& dims, ScatterMode mode) {
  return scatter_with(scatter_min_primitive(), x, indices, updates, dims, mode);
}
Tensor scatter_max(const Tensor& x, const Tensor& indices, const Tensor& updates,
                   const ScatterDims& dims, ScatterMode mode) {
  return scatter_with(scatter_max_primitive(), x, indices, updates, dims, mode);
}

namespace {

Tensor combine_rows(const char* name, const Primitive& primitive, const Tensor& x,
                    const Tensor& indices, const Tensor& values) {
  const RowUpdate u = row_update(name, x, indices, values);
  return scatter_with(primitive, x, u.indices, u.updates, u.dims, ScatterMode::kDrop);
}

}  // namespace

Tensor index_mul(const Tensor& x, const Tensor& indices, const Tensor& values) {
  return combine_rows("index_mul", scatter_mul_primitive(), x, indices, values);
}
Tensor index_min(const Tensor& x, const Tensor& indices, const Tensor& values) {
  return combine_rows("index_min", scatter_min_primitive(), x, indices, values);
}
Tensor index_max(const Tensor& x, const Tensor& indices, const Tensor& values) {
  return combine_rows("index_max", scatter_max_primitive(), x, indices, values);
}

}  // namespace linnet
