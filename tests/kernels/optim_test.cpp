#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/cpu/optim/update.h"
#include "tests/kernels/kernel_test_data.h"

namespace linnet::cpu::optim_test {
namespace {

TEST(AdamW, EqualsTheElementwiseFormulaBitForBit) {
  for (int64_t count : {0, 1, 7, 64, 100003}) {
    const std::vector<float> p = random_floats(count, 1), g = random_floats(count, 2),
                             m = random_floats(count, 3);
    std::vector<float> v = random_floats(count, 4);
    for (float& value : v) value = value * value;
    const AdamWSettings s{.learning_rate = 1e-3f,
                          .weight_decay = 0.01f,
                          .first_correction = 0.1f,
                          .second_correction = 0.001f,
                          .gradient_scale = 0.5f};
    std::vector<float> p2(p.size()), m2(p.size()), v2(p.size());
    adamw_update(count, {p.data(), g.data(), m.data(), v.data()}, {p2.data(), m2.data(), v2.data()},
                 s);
    for (size_t i = 0; i < p.size(); ++i) {
      const float gradient = g[i] * 0.5f;
      const float first = 0.1f * gradient + 0.9f * m[i];
      const float second = 0.001f * (gradient * gradient) + 0.999f * v[i];
      const float step = (first / 0.1f) / (std::sqrt(second / 0.001f) + 1e-8f);
      ASSERT_EQ(m2[i], first);
      ASSERT_EQ(v2[i], second);
      ASSERT_EQ(p2[i], p[i] - 1e-3f * (step + 0.01f * p[i]));
    }
  }
}

TEST(AdamW, WorksInPlaceAndForAnyThreadCount) {
  const int64_t count = 70001;
  const std::vector<float> g = random_floats(count, 5);
  EXPECT_TRUE(same_for_all_thread_counts([&] {
    std::vector<float> p = random_floats(count, 6), m(p.size(), 0.0f), v(p.size(), 0.0f);
    for (int step = 1; step <= 3; ++step) {
      AdamWSettings s{.learning_rate = 0.1f,
                      .first_correction = 1 - std::pow(0.9f, static_cast<float>(step)),
                      .second_correction = 1 - std::pow(0.999f, static_cast<float>(step))};
      adamw_update(count, {p.data(), g.data(), m.data(), v.data()}, {p.data(), m.data(), v.data()},
                   s);
    }
    return p;
  }));
}

TEST(Sgd, PlainMomentumAndNesterov) {
  const std::vector<float> p{1, 2, 3}, g{0.5f, -1, 0}, t{1, 1, 1};
  std::vector<float> p2(3), t2(3);
  sgd_update(3, p.data(), g.data(), nullptr, p2.data(), nullptr, {.learning_rate = 0.5f});
  EXPECT_EQ(p2, (std::vector<float>{0.75f, 2.5f, 3}));
  sgd_update(3, p.data(), g.data(), t.data(), p2.data(), t2.data(),
             {.learning_rate = 0.5f, .momentum = 0.5f});
  EXPECT_EQ(t2, (std::vector<float>{1, -0.5f, 0.5f}));
  EXPECT_EQ(p2, (std::vector<float>{0.5f, 2.25f, 2.75f}));
  sgd_update(3, p.data(), g.data(), t.data(), p2.data(), t2.data(),
             {.learning_rate = 0.5f, .momentum = 0.5f, .nesterov = true});
  EXPECT_EQ(p2, (std::vector<float>{0.5f, 2.625f, 2.875f}));
  sgd_update(3, p.data(), g.data(), nullptr, p2.data(), nullptr,
             {.learning_rate = 0.5f, .weight_decay = 0.5f, .gradient_scale = 2});
  EXPECT_EQ(p2, (std::vector<float>{0.25f, 2.5f, 2.25f}));
}

}  // namespace
}  // namespace linnet::cpu::optim_test
