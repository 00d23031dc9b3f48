#include "core/ops/dot.h"

#include "core/ops/dot_training.h"
#include "core/ops/families.h"
#include "core/ops/fused.h"
#include "core/ops/scaled_dot.h"
#include "core/ops/shape_ops.h"
#include "core/tensor/checked_size.h"
#include "linnet/complex.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

bool contains(const Axes& axes, int64_t axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

int64_t index_of(const Axes& axes, int64_t axis) {
  return std::find(axes.begin(), axes.end(), axis) - axes.begin();
}

Axes range(int64_t begin, int64_t end) {
  Axes out;
  for (int64_t i = begin; i < end; ++i) out.push_back(i);
  return out;
}

/// Results may be wider than the operands within their category.
bool result_allowed(DType operands, DType result) {
  if (operands == result) return true;
  const bool same_category = (is_floating(operands) && is_floating(result)) ||
                             (is_signed_integer(operands) && is_signed_integer(result)) ||
                             (is_unsigned_integer(operands) && is_unsigned_integer(result));
  return same_category && size_of(result) > size_of(operands);
}

void check_sizes(const char* what, const Tensor& lhs, const Tensor& rhs, const Axes& a,
                 const Axes& b) {
  if (a.size() != b.size()) {
    fail<ShapeError>("dot_general: {} axes of lhs {} and rhs {} differ in number", what,
                     to_string(a), to_string(b));
  }
  for (size_t i = 0; i < a.size(); ++i) {
    if (lhs.shape()[a[i]] == rhs.shape()[b[i]]) continue;
    fail<ShapeError>(
        "dot_general: {} sizes differ: axis {} of lhs {} has {}, axis {} of rhs {} has {}", what,
        a[i], to_string(lhs.type()), lhs.shape()[a[i]], b[i], to_string(rhs.type()),
        rhs.shape()[b[i]]);
  }
}

TypeList infer_dot(const DotParams& p, Inputs x) {
  if (x[0].dtype() != x[1].dtype()) {
    fail<DTypeError>("dot_general: dtypes differ: lhs {}, rhs {}", to_string(x[0].type()),
                     to_string(x[1].type()));
  }
  if (!result_allowed(x[0].dtype(), p.result)) {
    fail<DTypeError>(
        "dot_general: operands {} and {} cannot give {}\n  hint: the result may have the operands' "
        "dtype or a wider "
        "one of the same kind",
        to_string(x[0].type()), to_string(x[1].type()), name_of(p.result));
  }
  check_sizes("contracted", x[0], x[1], p.lhs_contract, p.rhs_contract);
  check_sizes("batch", x[0], x[1], p.lhs_batch, p.rhs_batch);
  return {{p.result, dot_shape(p, x[0].shape(), x[1].shape()), x[0].weak() && x[1].weak(),
           x[0].device()}};
}

/// One of the two contractions that give the cotangent of an operand, with where its axes come out.
struct TransposedDot {
  DotParams params;
  Axes axes;  // axis of the operand at each position of the result
};

/// `operand`: contracted and batch axes and rank of the operand whose cotangent is wanted; `other`
/// likewise.
struct DotSide {
  const Axes& contract;
  const Axes& batch;
  Axes free;
};

Axes contracted_in_order(const DotSide& operand, const DotSide& other) {
  Axes sorted = other.contract;
  std::sort(sorted.begin(), sorted.end());
  Axes axes;
  for (int64_t axis : sorted) axes.push_back(operand.contract[index_of(other.contract, axis)]);
  return axes;
}

TransposedDot transposed_dot(const DotSide& operand, const DotSide& other, bool operand_is_lhs,
                             bool cotangent_first, DType result) {
  const int64_t batch = static_cast<int64_t>(operand.batch.size());
  const int64_t lhs_free = static_cast<int64_t>((operand_is_lhs ? operand : other).free.size());
  const int64_t rhs_free = static_cast<int64_t>((operand_is_lhs ? other : operand).free.size());
  const Axes other_in_ct = operand_is_lhs ? range(batch + lhs_free, batch + lhs_free + rhs_free)
                                          : range(batch, batch + lhs_free);
  TransposedDot out;
  out.params.result = result;
  out.axes = operand.batch;
  const Axes contracted = contracted_in_order(operand, other);
  if (cotangent_first) {
    out.params.lhs_contract = other_in_ct;
    out.params.rhs_contract = other.free;
    out.params.lhs_batch = range(0, batch);
    out.params.rhs_batch = other.batch;
    out.axes.append(operand.free.begin(), operand.free.end());
    out.axes.append(contracted.begin(), contracted.end());
  } else {
    out.params.lhs_contract = other.free;
    out.params.rhs_contract = other_in_ct;
    out.params.lhs_batch = other.batch;
    out.params.rhs_batch = range(0, batch);
    out.axes.append(contracted.begin(), contracted.end());
    out.axes.append(operand.free.begin(), operand.free.end());
  }
  return out;
}

Tensor transpose_dot(const DotParams& p, int which, Inputs x, const Tensor& ct) {
  const DotSide lhs{p.lhs_contract, p.lhs_batch,
                    free_axes(x[0].rank(), p.lhs_contract, p.lhs_batch)};
  const DotSide rhs{p.rhs_contract, p.rhs_batch,
                    free_axes(x[1].rank(), p.rhs_contract, p.rhs_batch)};
  const DotSide& operand = which == 0 ? lhs : rhs;
  const DotSide& other = which == 0 ? rhs : lhs;
  const DType dtype = x[which].dtype();
  Tensor other_value = x[1 - which];
  if (other_value.dtype() != ct.dtype()) other_value = astype(other_value, ct.dtype());
  // Of the two operand orders, the one that needs no transposition is dense and ready to be used.
  bool cotangent_first = which == 0;
  TransposedDot dot = transposed_dot(operand, other, which == 0, cotangent_first, ct.dtype());
  if (!is_in_order(dot.axes)) {
    const TransposedDot swapped =
        transposed_dot(operand, other, which == 0, !cotangent_first, ct.dtype());
    if (is_in_order(swapped.axes)) {
      dot = swapped;
      cotangent_first = !cotangent_first;
    }
  }
  Tensor out = cotangent_first ? emit_one(dot_general_primitive(), {ct, other_value}, dot.params)
                               : emit_one(dot_general_primitive(), {other_value, ct}, dot.params);
  if (!is_in_order(dot.axes)) out = transpose(out, inverse(dot.axes));
  return out.dtype() == dtype ? out : astype(out, dtype);
}

TensorList batch_dot(const DotParams& p, const BatchedInputs& in) {
  DotParams q = p;
  const bool lhs = in.batched[0], rhs = in.batched[1];
  if (lhs) {
    q.lhs_contract = shifted(p.lhs_contract);
    q.lhs_batch = shifted(p.lhs_batch);
  }
  if (rhs) {
    q.rhs_contract = shifted(p.rhs_contract);
    q.rhs_batch = shifted(p.rhs_batch);
  }
  if (lhs && rhs) {
    q.lhs_batch.insert(0, 0);
    q.rhs_batch.insert(0, 0);
    return emit(dot_general_primitive(), in.x, q);
  }
  const Tensor out = emit_one(dot_general_primitive(), in.x, q);
  const size_t lhs_free = in.x[0].rank() - p.lhs_batch.size() - p.lhs_contract.size();
  const size_t position = p.lhs_batch.size() + (lhs ? 0 : lhs_free);
  return {moveaxis(out, static_cast<int64_t>(position), 0)};
}

DimMap dot_dims(const DotParams& p, Inputs x) {
  DimMap map;
  TensorFactors lhs(x[0].rank()), rhs(x[1].rank()), result;
  for (size_t i = 0; i < p.lhs_batch.size(); ++i) {
    result.push_back({map.add(x[0].shape()[p.lhs_batch[i]])});
    lhs[p.lhs_batch[i]] = rhs[p.rhs_batch[i]] = result.back();
  }
  for (size_t i = 0; i < p.lhs_contract.size(); ++i) {
    const int64_t size = x[0].shape()[p.lhs_contract[i]];
    lhs[p.lhs_contract[i]] = rhs[p.rhs_contract[i]] = {map.add(size, FactorKind::kSum)};
  }
  const auto add_free = [&](const Tensor& operand, TensorFactors& factors) {
    for (size_t d = 0; d < factors.size(); ++d) {
      if (!factors[d].empty()) continue;
      factors[d] = {map.add(operand.shape()[d])};
      result.push_back(factors[d]);
    }
  };
  add_free(x[0], lhs);
  add_free(x[1], rhs);
  map.operands = {std::move(lhs), std::move(rhs)};
  map.results = {std::move(result)};
  return map;
}

}  // namespace

