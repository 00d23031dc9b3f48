// What layers do beside their numbers: shapes, options, modes, names, metadata; and that both
// module APIs agree.
#include "tests/modules/layers_support.h"
#include "tests/ops/random_support.h"

namespace linnet::layers_test {
namespace {

using linen::Scope;
using testing::expect_golden;
using testing::expect_identical;
using testing::expect_values;

TEST(Layers, L_116_PromoteDtype) {
  const Tensor f16 = ones({2}, DType::kF16), f32 = ones({2}), i32 = arange(2);
  EXPECT_EQ(linen::canonicalize_dtype({f16, f32}, {}), DType::kF32);
  EXPECT_EQ(linen::canonicalize_dtype({f16, i32, Tensor()}, {}), DType::kF16);
  EXPECT_EQ(linen::canonicalize_dtype({i32}, {}), DType::kF32);
  EXPECT_EQ(linen::canonicalize_dtype({f32, 1.0}, DType::kBF16), DType::kBF16);
  EXPECT_THROW(linen::canonicalize_dtype({f32}, DType::kI32), DTypeError);
  const TensorList same = linen::promote_dtype({f16, Tensor(), f32}, {});
  EXPECT_EQ(same[0].dtype(), DType::kF32);
  EXPECT_FALSE(same[1].defined());
}

TEST(Layers, L_117_ParametersKeepTheirDtype) {
  const linen::Dense layer{.features = 3, .dtype = DType::kBF16, .param_dtype = DType::kF16};
  const auto [y, variables] = linen::init_with_output(layer, Key(0), ones({2, 4}));
  EXPECT_EQ(y.dtype(), DType::kBF16);
  EXPECT_EQ(variables["params"]["kernel"].dtype(), DType::kF16);
  const Tensor of_integers =
      linen::init_with_output(linen::Dense{.features = 3}, Key(0), ones({2, 4}, DType::kI32)).first;
  EXPECT_EQ(of_integers.dtype(), DType::kF32);
}

TEST(Layers, L_118_DenseIsDenseGeneral) {
  const Tensor x = random::normal(Key(5), {2, 3, 4});
  expect_identical(linen::init_with_output(linen::Dense{.features = 5}, Key(0), x).first,
                   linen::init_with_output(linen::DenseGeneral{.features = {5}}, Key(0), x).first,
                   "values");
}

TEST(Layers, L_120_ConvWithoutAndWithSeveralBatchDimensions) {
  const Tensor x = random::normal(Key(1), {2, 3, 5, 6, 2});
  const linen::Conv layer{.features = 4, .kernel = {3, 3}, .strides = 2};
  const auto [y, variables] = linen::init_with_output(layer, Key(0), x);
  EXPECT_EQ(y.shape(), (Shape{2, 3, 3, 3, 4}));
  expect_golden(linen::apply(layer, variables, x[1]), y[1], 1e-6, "one batch dimension");
  expect_golden(linen::apply(layer, variables, x[1][2]), y[1][2], 1e-6, "none");
}

TEST(Layers, L_122_N_120_N_121_ConvMask) {
  const Tensor x = random::normal(Key(1), {1, 5, 2});
  const Tensor mask = concatenate({zeros({1, 2, 3}), ones({2, 2, 3})});
  const linen::Conv masked{.features = 3, .kernel = 3, .mask = mask};
  linen::Variables variables = linen::init(masked, Key(0), x);
  const Tensor y = linen::apply(masked, variables, x);
  const Tensor kernel = variables["params"]["kernel"];
  variables.at_path({"params", "kernel"}) = linen::Variables(kernel * mask);
  expect_golden(y, linen::apply(linen::Conv{.features = 3, .kernel = 3}, variables, x), 1e-6,
                "mask");
  nnx::Rngs rngs(0);
  const nnx::Conv object(2, 3, 3, {.mask = mask}, rngs);
  nnx::Conv unmasked(2, 3, 3, rngs);
  unmasked.kernel = object.kernel.value() * mask;
  expect_golden(object(x), unmasked(x), 1e-6, "mask of an object");
  const nnx::ConvTranspose transposed(2, 3, 3, {.mask = mask}, rngs);
  nnx::ConvTranspose plain(2, 3, 3, rngs);
  plain.kernel = transposed.kernel.value() * mask;
  expect_golden(transposed(x), plain(x), 1e-6, "mask of a transposed convolution");
}

TEST(Layers, L_121_CircularConvIsPeriodic) {
  nnx::Rngs rngs(0);
  const nnx::Conv conv(2, 3, {3, 4}, {.padding = "CIRCULAR"}, rngs);
  const Tensor x = random::normal(Key(1), {1, 5, 6, 2});
  expect_golden(conv(roll(roll(x, 2, 1), 1, 2)), roll(roll(conv(x), 2, 1), 1, 2), 1e-5, "shifted");
}

TEST(Layers, L_126_N_122_EmbedAttendsWithTheSameTable) {
  nnx::Rngs rngs(0);
  const nnx::Embed embed(7, 3, rngs);
  const Tensor query = random::normal(Key(1), {2, 3});
  expect_golden(embed.attend(query), matmul(query, transpose(embed.embedding)), 1e-6, "attend");
  const Tensor out = embed(tensor({1, 9, -1}));
  EXPECT_TRUE(all(is_nan(out[1])).item<bool>());
  expect_identical(out[2], Tensor(embed.embedding)[6], "negative indices count from the end");
  const nnx::Embed single(1, 3, rngs);
  expect_identical(single(tensor({4, 0}))[0], Tensor(single.embedding)[0], "one row is for all");
  const nnx::Embed half(7, 3, {.param_dtype = DType::kBF16}, rngs);
  EXPECT_EQ(half(tensor({1})).dtype(), DType::kBF16) << "that of the table";
  EXPECT_THROW(half(ones({2})), DTypeError);
  const nnx::Embed wide(7, 3, {.dtype = DType::kF32, .param_dtype = DType::kBF16}, rngs);
  EXPECT_EQ(wide(tensor({1})).dtype(), DType::kF32);

  struct Tied {
    Tensor operator()(Scope& s, const Tensor& tokens) const {
      const linen::Embed layer{7, 3};
      Scope shared = s.child("embed");
      const Tensor x = Scope::call(shared, layer, tokens);
      return Scope::call(
          shared, [&](Scope& scope, const Tensor& h) { return layer.attend(scope, h); }, x);
    }
  };
  const auto [logits, variables] = linen::init_with_output(Tied{}, Key(0), tensor({1, 2}));
  EXPECT_EQ(logits.shape(), (Shape{2, 7}));
  EXPECT_EQ(linen::flat_leaves(variables).size(), 1u);
}

TEST(Layers, L_129_BatchNormFollowsTheRunningRule) {
  const Tensor x = random::normal(Key(1), {8, 3}) * 3 + 2;
  const linen::BatchNorm norm{.momentum = 0.75};
  const linen::Variables variables = linen::init(norm, Key(0), x, false);
  expect_values(variables["batch_stats"]["mean"], {0, 0, 0}, 0, "init does not move statistics");
  auto [y, updates] = linen::apply_with({.mutate = "batch_stats"}, norm, variables, x, false);
  expect_golden(updates["batch_stats"]["mean"], 0.25 * mean(x, Axes{0}), 1e-6, "mean");
  expect_golden(updates["batch_stats"]["var"], 0.75 + 0.25 * var(x, Axes{0}), 1e-5,
                "biased variance");
  expect_values(mean(y, Axes{0}), {0, 0, 0}, 1e-6, "normalised");
  const Tensor again = linen::apply(norm, variables | updates, x, true);
  const Tensor m = updates["batch_stats"]["mean"], v = updates["batch_stats"]["var"];
  expect_golden(again, (x - m) * rsqrt(v + 1e-5), 1e-6, "running averages in use");
}

TEST(Layers, L_129_BatchNormOnAnotherAxis) {
  const Tensor x = random::normal(Key(1), {4, 3, 5});
  nnx::Rngs a(0), b(0);
  nnx::BatchNorm first(3, {.axis = {1}}, a), last(3, b);
  expect_golden(first(x), moveaxis(last(moveaxis(x, 1, 2)), 2, 1), 2e-6, "axis 1");
  expect_golden(first.var, last.var, 1e-6, "variance");
  nnx::BatchNorm half(3, {.dtype = DType::kBF16}, a);
  EXPECT_EQ(half(zeros({2, 3})).dtype(), DType::kBF16);
  EXPECT_EQ(half(zeros({2, 3}, DType::kBF16), true).dtype(), DType::kBF16);
}

TEST(Layers, L_133_N_125_N_126_GroupNormChecksItsGroups) {
  nnx::Rngs rngs(0);
  EXPECT_THROW(nnx::GroupNorm(6, {.num_groups = 4}, rngs), ValueError);
  EXPECT_THROW(nnx::GroupNorm(6, {.num_groups = 3, .group_size = 2}, rngs), ValueError);
  EXPECT_THROW(nnx::GroupNorm(6, {.num_groups = {}}, rngs), ValueError);
  const Tensor x = random::normal(Key(1), {2, 3, 6});
  const nnx::GroupNorm by_size(6, {.num_groups = {}, .group_size = 1}, rngs);
  const nnx::InstanceNorm instance(6, rngs);
  expect_golden(by_size(x), instance(x), 2e-6, "one channel a group is instance normalisation");
  const nnx::InstanceNorm first(2, {.feature_axes = {0}}, rngs);
  EXPECT_THROW(first(x), ValueError);
}

TEST(Layers, L_131_MaskedNormIgnoresWhatIsMasked) {
  nnx::Rngs rngs(0);
  const nnx::LayerNorm norm(6, rngs);
  const Tensor x = random::normal(Key(1), {3, 6});
  const Tensor mask = broadcast_to(less(arange(6), 4), {3, 6});
  const Tensor y = norm(x, mask);
  const Tensor part = slice_axis(x, 0, 4, 1);
  const Tensor expected =
      (part - mean(part, Axes{1}, true)) * rsqrt(var(part, Axes{1}, true) + 1e-6);
  expect_golden(slice_axis(y, 0, 4, 1), expected, 2e-6, "statistics of four elements");
}

TEST(Layers, L_137_N_135_AttentionIsOneFormulaWhateverIsAsked) {
  const Tensor q = random::normal(Key(1), {2, 3, 5, 4, 8}),
               k = random::normal(Key(2), {2, 3, 6, 2, 8});
  const Tensor v = random::normal(Key(3), {2, 3, 6, 2, 8}),
               bias = random::normal(Key(4), {4, 5, 6});
  const Tensor mask =
      linen::make_attention_mask(ones({2, 3, 5}), astype(less(arange(6), 4), DType::kF32));
  Tensor weights;
  const Tensor fast =
      linen::dot_product_attention(q, k, v, {.bias = bias, .mask = mask, .causal = true});
  const Tensor slow = linen::dot_product_attention(
      q, k, v, {.bias = bias, .mask = mask, .causal = true, .on_weights = [&](const Tensor& w) {
                  weights = w;
                }});
  EXPECT_EQ(weights.shape(), (Shape{2, 3, 4, 5, 6}));
  expect_golden(sum(weights, Axes{-1}), ones({2, 3, 4, 5}), 1e-6, "weights sum to one");
  expect_identical(slow, fast, "reading the weights changes nothing");
  // A rate too small to drop anything changes nothing but the factor, which rounds to one.
  const Tensor kept = linen::dot_product_attention(
      q, k, v,
      {.bias = bias, .mask = mask, .causal = true, .dropout_rate = 1e-12, .dropout_key = [] {
         return Key(5);
       }});
  expect_identical(kept, fast, "dropout differs by what is dropped only");
}

TEST(Layers, N_135_AttentionOfFewerKeyHeadsRepeatsThem) {
  const Tensor q = random::normal(Key(1), {2, 5, 4, 8}), k = random::normal(Key(2), {2, 6, 2, 8}),
               v = random::normal(Key(3), {2, 6, 2, 8});
  expect_golden(nnx::dot_product_attention(q, k, v),
                nnx::dot_product_attention(q, repeat(k, 2, 2), repeat(v, 2, 2)), 1e-6, "repeated");
  const Tensor square = slice_axis(k, 0, 5, 1), values = slice_axis(v, 0, 5, 1);
  expect_golden(
      nnx::dot_product_attention(q, square, values, {.causal = true}),
      nnx::dot_product_attention(q, square, values, {.mask = nnx::make_causal_mask(ones({2, 5}))}),
      1e-6, "causal");
  const auto refused = [&](const Tensor& a, const Tensor& b, const Tensor& c) -> std::string {
    try {
      nnx::dot_product_attention(a, b, c);
    } catch (const ShapeError& e) {
      return e.what();
    }
    return "nothing thrown";
  };
  const auto expect_text = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  expect_text(refused(slice_axis(q, 0, 3, 2), k, v), "3 query heads do not divide into groups");
  expect_text(refused(q, k[0], v), "got f32[2,5,4,8], f32[6,2,8] and f32[2,6,2,8]");
  expect_text(refused(q, slice_axis(k, 0, 1, 0), v), "differ in batch dimensions");
  expect_text(refused(q, k, slice_axis(v, 0, 5, 1)), "k f32[2,6,2,8] and v f32[2,5,2,8] differ");
  expect_text(refused(q, slice_axis(k, 0, 7, 3), v), "f32[2,6,2,7]");
}

TEST(Layers, L_144_N_136_Masks) {
  EXPECT_EQ(linen::make_causal_mask(ones({2, 3})).shape(), (Shape{2, 1, 3, 3}));
  expect_values(linen::make_causal_mask(ones({3})), {1, 0, 0, 1, 1, 0, 1, 1, 1}, 0, "causal");
  EXPECT_EQ(linen::make_causal_mask(ones({3}), 2).shape(), (Shape{1, 1, 1, 3, 3}));
  EXPECT_FALSE(linen::combine_masks({Tensor(), Tensor()}).defined());
  const Tensor both =
      linen::combine_masks({tensor({1.f, 1.f, 0.f}), Tensor(), tensor({1.f, 0.f, 1.f})});
  expect_values(both, {1, 0, 0}, 0, "and");
  EXPECT_THROW(nnx::combine_masks({ones({2}), ones({2, 2})}), ValueError);
  const Tensor seen = nnx::make_attention_mask(tensor({1, 1, 0}), tensor({1, 0}));
  EXPECT_EQ(seen.shape(), (Shape{1, 3, 2}));
  expect_values(seen, {1, 0, 1, 0, 0, 0}, 0, "pairs");
  EXPECT_EQ(nnx::make_attention_mask(ones({2, 3}), ones({2, 4}), {}, 1, DType::kBool).type(),
            (TensorType{DType::kBool, {1, 2, 1, 3, 4}, false, default_device()}));
  expect_values(nnx::make_attention_mask(tensor({0, 2}), tensor({1, 2}), equal), {0, 0, 0, 1}, 0,
                "another comparison");
}

TEST(Layers, L_142_AttentionSowsItsWeights) {
  const Tensor x = random::normal(Key(1), {2, 4, 6});
  const linen::SelfAttention layer{.heads = 3};
  const linen::Variables variables = linen::init(layer, Key(0), x);
  const auto [y, sown] = linen::apply_with({.mutate = "intermediates"}, layer, variables, x,
                                           linen::AttentionCall{.sow_weights = true});
  EXPECT_EQ(sown["intermediates"]["attention_weights"].leaf().tensors[0].shape(),
            (Shape{2, 3, 4, 4}));
  expect_golden(y, linen::apply(layer, variables, x), 2e-6, "same output");
}

TEST(Layers, N_137_AttentionSowsItsWeights) {
  nnx::Rngs rngs(0);
  nnx::MultiHeadAttention layer(3, 6, {.num_kv_heads = 1}, rngs);
  layer(random::normal(Key(1), {2, 4, 6}), {.sow_weights = true});
  const state::Value sown = layer.attention_weights->raw_value();
  ASSERT_EQ(sown.tensors.size(), 1u);
  EXPECT_EQ(sown.tensors[0].shape(), (Shape{2, 3, 4, 4}));
  EXPECT_THROW(nnx::MultiHeadAttention(4, 6, rngs), ValueError);
  EXPECT_THROW(nnx::MultiHeadAttention(3, 6, {.num_kv_heads = 2}, rngs), ValueError);
  EXPECT_THROW(layer(ones({2, 4, 5})), ValueError);
}

TEST(Layers, L_145_DropoutAtTheEnds) {
  const Tensor x = random::normal(Key(1), {3, 4});
  const linen::RngStreams rngs{{"dropout", Key(1)}};
  const auto apply = [&](double rate) {
    return linen::apply_with({.rngs = rngs}, linen::Dropout{rate}, {}, x, false).first;
  };
  expect_identical(apply(0), x, "rate 0");
  expect_identical(apply(1), zeros({3, 4}), "rate 1");
  const Tensor gradient = grad([&](const Tensor& v) {
    return sum(linen::apply_with({.rngs = rngs}, linen::Dropout{1}, {}, v, false).first);
  })(x);
  expect_identical(gradient, zeros({3, 4}), "gradient at rate 1");
  expect_identical(linen::apply(linen::Dropout{0.5, {}, true}, {}, x), x, "deterministic, no key");
  const Tensor by_key = linen::apply(linen::Dropout{0.5}, {}, x, false, Key(7));
  expect_identical(by_key, dropout(x, Key(7).data(), 0.5), "key of the call");
}

TEST(Layers, N_129_DropoutModes) {
  nnx::Rngs rngs(0);
  nnx::Dropout drop(0.5, rngs);
  const Tensor x = ones({64});
  nnx::eval(drop);
  expect_identical(drop(x), x, "evaluation");
  EXPECT_FALSE(all(equal(drop(x, false), x)).item<bool>());
  nnx::train(drop);
  EXPECT_FALSE(all(equal(drop(x), x)).item<bool>());
  expect_identical(drop(x, Key(3)), drop(x, Key(3)), "a key of the call");
  nnx::Dropout without(0.5);
  EXPECT_THROW(without(x), ModuleError);
}

TEST(Layers, L_161_Sequential) {
  const linen::Sequential chain{
      linen::Dense{4}, relu, [](const Tensor& x) { return std::make_tuple(x, 2 * x); },
      [](const Tensor& a, const Tensor& b) { return b - a; }, linen::Dense{2}};
  const Tensor x = random::normal(Key(1), {3, 5});
  const auto [y, variables] = linen::init_with_output(chain, Key(0), x);
  EXPECT_EQ(variables["params"].keys(), (std::vector<std::string>{"layers_0", "layers_4"}));
  const Tensor h =
      relu(linen::apply(linen::Dense{4}, {{"params", variables["params"]["layers_0"]}}, x));
  expect_golden(y, linen::apply(linen::Dense{2}, {{"params", variables["params"]["layers_4"]}}, h),
                1e-6, "chain");
  const linen::Sequential<> empty;
  EXPECT_THROW(linen::apply(empty, {}, x), ValueError);
}

Tensor of_two(const Tensor& x, double scale) { return x * scale; }

TEST(Layers, L_161_N_041_activations_by_name_in_a_sequential) {
  const Tensor x = random::normal(Key(1), {3, 5});
  nnx::Rngs rngs(0);
  const nnx::Linear layer(5, 4, rngs);
  const Tensor h = layer(x);
  const auto check = [&](auto* f, const Tensor& expected, const char* name) {
    expect_identical((nnx::Sequential{layer, f}(x)), expected, name);
    const linen::Variables given{
        {"params",
         {{"layers_0", {{"kernel", layer.kernel.value()}, {"bias", layer.bias->value()}}}}}};
    expect_identical(linen::apply(linen::Sequential{linen::Dense{4}, f}, given, x), expected, name);
  };
  check(gelu, gelu(h), "gelu");
  check(leaky_relu, leaky_relu(h), "leaky_relu");
  check(elu, elu(h), "elu");
  check(celu, celu(h), "celu");
  check(squareplus, squareplus(h), "squareplus");
  check(silu, silu(h), "silu");
  nnx::Sequential other{layer, of_two};
  EXPECT_THROW(other(x), ValueError) << "its default, if it has one, is not known";
  nnx::Sequential two{[](const Tensor& v) { return std::make_pair(v, 2.0); }, of_two};
  expect_identical(two(x), x * 2, "both arguments are given");
  nnx::Sequential exact{layer, [](const Tensor& v) { return std::make_pair(v, false); }, gelu};
  expect_identical(exact(x), gelu(h, false), "both arguments are given");
}

TEST(Layers, N_041_Sequential) {
  nnx::Rngs rngs(0);
  nnx::Sequential chain{nnx::Linear(5, 4, rngs), relu, nnx::Linear(4, 2, rngs)};
  const Tensor x = random::normal(Key(1), {3, 5});
  expect_golden(std::as_const(chain)(x),
                std::get<2>(chain.layers)(relu(std::get<0>(chain.layers)(x))), 0, "chain");
  const nnx::State state = nnx::state(chain);
  EXPECT_TRUE(state.contains("layers/0/kernel") && state.contains("layers/2/bias"));
  nnx::Sequential<> empty;
  expect_identical(empty(x), x, "empty is the identity");
  nnx::Sequential dropping{nnx::Linear(5, 4, rngs), nnx::Dropout(0.5)};
  nnx::Rngs a(3), b(3);
  expect_identical(dropping.call(a, x), dropping.call(b, x), "random streams are handed on");
}

TEST(Layers, L_107_PartitionedParameters) {
  const linen::Dense layer{
      .features = 4, .kernel_init = linen::with_partitioning(init::lecun_normal(), {"in", "out"})};
  const Tensor x = ones({2, 3});
  const linen::Variables boxed = linen::init(layer, Key(0), x);
  ASSERT_TRUE(boxed["params"]["kernel"].box().has_value());
  EXPECT_EQ(*boxed["params"]["kernel"].box()->metadata.get<AxisNames>("out_sharding"),
            (AxisNames{"in", "out"}));
  const linen::Variables plain = linen::init(linen::Dense{.features = 4}, Key(0), x);
  expect_identical(boxed["params"]["kernel"], plain["params"]["kernel"], "same values");
  expect_identical(linen::apply(layer, boxed, x), linen::apply(layer, plain, x), "same output");
  const linen::DenseGeneral general{
      .features = {2, 2},
      .kernel_init = linen::with_partitioning(init::lecun_normal(), {{}, "a", "b"})};
  const linen::Variables flattened = linen::init(general, Key(0), x);
  EXPECT_EQ(flattened["params"]["kernel"].shape(), (Shape{3, 2, 2}));
  EXPECT_TRUE(flattened["params"]["kernel"].box().has_value());
}

TEST(Layers, N_149_PartitionedVariables) {
  nnx::Rngs rngs(0);
  const nnx::Linear layer(
      3, 4,
      {.kernel_init = nnx::with_partitioning(init::lecun_normal(), {{}, "model"}),
       .bias_metadata = {{"tag", std::string("frozen")}}},
      rngs);
  EXPECT_EQ(*layer.kernel.metadata().get<AxisNames>("out_sharding"), (AxisNames{{}, "model"}));
  EXPECT_EQ(*layer.bias->metadata().get<std::string>("tag"), "frozen");
}

TEST(Layers, N_115_KeysAreUsedOnlyForWhatExists) {
  nnx::Rngs a(0), b(0);
  const nnx::Linear without(3, 4, {.use_bias = false}, a);
  const nnx::BatchNorm norm(4, {.use_bias = false, .use_scale = false}, a);
  EXPECT_EQ(a.stream("params").count().item<int>(), 1);
  const nnx::Linear with(3, 4, b);
  EXPECT_EQ(b.stream("params").count().item<int>(), 2);
  EXPECT_FALSE(without.bias.has_value() || norm.scale.has_value());
}

TEST(Layers, N_116_BothApisAgreeOnTheSameVariables) {
  nnx::Rngs rngs(0);
  nnx::MultiHeadAttention object(2, 6, {.out_features = 5, .normalize_qk = true}, rngs);
  const Tensor x = random::normal(Key(1), {2, 4, 6});
  linen::Variables variables;
  const nnx::State state = nnx::state(object);
  for (const auto& [path, leaf] : state.entries()) {
    std::vector<std::string> names{"params"};
    for (const tree::Key& key : path) names.push_back(key.name);
    variables.at_path(names) = linen::Variables(leaf.value());
  }
  const linen::MultiHeadAttention functional{.heads = 2, .out_features = 5, .normalize_qk = true};
  expect_identical(linen::apply(functional, variables, x), object(x), "attention");
}

}  // namespace
}  // namespace linnet::layers_test
