// Object modules as functional ones under loops, branches and derivatives of the functional API:
// each case is run with the wrapped module and with a functional one of the same weights and keys.
#include "bridge/lifted_cases.h"
#include "linnet/nnx/capture.h"

namespace linnet::bridge_tests::transforms_of_wrapped_test {
namespace {

using bridge::to_linen;
using namespace lifted_cases;

/// Parameters, statistics, dropout, a count of calls and a sown value.
struct Stateful {
  nnx::Linear linear;
  nnx::BatchNorm norm;
  nnx::Dropout drop;
  Count count;
  std::optional<nnx::Intermediate> seen;
  explicit Stateful(nnx::Rngs& rngs)
      : linear(4, 4, rngs), norm(4, rngs), drop(0.5, rngs), count(zeros({}, DType::kI32)) {}
  LINNET_FIELDS(linear, norm, drop, count, seen)

  Tensor operator()(const Tensor& x) {
    count = count.value() + scalar_integer(1, DType::kI32);
    const Tensor h = norm(linear(x));
    nnx::sow(seen, mean(h, Axes{0}));
    return tanh(drop(h));
  }
};

/// What `Stateful` is when it is wrapped, written as a functional module.
struct Functional {
  Tensor operator()(Scope& s, const Tensor& x) const {
    // The wrapper asks for one key of each stream; the layer forks the stream of that key when it
    // is made, and draws from the fork (docs/rng.md, sections 10.1 and 10.4).
    const Key key = random::fold_in(random::fold_in(s.make_rng("dropout"), 0u), 0u);
    const linen::ScopeVariable count =
        s.variable("Count", "count", [] { return zeros({}, DType::kI32); });
    count.set(count.value() + scalar_integer(1, DType::kI32));
    Tensor h = s("linear", linen::Dense{.features = 4}, x);
    h = s("norm", linen::BatchNorm{.use_running_average = false}, h);
    s.sow("intermediates", "seen", mean(h, Axes{0}));
    return tanh(linen::Dropout{.rate = 0.5, .deterministic = false}(s, h, {}, key));
  }
};

/// The modules of a case, of either kind.
struct Wrapped {
  auto block() const { return to_linen<Stateful>(); }
  auto linear(int64_t in, int64_t out) const { return to_linen<nnx::Linear>(in, out); }
};
struct Plain {
  auto block() const { return Functional{}; }
  auto linear(int64_t, int64_t out) const { return linen::Dense{.features = out}; }
};

/// Turn and value.
using At = std::pair<Tensor, Tensor>;
At first_turn(const Tensor& x) { return At(scalar_integer(0, DType::kI32), x); }

TEST(BridgeLiftedLoops, while_loop_carries_statistics_and_splits_keys) {
  const auto make = [](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      const auto body = [&](Scope& t, const At& at) {
        return At(at.first + 1, t("block", block, at.second));
      };
      const auto more = [](Scope&, const At& at) { return at.first < 3; };
      if (s.is_initializing()) return body(s, first_turn(x)).second;
      return linen::while_loop_with(
                 {.carry_variables = {"batch_stats", "Count"}, .split_rngs = {{"dropout", true}}},
                 more, body, s, first_turn(x))
          .second;
    };
  };
  expect_same_values<Wrapped, Plain>(make, quiet());
}

TEST(BridgeLiftedLoops, while_loop_with_keys_that_all_turns_share) {
  const auto make = [](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      const auto body = [&](Scope& t, const Tensor& h) { return t("block", block, h); };
      // The state of the wrapped module ends the loop.
      const auto more = [](Scope& t, const Tensor&) {
        return t.reopened("block").get_variable("Count", "count") < 4;
      };
      const Tensor once = body(s, x);
      if (s.is_initializing()) return once;
      return linen::while_loop_with(
          {.carry_variables = {"batch_stats", "Count"}, .split_rngs = {{"dropout", false}}}, more,
          body, s, x);
    };
  };
  expect_same_values<Wrapped, Plain>(make, quiet());
}

TEST(BridgeLiftedLoops, while_loop_that_a_wrapped_module_ends) {
  const auto make = [](const auto& modules) {
    return [gate = modules.linear(4, 1), block = modules.block()](Scope& s, const Tensor& x) {
      const auto more = [&](Scope& t, const At& at) {
        return (at.first < 9) && (mean(abs(t("gate", gate, at.second))) > 0);
      };
      // Zeros after the third turn, of which the gate makes zeros.
      const auto body = [&](Scope& t, const At& at) {
        return At(at.first + 1, t("block", block, at.second) * (2 - at.first));
      };
      if (s.is_initializing()) {
        s("gate", gate, x);
        return body(s, first_turn(x));
      }
      At last = linen::while_loop_with(
          {.carry_variables = {"batch_stats", "Count"}, .split_rngs = {{"dropout", true}}}, more,
          body, s, first_turn(x));
      if (!last.first.traced()) EXPECT_EQ(last.first.item<int>(), 3);
      return last;
    };
  };
  expect_same_values<Wrapped, Plain>(make, quiet());
}

