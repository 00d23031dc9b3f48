// Lifted transformations inside each other: what a body makes, writes and gives does not depend on
// what is around it.
#include "tests/modules/linen_transforms_support.h"

namespace linnet::linen_transforms_nested_test {
namespace {

using namespace linnet::testing::lifted;

using Nothing = std::tuple<>;
using linnet::testing::expect_golden;

/// One step over time: {state, input} -> state, with a parameter of its own.
struct Step {
  LINNET_FIELDS()
  Tensor operator()(Scope& s, const Tensor& h, const Tensor& x) const {
    const Tensor of_x = s("i", linen::Dense{.features = 4}, x);
    return tanh(of_x + s("h", linen::Dense{.features = 4, .use_bias = false}, h));
  }
};

/// A scan over time of `step`, whose parameters are made inside and shared by all turns.
template <class F>
auto over_time(const F& step) {
  const auto body = [step](Scope& s, const Tensor& h, const Tensor& x) {
    const Tensor next = step(s, h, x);
    return std::make_pair(next, next);
  };
  return linen::scan(
      body, {.variable_broadcast = "params", .split_rngs = {{"params", false}, {"noise", true}}});
}

/// Parameters that `init` makes, results, and gradients of parameters and carry.
template <class Module>
TensorList everything(const Module& module) {
  const Tensor h = normal({2, 4}), xs = random::normal(Key(2), {3, 2, 5});
  const Variables variables = linen::init(module, init_streams(), h, xs);
  EXPECT_EQ(variables.keys(), std::vector<std::string>{"params"});
  TensorList out = tree::leaves(variables);
  const auto loss = [&](const Variables& v, const Tensor& c) {
    const auto [last, ys] = linen::apply(module, v, c, xs);
    return sum(square(ys)) + sum(last);
  };
  const auto [value, gradients] = value_and_grad<0, 1>(loss)(variables, h);
  out.push_back(value);
  for (const Tensor& leaf : tree::leaves(gradients)) out.push_back(leaf);
  return out;
}

void expect_same(const TensorList& got, const TensorList& expected, const std::string& what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (size_t i = 0; i < got.size(); ++i)
    expect_golden(got[i], expected[i], 1e-5, what + " " + std::to_string(i));
}

TEST(LinenNested, L_087_shared_parameters_are_made_inside_other_transformations) {
  const TensorList expected = everything(over_time(Step{}));
  expect_same(everything(over_time(linen::remat(Step{}))), expected, "remat");
  expect_same(everything(over_time(linen::map_variables(Step{}, "params", {.mutate = true}))),
              expected, "map_variables");
  const auto forward = [](Scope& s, const Tensor& h, const Tensor& x) {
    Tensor y = Step{}(s, h, x);
    return std::make_pair(std::move(y), std::make_tuple(s.variables(), h, x));
  };
  const auto backward = [](const std::tuple<Variables, Tensor, Tensor>& kept, const Tensor& ct) {
    const auto& [variables, h, x] = kept;
    const auto f = [](const Variables& v, const Tensor& a, const Tensor& b) {
      return linen::apply(Step{}, v, a, b);
    };
    return vjp(f, variables, h, x).second(ct);
  };
  expect_same(everything(over_time(linen::custom_vjp(Step{}, forward, backward))), expected,
              "custom_vjp");
  const auto by_pullback = [](Scope& s, const Tensor& h, const Tensor& x) {
    return linen::vjp(Step{}, s, h, x).first;
  };
  expect_same(everything(over_time(by_pullback)), expected, "vjp");
  const auto branches = [](Scope& s, const Tensor& h, const Tensor& x) {
    const auto other = [](Scope& t, const Tensor& a, const Tensor& b) {
      return 2 * Step{}(t, a, b);
    };
    return linen::cond(Tensor(1.f) > 0, Step{}, other, s, h, x);
  };
  expect_same(everything(over_time(branches)), expected, "cond");
  const auto rows = linen::vmap(
      Step{}, {.variable_axes = {{"params", kNone}}, .split_rngs = {{"params", false}}});
  expect_same(everything(over_time(rows)), expected, "vmap");
}

TEST(LinenNested, L_078_jit_inside_a_loop_is_fold_rngs) {
  expect_same(everything(over_time(linen::jit(Step{}))),
              everything(over_time(linen::fold_rngs(Step{}))), "jit");
}

TEST(LinenNested, L_087_a_shared_loop_inside_a_loop) {
  const auto inner = [](Scope& s, const Tensor& h, const Tensor& x) {
    const auto body = [x](Scope& t, const Tensor& c) {
      return std::make_pair(Step{}(t, c, x), Nothing());
    };
    const linen::ScanOptions options{
        .variable_broadcast = "params", .split_rngs = {{"params", false}}, .length = 2};
    return linen::scan(body, options)(s, h).first;
  };
  const auto plain = [](Scope& s, const Tensor& h, const Tensor& x) {
    Scope t = s;
    const auto call = [](Scope& u, const Tensor& a, const Tensor& b) { return Step{}(u, a, b); };
    const Tensor once = Scope::call(t, call, h, x);
    return Scope::call(t, call, once, x);
  };
  expect_same(everything(over_time(inner)), everything(over_time(plain)), "scan");
}

/// Adds to a count in the collection state, and to h.
struct Counting {
  LINNET_FIELDS()
  Tensor operator()(Scope& s, const Tensor& h) const {
    const Tensor count = s.get_variable("state", "count") + 1;
    s.put_variable("state", "count", count);
    return h + count;
  }
};
const Variables& counts() {
  static const Variables variables{{"state", Variables{{"count", scalar(0, DType::kF32)}}}};
  return variables;
}

TEST(LinenNested, L_088_L_097_L_098_branches_and_loops_hand_on_what_is_carried) {
  const auto sometimes = [](Scope& s, const Tensor& h) {
    const auto rests = [](Scope&, const Tensor& y) { return y; };
    return std::make_pair(linen::cond(sum(h) < 8, Counting{}, rests, s, h), Nothing());
  };
  const auto loop = linen::scan(sometimes, {.variable_carry = "state", .length = 5});
  const linen::ApplyOptions options{.mutate = {"state"}};
  const auto [out, updates] = linen::apply_with(options, loop, counts(), zeros({2}));
  // 1, 3, 6: the sum of both elements is then 12.
  EXPECT_EQ(out.first.to_vector<float>(), (std::vector<float>{6, 6}));
  EXPECT_EQ(updates["state"]["count"].value().item<float>(), 3.f);

  const auto until = [](Scope& s, const Tensor& h) {
    const auto small = [](Scope&, const Tensor& c) { return sum(c) < 8; };
    return linen::while_loop_with({.carry_variables = "state"}, small, Counting{}, s, h);
  };
  const auto twice = linen::scan(
      [until](Scope& s, const Tensor& h) { return std::make_pair(until(s, h * 0), Nothing()); },
      {.variable_carry = "state", .length = 2});
  const auto [last, after] = linen::apply_with(options, twice, counts(), zeros({2}));
  EXPECT_EQ(last.first.to_vector<float>(), (std::vector<float>{4, 4})) << "1, 3, 6; then 4";
  EXPECT_EQ(after["state"]["count"].value().item<float>(), 4.f);
}

TEST(LinenNested, L_082_L_097_L_098_under_vmap_elements_go_their_own_ways) {
  const auto until = [](Scope& s, const Tensor& h) {
    const auto small = [](Scope&, const Tensor& c) { return c < 8; };
    const Tensor reached =
        linen::while_loop_with({.carry_variables = "state"}, small, Counting{}, s, h);
    const auto halved = [](Scope&, const Tensor& y) { return y / 2; };
    const auto same = [](Scope&, const Tensor& y) { return y; };
    return linen::cond(reached > 9, halved, same, s, reached);
  };
  const auto rows = linen::vmap(until, {.variable_axes = {{"state", 0}}});
  const Variables state{{"state", Variables{{"count", tensor({0.f, 4.f, 0.f})}}}};
  const auto [out, updates] =
      linen::apply_with({.mutate = {"state"}}, rows, state, tensor({0.f, 7.f, 9.f}));
  // 0 1 3 6 10 -> 5;  7 12 -> 6;  9 stays.
  EXPECT_EQ(out.to_vector<float>(), (std::vector<float>{5, 6, 9}));
  EXPECT_EQ(updates["state"]["count"].value().to_vector<float>(), (std::vector<float>{4, 5, 0}));
}

TEST(LinenNested, L_084_L_088_a_named_axis_is_seen_inside_a_loop) {
  const auto layer = [](Scope& s, const Tensor& h) {
    const linen::BatchNorm norm{
        .use_running_average = false, .momentum = 0.5, .axis_name = "batch"};
    return std::make_pair(h + s("norm", norm, h), Nothing());
  };
  const auto over_batch = [](const auto& module) {
    return linen::vmap(module, {.variable_axes = {{"params", kNone}, {"batch_stats", kNone}},
                                .split_rngs = {{"params", false}},
                                .axis_name = "batch"});
  };
  const auto once = over_batch([layer](Scope& s, const Tensor& h) { return layer(s, h).first; });
  const auto looped = over_batch([layer](Scope& s, const Tensor& h) {
    const linen::ScanOptions options{
        .variable_broadcast = "params", .variable_carry = "batch_stats", .length = 3};
    return linen::scan(layer, options)(s, h).first;
  });
  const Tensor x = normal({4, 2, 5});
  const Variables variables = linen::init(once, Key(0), x);
  const linen::ApplyOptions options{.mutate = {"batch_stats"}};
  Variables now = variables;
  Tensor expected = x;
  for (int i = 0; i < 3; ++i) {
    auto [out, updates] = linen::apply_with(options, once, now, expected);
    expected = out;
    now = now | updates;
  }
  const auto [out, updates] = linen::apply_with(options, looped, variables, x);
  expect_golden(out, expected, 1e-5, "out");
  expect_same(tree::leaves(updates["batch_stats"]), tree::leaves(now["batch_stats"]), "statistics");
}

TEST(LinenNested, L_095_gradients_inside_a_loop) {
  const auto energy = [](Scope& s, const Tensor& x) {
    const Tensor h = tanh(s("dense", linen::Dense{.features = 3}, x));
    return sum(square(h));
  };
  const auto descend = [energy](Scope& s, const Tensor& x) {
    const auto [value, gradients] = linen::value_and_grad(energy, s, x);
    return std::make_pair(x - 0.1f * std::get<0>(gradients), value);
  };
  const auto loop = linen::scan(
      descend, {.variable_broadcast = "params", .split_rngs = {{"params", false}}, .length = 4});
  const Tensor x = normal({2, 3});
  const Variables variables = linen::init(loop, Key(0), x);
  const auto by_hand = [&](const Variables& v, Tensor at) {
    TensorList values;
    for (int i = 0; i < 4; ++i) {
      auto [value, gradient] =
          value_and_grad([&](const Tensor& y) { return linen::apply(energy, v, y); })(at);
      values.push_back(value);
      at = at - 0.1f * gradient;
    }
    return std::make_pair(at, stack(values));
  };
  const auto expected = by_hand(variables, x);
  const auto got = linen::apply(loop, variables, x);
  expect_golden(got.first, expected.first, 1e-5, "carry");
  expect_golden(got.second, expected.second, 1e-5, "energies");
  // A derivative of all that, of second order inside.
  const auto of_loop = [&](const Variables& v) { return sum(linen::apply(loop, v, x).second); };
  const auto of_hand = [&](const Variables& v) { return sum(by_hand(v, x).second); };
  expect_same(tree::leaves(grad(of_loop)(variables)), tree::leaves(grad(of_hand)(variables)),
              "second derivative");
}

TEST(LinenNested, L_068_init_of_a_loop_under_jit) {
  const auto module = over_time(Step{});
  const Tensor h = normal({2, 4}), xs = random::normal(Key(2), {3, 2, 5});
  const auto init = jit([&](const Key& key, const Tensor& c, const Tensor& x) {
    return linen::init(module, key, c, x);
  });
  expect_same(tree::leaves(init(Key(0), h, xs)), tree::leaves(linen::init(module, Key(0), h, xs)),
              "init");
  const Variables types =
      eval_shape([&](const Key& key, const Tensor& c,
                     const Tensor& x) { return linen::init(module, key, c, x); },
                 Key(0), h, xs);
  EXPECT_EQ(types["params"]["h"]["kernel"].shape(), (Shape{4, 4}));
}

}  // namespace
}  // namespace linnet::linen_transforms_nested_test
