// Wrappers that normalise weights, and unshared convolutions. Numbers are those of Flax 0.12.8 with
// key(0), for x = sin(arange(10)).
#include "linnet/linen/layers_weight_norm.h"

#include "linnet/linen/layers_conv_local.h"
#include "tests/modules/layers_support.h"
#include "tests/ops/random_support.h"

namespace linnet::linen_weight_norm_test {
namespace {

using linen::Scope;
using linen::Variables;
using testing::expect_golden;
using testing::expect_values;

using Names = std::vector<std::string>;

Tensor x() { return reshape(sin(arange(0.0, 10.0)), {2, 5}); }

Variables doubled(const Variables& variables) {
  return tree::map(variables, [](const Tensor& t) { return t * 2; });
}

TEST(WeightNorm, L_136_weights_of_length_one_and_a_scale_for_each_feature) {
  const linen::WeightNorm layer{linen::Dense{.features = 3}};
  const Variables vars = linen::init(layer, Key(0), x());
  EXPECT_EQ(vars["params"].keys(), (Names{"layer_instance", "layer_instance/kernel/scale"}));
  expect_values(vars["params"]["layer_instance"]["kernel"],
                {0.1953993f, -0.8052261f, -0.5801097f, -0.1178624f, -0.09860175f, 0.4292275f,
                 0.08058123f, -0.5800892f, -0.05657493f, 0.1039352f, 0.05323962f, 0.140826f,
                 -0.9646926f, -0.05050309f, 0.6754286f},
                2e-6, "stored as it is used");
  expect_values(vars["params"]["layer_instance/kernel/scale"], {1, 1, 1}, 0, "ones");
  const std::vector<float> y{0.7188436f,  -0.5647101f, -0.1815536f,
                             -0.3962383f, 0.4504508f,  0.8168635f};
  expect_values(linen::apply(layer, vars, x()), {y.begin(), y.end()}, 3e-6, "output");
  // The length of the stored weights does not matter, that of the scale does.
  expect_golden(linen::apply(layer, doubled(vars), x()), 2 * linen::apply(layer, vars, x()), 3e-6,
                "scale alone");
  const Variables g = grad(
      [&](const Variables& v) { return sum(square(linen::apply(layer, v, x()))); })(doubled(vars));
  expect_values(g["params"]["layer_instance/kernel/scale"], {2.694963f, 2.087214f, 2.800911f}, 2e-5,
                "gradient of the scale");
  expect_values(
      g["params"]["layer_instance"]["kernel"],
      {0.993256f, -0.04711378f, -1.508406f, 3.180039f, -2.198398f, -2.726294f, 1.356114f, 0.340573f,
       1.64479f, -1.442415f, 1.352739f, 2.735758f, -0.2294676f, 2.557463f, 0.004363656f},
      3e-5, "and of the kernel");
}

TEST(WeightNorm, L_136_which_weights_and_axes) {
  const linen::WeightNorm<linen::Dense> all{
      .layer_instance = {.features = 3}, .feature_axes = {}, .variable_filter = {}};
  const Variables vars = linen::init(all, Key(0), x());
  EXPECT_EQ(vars["params"].keys(),
            (Names{"layer_instance", "layer_instance/bias/scale", "layer_instance/kernel/scale"}));
  EXPECT_EQ(vars["params"]["layer_instance/kernel/scale"].shape(), Shape{});
  expect_values(slice_axis(vars["params"]["layer_instance"]["kernel"].value(), 0, 1, 0),
                {0.1210891f, -0.5416784f, -0.2345257f}, 2e-6, "one length for the whole");
  const linen::WeightNorm<linen::Dense> bare{.layer_instance = {.features = 3}, .use_scale = false};
  EXPECT_EQ(linen::init(bare, Key(0), x())["params"].keys(), Names{"layer_instance"});
  // The filter looks at the whole path.
  struct Two {
    Tensor operator()(Scope& s, const Tensor& y) const {
      return s("down", linen::Dense{.features = 2}, s("up", linen::Dense{.features = 4}, y));
    }
  };
  const linen::WeightNorm<Two> some{.layer_instance = {}, .variable_filter = {"up"}};
  EXPECT_EQ(
      linen::init(some, Key(0), x())["params"].keys(),
      (Names{"layer_instance", "layer_instance/up/bias/scale", "layer_instance/up/kernel/scale"}));
  const linen::WeightNorm<linen::Dense> wide{.layer_instance = {.features = 3, .use_bias = false},
                                             .feature_axes = Axes{0, 1}};
  EXPECT_EQ(linen::init(wide, Key(0), x())["params"]["layer_instance/kernel/scale"].shape(),
            (Shape{5, 3}));
}

TEST(SpectralNorm, L_135_largest_singular_values_are_one) {
  const linen::SpectralNorm layer{linen::Dense{.features = 3}};
  const auto [y, vars] = linen::init_with_output(layer, Key(0), false, x());
  EXPECT_EQ(vars["batch_stats"].keys(),
            (Names{"layer_instance/kernel/sigma", "layer_instance/kernel/u"}));
  expect_values(vars["batch_stats"]["layer_instance/kernel/u"],
                {0.0761425f, -1.615746f, -1.685772f}, 2e-6, "normal at first");
  expect_values(vars["batch_stats"]["layer_instance/kernel/sigma"], {1}, 0, "not updated");
  expect_values(y, {0.5957554f, -0.5080434f, -0.09816054f, -0.3283901f, 0.4052496f, 0.4416532f},
                3e-6, "output");
  const auto [again, updates] =
      linen::apply_with({.mutate = "batch_stats"}, layer, vars, true, x());
  expect_golden(again, y, 3e-6, "of normalised weights");
  expect_values(updates["batch_stats"]["layer_instance/kernel/u"],
                {0.4032683f, -0.8136404f, -0.4187649f}, 3e-6, "one step");
  // Without the collection nothing may be updated.
  EXPECT_THROW(linen::apply(layer, vars, true, x()), ModuleError);
  const Variables params = doubled({{"params", vars["params"]}});
  const Variables g = grad([&](const Variables& p) {
    return sum(square(linen::apply(layer, vars | p, false, x())));
  })(params);
  expect_values(g["params"]["layer_instance"]["kernel"],
                {-0.05179209f, 0.3512423f, -0.04272759f, 0.6477706f, -0.6511055f, -0.2628087f,
                 0.1331768f, 0.1932655f, 0.4011058f, -0.1981476f, 0.2431405f, 0.378786f,
                 -0.4569971f, 0.2908081f, 0.1221289f},
                3e-5, "no gradient through the iteration");
  // Many steps find the singular value.
  Variables trained = vars;
  trained.at_path({"params", "layer_instance", "kernel"}) =
      Variables(random::normal(Key(5), {5, 3}));
  for (int i = 0; i < 30; ++i) {
    trained =
        trained | linen::apply_with({.mutate = "batch_stats"}, layer, trained, true, x()).second;
  }
  const Tensor w = trained["params"]["layer_instance"]["kernel"];
  const Tensor sigma = trained["batch_stats"]["layer_instance/kernel/sigma"];
  Tensor v = ones({3, 1});
  for (int i = 0; i < 100; ++i) {
    v = matmul(transpose(w), matmul(w, v));
    v = v / sqrt(sum(square(v)));
  }
  EXPECT_NEAR(sigma.item<float>(), sqrt(sum(square(matmul(w, v)))).item<float>(), 1e-4);
}

TEST(SpectralNorm, L_135_weights_of_more_dimensions) {
  const Tensor image = reshape(x(), {1, 5, 2});
  const linen::SpectralNorm<linen::Conv> layer{.layer_instance = {.features = 2, .kernel = 3},
                                               .n_steps = 3};
  const auto [y, vars] = linen::init_with_output(layer, Key(0), true, image);
  expect_values(vars["batch_stats"]["layer_instance/kernel/u"], {0.1823131f, -0.9832405f}, 3e-6,
                "updated in init too");
  expect_values(vars["batch_stats"]["layer_instance/kernel/sigma"], {0.8398584f}, 3e-6, "sigma");
  expect_values(y,
                {0.03704307f, -0.3690192f, -0.3773116f, -0.08751729f, 0.1540047f, -0.3391453f,
                 0.2491345f, 0.3697858f, -0.3284104f, 0.1610313f},
                3e-6, "output");
  const linen::SpectralNorm<linen::Conv> strict{.layer_instance = {.features = 2, .kernel = 3},
                                                .error_on_non_matrix = true};
  EXPECT_THROW(linen::init(strict, Key(0), true, image), ValueError);
  // A weight of zeros is not divided by its singular value.
  const linen::SpectralNorm<linen::Dense> zero{
      .layer_instance = {.features = 3, .kernel_init = init::zeros()}};
  EXPECT_EQ(linen::init_with_output(zero, Key(0), true, x()).first.to_vector<float>(),
            std::vector<float>(6, 0.f));
}

TEST(ConvLocal, J_027_L_123_a_kernel_for_each_position) {
  const Tensor image = reshape(x(), {1, 5, 2});
  const linen::ConvLocal layer{.features = 2, .kernel = 3, .padding = "VALID"};
  const auto [y, vars] = linen::init_with_output(layer, Key(0), image);
  EXPECT_EQ(vars["params"]["kernel"].shape(), (Shape{3, 6, 2}));
  EXPECT_EQ(vars["params"]["bias"].shape(), (Shape{3, 2}));
  expect_values(y, {-0.7934514f, 0.01922361f, -0.6862354f, 0.379861f, 0.4785054f, 0.1997397f}, 3e-6,
                "one dimension");
  const linen::ConvLocal strided{
      .features = 2, .kernel = {2, 3}, .strides = 2, .padding = "CIRCULAR"};
  const Tensor plane = reshape(cos(arange(0.0, 40.0)), {1, 4, 5, 2});
  const auto [z, other] = linen::init_with_output(strided, Key(0), plane);
  EXPECT_EQ(other["params"]["kernel"].shape(), (Shape{2, 3, 12, 2}));
  expect_values(z,
                {0.1613264f, -0.3312919f, 0.0596944f, 0.1053392f, 0.1015315f, 0.02070509f,
                 -0.444338f, 0.2512177f, 0.3362975f, -0.1250253f, 0.4478149f, -0.4430887f},
                3e-6, "two");
  // With the same kernel everywhere it is a convolution, for any batch dimensions.
  const linen::Conv shared{.features = 2, .kernel = 3, .padding = "VALID"};
  const Tensor batch = random::normal(Key(1), {2, 3, 5, 2});
  const Variables conv = linen::init(shared, Key(0), batch);
  const Tensor kernel = conv["params"]["kernel"];  // [3, 2, 2]: window, in, out
  const Tensor by_channel = reshape(transpose(kernel, {1, 0, 2}), {6, 2});
  const Variables same{{"params", Variables{{"kernel", broadcast_to(by_channel, {3, 6, 2})},
                                            {"bias", zeros({3, 2})}}}};
  expect_golden(linen::apply(layer, same, batch), linen::apply(shared, conv, batch), 2e-6,
                "shared");
  EXPECT_THROW(
      linen::init(linen::ConvLocal{.features = 2, .kernel = 3, .mask = ones({2})}, Key(0), image),
      ValueError);
}

}  // namespace
}  // namespace linnet::linen_weight_norm_test
