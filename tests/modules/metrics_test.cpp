// Running metrics against Flax, and those of classifiers against their definitions.
#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/error.h"
#include "linnet/metrics_classification.h"
#include "linnet/metrics_multi.h"
#include "linnet/nnx.h"
#include "tests/modules/error_message.h"
#include "tests/ops/golden_file.h"

namespace linnet::metrics_test {
namespace {

using metrics::Averaging;

const testing::GoldenFile& golden() {
  static const testing::GoldenFile file("nnx_training");
  return file;
}
void expect_near(const Tensor& got, const std::string& name) {
  testing::expect_golden(got, golden().tensor("metrics/" + name), 2e-6, name);
}
Tensor logits(int64_t batch) { return random::normal(Key(batch), {5, 3}); }
Tensor labels(int64_t batch) {
  return batch == 0 ? tensor({0, 1, 1, 2, 0}) : tensor({2, 2, 1, 0, 0});
}
Tensor mask(int64_t batch) {
  return batch == 0 ? tensor({true, false, true, true, true})
                    : tensor({false, true, true, false, true});
}
double number(const Tensor& t) { return t.item<double>(); }
std::vector<double> doubles(const Tensor& t) { return t.to_vector<double>(); }

TEST(Metrics, N_145_values_of_flax) {
  metrics::Accuracy accuracy, masked, binary(0.5);
  metrics::Average average, masked_average;
  metrics::Welford welford;
  for (int64_t i = 0; i < 2; ++i) {
    const Tensor x = logits(i), column = transpose(x)[0], second = transpose(x)[1];
    accuracy.update(x, labels(i));
    masked.update(x, labels(i), mask(i));
    binary.update(column, astype(labels(i) > 1, DType::kI32));
    average.update(x);
    masked_average.update(second, mask(i));
    welford.update(x * static_cast<float>(i + 1) + static_cast<float>(i));
  }
  expect_near(accuracy.compute(), "accuracy");
  expect_near(masked.compute(), "masked");
  expect_near(binary.compute(), "binary");
  expect_near(average.compute(), "average");
  expect_near(masked_average.compute(), "masked_average");
  const metrics::Statistics all = welford.compute();
  expect_near(stack({all.mean, all.standard_error_of_mean, all.standard_deviation}), "welford");
}

TEST(Metrics, N_145_before_the_first_value_and_after_a_reset) {
  metrics::Average average;
  metrics::Welford welford;
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(std::isnan(number(average.compute())));
    const metrics::Statistics none = welford.compute();
    EXPECT_EQ(number(none.mean), 0);
    EXPECT_TRUE(std::isnan(number(none.standard_deviation)));
    EXPECT_TRUE(std::isnan(number(none.standard_error_of_mean)));
    average.update(3);
    average.update(tensor({1.f, 5.f}));
    EXPECT_EQ(number(average.compute()), 3);
    EXPECT_EQ(average.count.value().item<int>(), 3);
    welford.update(tensor({1.f, 2.f, 3.f, 4.f}));
    EXPECT_EQ(number(welford.compute().mean), 2.5);
    EXPECT_NEAR(number(welford.compute().standard_deviation), 1.118034, 1e-6) << "population";
    EXPECT_NEAR(number(welford.compute().standard_error_of_mean), 0.559017, 1e-6);
    welford.update(tensor({3.f, 2.f, 1.f, 0.f}));
    EXPECT_NEAR(number(welford.compute().mean), 2, 1e-6);
    EXPECT_NEAR(number(welford.compute().standard_deviation), 1.2247449, 1e-6);
    average.reset();
    welford.reset();
  }
}

TEST(Metrics, N_145_many_small_batches_of_a_large_mean) {
  // E[x²] - E[x]² in f32 would lose all of the variance.
  metrics::Welford welford;
  for (int64_t i = 0; i < 50; ++i) welford.update(1e4f + random::normal(Key(i), {20}));
  EXPECT_NEAR(number(welford.compute().standard_deviation), 1, 0.05);
}

TEST(Metrics, N_145_errors_say_what_was_expected) {
  metrics::Average loss("loss");
  EXPECT_HAS(message<ValueError>([&] {
               loss.update({{"values", ones({2})}, {"logits", ones({2})}});
             }),
             "expected an argument 'loss', got 'logits', 'values'");
  EXPECT_HAS(message<ValueError>([&] { loss.update(2.0, tensor({true})); }),
             "a mask needs 'loss' to be an array, got a number");
  metrics::Accuracy accuracy, binary(0.5);
  EXPECT_HAS(message<ShapeError>([&] {
               accuracy.update(ones({4}), tensor({1, 0, 1, 0}));
             }),
             "accuracy: logits f32[4] need labels of shape [], got i32[4]");
  EXPECT_HAS(message<ShapeError>([&] {
               binary.update(ones({4, 2}), tensor({1, 0, 1, 0}));
             }),
             "with a threshold, logits f32[4,2] need labels of the same shape");
  EXPECT_HAS(message<DTypeError>([&] {
               accuracy.update(ones({4, 2}), ones({4}));
             }),
             "accuracy: expected integer labels, got f32[4]");
  metrics::Welford welford;
  EXPECT_THROW(welford.update({{"values", ones({2})}}, ones({2})), ValueError);
}

TEST(Metrics, N_145_several_at_once) {
  metrics::MultiMetric all(std::pair{"accuracy", metrics::Accuracy()},
                           std::pair{"loss", metrics::Average("loss")},
                           std::pair{"spread", metrics::Welford("loss")});
  for (int64_t i = 0; i < 2; ++i)
    all.update({{"logits", logits(i)}, {"labels", labels(i)}, {"loss", logits(i)}});
  const auto computed = all.compute();
  expect_near(computed.at("accuracy"), "accuracy");
  expect_near(computed.at("loss"), "average");
  EXPECT_EQ(computed.size(), 5u);
  EXPECT_NEAR(number(computed.at("spread/mean")), number(computed.at("loss")), 1e-6);
  EXPECT_EQ(nnx::state(all, nnx::of_type<nnx::MetricState>()).size(), 7u);
  EXPECT_TRUE(nnx::state(all).contains("loss/total"));
  EXPECT_EQ(all.get<0>().count.value().item<int>(), 10);
  all.reset();
  EXPECT_TRUE(std::isnan(number(all.compute().at("loss"))));

  metrics::MultiMetric two(std::pair{"accuracy", metrics::Accuracy()},
                           std::pair{"column", metrics::Average("column")});
  const auto arguments = [](int64_t i) {
    return metrics::Arguments{
        {"logits", logits(i)}, {"labels", labels(i)}, {"column", transpose(logits(i))[1]}};
  };
  for (int64_t i = 0; i < 2; ++i) two.update(arguments(i), mask(i));
  expect_near(two.compute().at("accuracy"), "masked");
  expect_near(two.compute().at("column"), "masked_average");
  two.reset();
  for (int64_t i = 0; i < 2; ++i) {
    two.update(arguments(i), std::map<std::string, Tensor>{{"column", mask(i)}});
  }
  expect_near(two.compute().at("accuracy"), "accuracy");
  expect_near(two.compute().at("column"), "masked_average");
  // As state of a compiled step.
  two.reset();
  const auto step = jit([](decltype(two)& m, const Tensor& x, const Tensor& y) {
    m.update({{"logits", x}, {"labels", y}, {"column", transpose(x)[1]}});
    return x;
  });
  for (int64_t i = 0; i < 2; ++i) step(two, logits(i), labels(i));
  EXPECT_EQ(step.trace_count(), 1u);
  expect_near(two.compute().at("accuracy"), "accuracy");
}

// Labels 0 0 0 1 1 2 taken for 0 0 1 1 2 2, in two batches.
template <class M>
M fed(M metric) {
  metric.update(tensor({0, 0, 1}), tensor({0, 0, 0}));
  metric.update(tensor({1, 2, 2}), tensor({1, 1, 2}));
  return metric;
}

TEST(Metrics, confusion_matrices_count_labels_in_rows) {
  const auto matrix = fed(metrics::ConfusionMatrix(3));
  EXPECT_EQ(matrix.compute().dtype(), DType::kI32);
  EXPECT_EQ(doubles(matrix.compute()), (std::vector<double>{2, 1, 0, 0, 1, 1, 0, 0, 1}));
  metrics::ConfusionMatrix of_logits(3), masked(3);
  of_logits.update(
      {{"logits", tensor({{3.f, 1.f, 2.f}, {0.f, 1.f, 2.f}})}, {"labels", tensor({0, 1})}});
  EXPECT_EQ(doubles(of_logits.compute()), (std::vector<double>{1, 0, 0, 0, 0, 1, 0, 0, 0}));
  masked.update(tensor({0, 0, 1}), tensor({0, 0, 0}), tensor({1, 0, 1}));
  EXPECT_EQ(doubles(masked.compute()), (std::vector<double>{1, 1, 0, 0, 0, 0, 0, 0, 0}));
  masked.update(tensor({0, 7}), tensor({-1, 1}));
  EXPECT_EQ(number(sum(masked.compute())), 2) << "what is no class does not count";
  masked.reset();
  EXPECT_EQ(number(sum(masked.compute())), 0);
  EXPECT_THROW(masked.update(ones({2, 3}), tensor({1})), ShapeError);
  EXPECT_THROW(masked.update(tensor({1}), ones({1})), DTypeError);
  EXPECT_THROW(metrics::ConfusionMatrix(1), ValueError);
}

TEST(Metrics, precision_recall_and_f1) {
  const auto scores = [](Averaging averaging) {
    return std::array<Tensor, 3>{fed(metrics::Precision(3, averaging)).compute(),
                                 fed(metrics::Recall(3, averaging)).compute(),
                                 fed(metrics::F1(3, averaging)).compute()};
  };
  const auto expect = [&](Averaging averaging, double precision, double recall, double f1) {
    const auto got = scores(averaging);
    EXPECT_NEAR(number(got[0]), precision, 1e-6);
    EXPECT_NEAR(number(got[1]), recall, 1e-6);
    EXPECT_NEAR(number(got[2]), f1, 1e-6);
  };
  // By class: hits 2 1 1, predicted 2 2 2, present 3 2 1.
  const auto each = scores(Averaging::kNone);
  EXPECT_EQ(doubles(each[0]), (std::vector<double>{1, 0.5, 0.5}));
  EXPECT_NEAR(doubles(each[1])[0], 2.0 / 3, 1e-6);
  EXPECT_NEAR(doubles(each[2])[0], 0.8, 1e-6);
  EXPECT_NEAR(doubles(each[2])[2], 2.0 / 3, 1e-6);
  expect(Averaging::kMicro, 4.0 / 6, 4.0 / 6, 4.0 / 6);
  expect(Averaging::kMacro, 2.0 / 3, (2.0 / 3 + 0.5 + 1) / 3, (0.8 + 0.5 + 2.0 / 3) / 3);
  expect(Averaging::kWeighted, (3 * 1 + 2 * 0.5 + 0.5) / 6, (3 * 2.0 / 3 + 2 * 0.5 + 1) / 6,
         (3 * 0.8 + 2 * 0.5 + 2.0 / 3) / 6);
  // Of two classes, that of the positive one; a class that never occurs has 0.
  metrics::F1 binary(2, Averaging::kBinary);
  EXPECT_EQ(number(binary.compute()), 0);
  binary.update(tensor({1, 1, 0, 1}), tensor({1, 0, 1, 1}));
  EXPECT_NEAR(number(binary.compute()), 2.0 / 3, 1e-6);
  EXPECT_THROW(metrics::Recall(3, Averaging::kBinary), ValueError);
  // As parts of a MultiMetric, in a compiled step.
  metrics::MultiMetric all(std::pair{"f1", metrics::F1(3)},
                           std::pair{"matrix", metrics::ConfusionMatrix(3)});
  jit([](decltype(all)& m, const Tensor& x, const Tensor& y) {
    m.update({{"logits", x}, {"labels", y}});
    return x;
  })(all, tensor({0, 0, 1, 1, 2, 2}), tensor({0, 0, 0, 1, 1, 2}));
  EXPECT_NEAR(number(all.compute().at("f1")), (0.8 + 0.5 + 2.0 / 3) / 3, 1e-6);
}

TEST(Metrics, area_under_the_curve) {
  metrics::AUC auc;
  EXPECT_TRUE(std::isnan(number(auc.compute())));
  auc.update({{"scores", tensor({0.1f, 0.4f})}, {"labels", tensor({0, 0})}});
  EXPECT_TRUE(std::isnan(number(auc.compute()))) << "one sort only";
  auc.update({{"scores", tensor({0.35f, 0.8f})}, {"labels", tensor({1, 1})}});
  EXPECT_NEAR(number(auc.compute()), 0.75, 1e-6) << "three of four pairs";
  auc.reset();
  auc.update(tensor({0.5f, 0.5f, 0.5f}), tensor({0, 1, 1}));
  EXPECT_NEAR(number(auc.compute()), 0.5, 1e-6) << "ties count half";
  auc.reset();
  auc.update(tensor({0.2f, 0.9f, 0.1f}), tensor({1, 0, 0}), tensor({1, 0, 1}));
  EXPECT_EQ(number(auc.compute()), 1) << "without what the mask leaves out";

  // Against all pairs.
  const Tensor scores = random::uniform(Key(1), {200});
  const Tensor noise = random::uniform(Key(2), {200});
  const Tensor truth = astype(noise < scores, DType::kI32);
  metrics::AUC fine(4096);
  for (int64_t at = 0; at < 200; at += 50)
    fine.update(slice_axis(scores, at, at + 50, 0), slice_axis(truth, at, at + 50, 0));
  const auto s = doubles(scores), t = doubles(truth);
  double right = 0, pairs = 0;
  for (size_t i = 0; i < s.size(); ++i) {
    for (size_t k = 0; k < s.size(); ++k) {
      if (t[i] != 1 || t[k] != 0) continue;
      ++pairs;
      right += s[i] > s[k] ? 1 : s[i] == s[k] ? 0.5 : 0;
    }
  }
  EXPECT_NEAR(number(fine.compute()), right / pairs, 2e-3);
  EXPECT_THROW(auc.update(ones({2}), tensor({1})), ShapeError);
  EXPECT_THROW(metrics::AUC(1), ValueError);
}

}  // namespace
}  // namespace linnet::metrics_test
