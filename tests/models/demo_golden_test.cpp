// The demo's networks against the real Flax (through flax.nnx.bridge): initial variables, data
// order, five training losses, logits and trained variables, for each variant.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "examples/fashion_mnist/networks.h"
#include "linnet/io/checkpoint.h"
#include "linnet/io/safetensors.h"

namespace demo {
namespace {

using linnet::DType;
using linnet::TensorList;

std::vector<double> doubles(const Tensor& tensor) { return tensor.to_vector<double>(); }

void expect_close(const Tensor& got, const Tensor& wanted, double relative, double absolute,
                  const std::string& what) {
  ASSERT_EQ(to_string(got.shape()), to_string(wanted.shape())) << what;
  const auto a = doubles(got), b = doubles(wanted);
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_NEAR(a[i], b[i], absolute + relative * std::abs(b[i])) << what << " element " << i;
  }
}

class Golden {
 public:
  explicit Golden(const std::string& name)
      : file_(linnet::read_safetensors(std::string(LINNET_TEST_DATA) + "/reference/golden/" +
                                       name)) {}
  Tensor operator[](const std::string& name) const { return linnet::to_tensor(file_.array(name)); }
  bool has(const std::string& name) const { return file_.contains(name); }

  /// Large tensors are kept as their first values, sum and sum of squares.
  void check(const std::string& name, const Tensor& value, double relative, double absolute) const {
    if (has(name)) {
      expect_close(value, (*this)[name], relative, absolute, name);
      return;
    }
    const Tensor first = (*this)[name + "/first"];
    expect_close(slice_axis(ravel(value), 0, first.shape(0), 0), first, relative, absolute,
                 name + " (first)");
    double total = 0, squares = 0;
    for (double v : doubles(value)) {
      total += v;
      squares += v * v;
    }
    const double wanted_squares = (*this)[name + "/sum_of_squares"].item<double>();
    EXPECT_NEAR(squares, wanted_squares, 20 * relative * wanted_squares + absolute) << name;
    const double scale = std::sqrt(wanted_squares * static_cast<double>(value.size()));
    EXPECT_NEAR(total, (*this)[name + "/sum"].item<double>(), 20 * relative * scale + absolute)
        << name;
  }

  Batch batch(int64_t step) const {
    return {expand_dims(slice_axis((*this)["images"], 64 * step, 64 * step + 64, 0), -1),
            slice_axis((*this)["labels"], 64 * step, 64 * step + 64, 0).astype(DType::kI32)};
  }

  void check_all(const std::string& stage, const linen::Variables& variables, double relative,
                 double absolute) const {
    for (const char* name :
         {"params/stem/conv/kernel", "params/stem/norm/scale", "params/stem/norm/bias",
          "params/body/conv/kernel", "params/body/norm/scale", "params/body/norm/bias",
          "params/dense/kernel", "params/dense/bias", "params/head/kernel", "params/head/bias",
          "batch_stats/stem/norm/mean", "batch_stats/stem/norm/var", "batch_stats/body/norm/mean",
          "batch_stats/body/norm/var"}) {
      std::vector<std::string> path;
      std::string text = name;
      for (size_t at; (at = text.find('/')) != std::string::npos; text = text.substr(at + 1)) {
        path.push_back(text.substr(0, at));
      }
      path.push_back(text);
      const linen::Variables* leaf = variables.find_path(path);
      ASSERT_NE(leaf, nullptr) << name;
      check(stage + "/" + name, leaf->value(), relative, absolute);
    }
  }

