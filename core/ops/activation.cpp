#include "core/ops/activation.h"

#include <numbers>

#include "core/ops/elementwise.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {

const Primitive& logistic_primitive() {
  static const Primitive& p = define(Elementwise<NoParams>{
      .name = "logistic",
      .arity = 1,
      .partials = [](const NoParams&, Inputs, Outputs y) { return TensorList{y[0] * (1 - y[0])}; },
      .vjp =
          [](const NoParams&, Inputs, Outputs y, const Tensor& ct) {
            return TensorList{emit_one(logistic_grad_from_y_primitive(), {y[0], ct})};
          },
      .saves_inputs = 0,
      .complex = true});
  return p;
}

const Primitive& logistic_grad_from_y_primitive() {
  static const Primitive& p = define(
      Elementwise<NoParams>{.name = "logistic_grad_from_y",
                            .arity = 2,
                            .partials =
                                [](const NoParams&, Inputs x, Outputs) {
                                  return TensorList{x[1] * (1 - 2 * x[0]), x[0] * (1 - x[0])};
                                },
                            .saves_outputs = 0,
                            .complex = true});
  return p;
}

const Primitive& relu_primitive() {
  static const Primitive& p = define(Elementwise<NoParams>{
      .name = "relu",
      .arity = 1,
      .partials =
          [](const NoParams&, Inputs x, Outputs) {
            return TensorList{emit_one(relu_grad_primitive(), {x[0], ones_like(x[0])})};
          },
      .vjp =
          [](const NoParams&, Inputs x, Outputs, const Tensor& ct) {
            return TensorList{emit_one(relu_grad_primitive(), {x[0], ct})};
          },
      .accepts = Accepts::kNumeric,
      .saves_outputs = 0});
  return p;
}

const Primitive& relu_grad_primitive() {
  static const Primitive& p = define(Elementwise<NoParams>{
      .name = "relu_grad",
      .arity = 2,
      .partials =
          [](const NoParams&, Inputs x, Outputs) {
            return TensorList{Tensor(), emit_one(relu_grad_primitive(), {x[0], ones_like(x[0])})};
          },
      .vjp =
          [](const NoParams&, Inputs x, Outputs, const Tensor& ct) {
            return TensorList{Tensor(), emit_one(relu_grad_primitive(), {x[0], ct})};
          },
      .accepts = Accepts::kNumeric,
      .saves_inputs = bits_of({0}),
      .saves_outputs = 0});
  return p;
}

const Primitive& relu6_primitive() {
  // No derivative at the two edges, as at the edge of relu.
  static const Primitive& p = define(Elementwise<NoParams>{
      .name = "relu6",
      .arity = 1,
      .partials =
          [](const NoParams&, Inputs x, Outputs) {
            const Tensor inside = bitwise_and(greater(x[0], 0), less(x[0], 6));
            return TensorList{where(inside, ones_like(x[0]), zeros_like(x[0]))};
          },
      .accepts = Accepts::kNumeric,
      .saves_outputs = 0});
  return p;
}

const Primitive& leaky_relu_primitive() {
  static const Primitive& p = define(Elementwise<AlphaParams>{
      .name = "leaky_relu",
      .arity = 1,
      .partials =
          [](const AlphaParams& p, Inputs x, Outputs) {
            return TensorList{
                where(greater_equal(x[0], 0), ones_like(x[0]), full_like(x[0], p.alpha))};
          },
      .saves_outputs = 0});
  return p;
}

const Primitive& elu_primitive() {
  // The slope of the exponential branch is its value plus alpha, so nothing can overflow.
  static const Primitive& p = define(Elementwise<AlphaParams>{
      .name = "elu", .arity = 1, .partials = [](const AlphaParams& p, Inputs x, Outputs y) {
        return TensorList{where(greater(x[0], 0), 1, y[0] + p.alpha)};
      }});
  return p;
}