Axes free_axes(size_t rank, const Axes& a, const Axes& b) {
  Axes out;
  for (int64_t i = 0; i < static_cast<int64_t>(rank); ++i) {
    if (!contains(a, i) && !contains(b, i)) out.push_back(i);
  }
  return out;
}

Shape dot_shape(const DotParams& params, const Shape& lhs, const Shape& rhs) {
  Shape shape;
  const auto add_free = [&](const Shape& operand, const Axes& contract, const Axes& batch) {
    for (size_t axis = 0; axis < operand.size(); ++axis) {
      const int64_t a = static_cast<int64_t>(axis);
      if (!contains(contract, a) && !contains(batch, a)) shape.push_back(operand[axis]);
    }
  };
  for (int64_t axis : params.lhs_batch) shape.push_back(lhs[axis]);
  add_free(lhs, params.lhs_contract, params.lhs_batch);
  add_free(rhs, params.rhs_contract, params.rhs_batch);
  checked_element_count("dot_general", shape);
  return shape;
}

const Primitive& dot_general_primitive() {
  static const Primitive& p = define(Bilinear<DotParams>{.name = "dot_general",
                                                         .infer = infer_dot,
                                                         .transpose_in = transpose_dot,
                                                         .dims = dot_dims,
                                                         .batch = batch_dot});
  return p;
}

