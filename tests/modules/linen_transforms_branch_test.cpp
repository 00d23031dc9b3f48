// while_loop, cond and switch_case of functional modules, against Flax.
#include "tests/modules/linen_transforms_support.h"

namespace linnet::linen_transforms_branch_test {
namespace {

using namespace linnet::testing::lifted;

Tensor noise(Scope& s) { return s.make_rng("noise").data(); }

TEST(LinenWhile, L_097_carried_variables) {
  const auto outer = [](Scope& s, const Tensor& x) {
    const auto condition = [](Scope& t, const Tensor&) {
      return t.get_variable("state", "steps") < 3;
    };
    const auto body = [](Scope& t, const Tensor& c) {
      const auto steps = t.variable("state", "steps", [] { return scalar(0, DType::kI32); });
      steps.set(steps.value() + 1);
      return tanh(t(linen::Dense{.features = 4}, c));
    };
    if (s.is_initializing()) return body(s, x);
    return linen::while_loop_with({.carry_variables = "state"}, condition, body, s, x);
  };
  expect_case_values("while_loop", outer, normal({2, 4}));
}

/// The row `i` of `words` with a key in it.
Tensor with_row(const Tensor& words, const Tensor& i, const Tensor& key) {
  const Tensor here = reshape(arange(0, words.shape(0)) == i, {words.shape(0), 1});
  return where(here, key, words);
}

TEST(LinenWhile, L_097_keys_of_the_body) {
  const auto outer = [](Scope& s, const Tensor&) {
    using State = std::pair<Tensor, Tensor>;
    const auto condition = [](Scope&, const State& c) { return c.first < 3; };
    const auto body = [](Scope& t, const State& c) {
      return State(c.first + 1, with_row(c.second, c.first, noise(t)));
    };
    const State init(scalar(0, DType::kI32), zeros({3, 2}, DType::kU32));
    return linen::while_loop_with({.split_rngs = {{"noise", true}}}, condition, body, s, init)
        .second;
  };
  expect_case_values("while_keys", outer, normal({2, 4}));
}

TEST(LinenWhile, L_097_keys_of_the_condition) {
  const auto outer = [](Scope& s, const Tensor&) {
    using State = std::pair<Tensor, Tensor>;
    const auto condition = [](Scope& t, const State& c) {
      return (c.first < 2) && (noise(t)[0] != 0);
    };
    const auto body = [](Scope& t, const State& c) {
      return State(c.first + 1, with_row(c.second, c.first, noise(t)));
    };
    const State init(scalar(0, DType::kI32), zeros({2, 2}, DType::kU32));
    return linen::while_loop_with({.split_rngs = {{"noise", true}}}, condition, body, s, init)
        .second;
  };
  expect_case_values("while_condition_keys", outer, normal({2, 4}));
}

TEST(LinenWhile, L_097_what_may_not_be_written) {
  const auto less = [](Scope& s, const Tensor& c) {
    s.put_variable("state", "v", c);
    return c < 3;
  };
  const auto more = [](Scope&, const Tensor& c) { return c + 1; };
  const auto run = [](const auto& condition, const auto& body, linen::WhileOptions options) {
    return error_of([&] {
      linen::init(
          [&](Scope& s) {
            s.put_variable("state", "v", Tensor(0.f));
            return linen::while_loop_with(options, condition, body, s, 0.f);
          },
          Key(0));
    });
  };
  EXPECT_NE(run(less, more, {.carry_variables = "state"}).find("ModifyScopeVariableError"),
            std::string::npos);
  const auto small = [](Scope&, const Tensor& c) { return c < 3; };
  EXPECT_NE(run(small, less, {}).find("ModifyScopeVariableError"), std::string::npos);
  const auto makes = [](Scope& s, const Tensor& c) {
    s.put_variable("state", "w", c);
    return c + 1;
  };
  EXPECT_NE(run(small, makes, {.carry_variables = "state"}).find("change their structure"),
            std::string::npos);
}

TEST(LinenCond, L_098_branches_write_the_same_variables) {
  const auto counting = [](const char* name, double sign) {
    return [name, sign](Scope& s, const Tensor& x) {
      s.put_variable("state", name, s.get_variable("state", name) + 1);
      return sign * s(linen::Dense{.features = 3}, x);
    };
  };
  const auto outer = [&](Scope& s, const Tensor& x) {
    s.variable("state", "true", [] { return scalar(0, DType::kF32); });
    s.variable("state", "false", [] { return scalar(0, DType::kF32); });
    const auto on_true = counting("true", 1), on_false = counting("false", -1);
    const Tensor a = linen::cond(sum(x) > 0, on_true, on_false, s, x);
    const Tensor b = linen::cond(sum(x) < 0, on_true, on_false, s, x);
    return a + 2 * b;
  };
  expect_case("cond", outer, normal({2, 4}));
}

TEST(LinenCond, L_098_different_variables_are_refused) {
  const auto outer = [](Scope& s, const Tensor& x) {
    const auto makes = [](Scope& t, const Tensor& y) { return t(linen::Dense{.features = 4}, y); };
    const auto makes_none = [](Scope&, const Tensor& y) { return y; };
    return linen::cond(sum(x) > 0, makes, makes_none, s, x);
  };
  const std::string text = error_of([&] { linen::init(outer, Key(0), normal({2, 4})); });
  EXPECT_NE(text.find("branches make different variables"), std::string::npos) << text;
}

TEST(LinenSwitch, L_099_heads_of_their_own_and_a_clamped_index) {
  const auto outer = [](Scope& s, const Tensor& x, const Tensor& index) {
    const auto branch = [](const std::string& name, int64_t features) {
      return [name, features](Scope& t, const Tensor& y) {
        const linen::Sequential head{linen::Dense{.features = features},
                                     linen::Dense{.features = 3}};
        return t(name, head, y);
      };
    };
    const auto a = branch("heads_0", 10), b = branch("heads_1", 11), c = branch("heads_2", 12);
    if (s.is_initializing()) {
      // All make their parameters; the names are free again inside the switch.
      a(s, x), b(s, x), c(s, x);
    }
    return linen::switch_case(index, std::tuple(a, b, c), s, x);
  };
  for (int index : {1, 7}) {
    expect_case("switch_" + std::to_string(index), outer, normal({2, 4}),
                scalar(index, DType::kI32));
  }
}

TEST(LinenSwitch, L_099_keys_of_the_branches) {
  const auto outer = [](Scope& s, const Tensor& x) {
    const auto draw = [](Scope& t, const Tensor&) { return noise(t); };
    TensorList rows;
    for (int i = 0; i < 3; ++i)
      rows.push_back(linen::switch_case(scalar(i, DType::kI32), std::vector(3, draw), s, x));
    return stack(rows);
  };
  expect_case_values("switch_keys", outer, normal({2, 4}));
}

}  // namespace
}  // namespace linnet::linen_transforms_branch_test
