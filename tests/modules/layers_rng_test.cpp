// Layers from seeds: the known answers of docs/rng.md sections 11.2 and 11.3.
#include "tests/modules/layers_support.h"
#include "tests/ops/random_support.h"

namespace linnet::layers_rng_test {
namespace {

using linen::Scope;
using testing::expect_values;

TEST(Layers, L_012_EmbedAndDense) {
  expect_values(
      linen::init(linen::Embed{5, 3}, Key(0), tensor({0}))["params"]["embedding"],
      {0.04396089, -0.9328513, -0.97328115, 0.41147125, 0.66334754, 0.49469155, 0.09719624,
       0.49861377, 0.49519277, -0.13316602, 0.6697022, 0.3710195, -0.5039532, 0.287319, 1.4369922},
      1e-6, "Embed(5, 3)");
  const auto [y, variables] =
      linen::init_with_output(linen::Dense{.features = 2}, Key(0), ones({1, 2}));
  EXPECT_NEAR(mean(square(y - 1) / 2).item<double>(), 1.8136346, 1e-6);
  expect_values(linen::init_with_output(linen::Dense{.features = 3}, Key(1), ones({1, 4})).first,
                {1.3005596, -0.50973934, 0.66124046}, 1e-6, "Dense(3)");
}

struct TwoDense {
  int64_t first, second;
  bool rectify;
  Tensor operator()(Scope& s, const Tensor& x) const {
    const Tensor h = s(linen::Dense{.features = first}, x);
    return s(linen::Dense{.features = second}, rectify ? relu(h) : h);
  }
};

TEST(Layers, L_012_TwoDenseNamedAutomatically) {
  const auto [y, variables] = linen::init_with_output(TwoDense{3, 2, false}, Key(0), ones({2, 9}));
  expect_values(y, {-0.04579116, 0.50412744, -0.04579116, 0.50412744}, 1e-6, "linear");
  EXPECT_TRUE(variables["params"].contains("Dense_0") && variables["params"].contains("Dense_1"));
  expect_values(linen::init_with_output(TwoDense{8, 2, true}, Key(0), ones({1, 4})).first,
                {0.24190402, 0.22841509}, 1e-6, "with relu");
}

struct DenseDropout {
  Tensor operator()(Scope& s, const Tensor& x, bool train) const {
    const Tensor h = s(linen::Dense{.features = 4}, x);
    return s(linen::Dropout{0.5}, h, !train);
  }
};

TEST(Layers, L_145_DenseThenDropout) {
  const Tensor x = ones({1, 3});
  const linen::Variables variables = linen::init(DenseDropout{}, Key(0), x, false);
  const std::vector<double> expected = {-0.17875527, 1.6255447, -1.2431065, -0.02554005};
  expect_values(linen::apply(DenseDropout{}, variables, x, false), expected, 1e-6, "evaluation");
  const Tensor dropped =
      linen::apply_with({.rngs = {{"dropout", Key(1)}}}, DenseDropout{}, variables, x, true).first;
  expect_values(dropped, {2 * expected[0], 2 * expected[1], 0, 0}, 1e-6, "training");
}

TEST(Layers, N_078_EmbedAndLinear) {
  nnx::Rngs a(0), b(42), c(0);
  expect_values(nnx::Embed(5, 3, a).embedding,
                {0.57966787, -0.523274, -0.43195742, -0.676289, -0.50300646, 0.33996582, 0.41796115,
                 -0.59212935, 0.95934135, -1.0917838, -0.7441663, 0.07713798, -0.66570747,
                 0.13815777, 1.007365},
                1e-6, "Embed(5, 3)");
  expect_values(
      nnx::Linear(4, 2, b).kernel,
      {0.04119061, -0.2629074, 0.6772455, 0.2807398, 0.16276604, 0.16813846, 0.310975, -0.43336964},
      1e-6, "Linear(4, 2)");
  nnx::Linear first(4, 4, c), second(4, 4, c);
  expect_values(slice_axis(first.kernel, 0, 1, 0),
                {0.5350889, -0.48486355, -0.4022262, -0.61925626}, 1e-6, "first");
  expect_values(slice_axis(second.kernel, 3, 4, 0),
                {-0.5123713, -0.23335123, 0.4374407, 0.63321066}, 1e-6, "second");
}

TEST(Layers, N_078_LossesOfSmallModels) {
  nnx::Rngs rngs(0);
  nnx::Linear layer(2, 3, rngs);
  const Tensor x = rngs.uniform({4, 2}), y = rngs.uniform({4, 3});
  EXPECT_NEAR(mean(square(layer(x) - y)).item<double>(), 0.85250294, 1e-6);

  nnx::Rngs again(0);
  nnx::Linear up(2, 3, again), down(3, 4, again);
  const Tensor z = down(up(random::normal(Key(0), {1, 2})));
  EXPECT_NEAR(mean(square(z - 1)).item<double>(), 2.3359997, 2e-6);
}

TEST(Layers, N_129_DropoutStreams) {
  nnx::Rngs rngs(0);
  nnx::Linear linear(3, 4, rngs);
  nnx::Dropout dropout(0.5, rngs);
  const Tensor h = linear(ones({1, 3}));
  const std::vector<double> expected = {1.0533503, -1.2679932, -0.7960095, -1.2619419};
  expect_values(dropout(h, true), expected, 1e-6, "evaluation");
  expect_values(dropout(h) / 2, expected, 1e-6, "training: the first mask keeps everything");

  nnx::Rngs streams{{"params", Key(0)}, {"dropout", Key(1)}};
  const nnx::Dropout plain(0.5);
  plain(ones({4}), streams);
  expect_values(plain(ones({4}), streams), {2, 0, 2, 2}, 0, "second key");
}

struct ConvolutionNetwork {
  nnx::Conv conv1;
  nnx::BatchNorm norm1;
  nnx::Conv conv2;
  nnx::BatchNorm norm2;
  nnx::Linear linear1, linear2;
  nnx::Dropout drop1{0.025}, drop2{0.025};

