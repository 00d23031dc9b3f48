// Policies of checkpoint: which values are computed again, and that all give one gradient (J-086).
#include "linnet/float8_dot.h"
#include "tests/core/core_support.h"
#include "tests/core/graph_support.h"

namespace linnet::checkpoint_policy_test {
namespace {

namespace policies = checkpoint_policies;
using test::values;

/// Two products with values under names behind them.
Tensor named_layers(const Tensor& x, const Tensor& w) {
  const Tensor h = checkpoint_name(exp(sin(matmul(x, w))), "hidden");
  return sum(cos(checkpoint_name(tanh(matmul(h, w)), "out")));
}

/// The program of the loss and its gradients, each operation by itself.
template <class Loss>
Graph gradient_program(const Loss& loss, const TypeList& types) {
  const Graph graph = record(types, [&](const TensorList& x) {
    const auto [value, g] = value_and_grad<0, 1>(loss)(x[0], x[1]);
    return TensorList{value, std::get<0>(g), std::get<1>(g)};
  });
  return optimize(graph, {.epilogues = false, .fusion = false});
}

struct Case {
  const char* name;
  CheckpointPolicy policy;
  // The products are 2 forward, 4 backward (two for each), and those done again.
  size_t products, exponentials, tangents;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"nothing", policies::nothing_saveable(), 8, 2, 2},
      {"everything", policies::everything_saveable(), 6, 1, 1},
      {"dots", policies::dots_saveable(), 6, 2, 2},
      {"plain dots", policies::dots_with_no_batch_dims_saveable(), 6, 2, 2},
      {"hidden", policies::save_only_these_names({"hidden"}), 8, 1, 2},
      {"out", policies::save_only_these_names({"out"}), 7, 2, 1},
      {"both", policies::save_only_these_names({"hidden", "out"}), 7, 1, 1},
      {"any named", policies::save_any_names_but_these({}), 7, 1, 1},
      {"named but out", policies::save_any_names_but_these({"out"}), 8, 1, 2},
      {"all but hidden", policies::save_anything_except_these_names({"hidden"}), 6, 1, 1},
      {"dots or hidden",
       policies::save_from_both_policies(policies::dots_saveable(),
                                         policies::save_only_these_names({"hidden"})),
       6, 1, 2}};
  return all;
}

TEST(CheckpointPolicy, J_086_computes_again_what_it_does_not_keep) {
  const TypeList types{type({6, 4}), type({4, 4})};
  for (const Case& c : cases()) {
    const Graph program = gradient_program(checkpoint(named_layers, c.policy), types);
    EXPECT_EQ(count_nodes(program, "dot_general"), c.products) << c.name;
    EXPECT_EQ(count_nodes(program, "exp"), c.exponentials) << c.name;
    EXPECT_EQ(count_nodes(program, "tanh"), c.tangents) << c.name;
    EXPECT_EQ(count_nodes(program, "checkpoint_name"), 0u) << c.name;
  }
}

TEST(CheckpointPolicy, J_086_all_policies_give_one_gradient) {
  const Tensor x = sin(test::ramp({6, 4})), w = sin(test::ramp({4, 4}) * 3);
  const auto [gx, gw] = grad<0, 1>(named_layers)(x, w);
  for (const Case& c : cases()) {
    const auto loss = checkpoint(named_layers, c.policy);
    const auto [px, pw] = grad<0, 1>(loss)(x, w);
    EXPECT_EQ(values(px), values(gx)) << c.name;
    EXPECT_EQ(values(pw), values(gw)) << c.name;
    const auto [value, direction] =
        jvp(loss, std::tuple(x, w), std::tuple(ones_like(x), zeros_like(w)));
    EXPECT_FLOAT_EQ(value.item<float>(), named_layers(x, w).item<float>()) << c.name;
    EXPECT_NEAR(direction.item<float>(), sum(gx).item<float>(), 1e-4) << c.name;
    const auto both = vmap([&](const Tensor& a) { return grad(loss)(a, w); })(stack({x, x * 2}));
    EXPECT_EQ(values(both[0]), values(gx)) << c.name;
  }
}

