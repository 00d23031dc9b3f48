// Wrappers of the object API that normalise weights. Numbers are those of Flax 0.12.8 with
// nnx.Rngs(0), for x = sin(arange(10)).
#include "linnet/nnx/layers_weight_norm.h"

#include "linnet/nnx.h"
#include "tests/modules/layers_support.h"
#include "tests/ops/random_support.h"

namespace linnet::nnx_weight_norm_test {
namespace {

using testing::expect_golden;
using testing::expect_values;

Tensor x() { return reshape(sin(arange(0.0, 10.0)), {2, 5}); }

TEST(NnxWeightNorm, N_127_weights_are_normalised_in_place_and_scales_are_kept_by_path) {
  nnx::Rngs rngs(0);
  nnx::WeightNorm layer(nnx::Linear(5, 3, rngs), rngs);
  EXPECT_EQ(rngs.stream("params").count().item<int>(), 3) << "kernel, bias, scale";
  ASSERT_EQ(layer.scales.size(), 1u) << "the kernel's, by default";
  expect_values(layer.scales.at("kernel"), {1, 1, 1}, 0, "ones");

  const nnx::State g = nnx::grad([](auto& m) { return sum(square(m(x()))); })(layer);
  expect_values(g["layer_instance"]["kernel"],
                {0.8551822f, 1.6138353f, -1.046847f, 1.0541551f, -0.554543f, -0.4656614f,
                 -1.0641903f, -1.180943f, 0.4148192f, -0.5367631f, 0.3623534f, 1.5981224f,
                 -0.1801338f, 0.9556996f, -0.8425147f},
                3e-5, "gradient of the kernel as it was");
  const Tensor y = layer(x());
  expect_values(y, {0.1138541f, -0.9781302f, 0.2881316f, -0.875522f, -0.3426588f, 0.9711571f}, 3e-6,
                "output");
  expect_values(layer.layer_instance.kernel[{Slice(), 0}],
                {0.3727672f, -0.4314021f, 0.2713028f, -0.6485699f, -0.4250748f}, 2e-6,
                "stored as it is used");
  layer.scales.at("kernel") = full({3}, 2.f);
  expect_golden(layer(x()), 2 * y, 4e-6, "the scale is learned, the length does not matter");

  // Another choice of weights and axes.
  nnx::WeightNorm whole(
      nnx::Linear(5, 3, rngs),
      {.use_scale = false, .feature_axes = std::nullopt, .variable_filter = nnx::everything()},
      rngs);
  whole.layer_instance.bias.value() = full({3}, 2.f);
  whole(x());
  EXPECT_TRUE(whole.scales.empty());
  EXPECT_NEAR(sum(square(whole.layer_instance.kernel.value())).item<float>(), 1, 1e-5);
  EXPECT_NEAR(sum(square(whole.layer_instance.bias->value())).item<float>(), 1, 1e-5);
  nnx::WeightNorm grown(nnx::Linear(5, 3, {.use_bias = false}, rngs),
                        {.variable_filter = nnx::everything()}, rngs);
  grown.layer_instance.bias.emplace(zeros({3}));
  EXPECT_THROW(grown(x()), ModuleError);
}

TEST(NnxWeightNorm, N_128_largest_singular_values_are_estimated_from_call_to_call) {
  nnx::Rngs rngs(0);
  nnx::SpectralNorm layer(nnx::Linear(5, 3, rngs), {.n_steps = 2}, rngs);
  ASSERT_EQ(layer.batch_stats.size(), 2u) << "of the matrix, not of the bias";
  const auto& u = layer.batch_stats.at("kernel/u");
  const auto& sigma = layer.batch_stats.at("kernel/sigma");
  expect_values(u, {0.0129564f, 0.0135501f, -0.0040961f}, 1e-7, "normal at first");
  expect_values(layer(x()),
                {0.0988056f, -0.6546744f, 0.2303877f, -0.7598007f, -0.2293457f, 0.7765296f}, 3e-6,
                "output");
  expect_values(u, {0.7479565f, 0.3822188f, -0.5426509f}, 3e-6, "u");
  expect_values(sigma, {1.4794507f}, 3e-6, "sigma");
  layer(x());
  expect_values(sigma, {1.0066603f}, 3e-6, "of the weights that the first call divided");
  nnx::eval(layer);
  layer(x());
  expect_values(sigma, {1.0066603f}, 3e-6, "stays in evaluation");
  layer(x(), true);
  EXPECT_NE(sigma.value().item<float>(), 1.0066603f) << "the argument goes before the mode";

  EXPECT_THROW(nnx::SpectralNorm(nnx::Conv(2, 2, {3}, rngs), {.error_on_non_matrix = true}, rngs),
               ValueError);
  nnx::SpectralNorm conv(nnx::Conv(2, 2, {3}, rngs), rngs);
  EXPECT_EQ(conv(ones({1, 4, 2})).shape(), (Shape{1, 4, 2}));
  EXPECT_EQ(conv.batch_stats.at("kernel/u").shape(), (Shape{1, 2}));
}

}  // namespace
}  // namespace linnet::nnx_weight_norm_test