  explicit ConvolutionNetwork(nnx::Rngs& rngs)
      : conv1(1, 32, {3, 3}, rngs),
        norm1(32, rngs),
        conv2(32, 64, {3, 3}, rngs),
        norm2(64, rngs),
        linear1(3136, 256, rngs),
        linear2(256, 10, rngs) {}
  LINNET_FIELDS(conv1, norm1, conv2, norm2, linear1, linear2, drop1, drop2)

  Tensor operator()(const Tensor& x, nnx::Rngs& rngs) {
    Tensor h = drop1(conv1(x), rngs);
    h = nnx::avg_pool(relu(norm1(h)), {2, 2}, {2, 2}, "SAME");
    h = nnx::avg_pool(relu(norm2(conv2(h))), {2, 2}, {2, 2}, "SAME");
    return linear2(relu(drop2(linear1(reshape(h, {x.shape(0), -1})), rngs)));
  }
};

TEST(Layers, N_078_ConvolutionNetworkOnOnes) {
  nnx::Rngs rngs(0);
  ConvolutionNetwork network(rngs);
  nnx::Rngs of_call(0);
  expect_values(network(ones({1, 28, 28, 1}), of_call),
                {0.11406855, 0.45456237, -0.6421087, -0.12120342, -0.22858061, 0.13615587,
                 1.0126833, -0.036236, 0.6132397, -0.0601905},
                5e-6, "logits");
}

TEST(Layers, R_062_the_count_of_a_stream_goes_round_as_upstream) {
  nnx::Rngs rngs(7), fresh(7);
  const std::vector<tree::LeafRef> leaves = tree::flatten(rngs["default"]).leaves;
  TensorList values = tree::read(leaves);
  ASSERT_EQ(values[1].dtype(), DType::kU32);
  values[1] = scalar_integer(0xFFFFFFFF, DType::kU32);
  tree::write(leaves, values);
  const Key last = rngs(), first = rngs();
  EXPECT_EQ(first.data().to_vector<uint32_t>(), fresh().data().to_vector<uint32_t>());
  EXPECT_EQ(last.data().to_vector<uint32_t>(),
            random::fold_in(Key(7), scalar_integer(0xFFFFFFFF, DType::kU32))
                .data()
                .to_vector<uint32_t>());
}

}  // namespace
}  // namespace linnet::layers_rng_test