TEST(CheckpointPolicy, J_086_second_derivatives) {
  const Tensor x = sin(test::ramp({3, 2}, DType::kF64)), w = sin(test::ramp({2, 2}, DType::kF64));
  const auto plain = [&](const Tensor& v) { return named_layers(x, v); };
  const std::vector<double> expected = hessian(plain)(w).to_vector<double>();
  for (const Case& c : cases()) {
    const auto loss = [&](const Tensor& v) { return checkpoint(named_layers, c.policy)(x, v); };
    const std::vector<double> forward = hessian(loss)(w).to_vector<double>();
    const std::vector<double> reverse = jacrev(grad(loss))(w).to_vector<double>();
    const std::vector<double> compiled =
        jit([&](const Tensor& v) { return jacrev(grad(loss))(v); })(w).to_vector<double>();
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(forward[i], expected[i], 1e-12) << c.name;
      EXPECT_NEAR(reverse[i], expected[i], 1e-12) << c.name;
      EXPECT_NEAR(compiled[i], expected[i], 1e-12) << c.name;
    }
  }
}

TEST(CheckpointPolicy, J_086_batches_are_what_tells_dots_apart) {
  const auto loss = [](const Tensor& x, const Tensor& w) { return sum(sin(matmul(x, w))); };
  const TypeList batched{type({3, 6, 4}), type({3, 4, 4})}, plain{type({6, 4}), type({4, 4})};
  const auto products = [&](const CheckpointPolicy& policy, const TypeList& types) {
    return count_nodes(gradient_program(checkpoint(loss, policy), types), "dot_general");
  };
  EXPECT_EQ(products(policies::dots_saveable(), batched), 3u);
  EXPECT_EQ(products(policies::dots_with_no_batch_dims_saveable(), batched), 4u);
  EXPECT_EQ(products(policies::dots_with_no_batch_dims_saveable(), plain), 3u);
}

TEST(CheckpointPolicy, J_086_keeps_products_of_eight_bits) {
  const TypeList matrices{type({6, 4}), type({4, 4})}, batches{type({3, 6, 4}), type({3, 4, 4})};
  const auto products = [](const CheckpointPolicy& policy, const TypeList& types) {
    const bool batched = types[0].shape.size() == 3;
    const DotDims one{.lhs_contract = {1}, .rhs_contract = {0}};
    const DotDims many{
        .lhs_contract = {2}, .rhs_contract = {1}, .lhs_batch = {0}, .rhs_batch = {0}};
    const auto loss = [&](const Tensor& x, const Tensor& w) {
      return sum(sin(float8_dot_general(x, w, batched ? many : one)));
    };
    const Graph program = gradient_program(checkpoint(loss, policy), types);
    return count_nodes(program, "scaled_dot") + count_nodes(program, "dot_general");
  };
  for (const TypeList& types : {matrices, batches}) {
    EXPECT_EQ(products(policies::nothing_saveable(), types), 4u);
    EXPECT_EQ(products(policies::dots_saveable(), types), 3u);
  }
  EXPECT_EQ(products(policies::dots_with_no_batch_dims_saveable(), matrices), 3u);
  EXPECT_EQ(products(policies::dots_with_no_batch_dims_saveable(), batches), 4u);
}

TEST(CheckpointPolicy, J_086_keeps_convolutions) {
  const auto loss = [](const Tensor& x, const Tensor& w) {
    return sum(sin(conv_general_dilated(x, w)));
  };
  const TypeList types{type({2, 6, 3}), type({3, 3, 4})};
  const auto forward = [&](const CheckpointPolicy& policy) {
    return count_nodes(gradient_program(checkpoint(loss, policy), types), "conv_general_dilated");
  };
  EXPECT_EQ(forward(policies::nothing_saveable()), 2u);
  EXPECT_EQ(forward(policies::dots_saveable()), 1u);
}

TEST(CheckpointPolicy, J_086_keeps_only_what_the_backward_pass_reads) {
  // The named value is of no use to the backward pass, so it is not kept.
  const auto f = [](const Tensor& x) { return sum(checkpoint_name(x * 3, "unused") + x); };
  const Tensor x = test::ramp({1024});
  const size_t before = memory_stats().live_bytes;
  const auto kept = vjp(checkpoint(f, policies::save_only_these_names({"unused"})), x);
  EXPECT_LT(memory_stats().live_bytes - before, 1024u);
}

/// In a program and the bodies of its loops.
size_t count_everywhere(const Graph& graph, const std::string& name) {
  size_t count = count_nodes(graph, name);
  for (const Graph::Node& node : graph.nodes) {
    for (const Graph* body : subgraphs(node)) count += count_everywhere(*body, name);
  }
  return count;
}

