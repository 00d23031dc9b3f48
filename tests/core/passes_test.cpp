// The passes of the compiler, each on graphs that show what it does and what it must leave alone.
#include "tests/core/graph_support.h"

#include "linnet/error.h"

namespace linnet::passes_test {
namespace {

TEST(Passes, dead_code_is_removed_and_values_are_renumbered) {
  Graph graph = record({type({4}), type({4})}, [](const TensorList& x) {
    const Tensor unused = x[1] * 2 + exp(x[0]);
    return TensorList{neg(x[0])};
  });
  remove_dead_code(graph);
  verify(graph, "remove_dead_code");
  EXPECT_EQ(names(graph), "neg");
  EXPECT_TRUE(graph.constants.empty());
  EXPECT_EQ(graph.types.size(), 3u);
  EXPECT_EQ(graph.inputs.size(), 2u) << "inputs stay, used or not";
}

TEST(Passes, equal_nodes_and_equal_constants_become_one) {
  Graph graph = record({type({4})}, [](const TensorList& x) {
    return TensorList{exp(x[0] * 2.5f) + exp(x[0] * 2.5f), sum(x[0]), sum(x[0], Axes{0}, true)};
  });
  merge_common_subexpressions(graph);
  remove_dead_code(graph);
  verify(graph, "merge_common_subexpressions");
  EXPECT_EQ(count_nodes(graph, "exp"), 1u);
  EXPECT_EQ(count_nodes(graph, "mul"), 1u);
  EXPECT_EQ(count_nodes(graph, "reduce_sum"), 1u);
  EXPECT_EQ(graph.constants.size(), 1u);
}

TEST(Passes, zeros_of_different_sign_and_numbers_of_different_type_stay_apart) {
  Graph graph = record({type({4}), type({4}, DType::kI32)}, [](const TensorList& x) {
    return TensorList{x[0] / scalar(0.0, DType::kF32), x[0] / scalar(-0.0, DType::kF32),
                      x[1] + scalar_integer(0, DType::kI32)};
  });
  merge_common_subexpressions(graph);
  EXPECT_EQ(count_nodes(graph, "div"), 2u);
  remove_dead_code(graph);
  EXPECT_EQ(graph.constants.size(), 3u);
}

TEST(Passes, what_a_barrier_returns_is_not_what_it_was_given) {
  Graph graph = record({type({4})}, [](const TensorList& x) {
    const Tensor again = optimization_barrier({x[0]})[0];
    const Tensor other = optimization_barrier({x[0]})[0];
    return TensorList{exp(x[0]) + exp(again) + exp(other)};
  });
  merge_common_subexpressions(graph);
  simplify(graph);
  EXPECT_EQ(count_nodes(graph, "exp"), 3u);
}

TEST(Passes, control_that_is_only_its_body_is_inlined) {
  const auto inner = jit([](const Tensor& x) { return sin(x) * 2; });
  const auto ruled = custom_vjp([](const Tensor& x) { return cos(x); },
                                [](const Tensor& x) { return std::make_pair(cos(x), x); },
                                [](const Tensor& x, const Tensor& ct) { return ct * x; });
  const auto forward = custom_jvp([](const Tensor& x) { return tanh(x); },
                                  [](const std::tuple<Tensor>& x, const std::tuple<Tensor>& t) {
                                    return std::make_pair(std::get<0>(x), std::get<0>(t));
                                  });
  const auto f = [&](const TensorList& x) {
    return TensorList{
        checkpoint([&](const Tensor& y) { return inner(y) + ruled(y) + forward(y); })(x[0])};
  };
  const Graph graph = record({type({4})}, f);
  EXPECT_EQ(names(graph), "remat");
  const Graph flat = inline_control(graph);
  verify(flat, "inline_control");
  for (const Graph::Node& node : flat.nodes)
    EXPECT_FALSE(node.primitive->control()) << to_string(flat);
  EXPECT_EQ(count_nodes(flat, "sin") + count_nodes(flat, "cos") + count_nodes(flat, "tanh"), 3u);
  expect_compiled_agrees(graph, samples(graph), {.epilogues = false});
}

TEST(Passes, recomputation_survives_common_subexpressions) {
  // The point of checkpoint: the backward pass computes the values again instead of keeping them.
  const auto f = checkpoint([](const Tensor& x) { return sum(sin(exp(x))); });
  const Graph graph = record({type({4})}, [&](const TensorList& x) {
    auto [value, gradient] = value_and_grad(f)(x[0]);
    return TensorList{value, gradient};
  });
  Graph optimized = inline_control(graph);
  merge_common_subexpressions(optimized);
  simplify(optimized);
  merge_common_subexpressions(optimized);
  remove_dead_code(optimized);
  EXPECT_EQ(count_nodes(optimized, "exp"), 2u) << to_string(optimized);
}

TEST(Passes, composites_stay_whole_where_a_kernel_takes_them) {
  const Graph graph =
      record({type({2, 8})}, [](const TensorList& x) { return TensorList{softmax(x[0])}; });
  EXPECT_EQ(names(select_composites(graph)), "softmax");
}

TEST(Passes, declined_composites_are_decomposed_down_to_what_has_a_kernel) {
  const auto operands = [](DType dtype) { return TypeList{type({2, 5, 2, 4}, dtype)}; };
  const Graph graph = record(operands(DType::kF32), [](const TensorList& x) {
    return TensorList{dot_product_attention(x[0], x[0], x[0])};
  });
  ASSERT_EQ(count_nodes(graph, "dot_product_attention"), 1u) << to_string(graph);
  const Graph selected = select_composites(graph);
  verify(selected, "select_composites");
  for (const Graph::Node& node : selected.nodes) {
    TypeList in, out;
    for (ValueId id : node.inputs) in.push_back(selected.types[id]);
    for (ValueId id : node.outputs) out.push_back(selected.types[id]);
    EXPECT_TRUE(has_kernel(*node.primitive, node.params, in, out)) << node.primitive->name;
  }
  expect_compiled_agrees(graph, samples(graph), {.epilogues = false});
}

TEST(Passes, nodes_of_a_decomposition_keep_the_module_path) {
  const Graph graph = record({type({2, 5, 2, 4})}, [](const TensorList& x) {
    const ModulePathScope path("model/attention");
    return TensorList{dot_product_attention(x[0], x[0], x[0])};
  });
  const ModulePathScope surroundings("elsewhere");
  for (const Graph::Node& node : select_composites(graph).nodes)
    EXPECT_EQ(node.path, "model/attention");
}

}  // namespace
}  // namespace linnet::passes_test
