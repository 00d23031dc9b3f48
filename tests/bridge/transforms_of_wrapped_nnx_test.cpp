// Functional modules as objects under loops, branches and derivatives of the object API: each case
// is run with the wrapped module and with an object of the same weights and streams.
#include "bridge/object_cases.h"
#include "linnet/nnx/capture.h"

namespace linnet::bridge_tests::transforms_of_wrapped_nnx_test {
namespace {

using namespace object_cases;
using nnx::kCarry;
using nnx::kNone;
using nnx::StateAxes;

/// Parameters, statistics, dropout, a count of calls and a sown value.
struct Functional {
  LINNET_FIELDS()
  Tensor operator()(linen::Scope& s, const Tensor& x) const {
    const linen::ScopeVariable count = s.variable("batch_stats", "count", [] { return zeros({}); });
    if (!s.is_initializing()) count.set(count.value() + 1);
    Tensor h = s("dense", linen::Dense{.features = 4}, x);
    h = s("norm", linen::BatchNorm{.use_running_average = false}, h);
    s.sow("intermediates", "seen", mean(h, Axes{0}));
    return tanh(s("dropout", linen::Dropout{.rate = 0.5, .deterministic = false}, h));
  }
};
using Wrapped = bridge::ToNNX<Functional>;

/// What `Functional` is when it is wrapped, written as an object.
struct Object {
  nnx::Linear dense;
  nnx::BatchNorm norm;
  nnx::BatchStat count;
  nnx::Rngs rngs;
  std::optional<nnx::Intermediate> seen;
  explicit Object(nnx::Rngs& r) : dense(4, 4, r), norm(4, r), count(zeros({})), rngs(r.fork()) {}
  LINNET_FIELDS(dense, norm, count, rngs, seen)

