// Batch statistics of functional modules under scan and remat, stacked and carried, against Flax.
#include "tests/modules/linen_transforms_support.h"

namespace linnet::linen_transforms_statistics_test {
namespace {

using namespace linnet::testing::lifted;

/// Dense_0, BatchNorm_0, tanh.
struct Normed {
  LINNET_FIELDS()
  Tensor operator()(Scope& s, const Tensor& x) const {
    const Tensor y = s(linen::Dense{.features = 4}, x);
    return tanh(s(linen::BatchNorm{.use_running_average = false, .momentum = 0.5}, y));
  }
};

TEST(LinenRemat, L_080_batch_statistics) {
  const auto remat = linen::remat(Normed{});
  expect_case(
      "batch_stats_remat", [&](Scope& s, const Tensor& x) { return s(remat, x); }, normal({6, 4}));
}

struct Layer {
  LINNET_FIELDS()
  std::pair<Tensor, std::tuple<>> operator()(Scope& s, const Tensor& x) const {
    return {s(linen::remat(Normed{}), x), {}};
  }
};

TEST(LinenScan, L_080_L_085_stacked_batch_statistics) {
  const auto layers = linen::scan(Layer{}, {.variable_axes = {{"params", 0}, {"batch_stats", 0}},
                                            .split_rngs = {{"params", true}},
                                            .length = 3});
  expect_case(
      "batch_stats_scan", [&](Scope& s, const Tensor& x) { return s(layers, x).first; },
      normal({6, 4}));
}

TEST(LinenScan, L_081_batch_statistics_of_nested_checkpoints) {
  const auto deep = linen::remat_scan(Normed{}, {.lengths = {2, 2}});
  expect_case(
      "batch_stats_remat_scan", [&](Scope& s, const Tensor& x) { return s(deep, x); },
      normal({6, 4}));
}

TEST(LinenScan, L_088_carried_batch_statistics) {
  const auto step = [](Scope& s, const Tensor& h, const Tensor& x) {
    const Tensor next = s("normed", Normed{}, h + x);
    return std::pair(next, mean(next));
  };
  const auto cell = linen::scan(step, {.variable_broadcast = "params",
                                       .variable_carry = "batch_stats",
                                       .split_rngs = {{"params", false}}});
  const auto outer = [&](Scope& s, const Tensor& h, const Tensor& xs) {
    if (s.is_initializing()) {
      s.put_leaf("batch_stats", {"cell", "normed", "BatchNorm_0", "mean"}, Variables(zeros({4})));
      s.put_leaf("batch_stats", {"cell", "normed", "BatchNorm_0", "var"}, Variables(ones({4})));
    }
    return s("cell", cell, h, xs);
  };
  expect_case("batch_stats_carried", outer, normal({6, 4}), normal({3, 6, 4}));
}

}  // namespace
}  // namespace linnet::linen_transforms_statistics_test
