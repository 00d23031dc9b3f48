#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <tuple>

#include "core/ops/nn.h"
#include "linnet/error.h"
#include "linnet/jit.h"
#include "linnet/nn.h"
#include "linnet/ops.h"
#include "linnet/random.h"
#include "linnet/transforms.h"
#include "tests/ops/elementwise_support.h"
#include "tests/ops/golden_file.h"
#include "tests/ops/transform_check.h"

namespace linnet::nn_test {
namespace {

using testing::check_transforms;
using testing::distinct;
using testing::expect_close;
using testing::expect_error;
using testing::expect_golden;
using testing::expect_same;
using testing::GoldenFile;

const GoldenFile& golden() {
  static const GoldenFile* file = new GoldenFile("ops");
  return *file;
}

double tolerance_of(const std::string& suffix) {
  return suffix == "_f64" ? 1e-12 : suffix == "_bf16" ? 2e-2 : 1e-6;
}

TEST(SoftmaxFamily, J_039_softmax_agrees_with_the_reference) {
  for (const std::string suffix : {"", "_f64", "_bf16"}) {
    for (const bool logarithm : {false, true}) {
      const std::string name = (logarithm ? "log_softmax" : "softmax") + suffix,
                        prefix = "reduce/" + name + "/";
      const auto f = [&](const Tensor& x) { return logarithm ? log_softmax(x) : softmax(x); };
      const Tensor x = golden().tensor(prefix + "x"), weight = golden().tensor(prefix + "weight");
      expect_golden(f(x), golden().tensor(prefix + "out"), tolerance_of(suffix), name);
      const Tensor g = grad([&](const Tensor& v) { return sum(f(v) * weight); })(x);
      expect_golden(g, golden().tensor(prefix + "grad"), 2 * tolerance_of(suffix), name + " grad");
    }
    const std::string prefix = "reduce/logsumexp" + suffix + "/";
    const Tensor x = golden().tensor(prefix + "x");
    const auto f = [](const Tensor& v) { return logsumexp(v, Axes{1}); };
    expect_golden(f(x), golden().tensor(prefix + "out"), tolerance_of(suffix),
                  "logsumexp" + suffix);
    expect_golden(grad([&](const Tensor& v) { return sum(f(v)); })(x),
                  golden().tensor(prefix + "grad"), tolerance_of(suffix),
                  "logsumexp grad" + suffix);
  }
}

TEST(SoftmaxFamily, J_039_rows_with_infinities_and_nan) {
  const Tensor x = golden().tensor("reduce/edge_rows/x");
  expect_golden(softmax(x), golden().tensor("reduce/edge_rows/softmax"), 1e-6, "softmax");
  expect_golden(log_softmax(x), golden().tensor("reduce/edge_rows/log_softmax"), 1e-6,
                "log_softmax");
  expect_golden(logsumexp(x, Axes{-1}), golden().tensor("reduce/edge_rows/logsumexp"), 1e-6,
                "logsumexp");
  const Tensor lost = golden().tensor("edge/logsumexp_minus_inf/x");
  expect_golden(grad([](const Tensor& v) { return logsumexp(v); })(lost),
                golden().tensor("edge/logsumexp_minus_inf/grad"), 1e-6, "gradient of -inf");
  const Tensor mixed = golden().tensor("edge/softmax_first_minus_inf/x");
  expect_golden(grad([](const Tensor& v) { return softmax(v)[0]; })(mixed),
                golden().tensor("edge/softmax_first_minus_inf/grad"), 1e-6, "gradient of softmax");
}

TEST(SoftmaxFamily, J_039_axes_and_dtypes) {
  const Tensor x = distinct({2, 3, 4});
  expect_same(softmax(x, 0), transpose(softmax(transpose(x), 2)), 1e-14, "axis 0");
  expect_same(softmax(x, 1), moveaxis(softmax(moveaxis(x, 1, 2), 2), 2, 1), 1e-14, "axis 1");
  expect_same(logsumexp(x, Axes{0, 2}, true), log(sum(exp(x), Axes{0, 2}, true)), 1e-12,
              "axes apart");
  expect_same(logsumexp(x), log(sum(exp(x))), 1e-12, "all axes");
  EXPECT_EQ(softmax(arange(3)).dtype(), DType::kF32);
  EXPECT_EQ(softmax(ones({3}, DType::kF16)).dtype(), DType::kF16);
  expect_error<ShapeError>([] { softmax(zeros({2, 3}), 2); }, "axis 2 is out of range");
}

TEST(SoftmaxFamily, J_039_all_transformations) {
  check_transforms([](const TensorList& x) { return softmax(x[0], 0); }, {distinct({3, 2})});
  check_transforms([](const TensorList& x) { return log_softmax(x[0]); }, {distinct({2, 3})});
  check_transforms(
      [](const TensorList& x) {
        return logsumexp(x[0], Axes{0, 2});
      },
      {distinct({2, 2, 2})});
}

TEST(SoftmaxFamily, J_039_only_some_elements_take_part) {
  const Tensor x = tensor({{1.f, 5.f, 2.f}, {3.f, 1.f, 4.f}});
  const Tensor some = tensor({{true, false, true}, {false, false, false}});
  const double e = 1 / (1 + std::exp(1.0)), inf = std::numeric_limits<double>::infinity();
  // By jax.nn of JAX 0.10.2: rows of nobody are 0 and -inf.
  expect_close(softmax(x, some), {e, 0, 1 - e, 0, 0, 0}, 1e-6);
  expect_close(log_softmax(x, some), {std::log(e), -inf, std::log(1 - e), -inf, -inf, -inf}, 1e-6);
  expect_close(logsumexp(x, some, Axes{1}), {2 + std::log1p(std::exp(-1.0)), -inf}, 1e-6);
  expect_close(softmax(x, tensor({{true}, {false}}), 0), {1, 1, 1, 0, 0, 0}, 1e-6);
  for (const auto& f : std::vector<std::function<Tensor(const Tensor&)>>{
           [&](const Tensor& z) { return softmax(z, some)[0]; },
           [&](const Tensor& z) { return where(some, log_softmax(z, some), 0.0); }}) {
    const Tensor g = grad([&](const Tensor& z) { return sum(f(z) * x[0]); })(x);
    EXPECT_TRUE(all(is_finite(g)).item<bool>());
    EXPECT_EQ(g[0][1].item<float>(), 0) << "an element that takes no part";
  }
  expect_error<DTypeError>([&] { softmax(x, x); }, "expected where to be bool");
  const Tensor mask = greater(distinct({2, 3}), 0);
  check_transforms([&](const TensorList& v) { return softmax(v[0], mask, 0); },
                   {distinct({2, 3}, 0.3)});
}

TEST(SoftmaxFamily, J_039_logmeanexp) {
  const Tensor x = distinct({2, 3}, 0.4);
  expect_same(logmeanexp(x, Axes{1}), log(mean(exp(x), Axes{1})), 1e-13, "along an axis");
  expect_same(logmeanexp(x), log(mean(exp(x))), 1e-13, "of all");
  const Tensor some = tensor({true, false, true});
  expect_same(logmeanexp(x, Axes{1}, some, true),
              log(mean(exp(take(x, tensor({0, 2}), 1)), Axes{1}, true)), 1e-13, "of some");
  expect_close(logmeanexp(tensor({1000.f, 1000.f})), {1000}, 1e-6);
}

TEST(SoftmaxFamily, J_029_cumlogsumexp) {
  const Tensor x = tensor({0.f, 1.f, -1.f, 3.f});
  // By jax.lax.cumlogsumexp of JAX 0.10.2.
  expect_close(cumlogsumexp(x), {0, 1.3132617, 1.407606, 3.1851826}, 1e-6);
  expect_close(cumlogsumexp(x, -1, true), {3.1851826, 3.1429317, 3.0181499, 3}, 1e-6);
  expect_close(cumlogsumexp(tensor({1000.f, 1000.f})), {1000, 1000.6931}, 1e-6);
  check_transforms([](const TensorList& v) { return cumlogsumexp(v[0], 1); },
                   {distinct({2, 3}, 0.4)});
}

TEST(Standardize, J_040_values_and_options) {
  const Tensor x = distinct({3, 4}, 0.5);
  const Tensor centred = x - mean(x, Axes{-1}, true);
  expect_same(standardize(x), centred * rsqrt(var(x, Axes{-1}, true) + 1e-5), 1e-12, "default");
  expect_same(standardize(x, {.stable = true}), standardize(x), 1e-12, "stable");
  expect_same(standardize(x, {.axes = {0, 1}, .epsilon = 1}), (x - mean(x)) * rsqrt(var(x) + 1),
              1e-12, "both axes");
  expect_same(standardize(x, {.epsilon = 0, .mean = 1, .variance = 4}), (x - 1) / 2, 1e-12,
              "given");
  const Tensor part = take(x, tensor({0, 2}), 1);
  expect_same(standardize(x, {.where = tensor({true, false, true, false})}),
              (x - mean(part, Axes{-1}, true)) * rsqrt(var(part, Axes{-1}, true) + 1e-5), 1e-12,
              "of some");
  // By cancellation the fast variance of equal numbers could be negative; it is cut off at 0.
  const Tensor equals = full({1, 3}, 1000.1f);
  EXPECT_TRUE(all(is_finite(standardize(equals, {.epsilon = 1e-30}))).item<bool>());
  check_transforms([](const TensorList& v) { return standardize(v[0], {.epsilon = 0.1}); },
                   {distinct({2, 3}, 0.3)});
}

TEST(Activations, J_037_J_043_rarer_ones) {
  const Tensor x = tensor({-2.f, -1.f, 0.f, 0.5f, 1.f, 3.f});
  // From jax.nn of JAX 0.10.2.
  expect_close(squareplus(x), {0.41421354, 0.618034, 1, 1.2807765, 1.618034, 3.3027756}, 1e-6);
  expect_close(sparse_plus(x), {0, 0, 0.25, 0.5625, 1, 3}, 1e-6);
  expect_close(sparse_sigmoid(x), {0, 0, 0.5, 0.75, 1, 1}, 1e-6);
  expect_close(log1mexp(tensor({1e-3f, 0.5f, 1.f, 20.f})),
               {-6.9082551, -0.93275213, -0.45867515, -2.0611537e-9}, 1e-6);
  testing::check_derivatives([](const Tensor& v) { return squareplus(v); }, {-2, -0.3, 0.7, 3});
  testing::check_derivatives(sparse_plus, {-2, -0.3, 0.7, 3});
  testing::check_derivatives(log1mexp, {0.2, 0.6, 0.8, 5}, 1e-6);
  expect_close(grad([](const Tensor& v) { return sum(log1mexp(v)); })(tensor({1e-3f, 40.f})),
               {999.5001, 4.2483543e-18}, 1e-6);
}

/// Every composite's kernels compute what its decomposition says.
void expect_decomposition(const Primitive& primitive, ParamsRef params, const TensorList& x,
                          double tolerance) {
  const TensorList whole = emit(primitive, x, params), parts = primitive.decompose(params, x);
  ASSERT_EQ(whole.size(), parts.size());
  for (size_t i = 0; i < whole.size(); ++i)
    expect_same(whole[i], parts[i], tolerance, primitive.name.c_str());
}

TEST(Composites, KernelsAgreeWithDecompositions) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kBF16, DType::kF16}) {
    const double tolerance = size_of(dtype) == 2 ? 3e-2 : dtype == DType::kF32 ? 1e-5 : 1e-11;
    const DType wide = wide_dtype(dtype);
    const auto input = [&](const Shape& shape) { return distinct(shape, 0.07).astype(dtype); };
    const auto statistic = [&](const Shape& shape) {
      return (square(distinct(shape, 0.2)) + 0.05f).astype(wide);
    };
    const Tensor x = input({3, 4, 5}), dy = input({3, 4, 5}), scale = input({5}), bias = input({5});
    expect_decomposition(softmax_primitive(), AxisParams{1}, {x}, tolerance);
    expect_decomposition(log_softmax_primitive(), AxisParams{0}, {x}, tolerance);
    expect_decomposition(softmax_backward_primitive(), AxisParams{2}, {x, dy}, tolerance);
    expect_decomposition(log_softmax_backward_primitive(), AxisParams{1}, {x, dy}, tolerance);
    expect_decomposition(logsumexp_primitive(), LogSumExpParams{{1, 2}}, {x}, tolerance);
    const NormParams plain{1e-6, 1, false, false}, both{1e-6, 1, true, true},
        two{1e-5, 2, false, false};
    const NormParams scaled{1e-6, 1, true, false}, shifted{1e-6, 1, false, true};
    expect_decomposition(layer_norm_primitive(), plain, {x}, tolerance);
    expect_decomposition(layer_norm_primitive(), both, {x, scale, bias}, tolerance);
    expect_decomposition(layer_norm_primitive(), shifted, {x, bias}, tolerance);
    expect_decomposition(layer_norm_primitive(), two, {x}, tolerance);
    expect_decomposition(rms_norm_primitive(), scaled, {x, scale}, tolerance);
    const Tensor mean = statistic({3, 4}), rstd = statistic({3, 4});
    expect_decomposition(layer_norm_backward_primitive(), both, {x, mean, rstd, dy, scale},
                         tolerance);
    expect_decomposition(layer_norm_backward_primitive(), plain, {x, mean, rstd, dy}, tolerance);
    expect_decomposition(rms_norm_backward_primitive(), scaled, {x, rstd, dy, scale}, tolerance);
    const BatchNormParams batch{1e-5, true, true}, batch_plain{1e-5, false, false};
    const Tensor channel_mean = statistic({5}), channel_var = statistic({5});
    expect_decomposition(batch_norm_train_primitive(), batch, {x, scale, bias}, tolerance);
    expect_decomposition(batch_norm_train_primitive(), batch_plain, {x}, tolerance);
    expect_decomposition(batch_norm_backward_primitive(), batch,
                         {x, channel_mean, channel_var, dy, scale}, tolerance);
    expect_decomposition(batch_norm_inference_primitive(), batch,
                         {x, channel_mean, channel_var, scale, bias}, tolerance);
    const Tensor labels = from_vector<int32_t>({0, 4, -1, 2, 1, 1, 3, -5, 0, 2, 4, 4}, {3, 4});
    expect_decomposition(integer_cross_entropy_primitive(), NoParams{}, {x, labels}, tolerance);
    const Tensor log_sum = emit(integer_cross_entropy_primitive(), {x, labels}, NoParams{})[1];
    expect_decomposition(integer_cross_entropy_backward_primitive(), NoParams{},
                         {x, labels, log_sum, statistic({3, 4})}, tolerance);
  }
}

