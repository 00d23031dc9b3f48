// Counts at the ends of 31 and 32 bits: they go on, stop as documented, or go round as
// upstream, and never become negative.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "linnet/core.h"
#include "linnet/metrics.h"
#include "linnet/metrics_classification.h"
#include "linnet/metrics_statistics.h"
#include "linnet/optim.h"
#include "linnet/optim/schedules.h"
#include "linnet/optim/train_state.h"
#include "linnet/optim/transforms.h"
#include "linnet/optim/wrappers.h"
#include "linnet/train_state.h"

namespace linnet::counters_test {
namespace {

constexpr int32_t kMost = std::numeric_limits<int32_t>::max();

Tensor count_at(int64_t value) { return scalar_integer(value, DType::kI32); }

TEST(Metrics, R_062_what_cannot_be_counted_is_left_out) {
  metrics::Average average;
  average.update(full({3}, 2.f));
  average.total = scalar(3.0 * kMost, DType::kF32);
  average.count = count_at(kMost - 2);
  average.update(full({3}, 100.f));
  EXPECT_EQ(average.count.value().item<int32_t>(), kMost - 2);
  average.update(tensor({100.f, 100.f, 100.f}), tensor({true, true, false}));
  EXPECT_EQ(average.count.value().item<int32_t>(), kMost);
  average.update(Tensor(1.f));
  EXPECT_EQ(average.count.value().item<int32_t>(), kMost);
  EXPECT_NEAR(average.compute().item<float>(), 3, 1e-5);

  metrics::Welford welford;
  welford.update(tensor({1.f, 3.f}));
  welford.count = count_at(kMost - 1);
  welford.update(tensor({50.f, 70.f}));
  EXPECT_EQ(welford.count.value().item<int32_t>(), kMost - 1);
  EXPECT_EQ(welford.compute().mean.item<float>(), 2);
  welford.update(Tensor(2.f));
  EXPECT_EQ(welford.count.value().item<int32_t>(), kMost);
}

TEST(Metrics, R_062_more_values_at_once_than_can_be_counted_are_left_out) {
  const Tensor many = broadcast_to(Tensor(1.f), {(int64_t{1} << 32) + 5});
  metrics::Average average;
  average.update(full({3}, 2.f));
  average.update(many);
  EXPECT_EQ(average.count.value().item<int32_t>(), 3);
  EXPECT_EQ(average.compute().item<float>(), 2);
  metrics::Welford welford;
  welford.update(tensor({1.f, 3.f}));
  welford.update(many);
  EXPECT_EQ(welford.count.value().item<int32_t>(), 2);
  EXPECT_EQ(welford.compute().mean.item<float>(), 2);
}

TEST(Metrics, R_062_full_cells_of_a_confusion_matrix) {
  metrics::Precision precision(2, metrics::Averaging::kNone);
  precision.matrix = tensor<int32_t>({{kMost - 1, 5}, {kMost, 7}});
  const Tensor zeros_twice = tensor<int32_t>({0, 0});
  precision.update(zeros_twice, zeros_twice);
  EXPECT_EQ(precision.matrix.value().to_vector<int32_t>(),
            (std::vector<int32_t>{kMost, 5, kMost, 7}));
  EXPECT_EQ(precision.compute().to_vector<float>()[0], 0.5f);
}

/// Every count of steps in a state at the largest number.
void fill_counts(optim::TransformState& state) {
  for (auto& [name, list] : state.lists) {
    if (!name.ends_with("count") && name != "gradient_step" && name != "total_notfinite") continue;
    for (Tensor& count : list) count = scalar_integer(kMost, DType::kI32);
  }
  for (optim::TransformState& part : state.parts) fill_counts(part);
}
void expect_no_negative_count(const optim::TransformState& state) {
  for (const auto& [name, list] : state.lists) {
    for (const Tensor& value : list) {
      if (value.dtype() == DType::kI32) {
        EXPECT_GE(value.item<int32_t>(), 0) << name;
      }
    }
  }
  for (const optim::TransformState& part : state.parts) expect_no_negative_count(part);
}

TEST(Counters, R_062_of_optimisers_stop_at_the_largest_number) {
  const optim::Schedule cosine = optim::cosine_decay_schedule(0.1, 100);
  const std::pair<const char*, optim::GradientTransformation> all[] = {
      {"multi_steps", optim::multi_steps(optim::adam(0.1), 2)},
      {"apply_if_finite", optim::apply_if_finite(optim::sgd(0.1), 3)},
      {"inject_hyperparams",
       optim::inject_hyperparams([](const auto& v) { return optim::sgd(v.at("rate")); },
                                 {{"rate", cosine}})},
      {"lookahead", optim::lookahead(optim::adam(0.1))},
      {"schedule", optim::adamw(cosine)},
      {"ema", optim::ema(0.9)}};
  for (const auto& [name, tx] : all) {
    SCOPED_TRACE(name);
    Tensor p = ones({2});
    optim::TransformState state = tx.init(p);
    fill_counts(state);
    for (const float gradient : {1.f, std::numeric_limits<float>::infinity(), 1.f, 1.f}) {
      if (gradient > 1 && std::string(name) != "apply_if_finite") continue;
      optim::step(tx, p, full({2}, gradient), state);
      expect_no_negative_count(state);
    }
    EXPECT_TRUE(std::isfinite(p.to_vector<float>()[0]));
  }
}

TEST(Counters, R_062_of_training_states) {
  TrainState state = TrainState::create(linen::Variables{{"w", ones({2})}}, optim::sgd(0.1));
  state.step = count_at(kMost - 1);
  for (int i = 0; i < 3; ++i) state.apply_gradients(linen::Variables{{"w", ones({2})}});
  EXPECT_EQ(state.step.item<int32_t>(), kMost);
}

}  // namespace
}  // namespace linnet::counters_test
