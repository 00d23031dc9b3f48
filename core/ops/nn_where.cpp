// Functions of linnet/nn.h, made of others.
#include "linnet/nn.h"

#include <limits>
#include <numbers>

#include "core/ops/nn.h"
#include "linnet/control_flow.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// @throws DTypeError unless `mask` is bool.
Tensor mask_for(const char* operation, const Tensor& x, const Tensor& mask) {
  if (mask.dtype() != DType::kBool)
    fail<DTypeError>("{}: expected where to be bool, got {}", operation, to_string(mask.type()));
  return broadcast_to(mask, x.shape());
}

/// `x`, and -inf where the mask is false.
Tensor chosen(const Tensor& x, const Tensor& mask) {
  return where(mask, x, scalar(-kInfinity, x.dtype()));
}

/// The mean over all, or over those for which the mask is true.
Tensor mean_where(const Tensor& x, const Tensor& mask, const Axes& axes) {
  if (!mask.defined()) return mean(x, axes, true);
  const Tensor count = sum(astype(mask, DType::kF32), axes, true);
  const DType wide = size_of(x.dtype()) < 4 ? DType::kF32 : x.dtype();
  const Tensor total = sum(where(mask, astype(x, wide), 0.0), axes, true);
  return astype(total / astype(count, wide), x.dtype());
}

}  // namespace

Tensor softmax(const Tensor& x, const Tensor& where, int64_t axis) {
  const Tensor y = floating_operand(x), mask = mask_for("softmax", y, where);
  return linnet::where(mask, softmax(chosen(y, mask), axis), scalar(0, y.dtype()));
}

Tensor log_softmax(const Tensor& x, const Tensor& where, int64_t axis) {
  const Tensor y = floating_operand(x), mask = mask_for("log_softmax", y, where);
  return chosen(log_softmax(chosen(y, mask), axis), mask);
}

Tensor logsumexp(const Tensor& x, const Tensor& where, const ReductionAxes& axes, bool keepdims) {
  const Tensor y = floating_operand(x), mask = mask_for("logsumexp", y, where);
  return logsumexp(chosen(y, mask), axes, keepdims);
}

Tensor logmeanexp(const Tensor& x, const ReductionAxes& axes, const Tensor& where, bool keepdims) {
  const Tensor y = floating_operand(x);
  const Tensor mask = where.defined() ? mask_for("logmeanexp", y, where) : Tensor();
  const Tensor all =
      mask.defined() ? logsumexp(y, mask, axes, keepdims) : logsumexp(y, axes, keepdims);
  const DType wide = size_of(y.dtype()) < 4 ? DType::kF32 : y.dtype();
  const Tensor counted =
      mask.defined() ? astype(mask, wide) : broadcast_to(scalar(1, wide), y.shape());
  return all - astype(log(sum(counted, axes, keepdims)), all.dtype());
}

Tensor cumlogsumexp(const Tensor& x, int64_t axis, bool reverse) {
  return associative_scan([](const Tensor& a, const Tensor& b) { return logaddexp(a, b); },
                          floating_operand(x), {.axis = axis, .reverse = reverse});
}

Tensor standardize(const Tensor& x, const StandardizeOptions& o) {
  const Tensor y = floating_operand(x);
  const Tensor mask = o.where.defined() ? mask_for("standardize", y, o.where) : Tensor();
  const Tensor centre = o.mean.defined() ? o.mean : mean_where(y, mask, o.axes);
  Tensor variance = o.variance;
  if (!variance.defined() && o.stable) variance = mean_where(square(y - centre), mask, o.axes);
  if (!variance.defined())
    variance = maximum(mean_where(square(y), mask, o.axes) - square(centre), 0);
  return (y - centre) * rsqrt(variance + o.epsilon);
}

Tensor squareplus(const Tensor& x, double b) {
  const Tensor y = floating_operand(x);
  return (y + sqrt(square(y) + b)) / 2;
}

Tensor sparse_plus(const Tensor& x) {
  const Tensor y = floating_operand(x);
  return where(y <= -1, 0.0, where(y >= 1, y, square(y + 1) / 4));
}

Tensor sparse_sigmoid(const Tensor& x) { return 0.5 * clip(floating_operand(x) + 1, 0, 2); }

Tensor log1mexp(const Tensor& x) {
  // Each form only where it is exact: the other's derivative may be infinite there.
  const Tensor y = floating_operand(x), small = y < std::numbers::ln2;
  const Tensor near = where(small, y, 1.0), far = where(small, 1.0, y);
  return where(small, log(-expm1(-near)), log1p(-exp(-far)));
}

}  // namespace linnet
