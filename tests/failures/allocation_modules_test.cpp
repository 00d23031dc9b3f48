// Every allocation of transformations of modules, of the bridge, of optimisers inside others and of
// data loaders fails in turn.
#include <memory>

#include "linnet/bridge.h"
#include "linnet/data/loader.h"
#include "linnet/data/prefetch.h"
#include "linnet/linen/transforms.h"
#include "linnet/linnet.h"
#include "linnet/metrics.h"
#include "linnet/metrics_classification.h"
#include "linnet/nnx/ema.h"
#include "linnet/nnx/rngs_split.h"
#include "linnet/optim/wrappers.h"
#include "tests/failures/allocation_walk.h"

namespace linnet::allocation_modules_test {
namespace {

using nnx::kCarry;
using nnx::kNone;
using testing::Pace;
using testing::Scenario;
using testing::walk;
using testing::Whose;

// What is evaluated as it is called; what is traced and compiled.
constexpr Pace kEager{60, 11}, kCompiling{30, 101};

/// Scales, and counts its calls.
struct Block {
  nnx::Param scale{full({2}, 0.5f)};
  nnx::BatchStat calls{zeros({})};
  LINNET_FIELDS(scale, calls)
  Tensor operator()(const Tensor& x) {
    calls = calls.value() + 1;
    return x * scale.value();
  }
};

/// With noise of its own.
struct Noisy {
  Block block;
  nnx::Rngs rngs;
  explicit Noisy(nnx::Rngs& from) : rngs(from.fork()) {}
  LINNET_FIELDS(block, rngs)
  Tensor operator()(const Tensor& x) { return block(x) + rngs.uniform(x.shape()); }
};

template <class T>
void append(TensorList& out, T& tree) {
  for (Tensor& leaf : tree::leaves(tree)) out.push_back(std::move(leaf));
}

/// `call(model, x)`, of a model that `make` gives, whose variables are the state.
template <class M, class Call>
auto scenario(M (*make)(), Call call) {
  return [=] {
    auto model = std::make_shared<M>(make());
    return Scenario{.run =
                        [=] {
                          return call(*model, ones({2, 2}));
                        },
                    .state = [=] { return tree::leaves(*model); }};
  };
}
template <class M, class Call>
void walk_through(M (*make)(), Call call, const Pace& pace = kEager) {
  walk(scenario(make, call), 1, 1, pace);
}

Block block() { return {}; }
Noisy noisy() {
  nnx::Rngs rngs(0);
  return Noisy(rngs);
}
Block stacked() { return {nnx::Param(full({2, 2}, 0.5f)), nnx::BatchStat(zeros({2}))}; }

TEST(AllocationFailure, R_041_batches_of_modules) {
  walk_through(stacked, [](Block& blocks, const Tensor& x) {
    return nnx::vmap([](Block& each, const Tensor& row) { return each(row); })(blocks, x);
  });
  // One that makes modules, from streams that are split.
  walk_through(
      +[] { return nnx::Rngs(0); },
      [](nnx::Rngs& rngs, const Tensor&) {
        const auto make = nnx::vmap([](nnx::Rngs& each) { return Noisy(each); });
        (void)nnx::split_rngs({.splits = 2}, make)(rngs);
        return Tensor();
      });
}

TEST(AllocationFailure, R_041_loops_over_modules) {
  walk_through(stacked, [](Block& blocks, const Tensor& x) {
    return nnx::scan([](const Tensor& h, Block& each) { return each(h); },
                     {.in_axes = {kCarry, 0}, .out_axes = {kCarry}})(x, blocks);
  });
  walk_through(block, [](Block& one, const Tensor& x) {
    const nnx::StateAxes axes{{nnx::of_type<nnx::BatchStat>(), kCarry}, {nnx::everything(), kNone}};
    return nnx::scan([](const Tensor& h, Block& each,
                        const Tensor& row) { return std::pair(each(h), row); },
                     {.in_axes = {kCarry, axes, 0}})(ones({2}), one, x)
        .second;
  });
  walk_through(block, [](Block& one, const Tensor&) {
    const auto body = [](std::tuple<Block&, Tensor>& carry) {
      const Tensor next = std::get<0>(carry)(std::get<1>(carry));
      return std::tuple<Block&, Tensor>(std::get<0>(carry), next);
    };
    const auto large = [](std::tuple<Block&, Tensor>& carry) {
      return sum(std::get<1>(carry)) > 1;
    };
    return std::get<1>(
        nnx::while_loop(large, body, std::tuple<Block&, Tensor>(one, ones({2}) * 4)));
  });
}

TEST(AllocationFailure, R_041_branches_with_modules) {
  walk_through(block, [](Block& one, const Tensor& x) {
    return nnx::cond(
        sum(x) > 0, [](Block& b, const Tensor& v) { return b(v); },
        [](Block&, const Tensor& v) { return -v; }, one, x);
  });
}

TEST(AllocationFailure, R_041_recomputed_modules_and_their_gradients) {
  walk_through(noisy, [](Noisy& model, const Tensor& x) {
    return nnx::remat([](Noisy& m, const Tensor& v) { return m(v); })(model, x);
  });
  walk_through(noisy, [](Noisy& model, const Tensor& x) {
    const auto recomputed = nnx::remat([](Noisy& m, const Tensor& v) { return m(v); });
    const auto loss = [&](Noisy& m, const Tensor& v) { return sum(square(recomputed(m, v))); };
    return std::get<1>(nnx::grad<0, 1>(loss)(model, x));
  });
  walk_through(noisy, [](Noisy& model, const Tensor& x) {
    const auto call = [](Noisy& m, const Tensor& v) { return m(v); };
    return nnx::vjp(call, model, x).first;
  });
}

TEST(AllocationFailure, R_041_compiled_transformations_of_modules) {
  const auto make = [] {
    auto model = std::make_shared<Noisy>(noisy());
    const auto body = [](Noisy& m, const Tensor& x) {
      const auto block = nnx::remat([](Noisy& n, const Tensor& v) { return n(v); });
      const nnx::StateAxes all{{nnx::of_type<nnx::Param>(), kNone}, {nnx::everything(), kCarry}};
      return nnx::scan([&](const Tensor& h, Noisy& n) { return block(n, h); },
                       {.in_axes = {kCarry, all}, .out_axes = {kCarry}, .length = 2})(x, m);
    };
    auto step = std::make_shared<decltype(jit(body))>(jit(body));
    return Scenario{.run = [=] { return (*step)(*model, ones({2})); },
                    .state = [=] { return tree::leaves(*model); }};
  };
  walk(make, 0, 1, kCompiling);
  walk(make, 1, 0);
}

/// Functional: scales, draws and counts.
struct Layer {
  LINNET_FIELDS()
  Tensor operator()(linen::Scope& s, const Tensor& x) const {
    const auto calls = s.variable("state", "calls", [] { return zeros({}); });
    calls.set(calls.value() + 1);
    return x * s.param("scale", init::normal(0.1), {2}) +
           random::uniform(s.make_rng("params"), x.shape());
  }
};
struct Step {
  LINNET_FIELDS()
  std::pair<Tensor, Tensor> operator()(linen::Scope& s, const Tensor& x) const {
    return {s(Layer{}, x), sum(x)};
  }
};

/// init and apply of `module`: what they give alone matters, for they change nothing.
template <class Module>
void walk_functional(const Module& module, const Pace& pace = kEager) {
  walk(
      [&] {
        return Scenario{.run = [&] {
          const Tensor x = ones({2, 2});
          const linen::RngStreams streams{{"params", Key(0)}};
          const linen::Variables made = linen::init(module, streams, x);
          const linen::ApplyOptions options{.mutate = {"state"}, .rngs = streams};
          return tree::leaves(linen::apply_with(options, module, made, x)).at(0);
        }};
      },
      1, 1, pace);
}

TEST(AllocationFailure, R_041_lifted_transformations) {
  const linen::VariableAxes axes{{"params", 0}, {"state", 0}};
  const linen::SplitRngs split{{"params", true}};
  walk_functional(linen::remat(Layer{}));
  walk_functional(linen::vmap(Layer{}, {.variable_axes = axes, .split_rngs = split}), {40, 31});
  walk_functional(linen::scan(Step{}, {.variable_axes = axes, .split_rngs = split, .length = 2}),
                  {40, 31});
  walk_functional(linen::jit(Layer{}), {40, 31});
  walk_functional(
      [](linen::Scope& s, const Tensor& x) {
        const auto layer = [](linen::Scope& t, const Tensor& v) { return t("a", Layer{}, v); };
        const Tensor y = linen::cond(sum(x) > 0, layer, layer, s, x);
        return linen::grad([&](linen::Scope& t, const Tensor& v) { return sum(layer(t, v)); }, s,
                           y);
      },
      {40, 31});
}

TEST(AllocationFailure, R_041_functional_modules_as_objects) {
  using Wrapper = bridge::ToNNX<Layer>;
  // Without variables, and with those of a call before.
  walk(scenario(
           +[] { return Wrapper(Layer{}, nnx::Rngs(0)); },
           [](Wrapper& wrapper, const Tensor& x) {
             wrapper.lazy_init(x);
             return Tensor();
           }),
       0, 1, kEager);
  walk_through(
      +[] {
        return Wrapper(Layer{}, nnx::Rngs(0)).lazy_init(ones({2, 2}));
      },
      [](Wrapper& wrapper, const Tensor& x) { return wrapper.call({.mutate = {"state"}}, x); });
}

TEST(AllocationFailure, R_041_objects_as_functional_modules) {
  walk(
      [] {
        return Scenario{.run = [] {
          const Tensor x = ones({2, 2});
          const auto module = bridge::to_linen<Noisy>();
          const linen::RngStreams streams{{"params", Key(0)}, {"default", Key(1)}};
          const linen::Variables made = linen::init(module, streams, x);
          return linen::apply_with({.mutate = true, .rngs = streams}, module, made, x).first;
        }};
      },
      1, 1, {40, 31});
}

/// Transformations around others, in an optimiser and on a tree.
std::vector<optim::GradientTransformation> around_others() {
  const auto tuned = optim::inject_hyperparams(
      [](const auto& values) { return optim::sgd(values.at("rate"), 0.9); },
      {{"rate", optim::linear_schedule(1e-2, 1e-3, 10)}});
  const auto parts = optim::partition(
      {{"a", optim::adam(1e-2)}, {"b", tuned}},
      [](const tree::Path& path, const Tensor&) { return path.back().name == "a" ? "a" : "b"; });
  return {parts, optim::multi_steps(optim::sgd(0.1), 2), optim::apply_if_finite(optim::sgd(0.1), 3),
          optim::lookahead(optim::sgd(0.1))};
}
struct Pair {
  Tensor a = ones({2}), b = zeros({2});
  LINNET_FIELDS(a, b)
};
struct Pairs {
  nnx::Param a{ones({2})}, b{zeros({2})};
  LINNET_FIELDS(a, b)
};

Scenario step_of_a_tree(const optim::GradientTransformation& tx) {
  auto params = std::make_shared<Pair>();
  auto state = std::make_shared<optim::TransformState>(tx.init(*params));
  return {.run =
              [=] {
                optim::step(tx, *params, Pair{ones({2}), ones({2})}, *state);
                return params->a;
              },
          .state =
              [=] {
                TensorList out = tree::leaves(*params);
                append(out, *state);
                return out;
              }};
}
Scenario step_of_an_optimizer(const optim::GradientTransformation& tx) {
  auto model = std::make_shared<Pairs>();
  auto optimizer = std::make_shared<optim::Optimizer>(*model, tx);
  const nnx::State gradients =
      nnx::grad([](Pairs& p) { return sum(p.a.value() + p.b.value()); }, *model);
  return {.run =
              [=] {
                optimizer->update(*model, gradients);
                return Tensor();  // reading a variable needs memory too
              },
          .state =
              [=] {
                TensorList out = tree::leaves(*model);
                append(out, *optimizer);
                return out;
              }};
}

TEST(AllocationFailure, R_041_optimisers_around_others) {
  for (const optim::GradientTransformation& tx : around_others()) {
    walk([&] { return step_of_a_tree(tx); }, 1, 1, {40, 31});
    walk([&] { return step_of_an_optimizer(tx); }, 1, 1, {40, 31});
  }
}

TEST(AllocationFailure, R_041_metrics_and_moving_averages) {
  const auto of_metric = [](auto metric) {
    return [metric] {
      auto own = std::make_shared<decltype(metric)>(metric);
      return Scenario{.run =
                          [=] {
                            own->update(tensor({1.f, 0.f}), tensor<int32_t>({1, 1}));
                            return Tensor();
                          },
                      .state = [=] { return tree::leaves(*own); }};
    };
  };
  walk(of_metric(metrics::Average()), 1);
  walk(of_metric(metrics::AUC(4)), 1, 1, kEager);
  walk(
      [] {
        auto model = std::make_shared<Pairs>();
        auto means = std::make_shared<nnx::EMA>(*model, 0.9);
        return Scenario{.run =
                            [=] {
                              means->update(*model);
                              return Tensor();
                            },
                        .state = [=] { return tree::leaves(*means); }};
      },
      1);
}

/// The next batch, and where the loader stands.
template <class Loader>
Scenario of_loader(const std::shared_ptr<Loader>& loader) {
  return {.run = [=] { return loader->next().value(); },
          .state =
              [=] {
                data::LoaderState state = loader->state();
                return tree::leaves(state);
              }};
}

TEST(AllocationFailure, R_041_loaders) {
  for (const int workers : {0, 1}) {
    const auto make = [&] {
      data::Loader loader(data::in_memory(arange(8.0)),
                          {.batch_size = 2, .shuffle = Key(3), .workers = workers});
      return of_loader(std::make_shared<decltype(loader)>(std::move(loader)));
    };
    walk(make, 0);  // the order of the first epoch
    walk(make, 1, 0);
  }
}

}  // namespace
}  // namespace linnet::allocation_modules_test
