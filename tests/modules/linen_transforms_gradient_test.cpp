// Derivatives, checkpoints and compiled parts of functional modules, against Flax.
#include "tests/modules/linen_transforms_support.h"

namespace linnet::linen_transforms_gradient_test {
namespace {

using namespace linnet::testing::lifted;

const linen::Dense kDense{.features = 4};

TEST(LinenRemat, L_080_values_gradients_and_collections) {
  const auto remat = linen::remat(Block{});
  expect_case(
      "remat", [&](Scope& s, const Tensor& x) { return s(remat, x); }, normal({2, 5}));
}

TEST(LinenRemat, L_080_a_function_of_the_scope) {
  const auto method = [](Scope& s, const Tensor& x) {
    const auto body = linen::checkpoint([](Scope& t, const Tensor& y) {
      const Tensor h = tanh(t(linen::Dense{.features = 4}, y));
      return t(linen::Dense{.features = 3}, h);
    });
    const Tensor y = body(s, x);
    return s(linen::Dense{.features = 2}, y);
  };
  expect_case("remat_method", method, normal({2, 5}));
}

TEST(LinenRemat, L_080_numbers_among_the_arguments_are_static) {
  const auto scaled = [](Scope& s, const Tensor& x, bool twice) {
    const Tensor y = s(kDense, x);
    return twice ? y * 2 : y;
  };
  const auto remat = linen::remat(scaled);
  const Tensor x = normal({2, 5});
  const Variables variables = linen::init(remat, Key(0), x, false);
  const Tensor once = linen::apply(remat, variables, x, false);
  linnet::testing::expect_golden(linen::apply(remat, variables, x, true), once * 2, 1e-6, "twice");
}

TEST(LinenRemat, L_080_a_policy_keeps_products) {
  const auto products_of = [](const CheckpointPolicy& policy) {
    const auto remat = linen::remat(Block{}, {}, policy);
    const auto outer = [&](Scope& s, const Tensor& x) { return s(remat, x); };
    expect_case("remat", outer, normal({2, 5}));
    const Variables variables = linen::init(outer, init_streams(), normal({2, 5}));
    const auto gradient = jit([&](const Variables& v, const Tensor& x) {
      return grad([&](const Variables& all) {
        return sum(square(linen::apply_with(apply_options(), outer, all, x).first));
      })(v);
    });
    const std::string text = gradient.lower(variables, normal({2, 5})).optimized_text();
    size_t count = 0;
    for (const std::string product : {" = dot_general(", " = linear_bias_activation("}) {
      for (size_t at = text.find(product); at != std::string::npos; at = text.find(product, at + 1))
        ++count;
    }
    return count;
  };
  const size_t kept = products_of(checkpoint_policies::dots_saveable());
  EXPECT_GT(products_of({}), kept) << "without a policy the product is computed again";
  EXPECT_GT(kept, 0u);
}

TEST(LinenVjp, L_093_cotangents_of_variables_and_inputs) {
  const auto outer = [](Scope& s, const Tensor& x) {
    auto [y, pullback] = linen::vjp([](Scope& t, const Tensor& z) { return t(Block{}, z); }, s, x);
    auto [variables, dx] = pullback(ones_like(y));
    return std::make_tuple(y, variables, dx);
  };
  expect_case_values("vjp", outer, normal({2, 5}));
}

TEST(LinenVjp, L_093_auxiliary_results_and_other_collections) {
  const auto outer = [](Scope& s, const Tensor& x) {
    const auto f = [](Scope& t, const Tensor& z) {
      t.put_variable("state", "seen", sum(z));
      return std::make_pair(square(z), t.make_rng("noise").data());
    };
    auto [y, pullback, key] =
        linen::vjp_with_aux({.vjp_variables = "scale", .rngs = "noise"}, f, s, x);
    EXPECT_EQ(key.dtype(), DType::kU32);
    auto [variables, dx] = pullback(y);
    EXPECT_EQ(variables["scale"].keys(), std::vector<std::string>{"v"});
    EXPECT_FALSE(s.get_variable("state", "seen").traced());
    return dx;
  };
  const Variables scale{{"scale", Variables{{"v", ones({2})}}}};
  const auto [dx, updates] = linen::apply_with({.mutate = {"state"}, .rngs = {{"noise", Key(1)}}},
                                               outer, scale, tensor({1.f, 2.f}));
  EXPECT_EQ(dx.to_vector<float>(), (std::vector<float>{2, 16}));
  EXPECT_EQ(updates["state"]["seen"].value().item<float>(), 3.f);
}

TEST(LinenGrad, L_095_gradients_of_inputs) {
  const auto outer = [](Scope& s, const Tensor& x, const Tensor& z) {
    const auto f = [](Scope& t, const Tensor& a, const Tensor& b) {
      return std::make_pair(sum(t(Block{}, a) * b), sum(a));
    };
    auto [value, auxiliary, gradients] = linen::value_and_grad(f, s, x, z);
    const auto second =
        linen::grad([](Scope& t, const Tensor& a) { return sum(t(Block{.rate = 0}, a)); }, s, x);
    static_assert(std::is_same_v<decltype(second), const std::tuple<Tensor>>);
    return std::make_tuple(value, auxiliary, std::get<0>(gradients), std::get<1>(gradients),
                           second);
  };
  const Tensor x = normal({2, 5}), z = random::normal(Key(3), {2, 4});
  expect_case_values("value_and_grad", outer, x, z);
}

TEST(LinenGrad, L_095_gradients_of_gradients) {
  const auto outer = [](Scope& s, const Tensor& x) {
    const auto loss = [](Scope& t, const Tensor& y) { return sum(sin(t(kDense, y))); };
    const auto slope = [&](Scope& t, const Tensor& y) {
      return sum(square(std::get<0>(linen::grad(loss, t, y))));
    };
    return std::get<0>(linen::grad(slope, s, x));
  };
  expect_case("grad_twice", outer, normal({2, 5}));
}

TEST(LinenGrad, L_095_the_loss_is_a_scalar) {
  const auto outer = [](Scope& s, const Tensor& x) {
    const auto writes = [](Scope& t, const Tensor& y) {
      t.put_variable("state", "v", y);
      return y;
    };
    const std::string text = error_of([&] { linen::grad(writes, s, x); });
    EXPECT_NE(text.find("expected a scalar loss, got f32[2]"), std::string::npos) << text;
    EXPECT_FALSE(s.has_variable("state", "v")) << "nothing is written";
    return x;
  };
  linen::init(outer, Key(0), ones({2}));
}

TEST(LinenGrad, L_095_several_scopes) {
  const auto f = [](Scope& a, Scope& b, const Tensor& y) {
    const Tensor first = a("first", kDense, y);
    return sum(first * b("second", kDense, y));
  };
  const auto lifted = [&](Scope& s, const Tensor& x) {
    return std::get<1>(linen::grad(f, s, s.child("other"), x));
  };
  const Tensor x = normal({2, 5});
  const auto [gradient, variables] = linen::init_with_output(lifted, Key(0), x);
  EXPECT_EQ(variables["params"].keys(), (std::vector<std::string>{"first", "other"}));
  const auto plain = [&](const Tensor& y) {
    return linen::apply(
        [&](Scope& s, const Tensor& z) {
          Scope other = s.child("other");
          return f(s, other, z);
        },
        variables, y);
  };
  linnet::testing::expect_golden(gradient, grad(plain)(x), 1e-6, "gradient");
}

TEST(LinenJvp, L_094_tangents_of_variables_and_inputs) {
  const auto f = [](Scope& s, const Tensor& x) { return tanh(s(kDense, x)); };
  const auto init_or_jvp = [&](Scope& s, const Tensor& x) {
    const Variables params{{"params", s.variables()["params"]}, {"empty", Variables()}};
    const Variables tangents = tree::map(params, [](const Tensor& t) { return ones_like(t); });
    return linen::jvp(f, s, std::tuple(x), std::tuple(ones_like(x)), tangents);
  };
  const Tensor x = normal({2, 5});
  const auto [first, variables] = linen::init_with_output(f, init_streams(), x);
  expect_tree(first, "jvp/init_out");
  expect_tree(linen::apply(init_or_jvp, variables, x), "jvp/out");
  const auto missing = [&](Scope& s, const Tensor& y) {
    const Variables some{{"params", Variables{{"Dense_0", Variables{{"bias", ones({4})}}}}}};
    return linen::jvp(f, s, std::tuple(y), std::tuple(y), some).first;
  };
  EXPECT_NE(error_of([&] { linen::apply(missing, variables, x); }).find("params/Dense_0/kernel"),
            std::string::npos);
}

TEST(LinenVjp, L_093_L_094_one_scope_only) {
  const auto outer = [](Scope& s, const Tensor& x) {
    Scope other = s.child("other");
    const auto pulls = [](Scope& root, const Tensor& y) {
      const auto f = [](Scope& a, Scope& b, const Tensor& z) {
        return a("a", kDense, z) + b("b", kDense, z);
      };
      Scope first = root.child("first"), second = root.child("second");
      return error_of([&] { linen::vjp(f, first, second, y); });
    };
    EXPECT_NE(pulls(s, x).find("1 further scopes"), std::string::npos);
    return x;
  };
  linen::init(outer, Key(0), ones({2, 5}));
}

TEST(LinenCustomVjp, L_096_the_rule_replaces_the_derivative) {
  const auto outer = [](Scope& s, const Tensor& x) {
    const auto f = [](Scope& t, const Tensor& y) { return t(kDense, y); };
    const auto forward = [f](Scope& t, const Tensor& y) {
      Tensor out = f(t, y);
      const Variables params{{"params", t.variables()["params"]}};
      return std::make_pair(std::move(out), std::make_pair(params, y));
    };
    const auto backward = [f](const std::pair<Variables, Tensor>& kept, const Tensor& cotangent) {
      const auto again = [f](const Variables& variables, const Tensor& y) {
        return linen::apply(f, variables, y);
      };
      auto [params, dx] = vjp(again, kept.first, kept.second).second(cotangent);
      return std::make_tuple(tree::map(params, [](const Tensor& t) { return sign(t); }), dx * 2);
    };
    return linen::custom_vjp(f, forward, backward)(s, x);
  };
  expect_case("custom_vjp", outer, normal({2, 5}));
  const auto staged = [&](Scope& s, const Tensor& x) { return linen::remat(outer)(s, x); };
  expect_case("custom_vjp", staged, normal({2, 5}));
}

TEST(LinenJit, L_078_values_keys_and_names) {
  const auto block = linen::jit(Block{});
  const auto outer = [&](Scope& s, const Tensor& x) {
    const Tensor y = s(block, x);
    return s(block, y);
  };
  expect_case("jit", outer, normal({2, 5}));
  expect_case("jit", outer, normal({2, 5}));  // from the cache
}

TEST(LinenJit, L_079_the_keys_are_those_of_fold_rngs) {
  const auto block = linen::fold_rngs(Block{});
  const auto outer = [&](Scope& s, const Tensor& x) {
    const Tensor y = s(block, x);
    return s(block, y);
  };
  expect_case("fold_rngs", outer, normal({2, 5}));
}

/// Counts how often it is traced or run.
struct Counted {
  int64_t features = 4;
  LINNET_FIELDS(features)
  static inline int runs = 0;
  Tensor operator()(Scope& s, const Tensor& x) const {
    ++runs;
    return tanh(s(linen::Dense{.features = features}, x));
  }
};

TEST(LinenJit, L_078_equal_modules_share_programs) {
  const auto outer = [](int64_t features) {
    return [features](Scope& s, const Tensor& x) {
      const Tensor y = s(linen::jit(Counted{features}), x);
      return s(linen::jit(Counted{features}), y);
    };
  };
  const Tensor x = normal({2, 4});
  Counted::runs = 0;
  const Variables variables = linen::init(outer(4), Key(0), x);
  EXPECT_EQ(Counted::runs, 1) << "the second submodule is at another path and has equal counts";
  for (int i = 0; i < 3; ++i) linen::apply(outer(4), variables, x);
  EXPECT_EQ(Counted::runs, 2) << "reading parameters is another program than making them";
  linen::init(outer(3), Key(0), normal({2, 3}));
  EXPECT_EQ(Counted::runs, 3) << "other settings";
  linen::apply(outer(4), variables, normal({5, 4}));
  EXPECT_EQ(Counted::runs, 4) << "another shape";
}

TEST(LinenJit, L_078_counts_go_on_after_a_program_from_the_cache) {
  const auto outer = [](Scope& s, const Tensor& x) {
    const auto draws = linen::jit([](Scope& t, const Tensor& y) {
      return std::make_pair(t.make_rng("noise").data(), t(kDense, y));
    });
    const auto [key, y] = draws(s, x);
    return stack({key, s.make_rng("noise").data(), s(Draw{}, y).first[0]});
  };
  const Tensor x = normal({2, 5});
  const auto once = [&] { return linen::init_with_output(outer, init_streams(), x).first; };
  EXPECT_EQ(once().to_vector<uint32_t>(), once().to_vector<uint32_t>());
}

}  // namespace
}  // namespace linnet::linen_transforms_gradient_test
