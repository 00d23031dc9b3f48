// Wrappers inside wrapped modules under transformations: keys, mutability and state go through both
// levels.
#include "bridge/lifted_cases.h"
#include "bridge/object_cases.h"
#include "linnet/nnx/capture.h"

namespace linnet::bridge_tests::transforms_of_nested_test {
namespace {

using bridge::to_linen;
using linen::Scope;
using linen::Variables;
using nnx::kCarry;
using nnx::kNone;
using nnx::StateAxes;

/// A functional module that an object holds: statistics, dropout, a count of calls, a sown value.
struct Inner {
  LINNET_FIELDS()
  Tensor operator()(Scope& s, const Tensor& x) const {
    return tanh(s("dropout", linen::Dropout{.rate = 0.5, .deterministic = false}, counted(s, x)));
  }
  Tensor counted(Scope& s, const Tensor& x) const {
    const linen::ScopeVariable count = s.variable("batch_stats", "count", [] { return zeros({}); });
    if (!s.is_initializing()) count.set(count.value() + 1);
    const Tensor h = s("norm", linen::BatchNorm{.use_running_average = false}, x);
    s.sow("intermediates", "seen", mean(h, Axes{0}));
    return h;
  }
};
struct Holder {
  nnx::Linear up;
  bridge::ToNNX<Inner> inner;
  explicit Holder(nnx::Rngs& rngs) : up(4, 4, rngs), inner(Inner{}, rngs) {}
  LINNET_FIELDS(up, inner)
  /// What may change is what the functional call around allows.
  Tensor operator()(const Tensor& x) { return inner(up(x)); }
};
/// What `Holder` is when it is wrapped, written as a functional module.
struct FunctionalHolder {
  Tensor operator()(Scope& s, const Tensor& x) const {
    // A key for the outer wrapper, a fork where the inner one is made, a key for its call, and the
    // first of the path "dropout" in that, whose number is SHA-1("dropout\1").
    Key key = random::fold_in(random::fold_in(s.make_rng("dropout"), 0u), 0u);
    key = random::fold_in(key, 0x1de03763u);
    const Tensor h = s("up", linen::Dense{.features = 4}, x);
    return s(
        "inner",
        [&](Scope& t, const Tensor& in) {
          const linen::Dropout dropout{.rate = 0.5, .deterministic = false};
          return tanh(dropout(t, Inner{}.counted(t, in), {}, key));
        },
        h);
  }
};

struct Nested {
  auto block() const { return to_linen<Holder>(); }
};
struct Flat {
  auto block() const { return FunctionalHolder{}; }
};

TEST(BridgeNestedLifted, while_loop) {
  const auto make = [](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      const auto body = [&](Scope& t, const Tensor& h) { return t("block", block, h); };
      const auto more = [](Scope& t, const Tensor&) {
        return t.reopened("block").reopened("inner").get_variable("batch_stats", "count") < 3;
      };
      if (s.is_initializing()) return body(s, x);
      return linen::while_loop_with(
          {.carry_variables = "batch_stats", .split_rngs = {{"dropout", true}}}, more, body, s, x);
    };
  };
  lifted_cases::expect_same_values<Nested, Flat>(make, lifted_cases::quiet());
}

TEST(BridgeNestedLifted, remat_scan) {
  lifted_cases::expect_same_case<Nested, Flat>([](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      return s("layers", linen::remat_scan(block, {.lengths = {2, 2}}), x);
    };
  });
}

TEST(BridgeNestedLifted, vmap_of_scan_of_remat) {
  lifted_cases::expect_same_case<Nested, Flat>([](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      const linen::VariableAxes axes{{{"params", "batch_stats", "intermediates"}, 0}};
      const linen::SplitRngs split{{{"params", "dropout"}, true}};
      const auto layer = [=](Scope& t, const Tensor& h) {
        return std::make_pair(t("block", linen::remat(block), h), std::tuple<>());
      };
      const auto layers =
          linen::scan(layer, {.variable_axes = axes, .split_rngs = split, .length = 2});
      const auto each = linen::vmap(layers, {.variable_axes = axes, .split_rngs = split});
      return s("each", each, stack({x, x * 2, cos(x)})).first;
    };
  });
}

TEST(BridgeNestedLifted, cond) {
  lifted_cases::expect_same_case<Nested, Flat>([](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      const auto run = [&](Scope& t, const Tensor& h) { return t("block", block, h); };
      const auto twice = [&](Scope& t, const Tensor& h) { return 2 * t("block", block, h); };
      if (s.is_initializing()) return run(s, x);
      return linen::cond(sum(square(x)) < 0, run, twice, s, x);
    };
  });
}