TEST(CrossEntropy, J_139_integer_labels) {
  const GoldenFile losses("losses");
  const Tensor logits = losses.tensor("integer_labels/in/0"),
               labels = losses.tensor("integer_labels/in/1");
  const auto f = [&](const Tensor& x) {
    return softmax_cross_entropy_with_integer_labels(x, labels);
  };
  expect_golden(f(logits), losses.tensor("integer_labels/out"), 1e-6, "loss");
  expect_golden(grad([&](const Tensor& x) { return sum(f(x)); })(logits),
                losses.tensor("integer_labels/grad/0"), 1e-6, "gradient");
  const Tensor outside = losses.tensor("integer_labels_out_of_range/labels");
  expect_golden(softmax_cross_entropy_with_integer_labels(logits, outside),
                losses.tensor("integer_labels_out_of_range/out"), 1e-6, "out of range");
  expect_same(cross_entropy(logits, labels), mean(f(logits)), 1e-6, "mean");
}

/// Loss and gradient, eager or compiled.
TensorList loss_and_gradient(const Tensor& logits, bool compiled) {
  const Tensor labels = mod(arange(logits.shape(0)), 3);
  const auto f = [labels](const Tensor& x) {
    const auto total = [&](const Tensor& v) {
      return sum(softmax_cross_entropy_with_integer_labels(v, labels));
    };
    return std::make_tuple(softmax_cross_entropy_with_integer_labels(x, labels), grad(total)(x));
  };
  const auto [loss, gradient] = compiled ? jit(f)(logits) : f(logits);
  return {loss, gradient};
}

