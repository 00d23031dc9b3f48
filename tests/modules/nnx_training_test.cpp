// Training of object modules end to end: loops in both styles, optimisers and their states, running
// means, low-rank adaptation, fine tuning.
#include <gtest/gtest.h>

#include <variant>

#include "linnet/core.h"
#include "linnet/error.h"
#include "linnet/linen.h"
#include "linnet/nnx.h"
#include "linnet/nnx/layers_activation.h"
#include "linnet/nnx/layers_lora.h"
#include "linnet/nnx/partitioning.h"
#include "linnet/nnx_tools.h"
#include "linnet/optim.h"
#include "linnet/optim/model_and_optimizer.h"
#include "linnet/optim/state_kinds.h"
#include "linnet/optim/train_state.h"
#include "linnet/partitioning.h"
#include "tests/modules/layers_support.h"
#include "tests/ops/golden_file.h"

namespace linnet::nnx_training_test {
namespace {

std::vector<float> floats(const Tensor& t) { return t.to_vector<float>(); }
const testing::GoldenFile& golden() {
  static const testing::GoldenFile file("nnx_training");
  return file;
}
void expect_near(const Tensor& got, const std::string& name, double tolerance = 1e-5) {
  testing::expect_golden(got, golden().tensor(name), tolerance, name);
}
void expect_state(const nnx::State& got, const std::string& prefix, double tolerance = 1e-5) {
  EXPECT_FALSE(got.empty());
  for (const auto& [path, leaf] : got.entries())
    expect_near(leaf.value(), prefix + tree::to_string(path), tolerance);
}
Tensor normal(const Shape& shape, int64_t seed) { return random::normal(Key(seed), shape); }

struct Mlp {
  nnx::Linear up;
  nnx::BatchNorm norm;
  nnx::Linear down;
  explicit Mlp(nnx::Rngs& rngs)
      : up(3, 4, {.use_bias = false}, rngs), norm(4, rngs), down(4, 2, rngs) {}
  LINNET_FIELDS(up, norm, down)
  Tensor operator()(const Tensor& x) { return down(tanh(norm(up(x)))); }
};
Mlp make() {
  nnx::Rngs rngs(0);
  return Mlp(rngs);
}
Tensor loss_of(Mlp& m, const Tensor& x, const Tensor& y) { return mean(square(m(x) - y)); }
optim::GradientTransformation descent() { return optim::adamw(0.05, {.weight_decay = 0.1}); }

struct Batch {
  Tensor x = normal({8, 3}, 1), y = normal({8, 2}, 2);
};

TEST(NnxTraining, N_141_N_142_N_146_N_158_loop_in_place) {
  const Batch batch;
  Mlp model = make();
  optim::Optimizer optimizer(model, descent());
  nnx::EMA ema(model, 0.75, nnx::of_type<nnx::Param>());
  const auto step = jit([](Mlp& m, optim::Optimizer& o, nnx::EMA& e, const Batch& b) {
    auto [loss, grads] = nnx::value_and_grad([&](Mlp& n) { return loss_of(n, b.x, b.y); }, m);
    o.update(m, grads);
    e.update(m);
    return loss;
  });
  TensorList losses;
  for (int i = 0; i < 5; ++i) losses.push_back(step(model, optimizer, ema, batch));
  EXPECT_EQ(step.trace_count(), 1u) << "nothing is returned but the loss";
  expect_near(stack(losses), "loop/losses");
  expect_state(nnx::state(model, nnx::of_type<nnx::Param>()), "loop/params/", 1e-4);
  expect_state(nnx::state(model, nnx::of_type<nnx::BatchStat>()), "loop/stats/");
  expect_state(ema.params(), "loop/ema/", 1e-4);
  EXPECT_EQ(optimizer.step().item<uint32_t>(), 5u);
  EXPECT_EQ(optimizer.step().dtype(), DType::kU32);
}

TEST(NnxTraining, N_159_loop_of_pure_functions) {
  const Batch batch;
  Mlp model = make();
  auto [graphdef, params, rest] = nnx::split(model, nnx::of_type<nnx::Param>(), nnx::everything());
  const auto tx = descent();
  struct Carry {
    nnx::State params, rest;
    optim::TransformState opt_state;
  };
  const auto pure = jit([definition = graphdef, tx](const Carry& c, const Batch& b) {
    const auto loss = [&](const nnx::State& p) {
      auto [value, parts] =
          nnx::call<Mlp>(definition, p, c.rest)([&](Mlp& m) { return loss_of(m, b.x, b.y); });
      return std::make_pair(
          value, nnx::filter_state(std::get<1>(parts), {nnx::not_(nnx::of_type<nnx::Param>())})[0]);
    };
    auto [value, after, grads] = value_and_grad(loss)(c.params);
    Carry next{c.params, after, c.opt_state};
    optim::step(tx, next.params, grads, next.opt_state);
    return std::make_pair(value, next);
  });
  Carry carry{params, rest, tx.init(params)};
  TensorList losses;
  for (int i = 0; i < 5; ++i) {
    auto [loss, next] = pure(carry, batch);
    losses.push_back(loss);
    carry = next;
  }
  EXPECT_EQ(pure.trace_count(), 1u);
  expect_near(stack(losses), "loop/losses");
  EXPECT_NE(floats(model.up.kernel), floats(carry.params["up"]["kernel"])) << "the model waits";
  Mlp merged = nnx::merge<Mlp>(graphdef, carry.params, carry.rest);
  expect_state(nnx::state(merged, nnx::of_type<nnx::Param>()), "loop/params/", 1e-4);
  expect_state(nnx::state(merged, nnx::of_type<nnx::BatchStat>()), "loop/stats/");
}

struct Reused {
  nnx::Shared<nnx::Linear> block, again;
  nnx::Linear head;
  explicit Reused(nnx::Rngs& rngs)
      : block(nnx::Shared<nnx::Linear>::make(3, 3, rngs)), again(block), head(3, 1, rngs) {}
  LINNET_FIELDS(block, again, head)
  Tensor operator()(const Tensor& x) const { return head(tanh((*again)(tanh((*block)(x))))); }
};

TEST(NnxTraining, N_160_one_block_used_twice) {
  nnx::Rngs rngs(0);
  Reused model(rngs);
  EXPECT_EQ(nnx::state(model).size(), 4u) << "counted once";
  const Tensor x = normal({4, 3}, 1);
  auto [loss, grads] = nnx::value_and_grad([&](Reused& m) { return sum(square(m(x))); }, model);
  expect_near(loss, "shared/loss");
  expect_state(grads, "shared/grads/", 1e-4);
  optim::Optimizer optimizer(model, optim::sgd(0.1));
  optimizer.update(model, grads);
  EXPECT_EQ(&*model.block, &*model.again);
  EXPECT_EQ(floats(model.block->bias->value()), floats(model.again->bias->value()));
}

TEST(NnxOptimizer, N_141_S_196_S_198_states_take_over_from_their_parameters) {
  Mlp model = make();
  model.up.kernel.set_metadata("out_sharding", AxisNames{"in", "out"});
  model.up.kernel.set_metadata("tag", std::string("kept"));
  model.down.kernel.set_metadata("out_sharding", AxisNames{"in", "out"});
  model.down.kernel.set_metadata("optimizer_sharding", AxisNames{"zero", "out"});
  optim::Optimizer optimizer(model, optim::adam(1e-3));
  const nnx::State states = nnx::state(optimizer);
  size_t of_parameters = 0, others = 0;
  for (const auto& [path, leaf] : states.entries()) {
    ASSERT_TRUE(leaf.type()->is(nnx::OptState::static_type()));
    of_parameters += leaf.type() == &optim::OptVariable::static_type();
    others += leaf.type() == &optim::OptArray::static_type();
  }
  EXPECT_EQ(of_parameters, 10u) << "two means for each of five parameters\n" << to_string(states);
  EXPECT_EQ(others, 1u);
  // In the order of paths: down/bias, down/kernel, norm/bias, norm/scale, up/kernel.
  const auto metadata = [&](const char* path) {
    const nnx::StateLeaf* leaf = states.find(path);
    EXPECT_NE(leaf, nullptr) << path << "\n" << to_string(states);
    return leaf ? leaf->cell->metadata : Metadata();
  };
  const Metadata up = metadata("state/parts/0/lists/mu/4"),
                 down = metadata("state/parts/0/lists/nu/1");
  EXPECT_EQ(*up.get<AxisNames>("out_sharding"), (AxisNames{"in", "out"}));
  EXPECT_EQ(*up.get<std::string>("tag"), "kept");
  EXPECT_EQ(*down.get<AxisNames>("out_sharding"), (AxisNames{"zero", "out"}));
  EXPECT_FALSE(down.has("optimizer_sharding"));
  // It has no reference to the model: it outlives it, and serves another one of these paths.
  auto other = std::make_unique<Mlp>(make());
  optimizer.update(*other, nnx::grad([](Mlp& m) { return sum(m(ones({2, 3}))); }, *other));
  EXPECT_EQ(optimizer.step().item<int>(), 1);
  EXPECT_EQ(nnx::state(optimizer).size(), states.size());
}

TEST(NnxOptimizer, N_144_S_196_S_197_S_199_S_200_states_have_the_shardings_of_parameters) {
  struct Sharded {
    nnx::Linear layer;
    explicit Sharded(nnx::Rngs& rngs)
        : layer(4, 8,
                {.kernel_init = nnx::with_partitioning(init::lecun_normal(), {"embed", "model"}),
                 .bias_init = nnx::with_partitioning(init::zeros(), {"model"})},
                rngs) {}
    LINNET_FIELDS(layer)
    Tensor operator()(const Tensor& x) const { return layer(x); }
  };
  nnx::Rngs rngs(0);
  Sharded model(rngs);
  optim::Optimizer optimizer(
      model, optim::chain(optim::trace(0.9), optim::adamw(optim::linear_schedule(0.1, 0, 9))));
  const auto rules = logical_axis_rules({{{"embed", "data"}}});
  const auto specs = [&] {
    std::string out;
    EXPECT_EQ(nnx::get_partition_spec(model),
              (nnx::Specs{{"layer/kernel", P("data", "model")}, {"layer/bias", P("model")}}));
    const nnx::State others = nnx::state(optimizer, nnx::not_(nnx::of_type<optim::OptVariable>()));
    EXPECT_FALSE(others.entries().empty());
    for (const auto& [path, leaf] : others.entries())
      EXPECT_EQ(partition_spec(leaf.cell->metadata), P()) << tree::to_string(path) << " is whole";
    const nnx::State states = nnx::state(optimizer, nnx::of_type<optim::OptVariable>());
    for (const auto& [path, leaf] : states.entries()) {
      const P spec = partition_spec(leaf.cell->metadata);
      EXPECT_EQ(spec, leaf.value().rank() == 1 ? P("model") : P("data", "model"));
      out += tree::to_string(path) + " ";
    }
    return out;
  };
  const std::string before = specs();
  EXPECT_FALSE(before.empty());
  const auto step = jit([](Sharded& m, optim::Optimizer& o, const Tensor& x) {
    o.update(m, nnx::grad([&](Sharded& n) { return sum(square(n(x))); }, m));
    return x;
  });
  step(model, optimizer, ones({2, 4}));
  EXPECT_EQ(specs(), before) << "and keep them";
}

TEST(NnxOptimizer, N_142_updates_are_given_and_only_chosen_variables_change) {
  const Batch batch;
  Mlp model = make(), other = make();
  optim::Optimizer a(model, descent()), b(other, descent());
  nnx::State updates;
  for (int i = 0; i < 5; ++i) {
    const auto grads_of = [&](Mlp& m) {
      return nnx::grad([&](Mlp& n) { return loss_of(n, batch.x, batch.y); }, m);
    };
    const std::vector<float> before = floats(model.up.kernel);
    updates = a.update_returning(model, grads_of(model));
    b.update(other, grads_of(other));
    const auto after = floats(model.up.kernel), added = floats(updates["up"]["kernel"]);
    for (size_t k = 0; k < added.size(); ++k) EXPECT_NEAR(after[k], before[k] + added[k], 1e-6f);
  }
  expect_state(updates, "loop/updates/", 2e-4);
  expect_state(nnx::state(model, nnx::of_type<nnx::Param>()), "loop/params/", 1e-4);
  const auto x = floats(model.down.kernel), y = floats(other.down.kernel);
  for (size_t k = 0; k < x.size(); ++k) EXPECT_NEAR(x[k], y[k], 1e-5f) << "one step in two ways";

  // wrt: a part of the parameters.
  Mlp frozen = make();
  const auto up = floats(frozen.up.kernel);
  const nnx::Filter wrt = nnx::path_contains("down");
  optim::Optimizer partial(frozen, optim::sgd(0.5), wrt);
  const nnx::State grads =
      nnx::value_and_grad([&](Mlp& m) { return loss_of(m, batch.x, batch.y); }, frozen, wrt).second;
  partial.update(frozen, grads);
  EXPECT_EQ(floats(frozen.up.kernel), up);
  EXPECT_NE(floats(frozen.down.kernel), floats(make().down.kernel));
  // Gradients that are missing or too many.
  EXPECT_THROW(partial.update(frozen, nnx::State()), ModuleError);
  EXPECT_THROW(partial.update(
                   frozen, nnx::grad([&](Mlp& m) { return loss_of(m, batch.x, batch.y); }, frozen)),
               ModuleError);
}

TEST(NnxOptimizer, N_142_further_arguments_reach_a_line_search) {
  const Batch batch;
  Mlp model = make();
  nnx::eval(model);
  const auto line_search = []() {
    optim::GradientTransformation tx;
    tx.init_list = [](const TensorList&) { return optim::TransformState{}; };
    tx.update_list = [](const TensorList& grads, optim::TransformState&, const TensorList&) {
      return grads;
    };
    // Halves the step until the loss falls.
    tx.update_extra = [](const TensorList& grads, optim::TransformState&, const TensorList& params,
                         const optim::ExtraArguments& extra) {
      double rate = 64;
      TensorList updates;
      for (int i = 0; i < 20; ++i, rate /= 2) {
        updates.clear();
        for (const Tensor& g : grads) updates.push_back(g * -rate);
        if (extra.value_fn(optim::apply_updates(params, updates)).item<float>() <
            extra.value.item<float>())
          break;
      }
      return updates;
    };
    tx.description = "halving line search";
    return tx;
  }();
  optim::Optimizer optimizer(model, line_search);
  auto [graphdef, params, rest] = nnx::split(model, nnx::of_type<nnx::Param>(), nnx::everything());
  const auto loss_at = [&, definition = graphdef, &params = params,
                        &rest = rest](const TensorList& values) {
    return nnx::call<Mlp>(definition, tree::unflatten(params, values),
                          rest)([&](Mlp& m) { return loss_of(m, batch.x, batch.y); })
        .first;
  };
  float last = loss_of(model, batch.x, batch.y).item<float>();
  for (int i = 0; i < 3; ++i) {
    auto [value, grads] =
        nnx::value_and_grad([&](Mlp& m) { return loss_of(m, batch.x, batch.y); }, model);
    optimizer.update(model, grads, {.value = value, .value_fn = loss_at});
    const float now = loss_of(model, batch.x, batch.y).item<float>();
    EXPECT_LT(now, last);
    last = now;
  }
}

TEST(NnxOptimizer, N_143_an_optimiser_that_holds_its_model) {
  const Batch batch;
  nnx::Rngs rngs(0);
  optim::ModelAndOptimizer<Mlp> both(nnx::Shared<Mlp>::make(rngs), descent());
  const auto step = jit([](optim::ModelAndOptimizer<Mlp>& t, const Batch& b) {
    auto [loss, grads] =
        nnx::value_and_grad([&](Mlp& m) { return loss_of(m, b.x, b.y); }, *t.model);
    t.update(grads);
    return loss;
  });
  TensorList losses;
  for (int i = 0; i < 5; ++i) losses.push_back(step(both, batch));
  expect_near(stack(losses), "loop/losses");
  expect_state(nnx::state(*both.model, nnx::of_type<nnx::Param>()), "loop/params/", 1e-4);
  EXPECT_EQ(both.step().item<int>(), 5);
}

TEST(NnxTraining, N_042_train_state) {
  const Batch batch;
  Mlp model = make();
  auto [graphdef, params, rest] = nnx::split(model, nnx::of_type<nnx::Param>(), nnx::everything());
  const auto first = nnx::TrainState::create(graphdef, params, descent());
  EXPECT_EQ(first.step.item<int>(), 0);
  const auto step = jit([](const nnx::TrainState& s, const nnx::State& others, const Batch& b) {
    const auto [loss, grads] = value_and_grad([&](const nnx::State& p) {
      return s.apply<Mlp>(p, others)([&](Mlp& m) { return loss_of(m, b.x, b.y); }).first;
    })(s.params);
    return std::make_pair(loss, s.apply_gradients(grads));
  });
  nnx::TrainState state = first;
  TensorList losses;
  for (int i = 0; i < 5; ++i) {
    auto [loss, next] = step(state, rest, batch);
    losses.push_back(loss);
    state = next;
  }
  EXPECT_EQ(step.trace_count(), 1u);
  expect_near(stack(losses), "loop/losses");
  EXPECT_EQ(state.step.item<int>(), 5);
  EXPECT_EQ(first.step.item<int>(), 0) << "a value";
  EXPECT_EQ(floats(first.params["up"]["kernel"]), floats(model.up.kernel));
  EXPECT_THROW(state.apply_gradients(rest), TreeError);
}

TEST(NnxEma, N_146_shadows_share_variables_with_models_made_of_them) {
  Mlp model = make();
  nnx::EMA ema(model, 0.5, nnx::of_type<nnx::Param>());
  Mlp smooth = ema.apply_to(model);
  const auto first = floats(model.up.kernel);
  EXPECT_EQ(floats(smooth.up.kernel), first);
  EXPECT_EQ(smooth.norm.mean.cell(), model.norm.mean.cell()) << "others are the model's";
  model.up.kernel = zeros({3, 4});
  EXPECT_EQ(floats(smooth.up.kernel), first) << "nothing is averaged before update";
  ema.update(model);
  for (size_t i = 0; i < first.size(); ++i)
    EXPECT_NEAR(floats(smooth.up.kernel)[i], first[i] / 2, 1e-6f);
  EXPECT_EQ(ema.params().find("up/kernel")->cell, smooth.up.kernel.cell());
  struct Plain {
    nnx::Param w{ones({2})};
    Tensor table = ones({2});
    LINNET_FIELDS(w, table)
  } plain;
  try {
    nnx::EMA wrong(plain, 0.5);
    ADD_FAILURE() << "nothing thrown";
  } catch (const ModuleError& e) {
    EXPECT_NE(std::string(e.what()).find("EMA: 'table' is a plain tensor"), std::string::npos)
        << e.what();
  }
  EXPECT_EQ(nnx::EMA(plain, 0.5, nnx::of_type<nnx::Param>()).params().size(), 1u);
  nnx::Linear other = make().up;
  EXPECT_THROW(ema.update(other), ModuleError);
}

TEST(NnxLoRA, N_132_factors_beside_a_layer) {
  const Tensor x = normal({2, 3}, 1);
  nnx::Rngs first(0), second(1), third(0);
  nnx::Linear base(3, 4, first);
  nnx::LoRA wrapper(3, 2, 4, base, second);
  EXPECT_EQ(&wrapper.lora_a.type(), &nnx::LoRAParam::static_type());
  EXPECT_EQ(wrapper.lora_a.shape(), (Shape{3, 2}));
  EXPECT_EQ(floats(wrapper(x)), floats(base(x))) << "the second factor begins as zeros";
  expect_near(wrapper.lora_a, "lora/a");
  wrapper.lora_b = normal({2, 4}, 2);
  expect_near(wrapper(x), "lora/out");
  const nnx::State grads =
      nnx::grad<nnx::LoRAParam>([&](nnx::LoRA<nnx::Linear>& m) { return sum(m(x)); }, wrapper);
  EXPECT_EQ(grads.size(), 2u);
  expect_state(grads, "lora/grads/");
  EXPECT_EQ(nnx::state(wrapper, nnx::of_type<nnx::Param>()).size(), 4u) << "LoRAParam is a Param";
  // Around a shared module, of which it is a second user; alone; of another kind.
  auto shared = nnx::Shared<nnx::Linear>::make(3, 4, first);
  nnx::LoRA around(3, 2, 4, shared, second);
  EXPECT_EQ(&**around.base_module, &*shared);
  EXPECT_EQ(floats(around(x)), floats((*shared)(x)));
  const nnx::LoRA alone(3, 2, 4, second);
  EXPECT_EQ(floats(alone(x)), std::vector<float>(8, 0));
  struct Adapter : nnx::VariableOf<Adapter, nnx::LoRAParam> {
    using VariableOf::VariableOf;
  };
  const nnx::LoRA named(3, 2, 4,
                        {.dtype = DType::kBF16,
                         .param_dtype = DType::kF16,
                         .b_init = init::ones(),
                         .a_metadata = {{"tag", std::string("a")}},
                         .param_type = &Adapter::static_type()},
                        second);
  EXPECT_EQ(&named.lora_b.type(), &Adapter::static_type());
  EXPECT_EQ(*named.lora_a.metadata().get<std::string>("tag"), "a");
  EXPECT_EQ(named.lora_a.dtype(), DType::kF16);
  EXPECT_EQ(named(x).dtype(), DType::kBF16);
  // Arguments of the call are the base's.
  nnx::LoRA dropping(3, 2, 3, nnx::Dropout(0.5, first), second);
  EXPECT_EQ(floats(dropping(x, true)), floats(x));
  // LoRALinear: golden numbers, and paths and keys of a Linear.
  testing::check_nnx("lora_linear", nnx::LoRALinear(3, 4, 2, third));
  nnx::Rngs a(0), b(0);
  nnx::LoRALinear lora(3, 4, 2, a);
  nnx::Linear plain(3, 4, b);
  EXPECT_EQ(floats(lora.kernel), floats(plain.kernel));
  nnx::update(lora, nnx::state(plain));
  EXPECT_EQ(floats(lora(x)), floats(plain(x)));
}

struct Head {
  std::variant<nnx::Linear, nnx::LoRA<nnx::Linear>> layer;
  LINNET_FIELDS(layer)
  Tensor operator()(const Tensor& x) {
    return std::visit([&](auto& l) { return l(x); }, layer);
  }
};
struct Tunable {
  Head up, down;
  explicit Tunable(nnx::Rngs& rngs) : up{nnx::Linear(3, 4, rngs)}, down{nnx::Linear(4, 2, rngs)} {}
  LINNET_FIELDS(up, down)
  Tensor operator()(const Tensor& x) { return down(tanh(up(x))); }
};

TEST(NnxTraining, N_163_fine_tuning_by_surgery_freezing_and_partial_loading) {
  const Batch batch;
  nnx::Rngs rngs(0);
  Tunable trained(rngs);
  const Tensor before = trained(batch.x);
  // Every Linear gets factors; the trained variables stay the same ones.
  Tunable tuned = nnx::recursive_map(trained, [&](const tree::Path&, auto& node) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(node)>, decltype(Head::layer)>) {
      nnx::Linear linear = nnx::share(std::get<nnx::Linear>(node));
      const int64_t in = linear.in_features, out = linear.out_features;
      node = nnx::LoRA(in, 2, out, std::move(linear), rngs);
    }
  });
  EXPECT_EQ(floats(tuned(batch.x)), floats(before));
  const auto& inner = *std::get<nnx::LoRA<nnx::Linear>>(tuned.up.layer).base_module;
  EXPECT_EQ(inner.kernel.cell(), std::get<nnx::Linear>(trained.up.layer).kernel.cell());
  // Only the factors are trained.
  optim::Optimizer optimizer(tuned, optim::adam(0.05), nnx::of_type<nnx::LoRAParam>());
  const auto loss = [&](Tunable& m) { return mean(square(m(batch.x) - batch.y)); };
  const float first = loss(tuned).item<float>();
  for (int i = 0; i < 20; ++i) optimizer.update(tuned, nnx::grad<nnx::LoRAParam>(loss, tuned));
  EXPECT_LT(loss(tuned).item<float>(), 0.9f * first);
  EXPECT_EQ(floats(trained(batch.x)), floats(before)) << "the trained model is as it was";
  // Partial loading: a constructor that takes some variables from a state.
  nnx::Rngs fresh(7);
  Tunable partly(fresh);
  nnx::update(partly, nnx::state(trained, nnx::path_contains("up")));
  const auto kernel = [](Head& head) { return floats(std::get<nnx::Linear>(head.layer).kernel); };
  EXPECT_EQ(kernel(partly.up), kernel(trained.up));
  EXPECT_NE(kernel(partly.down), kernel(trained.down));
  // The same inside a compiled constructor, as of a model that is too large to make twice.
  const auto build = jit([](const nnx::State& some, const Key& key) {
    nnx::Rngs streams(key);
    Tunable model(streams);
    nnx::update(model, some);
    return model;
  });
  Tunable built = build(nnx::state(trained, nnx::path_contains("up")), Key(7));
  EXPECT_EQ(kernel(built.up), kernel(trained.up));
  const auto a = kernel(built.down), b = kernel(partly.down);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-6f);
}