namespace {

/// Beyond this all the second derivatives below vanish in every floating type.
Tensor bounded(const Tensor& x, double limit) { return clip(x, -limit, limit); }

/// With s = logistic(x): s (1 - s) (2 + x (1 - 2 s)). 1 - s is logistic(-x): where s rounds to one,
/// which in 16 bits is soon, the difference would be zero.
Tensor silu_second(const Tensor& x) {
  const Tensor z = bounded(x, 800);
  const Tensor s = sigmoid(z);
  return s * sigmoid(neg(z)) * (2 + z * (1 - 2 * s));
}

/// x logistic(g) with g = c (x + a x^3), c = 2 sqrt(2/pi): 2 s' g' + x (s'' g'^2 + s' g'').
Tensor gelu_tanh_second(const Tensor& x) {
  const double c = 2 * std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
  const double a = 0.044715;
  const Tensor z = bounded(x, 40);
  const Tensor square_of_z = square(z);
  const Tensor inner = z * (c + c * a * square_of_z);
  const Tensor s = sigmoid(inner);
  const Tensor slope = s * sigmoid(neg(inner));
  const Tensor inner_slope = c + 3 * c * a * square_of_z;
  const Tensor inner_second = 6 * c * a * z;
  return slope * (2 * inner_slope + z * ((1 - 2 * s) * square(inner_slope) + inner_second));
}

/// (2 - x^2) times the normal density.
Tensor gelu_erf_second(const Tensor& x) {
  const double scale = std::numbers::inv_sqrtpi / std::numbers::sqrt2;
  const Tensor square_of_z = square(bounded(x, 40));
  return scale * (2 - square_of_z) * exp(-0.5 * square_of_z);
}

using Gradient = const Primitive& (*)();

/// An activation with one fused primitive for its derivative.
template <Gradient gradient>
const Primitive& define_activation(const char* name) {
  return define(
      Elementwise<NoParams>{.name = name,
                            .arity = 1,
                            .partials =
                                [](const NoParams&, Inputs x, Outputs) {
                                  return TensorList{emit_one(gradient(), {x[0], ones_like(x[0])})};
                                },
                            .vjp =
                                [](const NoParams&, Inputs x, Outputs, const Tensor& ct) {
                                  return TensorList{emit_one(gradient(), {x[0], ct})};
                                },
                            .saves_outputs = 0});
}

/// That fused primitive, from the second derivative of the activation.
template <Gradient gradient, Tensor (*second)(const Tensor&)>
const Primitive& define_gradient(const char* name) {
  return define(Elementwise<NoParams>{
      .name = name,
      .arity = 2,
      .partials =
          [](const NoParams&, Inputs x, Outputs) {
            return TensorList{x[1] * second(x[0]), emit_one(gradient(), {x[0], ones_like(x[0])})};
          },
      .saves_outputs = 0});
}

}  // namespace

const Primitive& silu_primitive() {
  static const Primitive& p = define_activation<silu_grad_primitive>("silu");
  return p;
}
const Primitive& silu_grad_primitive() {
  static const Primitive& p = define_gradient<silu_grad_primitive, silu_second>("silu_grad");
  return p;
}
const Primitive& gelu_tanh_primitive() {
  static const Primitive& p = define_activation<gelu_tanh_grad_primitive>("gelu_tanh");
  return p;
}
const Primitive& gelu_tanh_grad_primitive() {
  static const Primitive& p =
      define_gradient<gelu_tanh_grad_primitive, gelu_tanh_second>("gelu_tanh_grad");
  return p;
}
const Primitive& gelu_erf_primitive() {
  static const Primitive& p = define_activation<gelu_erf_grad_primitive>("gelu_erf");
  return p;
}
const Primitive& gelu_erf_grad_primitive() {
  static const Primitive& p =
      define_gradient<gelu_erf_grad_primitive, gelu_erf_second>("gelu_erf_grad");
  return p;
}

const Primitive& softplus_primitive() {
  static const Primitive& p = define(Elementwise<NoParams>{
      .name = "softplus",
      .arity = 1,
      .partials = [](const NoParams&, Inputs x, Outputs) { return TensorList{sigmoid(x[0])}; },
      .saves_outputs = 0});
  return p;
}

