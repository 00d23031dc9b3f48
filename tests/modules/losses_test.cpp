// Losses against the real optax (tests/reference/golden).
#include "linnet/losses.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numbers>

#include "linnet/core.h"
#include "linnet/error.h"
#include "tests/ops/golden_file.h"
#include "tests/ops/transform_check.h"

namespace linnet::losses_test {
namespace {

using testing::check_transforms;
using testing::distinct;
using testing::expect_golden;
using testing::GoldenFile;

using Loss = std::function<Tensor(const Tensor&, const Tensor&)>;

void expect_near(const Tensor& got, const std::vector<double>& wanted) {
  ASSERT_EQ(got.dtype(), DType::kF32);
  const std::vector<double> values = got.to_vector<double>();
  ASSERT_EQ(values.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(values[i], wanted[i], 1e-5) << i;
}

TEST(Losses, J_140_integer_and_boolean_labels_are_numbers) {
  const Tensor logits = tensor({0.5f, -2.0f}), labels = tensor({1, 0});
  for (DType dtype : {DType::kBool, DType::kI8, DType::kI32, DType::kI64, DType::kU8, DType::kU32,
                      DType::kF16, DType::kF32}) {
    const Tensor y = astype(labels, dtype);
    SCOPED_TRACE(name_of(dtype));
    expect_near(loss::sigmoid_binary_cross_entropy(logits, y), {0.474077, 0.126928});
    expect_near(loss::squared_error(logits, y), {0.25, 4});
    expect_near(loss::l2_loss(logits, y), {0.125, 2});
    expect_near(loss::huber_loss(logits, y), {0.125, 1.5});
    expect_near(loss::log_cosh(logits, y), {std::log(std::cosh(0.5)), std::log(std::cosh(2.0))});
    expect_near(loss::hinge_loss(logits, y), {0.5, 1});
    expect_near(loss::smooth_labels(astype(y, DType::kF32), 0.1), {0.95, 0.05});
    expect_near(loss::kl_divergence(logits, y), {-0.5});
    expect_near(loss::cosine_similarity(logits, y), {0.5 / std::sqrt(4.25)});
  }
  EXPECT_EQ(loss::squared_error(astype(logits, DType::kBF16), labels).dtype(), DType::kBF16);
  expect_near(loss::smooth_labels(labels, 0.1), {0.95, 0.05});
}

TEST(Losses, J_142_unsigned_predictions_do_not_wrap) {
  const auto of = [](std::initializer_list<int> v) { return astype(tensor(v), DType::kU8); };
  const Tensor a = of({3, 250}), b = of({5, 249});
  expect_near(loss::huber_loss(a, b), {1.5, 0.5});
  expect_near(loss::log_cosh(a, b), {1.3250027, 0.43378083});
  expect_near(loss::squared_error(a, b), {4, 1});
  expect_near(loss::cosine_similarity(a, b), {0.99996});
  expect_near(loss::hinge_loss(of({0, 2}), of({1, 1})), {1, 0});
  expect_near(loss::sigmoid_binary_cross_entropy(tensor({true, false}), tensor({1, 0})),
              {std::log1p(std::exp(-1.0)), std::log(2.0)});
}

TEST(Losses, J_143_cosine_similarity_keeps_squares_above_epsilon) {
  const Tensor a = tensor({3.f, 4.f}), zero = zeros({2});
  const auto f = [](const Tensor& x, const Tensor& y) {
    return loss::cosine_similarity(x, y, 1e-8);
  };
  EXPECT_EQ(f(a, zero).item<float>(), 0);
  const auto [da, db] = grad<0, 1>(f)(a, zero);
  expect_near(da, {0, 0});
  EXPECT_NEAR(db.to_vector<float>()[0], 6000, 0.01);
  EXPECT_NEAR(db.to_vector<float>()[1], 8000, 0.01);
  expect_near(loss::cosine_similarity(a, tensor({1.f, 0.f}), 10), {0.18973666});
  expect_near(grad([](const Tensor& x) {
                return loss::cosine_similarity(x, tensor({1.f, 0.f}), 10.0);
              })(a),
              {0.04047716, -0.03035787});
}

TEST(Losses, J_137_J_138_J_139_J_140_J_141_J_142_J_143_J_145_values_and_gradients) {
  const GoldenFile golden("losses");
  const std::map<std::string, Loss> losses{
      {"softmax_cross_entropy", [](auto& x, auto& y) { return softmax_cross_entropy(x, y); }},
      {"integer_labels",
       [](auto& x, auto& y) { return softmax_cross_entropy_with_integer_labels(x, y); }},
      {"sigmoid_binary", loss::sigmoid_binary_cross_entropy},
      {"squared_error", loss::squared_error},
      {"l2", loss::l2_loss},
      {"huber", [](auto& x, auto& y) { return loss::huber_loss(x, y); }},
      {"huber_delta", [](auto& x, auto& y) { return loss::huber_loss(x, y, 2.5); }},
      {"log_cosh", loss::log_cosh},
      {"hinge", loss::hinge_loss},
      {"cosine_similarity", [](auto& x, auto& y) { return loss::cosine_similarity(x, y); }},
      {"cosine_distance", [](auto& x, auto& y) { return loss::cosine_distance(x, y); }},
      {"kl", [](auto& x, auto& y) { return loss::kl_divergence(x, y); }},
      {"kl_zero", [](auto& x, auto& y) { return loss::kl_divergence(x, y); }},
      {"kl_log_targets",
       [](auto& x, auto& y) { return loss::kl_divergence_with_log_targets(x, y); }},
      {"convex_kl", [](auto& x, auto& y) { return loss::generalized_kl_divergence(x, y); }},
      {"focal",
       [](auto& x, auto& y) {
         return loss::sigmoid_focal_loss(x, y, {.alpha = 0.25, .gamma = 2});
       }},
      {"poly", [](auto& x, auto& y) { return loss::poly_loss_cross_entropy(x, y); }},
      {"softmax_cross_entropy_masked",
       [](auto& x, auto& y) {
         return loss::softmax_cross_entropy(x, y, {.where = tensor({true, true, false, true})});
       }},
      {"softmax_cross_entropy_axis0",
       [](auto& x, auto& y) { return loss::softmax_cross_entropy(x, y, {.axis = 0}); }},
  };
  for (const auto& [name, f] : losses) {
    const Tensor x = golden.tensor(name + "/in/0"), y = golden.tensor(name + "/in/1");
    expect_golden(f(x, y), golden.tensor(name + "/out"), 3e-6, name);
    const Tensor g = grad([&](const Tensor& z) { return sum(f(z, y)); })(x);
    expect_golden(g, golden.tensor(name + "/grad/0"), 3e-6, name + " gradient");
  }
  const Tensor hot = golden.tensor("smooth_labels/in/0");
  expect_golden(loss::smooth_labels(hot, 0.1), golden.tensor("smooth_labels/out"), 1e-6,
                "smooth_labels");
}

Tensor some_elements() { return tensor({true, true, false, true}); }

TEST(Losses, J_138_J_139_J_143_only_some_elements_take_part) {
  const Tensor x = random::normal(Key(1), {3, 4}), y = softmax(random::normal(Key(2), {3, 4}));
  const Tensor part = take(x, tensor({0, 1, 3}), 1), other = take(y, tensor({0, 1, 3}), 1);
  const loss::Over some{.where = some_elements()};
  expect_golden(loss::softmax_cross_entropy(x, y, some), softmax_cross_entropy(part, other), 1e-6,
                "soft labels");
  const Tensor labels = tensor({0, 1, 3}), within = tensor({0, 1, 2});
  expect_golden(loss::softmax_cross_entropy_with_integer_labels(x, labels, some),
                softmax_cross_entropy_with_integer_labels(part, within), 1e-6, "integer labels");
  expect_golden(loss::softmax_cross_entropy_with_integer_labels(
                    transpose(x), labels, {.axis = 0, .where = expand_dims(some_elements(), 1)}),
                softmax_cross_entropy_with_integer_labels(part, within), 1e-6, "along axis 0");
  const Tensor nobody = loss::softmax_cross_entropy_with_integer_labels(
      x, labels, {.where = zeros({4}, DType::kBool)});
  EXPECT_EQ(nobody.to_vector<float>(), (std::vector<float>{0, 0, 0}));
  expect_golden(loss::kl_divergence(x, y, some), loss::kl_divergence(part, other), 1e-6, "kl");
  expect_golden(loss::cosine_similarity(x, y, 0, some), loss::cosine_similarity(part, other), 1e-6,
                "cosine");
  expect_golden(loss::poly_loss_cross_entropy(x, y, 2, some),
                loss::poly_loss_cross_entropy(part, other), 1e-6, "poly");
  // Elements that take no part have no derivative, and no NaN.
  const auto [dx, dy] = grad<0, 1>([&](const Tensor& a, const Tensor& b) {
    return sum(loss::softmax_cross_entropy(a, b, some));
  })(x, y);
  for (const Tensor& g : {dx, dy})
    EXPECT_EQ(index_axis(g, 2, 1).to_vector<float>(), (std::vector<float>{0, 0, 0}));
}

TEST(Losses, J_143_js_divergence) {
  const Tensor p = tensor({0.5f, 0.5f, 0.f}), q = tensor({0.f, 0.5f, 0.5f});
  // ½ (½ log 2 + ½ log 2), by hand.
  expect_near(loss::js_divergence(log(p), q), {std::numbers::ln2 / 2});
  expect_near(loss::js_divergence(log(p), p), {0});
  expect_near(loss::js_divergence(log(tensor({1.f, 0.f})), tensor({0.f, 1.f})),
              {std::numbers::ln2});
}

TEST(Losses, J_145_hinge_and_perceptron_of_classes) {
  const Tensor scores = tensor({{1.f, 3.f, 2.f}, {0.5f, 0.f, -1.f}}), labels = tensor({2, 0});
  // From optax 0.2.8.
  expect_near(loss::multiclass_hinge_loss(scores, labels), {2, 0.5});
  expect_near(loss::multiclass_perceptron_loss(scores, labels), {1, 0});
  expect_near(loss::perceptron_loss(tensor({0.5f, -2.f}), tensor({1, 1})), {0, 2});
}

TEST(Losses, J_145_pairs_and_triplets) {
  const GoldenFile golden("losses");
  const auto triplet = [](const Tensor& a, const Tensor& b, const Tensor& c) {
    return loss::triplet_margin_loss(a, b, c);
  };
  const Tensor a = golden.tensor("triplet/in/0"), b = golden.tensor("triplet/in/1"),
               c = golden.tensor("triplet/in/2");
  expect_golden(triplet(a, b, c), golden.tensor("triplet/out"), 3e-6, "triplet");
  const auto [da, db, dc] = grad<0, 1, 2>([&](const Tensor& x, const Tensor& y, const Tensor& z) {
    return sum(triplet(x, y, z));
  })(a, b, c);
  expect_golden(da, golden.tensor("triplet/grad/0"), 3e-6, "anchors");
  expect_golden(db, golden.tensor("triplet/grad/1"), 3e-6, "positives");
  expect_golden(dc, golden.tensor("triplet/grad/2"), 3e-6, "negatives");
  const Tensor x = golden.tensor("ntxent/in/0"), labels = tensor({0, 0, 1, 1, 0});
  const auto pairs = [&](const Tensor& v) { return loss::ntxent(v, labels); };
  expect_golden(pairs(x), golden.tensor("ntxent/out"), 1e-5, "ntxent");
  expect_golden(grad(pairs)(x), golden.tensor("ntxent/grad/0"), 1e-5, "gradient");
  EXPECT_THROW(loss::ntxent(x, tensor({1, 2})), ShapeError);
}

TEST(Losses, J_144_ctc) {
  const GoldenFile golden("losses");
  const Tensor logits = golden.tensor("ctc/in/0"), frames = golden.tensor("ctc/in/1"),
               labels = golden.tensor("ctc/in/2"), ends = golden.tensor("ctc/in/3");
  const auto f = [&](const Tensor& x) { return loss::ctc_loss(x, frames, labels, ends); };
  expect_golden(f(logits), golden.tensor("ctc/out"), 3e-6, "ctc");
  const auto total = [&](const Tensor& x) { return sum(f(x)); };
  expect_golden(grad(total)(logits), golden.tensor("ctc/grad/0"), 3e-6, "gradient");
  expect_golden(jit(total)(logits), sum(golden.tensor("ctc/out")), 3e-6, "jitted");
  EXPECT_THROW(loss::ctc_loss(logits, frames, labels, frames), ShapeError);
}

TEST(Losses, J_144_ctc_is_the_sum_over_all_alignments) {
  // Two frames, label 1: the alignments are 1 1, 1 -, - 1.
  const Tensor p = tensor({{{0.3f, 0.7f}, {0.6f, 0.4f}}});
  const Tensor one = loss::ctc_loss(log(p), zeros({1, 2}), tensor({{1}}), zeros({1, 1}));
  expect_near(one, {-std::log(0.7 * 0.4 + 0.7 * 0.6 + 0.3 * 0.4)});
  // Without labels all frames are blank; with another blank the roles change.
  expect_near(loss::ctc_loss(log(p), zeros({1, 2}), tensor({{1}}), ones({1, 1})),
              {-std::log(0.3 * 0.6)});
  expect_near(loss::ctc_loss(log(p), zeros({1, 2}), tensor({{0}}), zeros({1, 1}), {.blank = 1}),
              {-std::log(0.3 * 0.6 + 0.3 * 0.4 + 0.7 * 0.6)});
}

TEST(Losses, J_145_transformations) {
  const Tensor hot = astype(one_hot(tensor({1, 0}), 3), DType::kF64);
  check_transforms([&](const TensorList& x) { return loss::sigmoid_focal_loss(x[0], hot); },
                   {distinct({2, 3}, 0.3)});
  check_transforms(
      [&](const TensorList& x) {
        return loss::ctc_loss(x[0], zeros({1, 3}), tensor({{1, 2}}), zeros({1, 2}));
      },
      {distinct({1, 3, 3}, 0.2)});
}

TEST(Losses, R_019_extreme_logits_and_masks) {
  const float huge = 1e30f, inf = std::numeric_limits<float>::infinity();
  const Tensor logits = tensor({{huge, 0.f, -huge}, {-huge, -huge, -huge}, {0.f, -inf, 1.f}});
  const float e = std::exp(1.f);
  expect_near(softmax(logits), {1, 0, 0, 1 / 3., 1 / 3., 1 / 3., 1 / (1 + e), 0, e / (1 + e)});
  const double third = -std::log(3.0);
  const std::vector<double> logs = log_softmax(logits).to_vector<double>();
  const std::vector<double> wanted{
      0, -huge, -2.0 * huge, third, third, third, -std::log1p(e), -inf, 1 - std::log1p(e)};
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (std::isinf(wanted[i])) {
      EXPECT_EQ(logs[i], wanted[i]);
    } else {
      EXPECT_NEAR(logs[i], wanted[i], 1e-6 * (1 + std::abs(wanted[i]))) << i;
    }
  }
  // Not of three equal ones: log 3 is lost beside 1e30 (docs/numerics.md).
  const Tensor some = concatenate({logits[Slice(0, 1)], logits[Slice(2, 3)]}, 0);
  const Tensor labels = tensor({0, 2});
  const auto loss = [&](const Tensor& z) {
    return loss::softmax_cross_entropy_with_integer_labels(z, labels);
  };
  expect_near(loss(some), {0, std::log1p(e) - 1});
  const std::vector<double> slope =
      grad([&](const Tensor& z) { return sum(loss(z)); })(some).to_vector<double>();
  const std::vector<double> slopes{0, 0, 0, 1 / (1 + e), 0, -1 / (1 + e)};
  for (size_t i = 0; i < slopes.size(); ++i) EXPECT_NEAR(slope[i], slopes[i], 1e-6) << i;
  const Tensor one = tensor({huge, -huge, 100.f}), wrong = tensor({1.f, 0.f, 0.f});
  expect_near(loss::sigmoid_binary_cross_entropy(one, wrong), {0, 0, 100});
}

}  // namespace
}  // namespace linnet::losses_test
