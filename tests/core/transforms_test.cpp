// grad, value_and_grad, vjp, jvp and Jacobians: what they accept, return and refuse.
#include "core/trace/rules.h"
#include "tests/core/core_support.h"

namespace linnet::transforms_test {
namespace {

using test::expect_error;
using test::floats;
using test::type_text;
using test::values;

Tensor vec(std::initializer_list<float> list) { return tensor(list); }

TEST(Grad, J_078_values_and_gradients_of_trees) {
  struct Params {
    Tensor w;
    std::vector<Tensor> rest;
    int power = 3;
  };
  const auto loss = [](const Params& p, const Tensor& x) {
    return sum(integer_pow(p.w, p.power) * x) + sum(p.rest.at(0) * 2);
  };
  const Params p{vec({1, 2}), {vec({5}), vec({6, 7})}};
  const auto [value, g] = value_and_grad(loss)(p, vec({1, 10}));
  EXPECT_EQ(value.item<float>(), 91);
  EXPECT_EQ(values(g.w), floats({3, 120}));
  EXPECT_EQ(values(g.rest[0]), floats({2}));
  EXPECT_EQ(values(g.rest[1]), floats({0, 0})) << "unused leaves get zeros";
  EXPECT_EQ(g.power, 3);
  EXPECT_EQ(values(grad(loss)(p, vec({1, 10})).w), floats({3, 120}));
}

TEST(Grad, J_078_several_arguments_give_a_tuple) {
  const auto f = [](const Tensor& a, const Tensor& b, const Tensor& c) {
    return sum(a * b * b + c);
  };
  const Tensor a = vec({2}), b = vec({3}), c = vec({4});
  const auto [gb, gc] = grad<1, 2>(f)(a, b, c);
  EXPECT_EQ(values(gb), floats({12}));
  EXPECT_EQ(values(gc), floats({1}));
  EXPECT_EQ(values(grad<1>(f)(a, b, c)), floats({12}));
  const auto [g2, g0] = grad<2, 0>(f)(a, b, c);
  EXPECT_EQ(values(g0), floats({9}));
  EXPECT_EQ(values(g2), floats({1}));
}

TEST(Grad, J_078_auxiliary_results) {
  struct Metrics {
    Tensor accuracy;
    std::map<std::string, Tensor> parts;
    int count = 0;
  };
  const auto f = [](const Tensor& x) {
    const Tensor s = sin(x);
    return std::make_pair(sum(s), Metrics{mean(s), {{"s", s}}, 7});
  };
  const Tensor x = vec({0, 1});
  const auto [value, metrics, g] = value_and_grad(f)(x);
  EXPECT_EQ(values(g), values(cos(x)));
  EXPECT_EQ(values(metrics.parts.at("s")), values(sin(x)));
  EXPECT_EQ(metrics.count, 7);
  EXPECT_FALSE(metrics.accuracy.traced());
  const auto [g2, metrics2] = grad(f)(x);
  EXPECT_EQ(values(g2), values(g));
  EXPECT_EQ(metrics2.accuracy.item<float>(), metrics.accuracy.item<float>());
  EXPECT_FALSE(value.traced());
}

TEST(Grad, E_16_the_loss_must_be_a_floating_scalar) {
  expect_error<ShapeError>(
      "grad: expected a scalar loss, got f32[2]\n"
      "  hint: reduce it with mean() or sum(), or use jacrev for all outputs",
      [] {
        grad([](const Tensor& x) { return x; })(vec({1, 2}));
      });
  expect_error<ShapeError>(
      "grad: expected a scalar loss, got f32[1]\n"
      "  hint: reduce it with mean() or sum(), or use jacrev for all outputs",
      [] { grad([](const Tensor& x) { return x; })(vec({1})); });
  expect_error<DTypeError>("grad: expected a floating loss, got i32[]", [] {
    grad([](const Tensor& x) { return argmax(x); })(vec({1, 2}));
  });
  expect_error<DTypeError>("grad: expected a floating loss, got bool[]", [] {
    grad([](const Tensor& x) { return all(x > 0); })(vec({1, 2}));
  });
  expect_error<ValueError>("grad: the loss is an undefined tensor", [] {
    grad([](const Tensor&) { return Tensor(); })(vec({1, 2}));
  });
}

TEST(Grad, E_17_inputs_must_be_floating) {
  const auto f = [](const Tensor& x) { return sum(x * 1.0); };
  const std::string hint = "\n  hint: convert with astype, or pass it as another argument";
  expect_error<DTypeError>(
      "grad: expected floating inputs to differentiate with respect to, got i32[2]" + hint, [&] {
        grad(f)(tensor({1, 2}));
      });
  expect_error<DTypeError>(
      "grad: expected floating inputs to differentiate with respect to, got bool[1]" + hint,
      [&] { grad(f)(tensor({true})); });
  expect_error<DTypeError>(
      "grad: expected floating inputs to differentiate with respect to, got ~i32[]" + hint,
      [&] { grad(f)(Tensor(3)); });
  expect_error<ValueError>("grad: a leaf of the arguments is an undefined tensor",
                           [&] { grad(f)(Tensor()); });
  // Other arguments may be anything.
  const auto g = [](const Tensor& x, const Tensor& index, int n, const std::string& mode) {
    return sum(take(x, index)) * n + (mode == "on" ? 1 : 0);
  };
  EXPECT_EQ(values(grad(g)(vec({1, 2, 3}), tensor({0, 2, 2}), 2, "on")), floats({2, 0, 4}));
}

TEST(Grad, keeps_dtypes) {
  for (DType d : {DType::kF16, DType::kBF16, DType::kF32, DType::kF64}) {
    const auto f = [](const Tensor& x) { return sum(x * x); };
    const Tensor x = ones({3}, d);
    EXPECT_EQ(grad(f)(x).dtype(), d);
    EXPECT_EQ(jvp(f, x, x).second.dtype(), d);
    EXPECT_EQ(grad([](const Tensor& y) { return sum(astype(y, DType::kF32)); })(x).dtype(), d);
  }
}

TEST(Grad, a_loss_that_does_not_depend_on_the_input) {
  EXPECT_EQ(values(grad([](const Tensor&) { return Tensor(3.f); })(vec({1, 2}))), floats({0, 0}));
  EXPECT_EQ(values(grad([](const Tensor& x) { return sum(stop_gradient(x)); })(vec({1, 2}))),
            floats({0, 0}));
  EXPECT_EQ(values(grad([](const Tensor& x) { return sum(floor(x)); })(vec({1, 2}))),
            floats({0, 0}));
}

TEST(Grad, host_control_flow_on_plain_values_is_allowed) {
  const Tensor threshold = Tensor(1.f);
  const auto f = [&](const Tensor& x) { return threshold.item<float>() > 0 ? sum(x * 2) : sum(x); };
  EXPECT_EQ(values(grad(f)(vec({1}))), floats({2}));
}

TEST(Vjp, J_080_the_pullback_may_be_called_many_times) {
  const auto f = [](const Tensor& a, const Tensor& b) { return std::make_pair(a * b, sum(a)); };
  const auto [value, pullback] = vjp(f, vec({1, 2}), vec({3, 4}));
  EXPECT_EQ(values(value.first), floats({3, 8}));
  EXPECT_FALSE(value.first.traced());
  for (float s : {1.f, 2.f}) {
    const auto [ga, gb] = pullback({vec({s, s}), Tensor(0.f)});
    EXPECT_EQ(values(ga), floats({3 * s, 4 * s}));
    EXPECT_EQ(values(gb), floats({s, 2 * s}));
  }
  const auto [ga, gb] = pullback({Tensor(), Tensor(1.f)});
  EXPECT_EQ(values(ga), floats({1, 1})) << "an undefined cotangent means zero";
  EXPECT_EQ(values(gb), floats({0, 0}));
}

TEST(Vjp, J_080_integer_inputs_get_zeros_of_their_type) {
  const auto [value, pullback] = vjp([](const Tensor& x, const Tensor& i) { return take(x, i); },
                                     vec({1, 2, 3}), tensor({2, 2}));
  const auto [gx, gi] = pullback(vec({10, 20}));
  EXPECT_EQ(values(gx), floats({0, 0, 30}));
  EXPECT_EQ(type_text(gi), "i32[2]");
}

TEST(Vjp, J_080_cotangents_must_fit) {
  const auto [value, pullback] = vjp([](const Tensor& x) { return TensorList{x, x}; }, vec({1, 2}));
  expect_error<TreeError>("vjp: 1 cotangents were given for 2 outputs", [&, p = pullback] {
    p({vec({1, 2})});
  });
  expect_error<ShapeError>("vjp: cotangent f32[3] does not fit output f32[2]", [&, p = pullback] {
    p({vec({1, 2, 3}), vec({1, 2})});
  });
  expect_error<DTypeError>("vjp: cotangent f64[2] does not have the dtype of output f32[2]",
                           [&, p = pullback] {
                             p({zeros({2}, DType::kF64), vec({1, 2})});
                           });
}

TEST(Jvp, J_080_tangents_follow_values) {
  const auto f = [](const Tensor& a, const Tensor& b) { return std::make_pair(a * b, a + 1); };
  const auto [value, tangent] =
      jvp(f, std::make_tuple(vec({1, 2}), vec({3, 4})), std::make_tuple(vec({1, 0}), vec({0, 1})));
  EXPECT_EQ(values(value.first), floats({3, 8}));
  EXPECT_EQ(values(tangent.first), floats({3, 2}));
  EXPECT_EQ(values(tangent.second), floats({1, 0}));
  const auto constant = jvp([](const Tensor&) { return ones({2}); }, vec({1}), vec({1}));
  EXPECT_EQ(values(constant.second), floats({0, 0}));
  const auto partly = jvp([](const Tensor& a, const Tensor& b) { return a * b; },
                          std::make_tuple(vec({2}), vec({3})), std::make_tuple(Tensor(), vec({1})));
  EXPECT_EQ(values(partly.second), floats({2})) << "an undefined tangent means zero";
}

TEST(Jvp, J_080_tangents_must_fit) {
  const auto f = [](const Tensor& x) { return x; };
  expect_error<ShapeError>("jvp: tangent f32[3] does not fit f32[2]", [&] {
    jvp(f, vec({1, 2}), vec({1, 2, 3}));
  });
  expect_error<ShapeError>("jvp: tangent f64[2] does not fit f32[2]", [&] {
    jvp(f, vec({1, 2}), zeros({2}, DType::kF64));
  });
  const auto sum_all = [](const std::vector<Tensor>& x) { return x.at(0); };
  expect_error<TreeError>("jvp: 2 tangents were given for 1 primals", [&] {
    jvp(sum_all, std::vector<Tensor>{vec({1})}, std::vector<Tensor>{vec({1}), vec({1})});
  });
  expect_error<ValueError>("jvp: a result is an undefined tensor",
                           [] { jvp([](const Tensor&) { return Tensor(); }, vec({1}), vec({1})); });
}

Tensor cube(const Tensor& x) { return x * x * x; }

TEST(Numbers, J_078_floating_arguments_that_are_differentiated_become_tensors) {
  EXPECT_EQ(grad(cube)(2.0).item<double>(), 12);
  EXPECT_EQ(grad(cube)(2.f).item<double>(), 12);
  const auto [value, gradient] = value_and_grad(cube)(2.0);
  EXPECT_EQ(value.item<double>(), 8);
  EXPECT_EQ(gradient.item<double>(), 12);
  EXPECT_EQ(grad(grad(cube))(2.0).item<double>(), 12);
  EXPECT_EQ(grad(jit([](const Tensor& x) { return cube(x); }))(2.0).item<double>(), 12);
  const auto product = [](const Tensor& a, const Tensor& b) { return a * b * b; };
  const auto [ga, gb] = grad<0, 1>(product)(2.0, 3.0);
  EXPECT_EQ(ga.item<double>(), 9);
  EXPECT_EQ(gb.item<double>(), 12);
  EXPECT_EQ(grad<1>(product)(2.0, 3.0).item<double>(), 12);
  EXPECT_EQ(type_text(grad(product)(2.0, vec({1})[0])), "f32[]");
}

TEST(Numbers, J_080_jvp_and_vjp) {
  const auto square_of = [](const Tensor& x) { return x * x; };
  const auto [value, tangent] = jvp(square_of, 3.0, 1.0);
  EXPECT_EQ(value.item<double>(), 9);
  EXPECT_EQ(tangent.item<double>(), 6);
  EXPECT_EQ(jvp(square_of, scalar(3, DType::kF64), 1.0).second.dtype(), DType::kF64)
      << "a number as a tangent has the dtype of its primal";
  EXPECT_EQ(jvp(square_of, 3.0, Tensor(2.f)).second.item<double>(), 12);
  const auto two = jvp([](const Tensor& a, const Tensor& b) { return a * b; },
                       std::make_tuple(2.0, 3.0), std::make_tuple(1.0, 10.0));
  EXPECT_EQ(two.second.item<double>(), 23);
  const auto [y, pullback] = vjp(cube, 2.0);
  EXPECT_EQ(y.item<double>(), 8);
  EXPECT_EQ(pullback(1.0).item<double>(), 12);
  EXPECT_EQ(vjp(cube, scalar(2, DType::kF64)).second(1.0).item<double>(), 12);
}

TEST(Numbers, numbers_in_standard_containers_become_tensors) {
  const auto g = grad([](const std::vector<Tensor>& x) { return x[0] * x[1] * x[1]; })(
      std::vector<double>{2, 3});
  EXPECT_EQ(g[0].item<double>(), 9);
  EXPECT_EQ(g[1].item<double>(), 12);
  const auto of_map = grad([](const std::map<std::string, std::array<Tensor, 2>>& m) {
    return m.at("a")[0] * m.at("a")[1];
  })(std::map<std::string, std::array<float, 2>>{{"a", {5, 7}}});
  EXPECT_EQ(of_map.at("a")[0].item<double>(), 7);
  const auto of_pair = grad([](const std::pair<Tensor, std::optional<Tensor>>& p) {
    return p.first * *p.second;
  })(std::pair<double, std::optional<double>>{5, 7});
  EXPECT_EQ(of_pair.second->item<double>(), 5);
  const auto along = jvp([](const std::vector<Tensor>& x) { return x[0] * x[1]; },
                         std::vector<double>{2, 3}, std::vector<double>{1, 10});
  EXPECT_EQ(along.second.item<double>(), 23);
}

TEST(Numbers, numbers_that_are_not_differentiated_stay_numbers) {
  const auto scaled = [](const Tensor& x, double factor, int times) { return x * factor * times; };
  EXPECT_EQ(grad(scaled)(2.0, 5.0, 2).item<double>(), 10);
  const auto pulled = vjp(scaled, 2.0, 5.0, 2).second(1.0);
  EXPECT_EQ(std::get<0>(pulled).item<double>(), 10);
  EXPECT_EQ(std::get<1>(pulled), 5.0) << "f takes a double";
  EXPECT_EQ(std::get<2>(pulled), 2);
  struct Params {
    Tensor w;
    double scale;
  };
  const Params g = grad([](const Params& p) { return p.w * p.scale; })(Params{2.0, 3.0});
  EXPECT_EQ(g.w.item<double>(), 3);
  EXPECT_EQ(g.scale, 3.0) << "a member that is a number is a constant";
}

TEST(Numbers, nothing_to_differentiate_is_an_error) {
  const std::string hint =
      "\n  hint: whole numbers, and C++ numbers inside structs, are constants: write 2.0 for 2, "
      "make the member a Tensor";
  const std::string none = " floating tensor to differentiate with respect to, got ";
  struct Rates {
    double a, b;
  };
  const auto of_rates = [](const Rates& r) { return Tensor(r.a) * r.b; };
  const auto of_vector = [](const std::vector<double>& v) { return Tensor(v[0]); };
  const auto no_tensor = [&](const char* name) {
    return name + std::string(": the chosen arguments hold no") + none + "no tensor at all" + hint;
  };
  expect_error<ValueError>(no_tensor("grad"), [&] { grad(of_rates)(Rates{1, 2}); });
  expect_error<ValueError>(no_tensor("grad"), [&] { grad(of_vector)(std::vector<double>{1}); });
  expect_error<ValueError>(no_tensor("grad"), [&] { grad(cube)(3); });
  expect_error<ValueError>(no_tensor("grad"), [&] { value_and_grad(of_rates)(Rates{1, 2}); });
  expect_error<ValueError>(no_tensor("vjp"), [&] { vjp(of_rates, Rates{1, 2}); });
  expect_error<ValueError>(no_tensor("jvp"), [&] { jvp(of_rates, Rates{1, 2}, Rates{1, 1}); });
  expect_error<ValueError>("vjp: the chosen arguments hold no" + none + "i32[2], bool[1]" + hint,
                           [&] {
                             vjp([](const Tensor& a, const Tensor& b) { return sum(a * b); },
                                 tensor({1, 2}), tensor({true}));
                           });
  expect_error<ValueError>("jvp: the chosen arguments hold no" + none + "~i32[]" + hint,
                           [&] { jvp(cube, Tensor(3), Tensor(1)); });
}

TEST(Vjp, more_operands_than_a_mask_has_bits) {
  EXPECT_TRUE(has_bit(kAllBits, 40));
  EXPECT_FALSE(has_bit(0, 40));
  EXPECT_FALSE(has_bit(bits_of({0}), 32)) << "a shift by 32 would name operand 0";
  EXPECT_TRUE(has_bit(~bits_of({0}), 32));
  constexpr size_t kCount = 70;
  const auto f = [](const std::vector<Tensor>& x) {
    const TensorList guarded = optimization_barrier(x);
    Tensor total = sum(concatenate(guarded));
    for (size_t i = 0; i < kCount; ++i) total = total + sum(guarded[i]) * static_cast<float>(i);
    return total;
  };
  const std::vector<Tensor> x(kCount, ones({1}));
  const std::vector<Tensor> g = grad(f)(x);
  for (size_t i = 0; i < kCount; ++i)
    EXPECT_EQ(g[i][0].item<float>(), 1.f + static_cast<float>(i)) << i;
  EXPECT_EQ(jvp(f, x, x).second.item<float>(), 70.f + 69.f * 35.f);
}

TEST(Jacobian, J_081_output_axes_first) {
  const auto f = [](const Tensor& x) { return outer(x, square(x)); };
  const Tensor x = vec({1, 2, 3});
  const Tensor forward = jacfwd(f)(x), reverse = jacrev(f)(x);
  EXPECT_EQ(type_text(forward), "f32[3,3,3]");
  EXPECT_EQ(values(forward), values(reverse));
  // d (x_i x_j^2) / d x_k
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      for (int k = 0; k < 3; ++k) {
        const float xi = i + 1.f, xj = j + 1.f;
        const float expected = (i == k ? xj * xj : 0) + (j == k ? 2 * xi * xj : 0);
        EXPECT_EQ(forward[i][j][k].item<float>(), expected);
      }
    }
  }
  const auto cubic = [](const Tensor& y) { return sum(y * y * y); };
  EXPECT_EQ(values(hessian(cubic)(vec({1, 2}))), floats({6, 0, 0, 12}));
  EXPECT_EQ(type_text(hessian(cubic)(ones({2, 3}))), "f32[2,3,2,3]");
  const auto scaled = [](const Tensor& y, const Tensor& s) { return y * s; };
  EXPECT_EQ(values(jacrev(scaled)(vec({1, 2}), Tensor(5.f))), floats({5, 0, 0, 5}));
}

TEST(Jacobian, J_079_tenth_derivative) {
  std::function<Tensor(const Tensor&)> f = [](const Tensor& x) { return exp(x * 2.0); };
  for (int i = 0; i < 6; ++i) f = [g = f](const Tensor& x) { return grad(g)(x); };
  EXPECT_NEAR(f(scalar(0.5, DType::kF64)).item<double>(), 64 * std::exp(1.0), 1e-9);
  std::function<Tensor(const Tensor&)> h = [](const Tensor& x) { return sin(x); };
  for (int i = 0; i < 10; ++i) {
    h = [g = h](const Tensor& x) { return jvp(g, x, ones({}, DType::kF64)).second; };
  }
  EXPECT_NEAR(h(scalar(0.5, DType::kF64)).item<double>(), -std::sin(0.5), 1e-12);
}

}  // namespace
}  // namespace linnet::transforms_test
