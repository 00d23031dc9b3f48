// Gradients by argument, recomputation, own rules, vjp and jvp of functions of modules.
#include "linnet/error.h"
#include "linnet/jit.h"
#include "tests/modules/nnx_transforms_support.h"

namespace linnet::nnx_transforms_grad_test {
namespace {

using nnx::DiffState;
using testing::expect_transformed;
using testing::expect_transformed_state;
using testing::floats;
using testing::Noisy;
using testing::transforms_golden;
using testing::TwoParams;

Tensor triple_c(TwoParams& m, const Tensor& x) {
  m.c = m.c.value() * 3;
  return sin(m.a.value() * x) * m.b.value() * m.c.value();
}
Tensor point() { return scalar(0.7, DType::kF32); }

TEST(NnxTransforms, jacobians_that_are_refused_leave_captured_variables_as_they_were) {
  nnx::Param calls(zeros({}));
  const auto counted = [&](auto f) {
    return [&calls, f](const Tensor& x) {
      calls = calls.value() + 1.f;
      return f(x);
    };
  };
  const Tensor x = ones({2}), z = astype(x, DType::kC64);
  const auto widened = counted([](const Tensor& v) { return astype(v, DType::kC64); });
  EXPECT_THROW(jacrev(widened)(x), DTypeError);
  EXPECT_EQ(calls.value().item<float>(), 0);
  const auto narrowed = counted([](const Tensor& v) { return real(v); });
  EXPECT_THROW(jacfwd(narrowed, {.holomorphic = true})(z), DTypeError);
  EXPECT_EQ(calls.value().item<float>(), 0);
  (void)jacrev(counted([](const Tensor& v) { return v * v; }))(x);
  EXPECT_EQ(calls.value().item<float>(), 1);
}

TEST(NnxTransforms, N_094_gradients_of_several_arguments) {
  TwoParams m;
  const auto [value, gradients] = nnx::value_and_grad<0, 1>(triple_c)(m, point());
  const auto& [dm, dx] = gradients;
  expect_transformed(value, "grad/argnums/value");
  EXPECT_EQ(dm.size(), 2u) << nnx::to_string(dm);
  expect_transformed_state(dm, "grad/argnums/m");
  expect_transformed(dx, "grad/argnums/x");
  expect_transformed(m.c.value(), "grad/argnums/c");
  EXPECT_EQ(dm.find("a")->type(), &nnx::Param::static_type());
  // The first argument if none is named; a tree of tensors gives one of its type.
  TwoParams again;
  expect_transformed_state(nnx::grad(triple_c)(again, point()), "grad/argnums/m");
  const auto sum_of = [](const std::vector<Tensor>& xs, TwoParams& one) {
    return xs[0] * xs[1] * one.b.value();
  };
  const std::vector<Tensor> dxs =
      nnx::grad(sum_of)(std::vector<Tensor>{scalar(2, DType::kF32), scalar(3, DType::kF32)}, again);
  EXPECT_EQ(dxs[0].item<float>(), -1.5f);
  EXPECT_EQ(dxs[1].item<float>(), -1.f);
  // With an auxiliary result.
  const auto [loss, aux, grads] = nnx::value_and_grad<1>([](TwoParams& one, const Tensor& x) {
    return std::pair(one.a.value() * x * x, x + 1);
  })(again, point());
  EXPECT_NEAR(loss.item<float>(), 0.735, 1e-6);
  EXPECT_NEAR(aux.item<float>(), 1.7, 1e-6);
  EXPECT_NEAR(grads.item<float>(), 2.1, 1e-6);
}

TEST(NnxTransforms, N_094_a_bare_variable_gives_a_variable) {
  nnx::Param w(scalar(3, DType::kF32), {{"tag", "w"}});
  const nnx::Param dw = nnx::grad([](nnx::Param& v) { return v.value() * v.value(); })(w);
  EXPECT_EQ(dw.value().item<float>(), 6.f);
  EXPECT_EQ(*dw.metadata().get<std::string>("tag"), "w");
  EXPECT_NE(dw.cell(), w.cell());
}

TEST(NnxTransforms, N_095_diff_state_chooses_by_filter) {
  TwoParams m;
  const nnx::State dc =
      nnx::grad(triple_c, DiffState<0>(nnx::of_type<nnx::BatchStat>()))(m, point());
  EXPECT_EQ(dc.size(), 1u);
  expect_transformed_state(dc, "grad/diff_state/m");
  TwoParams again;
  const auto [da, dx] =
      nnx::grad(triple_c, DiffState<0>(nnx::path_contains("a")), DiffState<1>())(again, point());
  EXPECT_EQ(da.size(), 1u);
  expect_transformed(da["a"], "grad/argnums/m/a");
  expect_transformed(dx, "grad/argnums/x");
  EXPECT_THROW(nnx::grad(triple_c, DiffState<0>(nnx::of_type<nnx::Cache>()))(again, point()),
               ValueError);
}

TEST(NnxTransforms, N_087_N_096_shared_variables_have_one_gradient) {
  nnx::Param w(scalar(1, DType::kF32));
  const auto f = [](nnx::Param& a, nnx::Param& b) { return a.value() * b.value() * 3; };
  const auto [first, second] = nnx::grad<0, 1>(f)(w, w);
  EXPECT_EQ(first.value().item<float>(), 6.f);
  EXPECT_EQ(second.value().item<float>(), 0.f);
  try {
    nnx::grad(f)(w, w);
    ADD_FAILURE();
  } catch (const ValueError& e) {
    EXPECT_NE(
        std::string(e.what()).find("as argument 0: differentiated\n  as argument 1: constant"),
        std::string::npos)
        << e.what();
  }
  TwoParams m;
  const auto [dm, db] = nnx::grad<0, 1>(
      [](TwoParams& one, nnx::Param& b) { return one.b.value() * b.value(); })(m, m.b);
  EXPECT_EQ(dm["b"].value().item<float>(), -1.f);
  EXPECT_EQ(db.value().item<float>(), 0.f);
}

TEST(NnxTransforms, N_085_gradients_and_structure) {
  struct Lazy {
    nnx::Param w{scalar(2, DType::kF32)};
    std::optional<nnx::BatchStat> seen;
    LINNET_FIELDS(w, seen)
  };
  Lazy m;
  const nnx::State g = nnx::grad([](Lazy& one) {
    one.seen.emplace(one.w.value() * 5);
    return one.w.value() * one.w.value();
  })(m);
  EXPECT_EQ(g["w"].value().item<float>(), 4.f);
  EXPECT_EQ(m.seen->value().item<float>(), 10.f);
  // A call that fails writes nothing.
  TwoParams t;
  EXPECT_THROW(nnx::grad([](TwoParams& one) {
                 one.c = one.c.value() * 7;
                 return ones({2}) * one.a.value();
               })(t),
               ShapeError);
  EXPECT_EQ(t.c.value().item<float>(), 2.f);
}

Noisy noisy() {
  nnx::Rngs rngs = testing::noisy_rngs();
  return Noisy(rngs);
}

TEST(NnxTransforms, N_099_remat_gives_the_same_and_advances_once) {
  const Tensor x = random::normal(Key(1), {4, 3});
  const auto block = nnx::remat([](Noisy& m, const Tensor& input) { return m(input); });
  Noisy m = noisy();
  const auto loss = [&](Noisy& one) { return mean(square(block(one, x))); };
  const auto [value, gradients] = nnx::value_and_grad(loss, m);
  expect_transformed(value, "remat/value");
  expect_transformed_state(gradients, "remat/grad");
  expect_transformed_state(testing::without_keys(m), "remat/after");
  Noisy compiled = noisy();
  const auto step = jit([&](Noisy& one) { return nnx::value_and_grad(loss, one).second; });
  expect_transformed_state(step(compiled), "remat/grad");
  expect_transformed_state(testing::without_keys(compiled), "remat/after");
}

TEST(NnxTransforms, N_098_custom_rules) {
  int forward_runs = 0;
  const auto h = nnx::custom_vjp(
      [](TwoParams& m, const Tensor& x) { return sin(m.a.value() * x) * m.b.value(); },
      [&](TwoParams& m, const Tensor& x) {
        ++forward_runs;
        return std::pair(sin(m.a.value() * x) * m.b.value(),
                         std::tuple(m.a.value(), m.b.value(), x));
      },
      [](const auto& residuals, const auto& updates, const Tensor& ct) {
        const auto& [a, b, x] = residuals;
        nnx::State dm = std::get<0>(updates);
        nnx::Variable(dm.find("a")->cell).set_value(10 * ct * cos(a * x) * b);
        nnx::Variable(dm.find("b")->cell).set_value(20 * ct);
        return std::tuple(dm, 30 * ct * a);
      });
  TwoParams m;
  EXPECT_NEAR(h(m, point()).item<float>(), -0.5 * std::sin(1.05), 1e-6);
  EXPECT_EQ(forward_runs, 0);
  const auto [dm, dx] = nnx::grad<0, 1>(h)(m, point());
  expect_transformed_state(dm, "custom_vjp/m");
  expect_transformed(dx, "custom_vjp/x");
  EXPECT_EQ(forward_runs, 1);
}

TEST(NnxTransforms, N_098_custom_rules_see_what_is_written) {
  // y = a c', c' = 3 c is written; the loss reads both, so the rule gets a cotangent for c'.
  const auto write = [](TwoParams& m) {
    m.c = m.c.value() * 3;
    return m.a.value() * m.c.value();
  };
  const auto h = nnx::custom_vjp(
      write, [write](TwoParams& m) { return std::pair(write(m), m.a.value()); },
      [](const Tensor& a, const auto& updates, const Tensor& ct) {
        nnx::State out;
        const Tensor dc = std::get<0>(updates)["c"];
        out.insert({{"a"}}, {nullptr, 100 * ct + dc});
        out.insert({{"c"}}, {nullptr, a * 0 + 7});
        return out;
      });
  TwoParams m;
  const auto loss = [&](TwoParams& one) {
    const Tensor y = h(one);
    return y + 5 * one.c.value();
  };
  const nnx::State g = nnx::grad(loss, DiffState<0>(nnx::everything()))(m);
  EXPECT_EQ(g["a"].value().item<float>(), 105.f);
  EXPECT_EQ(g["c"].value().item<float>(), 7.f);
  EXPECT_EQ(m.c.value().item<float>(), 6.f) << "written once";
  const auto wrong = nnx::custom_vjp(
      write, [write](TwoParams& one) { return std::pair(write(one), one.a.value()); },
      [](const Tensor& a, const auto&, const Tensor&) {
        nnx::State out;
        out.insert({{"nowhere"}}, {nullptr, a});
        return out;
      });
  EXPECT_THROW(nnx::grad(wrong)(m), ValueError);
}

TEST(NnxTransforms, N_097_vjp_with_state) {
  TwoParams m;
  const auto [y, pullback] = nnx::vjp(triple_c, m, point());
  expect_transformed(y, "grad/argnums/value");
  expect_transformed(m.c.value(), "grad/argnums/c");
  const auto [dm, dx] = pullback(scalar(1, DType::kF32));
  expect_transformed_state(dm, "grad/argnums/m");
  expect_transformed(dx, "grad/argnums/x");
  const auto [dm2, dx2] = pullback(scalar(2, DType::kF32));
  EXPECT_NEAR(dx2.item<float>(), 2 * dx.item<float>(), 1e-6);
}

TEST(NnxTransforms, N_097_auxiliary_results) {
  TwoParams m;
  const auto with_aux = [](TwoParams& model, const Tensor& x) {
    const Tensor y = triple_c(model, x);
    return std::pair(y, std::pair(x * 2, std::vector{y + 1}));
  };
  const auto [y, pullback, aux] = nnx::vjp_with_aux(with_aux, m, point());
  expect_transformed(y, "grad/argnums/value");
  expect_transformed(m.c.value(), "grad/argnums/c");
  EXPECT_EQ(aux.first.item<float>(), 2 * point().item<float>());
  EXPECT_EQ(aux.second.at(0).item<float>(), y.item<float>() + 1);
  EXPECT_FALSE(aux.second.at(0).traced());
  const auto [dm, dx] = pullback(scalar(1, DType::kF32));
  expect_transformed_state(dm, "grad/argnums/m");
  expect_transformed(dx, "grad/argnums/x");

  TwoParams other;
  nnx::State direction;
  direction.insert({{"b"}}, {nullptr, scalar(1, DType::kF32)});
  const auto [value, tangent, more] =
      nnx::jvp_with_aux(with_aux, std::tuple<TwoParams&, Tensor>(other, point()),
                        std::tuple(direction, scalar(0, DType::kF32)));
  expect_transformed(value, "grad/argnums/value");
  expect_transformed(tangent, "grad/argnums/m/b");
  expect_transformed(other.c.value(), "grad/argnums/c");
  EXPECT_EQ(more.first.item<float>(), aux.first.item<float>());
  EXPECT_EQ(more.second.at(0).item<float>(), aux.second.at(0).item<float>());
  EXPECT_FALSE(more.first.traced());
}

TEST(NnxTransforms, N_097_jvp_with_state) {
  TwoParams m;
  nnx::State direction;
  direction.insert({{"b"}}, {nullptr, scalar(1, DType::kF32)});
  const auto [y, dy] = nnx::jvp(triple_c, std::tuple<TwoParams&, Tensor>(m, point()),
                                std::tuple(direction, scalar(0, DType::kF32)));
  expect_transformed(y, "grad/argnums/value");
  expect_transformed(dy, "grad/argnums/m/b");
  expect_transformed(m.c.value(), "grad/argnums/c");
  direction.insert({{"nowhere"}}, {nullptr, scalar(1, DType::kF32)});
  EXPECT_THROW(nnx::jvp(triple_c, std::tuple<TwoParams&, Tensor>(m, point()),
                        std::tuple(direction, scalar(0, DType::kF32))),
               ValueError);
}

}  // namespace
}  // namespace linnet::nnx_transforms_grad_test
