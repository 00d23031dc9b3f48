// Operations on each element.
#include <cmath>
#include <numbers>

#include "cuda/doubles/cudnn/operation.h"

namespace linnet::fake_cudnn {
namespace {

double gelu_tanh(double x) {
  const double inner = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1 + std::tanh(inner));
}

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

/// Of one operand.
double apply(const Snapshot& how, cudnnPointwiseMode_t mode, double x) {
  switch (mode) {
    case CUDNN_POINTWISE_ABS:
      return std::fabs(x);
    case CUDNN_POINTWISE_CEIL:
      return std::ceil(x);
    case CUDNN_POINTWISE_COS:
      return std::cos(x);
    case CUDNN_POINTWISE_EXP:
      return std::exp(x);
    case CUDNN_POINTWISE_FLOOR:
      return std::floor(x);
    case CUDNN_POINTWISE_LOG:
      return std::log(x);
    case CUDNN_POINTWISE_NEG:
      return -x;
    case CUDNN_POINTWISE_RSQRT:
      return 1 / std::sqrt(x);
    case CUDNN_POINTWISE_SIN:
      return std::sin(x);
    case CUDNN_POINTWISE_SQRT:
      return std::sqrt(x);
    case CUDNN_POINTWISE_TAN:
      return std::tan(x);
    case CUDNN_POINTWISE_ERF:
      return std::erf(x);
    case CUDNN_POINTWISE_IDENTITY:
      return x;
    case CUDNN_POINTWISE_RECIPROCAL:
      return 1 / x;
    case CUDNN_POINTWISE_RELU_FWD:
      return x > 0 ? x : 0;  // of a NaN too
    case CUDNN_POINTWISE_TANH_FWD:
      return std::tanh(x);
    case CUDNN_POINTWISE_SIGMOID_FWD:
      return logistic(x);
    case CUDNN_POINTWISE_GELU_FWD:
      return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
    case CUDNN_POINTWISE_SOFTPLUS_FWD:
      return std::log1p(std::exp(x));
    case CUDNN_POINTWISE_SWISH_FWD:
      return x * logistic(how.value_or<double>(CUDNN_ATTR_POINTWISE_SWISH_BETA, 1) * x);
    case CUDNN_POINTWISE_GELU_APPROX_TANH_FWD:
      return gelu_tanh(x);
    case CUDNN_POINTWISE_LOGICAL_NOT:
      return x == 0;
    default:
      throw std::runtime_error("pointwise " + std::to_string(mode) + " is not evaluated");
  }
}

bool has_two(cudnnPointwiseMode_t mode) {
  return mode < CUDNN_POINTWISE_ABS
             ? mode != CUDNN_POINTWISE_SQRT
             : mode >= CUDNN_POINTWISE_CMP_EQ && mode <= CUDNN_POINTWISE_LOGICAL_OR;
}

double apply(cudnnPointwiseMode_t mode, double x, double b) {
  switch (mode) {
    case CUDNN_POINTWISE_ADD:
      return x + b;
    case CUDNN_POINTWISE_ADD_SQUARE:
      return x + b * b;
    case CUDNN_POINTWISE_DIV:
      return x / b;
    case CUDNN_POINTWISE_MAX:
      return x > b ? x : b;
    case CUDNN_POINTWISE_MIN:
      return x < b ? x : b;
    case CUDNN_POINTWISE_MOD:
      return std::fmod(x, b);
    case CUDNN_POINTWISE_MUL:
      return x * b;
    case CUDNN_POINTWISE_POW:
      return std::pow(x, b);
    case CUDNN_POINTWISE_SUB:
      return x - b;
    case CUDNN_POINTWISE_CMP_EQ:
      return x == b;
    case CUDNN_POINTWISE_CMP_NEQ:
      return x != b;
    case CUDNN_POINTWISE_CMP_GT:
      return x > b;
    case CUDNN_POINTWISE_CMP_GE:
      return x >= b;
    case CUDNN_POINTWISE_CMP_LT:
      return x < b;
    case CUDNN_POINTWISE_CMP_LE:
      return x <= b;
    case CUDNN_POINTWISE_LOGICAL_AND:
      return x != 0 && b != 0;
    case CUDNN_POINTWISE_LOGICAL_OR:
      return x != 0 || b != 0;
    default:
      throw std::runtime_error("pointwise " + std::to_string(mode) + " is not evaluated");
  }
}

/// An operand, broadcast to the result.
class Operand {
 public:
  Operand(const Snapshot& operation, int name, const TensorInfo& y, Values& values)
      : info_(operation.child(name)),
        elements_(values.read(info_)),
        places_(places(y.shape, info_)) {}
  double operator[](size_t i) const { return elements_[static_cast<size_t>(places_[i])]; }

 private:
  TensorInfo info_;
  const Elements& elements_;
  std::vector<int64_t> places_;
};

Elements positions(const TensorInfo& y, int64_t axis) {
  int64_t run = 1;
  for (size_t d = static_cast<size_t>(axis) + 1; d < y.shape.size(); ++d) run *= y.shape[d];
  Elements out(static_cast<size_t>(y.count()));
  for (size_t i = 0; i < out.size(); ++i)
    out[i] =
        static_cast<double>(static_cast<int64_t>(i) / run % y.shape[static_cast<size_t>(axis)]);
  return out;
}

/// dy where x is above the activation's lower end.
void run_relu_gradient(const Snapshot& operation, Values& values) {
  const TensorInfo dx(operation.child(CUDNN_ATTR_OPERATION_POINTWISE_DXDESC));
  const Operand x(operation, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, dx, values);
  const Operand dy(operation, CUDNN_ATTR_OPERATION_POINTWISE_DYDESC, dx, values);
  Elements out(static_cast<size_t>(dx.count()));
  for (size_t i = 0; i < out.size(); ++i) out[i] = x[i] > 0 ? dy[i] : 0;
  values.write(dx, std::move(out));
}

}  // namespace

void run_pointwise(const Snapshot& operation, Values& values) {
  const Snapshot& how = operation.child(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
  const auto mode = how.value<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
  if (mode == CUDNN_POINTWISE_RELU_BWD) return run_relu_gradient(operation, values);
  const TensorInfo y(operation.child(CUDNN_ATTR_OPERATION_POINTWISE_YDESC));
  if (mode == CUDNN_POINTWISE_GEN_INDEX)
    return values.write(y, positions(y, how.value<int64_t>(CUDNN_ATTR_POINTWISE_AXIS)));
  const Operand x(operation, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, y, values);
  Elements out(static_cast<size_t>(y.count()));
  if (mode == CUDNN_POINTWISE_BINARY_SELECT) {
    const Operand b(operation, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, y, values);
    const Operand t(operation, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, y, values);
    for (size_t i = 0; i < out.size(); ++i) out[i] = t[i] != 0 ? x[i] : b[i];
  } else if (has_two(mode)) {
    const Operand b(operation, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, y, values);
    for (size_t i = 0; i < out.size(); ++i) out[i] = apply(mode, x[i], b[i]);
  } else {
    for (size_t i = 0; i < out.size(); ++i) out[i] = apply(how, mode, x[i]);
  }
  values.write(y, std::move(out));
}

}  // namespace linnet::fake_cudnn