TEST(CheckpointPolicy, J_086_in_the_body_of_a_loop) {
  const auto turn = [](const Tensor& c, const Tensor& w) {
    return tanh(checkpoint_name(exp(sin(matmul(c, w))), "e"));
  };
  const auto loss = [&](const CheckpointPolicy& policy) {
    return [&turn, policy](const Tensor& c, const Tensor& w) {
      const auto step = [&](const Tensor& h) {
        return std::pair(checkpoint(turn, policy)(h, w), Tensor(0.f));
      };
      return sum(scan(step, c, ScanOptions{.length = 4}).first);
    };
  };
  const Tensor x = sin(test::ramp({2, 3}, DType::kF64)), w = sin(test::ramp({3, 3}, DType::kF64));
  const auto plain = [&](const Tensor& c, const Tensor& v) {
    Tensor h = c;
    for (int i = 0; i < 4; ++i) h = turn(h, v);
    return sum(h);
  };
  const auto [gx, gw] = grad<0, 1>(plain)(x, w);
  const auto near = [](const Tensor& a, const Tensor& b, const std::string& what) {
    const auto p = a.to_vector<double>(), q = b.to_vector<double>();
    for (size_t i = 0; i < p.size(); ++i) EXPECT_NEAR(p[i], q[i], 1e-12) << what;
  };
  for (const Case& c : cases()) {
    const auto [px, pw] = grad<0, 1>(loss(c.policy))(x, w);
    near(px, gx, c.name);
    near(pw, gw, c.name);
    const auto [jx, jw] = jit(
        [&](const Tensor& a, const Tensor& b) { return grad<0, 1>(loss(c.policy))(a, b); })(x, w);
    near(jx, gx, c.name);
    near(jw, gw, c.name);
  }
  // Products: one forward, two backward; and one again, if the results are not kept.
  const TypeList types{type({2, 3}), type({3, 3})};
  const auto count = [&](const CheckpointPolicy& policy, const std::string& name) {
    return count_everywhere(gradient_program(loss(policy), types), name);
  };
  EXPECT_EQ(count(policies::nothing_saveable(), "dot_general"), 4u);
  EXPECT_EQ(count(policies::dots_saveable(), "dot_general"), 3u);
  EXPECT_EQ(count(policies::dots_saveable(), "exp"), 2u);
  EXPECT_EQ(count(policies::save_only_these_names({"e"}), "exp"), 1u);
  EXPECT_EQ(count(policies::everything_saveable(), "tanh"), 1u);
}

/// A loop, and one in another, inside of what is checkpointed.
struct LoopCase {
  const char* name;
  std::function<Tensor(const Tensor&, const Tensor&)> f;
};

std::vector<LoopCase> loops() {
  const auto turn = [](const Tensor& c, const Tensor& w) {
    return tanh(checkpoint_name(exp(sin(matmul(c, w))), "e"));
  };
  const auto scanned = [turn](const Tensor& c, const Tensor& w) {
    const auto [last, ys] = scan(
        [&](const Tensor& h, const Tensor& x) {
          const Tensor next = turn(h + x, w);
          return std::pair(next, sum(next * h));
        },
        c, stack({c, c * 0.5, c * 2, -c}));
    return sum(last) + sum(sin(ys));
  };
  const auto nested = [turn](const Tensor& c, const Tensor& w) {
    const auto inner = [&](const Tensor& h) { return std::pair(turn(h, w), Tensor(0.f)); };
    const auto outer = [&](const Tensor& h) {
      const Tensor next = scan(inner, h, ScanOptions{.length = 3}).first;
      return std::pair(next * 0.5 + h, sum(next));
    };
    const auto [last, ys] = scan(outer, c, ScanOptions{.length = 2, .reverse = true});
    return sum(last) + sum(ys);
  };
  return {{"scan", scanned}, {"nested", nested}};
}

TEST(CheckpointPolicy, J_086_looks_into_a_loop) {
  const TypeList types{type({2, 3}), type({3, 3})};
  for (const LoopCase& loop : loops()) {
    const auto count = [&](const CheckpointPolicy& policy, const std::string& name) {
      return count_everywhere(gradient_program(checkpoint(loop.f, policy), types), name);
    };
    // Products: one forward, two backward; and one again, if the results are not kept.
    EXPECT_EQ(count(policies::nothing_saveable(), "dot_general"), 4u) << loop.name;
    EXPECT_EQ(count(policies::nothing_saveable(), "exp"), 2u) << loop.name;
    EXPECT_EQ(count(policies::dots_saveable(), "dot_general"), 3u) << loop.name;
    EXPECT_EQ(count(policies::dots_saveable(), "exp"), 2u) << loop.name;
    EXPECT_EQ(count(policies::dots_saveable(), "tanh"), 2u) << loop.name;
    EXPECT_EQ(count(policies::save_only_these_names({"e"}), "exp"), 1u) << loop.name;
    EXPECT_EQ(count(policies::save_only_these_names({"e"}), "tanh"), 2u) << loop.name;
    EXPECT_EQ(count(policies::save_any_names_but_these({"e"}), "exp"), 2u) << loop.name;
    EXPECT_EQ(count(policies::everything_saveable(), "dot_general"), 3u) << loop.name;
    EXPECT_EQ(count(policies::everything_saveable(), "tanh"), 1u) << loop.name;
    // As for a function without a loop: the value is another before it gets the name.
    EXPECT_EQ(count(policies::save_anything_except_these_names({"e"}), "exp"), 1u) << loop.name;
    EXPECT_EQ(count(policies::save_anything_except_these_names({"e"}), "dot_general"), 3u)
        << loop.name;
  }
}