TEST(CrossEntropy, does_not_depend_on_where_the_logits_lie) {
  for (const int64_t classes : {3, 8, 100}) {
    // Quarters; with what is added to them they are exact in f32.
    const Tensor steps = mod(mul(arange(5 * classes), 7), 23);
    const Tensor logits = div(astype(steps, DType::kF32), 4).reshape(5, classes);
    for (const bool compiled : {false, true}) {
      SCOPED_TRACE(std::to_string(classes) + (compiled ? " classes, compiled" : " classes"));
      const TensorList expected = loss_and_gradient(logits, compiled);
      for (const double offset : {-1e3, 1e4, 1e6}) {
        const TensorList got = loss_and_gradient(logits + offset, compiled);
        expect_same(got[0], expected[0], 0, "loss");
        expect_same(got[1], expected[1], 0, "gradient");
      }
      for (const double all : {1e8, -3e38}) {
        const TensorList got = loss_and_gradient(full({5, classes}, all), compiled);
        const double count = static_cast<double>(classes);
        expect_same(got[0], full({5}, std::log(count)), 1e-6, "loss of equal logits");
        expect_same(max(got[1], -1), full({5}, 1 / count), 1e-6, "shares of equal logits");
        expect_same(min(got[1], -1), full({5}, 1 / count - 1), 1e-6, "the label's");
      }
    }
  }
}