TEST(BridgeLiftedLoops, remat_scan) {
  const auto make = [](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      return s("layers", linen::remat_scan(block, {.lengths = {2, 3}}), x);
    };
  };
  expect_same_case<Wrapped, Plain>(make);
  const Variables variables = linen::init(make(Wrapped{}), init_streams(), normal({6, 4}));
  EXPECT_EQ(variables["params"]["layers"]["linear"]["kernel"].shape(), (Shape{2, 3, 4, 4}));
}

TEST(BridgeLiftedLoops, remat_scan_of_one_set_of_weights) {
  const auto make = [](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      // Carried variables must be there before the loop.
      if (s.is_initializing()) return s("layers", block, x);
      const linen::RematScanOptions options{.lengths = {3},
                                            .variable_broadcast = {"params", "nnx"},
                                            .variable_carry = {"batch_stats", "Count"},
                                            .variable_axes = {},
                                            .split_rngs = {{"dropout", true}},
                                            .policy = checkpoint_policies::dots_saveable()};
      return s("layers", linen::remat_scan(block, options), x);
    };
  };
  expect_same_case<Wrapped, Plain>(make);
}

TEST(BridgeLiftedBranches, cond) {
  const auto make = [](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      const auto positive = [&](Scope& t, const Tensor& h) { return t("block", block, h); };
      const auto negative = [&](Scope& t, const Tensor& h) { return -t("block", block, h); };
      const auto skip = [](Scope&, const Tensor& h) { return h * 2; };
      if (s.is_initializing()) return positive(s, x);
      const Tensor large = sum(square(x)) > 0;
      const Tensor a = linen::cond(large, positive, negative, s, x);
      const Tensor b = linen::cond(!large, positive, negative, s, x);
      const Tensor c = linen::cond(large, skip, positive, s, x);
      return a + 2 * b + 3 * linen::cond(!large, skip, positive, s, c);
    };
  };
  expect_same_quiet_case<Wrapped, Plain>(make);
}

TEST(BridgeLiftedBranches, cond_makes_the_variables) {
  const auto make = [](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      const auto run = [&](Scope& t, const Tensor& h) { return t("block", block, h); };
      const auto twice = [&](Scope& t, const Tensor& h) { return 2 * t("block", block, h); };
      return linen::cond(sum(square(x)) > 0, run, twice, s, x);
    };
  };
  expect_same_case<Wrapped, Plain>(make);
  const Variables variables = linen::init(make(Wrapped{}), init_streams(), normal({6, 4}));
  EXPECT_TRUE(variables["nnx"]["block"]["graphdef"].fixed());
}

TEST(BridgeLiftedBranches, switch_case_with_heads_of_their_own_and_a_clamped_index) {
  for (const int index : {0, 1, 7}) {
    const auto make = [index](const auto& modules) {
      return [=](Scope& s, const Tensor& x) {
        const auto head = [&](const std::string& name, int64_t features) {
          return [=](Scope& t, const Tensor& h) {
            const Tensor wide = tanh(t(name + "_up", modules.linear(4, features), h));
            return t(name + "_down", modules.linear(features, 3), wide);
          };
        };
        const auto a = head("a", 5), b = head("b", 6);
        const auto c = [&](Scope& t, const Tensor& h) {
          return t("c_down", modules.linear(4, 3), t("c", modules.block(), h));
        };
        if (s.is_initializing()) a(s, x), b(s, x), c(s, x);
        return linen::switch_case(scalar(index, DType::kI32), std::tuple(a, b, c), s, x);
      };
    };
    SCOPED_TRACE(index);
    expect_same_quiet_case<Wrapped, Plain>(make);
  }
}

TEST(BridgeLiftedBranches, switch_case_over_a_list_of_wrapped_modules) {
  const auto make = [](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      if (s.is_initializing()) return block(s, x);
      // All use the variables of the scope; each branch draws the keys that follow.
      const auto three = std::vector(3, block);
      const Tensor first = linen::switch_case(scalar(0, DType::kI32), three, s, x);
      return first + linen::switch_case(scalar(2, DType::kI32), three, s, x);
    };
  };
  expect_same_quiet_case<Wrapped, Plain>(make);
}

