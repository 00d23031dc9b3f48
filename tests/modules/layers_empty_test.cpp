// Every layer of both APIs on inputs without elements: each dimension of its input in turn is 0.
// The result has the shape it has for other sizes, and gradients are defined; where a dimension
// cannot be 0 the layer says so.
#include "linnet/linen/layers_conv_local.h"
#include "linnet/linen/layers_weight_norm.h"
#include "linnet/nnx/layers_activation.h"
#include "linnet/nnx/layers_lora.h"
#include "linnet/nnx/layers_weight_norm.h"
#include "tests/modules/layers_support.h"

namespace linnet::layers_empty_test {
namespace {

struct EmptyCase {
  std::string name;
  Shape input;  ///< a shape that works; one dimension at a time becomes 0
  std::function<Tensor(const Tensor&)> run;
};

template <class Module, class... A>
std::function<Tensor(const Tensor&)> functional(Module module, A... more) {
  return [=](const Tensor& x) { return linen::init_with_output(module, Key(0), x, more...).first; };
}

/// The layer that `make(features, rngs)` gives for the input's last dimension.
template <class F>
std::function<Tensor(const Tensor&)> object(F make) {
  return [=](const Tensor& x) {
    nnx::Rngs rngs(0);
    auto layer = make(x.shape(-1), rngs);
    return layer(x);
  };
}

std::vector<EmptyCase> functional_cases() {
  using namespace linen;
  const auto spectral = [](const Tensor& x) {
    const SpectralNorm layer{Dense{.features = 4}};
    return init_with_output(layer, Key(0), true, x).first;
  };
  return {
      {"Dense", {2, 3}, functional(Dense{.features = 4})},
      {"DenseGeneral", {2, 3, 4}, functional(DenseGeneral{.features = {5}, .axis = {-2, -1}})},
      {"DenseGeneralBatch",
       {2, 3, 4},
       functional(DenseGeneral{.features = {5}, .batch_dims = {0}})},
      {"Conv", {2, 5, 3}, functional(Conv{.features = 4, .kernel = 3})},
      {"ConvCausal", {2, 5, 3}, functional(Conv{.features = 4, .kernel = 3, .padding = "CAUSAL"})},
      {"Conv2d", {2, 5, 5, 3}, functional(Conv{.features = 4, .kernel = {3, 3}, .strides = 2})},
      {"ConvTranspose", {2, 5, 3}, functional(ConvTranspose{.features = 4, .kernel = 3})},
      {"BatchNormTrain", {2, 3}, functional(BatchNorm{.use_running_average = false})},
      {"BatchNormEval", {2, 3}, functional(BatchNorm{.use_running_average = true})},
      {"LayerNorm", {2, 3}, functional(LayerNorm{})},
      {"RMSNorm", {2, 3}, functional(RMSNorm{})},
      {"GroupNorm", {2, 4, 6}, functional(GroupNorm{.num_groups = 3})},
      {"InstanceNorm", {2, 4, 6}, functional(InstanceNorm{})},
      {"Dropout", {2, 3}, functional(Dropout{.rate = 0.5, .deterministic = false})},
      {"SelfAttention", {2, 3, 4}, functional(SelfAttention{.heads = 2, .qkv_features = 4})},
      {"SelfAttentionCausal",
       {2, 3, 4},
       functional(SelfAttention{.heads = 2, .qkv_features = 4, .causal = true})},
      {"Sequential", {2, 3}, functional(linen::Sequential{Dense{4}, relu, Dense{2}})},
      {"RNN", {2, 5, 3}, functional(RNN{OptimizedLSTMCell{.features = 4}})},
      {"RNNReversed", {2, 5, 3}, functional(RNN{LSTMCell{.features = 4}, {.reverse = true}})},
      {"RNNOfConvolutions",
       {2, 4, 5, 3},
       functional(RNN{ConvLSTMCell{.features = 2, .kernel = {3}}})},
      {"Bidirectional",
       {2, 5, 3},
       functional(Bidirectional{RNN{GRUCell{.features = 4}}, RNN{MGUCell{.features = 4}}})},
      {"RNNOfSimpleCells", {2, 5, 3}, functional(RNN{SimpleCell{.features = 4}})},
      {"ConvLocal", {2, 5, 3}, functional(ConvLocal{.features = 4, .kernel = 3})},
      {"Einsum", {2, 3}, functional(Einsum{.shape = {3, 4}, .equation = "bi,io->bo"})},
      {"PReLU", {2, 3}, functional(PReLU{})},
      {"WeightNorm", {2, 3}, functional(WeightNorm{Dense{.features = 4}})},
      {"SpectralNorm", {2, 3}, spectral}};
}

std::vector<EmptyCase> object_cases() {
  using nnx::Rngs;
  const auto linear = [](int64_t n, Rngs& r) { return nnx::Linear(n, 4, r); };
  const auto general = [](int64_t n, Rngs& r) { return nnx::LinearGeneral({n}, {2, 2}, r); };
  const auto conv = [](int64_t n, Rngs& r) { return nnx::Conv(n, 4, {3}, r); };
  const auto strided = [](int64_t n, Rngs& r) {
    return nnx::Conv(n, 4, {3, 3}, {.strides = 2, .padding = 1}, r);
  };
  const auto transposed = [](int64_t n, Rngs& r) { return nnx::ConvTranspose(n, 4, {3}, r); };
  const auto batch = [](int64_t n, Rngs& r) { return nnx::BatchNorm(n, r); };
  const auto running = [](int64_t n, Rngs& r) {
    return nnx::BatchNorm(n, {.use_running_average = true}, r);
  };
  const auto layer = [](int64_t n, Rngs& r) { return nnx::LayerNorm(n, r); };
  const auto rms = [](int64_t n, Rngs& r) { return nnx::RMSNorm(n, r); };
  const auto group = [](int64_t n, Rngs& r) { return nnx::GroupNorm(n, {.num_groups = 3}, r); };
  const auto instance = [](int64_t n, Rngs& r) { return nnx::InstanceNorm(n, r); };
  const auto dropout = [](int64_t, Rngs& r) { return nnx::Dropout(0.5, r); };
  const auto attention = [](int64_t n, Rngs& r) {
    return nnx::MultiHeadAttention(2, n, {.qkv_features = 4}, r);
  };
  const auto lstm = [](int64_t n, Rngs& r) { return nnx::RNN(nnx::LSTMCell(n, 4, r)); };
  const auto optimized = [](int64_t n, Rngs& r) {
    return nnx::RNN(nnx::OptimizedLSTMCell(n, 4, r), {.reverse = true});
  };
  const auto both = [](int64_t n, Rngs& r) {
    return nnx::Bidirectional{nnx::RNN(nnx::GRUCell(n, 4, r)), nnx::RNN(nnx::SimpleCell(n, 4, r))};
  };
  const auto low_rank = [](int64_t n, Rngs& r) { return nnx::LoRA(n, 2, 4, r); };
  const auto low_rank_linear = [](int64_t n, Rngs& r) { return nnx::LoRALinear(n, 4, 2, r); };
  const auto slope = [](int64_t, Rngs&) { return nnx::PReLU(); };
  const auto weighted = [](int64_t n, Rngs& r) { return nnx::WeightNorm(nnx::Linear(n, 4, r), r); };
  const auto spectral = [](int64_t n, Rngs& r) {
    return nnx::SpectralNorm(nnx::Linear(n, 4, r), r);
  };
  return {{"Linear", {2, 3}, object(linear)},
          {"LoRA", {2, 3}, object(low_rank)},
          {"LoRALinear", {2, 3}, object(low_rank_linear)},
          {"PReLU", {2, 3}, object(slope)},
          {"WeightNorm", {2, 3}, object(weighted)},
          {"SpectralNorm", {2, 3}, object(spectral)},
          {"LinearGeneral", {2, 3}, object(general)},
          {"Conv", {2, 5, 3}, object(conv)},
          {"ConvStrided", {2, 5, 5, 3}, object(strided)},
          {"ConvTranspose", {2, 5, 3}, object(transposed)},
          {"BatchNormTrain", {2, 3}, object(batch)},
          {"BatchNormEval", {2, 3}, object(running)},
          {"LayerNorm", {2, 3}, object(layer)},
          {"RMSNorm", {2, 3}, object(rms)},
          {"GroupNorm", {2, 4, 6}, object(group)},
          {"InstanceNorm", {2, 4, 6}, object(instance)},
          {"Dropout", {2, 3}, object(dropout)},
          {"MultiHeadAttention", {2, 3, 4}, object(attention)},
          {"RNN", {2, 5, 3}, object(lstm)},
          {"RNNReversed", {2, 5, 3}, object(optimized)},
          {"Bidirectional", {2, 5, 3}, object(both)}};
}

std::vector<EmptyCase> function_cases() {
  return {
      {"avg_pool", {2, 5, 3}, [](const Tensor& x) { return layers::avg_pool(x, {2}); }},
      {"avg_pool_uncounted",
       {2, 5, 3},
       [](const Tensor& x) { return layers::avg_pool(x, {2}, 1, "SAME", false); }},
      {"max_pool", {2, 5, 3}, [](const Tensor& x) { return layers::max_pool(x, {2}); }},
      {"min_pool", {2, 5, 3}, [](const Tensor& x) { return layers::min_pool(x, {2}); }},
      {"flip_sequences",
       {2, 5, 3},
       [](const Tensor& x) { return layers::flip_sequences(x, full({x.shape(0)}, 3), 1); }},
      {"make_causal_mask", {2, 5}, [](const Tensor& x) { return layers::make_causal_mask(x); }}};
}

/// With dimension `axis` of size 0: an empty batch gives an empty batch; other dimensions may be
/// refused, but only with an error of the library.
void check_empty(const EmptyCase& test, size_t axis) {
  SCOPED_TRACE(test.name + " with dimension " + std::to_string(axis) + " of size 0");
  Shape shape = test.input;
  shape[axis] = 0;
  const Tensor full = test.run(ones(test.input));
  const bool batch = axis == 0;
  try {
    const Tensor y = test.run(zeros(shape));
    EXPECT_EQ(y.rank(), full.rank());
    EXPECT_EQ(y.dtype(), full.dtype());
    if (batch) {
      Shape expected = full.shape();
      expected[0] = 0;
      EXPECT_EQ(y.shape(), expected);
    }
    for (float value : y.to_vector<float>()) EXPECT_FALSE(std::isnan(value));
    const Tensor g = grad([&](const Tensor& x) { return sum(test.run(x)); })(zeros(shape));
    EXPECT_EQ(g.shape(), shape);
  } catch (const Error& error) {
    EXPECT_FALSE(batch) << "an empty batch is no error, got: " << error.what();
  }
}

void check_all(const std::vector<EmptyCase>& cases) {
  for (const EmptyCase& test : cases) {
    for (size_t axis = 0; axis < test.input.size(); ++axis) check_empty(test, axis);
  }
}

TEST(LayersAtSizeZero, functional_layers) { check_all(functional_cases()); }
TEST(LayersAtSizeZero, object_layers) { check_all(object_cases()); }
TEST(LayersAtSizeZero, functions_of_layers) { check_all(function_cases()); }

/// Under vmap over no entries the result has no entries, and the shape of one in its type.
void check_no_entries(const std::vector<EmptyCase>& cases) {
  for (const EmptyCase& test : cases) {
    SCOPED_TRACE("vmap over no entries of " + test.name);
    Shape shape{0};
    shape.append(test.input.begin(), test.input.end());
    const Tensor one = test.run(ones(test.input));
    Shape expected{0};
    expected.append(one.shape().begin(), one.shape().end());
    try {
      const Tensor y = vmap(test.run)(zeros(shape));
      EXPECT_EQ(y.shape(), expected);
      EXPECT_EQ(y.dtype(), one.dtype());
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

TEST(LayersAtSizeZero, vmap_of_functional_layers) { check_no_entries(functional_cases()); }
TEST(LayersAtSizeZero, vmap_of_object_layers) { check_no_entries(object_cases()); }
TEST(LayersAtSizeZero, vmap_of_functions_of_layers) { check_no_entries(function_cases()); }

TEST(LayersAtSizeZero, embeddings_of_no_tokens) {
  nnx::Rngs rngs(0);
  const nnx::Embed embed(5, 3, rngs);
  EXPECT_EQ(embed(zeros({0, 2}, DType::kI32)).shape(), (Shape{0, 2, 3}));
  EXPECT_EQ(embed.attend(zeros({0, 3})).shape(), (Shape{0, 5}));
  const linen::Embed functional{5, 3};
  EXPECT_EQ(linen::init_with_output(functional, Key(0), zeros({2, 0}, DType::kI32)).first.shape(),
            (Shape{2, 0, 3}));
  const nnx::Einsum einsum("ab,bc->ac", {3, 4}, Shape{4}, rngs);
  EXPECT_EQ(einsum(zeros({0, 3})).shape(), (Shape{0, 4}));
}

}  // namespace
}  // namespace linnet::layers_empty_test