TEST(SoftmaxFamily, J_039_gradients_of_logsumexp_add_up_wherever_the_numbers_lie) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const double offset : {0.0, 96.0, 4096.0, 1e8}) {
      const Tensor ramp = div(astype(mod(arange(24), 5), DType::kF32), 4).reshape(4, 6);
      const Tensor x = astype(mul(ramp, offset < 1000 ? 1.0 : 32.0) + offset, dtype);
      for (const Axes& axes : {Axes{1}, Axes{0, 1}}) {
        const Tensor g = grad([&](const Tensor& v) { return sum(logsumexp(v, axes)); })(x);
        const Tensor total = sum(astype(g, DType::kF32), axes);
        SCOPED_TRACE(std::string(name_of(dtype)) + " at " + std::to_string(offset));
        expect_same(total, ones(total.shape()), dtype == DType::kF32 ? 1e-6 : 1e-2, "sum");
      }
    }
  }
}

TEST(CrossEntropy, J_139_transforms_and_errors) {
  const Tensor labels = from_vector<int32_t>({2, 0}, {2});
  check_transforms(
      [](const TensorList& x) { return softmax_cross_entropy_with_integer_labels(x[0], x[1]); },
      {distinct({2, 3}), labels});
  expect_error<ShapeError>(
      [&] {
        softmax_cross_entropy_with_integer_labels(zeros({3, 4}), labels);
      },
      "expected labels of shape [3] for logits f32[3,4], got i32[2]");
  expect_error<DTypeError>(
      [] {
        softmax_cross_entropy_with_integer_labels(zeros({3, 4}), zeros({3}));
      },
      "expected integer labels");
  EXPECT_EQ(softmax_cross_entropy_with_integer_labels(zeros({2, 4}, DType::kBF16), labels).dtype(),
            DType::kBF16);
}

