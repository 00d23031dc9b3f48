// The rewrite rules, each by name: where it applies, and the nearest case where it must not.
#include "tests/core/graph_support.h"

#include <limits>
#include <set>

#include "core/ops/convert.h"
#include "linnet/error.h"

namespace linnet::passes_rules_test {
namespace {

struct RuleCase {
  std::string rule;
  TypeList types;
  GraphFunction before;
  std::string after;  ///< names of the nodes that are left
};

const TypeList kFloat{type({2, 3})};
const TypeList kInteger{type({2, 3}, DType::kI32)};

Tensor number(double value) { return scalar(value, DType::kF32); }

std::vector<RuleCase> cases_of_numbers() {
  return {
      {"fold_scalars", {}, [](const TensorList&) { return TensorList{number(2) * number(3)}; }, ""},
      {"fold_scalars",
       {type({})},
       [](const TensorList& x) { return TensorList{x[0] * number(3)}; },
       "mul"},
      {"multiply_by_one", kFloat, [](const TensorList& x) { return TensorList{x[0] * number(1)}; },
       ""},
      {"multiply_by_one", kFloat, [](const TensorList& x) { return TensorList{number(1) * x[0]}; },
       ""},
      {"multiply_by_one", kFloat, [](const TensorList& x) { return TensorList{x[0] * number(0)}; },
       "broadcast_in_dim mul"},
      {"divide_by_one", kFloat, [](const TensorList& x) { return TensorList{x[0] / number(1)}; },
       ""},
      {"divide_by_one", kFloat, [](const TensorList& x) { return TensorList{number(1) / x[0]}; },
       "broadcast_in_dim div"},
      {"add_zero", kFloat, [](const TensorList& x) { return TensorList{x[0] + number(-0.0)}; }, ""},
      {"add_zero", kFloat, [](const TensorList& x) { return TensorList{x[0] + number(0.0)}; },
       "broadcast_in_dim add"},
      {"add_zero", kInteger,
       [](const TensorList& x) { return TensorList{scalar_integer(0, DType::kI32) + x[0]}; }, ""},
      {"subtract_zero", kFloat, [](const TensorList& x) { return TensorList{x[0] - number(0.0)}; },
       ""},
      {"subtract_zero", kFloat, [](const TensorList& x) { return TensorList{x[0] - number(-0.0)}; },
       "broadcast_in_dim sub"},
      {"double_negation", kFloat, [](const TensorList& x) { return TensorList{-(-x[0])}; }, ""},
      {"double_negation", kFloat, [](const TensorList& x) { return TensorList{-abs(-x[0])}; },
       "neg abs neg"},
  };
}

std::vector<RuleCase> cases_of_types() {
  const TypeList half{type({2, 3}, DType::kBF16)};
  return {
      {"identity", kFloat, [](const TensorList& x) { return TensorList{stop_gradient(x[0])}; }, ""},
      {"convert_to_same", kFloat,
       [](const TensorList& x) {
         return TensorList{emit_one(convert_primitive(), {x[0]}, ConvertParams{DType::kF32})};
       },
       ""},
      {"convert_there_and_back", half,
       [](const TensorList& x) {
         return TensorList{x[0].astype(DType::kF32).astype(DType::kBF16)};
       },
       ""},
      {"convert_there_and_back", kFloat,
       [](const TensorList& x) {
         return TensorList{x[0].astype(DType::kBF16).astype(DType::kF32)};
       },
       "convert_element_type convert_element_type"},
      {"convert_there_and_back", kInteger,
       [](const TensorList& x) { return TensorList{x[0].astype(DType::kF32).astype(DType::kI32)}; },
       "convert_element_type convert_element_type"},
      {"relu_grad_of_result", kFloat,
       [](const TensorList& x) {
         const auto [y, pullback] = vjp([](const Tensor& z) { return relu(exp(z)); }, x[0]);
         return TensorList{y, pullback(y)};
       },
       "exp relu relu_grad mul"},
  };
}

std::vector<RuleCase> cases_of_shapes() {
  return {
      {"reshape_of_reshape", kFloat,
       [](const TensorList& x) {
         return TensorList{x[0].reshape({6}).reshape({3, 2})};
       },
       "reshape"},
      {"reshape_to_same", kFloat,
       [](const TensorList& x) {
         return TensorList{x[0].reshape({6}).reshape({2, 3})};
       },
       "reshape reshape"},
      {"transpose_of_transpose",
       {type({2, 3, 4})},
       [](const TensorList& x) {
         return TensorList{x[0].transpose({1, 2, 0}).transpose({1, 0, 2})};
       },
       "transpose"},
      {"transpose_to_same", kFloat,
       [](const TensorList& x) { return TensorList{x[0].transpose().transpose()}; },
       "transpose transpose"},
      {"broadcast_of_broadcast",
       {type({3})},
       [](const TensorList& x) {
         return TensorList{broadcast_to(broadcast_to(x[0], {2, 3}), {4, 2, 3})};
       },
       "broadcast_in_dim"},
      {"broadcast_of_unit_dimensions",
       {type({3, 1})},
       [](const TensorList& x) {
         return TensorList{broadcast_to(x[0].reshape({1, 3, 1, 1}), {2, 3, 4, 5})};
       },
       "broadcast_in_dim"},
      {"broadcast_of_unit_dimensions",
       {type({6})},
       [](const TensorList& x) {
         return TensorList{broadcast_to(x[0].reshape({1, 2, 3}), {4, 2, 3})};
       },
       "reshape broadcast_in_dim"},
      {"slice_of_all", kFloat,
       [](const TensorList& x) {
         return TensorList{slice(x[0], {0, 0}, {2, 3})};
       },
       ""},
      {"slice_of_all", kFloat,
       [](const TensorList& x) {
         return TensorList{slice(x[0], {0, 0}, {2, 2})};
       },
       "slice"},
      {"rearranged_number",
       {type({})},
       [](const TensorList& x) {
         return TensorList{broadcast_to(x[0], {2, 3}).transpose().reshape({6})};
       },
       "broadcast_in_dim"},
      {"rearranged_number",
       {type({3})},
       [](const TensorList& x) {
         return TensorList{broadcast_to(x[0], {2, 3}).reshape({6})};
       },
       "broadcast_in_dim reshape"},
      {"hoist_broadcast",
       {type({3}), type({})},
       [](const TensorList& x) {
         return TensorList{broadcast_to(x[0], {2, 3}) * broadcast_to(x[1], {2, 3})};
       },
       "broadcast_in_dim mul broadcast_in_dim"},
      {"hoist_broadcast",
       {type({3}), type({2, 3})},
       [](const TensorList& x) {
         return TensorList{broadcast_to(x[0], {2, 3}) * x[1]};
       },
       "broadcast_in_dim mul"},
      {"hoist_broadcast",
       {type({3}), type({2, 1})},
       [](const TensorList& x) {
         return TensorList{broadcast_to(x[0], {2, 3}) * broadcast_to(x[1], {2, 3})};
       },
       "broadcast_in_dim broadcast_in_dim mul"},
  };
}

std::vector<RuleCase> all_cases() {
  std::vector<RuleCase> cases = cases_of_numbers();
  for (const auto& more : {cases_of_types(), cases_of_shapes()})
    cases.insert(cases.end(), more.begin(), more.end());
  return cases;
}

TEST(Rules, each_applies_where_it_should_and_keeps_every_bit) {
  for (const RuleCase& c : all_cases()) {
    const Graph before = record(c.types, c.before);
    Graph after = before;
    apply_rule(c.rule, after);
    remove_dead_code(after);
    verify(after, c.rule.c_str());
    EXPECT_EQ(names(after), c.after) << c.rule << "\n" << to_string(before) << to_string(after);
    const TensorList x = samples(before);
    EXPECT_TRUE(same_bits(run_graph(after, x)[0], run_graph(before, x)[0])) << c.rule;
  }
}

TEST(Rules, every_rule_has_a_case) {
  std::set<std::string> tested;
  for (const RuleCase& c : all_cases()) tested.insert(c.rule);
  tested.insert("broadcast_to_same");  // recording already refuses to make such nodes
  for (std::string_view name : rule_names()) EXPECT_TRUE(tested.count(std::string(name))) << name;
  EXPECT_THROW(
      {
        Graph graph = record(kFloat, [](const TensorList& x) { return x; });
        apply_rule("no_such_rule", graph);
      },
      ValueError);
}

TEST(Rules, special_values_survive) {
  const double inf = std::numeric_limits<double>::infinity();
  const Tensor x =
      from_vector<double>({0.0, -0.0, inf, -inf, std::nan(""), 1e-40, -3}, {7}).astype(DType::kF32);
  const Graph graph = record({type({7})}, [](const TensorList& v) {
    return TensorList{v[0] * 1.0f,        v[0] + number(-0.0), v[0] + number(0.0),
                      v[0] - number(0.0), v[0] - number(-0.0), -(-v[0]),
                      v[0] * number(0),   v[0] / number(1),    v[0] - v[0]};
  });
  expect_compiled_agrees(graph, {x});
  expect_compiled_agrees(graph, {x}, {.fusion = false});
}

TEST(Rules, weak_types_are_not_lost) {
  const Graph graph = record({type({3})}, [](const TensorList& x) {
    const Tensor weak = Tensor(2.0f) * Tensor(1.0f);
    return TensorList{weak, weak.astype(DType::kF32), x[0] * weak};
  });
  const TensorList got = compile(graph)->run(TensorList{sample(type({3}))});
  EXPECT_TRUE(got[0].weak());
  EXPECT_FALSE(got[1].weak());
  EXPECT_FALSE(got[2].weak());
}

}  // namespace
}  // namespace linnet::passes_rules_test
