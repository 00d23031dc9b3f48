// The texts of errors that users of layers meet.
#include "tests/modules/error_message.h"
#include "tests/modules/layers_support.h"

namespace linnet::layers_errors_test {
namespace {

using linen::Scope;

const Tensor& input() {
  static const Tensor x = ones({2, 3});
  return x;
}

TEST(Layers, L_006_MissingCollectionAndParameter) {
  const std::string none =
      message<ModuleError>([] { linen::apply(linen::Dense{.features = 4}, {}, input()); });
  EXPECT_HAS(none, "ScopeCollectionNotFound");
  EXPECT_HAS(none, "parameter 'kernel'");
  EXPECT_HAS(none, "pass the variables that init returned");
  const linen::Variables other{{"params", {{"bias", linen::Variables(zeros({4}))}}}};
  const std::string absent =
      message<ModuleError>([&] { linen::apply(linen::Dense{.features = 4}, other, input()); });
  EXPECT_HAS(absent, "ScopeParamNotFoundError: no parameter 'kernel'");
}

struct Wrapper {
  Tensor operator()(Scope& s, const Tensor& x) const {
    return s("inner", linen::Dense{.features = 4}, x);
  }
};

TEST(Layers, L_006_WrongParameterShape) {
  const linen::Variables variables = linen::init(Wrapper{}, Key(0), input());
  const std::string text = message<ModuleError>([&] {
    linen::apply(Wrapper{}, variables, ones({2, 5}));
  });
  EXPECT_HAS(text, "ScopeParamShapeError: parameter 'kernel' in scope /inner");
  EXPECT_HAS(text, "expected shape [5,4], got f32[3,4]");
}

TEST(Layers, L_130_ImmutableCollection) {
  const linen::BatchNorm norm;
  const linen::Variables variables = linen::init(norm, Key(0), input(), true);
  const std::string text =
      message<ModuleError>([&] { linen::apply(norm, variables, input(), false); });
  EXPECT_HAS(text, "ModifyScopeVariableError: cannot write 'mean'");
  EXPECT_HAS(text, "collection 'batch_stats' is immutable");
  EXPECT_HAS(text, "apply_with({.mutate = {\"batch_stats\"}}");
}

TEST(Layers, L_014_MissingRandomStream) {
  const std::string text =
      message<ModuleError>([] { linen::apply(linen::Dropout{0.5}, {}, input(), false); });
  EXPECT_HAS(text, "InvalidRngError");
  EXPECT_HAS(text, "'dropout'");
}

struct SameName {
  Tensor operator()(Scope& s, const Tensor& x) const {
    const Tensor h = s("dense", linen::Dense{.features = 4}, x);
    return s("dense", linen::Dense{.features = 4}, h);
  }
};

TEST(Layers, L_032_NameInUse) {
  const std::string text = message<ModuleError>([] { linen::init(SameName{}, Key(0), input()); });
  EXPECT_HAS(text, "NameInUseError: cannot create submodule 'dense'");
}

TEST(Layers, L_129_ModeGivenOnce) {
  const linen::BatchNorm norm{.use_running_average = true};
  EXPECT_HAS(message<ValueError>([&] { linen::init(norm, Key(0), input(), true); }),
             "BatchNorm: 'use_running_average' must be given once, to the layer or to the call; it "
             "was given "
             "to both");
  EXPECT_HAS(message<ValueError>([&] { linen::init(linen::BatchNorm{}, Key(0), input()); }),
             "to neither");
  EXPECT_HAS(message<ValueError>([&] { linen::init(linen::Dropout{0.5}, Key(0), input()); }),
             "Dropout: 'deterministic'");
}

TEST(Layers, L_118_BatchDimensions) {
  const linen::DenseGeneral layer{.features = {2}, .axis = {-1}, .batch_dims = {1}};
  EXPECT_HAS(message<ValueError>([&] {
               linen::init(layer, Key(0), ones({2, 3, 4}));
             }),
             "batch dimensions must be consecutive and start at 0, got [1]");
}

TEST(Layers, L_119_N_119_EinsumEquations) {
  const Tensor x = ones({2, 3, 5});
  const linen::Einsum once{.shape = {5, 2}, .equation = "abc,cd->abd"};
  EXPECT_HAS(message<ValueError>([&] { linen::init(once, Key(0), x, "abc,cd->abd"); }),
             "given once");
  EXPECT_HAS(message<ValueError>([&] {
               linen::init(linen::Einsum{.shape = {5, 2}, .equation = "abc,cd"}, Key(0), x);
             }),
             "explicit output");
  EXPECT_HAS(message<ValueError>([&] {
               linen::init(linen::Einsum{.shape = {5, 2}, .equation = "abc->ab"}, Key(0), x);
             }),
             "two operands");
  nnx::Rngs rngs(0);
  const nnx::Einsum dots("...c, cd -> ...d", {5, 2}, Shape{2}, rngs);
  EXPECT_EQ(dots(x).shape(), (Shape{2, 3, 2}));
  EXPECT_EQ(dots(x, "abc,cd->bad").shape(), (Shape{3, 2, 2})) << "another equation for a call";
  EXPECT_HAS(message<ValueError>([&] { dots(x, "abc,cd"); }), "explicit output");
  EXPECT_HAS(message<ValueError>([&] {
               nnx::Einsum("abc->ab", {5, 2}, {}, rngs);
             }),
             "two operands");
  const nnx::Einsum none("abc,cd->abd", {5, 2}, {}, rngs);
  EXPECT_FALSE(none.bias);
}

TEST(Layers, L_121_Paddings) {
  EXPECT_HAS(message<ValueError>([] { linen::Padding("same"); }), "got 'same'");
  nnx::Rngs rngs(0);
  const nnx::Conv causal(1, 1, {3, 3}, {.padding = "CAUSAL"}, rngs);
  EXPECT_HAS(message<ValueError>([&] {
               causal(ones({1, 4, 4, 1}));
             }),
             "one spatial dimension, got 2");
  const nnx::Conv pairs(1, 1, {3, 3}, {.padding = {1, 1, 1}}, rngs);
  EXPECT_HAS(message<ValueError>([&] {
               pairs(ones({1, 4, 4, 1}));
             }),
             "padding for 2 spatial dimensions, got 3");
  EXPECT_HAS(message<ValueError>([&] { nnx::Conv(3, 4, {3}, {.feature_group_count = 2}, rngs); }),
             "2 groups do not divide 3 input and 4 output features");
}

TEST(Layers, numbers_of_windows_that_do_not_fit_are_refused) {
  constexpr int64_t kHuge = int64_t{1} << 62;
  nnx::Rngs rngs(0);
  const Tensor x = ones({1, 4, 1});
  for (const char* rule : {"SAME", "VALID", "CIRCULAR", "REFLECT", "CAUSAL"}) {
    SCOPED_TRACE(rule);
    EXPECT_THROW(nnx::Conv(1, 1, {3}, {.padding = rule, .kernel_dilation = kHuge}, rngs)(x),
                 ValueError);
    EXPECT_THROW(nnx::Conv(1, 1, {3}, {.strides = kHuge, .padding = rule}, rngs)(x), ValueError);
    EXPECT_THROW(nnx::Conv(1, 1, {kHuge}, {.padding = rule}, rngs), Error);
  }
  EXPECT_THROW(nnx::Conv(1, 1, {3}, {.padding = {{kHuge, kHuge}}}, rngs)(x), ValueError);
  EXPECT_THROW(nnx::Conv(1, 1, {3}, {.padding = -kHuge}, rngs)(x), ValueError);
  EXPECT_THROW(nnx::Conv(1, 1, {3}, {.input_dilation = kHuge}, rngs)(x), ValueError);
  EXPECT_THROW(nnx::ConvTranspose(1, 1, {3}, {.strides = kHuge}, rngs)(x), ValueError);
  EXPECT_THROW(nnx::ConvTranspose(1, 1, {3}, {.kernel_dilation = kHuge}, rngs)(x), ValueError);
  EXPECT_THROW(layers::avg_pool(x, {kHuge}), ValueError);
  EXPECT_THROW(layers::max_pool(x, {2}, kHuge), ValueError);
  EXPECT_THROW(layers::min_pool(x, {2}, 1, {{kHuge, 0}}), ValueError);
}

TEST(Layers, L_125_N_122_EmbedWantsIntegers) {
  EXPECT_HAS(message<DTypeError>([] {
               linen::init(linen::Embed{5, 3}, Key(0), ones({2}));
             }),
             "embed: expected integer indices, got f32[2]");
}

TEST(Layers, L_139_AttentionArguments) {
  const Tensor x = ones({2, 4, 6});
  EXPECT_HAS(message<ValueError>([&] { linen::init(linen::SelfAttention{.heads = 4}, Key(0), x); }),
             "SelfAttention: 4 heads do not divide 6 features");
  EXPECT_HAS(message<ValueError>([&] {
               linen::init(linen::MultiHeadDotProductAttention{.heads = 2}, Key(0), x, Tensor(), x);
             }),
             "values were given without keys");
  EXPECT_HAS(message<ValueError>([&] {
               linen::init(linen::SelfAttention{.heads = 2, .dropout_rate = 0.1}, Key(0), x);
             }),
             "'deterministic' must be given once");
}

TEST(Layers, N_117_WrongInputs) {
  nnx::Rngs rngs(0);
  const nnx::Linear linear(3, 4, rngs);
  EXPECT_HAS(message<ShapeError>([&] { linear(ones({2, 5})); }), "expected x [..., 3]");
  EXPECT_HAS(message<ValueError>([&] {
               nnx::LinearGeneral({2, 3}, {4}, rngs);
             }),
             "one axis for each");
  const nnx::LinearGeneral general({3}, {4}, rngs);
  EXPECT_HAS(message<ShapeError>([&] { general(ones({2, 5})); }), "expected sizes [3]");
  const std::string text = message<ModuleError>([&] {
    nnx::Rngs only{{"dropout", Key(0)}};
    nnx::Linear(3, 4, only);
  });
  EXPECT_HAS(text, "No RngStream named 'params'");
}

}  // namespace
}  // namespace linnet::layers_errors_test