TEST(CrossEntropy, J_138_soft_labels) {
  const GoldenFile losses("losses");
  const Tensor logits = losses.tensor("softmax_cross_entropy/in/0"),
               labels = losses.tensor("softmax_cross_entropy/in/1");
  expect_golden(softmax_cross_entropy(logits, labels), losses.tensor("softmax_cross_entropy/out"),
                1e-6, "loss");
  const auto [a, b] = grad<0, 1>([](const Tensor& x, const Tensor& y) {
    return sum(softmax_cross_entropy(x, y));
  })(logits, labels);
  expect_golden(a, losses.tensor("softmax_cross_entropy/grad/0"), 2e-6, "logits");
  expect_golden(b, losses.tensor("softmax_cross_entropy/grad/1"), 2e-6, "labels");
  expect_golden(softmax_cross_entropy(logits, labels, 0),
                losses.tensor("softmax_cross_entropy_axis0/out"), 2e-6, "axis 0");
}

TEST(LayerNorm, ValuesAndTransforms) {
  const Tensor x = tensor({{1.f, 2.f, 3.f}, {2.f, 2.f, 2.f}});
  const double r = 1 / std::sqrt(2.0 / 3 + 1e-6);
  expect_close(layer_norm(x, tensor({1.f, 2.f, 3.f}), tensor({0.f, 0.f, 1.f})),
               {-r, 0, 3 * r + 1, 0, 0, 1}, 1e-5);
  const auto both = [](const TensorList& v) { return layer_norm(v[0], v[1], v[2], 1e-3); };
  check_transforms(both, {distinct({2, 3}), distinct({3}), distinct({3})});
  check_transforms([](const TensorList& v) { return layer_norm(v[0], {}, {}, 1e-3, 2); },
                   {distinct({2, 2, 2})});
  expect_error<ShapeError>(
      [] {
        layer_norm(zeros({2, 3}), zeros({2}), {});
      },
      "expected a scale of shape [3]");
}