const Primitive& log_sigmoid_primitive() {
  static const Primitive& p = define(Elementwise<NoParams>{
      .name = "log_sigmoid",
      .arity = 1,
      .partials = [](const NoParams&, Inputs x, Outputs) { return TensorList{sigmoid(neg(x[0]))}; },
      .saves_outputs = 0});
  return p;
}

namespace {

/// Integers and bools as f32 that gives way to other floating types: what a formula with floating
/// constants makes of them.
Tensor weakly_floating(const Tensor& x) {
  return is_inexact(x.dtype()) ? x : convert(x, {DType::kF32, true});
}
/// Bools as the numbers 0 and 1, as in a formula with whole constants.
Tensor bool_as_number(const Tensor& x) {
  return x.dtype() == DType::kBool ? convert(x, {DType::kI32, true}) : x;
}

}  // namespace

Tensor sigmoid(const Tensor& x) { return emit_floating(logistic_primitive(), x); }
Tensor relu(const Tensor& x) { return emit_one(relu_primitive(), {bool_as_number(x)}); }
Tensor relu6(const Tensor& x) { return emit_one(relu6_primitive(), {weakly_floating(x)}); }
Tensor leaky_relu(const Tensor& x, double negative_slope) {
  return emit_floating(leaky_relu_primitive(), weakly_floating(x), AlphaParams{negative_slope});
}
Tensor elu(const Tensor& x, double alpha) {
  return emit_floating(elu_primitive(), weakly_floating(x), AlphaParams{alpha});
}
Tensor celu(const Tensor& x, double alpha) {
  if (alpha == 1) return elu(x);
  const Tensor z = weakly_floating(x);
  return maximum(z, 0) + alpha * expm1(minimum(z, 0) / alpha);
}
Tensor selu(const Tensor& x) {
  constexpr double kAlpha = 1.6732632423543772848170429916717;
  constexpr double kScale = 1.0507009873554804934193349852946;
  return kScale * elu(x, kAlpha);
}
Tensor silu(const Tensor& x) {
  return is_complex(x.dtype()) ? x * sigmoid(x) : emit_floating(silu_primitive(), x);
}
Tensor swish(const Tensor& x) { return silu(x); }
Tensor gelu(const Tensor& x, bool approximate) {
  return emit_floating(approximate ? gelu_tanh_primitive() : gelu_erf_primitive(), x);
}
Tensor softplus(const Tensor& x) { return emit_floating(softplus_primitive(), bool_as_number(x)); }
Tensor log_sigmoid(const Tensor& x) { return emit_floating(log_sigmoid_primitive(), x); }

Tensor hard_tanh(const Tensor& x) {
  const Tensor z = bool_as_number(x);
  // An unsigned number is never below -1, which its type cannot hold.
  const Tensor above = is_unsigned_integer(z.dtype()) ? z : where(less(z, -1), -1, z);
  return where(greater(z, 1), 1, above);
}
Tensor hard_sigmoid(const Tensor& x) { return relu6(weakly_floating(x) + 3) / 6; }
Tensor hard_silu(const Tensor& x) { return x * hard_sigmoid(x); }
Tensor soft_sign(const Tensor& x) {
  const Tensor z = to_floating(bool_as_number(x));
  return z / (abs(z) + 1);
}
Tensor mish(const Tensor& x) {
  const Tensor z = to_floating(x);
  return z * tanh(softplus(z));
}

Tensor glu(const Tensor& x, int64_t axis) {
  const int64_t where_to_split = normalize_axis(axis, x.rank(), "glu");
  if (x.shape(where_to_split) % 2 != 0) {
    fail<ShapeError>("glu: expected an even size along axis {}, got {}", where_to_split,
                     to_string(x.type()));
  }
  const std::vector<Tensor> halves = split(x, 2, where_to_split);
  return halves[0] * sigmoid(halves[1]);
}

}  // namespace linnet
