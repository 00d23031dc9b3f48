// The settings of layers, which both module APIs share: what each takes, what it keeps, and how it
// is printed.
#include <sstream>

#include "tests/modules/layers_support.h"
#include "tests/ops/random_support.h"

namespace linnet::layers_settings_test {
namespace {

using testing::expect_identical;

template <class Options>
concept TakesFeatures = requires { Options{.features = 3}; };
template <class Options>
concept TakesKernelMetadata = requires { Options{.kernel_metadata = Metadata{}}; };
template <class Options>
concept TakesAnOpenMode = requires { Options{.deterministic = std::optional<bool>()}; };

static_assert(TakesFeatures<linen::Dense> && TakesFeatures<linen::Conv>);
static_assert(!TakesFeatures<nnx::LinearOptions> && !TakesFeatures<nnx::ConvOptions>);
static_assert(TakesKernelMetadata<nnx::LinearOptions> && !TakesKernelMetadata<linen::Dense>);
static_assert(TakesAnOpenMode<linen::Dropout> && !TakesAnOpenMode<nnx::DropoutOptions>);

TEST(LayerSettings, both_apis_have_one_list_of_defaults) {
  const linen::BatchNorm functional;
  nnx::Rngs rngs(0);
  const nnx::BatchNorm object(3, rngs);
  EXPECT_EQ(functional.momentum, object.momentum);
  EXPECT_EQ(functional.epsilon, object.epsilon);
  EXPECT_EQ(functional.axis, object.axis);
  EXPECT_EQ(functional.use_running_average, std::nullopt);
  EXPECT_FALSE(object.use_running_average);
  EXPECT_EQ(linen::SelfAttention{}.heads, 1);
  EXPECT_EQ(linen::Conv{}.kernel.values(), Shape{1});
  EXPECT_TRUE(nnx::AttentionOptions{}.keep_rngs);
}

TEST(LayerSettings, N_123_object_layers_have_their_settings_as_members) {
  nnx::Rngs rngs(0);
  nnx::BatchNorm norm(3, {.momentum = 0.5}, rngs);
  EXPECT_EQ(norm.momentum, 0.5);
  norm.use_running_average = true;
  const Tensor x = random::normal(Key(0), {4, 3});
  norm(x);
  expect_identical(norm.mean, zeros({3}), "did not move");
  nnx::GroupNorm by_size(6, {.num_groups = {}, .group_size = 2}, rngs);
  EXPECT_EQ(by_size.num_groups, 3);
  EXPECT_EQ(by_size.group_size, std::nullopt);
}

TEST(LayerSettings, N_048_graph_definitions_tell_sizes_and_settings_apart) {
  nnx::Rngs rngs(0);
  const auto def = [](const auto& layer) { return nnx::graphdef(layer); };
  EXPECT_EQ(def(nnx::Linear(2, 3, rngs)), def(nnx::Linear(2, 3, rngs)));
  EXPECT_FALSE(def(nnx::Linear(2, 3, rngs)) == def(nnx::Linear(2, 4, rngs)));
  EXPECT_FALSE(def(nnx::LayerNorm(3, rngs)) == def(nnx::LayerNorm(3, {.epsilon = 1e-3}, rngs)));
  EXPECT_FALSE(def(nnx::Conv(1, 2, {3}, rngs)) == def(nnx::Conv(1, 2, {5}, rngs)));
  EXPECT_EQ(def(nnx::Linear(2, 3, {.kernel_init = init::normal()}, rngs)),
            def(nnx::Linear(2, 3, rngs)))
      << "an initialiser is used up at construction";
}

TEST(LayerSettings, layers_without_initialisers_are_equal_and_initialisers_are_equal_to_copies) {
  const linen::Dense a{.features = 3}, b{.features = 3}, c{.features = 4};
  EXPECT_EQ(tree::structure(a), tree::structure(b));
  EXPECT_NE(tree::structure(a), tree::structure(c));
  const linen::Dense d{.features = 3, .kernel_init = init::ones()};
  const linen::Dense e{.features = 3, .kernel_init = init::ones()};
  const linen::Dense copy = d;
  EXPECT_EQ(tree::structure(d), tree::structure(copy));
  EXPECT_NE(tree::structure(d), tree::structure(e));
  EXPECT_NE(tree::structure(d), tree::structure(a));
}

TEST(LayerSettings, field_names_are_those_of_the_layer_and_then_of_its_settings) {
  EXPECT_EQ(nnx::Dropout::linnet_field_names(),
            "rate, rngs, rate, broadcast_dims, deterministic, rng_collection");
  EXPECT_EQ(field_name(nnx::Linear::linnet_field_names(), 3), "out_features");
  EXPECT_EQ(field_name(nnx::Linear::linnet_field_names(), 5), "use_bias");
}

template <class T>
std::string printed(const T& object) {
  std::ostringstream out;
  out << object;
  return out.str();
}

TEST(LayerSettings, L_059_functional_layers_print_their_settings) {
  EXPECT_EQ(printed(linen::Dense{.features = 3}),
            "Dense(features=3, use_bias=true, param_dtype=f32)");
  EXPECT_EQ(printed(linen::Conv{.features = 2, .kernel = {3, 3}, .padding = {{1, 2}, 0}}),
            "Conv(features=2, kernel=[3,3], strides=1, padding=[(1,2),(0,0)], input_dilation=1, "
            "kernel_dilation=1, feature_group_count=1, use_bias=true, param_dtype=f32)");
  EXPECT_EQ(printed(linen::Dropout{.rate = 0.25, .deterministic = true}),
            "Dropout(rate=0.25, broadcast_dims=[], deterministic=true, rng_collection='dropout')");
}

struct Block {
  nnx::Linear up;
  nnx::BatchNorm norm;
  explicit Block(nnx::Rngs& rngs) : up(2, 3, rngs), norm(3, rngs) {}
  LINNET_FIELDS(up, norm)
};

TEST(LayerSettings, N_030_modules_print_a_table_of_their_variables) {
  nnx::Rngs rngs(0);
  const std::string text =
      "Linear(in_features=2, out_features=3, use_bias=true, param_dtype=f32)\n"
      "  path    kind   type      elements\n"
      "  kernel  Param  f32[2,3]         6\n"
      "  bias    Param  f32[3]           3\n"
      "  2 variables, 9 elements, 36 bytes";
  EXPECT_EQ(printed(nnx::Linear(2, 3, rngs)), text);
  EXPECT_EQ(printed(Block(rngs)),
            "Block()\n"
            "  path        kind       type      elements\n"
            "  up/kernel   Param      f32[2,3]         6\n"
            "  up/bias     Param      f32[3]           3\n"
            "  norm/mean   BatchStat  f32[3]           3\n"
            "  norm/var    BatchStat  f32[3]           3\n"
            "  norm/scale  Param      f32[3]           3\n"
            "  norm/bias   Param      f32[3]           3\n"
            "  6 variables, 21 elements, 84 bytes");
}

}  // namespace
}  // namespace linnet::layers_settings_test