TEST(RmsNorm, ValuesAndTransforms) {
  const Tensor x = tensor({{3.f, 4.f}});
  const double r = 1 / std::sqrt(12.5 + 1e-6);
  expect_close(rms_norm(x, tensor({1.f, 2.f})), {3 * r, 8 * r}, 1e-5);
  check_transforms([](const TensorList& v) { return rms_norm(v[0], v[1], 1e-3); },
                   {distinct({2, 3}), distinct({3})});
  check_transforms([](const TensorList& v) { return rms_norm(v[0], {}, 1e-3); },
                   {distinct({2, 3})});
}

TEST(BatchNorm, ValuesAndTransforms) {
  const Tensor x = tensor({{1.f, 5.f}, {3.f, 5.f}});
  const BatchNormResult result = batch_norm_train(x, tensor({2.f, 1.f}), tensor({0.f, 7.f}));
  const double r = 1 / std::sqrt(1 + 1e-5);
  expect_close(result.y, {-2 * r, 7, 2 * r, 7}, 1e-5);
  expect_close(result.mean, {2, 5}, 1e-6);
  expect_close(result.variance, {1, 0}, 1e-6);
  const auto all = [](const TensorList& v) {
    const BatchNormResult out = batch_norm_train(v[0], v[1], v[2], 1e-2);
    return concatenate({ravel(out.y), out.mean, out.variance});
  };
  check_transforms(all, {distinct({2, 3, 2}), distinct({2}), distinct({2})});
  check_transforms([](const TensorList& v) { return batch_norm_train(v[0], {}, {}, 1e-2).y; },
                   {distinct({4, 2})});
  check_transforms(
      [](const TensorList& v) {
        return batch_norm_inference(v[0], v[1], square(v[2]), v[3], v[3], 1e-1);
      },
      {distinct({2, 2}), distinct({2}), distinct({2}), distinct({2})});
}

Tensor naive_attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale,
                       const Tensor& bias, const Tensor& mask) {
  const int64_t group = q.shape(2) / k.shape(2);
  Tensor scores = einsum("btnh,bsnh->bnts", {q, repeat(k, group, 2)}) * scale;
  if (bias.defined()) scores = scores + bias;
  if (mask.defined()) scores = where(mask, scores, -1e30);
  return einsum("bnts,bsnh->btnh", {softmax(scores), repeat(v, group, 2)});
}

