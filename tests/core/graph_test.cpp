// Graphs as data: text, verification, renumbering.
#include "tests/core/core_support.h"
#include "tests/core/graph_support.h"

#include "core/graph/rewrite.h"
#include "linnet/error.h"

namespace linnet::graph_test {
namespace {

Graph small_graph() {
  return record({type({4}), type({4})}, [](const TensorList& x) {
    const ModulePathScope path("head");
    return TensorList{exp(x[0] + x[1])};
  });
}

TEST(Graph, text_shows_types_operands_and_module_paths) {
  EXPECT_EQ(to_string(small_graph()),
            "graph(%0:f32[4], %1:f32[4]) {\n"
            "  %2:f32[4] = add(%0, %1)  @ head\n"
            "  %3:f32[4] = exp(%2)  @ head\n"
            "  return %3\n"
            "}\n");
}

TEST(Graph, text_shows_the_body_of_clusters) {
  Graph graph = small_graph();
  fuse_elementwise(graph);
  remove_dead_code(graph);
  EXPECT_EQ(to_string(graph),
            "graph(%0:f32[4], %1:f32[4]) {\n"
            "  %2:f32[4] = fused_elementwise(%0, %1) as (%0, %1) {\n"
            "    %2:f32[4] = add(%0, %1)\n"
            "    %3:f32[4] = exp(%2)\n"
            "    return %3\n"
            "  }  @ head\n"
            "  return %2\n"
            "}\n");
}

TEST(Graph, verify_names_the_pass_and_what_is_wrong) {
  const auto message = [](const Graph& graph) {
    try {
      verify(graph, "a_pass");
    } catch (const TraceError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_EQ(message(small_graph()), "accepted");

  Graph unordered = small_graph();
  std::swap(unordered.nodes[0], unordered.nodes[1]);
  EXPECT_EQ(message(unordered), "verify after a_pass: exp uses %2 before it is defined");

  Graph wrong_type = small_graph();
  wrong_type.types[3].shape = {5};
  EXPECT_EQ(message(wrong_type), "verify after a_pass: exp gives f32[4] but is declared f32[5]");

  Graph twice = small_graph();
  twice.nodes[1].outputs = {2};
  EXPECT_EQ(message(twice), "verify after a_pass: value %2 is defined twice or does not exist");
}

TEST(Graph, producers_and_uses) {
  const Graph graph = record({type({4})}, [](const TensorList& x) {
    const Tensor y = exp(x[0]);
    return TensorList{y * y, y};
  });
  EXPECT_EQ(producers(graph), (std::vector<int32_t>{-1, 0, 1}));
  EXPECT_EQ(use_counts(graph), (std::vector<int32_t>{1, 3, 1}));
}

TEST(Graph, consumers_of_each_value_ascend_and_stand_once) {
  const Graph graph = record({type({4})}, [](const TensorList& x) {
    const Tensor y = exp(x[0]);
    return TensorList{y * y, neg(y), x[0] + y};  // %2, %3, %4
  });
  const Consumers consumers(graph);
  const auto of = [&](ValueId value) {
    return std::vector<int32_t>(consumers[value].begin(), consumers[value].end());
  };
  ASSERT_EQ(consumers.size(), 5u);
  EXPECT_EQ(of(0), (std::vector<int32_t>{0, 3}));
  EXPECT_EQ(of(1), (std::vector<int32_t>{1, 2, 3}));
  for (ValueId result : {2, 3, 4}) EXPECT_TRUE(of(result).empty());
}

TEST(Graph, replacements_follow_chains) {
  Graph graph =
      record({type({4})}, [](const TensorList& x) { return TensorList{exp(neg(abs(x[0])))}; });
  Replacements replaced(graph);
  replaced.set(2, 1);
  replaced.set(3, 2);
  replaced.apply(graph);
  EXPECT_EQ(graph.outputs, (std::vector<ValueId>{1}));
  EXPECT_EQ(graph.nodes[2].inputs, (std::vector<ValueId>{1}));
}

TEST(Graph, run_graph_is_the_function_again) {
  const Graph graph = small_graph();
  const TensorList x = samples(graph);
  EXPECT_TRUE(same_bits(run_graph(graph, x)[0], exp(x[0] + x[1])));
}

TEST(Graph, nested_graphs_are_seen_printed_and_verified) {
  const auto body = checkpoint([](const Tensor& x) { return sin(x) * 2; });
  const Graph graph =
      record({type({3})}, [&](const TensorList& x) { return TensorList{body(x[0]) + 1}; });
  ASSERT_EQ(graph.nodes[0].primitive->name, "remat");
  const std::vector<const Graph*> held = subgraphs(graph.nodes[0]);
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(names(*held[0]), names(inline_control(graph)).substr(0, names(*held[0]).size()));
  EXPECT_TRUE(subgraphs(graph.nodes.back()).empty());
  const std::string text = to_string(graph);
  EXPECT_NE(text.find("= remat(%0) as (%0) {\n    %"), std::string::npos) << text;
  EXPECT_NE(text.find("\n    %1:f32[3] = sin(%0)"), std::string::npos) << text;
  EXPECT_EQ(text.find("<graph>"), std::string::npos) << text;
  // A fault inside is found from outside.
  const_cast<Graph*>(held[0])->types[held[0]->nodes[0].outputs[0]].shape = {4};
  test::expect_error<TraceError>("verify after here: sin gives f32[3] but is declared f32[4]",
                                 [&] { verify(graph, "here"); });
}

TEST(Graph, custom_rules_and_clusters_hold_graphs_too) {
  const auto ruled = custom_vjp([](const Tensor& x) { return cos(x); },
                                [](const Tensor& x) { return std::make_pair(cos(x), x); },
                                [](const Tensor& x, const Tensor& ct) { return ct * x; });
  const Graph graph =
      record({type({3})}, [&](const TensorList& x) { return TensorList{exp(ruled(x[0])) * 2}; });
  ASSERT_EQ(subgraphs(graph.nodes[0]).size(), 1u);
  EXPECT_EQ(names(*subgraphs(graph.nodes[0])[0]), "cos");
  Graph fused = inline_control(graph);
  fuse_elementwise(fused);
  remove_dead_code(fused);
  ASSERT_EQ(names(fused), "fused_elementwise");
  EXPECT_EQ(subgraphs(fused.nodes[0]).size(), 1u);
}

}  // namespace
}  // namespace linnet::graph_test