TEST(BridgeLiftedDerivatives, gradients_of_inputs) {
  const auto make = [](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      const auto f = [&](Scope& t, const Tensor& a, const Tensor& b) {
        const Tensor y = t("block", block, a);
        return std::make_pair(sum(y * b), mean(y));
      };
      auto [value, auxiliary, gradients] = linen::value_and_grad(f, s, x, x * x);
      if (s.is_initializing()) return std::make_tuple(value, auxiliary, gradients, gradients);
      const auto loss = [&](Scope& t, const Tensor& a, const Tensor& b) {
        return f(t, a, b).first;
      };
      return std::make_tuple(value, auxiliary, gradients, linen::grad(loss, s, x + 1, x));
    };
  };
  expect_same_quiet_case<Wrapped, Plain>(make);
}

TEST(BridgeLiftedDerivatives, vjp_of_parameters_and_inputs) {
  const auto make = [](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      const auto f = [&](Scope& t, const Tensor& h) { return t("block", block, h); };
      auto [y, pullback] = linen::vjp(f, s, x);
      auto [variables, dx] = pullback(normal(y.shape(), 3));
      auto [doubled, unused] = pullback(normal(y.shape(), 3) * 2);
      return std::make_tuple(y, variables, dx, doubled);
    };
  };
  expect_same_case<Wrapped, Plain>(make);
}

TEST(BridgeLiftedDerivatives, vjp_of_statistics_with_an_auxiliary_result) {
  const auto make = [](const auto& modules) {
    return [=](Scope& s, const Tensor& x) {
      const auto f = [&](Scope& t, const Tensor& h) {
        const Tensor y = t("block", modules.block(), h);
        return std::make_pair(t("last", modules.linear(4, 2), y), std::vector{y, h});
      };
      // The new averages depend on the old ones, and so does nothing else.
      auto [y, pullback, auxiliary] = linen::vjp_with_aux(
          {.vjp_variables = {"params", "batch_stats", "nnx"}, .rngs = {"params", "dropout"}}, f, s,
          x);
      auto [variables, dx] = pullback(y);
      return std::make_tuple(y, auxiliary, variables, dx);
    };
  };
  expect_same_case<Wrapped, Plain>(make);
}

TEST(BridgeLiftedDerivatives, jvp_of_parameters_and_inputs) {
  const auto make = [](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      const auto f = [&](Scope& t, const Tensor& h) { return t("block", block, h); };
      if (s.is_initializing()) return std::make_pair(f(s, x), x);
      const Variables moving = tree::map(Variables{{"params", s.variables()["params"]}},
                                         [](const Tensor& t) { return cos(t); });
      return linen::jvp(f, s, std::tuple(x), std::tuple(sin(x)), moving);
    };
  };
  expect_same_case<Wrapped, Plain>(make);
}

TEST(BridgeLiftedDerivatives, a_rule_of_its_own) {
  const auto make = [](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      const auto f = [=](Scope& t, const Tensor& h) { return t("block", block, h); };
      const auto forward = [f](Scope& t, const Tensor& h) {
        Tensor y = f(t, h);
        return std::make_pair(y, std::make_pair(t.variables()["params"], y));
      };
      // No derivative that anybody would find by another way.
      const auto backward = [](const std::pair<Variables, Tensor>& kept, const Tensor& cotangent) {
        const Tensor size = sum(cotangent * kept.second);
        const auto rule = [&](const Tensor& t) { return sign(t) * size; };
        return std::make_tuple(Variables{{"params", tree::map(kept.first, rule)}}, cotangent * 5);
      };
      return linen::custom_vjp(f, forward, backward)(s, x);
    };
  };
  expect_same_case<Wrapped, Plain>(make);
}

TEST(BridgeLiftedDerivatives, a_rule_of_its_own_that_runs_a_wrapped_module_backward) {
  const auto make = [](const auto& modules) {
    return [layer = modules.linear(4, 4), block = modules.block()](Scope& s, const Tensor& x) {
      const auto f = [=](Scope& t, const Tensor& h) { return tanh(t("layer", layer, h)); };
      const auto forward = [f](Scope& t, const Tensor& h) {
        Tensor y = f(t, h);
        const Variables kept{{"params", t.variables()["params"]}};
        return std::make_pair(std::move(y), std::make_pair(kept, h));
      };
      const auto backward = [f](const std::pair<Variables, Tensor>& kept, const Tensor& cotangent) {
        const auto again = [f](const Variables& v, const Tensor& h) {
          return linen::apply(f, v, h);
        };
        auto [params, dh] = vjp(again, kept.first, kept.second).second(cotangent);
        return std::make_tuple(tree::map(params, [](const Tensor& t) { return t * 3; }), dh * 2);
      };
      const Tensor y = s("inner", linen::custom_vjp(f, forward, backward), x);
      return s("block", block, y);
    };
  };
  expect_same_case<Wrapped, Plain>(make);
}