  Tensor operator()(const Tensor& x, bool sows) {
    // The wrapper takes one key of every stream for a call. The layer in it asks for the first key
    // of the path "dropout" (docs/rng.md, section 8.1): the number is that of SHA-1("dropout\1").
    rngs.next("default");
    const Key key = random::fold_in(rngs.next("dropout"), 0x1de03763u);
    count = count.value() + 1;
    const Tensor h = norm(dense(x));
    if (sows) nnx::sow(seen, mean(h, Axes{0}));
    return tanh(nnx::Dropout(0.5)(h, key));
  }
};

Tensor run(Object& block, const Tensor& x) { return block(x, false); }
Tensor run(Wrapped& block, const Tensor& x) { return block.call({.mutate = {"batch_stats"}}, x); }
Tensor run_sowing(Object& block, const Tensor& x) { return block(x, true); }
Tensor run_sowing(Wrapped& block, const Tensor& x) {
  return block.call({.mutate = {"batch_stats", "intermediates"}}, x);
}
Tensor calls_of(const Object& block) { return block.count.value(); }
Tensor calls_of(const Wrapped& block) { return block["count"].value(); }

TEST(BridgeNnxLoops, while_loop_over_a_reference) {
  expect_same_values<Functional, Object>([](auto& block, const Tensor& x) {
    using Block = std::decay_t<decltype(block)>;
    using At = std::tuple<Block&, Tensor, Tensor>;
    const auto more = [](const At& at) { return std::get<2>(at) < 3; };
    const auto next = [](At& at) {
      auto& [one, h, turn] = at;
      return At(one, run(one, h), turn + 1);
    };
    const auto last = nnx::while_loop(more, next, At(block, x, scalar_integer(0, DType::kI32)));
    return Named{{"y", std::get<1>(last)}};
  });
}

TEST(BridgeNnxLoops, while_loop_over_a_shared_module_whose_state_ends_it) {
  expect_same_values<Functional, Object>([](auto& block, const Tensor& x) {
    using Block = std::decay_t<decltype(block)>;
    using At = std::pair<nnx::Shared<Block>, Tensor>;
    run(block, x);
    const auto more = [](const At& at) { return calls_of(*at.first) < 4; };
    const auto next = [](At& at) { return At(at.first, run(*at.first, at.second)); };
    const auto [shared, y] = nnx::while_loop(more, next, At(nnx::Shared<Block>::make(block), x));
    Named out = named_state(*shared);
    out.emplace("y", y);
    return out;
  });
}

TEST(BridgeNnxBranches, switch_case) {
  for (const int index : {0, 1, 7}) {
    SCOPED_TRACE(index);
    expect_same_case<Functional, Object>([index](auto& block, const Tensor& x) {
      using Block = std::decay_t<decltype(block)>;
      const auto stay = [](Block&, const Tensor& h) { return h; };
      const auto once = [](Block& one, const Tensor& h) { return run(one, h); };
      const auto twice = [](Block& one, const Tensor& h) { return run(one, run(one, h)); };
      const Tensor first = run(block, x);
      const Tensor y = nnx::switch_case(Tensor(index), std::tuple(stay, once, twice), block, first);
      return Named{{"first", first}, {"y", y}};
    });
  }
}

TEST(BridgeNnxDerivatives, vjp) {
  expect_same_case<Functional, Object>([](auto& block, const Tensor& x) {
    using Block = std::decay_t<decltype(block)>;
    const auto f = [](Block& one, const Tensor& h) { return run(one, run(one, h)); };
    const auto [y, pullback] = nnx::vjp(f, block, x);
    const auto [gradients, dx] = pullback(normal(y.shape(), 3));
    Named out = named(gradients);
    out.insert({{"y", y}, {"dx", dx}, {"doubled", std::get<1>(pullback(y * 2))}});
    return out;
  });
}

TEST(BridgeNnxDerivatives, vjp_with_an_auxiliary_result) {
  expect_same_case<Functional, Object>([](auto& block, const Tensor& x) {
    using Block = std::decay_t<decltype(block)>;
    const auto f = [](Block& one, const Tensor& h) {
      const Tensor y = run(one, h);
      return std::pair(sum(y * h), std::vector{y, calls_of(one)});
    };
    const auto [y, pullback, auxiliary] = nnx::vjp_with_aux(f, block, x);
    const auto [gradients, dx] = pullback(y);
    Named out = named(gradients);
    out.insert({{"y", y}, {"dx", dx}, {"seen", auxiliary.at(0)}, {"calls", auxiliary.at(1)}});
    return out;
  });
}

TEST(BridgeNnxDerivatives, jvp) {
  expect_same_case<Functional, Object>([](auto& block, const Tensor& x) {
    using Block = std::decay_t<decltype(block)>;
    const auto f = [](Block& one, const Tensor& h) { return run(one, h); };
    const auto [y, tangent] =
        nnx::jvp(f, std::tuple<Block&, Tensor>(block, x), std::tuple(direction_of(block), sin(x)));
    return Named{{"y", y}, {"tangent", tangent}};
  });
}

TEST(BridgeNnxDerivatives, a_rule_of_its_own) {
  expect_same_case<Functional, Object>([](auto& block, const Tensor& x) {
    using Block = std::decay_t<decltype(block)>;
    const auto f = [](Block& one, const Tensor& h) { return run(one, h); };
    const auto forward = [](Block& one, const Tensor& h) {
      const Tensor y = run(one, h);
      return std::pair(y, y);
    };
    // No derivative that anybody would find by another way; it reads what comes back for the
    // variables that the call has written.
    const auto backward = [](const Tensor& kept, const auto& updates, const Tensor& cotangent) {
      const nnx::State& written = std::get<0>(updates);
      const Tensor size = sum(cotangent * kept);
      nnx::State out;
      for (const auto& [path, leaf] : written.entries()) {
        if (leaf.type() && leaf.type()->is(nnx::Param::static_type()))
          out.insert(path, {nullptr, ones(leaf.value().shape()) * size + leaf.value()});
      }
      return std::tuple(out, cotangent * 5);
    };
    const Tensor y = nnx::custom_vjp(f, forward, backward)(block, x);
    return Named{{"y", y}, {"again", run(block, y)}};
  });
}

TEST(BridgeNnxStateAxes, vmap_of_stacked_weights_and_shared_streams) {
  const auto through = [](auto& block, const Tensor& x) {
    using Block = std::decay_t<decltype(block)>;
    const auto each =
        nnx::vmap([](Block& one, const Tensor& h) { return run(one, h); },
                  {.in_axes = {StateAxes{{streams(), kNone}, {nnx::everything(), 0}}, kNone}});
    return Named{{"y", each(block, x)}};
  };
  expect_same_case<Functional, Object>(through, stacked(nnx::not_(streams())));
}

TEST(BridgeNnxStateAxes, vmap_of_shared_weights_and_stacked_statistics) {
  const auto through = [](auto& block, const Tensor& x) {
    using Block = std::decay_t<decltype(block)>;
    const auto each = nnx::vmap([](Block& one, const Tensor& h) { return run(one, h); },
                                {.in_axes = {StateAxes{{nnx::of_type<nnx::BatchStat>(), 0},  //
                                                       {nnx::everything(), kNone}},
                                             1},
                                 .out_axes = {1}});
    return Named{{"y", each(block, stack({x, x * 2, cos(x)}, 1))}};
  };
  expect_same_case<Functional, Object>(through, stacked(nnx::of_type<nnx::BatchStat>()));
}

TEST(BridgeNnxStateAxes, scan_over_weights_that_carries_statistics_and_streams) {
  const auto through = [](auto& block, const Tensor& x) {
    using Block = std::decay_t<decltype(block)>;
    const auto layers =
        nnx::scan([](const Tensor& h, Block& one) { return run(one, h); },
                  {.in_axes = {kCarry, StateAxes{{parameters(), 0}, {nnx::everything(), kCarry}}},
                   .out_axes = {kCarry}});
    return Named{{"y", layers(x, block)}};
  };
  expect_same_case<Functional, Object>(through, stacked(parameters()));
}

TEST(BridgeNnxStateAxes, scan_over_time_with_one_set_of_weights) {
  const auto through = [](auto& block, const Tensor& x) {
    using Block = std::decay_t<decltype(block)>;
    const auto steps = nnx::scan(
        [](const Tensor& h, Block& one, const Tensor& in) {
          const Tensor next = run(one, h + in);
          return std::pair(next, next * 2);
        },
        {.in_axes = {kCarry, StateAxes{{parameters(), kNone}, {nnx::everything(), kCarry}}, 0},
         .reverse = true});
    const auto [h, ys] = steps(x, block, stack({x, sin(x), cos(x)}));
    return Named{{"h", h}, {"ys", ys}};
  };
  expect_same_case<Functional, Object>(through);
}

TEST(BridgeNnxSown, vmap_stacks_what_each_call_sows) {
  const auto through = [](auto& block, const Tensor& x) {
    using Block = std::decay_t<decltype(block)>;
    const auto each =
        nnx::vmap([](Block& one, const Tensor& h) { return run_sowing(one, h); },
                  {.in_axes = {StateAxes{{streams(), kNone}, {nnx::everything(), 0}}, 0}});
    const Tensor y = each(block, stack({x, x * 2, cos(x)}));
    EXPECT_EQ(sown(named_state(block)), 1u);
    const Tensor again = each(block, y);
    EXPECT_EQ(sown(named_state(block)), 2u);
    return Named{{"y", y}, {"again", again}};
  };
  expect_same_case<Functional, Object>(through, stacked(nnx::not_(streams())));
}

TEST(BridgeNnxSown, scan_stacks_what_each_step_sows) {
  const auto through = [](auto& block, const Tensor& x) {
    using Block = std::decay_t<decltype(block)>;
    const StateAxes axes{
        {parameters(), 0}, {nnx::of_type<nnx::Intermediate>(), 0}, {nnx::everything(), kCarry}};
    const auto layers = nnx::scan([](const Tensor& h, Block& one) { return run_sowing(one, h); },
                                  {.in_axes = {kCarry, axes}, .out_axes = {kCarry}});
    const Tensor y = layers(x, block);
    EXPECT_EQ(sown(named_state(block)), 1u);
    const Tensor again = layers(y, block);
    EXPECT_EQ(sown(named_state(block)), 2u);
    return Named{{"y", y}, {"again", again}};
  };
  expect_same_case<Functional, Object>(through, stacked(parameters()));
}

TEST(BridgeNnxSown, remat_and_derivatives) {
  expect_same_case<Functional, Object>([](auto& block, const Tensor& x) {
    using Block = std::decay_t<decltype(block)>;
    const auto f = [](Block& one, const Tensor& h) { return run_sowing(one, h); };
    const Tensor h = nnx::remat(f)(block, x);
    const auto [y, pullback] = nnx::vjp(f, block, h);
    const auto [tangent_y, tangent] =
        nnx::jvp(f, std::tuple<Block&, Tensor>(block, h), std::tuple(direction_of(block), x));
    EXPECT_EQ(sown(named_state(block)), 3u);
    return Named{{"y", y}, {"dx", std::get<1>(pullback(x))}, {"tangent", tangent}};
  });
}

TEST(BridgeNnxSown, branches_do_not_change_the_structure) {
  const auto expect_refused = [](auto block) {
    using Block = decltype(block);
    const auto f = [](Block& one, const Tensor& h) { return run_sowing(one, h); };
    const Tensor x = f(block, input());
    const Named before = named_state(block);
    const std::string text = thrown<ValueError>([&] { nnx::cond(Tensor(true), f, f, block, x); });
    EXPECT_NE(text.find("changes the structure of argument 0"), std::string::npos) << text;
    expect_same(named_state(block), before);
  };
  Wrapped block = made<Functional>();
  expect_refused(object_like<Object>(block));
  expect_refused(std::move(block));
}

}  // namespace
}  // namespace linnet::bridge_tests::transforms_of_wrapped_nnx_test