 private:
  linnet::SafetensorsFile file_;
};

/// Initial parameters go through the same formulas in float32; what is left is a last place or two.
constexpr double kInitialRelative = 3e-7, kInitialAbsolute = 2e-8;
/// After five steps rounding differences of sums have gone through the optimiser's divisions.
constexpr double kTrainedRelative = 2e-3, kTrainedAbsolute = 3e-5;

TEST(DemoGolden, B_045_B_046_B_151_stateful_variant_equals_flax) {
  const Golden golden("demo_nnx.safetensors");
  StatefulNetwork network = make_stateful(0);
  golden.check_all("initial", bridge::variables(network), kInitialRelative, kInitialAbsolute);
  const auto logits = linnet::jit(
      [](StatefulNetwork& net, const Tensor& image) { return net(normalized(image), false); });
  expect_close(logits(network, golden.batch(0).image), golden["logits_initial"], 1e-5, 1e-5,
               "initial logits");

  linnet::optim::Optimizer optimizer(network, make_optimizer(10, 2));
  const auto step = linnet::jit(stateful_step);
  const std::vector<double> losses = doubles(golden["loss"]);
  for (int64_t t = 0; t < 5; ++t) {
    const StepResult result = step(network, optimizer, golden.batch(t));
    EXPECT_NEAR(result.loss.item<double>(), losses[t], 2e-5 * losses[t]) << "step " << t;
  }
  golden.check_all("final", bridge::variables(network), kTrainedRelative, kTrainedAbsolute);
  expect_close(logits(network, golden.batch(0).image), golden["logits_final"], 1e-3, 1e-3,
               "final logits");
}

TEST(DemoGolden, B_083_B_113_B_151_functional_variant_equals_flax) {
  const Golden golden("demo_linen.safetensors");
  const auto tx = make_optimizer(10, 2);
  TrainState state = make_functional(0, tx);
  const auto all = [&] {
    linen::Variables variables = state.rest;
    variables.children()["params"] = state.params;
    return variables;
  };
  golden.check_all("initial", all(), kInitialRelative, kInitialAbsolute);
  const auto logits = linnet::jit([](const linen::Variables& variables, const Tensor& image) {
    return linen::apply(FunctionalNetwork{}, variables, normalized(image), false);
  });
  expect_close(logits(all(), golden.batch(0).image), golden["logits_initial"], 1e-5, 1e-5,
               "initial logits");

  const auto step = linnet::jit(
      [tx](TrainState& s, const Batch& batch) { return functional_step(tx, 0, s, batch); });
  const std::vector<double> losses = doubles(golden["loss"]);
  for (int64_t t = 0; t < 5; ++t) {
    const StepResult result = step(state, golden.batch(t));
    EXPECT_NEAR(result.loss.item<double>(), losses[t], 2e-5 * losses[t]) << "step " << t;
  }
  golden.check_all("final", all(), kTrainedRelative, kTrainedAbsolute);
  expect_close(logits(all(), golden.batch(0).image), golden["logits_final"], 1e-3, 1e-3,
               "final logits");
}

TEST(DemoGolden, J_065_data_order_equals_jax) {
  const Golden golden("demo_nnx.safetensors");
  const std::vector<int64_t> wanted = golden["order"].to_vector<int64_t>();
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    const auto order =
        linnet::random::permutation(
            linnet::random::fold_in(linnet::Key(0), static_cast<uint32_t>(epoch)), 60000)
            .to_vector<int64_t>();
    for (int64_t i = 0; i < 16; ++i) {
      EXPECT_EQ(order[i], wanted[epoch * 32 + i]);
      EXPECT_EQ(order[60000 - 16 + i], wanted[epoch * 32 + 16 + i]);
    }
  }
}

TEST(DemoGolden, eager_and_jitted_steps_agree) {
  const Golden golden("demo_nnx.safetensors");
  StatefulNetwork eager = make_stateful(3);
  StatefulNetwork jitted = linnet::nnx::clone(eager);
  linnet::optim::Optimizer eager_optimizer(eager, make_optimizer(10, 2));
  linnet::optim::Optimizer jitted_optimizer(jitted, make_optimizer(10, 2));
  const auto step = linnet::jit(stateful_step);
  for (int64_t t = 0; t < 2; ++t) {
    const double a = stateful_step(eager, eager_optimizer, golden.batch(t)).loss.item<double>();
    const double b = step(jitted, jitted_optimizer, golden.batch(t)).loss.item<double>();
    EXPECT_NEAR(a, b, 1e-6 * std::abs(a)) << "step " << t;
  }
  EXPECT_EQ(step.trace_count(), 1u);
}

}  // namespace
}  // namespace demo