/// The shape of the only value that was sown.
Shape sown_shape(const Outcome& outcome, const std::string& name) {
  const Named all = named(outcome.updates["intermediates"]);
  EXPECT_EQ(all.size(), 1u);
  const auto found = all.find(name + "/seen/0");
  EXPECT_NE(found, all.end());
  return found == all.end() ? Shape{} : found->second.shape();
}

/// Along an axis in front, for all that changes and what is sown.
const linen::VariableAxes kStacked{{{"params", "batch_stats", "Count", "intermediates"}, 0}};
const linen::SplitRngs kSplit{{{"params", "dropout"}, true}};

TEST(BridgeLiftedSown, vmap) {
  const auto make = [](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      const auto each = linen::vmap(block, {.variable_axes = kStacked, .split_rngs = kSplit});
      return s("each", each, stack({x, x * 2, cos(x)}));
    };
  };
  expect_same_case<Wrapped, Plain>(make);
  const Tensor x = normal({6, 4});
  const auto module = make(Wrapped{});
  const Variables variables = linen::init(module, init_streams(), x);
  EXPECT_EQ(sown_shape(run_of(module, sowing())(variables, x), "each"), (Shape{3, 4}));
}

TEST(BridgeLiftedSown, vmap_with_the_definition) {
  const auto make = [](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      linen::VariableAxes axes = kStacked;
      axes.push_back({"nnx", kNone});
      const auto each = linen::vmap(
          block, {.variable_axes = axes, .split_rngs = kSplit, .in_axes = {1}, .out_axes = {-1}});
      return s("each", each, stack({x, x * 2, cos(x)}, 1));
    };
  };
  expect_same_case<Wrapped, Plain>(make);
}

TEST(BridgeLiftedSown, scan) {
  const auto make = [](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      const auto layer = [=](Scope& t, const Tensor& h) {
        return std::make_pair(t("block", block, h), std::tuple<>());
      };
      const auto layers =
          linen::scan(layer, {.variable_axes = kStacked, .split_rngs = kSplit, .length = 3});
      return s("layers", layers, x).first;
    };
  };
  expect_same_case<Wrapped, Plain>(make);
  const Tensor x = normal({6, 4});
  const auto module = make(Wrapped{});
  const Variables variables = linen::init(module, init_streams(), x);
  EXPECT_EQ(sown_shape(run_of(module, sowing())(variables, x), "layers/block"), (Shape{3, 4}));
}

TEST(BridgeLiftedSown, remat_and_jit) {
  const auto make = [](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      const Tensor h = s("first", linen::remat(block), x);
      return s("second", linen::jit(block), h);
    };
  };
  expect_same_case<Wrapped, Plain>(make);
}

TEST(BridgeLiftedSown, outputs_that_are_captured) {
  const auto make = [](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      const auto layer = [=](Scope& t, const Tensor& h) {
        return std::make_pair(t("block", block, h), std::tuple<>());
      };
      const auto layers =
          linen::scan(layer, {.variable_axes = kStacked, .split_rngs = kSplit, .length = 3});
      return s("layers", layers, s("stem", linen::remat(block), x)).first;
    };
  };
  const Tensor x = normal({6, 4});
  const auto module = make(Wrapped{});
  const Variables variables = linen::init(module, init_streams(), x);
  linen::ApplyOptions options = sowing();
  options.capture_intermediates = true;
  const Named got = named(run_of(module, options)(variables, x).updates["intermediates"]);
  const Named all = named(
      run_of(make(Plain{}), options)(without_definitions(variables), x).updates["intermediates"]);
  // Layers inside a wrapped module are none of the functional API, so their outputs are not kept.
  for (const char* name : {"layers/block/seen/0", "layers/block/__call__/0", "stem/seen/0",
                           "stem/__call__/0", "__call__/0"}) {
    ASSERT_TRUE(got.count(name)) << name;
    ASSERT_TRUE(all.count(name)) << name;
    expect_near(got.at(name), all.at(name), kTolerance);
  }
  EXPECT_EQ(got.count("layers/block/linear/__call__/0"), 0u);
  EXPECT_EQ(all.count("layers/block/linear/__call__/0"), 1u);
}

}  // namespace
}  // namespace linnet::bridge_tests::transforms_of_wrapped_test