TEST(Attention, J_042_attention_agrees_with_its_definition) {
  const Tensor q = distinct({2, 3, 4, 5}, 0.01), k = distinct({2, 6, 2, 5}, 0.02),
               v = distinct({2, 6, 2, 7}, 0.02);
  const double scale = 1 / std::sqrt(5.0);
  expect_same(dot_product_attention(q, k, v), naive_attention(q, k, v, scale, {}, {}), 1e-10,
              "plain");
  const Tensor bias = distinct({4, 3, 6}), mask = greater(distinct({2, 1, 3, 6}), -5);
  expect_same(dot_product_attention(q, k, v, bias, mask, {.scale = 0.5}),
              naive_attention(q, k, v, 0.5, bias, mask), 1e-10, "bias and mask");
  const Tensor causal = tril(ones({3, 6}, DType::kI32)).astype(DType::kBool);
  expect_same(dot_product_attention(q, k, v, {}, {}, {.causal = true}),
              naive_attention(q, k, v, scale, {}, causal), 1e-10, "causal");
  const Tensor half =
      dot_product_attention(q.astype(DType::kBF16), k.astype(DType::kBF16), v.astype(DType::kBF16));
  EXPECT_EQ(half.dtype(), DType::kBF16);
  expect_same(half.astype(DType::kF64), naive_attention(q, k, v, scale, {}, {}), 2e-2, "bf16");
}

TEST(Attention, J_042_rows_without_permitted_keys_stay_finite) {
  const Tensor q = ones({1, 2, 1, 2}), v = tensor({1.f, 2.f, 3.f, 4.f}).reshape({1, 2, 1, 2});
  const Tensor y = dot_product_attention(q, q, v, {}, zeros({1, 1, 2, 2}, DType::kBool));
  expect_close(y, {2, 3, 2, 3}, 1e-6);
}

TEST(Attention, J_042_transforms_and_errors) {
  const auto f = [](const TensorList& x) {
    return dot_product_attention(x[0], x[1], x[2], x[3], {}, {.causal = true});
  };
  check_transforms(f, {distinct({1, 2, 2, 2}), distinct({1, 2, 1, 2}), distinct({1, 2, 1, 2}),
                       distinct({1, 2, 2})});
  expect_error<ShapeError>(
      [] {
        dot_product_attention(zeros({1, 2, 3}), zeros({1, 2, 3}), zeros({1, 2, 3}));
      },
      "expected q, k, v [batch, length, heads, dim]");
  expect_error<ShapeError>(
      [] {
        dot_product_attention(zeros({1, 2, 3, 4}), zeros({1, 2, 2, 4}), zeros({1, 2, 2, 4}));
      },
      "3 query heads do not divide into groups for 2 key heads");
}

TEST(Attention, J_042_gradients_of_rows_without_permitted_keys_are_those_of_the_mean) {
  const Tensor q = distinct({1, 2, 1, 2}), k = distinct({1, 3, 1, 2}), v = distinct({1, 3, 1, 2});
  const Tensor mask = from_vector<int>({0, 0, 0, 1, 0, 1}, {1, 1, 2, 3}).astype(DType::kBool);
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    const auto loss = [&](const Tensor& a, const Tensor& b, const Tensor& c) {
      return sum(square(dot_product_attention(a, b, c, {}, mask)));
    };
    const auto by_parts = [&](const Tensor& a, const Tensor& b, const Tensor& c) {
      Tensor scores = einsum("btnh,bsnh->bnts", {a, b}) / std::sqrt(2.0);
      scores = where(mask, scores, -1e30);
      return sum(square(einsum("bnts,bsnh->btnh", {softmax(scores), c})));
    };
    const Tensor x = q.astype(dtype), y = k.astype(dtype), z = v.astype(dtype);
    const auto [dq, dk, dv] = grad<0, 1, 2>(loss)(x, y, z);
    const auto [eq, ek, ev] = grad<0, 1, 2>(by_parts)(x, y, z);
    const double tolerance = dtype == DType::kF64 ? 1e-14 : 2e-6;
    expect_same(dq, eq, tolerance, "dq");
    expect_same(dk, ek, tolerance, "dk");
    expect_same(dv, ev, tolerance, "dv");
  }
}

