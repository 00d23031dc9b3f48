// custom_vjp and custom_jvp: rules replace differentiation, under every transformation, and are
// checked.
#include "tests/core/core_support.h"

namespace linnet::custom_test {
namespace {

using test::expect_error;
using test::floats;
using test::type_text;
using test::values;

/// log(1 + e^x) whose gradient is, on purpose, ten times the true one, so that the rule shows.
auto marked_softplus() {
  return custom_vjp([](const Tensor& x) { return log1p(exp(x)); },
                    [](const Tensor& x) { return std::make_pair(log1p(exp(x)), x); },
                    [](const Tensor& x, const Tensor& ct) { return ct * sigmoid(x) * 10; });
}

TEST(CustomVjp, J_087_the_rule_replaces_differentiation) {
  const auto f = marked_softplus();
  const auto loss = [&](const Tensor& x) { return sum(f(x)); };
  const Tensor x = tensor({-1.f, 0.f, 2.f});
  EXPECT_EQ(values(f(x)), values(log1p(exp(x))));
  const std::vector<float> expected = values(sigmoid(x) * 10);
  EXPECT_EQ(values(grad(loss)(x)), expected);
  EXPECT_EQ(values(jit([&](const Tensor& y) { return grad(loss)(y); })(x)), expected);
  EXPECT_EQ(values(grad([g = jit([&](const Tensor& y) { return loss(y); })](const Tensor& y) {
              return g(y);
            })(x)),
            expected);
  EXPECT_EQ(values(vmap(grad(f))(x)), expected);
  EXPECT_EQ(values(grad([&](const Tensor& y) { return sum(vmap(f)(y)); })(x)), expected);
  EXPECT_EQ(values(grad(checkpoint(loss))(x)), expected);
  EXPECT_EQ(values(jit([&](const Tensor& y) { return vmap(grad(f))(y); })(x)), expected);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_FLOAT_EQ(values(jvp(f, x, ones({3})).second)[i], expected[i]);
}

TEST(CustomVjp, J_087_trees_residuals_and_several_arguments) {
  struct Params {
    Tensor w, b;
    int power = 2;
  };
  struct Residuals {
    std::vector<Tensor> saved;
    std::string note;
  };
  const auto f = custom_vjp(
      [](const Params& p, const Tensor& x) { return std::make_pair(p.w * x + p.b, p.b * p.power); },
      [](const Params& p, const Tensor& x) {
        return std::make_pair(std::make_pair(p.w * x + p.b, p.b * p.power),
                              Residuals{{p.w, x}, "kept"});
      },
      [](const Residuals& r, const std::pair<Tensor, Tensor>& ct) {
        EXPECT_EQ(r.note, "kept");
        return std::make_tuple(Params{ct.first * r.saved[1], ct.first + ct.second * 2},
                               ct.first * r.saved[0]);
      });
  const auto loss = [&](const Params& p, const Tensor& x) {
    const auto [a, b] = f(p, x);
    return sum(a * a) + sum(b);
  };
  const auto plain = [](const Params& p, const Tensor& x) {
    return sum(square(p.w * x + p.b)) + sum(p.b * p.power);
  };
  const Params p{tensor({1.f, 2.f, 3.f}), tensor({4.f, 5.f, 6.f})};
  const Tensor x = tensor({0.5f, -1.f, 2.f});
  const auto [gp, gx] = grad<0, 1>(loss)(p, x);
  const auto [wp, wx] = grad<0, 1>(plain)(p, x);
  EXPECT_EQ(values(gp.w), values(wp.w));
  EXPECT_EQ(values(gp.b), values(wp.b));
  EXPECT_EQ(values(gx), values(wx));
  EXPECT_EQ(gp.power, 2);
  // One argument mapped, the other not: its cotangents are summed over the batch.
  const Tensor batch = stack({x, x * 2});
  const auto mapped = [&](auto body) {
    return grad([&](const Params& q) {
      return sum(vmap(body, {.in_axes = {kNone, 0}})(q, batch));
    })(p);
  };
  const Params got = mapped(loss), wanted = mapped(plain);
  EXPECT_EQ(values(got.w), values(wanted.w));
  EXPECT_EQ(values(got.b), values(wanted.b));
}

TEST(CustomVjp, J_087_integer_inputs_need_no_cotangent) {
  const auto f = custom_vjp(
      [](const Tensor& x, const Tensor& index) { return x * astype(index, DType::kF32); },
      [](const Tensor& x, const Tensor& index) {
        return std::make_pair(x * astype(index, DType::kF32), index);
      },
      [](const Tensor& index, const Tensor& ct) {
        return std::make_tuple(ct * astype(index, DType::kF32) * 100, Tensor());
      });
  EXPECT_EQ(grad(f)(Tensor(1.f), Tensor(3)).item<float>(), 300);
  const Tensor rows = tensor({1.f, 2.f}), index = tensor({5, 6});
  EXPECT_EQ(values(vmap(grad(f))(rows, index)), floats({500, 600}));
  EXPECT_EQ(values(vmap(grad(f), {.in_axes = {0, kNone}})(rows, Tensor(2))), floats({200, 200}));
}

TEST(CustomVjp, captured_values_are_constants_of_the_rule) {
  const Tensor scale = test::ramp({3});
  const auto f = custom_vjp([scale](const Tensor& x) { return x * scale; },
                            [scale](const Tensor& x) { return std::make_pair(x * scale, scale); },
                            [](const Tensor& s, const Tensor& ct) { return ct * s; });
  const auto loss = [&](const Tensor& x) { return sum(f(x)); };
  EXPECT_EQ(values(grad(loss)(ones({3}))), values(scale));
  EXPECT_EQ(values(jit([&](const Tensor& x) { return grad(loss)(x); })(ones({3}))), values(scale));
  EXPECT_EQ(values(vmap(grad(loss))(ones({2, 3}))), values(stack({scale, scale})));
}

TEST(CustomVjp, captured_values_of_an_enclosing_transformation) {
  const auto scaled_by = [](const Tensor& s) {
    return custom_vjp([s](const Tensor& y) { return y * s; },
                      [s](const Tensor& y) { return std::make_pair(y * s, s); },
                      [](const Tensor& r, const Tensor& ct) { return ct * r; });
  };
  const Tensor x = tensor({1.f, 3.f});
  // Captured by what is inside of it: a value like any other.
  const auto inside = [&](const Tensor& y) {
    const auto f = scaled_by(y * 2);
    return grad([&](const Tensor& z) { return sum(f(z)); })(y);
  };
  EXPECT_EQ(values(jit([&](const Tensor& y) { return inside(y); })(x)), floats({2, 6}));
  const auto stopped = [&](const Tensor& y) { return sum(scaled_by(stop_gradient(y * 2))(y)); };
  EXPECT_EQ(values(grad(stopped)(x)), floats({2, 6}));
  const auto differentiated = [&](const Tensor& y) { return sum(scaled_by(y * 2)(y)); };
  expect_error<TraceError>(
      "custom_vjp: the function captures f32[2], which is being differentiated\n"
      "  hint: make it an argument, so that the rule covers it, or capture stop_gradient of it",
      [&] { grad(differentiated)(x); });
  const auto forward = [](const Tensor& y) {
    return custom_jvp([y](const Tensor& z) { return z * y; },
                      [](const std::tuple<Tensor>& z, const std::tuple<Tensor>& t) {
                        return std::make_pair(std::get<0>(z), std::get<0>(t));
                      })(y);
  };
  expect_error<TraceError>(
      "custom_jvp: the function captures f32[2], which is being differentiated\n"
      "  hint: make it an argument, so that the rule covers it, or capture stop_gradient of it",
      [&] { jvp(forward, x, x); });
}

TEST(CustomVjp, E_19_R_010_wrong_rules_are_named) {
  const Tensor x = ones({3});
  const auto identity = [](const Tensor& y) { return std::make_pair(y, y); };
  const auto two = [](const Tensor& a, const Tensor& b) { return a * b; };
  expect_error<TraceError>("custom_vjp: the backward rule returned 1 cotangents for 2 inputs", [&] {
    grad([&](const Tensor& y) {
      return sum(custom_vjp(
          two, [](const Tensor& a, const Tensor& b) { return std::make_pair(a * b, a); },
          [](const Tensor&, const Tensor& ct) { return ct; })(y, y));
    })(x);
  });
  const auto with_backward = [&](auto backward) {
    return [&, backward] {
      grad([&](const Tensor& y) {
        return sum(custom_vjp([](const Tensor& z) { return z; }, identity, backward)(y));
      })(x);
    };
  };
  expect_error<TraceError>(
      "custom_vjp: the backward rule returned f32[] for input 0 of type f32[3]",
      with_backward([](const Tensor&, const Tensor& ct) { return sum(ct); }));
  expect_error<TraceError>(
      "custom_vjp: the backward rule returned f64[3] for input 0 of type f32[3]",
      with_backward([](const Tensor&, const Tensor& ct) { return astype(ct, DType::kF64); }));
  const auto with_forward = [&](auto function, auto forward) {
    return [&, function, forward] {
      grad([&](const Tensor& y) {
        return sum(
            custom_vjp(function, forward, [](const Tensor&, const Tensor& ct) { return ct; })(y));
      })(x);
    };
  };
  expect_error<TraceError>(
      "custom_vjp: the forward rule returned f32[] for result 0, the function returns f32[3]",
      with_forward([](const Tensor& y) { return y; },
                   [](const Tensor& y) { return std::make_pair(sum(y), y); }));
  expect_error<TraceError>(
      "custom_vjp: the forward rule returned f64[3] for result 0, the function returns f32[3]",
      with_forward([](const Tensor& y) { return y; },
                   [](const Tensor& y) { return std::make_pair(astype(y, DType::kF64), y); }));
  expect_error<ValueError>(
      "custom_vjp: a residual is an undefined tensor",
      with_forward([](const Tensor& y) { return y; },
                   [](const Tensor& y) { return std::make_pair(y, Tensor()); }));
}

TEST(CustomVjp, lists_of_results_must_agree_in_number) {
  const auto f = custom_vjp(
      [](const Tensor& x) {
        return TensorList{x, x};
      },
      [](const Tensor& x) { return std::make_pair(TensorList{x}, TensorList{}); },
      [](const TensorList&, const TensorList& ct) { return ct[0]; });
  expect_error<TraceError>(
      "custom_vjp: the forward rule returned 1 results, the function returns 2",
      [&] { grad([&](const Tensor& x) { return f(x)[0]; })(Tensor(1.f)); });
}

/// sin with a tangent that is ten times the true one.
auto marked_sin() {
  return custom_jvp([](const Tensor& x) { return sin(x); },
                    [](const std::tuple<Tensor>& x, const std::tuple<Tensor>& t) {
                      return std::make_pair(sin(std::get<0>(x)),
                                            std::get<0>(t) * cos(std::get<0>(x)) * 10);
                    });
}

TEST(CustomJvp, J_087_the_rule_replaces_differentiation_in_both_modes) {
  const auto f = marked_sin();
  const auto loss = [&](const Tensor& x) { return sum(f(x)); };
  const Tensor x = tensor({-1.f, 0.f, 2.f});
  const std::vector<float> expected = values(cos(x) * 10);
  EXPECT_EQ(values(f(x)), values(sin(x)));
  EXPECT_EQ(values(jvp(f, x, ones({3})).second), expected);
  EXPECT_EQ(values(grad(loss)(x)), expected);
  EXPECT_EQ(values(vmap(grad(f))(x)), expected);
  EXPECT_EQ(values(jit([&](const Tensor& y) { return grad(loss)(y); })(x)), expected);
  EXPECT_EQ(values(jit([&](const Tensor& y) { return jvp(f, y, ones({3})).second; })(x)), expected);
  EXPECT_EQ(values(grad(checkpoint(loss))(x)), expected);
  EXPECT_EQ(values(grad([&](const Tensor& y) { return sum(vmap(f)(y)); })(x)), expected);
  // The rule itself is differentiated: d/dx 10 cos x = -10 sin x.
  EXPECT_EQ(values(vmap(grad(grad(f)))(x)), values(sin(x) * -10));
}

TEST(CustomJvp, J_087_several_arguments_and_results) {
  const auto f =
      custom_jvp([](const Tensor& a, const Tensor& b) { return std::make_pair(a * b, a + b); },
                 [](const std::tuple<Tensor, Tensor>& x, const std::tuple<Tensor, Tensor>& t) {
                   const auto& [a, b] = x;
                   const auto& [ta, tb] = t;
                   return std::make_pair(std::make_pair(a * b, a + b),
                                         std::make_pair(ta * b + a * tb, ta + tb));
                 });
  const auto loss = [&](const Tensor& a, const Tensor& b) {
    const auto [product, total] = f(a, b);
    return sum(product * total);
  };
  const auto plain = [](const Tensor& a, const Tensor& b) { return sum(a * b * (a + b)); };
  const Tensor a = tensor({1.f, 2.f}), b = tensor({3.f, -1.f});
  const auto [ga, gb] = grad<0, 1>(loss)(a, b);
  const auto [wa, wb] = grad<0, 1>(plain)(a, b);
  EXPECT_EQ(values(ga), values(wa));
  EXPECT_EQ(values(gb), values(wb));
  EXPECT_EQ(values(grad<1>(loss)(a, b)), values(wb));
}

TEST(CustomJvp, E_19_R_010_wrong_rules_are_named) {
  const auto with_rule = [](auto rule) {
    return [rule] {
      (void)jvp(custom_jvp([](const Tensor& x) { return x; },
                           [rule](const std::tuple<Tensor>& x, const std::tuple<Tensor>& t) {
                             return rule(std::get<0>(x), std::get<0>(t));
                           }),
                ones({3}), ones({3}));
    };
  };
  expect_error<TraceError>(
      "custom_jvp: the rule returned f32[] for result 0, the function returns f32[3]",
      with_rule([](const Tensor& x, const Tensor& t) { return std::make_pair(sum(x), t); }));
  expect_error<TraceError>(
      "custom_jvp: the rule returned the tangent f32[] for result 0 of type f32[3]",
      with_rule([](const Tensor& x, const Tensor& t) { return std::make_pair(x, sum(t)); }));
  expect_error<TraceError>(
      "custom_jvp: the rule returned the tangent undefined for result 0 of type f32[3]",
      with_rule([](const Tensor& x, const Tensor&) { return std::make_pair(x, Tensor()); }));
}

}  // namespace
}  // namespace linnet::custom_test
