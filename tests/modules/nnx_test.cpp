// The object module machinery: variables, states, graph definitions, filters, sharing, random
// streams, modes and gradients.
#include <gtest/gtest.h>

#include <sstream>

#include "linnet/core.h"
#include "linnet/error.h"
#include "linnet/losses.h"
#include "linnet/nnx.h"
#include "linnet/optim.h"

namespace linnet::nnx_test {
namespace {

struct Count : nnx::VariableOf<Count> {
  using VariableOf::VariableOf;
  using VariableOf::operator=;
};

struct Mlp {
  nnx::Linear up, down;
  nnx::BatchNorm norm;
  nnx::Dropout drop;
  Count calls;
  explicit Mlp(nnx::Rngs& rngs)
      : up(3, 8, rngs),
        down(8, 2, rngs),
        norm(8, rngs),
        drop(0.5, rngs),
        calls(scalar(0, DType::kF32)) {}
  LINNET_FIELDS(up, down, norm, drop, calls)

  Tensor operator()(const Tensor& x) {
    calls = calls.value() + 1;
    return down(drop(relu(norm(up(x)))));
  }
};

Mlp make() {
  nnx::Rngs rngs(0);
  return Mlp(rngs);
}
Tensor input() { return random::normal(Key(5), {4, 3}); }
std::vector<float> floats(const Tensor& t) { return t.to_vector<float>(); }

TEST(Nnx, N_001_N_003_N_004_N_008_variables_read_write_and_convert) {
  nnx::Param w(ones({2, 2}));
  const Tensor as_tensor = w;
  EXPECT_EQ(floats(as_tensor), std::vector<float>(4, 1.f));
  w = w.value() * 3;
  EXPECT_EQ(floats(matmul(w, ones({2}))), (std::vector<float>{6, 6}));
  nnx::Param copy = w;
  copy = zeros({2, 2});
  EXPECT_EQ(floats(w)[0], 3.f) << "a copy is another variable";
  nnx::Param moved = std::move(copy);
  EXPECT_EQ(floats(moved)[0], 0.f);
}

TEST(Nnx, N_002_kinds_and_inheritance) {
  EXPECT_TRUE(nnx::LoRAParam::static_type().is(nnx::Param::static_type()));
  EXPECT_FALSE(nnx::Param::static_type().is(nnx::LoRAParam::static_type()));
  EXPECT_EQ(Count::static_type().name(), "Count");
  EXPECT_TRUE(nnx::RngKey::static_type().is(nnx::RngState::static_type()));
}

TEST(Nnx, N_009_N_010_metadata_and_old_spellings) {
  nnx::Param w(ones({2}), {{"sharding", AxisNames{"data"}}});
  EXPECT_EQ(*w.metadata().get<AxisNames>("out_sharding"), AxisNames{"data"});
  w.set_metadata("tag", std::string("frozen"));
  EXPECT_EQ(*w.metadata().get<std::string>("tag"), "frozen");
}

TEST(Nnx, flax_and_optax_names_of_what_is_elsewhere) {
  const Tensor x = linspace(-2, 2, 6).reshape(2, 3), y = tensor({0, 2});
  EXPECT_EQ(floats(nnx::gelu(x)), floats(gelu(x)));
  EXPECT_EQ(floats(nnx::jit([](const Tensor& t) { return nnx::softmax(t); })(x)),
            floats(softmax(x)));
  EXPECT_EQ(floats(optim::l2_loss(x, 1)), floats(loss::l2_loss(x, 1)));
  const std::vector<float> expected = floats(softmax_cross_entropy_with_integer_labels(x, y));
  EXPECT_EQ(floats(loss::softmax_cross_entropy_with_integer_labels(x, y)), expected);
  EXPECT_EQ(floats(optim::softmax_cross_entropy_with_integer_labels(x, y)), expected);

  Mlp model = make();
  nnx::Optimizer optimizer(model, optim::sgd(0.5));
  const Tensor bias = model.down.bias->value();
  const auto grads = nnx::grad([](Mlp& m) { return sum(m.down.bias->value()); }, model);
  optimizer.update(model, grads);
  EXPECT_EQ(floats(*model.down.bias), floats(bias - 0.5f));
  std::ostringstream text;
  text << grads;
  EXPECT_EQ(text.str(), nnx::to_string(grads));
}

TEST(Nnx, N_011_hooks) {
  ValueHook twice{[](const Tensor& t) { return t * 2; }};
  nnx::Param w(ones({1}), {{"on_get_value", std::vector<ValueHook>{twice}}});
  EXPECT_EQ(floats(w.value())[0], 2.f);
  EXPECT_EQ(w.raw_value().tensors[0].item<float>(), 1.f);
  nnx::Param v(ones({1}), {{"on_create_value", std::vector<ValueHook>{twice}},
                           {"on_set_value", std::vector<ValueHook>{twice}}});
  EXPECT_EQ(floats(v.value())[0], 2.f);
  v = ones({1}) * 5;
  EXPECT_EQ(floats(v.value())[0], 10.f);
}

TEST(Nnx, N_031_N_032_modes) {
  Mlp model = make();
  nnx::eval(model);
  EXPECT_TRUE(model.drop.deterministic);
  EXPECT_TRUE(model.norm.use_running_average);
  EXPECT_EQ(floats(model(input())), floats(model(input())));
  nnx::train(model);
  EXPECT_FALSE(model.drop.deterministic);
  EXPECT_NE(floats(model(input())), floats(model(input())));
  EXPECT_THROW(nnx::set_attributes(model, {{"no_such_flag", true}}), ModuleError);
}

TEST(Nnx, N_043_N_044_N_051_split_and_state) {
  Mlp model = make();
  auto [graphdef, params, rest] = nnx::split(model, nnx::of_type<nnx::Param>(), nnx::everything());
  EXPECT_TRUE(params.contains("up/kernel"));
  EXPECT_FALSE(rest.contains("up/kernel"));
  EXPECT_TRUE(rest.contains("norm/mean"));
  EXPECT_THROW(nnx::split(model, nnx::of_type<nnx::Param>()), ValueError);
  // Leaves are the module's own variables.
  nnx::Variable(params["up"]["bias"].leaf().cell).set_value(ones({8}) * 4);
  EXPECT_EQ(floats(model.up.bias->value())[0], 4.f);
  EXPECT_EQ(nnx::state(model, nnx::of_type<Count>()).size(), 1u);
}

TEST(Nnx, N_047_N_048_merge_restores_the_module_and_definitions_compare) {
  Mlp model = make();
  auto [graphdef, state] = nnx::split(model);
  Mlp other = nnx::merge<Mlp>(graphdef, state);
  other.up.bias = ones({8});
  EXPECT_EQ(floats(model.up.bias->value())[0], 1.f) << "variables are re-used";
  Mlp again = make();
  EXPECT_TRUE(nnx::graphdef(again) == graphdef);
  EXPECT_EQ(nnx::graphdef(again).hash(), graphdef.hash());
  again.drop.deterministic = true;
  EXPECT_FALSE(nnx::graphdef(again) == graphdef) << "static members are part of the definition";
  EXPECT_THROW(nnx::merge<Mlp>(graphdef, nnx::state(model, nnx::of_type<nnx::Param>())),
               ModuleError);
}

TEST(Nnx, N_050_update_writes_by_path) {
  Mlp a = make(), b = make();
  b.up.kernel = zeros({3, 8});
  nnx::update(a, nnx::state(b, nnx::of_type<nnx::Param>()));
  EXPECT_EQ(floats(a.up.kernel.value())[0], 0.f);
  b.up.kernel = ones({3, 8});
  EXPECT_EQ(floats(a.up.kernel.value())[0], 0.f) << "values are copied, variables are not shared";
}

TEST(Nnx, N_054_clone_and_copy_are_independent) {
  Mlp model = make();
  Mlp copy = nnx::clone(model);
  copy.up.kernel = zeros({3, 8});
  EXPECT_NE(floats(model.up.kernel.value())[0], 0.f);
}

struct Tied {
  nnx::Shared<nnx::Linear> first, second;
  explicit Tied(nnx::Rngs& rngs)
      : first(nnx::Shared<nnx::Linear>::make(3, 3, rngs)), second(first) {}
  LINNET_FIELDS(first, second)
  Tensor operator()(const Tensor& x) const { return (*second)((*first)(x)); }
};

TEST(Nnx, N_045_N_096_shared_modules_appear_once_and_gradients_add_up) {
  nnx::Rngs rngs(0);
  Tied model(rngs);
  auto [graphdef, state] = nnx::split(model);
  EXPECT_EQ(state.size(), 2u);
  EXPECT_TRUE(state.contains("first/kernel"));
  Tied merged = nnx::merge<Tied>(graphdef, state);
  EXPECT_EQ(&*merged.first, &*merged.second);
  Tied copy = nnx::clone(model);
  EXPECT_EQ(&*copy.first, &*copy.second);
  EXPECT_NE(&*copy.first, &*model.first);
  const nnx::State grads = nnx::grad([&](Tied& m) { return sum(m(input())); }, model);
  EXPECT_EQ(grads.size(), 2u);
  const auto f = [&](const Tensor& k) { return sum(matmul(matmul(input(), k), k)); };
  const Tensor expected = grad(f)(model.first->kernel.value());
  const auto got = floats(grads["first"]["kernel"]), wanted = floats(expected);
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 1e-5f);
}

TEST(Nnx, N_071_N_072_N_073_N_074_N_075_filters) {
  Mlp model = make();
  nnx::LoRAParam extra(ones({2}));
  nnx::State all = nnx::state(model);
  all.insert({{"up", -1}, {"lora", -1}}, {extra.cell(), {}});
  const auto count = [&](const nnx::Filter& f) { return nnx::filter_state(all, {f})[0].size(); };
  EXPECT_EQ(count(nnx::of_type<nnx::RngState>()), 2u);
  EXPECT_EQ(count(nnx::of_type<nnx::RngKey>()), 1u);
  EXPECT_EQ(count(nnx::of_type<nnx::Param>()), 7u) << "what derives from it counts";
  EXPECT_EQ(count(nnx::of_type<nnx::LoRAParam>()), 1u);
  EXPECT_EQ(count(nnx::of_type<nnx::Variable>()), all.size());
  EXPECT_EQ(count(nnx::with_tag("dropout")) + count(nnx::with_tag("default")), 2u);
  EXPECT_EQ(count(nnx::with_tag("params")), 0u);
  EXPECT_EQ(count(nnx::path_contains("up")), 3u);
  EXPECT_EQ(count(nnx::path_contains("kern")), 0u) << "a whole element of the path";
  EXPECT_EQ(count(nnx::path_contains("kern", false)), 2u);
  EXPECT_EQ(count(nnx::all_of({nnx::path_contains("up"), nnx::path_contains("bias")})), 1u);
  EXPECT_EQ(count(nnx::any_of({nnx::path_in({"up/kernel"}), nnx::path_in({"down/kernel"})})), 2u);
  EXPECT_EQ(count(nnx::not_(nnx::everything())), 0u);
  EXPECT_EQ(count(nnx::nothing()), 0u);
  // Any predicate of path and leaf; its text is what it is compared by.
  const nnx::Filter large(
      [](const tree::Path&, const nnx::StateLeaf& leaf) { return leaf.value().size() > 10; },
      "more than 10 elements");
  EXPECT_EQ(count(large), 2u);
  EXPECT_TRUE(nnx::path_contains("up") == nnx::path_contains("up"));
  EXPECT_FALSE(nnx::path_contains("up") == nnx::path_contains("up", false));
  EXPECT_TRUE(nnx::all_of({nnx::of_type<nnx::Param>(), large}) ==
              nnx::all_of({nnx::of_type<nnx::Param>(), large}));
  EXPECT_FALSE(nnx::of_type<nnx::Param>() == nnx::of_type<nnx::LoRAParam>());
  // Positions are found by their digits.
  std::vector<nnx::Param> list(3, nnx::Param(ones({1})));
  EXPECT_EQ(nnx::state(list, nnx::path_contains("2")).size(), 1u);
}

TEST(Nnx, N_067_N_069_states) {
  Mlp model = make();
  const nnx::State all = nnx::state(model);
  EXPECT_EQ(to_string(all["up"]["kernel"].shape()), "[3,8]");
  EXPECT_THROW(all["up"]["nothing"].value(), ModuleError);
  const auto parts = nnx::split_state(all, {nnx::of_type<nnx::Param>(), nnx::everything()});
  EXPECT_EQ(nnx::merge_state({&parts[0], &parts[1]}).size(), all.size());
}

TEST(Nnx, N_076_N_077_N_079_streams) {
  nnx::Rngs rngs{{"params", Key(1)}, {"default", Key(2)}};
  const Key first = rngs.params();
  EXPECT_EQ(first.data().to_vector<uint32_t>(),
            random::fold_in(Key(1), 0u).data().to_vector<uint32_t>());
  EXPECT_EQ(rngs["params"].count().item<int>(), 1);
  EXPECT_EQ(rngs.next("noise").data().to_vector<uint32_t>(),
            random::fold_in(Key(2), 0u).data().to_vector<uint32_t>())
      << "falls back to default";
  EXPECT_THROW(nnx::Rngs({{"a", Key(0)}}).next("b"), ModuleError);
  nnx::Rngs fork = rngs.fork();
  EXPECT_EQ(fork["params"].count().item<int>(), 0);
  EXPECT_EQ(rngs["params"].count().item<int>(), 2);
}

TEST(Nnx, N_083_reseed) {
  Mlp model = make();
  const std::string tag = model.drop.rngs ? model.drop.rngs->tag() : "dropout";
  nnx::reseed(model, {{tag, Key(7)}});
  const auto a = floats(model(input()));
  nnx::reseed(model, {{tag, Key(7)}});
  Mlp same = nnx::clone(model);
  EXPECT_EQ(floats(model(input())), floats(same(input())));
  EXPECT_FALSE(a.empty());
}

TEST(Nnx, N_085_N_091_N_094_jitted_steps_update_state_in_place) {
  Mlp eager = make(), jitted = make();
  const auto step = [](Mlp& model, const Tensor& x) {
    auto [loss, grads] = nnx::value_and_grad([&](Mlp& m) { return mean(square(m(x))); }, model);
    model.up.kernel = model.up.kernel.value() - 0.1f * grads["up"]["kernel"].value();
    return loss;
  };
  const auto compiled = jit(step);
  for (int i = 0; i < 3; ++i) {
    EXPECT_NEAR(step(eager, input()).item<float>(), compiled(jitted, input()).item<float>(), 1e-5f);
  }
  EXPECT_EQ(jitted.calls.value().item<float>(), 3.f);
  EXPECT_EQ(compiled.trace_count(), 1u);
  const auto a = floats(eager.norm.mean.value()), b = floats(jitted.norm.mean.value());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-6f);
}

TEST(Nnx, N_095_gradients_of_chosen_variables) {
  Mlp model = make();
  nnx::eval(model);
  const auto loss = [&](Mlp& m) { return sum(m(input())); };
  const auto result = nnx::value_and_grad(loss, model, nnx::path_contains("down"));
  EXPECT_EQ(result.second.size(), 2u);
  EXPECT_THROW(nnx::value_and_grad(loss, model, nnx::of_type<nnx::RngState>()), DTypeError);
}

}  // namespace
}  // namespace linnet::nnx_test