TEST(Attention, J_042_sequence_lengths_and_local_windows_mask) {
  const Tensor q = distinct({2, 4, 2, 3}, 0.1), k = distinct({2, 5, 2, 3}, 0.1),
               v = distinct({2, 5, 2, 3}, 0.1);
  const Tensor q_lengths = tensor({3, 4}), kv_lengths = tensor({5, 2});
  const Tensor row = iota(DType::kI32, {2, 1, 4, 5}, 2),
               column = iota(DType::kI32, {2, 1, 4, 5}, 3);
  const auto per_batch = [](const Tensor& lengths) { return lengths.reshape({2, 1, 1, 1}); };
  const Tensor seen =
      logical_and(less(row, per_batch(q_lengths)), less(column, per_batch(kv_lengths)));
  const Tensor y = dot_product_attention(
      q, k, v, {}, {}, {.query_seq_lengths = q_lengths, .key_value_seq_lengths = kv_lengths});
  const Tensor expected = where(less(iota(DType::kI32, {2, 4, 1, 1}, 1), per_batch(q_lengths)),
                                naive_attention(q, k, v, 1 / std::sqrt(3.0), {}, seen), 0.0);
  expect_same(y, expected, 1e-12, "lengths");
  const Tensor window = logical_and(greater_equal(column, row - 1), less_equal(column, row + 2));
  expect_same(dot_product_attention(q, k, v, {}, {},
                                    {.local_window_size = std::pair<int64_t, int64_t>{1, 2}}),
              naive_attention(q, k, v, 1 / std::sqrt(3.0), {}, window), 1e-12, "window");
  expect_error<ShapeError>(
      [&] {
        dot_product_attention(q, k, v, {}, {}, {.query_seq_lengths = tensor({1, 2, 3})});
      },
      "query_seq_lengths");
}

TEST(Attention, J_042_weights_are_those_the_values_are_multiplied_by) {
  const Tensor q = distinct({2, 3, 4, 5}, 0.05), k = distinct({2, 6, 2, 5}, 0.05),
               v = distinct({2, 6, 2, 7}, 0.05), bias = distinct({4, 3, 6}, 0.05);
  const AttentionOptions options{.causal = true};
  const Tensor weights = dot_product_attention_weights(q, k, bias, {}, options);
  EXPECT_EQ(weights.shape(), (Shape{2, 4, 3, 6}));
  expect_same(einsum("bnts,bsnh->btnh", {weights, repeat(v, 2, 2)}),
              dot_product_attention(q, k, v, bias, {}, options), 1e-14, "weights");
}

TEST(Attention, J_042_dropout_of_weights_needs_a_key_and_scales_what_is_kept) {
  const Tensor q = distinct({2, 3, 2, 4}, 0.05), v = ones({2, 3, 2, 4}, DType::kF64);
  expect_error<ValueError>([&] { dot_product_attention(q, q, v, {}, {}, {.dropout_rate = 0.5}); },
                           "needs a key");
  expect_error<ValueError>([&] { dot_product_attention(q, q, v, {}, {}, {.dropout_rate = 1.5}); },
                           "from 0 to 1");
  const Tensor key = Key(3).data();
  const Tensor all =
      dot_product_attention(q, q, v, {}, {}, {.dropout_rate = 1, .dropout_key = key});
  EXPECT_EQ(all.to_vector<double>(), std::vector<double>(48, 0.0));
  const auto everything_dropped = [&](const Tensor& x) {
    return sum(dot_product_attention(x, x, v, {}, {}, {.dropout_rate = 1, .dropout_key = key}));
  };
  EXPECT_EQ(grad(everything_dropped)(q).to_vector<double>(), std::vector<double>(48, 0.0));
}

}  // namespace
}  // namespace linnet::nn_test