TEST(CheckpointPolicy, J_086_loops_inside_have_the_gradients_of_plain_ones) {
  const Tensor x = sin(test::ramp({2, 3}, DType::kF64)), w = sin(test::ramp({3, 3}, DType::kF64));
  const auto near = [](const Tensor& a, const Tensor& b, const std::string& what) {
    const auto p = a.to_vector<double>(), q = b.to_vector<double>();
    for (size_t i = 0; i < p.size(); ++i) EXPECT_NEAR(p[i], q[i], 1e-12) << what;
  };
  for (const LoopCase& loop : loops()) {
    const auto [gx, gw] = grad<0, 1>(loop.f)(x, w);
    const Tensor second = jacrev(grad([&](const Tensor& v) { return loop.f(x, v); }))(w);
    for (const Case& c : cases()) {
      const std::string what = std::string(loop.name) + ", " + c.name;
      const auto kept = checkpoint(loop.f, c.policy);
      const auto [px, pw] = grad<0, 1>(kept)(x, w);
      near(px, gx, what);
      near(pw, gw, what);
      const auto [jx, jw] =
          jit([&](const Tensor& a, const Tensor& b) { return grad<0, 1>(kept)(a, b); })(x, w);
      near(jx, gx, what);
      near(jw, gw, what);
      const auto both = vmap([&](const Tensor& a) { return grad(kept)(a, w); })(stack({x, x * 2}));
      near(both[0], gx, what);
      near(jacrev(grad([&](const Tensor& v) { return kept(x, v); }))(w), second, what);
    }
  }
}

TEST(CheckpointPolicy, J_086_of_a_loop_it_keeps_what_the_policy_says) {
  constexpr int64_t kTurns = 8, kBytes = 64 * 64 * 4;
  const Tensor x = sin(test::ramp({64, 64})), w = sin(test::ramp({64, 64}) * 3);
  const auto f = [&](const Tensor& c) {
    const auto step = [&](const Tensor& h) {
      return std::pair(tanh(checkpoint_name(sin(matmul(h, w)), "s")), Tensor(0.f));
    };
    return sum(scan(step, c, ScanOptions{.length = kTurns}).first);
  };
  const auto kept_by = [&](const CheckpointPolicy& policy) {
    const size_t before = memory_stats().live_bytes;
    const auto pulled = vjp(checkpoint(f, policy), x);
    return static_cast<int64_t>(memory_stats().live_bytes - before);
  };
  const int64_t nothing = kept_by(policies::nothing_saveable());
  EXPECT_LT(nothing, kBytes);
  const int64_t slab = kTurns * kBytes;
  EXPECT_NEAR(static_cast<double>(kept_by(policies::dots_saveable()) - nothing), slab, kBytes);
  EXPECT_NEAR(static_cast<double>(kept_by(policies::save_only_these_names({"s"})) - nothing), slab,
              kBytes);
}

TEST(CheckpointPolicy, names_change_nothing) {
  const Tensor x = test::ramp({2, 8});
  EXPECT_EQ(values(checkpoint_name(x, "x")), values(x));
  EXPECT_EQ(checkpoint_name(x, "x").data<float>().data(), x.data<float>().data()) << "no copy";
  EXPECT_EQ(test::type_text(checkpoint_name(x > 1, "mask")), "bool[2,8]");
  const CheckpointPolicy policy = policies::save_from_both_policies(
      policies::dots_saveable(), policies::save_any_names_but_these({"a", "b"}));
  EXPECT_EQ(ParamsRef(policy).text(),
            "rules=[kind=dots, names=[],kind=other_names, names=['a','b']]");
}

}  // namespace
}  // namespace linnet::checkpoint_policy_test