TEST(NnxActivations, N_130_activations_and_a_learned_slope) {
  const Tensor x = tensor({-2.f, -0.5f, 0.f, 3.f});
  EXPECT_EQ(floats(nnx::identity(x)), floats(x));
  nnx::PReLU act;
  EXPECT_EQ(floats(act(x)), (std::vector<float>{-0.02f, -0.005f, 0, 3}));
  EXPECT_EQ(nnx::state(act).size(), 1u);
  EXPECT_EQ(act.negative_slope.shape(), Shape{});
  EXPECT_EQ(act(x.astype(DType::kBF16)).dtype(), DType::kBF16) << "the slope is cast";
  const nnx::State grads = nnx::grad([&](nnx::PReLU& m) { return sum(m(x)); }, act);
  EXPECT_EQ(floats(grads["negative_slope"])[0], -2.5f);
  const nnx::PReLU wide({.param_dtype = DType::kF64,
                         .negative_slope_init = 0.25,
                         .negative_slope_metadata = {{"tag", std::string("slope")}}});
  EXPECT_EQ(wide.negative_slope.dtype(), DType::kF64);
  EXPECT_EQ(*wide.negative_slope.metadata().get<std::string>("tag"), "slope");
  EXPECT_EQ(floats(wide(x))[0], -0.5f);
  // The same list of functions as the functional API, which are operations.
  nnx::Sequential chain{relu, [](const Tensor& v) { return gelu(v); }, nnx::identity, act};
  EXPECT_EQ(floats(chain(x)), floats(gelu(relu(x))));
  const linen::Variables slope{{"params", {{"negative_slope", act.negative_slope.value()}}}};
  EXPECT_EQ(floats(linen::apply(linen::PReLU{}, slope, x)), floats(act(x)));
}

}  // namespace
}  // namespace linnet::nnx_training_test