TEST(BridgeNestedLifted, vjp_and_jvp) {
  lifted_cases::expect_same_case<Nested, Flat>([](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      const auto f = [&](Scope& t, const Tensor& h) { return t("block", block, h); };
      Scope first = s.child("first"), second = s.child("second");
      auto [y, pullback] = linen::vjp(f, first, x);
      auto [variables, dx] = pullback(normal(y.shape(), 3));
      if (s.is_initializing()) return std::make_tuple(y, variables, dx, f(second, y));
      const Variables params{{"params", second.variables()["params"]}};
      const Variables moving = tree::map(params, [](const Tensor& t) { return cos(t); });
      const auto [z, tangent] = linen::jvp(f, second, std::tuple(y), std::tuple(sin(x)), moving);
      return std::make_tuple(z, variables, dx, tangent);
    };
  });
}

TEST(BridgeNestedLifted, a_rule_of_its_own) {
  lifted_cases::expect_same_case<Nested, Flat>([](const auto& modules) {
    return [block = modules.block()](Scope& s, const Tensor& x) {
      const auto f = [=](Scope& t, const Tensor& h) { return t("block", block, h); };
      const auto forward = [f](Scope& t, const Tensor& h) {
        Tensor y = f(t, h);
        return std::make_pair(y, std::make_pair(t.variables()["params"], y));
      };
      const auto backward = [](const std::pair<Variables, Tensor>& kept, const Tensor& cotangent) {
        const Tensor size = sum(cotangent * kept.second);
        const auto rule = [&](const Tensor& t) { return sign(t) * size; };
        return std::make_tuple(Variables{{"params", tree::map(kept.first, rule)}}, cotangent * 5);
      };
      return linen::custom_vjp(f, forward, backward)(s, x);
    };
  });
}

/// An object that a functional module holds.
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
struct Outer {
  LINNET_FIELDS()
  Tensor operator()(Scope& s, const Tensor& x) const {
    const Tensor h = s("block", to_linen<Stateful>(), x);
    return s("last", linen::Dense{.features = 4}, h);
  }
};
using Wrapped = bridge::ToNNX<Outer>;

/// What `Outer` is when it is wrapped, written as an object.
struct Object {
  struct Block {
    nnx::Linear linear;
    nnx::BatchNorm norm;
    Count count;
    std::optional<nnx::Intermediate> seen;
    explicit Block(nnx::Rngs& rngs)
        : linear(4, 4, rngs), norm(4, rngs), count(zeros({}, DType::kI32)) {}
    LINNET_FIELDS(linear, norm, count, seen)
  };
  Block block;
  nnx::Linear last;
  nnx::Rngs rngs;
  explicit Object(nnx::Rngs& r) : block(r), last(4, 4, r), rngs(r.fork()) {}
  LINNET_FIELDS(block, last, rngs)

  Tensor operator()(const Tensor& x, bool sows) {
    // A key for the outer wrapper's call, the first of the path "block" in that, whose number is
    // SHA-1("block\1"), a fork where the layer is made, and the first key of the fork.
    rngs.next("default");
    Key key = random::fold_in(rngs.next("dropout"), kBlockNumber);
    key = random::fold_in(random::fold_in(key, 0u), 0u);
    block.count = block.count.value() + scalar_integer(1, DType::kI32);
    const Tensor h = block.norm(block.linear(x));
    if (sows) nnx::sow(block.seen, mean(h, Axes{0}));
    return last(tanh(nnx::Dropout(0.5)(h, key)));
  }
  static constexpr uint32_t kBlockNumber = 0x9d9e366e;
};

Tensor run(Object& module, const Tensor& x) { return module(x, false); }
Tensor run(Wrapped& module, const Tensor& x) {
  return module.call({.mutate = {"batch_stats", "Count"}}, x);
}
Tensor run_sowing(Object& module, const Tensor& x) { return module(x, true); }
Tensor run_sowing(Wrapped& module, const Tensor& x) {
  return module.call({.mutate = {"batch_stats", "Count", "intermediates"}}, x);
}

using object_cases::Named;
using object_cases::parameters;
using object_cases::streams;

