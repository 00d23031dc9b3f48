// Loops and branches against the real JAX: values and derivatives, keys inside loops, a neural
// ordinary differential equation, a random policy and a beam search
// (reference/cases/control_flow.py).
#include "linnet/core.h"
#include "tests/ops/golden_file.h"

namespace linnet::control_flow_golden_test {
namespace {

using random::Key;
using testing::expect_golden;

const testing::GoldenFile& golden() {
  static const testing::GoldenFile* file = new testing::GoldenFile("control_flow");
  return *file;
}
Tensor input(const std::string& name) { return golden().tensor(name); }
void check(const Tensor& got, const std::string& name, double tolerance) {
  expect_golden(got, input(name), tolerance, name);
}

Tensor recurrence(const Tensor& w, const Tensor& h0, const Tensor& xs) {
  const auto [h, ys] = scan(
      [&](const Tensor& last, const Tensor& x) {
        const Tensor next = tanh(matmul(last, w) + x);
        return std::pair(next, sum(next * next));
      },
      h0, xs);
  return sum(h) + sum(ys * ys);
}

TEST(ControlFlowGolden, J_088_scan_and_its_derivatives) {
  const Tensor w = input("scan/w"), h0 = input("scan/h0"), xs = input("scan/xs");
  for (const bool compiled : {false, true}) {
    const auto run = [&](auto f) {
      return compiled ? jit([&](const Tensor& a) { return f(a); })(h0) : f(h0);
    };
    check(run([&](const Tensor& h) { return recurrence(w, h, xs); }), "scan/value", 1e-6);
    const auto gradients = grad<0, 1, 2>(recurrence)(w, h0, xs);
    check(std::get<0>(gradients), "scan/grad_w", 1e-5);
    check(std::get<1>(gradients), "scan/grad_h0", 1e-5);
    check(std::get<2>(gradients), "scan/grad_xs", 1e-5);
    const auto of_h0 = [&](const Tensor& h) { return recurrence(w, h, xs); };
    check(run(hessian(of_h0)), "scan/hessian", 1e-5);
    check(run([&](const Tensor& h) { return jvp(of_h0, h, cos(h)).second; }), "scan/jvp", 1e-5);
  }
}

TEST(ControlFlowGolden, J_088_keys_inside_a_loop) {
  const auto [last, ys] = scan(
      [](const Key& key, const Tensor& x) {
        const Key both = random::split(key, 2);
        return std::pair(both[0], x * random::normal(both[1], {4}));
      },
      Key(3), arange(5).astype(DType::kF32));
  check(last.data(), "keys/last", 0);
  check(ys, "keys/ys", 1e-6);
}

TEST(ControlFlowGolden, J_089_while_loop_and_its_forward_derivatives) {
  const auto root = [](const Tensor& a) {
    return while_loop([&](const Tensor& c) { return abs(c * c - a) > 1e-5; },
                      [&](const Tensor& c) { return 0.5 * (c + a / c); }, a);
  };
  check(vmap(root)(input("while/a")), "while/out", 1e-6);
  check(vmap(jacfwd(root))(input("while/a")), "while/tangent", 1e-6);
}

TEST(ControlFlowGolden, J_090_switch_under_vmap) {
  const auto branches = [](const Tensor& i, const Tensor& x) {
    return switch_case(
        i,
        std::tuple([](const Tensor& v) { return sin(v); }, [](const Tensor& v) { return v * v; },
                   [](const Tensor& v) { return -v; }),
        x);
  };
  check(vmap(branches)(input("switch/i"), input("switch/x")), "switch/out", 1e-6);
  check(vmap(grad<1>(branches))(input("switch/i"), input("switch/x")), "switch/grad", 1e-6);
}

TEST(ControlFlowGolden, J_091_associative_scan_of_products) {
  const auto product = [](const Tensor& a, const Tensor& b) { return matmul(a, b); };
  const Tensor elements = input("associative_scan/elements");
  check(associative_scan(product, elements), "associative_scan/forward", 1e-5);
  check(associative_scan(product, elements, {.reverse = true}), "associative_scan/reverse", 1e-5);
}

struct Field {
  Tensor w1, w2;
  LINNET_FIELDS(w1, w2)
  Tensor operator()(const Tensor& y) const { return matmul(tanh(matmul(y, w1)), w2); }
};

/// Heun's method with steps that follow from its distance to Euler's.
Tensor solve(const Field& field, const Tensor& start) {
  using State = std::tuple<Tensor, Tensor, Tensor>;
  const auto step = [&](const State& state) {
    const auto& [t, wanted, y] = state;
    const Tensor h = minimum(wanted, 1.0 - t);
    const Tensor a = field(y), b = field(y + h * a);
    const Tensor euler = y + h * a, heun = y + 0.5 * h * (a + b);
    const Tensor error = sqrt(sum(square(euler - heun))) + 1e-8;
    const Tensor good = error < 0.01;
    const Tensor scale = clip(0.9 * sqrt(0.01 / error), 0.3, 2.0);
    return State(where(good, where(h >= 1.0 - t, 1.0, t + h), t), h * scale, where(good, heun, y));
  };
  return std::get<2>(while_loop([](const State& state) { return std::get<0>(state) < 1.0; }, step,
                                std::tuple(0.0, 0.1, start)));
}

TEST(ControlFlowGolden, J_089_neural_ode_trains_as_in_jax) {
  const Tensor starts = input("ode/starts"), targets = input("ode/targets");
  const auto loss = [&](const Tensor& w1, const Tensor& w2) {
    const Tensor ends = vmap([&](const Tensor& y) { return solve(Field{w1, w2}, y); })(starts);
    return mean(square(ends - targets));
  };
  const auto update = jit([&](Field& field) {
    const Tensor g1 = jacfwd([&](const Tensor& w) { return loss(w, field.w2); })(field.w1);
    const Tensor g2 = jacfwd([&](const Tensor& w) { return loss(field.w1, w); })(field.w2);
    const Tensor value = loss(field.w1, field.w2);
    field = Field{field.w1 - 0.5 * g1, field.w2 - 0.5 * g2};
    return value;
  });
  Field field{input("ode/w1"), input("ode/w2")};
  std::vector<Tensor> losses;
  for (int i = 0; i < 50; ++i) losses.push_back(update(field));
  check(stack(losses), "ode/losses", 2e-4);
}

/// log-probabilities of the actions, rewards and actions of one episode.
std::tuple<Tensor, Tensor, Tensor> episode(const Tensor& theta, const Key& key) {
  const auto step = [&](const std::pair<Tensor, Tensor>& state, const Key& draw) {
    const Tensor logits = matmul(stack({state.first, state.second, Tensor(1.f)}), theta);
    const Tensor action = random::categorical(draw, logits);
    const Tensor speed = 0.9 * state.second + 0.2 * (2.0 * action.astype(DType::kF32) - 1.0);
    const Tensor position = state.first + speed;
    return std::pair(std::pair(position, speed),
                     std::tuple(take(log_softmax(logits), action), -abs(position - 1.0), action));
  };
  return scan(step, std::pair(0.0, 0.0), random::split(key, 20)).second;
}

TEST(ControlFlowGolden, J_088_random_policy_trains_as_in_jax) {
  Tensor actions;
  const auto loss = [](const Tensor& theta, const Key& key) {
    const auto [logp, reward, action] =
        vmap([&](const Key& k) { return episode(theta, k); })(random::split(key, 8));
    const Tensor togo = cumsum(reward, 1, true);
    const Tensor advantage = stop_gradient(togo - mean(togo, 0));
    return std::pair(-mean(sum(logp * advantage, 1)), std::pair(mean(reward), action));
  };
  const auto update = jit([&](Tensor& theta, const Key& key) {
    const auto [value, others, g] = value_and_grad(loss)(theta, key);
    theta = theta - 0.02 * g;
    return std::tuple(value, others.first, others.second);
  });
  Tensor theta = zeros({3, 2});
  std::vector<Tensor> losses, rewards;
  for (uint32_t i = 0; i < 50; ++i) {
    const auto [value, reward, last] = update(theta, random::fold_in(Key(5), i));
    losses.push_back(value);
    rewards.push_back(reward);
    actions = last;
  }
  check(actions, "policy/actions", 0);
  check(stack(rewards), "policy/rewards", 1e-4);
  check(stack(losses), "policy/losses", 1e-4);
  check(theta, "policy/theta", 1e-3);
}

TEST(ControlFlowGolden, J_090_beam_search) {
  constexpr int64_t kBeams = 3, kLength = 8, kWords = 9;
  const Tensor logp = log_softmax(input("beam/table"));
  using State = std::pair<Tensor, Tensor>;
  const auto search = [&](const Tensor& first) {
    const auto step = [&](const Tensor& i, const State& state) {
      const Tensor last =
          reshape(dynamic_slice(state.first, {Tensor(0), i - 1}, {kBeams, 1}), {kBeams});
      const Tensor done = logical_and(last == 0, broadcast_to(i > 1, {kBeams}));
      const auto extend = [&](const State& s) {
        const Tensor stay = where(arange(kWords) == 0, 0.0, -1e9).astype(DType::kF32);
        const Tensor next = where(reshape(done, {kBeams, 1}), stay, take(logp, last));
        const Tensor options = ravel(reshape(s.second, {kBeams, 1}) + next);
        const Tensor best = slice_axis(argsort(-options), 0, kBeams, 0);
        const Tensor tokens = take(s.first, floor_divide(best, kWords));
        return State(
            dynamic_update_slice(tokens, reshape(mod(best, kWords), {kBeams, 1}), {Tensor(0), i}),
            take(options, best));
      };
      return cond(
          all(done), [](const State& s) { return s; }, extend, state);
    };
    const Tensor tokens = where(arange(kLength) == 0, first, 0);
    return fori_loop(1, kLength, step,
                     State(broadcast_to(tokens, {kBeams, kLength}), tensor({0.f, -1e9f, -1e9f})));
  };
  const auto [tokens, scores] =
      jit([&](const Tensor& first) { return vmap(search)(first); })(input("beam/first"));
  check(tokens, "beam/tokens", 0);
  check(scores, "beam/scores", 1e-5);
}

}  // namespace
}  // namespace linnet::control_flow_golden_test
