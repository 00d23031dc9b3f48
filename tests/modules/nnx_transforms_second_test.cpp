// Gradients of gradients of objects under each transformation, and what loops carry of them,
// against Flax.
#include <functional>

#include "linnet/jit.h"
#include "tests/modules/nnx_transforms_support.h"

namespace linnet::nnx_transforms_second_test {
namespace {

using nnx::kCarry;
using nnx::kNone;
using testing::Counter;
using testing::expect_transformed;
using testing::expect_transformed_state;
using testing::Noisy;
using testing::SmallMlp;
using testing::transforms_golden;
using testing::TwoParams;

constexpr double kTolerance = 1e-5;

/// The sum of gradients times normal numbers, which second derivatives are gradients of.
template <class Gradients>
Tensor along(const Gradients& gradients) {
  Tensor out = 0.0;
  for (const Tensor& d : tree::leaves(gradients))
    out = out + sum(d * random::normal(Key(3), d.shape()));
  return out;
}

template <class M>
using Loss = std::function<Tensor(M&, const Tensor&)>;
using Gradients = std::tuple<nnx::State, Tensor>;

template <class M>
Gradients first(const Loss<M>& loss, M& model, const Tensor& x) {
  return nnx::grad<0, 1>(loss)(model, x);
}
template <class M>
Gradients second(const Loss<M>& loss, M& model, const Tensor& x) {
  return nnx::grad<0, 1>([&](M& m, const Tensor& at) { return along(first<M>(loss, m, at)); })(
      model, x);
}

/// Names of the golden entries of one derivative.
struct Names {
  std::string state, input;
};

/// Every parameter has a gradient.
template <class M>
void expect_all(const nnx::State& gradients, M& model) {
  EXPECT_EQ(gradients.size(), nnx::state(model, nnx::of_type<nnx::Param>()).size());
}

template <class M>
void check(const Gradients& got, M& model, const Names& names) {
  expect_all(std::get<0>(got), model);
  expect_transformed_state(std::get<0>(got), names.state, kTolerance);
  expect_transformed(std::get<1>(got), names.input, kTolerance);
}

/// First and second derivatives, eager and compiled, of a model that `make` makes anew each time.
template <class M>
void check_derivatives(const Loss<M>& loss, const std::function<M()>& make, const Tensor& x,
                       const Names& of_first, const Names& of_second) {
  M models[] = {make(), make(), make(), make()};
  const auto compiled = [&](const auto& derivative, M& model) {
    return jit([&](M& m, const Tensor& at) { return derivative(loss, m, at); })(model, x);
  };
  check(first<M>(loss, models[0], x), models[0], of_first);
  check(compiled(first<M>, models[1]), models[1], of_first);
  check(second<M>(loss, models[2], x), models[2], of_second);
  check(compiled(second<M>, models[3]), models[3], of_second);
}

/// The same for a loss of the model alone.
template <class M>
void check_second(const std::function<Tensor(M&)>& loss, const std::function<M()>& make,
                  const std::string& name) {
  const auto twice = [&](M& m) {
    return nnx::grad([&](M& one) { return along(nnx::grad(loss, one)); }, m);
  };
  M eager = make(), compiled = make();
  const nnx::State got = twice(eager), got_compiled = jit(twice)(compiled);
  expect_all(got, eager);
  expect_transformed_state(got, name, kTolerance);
  expect_all(got_compiled, compiled);
  expect_transformed_state(got_compiled, name, kTolerance);
}

TwoParams pair_of_params() { return TwoParams(); }

TEST(NnxSecondDerivatives, N_094_of_a_module_and_an_input) {
  const Loss<TwoParams> loss = [](TwoParams& m, const Tensor& x) {
    m.c = m.c.value() * 3;
    return sin(m.a.value() * x) * m.b.value() * m.c.value();
  };
  check_derivatives<TwoParams>(loss, pair_of_params, scalar(0.7, DType::kF32),
                               {"grad/argnums/m", "grad/argnums/x"},
                               {"grad/second/m", "grad/second/x"});
}

Noisy noisy() {
  nnx::Rngs rngs = testing::noisy_rngs();
  return Noisy(rngs);
}

TEST(NnxSecondDerivatives, N_099_of_remat) {
  const Tensor x = random::normal(Key(1), {4, 3});
  const auto block = nnx::remat([](Noisy& m, const Tensor& input) { return m(input); });
  check_second<Noisy>([&](Noisy& m) { return mean(square(block(m, x))); }, noisy, "remat/second");
}

SmallMlp ensemble() {
  nnx::Rngs rngs(0);
  return nnx::split_rngs({.splits = 3}, nnx::vmap([](nnx::Rngs& r) { return SmallMlp(r); }))(rngs);
}

TEST(NnxSecondDerivatives, N_100_of_an_ensemble_and_of_each_member) {
  const Tensor x = transforms_golden("ensemble/x");
  const auto forward =
      nnx::vmap([](SmallMlp& m, const Tensor& input) { return m(input); }, {.in_axes = {0, kNone}});
  check_second<SmallMlp>([&](SmallMlp& m) { return mean(square(forward(m, x))); }, ensemble,
                         "ensemble/second");
  const auto member = [](SmallMlp& m, const Tensor& input) {
    const auto loss = [&](SmallMlp& one) { return mean(square(one(input))); };
    return nnx::grad([&](SmallMlp& one) { return along(nnx::grad(loss, one)); }, m);
  };
  SmallMlp models = ensemble();
  const nnx::State each = nnx::vmap(member, {.in_axes = {0, kNone}})(models, x);
  expect_transformed_state(each, "ensemble/member_second", kTolerance);
}

Noisy layers(int64_t axis) {
  nnx::Rngs rngs = testing::noisy_rngs();
  return nnx::split_rngs(
      {.splits = 3}, nnx::vmap([](nnx::Rngs& r) { return Noisy(r); }, {.out_axes = {axis}}))(rngs);
}

TEST(NnxSecondDerivatives, N_104_of_stacked_layers) {
  for (const auto& [name, axis] :
       {std::pair("scan/layers", 0), std::pair("scan/layers_last", -1)}) {
    const std::string prefix = name;
    const Loss<Noisy> loss = [axis = axis](Noisy& blocks, const Tensor& x) {
      const auto through = nnx::scan([](const Tensor& h, Noisy& block) { return block(h); },
                                     {.in_axes = {kCarry, axis}, .out_axes = {kCarry}});
      return mean(square(through(x, blocks)));
    };
    check_derivatives<Noisy>(loss, [axis = axis] { return layers(axis); },
                             transforms_golden(prefix + "/x"), {prefix + "/grad", prefix + "/dx"},
                             {prefix + "/second", prefix + "/second_in"});
  }
}

TEST(NnxSecondDerivatives, N_099_N_104_of_scan_of_remat) {
  const Tensor x = transforms_golden("scan/layers/x");
  const auto block = nnx::remat([](const Tensor& h, Noisy& m) { return m(h); });
  const auto forward = nnx::scan(block, {.in_axes = {kCarry, 0}, .out_axes = {kCarry}});
  check_second<Noisy>([&](Noisy& m) { return mean(square(forward(x, m))); },
                      [] { return layers(0); }, "scan/remat/second");
}

/// Statistics are carried, other variables are those of all steps.
nnx::StateAxes carried_statistics() {
  return {{nnx::of_type<nnx::BatchStat>(), kCarry}, {nnx::everything(), kNone}};
}

Counter counter() {
  nnx::Rngs rngs(0);
  return Counter(rngs);
}

TEST(NnxSecondDerivatives, N_101_N_104_of_carried_state_and_streams) {
  const nnx::StateAxes streams{{nnx::everything(), kCarry}};
  const Loss<Counter> loss = [&](Counter& model, const Tensor& xs) {
    nnx::Rngs noise(5);
    const auto step = nnx::scan(
        [](const Tensor& h, Counter& m, nnx::Rngs& r, const Tensor& x) {
          const Tensor next = m(h + x + r.normal({3}));
          return std::pair(next, 2 * next);
        },
        {.in_axes = {kCarry, carried_statistics(), streams, 0}});
    const auto [h, ys] = step(zeros({3}), model, noise, xs);
    return sum(ys * ys) + sum(h);
  };
  const std::string name = "scan/carried_grad/";
  check_derivatives<Counter>(loss, counter, transforms_golden("scan/carried/xs"),
                             {name + "grad", name + "d_xs"}, {name + "second", name + "second_in"});
}

TEST(NnxSecondDerivatives, N_101_N_104_of_carried_batch_statistics) {
  const Loss<Noisy> loss = [](Noisy& model, const Tensor& xs) {
    const auto step = nnx::scan(
        [](const Tensor& h, Noisy& block, const Tensor& x) {
          const Tensor next = tanh(block.norm(block.linear(h + x)));
          return std::pair(next, mean(next));
        },
        {.in_axes = {kCarry, carried_statistics(), 0}});
    const auto [h, means] = step(zeros({4, 3}), model, xs);
    return mean(square(h)) + sum(means);
  };
  const std::string name = "scan/carried_norm/";
  const Tensor xs = transforms_golden(name + "xs");
  Noisy eager = noisy(), compiled = noisy();
  expect_transformed(loss(eager, xs), name + "value");
  expect_transformed(jit(loss)(compiled, xs), name + "value");
  for (Noisy* model : {&eager, &compiled}) {
    expect_transformed_state(nnx::state(*model, nnx::of_type<nnx::BatchStat>()), name + "after");
  }
  check_derivatives<Noisy>(loss, noisy, xs, {name + "grad", name + "d_xs"},
                           {name + "second", name + "second_in"});
}

TEST(NnxSecondDerivatives, N_108_N_109_of_branches_and_a_loop_over_a_module) {
  const Loss<Counter> loss = [](Counter& model, const Tensor& x) {
    const auto call = [](Counter& m, const Tensor& at) { return m(at); };
    const auto minus = [](Counter& m, const Tensor& at) { return -m(at); };
    const auto twice = [](Counter& m, const Tensor& at) { return m(m(at)); };
    const auto skip = [](Counter&, const Tensor& at) { return at; };
    const Tensor y = nnx::cond(sum(x) > 0, call, minus, model, x);
    const Tensor z = nnx::switch_case(Tensor(1), std::tuple(skip, twice), model, x);
    using At = std::tuple<Counter&, Tensor>;
    const auto body = [](const Tensor&, At& at) {
      auto& [m, h] = at;
      return At(m, m(h));
    };
    const Tensor h = std::get<1>(nnx::fori_loop(0, 3, body, At(model, x)));
    return sum(y * z) + sum(h * h);
  };
  const Tensor x = transforms_golden("branches/x");
  Counter eager = counter(), compiled = counter();
  expect_transformed(loss(eager, x), "branches/value");
  expect_transformed(jit(loss)(compiled, x), "branches/value");
  check_derivatives<Counter>(loss, counter, x, {"branches/grad", "branches/dx"},
                             {"branches/second", "branches/second_in"});
}

}  // namespace
}  // namespace linnet::nnx_transforms_second_test
