// Activation functions of floats and the fused products of their derivatives with a cotangent.
// Errors: relu, relu6, leaky_relu exact or one rounding; silu, softplus, elu 4 ulp, gelu_erf 5
// (double 6). gelu_tanh has an absolute error of 3 ulp of x: its left tail magnifies the rounding
// of the inner argument. Included inside a namespace that provides the basis.

/// NaN stays NaN.
LINNET_FLOAT_FUNCTION relu(V x) { return larger(constant<V>(0), x); }
LINNET_FLOAT_FUNCTION relu6(V x) { return smaller(constant<V>(6), larger(constant<V>(0), x)); }
/// The derivative at zero is taken as zero.
LINNET_FLOAT_FUNCTION relu_grad(V x, V cotangent) {
  return select(x > constant<V>(0), cotangent, constant<V>(0));
}
LINNET_FLOAT_FUNCTION leaky_relu(V x, double slope) {
  return select(x >= constant<V>(0), x, x * constant<V>(slope));
}
LINNET_FLOAT_FUNCTION elu(V x, double alpha) {
  return select(x > constant<V>(0), x, constant<V>(alpha) * expm1(x));
}

LINNET_FLOAT_FUNCTION silu(V x) { return x * logistic(x); }
LINNET_FLOAT_FUNCTION softplus(V x) {
  return larger(constant<V>(0), x) + log1p_native(exp(-float_abs(x)));
}
LINNET_FLOAT_FUNCTION log_sigmoid(V x) { return -softplus(-x); }

/// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), written with the logistic function of twice the
/// argument so that nothing cancels.
LINNET_FLOAT_FUNCTION gelu_tanh(V x) {
  const V cubic = constant<V>(1.5957691216057308 * 0.044715);
  const V inner = x * mul_add(x * x, cubic, constant<V>(1.5957691216057308));
  return x * logistic(inner);
}
/// x times the normal distribution function.
LINNET_FLOAT_FUNCTION gelu_erf(V x) { return x * normal_cdf(x); }

/// s + y s (1 - s) for s = logistic(x), without the cancellation in 1 - s.
template <class V>
LINNET_SCALAR V logistic_slope(V x, V y) {
  const V one = constant<V>(1);
  const V e = exp(-float_abs(x));
  const V r = one / (one + e);
  const V s = select(x < constant<V>(0), e, one) * r;
  return mul_add(y, e * r * r, s);
}

LINNET_FLOAT_FUNCTION silu_grad(V x, V cotangent) {
  // Beyond the clamp the derivative is constant; inside it nothing is infinite.
  const double limit = kIsDouble<V> ? 800.0 : 110.0;
  const V y = smaller(constant<V>(limit), larger(constant<V>(-limit), x));
  return cotangent * logistic_slope(y, y);
}

LINNET_FLOAT_FUNCTION gelu_tanh_grad(V x, V cotangent) {
  const V slope = constant<V>(1.5957691216057308);
  const V y = smaller(constant<V>(40), larger(constant<V>(-40), x));
  const V square = y * y;
  const V inner = y * mul_add(square, constant<V>(1.5957691216057308 * 0.044715), slope);
  const V inner_slope = mul_add(square, constant<V>(3 * 1.5957691216057308 * 0.044715), slope);
  return cotangent * logistic_slope(inner, y * inner_slope);
}

LINNET_FLOAT_FUNCTION gelu_erf_grad(V x, V cotangent) {
  const V y = smaller(constant<V>(40), larger(constant<V>(-40), x));
  const V density = constant<V>(0.39894228040143268) * exp(constant<V>(-0.5) * (y * y));
  return cotangent * mul_add(y, density, normal_cdf(y));
}

/// cotangent (1 - y^2) for y = tanh(x).
LINNET_FLOAT_FUNCTION tanh_grad_from_y(V y, V cotangent) {
  return cotangent * mul_add(-y, y, constant<V>(1));
}
/// cotangent y (1 - y) for y = logistic(x).
LINNET_FLOAT_FUNCTION logistic_grad_from_y(V y, V cotangent) {
  return cotangent * (y * (constant<V>(1) - y));
}