TEST(BridgeNestedNnx, while_loop) {
  object_cases::expect_same_values<Outer, Object>([](auto& module, const Tensor& x) {
    using Module = std::decay_t<decltype(module)>;
    using At = std::tuple<Module&, Tensor, Tensor>;
    const auto more = [](const At& at) { return std::get<2>(at) < 3; };
    const auto next = [](At& at) {
      auto& [one, h, turn] = at;
      return At(one, run(one, h), turn + 1);
    };
    const auto last = nnx::while_loop(more, next, At(module, x, scalar_integer(0, DType::kI32)));
    return Named{{"y", std::get<1>(last)}};
  });
}

TEST(BridgeNestedNnx, switch_case) {
  object_cases::expect_same_case<Outer, Object>([](auto& module, const Tensor& x) {
    using Module = std::decay_t<decltype(module)>;
    const auto stay = [](Module&, const Tensor& h) { return h; };
    const auto twice = [](Module& one, const Tensor& h) { return run(one, run(one, h)); };
    const auto branches = std::tuple(stay, twice);
    const Tensor y = nnx::switch_case(Tensor(1), branches, module, x);
    return Named{{"y", y}, {"z", nnx::switch_case(Tensor(0), branches, module, y)}};
  });
}

TEST(BridgeNestedNnx, vjp_and_jvp) {
  object_cases::expect_same_case<Outer, Object>([](auto& module, const Tensor& x) {
    using Module = std::decay_t<decltype(module)>;
    const auto f = [](Module& one, const Tensor& h) { return run(one, h); };
    const auto [y, pullback] = nnx::vjp(f, module, x);
    const auto [gradients, dx] = pullback(normal(y.shape(), 3));
    const auto [z, tangent] = nnx::jvp(f, std::tuple<Module&, Tensor>(module, y),
                                       std::tuple(object_cases::direction_of(module), sin(x)));
    Named out = object_cases::named(gradients);
    out.insert({{"y", y}, {"dx", dx}, {"z", z}, {"tangent", tangent}});
    return out;
  });
}

TEST(BridgeNestedNnx, a_rule_of_its_own) {
  object_cases::expect_same_case<Outer, Object>([](auto& module, const Tensor& x) {
    using Module = std::decay_t<decltype(module)>;
    const auto f = [](Module& one, const Tensor& h) { return run(one, h); };
    const auto forward = [](Module& one, const Tensor& h) {
      const Tensor y = run(one, h);
      return std::pair(y, y);
    };
    const auto backward = [](const Tensor& kept, const auto& updates, const Tensor& cotangent) {
      const nnx::State& written = std::get<0>(updates);
      nnx::State out;
      for (const auto& [path, leaf] : written.entries()) {
        if (leaf.type()->is(nnx::Param::static_type()))
          out.insert(path, {nullptr, ones(leaf.value().shape()) * sum(cotangent * kept)});
      }
      return std::tuple(out, cotangent * 5);
    };
    return Named{{"y", nnx::custom_vjp(f, forward, backward)(module, x)}};
  });
}

TEST(BridgeNestedNnx, vmap_stacks_variables_and_what_is_sown) {
  const auto through = [](auto& module, const Tensor& x) {
    using Module = std::decay_t<decltype(module)>;
    const auto each =
        nnx::vmap([](Module& one, const Tensor& h) { return run_sowing(one, h); },
                  {.in_axes = {StateAxes{{streams(), kNone}, {nnx::everything(), 0}}, 0}});
    const Tensor y = each(module, stack({x, x * 2, cos(x)}));
    EXPECT_EQ(object_cases::sown(object_cases::named_state(module), "block/seen"), 1u);
    return Named{{"y", y}};
  };
  object_cases::expect_same_case<Outer, Object>(through,
                                                object_cases::stacked(nnx::not_(streams())));
}

TEST(BridgeNestedNnx, scan_carries_state_and_stacks_what_is_sown) {
  const auto through = [](auto& module, const Tensor& x) {
    using Module = std::decay_t<decltype(module)>;
    const StateAxes axes{
        {parameters(), 0}, {nnx::of_type<nnx::Intermediate>(), 0}, {nnx::everything(), kCarry}};
    const auto block = nnx::remat([](const Tensor& h, Module& one) { return run_sowing(one, h); });
    const auto layers = nnx::scan(block, {.in_axes = {kCarry, axes}, .out_axes = {kCarry}});
    const Tensor y = layers(x, module);
    EXPECT_EQ(object_cases::sown(object_cases::named_state(module), "block/seen"), 1u);
    return Named{{"y", y}};
  };
  object_cases::expect_same_case<Outer, Object>(through, object_cases::stacked(parameters()));
}

}  // namespace
}  // namespace linnet::bridge_tests::transforms_of_nested_test