namespace {

void check_disjoint(const char* operation, const char* side, const Axes& contract,
                    const Axes& batch, const Tensor& x) {
  for (int64_t axis : batch) {
    if (!contains(contract, axis)) continue;
    fail<ShapeError>("{}: axis {} of {} {} is both contracted and batch", operation, axis, side,
                     to_string(x.type()));
  }
}

}  // namespace

PreparedDot prepare_dot(const char* operation, const Tensor& lhs, const Tensor& rhs,
                        const DotDims& dims, std::optional<DType> preferred_element_type) {
  const WeakDType type = promote_types({lhs.dtype(), lhs.weak()}, {rhs.dtype(), rhs.weak()});
  PreparedDot out{lhs.dtype() == type.dtype ? lhs : astype(lhs, type.dtype),
                  rhs.dtype() == type.dtype ? rhs : astype(rhs, type.dtype),
                  {}};
  out.params.lhs_contract = normalize_axes(dims.lhs_contract, lhs.rank(), operation);
  out.params.lhs_batch = normalize_axes(dims.lhs_batch, lhs.rank(), operation);
  check_disjoint(operation, "lhs", out.params.lhs_contract, out.params.lhs_batch, lhs);
  out.params.rhs_contract = normalize_axes(dims.rhs_contract, rhs.rank(), operation);
  out.params.rhs_batch = normalize_axes(dims.rhs_batch, rhs.rank(), operation);
  check_disjoint(operation, "rhs", out.params.rhs_contract, out.params.rhs_batch, rhs);
  out.params.result = preferred_element_type.value_or(type.dtype);
  return out;
}

namespace {

/// A product of complex numbers by those of their parts, for which there are fast kernels.
Tensor complex_dot(const Tensor& lhs, const Tensor& rhs, const DotDims& dims,
                   std::optional<DType> preferred_element_type) {
  const DType dtype = promote_types(lhs.dtype(), rhs.dtype());
  const DType result = preferred_element_type.value_or(dtype);
  if (!is_complex(result))
    fail<DTypeError>("dot_general: operands {} and {} cannot give {}", to_string(lhs.type()),
                     to_string(rhs.type()), name_of(result));
  const DType part = real_dtype_of(dtype);
  const auto product = [&](const Tensor& a, const Tensor& b) {
    return dot_general(astype(a, part), astype(b, part), dims, real_dtype_of(result));
  };
  const Tensor a = real(lhs), b = real(rhs);
  if (!is_complex(lhs.dtype())) return complex(product(a, b), product(a, imag(rhs)));
  if (!is_complex(rhs.dtype())) return complex(product(a, b), product(imag(lhs), b));
  const Tensor c = imag(lhs), d = imag(rhs);
  return complex(product(a, b) - product(c, d), product(a, d) + product(c, b));
}

}  // namespace

Tensor dot_general(const Tensor& lhs, const Tensor& rhs, const DotDims& dims,
                   std::optional<DType> preferred_element_type) {
  if (is_complex(lhs.dtype()) || is_complex(rhs.dtype()))
    return complex_dot(lhs, rhs, dims, preferred_element_type);
  const PreparedDot dot = prepare_dot("dot_general", lhs, rhs, dims, preferred_element_type);
  return emit_one(dot_general_primitive(), {dot.lhs, dot.rhs}, dot.params);
}

void define_dot() {
  dot_general_primitive();
  linear_bias_activation_primitive();
  panel_linear_primitive();
  scaled_dot_primitive();
  define_dot_training();
}

}  // namespace linnet
