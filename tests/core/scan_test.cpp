#include <cmath>

#include <gtest/gtest.h>
#include "linnet/core.h"
#include "tests/core/core_support.h"

namespace linnet::scan_test {
namespace {

Tensor iota(int64_t rows, int64_t columns) {
  return reshape(arange(rows * columns).astype(DType::kF32), {rows, columns}) * 0.1;
}

TEST(Scan, J_088_carry_and_stacked) {
  const auto [carry, ys] =
      scan([](const Tensor& c, const Tensor& x) { return std::pair(c + x, c * x); }, 1.0,
           tensor({1.f, 2.f, 3.f}));
  EXPECT_EQ(carry.item<float>(), 7.f);
  EXPECT_EQ(ys.to_vector<float>(), (std::vector<float>{1, 4, 12}));
}

TEST(Scan, J_088_reverse) {
  const auto [carry, ys] =
      scan([](const Tensor& c, const Tensor& x) { return std::pair(c + x, c * x); }, 1.0,
           tensor({1.f, 2.f, 3.f}), {.reverse = true});
  EXPECT_EQ(carry.item<float>(), 7.f);
  EXPECT_EQ(ys.to_vector<float>(), (std::vector<float>{6, 8, 3}));
}

TEST(Scan, J_088_length_alone) {
  const auto [carry, ys] =
      scan([](const Tensor& c) { return std::pair(c * 2, c); }, 1.0, {.length = 5});
  EXPECT_EQ(carry.item<float>(), 32.f);
  EXPECT_EQ(ys.to_vector<float>(), (std::vector<float>{1, 2, 4, 8, 16}));
}

TEST(Scan, J_088_length_zero) {
  const auto [carry, ys] =
      scan([](const Tensor& c, const Tensor& x) { return std::pair(c + sum(x), x * 2); }, 3.0,
           zeros({0, 4}));
  EXPECT_EQ(carry.item<float>(), 3.f);
  EXPECT_EQ(ys.shape(), (Shape{0, 4}));
}

TEST(Scan, gradient_of_a_chain) {
  const auto loss = [](const Tensor& w, const Tensor& xs) {
    const auto step = [&](const Tensor& h, const Tensor& x) {
      const Tensor next = tanh(h * w + x);
      return std::pair(next, next * next);
    };
    const auto [h, ys] = scan(step, zeros({3}), xs);
    return sum(h) + sum(ys);
  };
  const auto unrolled = [](const Tensor& w, const Tensor& xs) {
    Tensor h = zeros({3}), total = Tensor(0.f);
    for (int64_t t = 0; t < xs.shape(0); ++t) {
      h = tanh(h * w + xs[t]);
      total = total + sum(h * h);
    }
    return sum(h) + total;
  };
  const Tensor w = tensor({0.3f, -0.2f, 0.9f}), xs = iota(5, 3);
  const auto a = value_and_grad<0, 1>(loss)(w, xs);
  const auto b = value_and_grad<0, 1>(unrolled)(w, xs);
  EXPECT_NEAR(a.first.item<float>(), b.first.item<float>(), 1e-5);
  EXPECT_LT(max(abs(std::get<0>(a.second) - std::get<0>(b.second))).item<float>(), 1e-5);
  EXPECT_LT(max(abs(std::get<1>(a.second) - std::get<1>(b.second))).item<float>(), 1e-5);
}

TEST(Scan, products_and_sums_of_them_leave_the_loop_in_their_order) {
  // `total` grows by a product of `y`, which is a product itself and only leaves the loop: both are
  // done behind it, and the one reads the other.
  const auto loop = [](const Tensor& w, const Tensor& xs) {
    const auto step = [&](const std::pair<Tensor, Tensor>& carry, const Tensor& x) {
      const auto& [h, total] = carry;
      const Tensor y = matmul(h, w);
      return std::pair(std::pair(tanh(h + x), total + matmul(y, x)), y);
    };
    const auto [carry, ys] = scan(step, std::pair(ones({4, 4}), zeros({4, 4})), xs);
    return std::pair(carry.second, ys);
  };
  const Tensor w = iota(4, 4), xs = reshape(iota(12, 4), {3, 4, 4});
  const auto [total, ys] = loop(w, xs);
  const auto [compiled_total, compiled_ys] = jit(loop)(w, xs);
  EXPECT_LT(max(abs(compiled_total - total)).item<float>(), 1e-5 * max(abs(total)).item<float>());
  EXPECT_LT(max(abs(compiled_ys - ys)).item<float>(), 1e-5 * max(abs(ys)).item<float>());
}

TEST(While, J_089_newton) {
  const Tensor root = while_loop([](const Tensor& x) { return abs(x * x - 2) > 1e-6; },
                                 [](const Tensor& x) { return 0.5 * (x + 2 / x); }, 1.0);
  EXPECT_NEAR(root.item<float>(), std::sqrt(2.f), 1e-6);
}

TEST(Fori, J_089_static_bounds_are_differentiable) {
  const auto f = [](const Tensor& x) {
    return fori_loop(
        0, 5, [&](const Tensor&, const Tensor& y) { return y * x; }, 1.0);
  };
  EXPECT_EQ(f(Tensor(2.f)).item<float>(), 32.f);
  EXPECT_EQ(grad(f)(Tensor(2.f)).item<float>(), 80.f);
}

TEST(Cond, J_090_one_branch) {
  const auto f = [](const Tensor& x) {
    return cond(
        x > 0, [&] { return x * x; }, [&] { return -x; });
  };
  EXPECT_EQ(f(Tensor(3.f)).item<float>(), 9.f);
  EXPECT_EQ(f(Tensor(-3.f)).item<float>(), 3.f);
  EXPECT_EQ(grad(f)(Tensor(3.f)).item<float>(), 6.f);
  EXPECT_EQ(grad(f)(Tensor(-3.f)).item<float>(), -1.f);
  EXPECT_EQ(vmap(f)(tensor({3.f, -3.f})).to_vector<float>(), (std::vector<float>{9, 3}));
  EXPECT_EQ(vmap(grad(f))(tensor({3.f, -3.f})).to_vector<float>(), (std::vector<float>{6, -1}));
}

TEST(Switch, J_090_clamped) {
  const auto f = [](const Tensor& i) {
    return switch_case(
        i,
        std::tuple([](const Tensor& x) { return x; }, [](const Tensor& x) { return x * 2; },
                   [](const Tensor& x) { return x * 3; }),
        Tensor(5.f));
  };
  EXPECT_EQ(f(Tensor(-1)).item<float>(), 5.f);
  EXPECT_EQ(f(Tensor(1)).item<float>(), 10.f);
  EXPECT_EQ(f(Tensor(7)).item<float>(), 15.f);
}

TEST(Map, J_091_map_and_associative_scan) {
  EXPECT_EQ(map_each([](const Tensor& x) { return sum(x); }, ones({3, 4})).to_vector<float>(),
            (std::vector<float>{4, 4, 4}));
  const auto total =
      associative_scan([](const Tensor& a, const Tensor& b) { return a + b; }, arange(1, 8));
  EXPECT_EQ(total.to_vector<int>(), (std::vector<int>{1, 3, 6, 10, 15, 21, 28}));
}

// ---- Variables.

TEST(ScanState, variable_that_the_body_writes_is_carried) {
  const auto run = [](auto wrap) {
    test::Box total(Tensor(10.f)), untouched(Tensor(2.f));
    const auto f = [&](const Tensor& xs) {
      return scan(
                 [&](const Tensor& c, const Tensor& x) {
                   total = total.value() + x * untouched.value();
                   return std::pair(c + total.value(), total.value());
                 },
                 0.0, xs)
          .second;
    };
    EXPECT_EQ(wrap(f)(tensor({1.f, 2.f, 3.f})).template to_vector<float>(),
              (std::vector<float>{12, 16, 22}));
    EXPECT_EQ(total.value().item<float>(), 22.f);
  };
  run([](auto f) { return f; });
  run([](auto f) { return jit(f); });
}

TEST(ScanState, gradient_through_a_carried_variable) {
  const auto loss = [](const Tensor& w) {
    test::Box state(Tensor(1.f));
    const auto f = [&](const Tensor& v) {
      scan(
          [&](const std::tuple<>&, const Tensor& x) {
            state = state.value() * v + x;
            return std::pair(std::tuple<>(), std::tuple<>());
          },
          std::tuple<>(), tensor({1.f, 2.f}));
      return state.value();
    };
    return f(w);
  };
  // ((w + 1) w + 2)' = 2 w + 1
  EXPECT_EQ(grad(loss)(Tensor(3.f)).item<float>(), 7.f);
}

TEST(WhileState, condition_reads_what_the_body_writes) {
  test::Box count(Tensor(0));
  const Tensor y = while_loop([&](const Tensor&) { return count.value() < 5; },
                              [&](const Tensor& x) {
                                count = count.value() + 1;
                                return x * 2;
                              },
                              1.0);
  EXPECT_EQ(y.item<float>(), 32.f);
  EXPECT_EQ(count.value().item<int>(), 5);
}

TEST(CondState, only_the_branch_that_runs_writes) {
  test::Box a(Tensor(1.f)), b(Tensor(2.f));
  const auto f = [&](const Tensor& which) {
    return cond(
        which,
        [&] {
          a = a.value() + 10;
          return a.value();
        },
        [&] {
          b = b.value() + 20;
          return b.value();
        });
  };
  EXPECT_EQ(jit(f)(Tensor(true)).item<float>(), 11.f);
  EXPECT_EQ(a.value().item<float>(), 11.f);
  EXPECT_EQ(b.value().item<float>(), 2.f);
  EXPECT_EQ(f(Tensor(false)).item<float>(), 22.f);
  EXPECT_EQ(a.value().item<float>(), 11.f);
  EXPECT_EQ(b.value().item<float>(), 22.f);
}

TEST(ScanState, variable_that_changes_its_type_is_refused) {
  test::Box total(Tensor(1.f));
  test::expect_error<TraceError>(
      [&] {
        scan(
            [&](const Tensor& c) {
              total = stack({total.value(), total.value()});
              return std::pair(c, c);
            },
            0.0, {.length = 2});
      },
      "scan: a variable, which the body writes, must keep its type: it is (~f32[]) before and "
      "(~f32[2]) after a step");
}

TEST(ScanState, failing_body_changes_nothing) {
  test::Box total(Tensor(1.f));
  EXPECT_THROW(scan(
                   [&](const Tensor& c) {
                     total = total.value() + 1;
                     throw ValueError("stop");
                     return std::pair(c, c);
                   },
                   0.0, {.length = 2}),
               ValueError);
  EXPECT_EQ(total.value().item<float>(), 1.f);
}

// ---- Types.

TEST(Scan, J_088_weak_carry_takes_the_type_of_the_body) {
  const auto [carry, ys] =
      scan([](const Tensor& c, const Tensor& x) { return std::pair(c + x, c); }, 0.0,
           tensor({1.f, 2.f}).astype(DType::kBF16));
  EXPECT_EQ(carry.dtype(), DType::kBF16);
  EXPECT_EQ(ys.dtype(), DType::kBF16);
  EXPECT_EQ(carry.item<float>(), 3.f);
}

TEST(Scan, J_088_carry_that_changes_its_type_names_the_leaf) {
  struct Carry {
    Tensor h, c;
  };
  test::expect_error<ShapeError>(
      "scan: the carry must keep its types: leaf 1 is f32[3] at the beginning and f32[2,3] after a "
      "step",
      [] {
        scan(
            [](const Carry& s) {
              return std::pair(Carry{s.h, stack({s.c, s.c})}, s.h);
            },
            Carry{zeros({2}), zeros({3})}, {.length = 1});
      });
  test::expect_error<DTypeError>(
      [] {
        scan([](const Tensor& c) { return std::pair(c.astype(DType::kI32), c); }, zeros({2}),
             {.length = 1});
      },
      "scan: the carry must keep its types: it is f32[2] at the beginning and i32[2] after a step");
}

TEST(Scan, J_088_lengths_that_differ) {
  test::expect_error<ShapeError>("scan: sequences must have one length, got f32[2], f32[3]", [] {
    scan([](const Tensor& c, const std::pair<Tensor, Tensor>&) { return std::pair(c, c); }, 0.0,
         std::pair(zeros({2}), zeros({3})));
  });
  test::expect_error<ValueError>(
      [] { scan([](const Tensor& c) { return std::pair(c, c); }, 0.0, {}); },
      "scan: without sequences the number of steps must be given");
}

TEST(Cond, J_090_second_derivatives_under_a_batched_predicate_stay_finite) {
  // The backward pass of the quotient runs for both elements, on what the other branch left there.
  const auto f = [](const Tensor& x) {
    return cond(
        x > 0, [&] { return x; }, [&] { return x / (1 + x * x); });
  };
  const auto g = [](const Tensor& x) {
    return cond(
        x > 0, [&] { return x * x; }, [&] { return log(1 - exp(x)); });
  };
  const auto second = [](auto h) {
    return grad([=](const Tensor& xs) { return sum(vmap(grad(h))(xs)); });
  };
  const Tensor xs = astype(tensor({0.5, -0.5}), DType::kF64);
  for (const bool compiled : {false, true}) {
    const auto of = [&](auto h) {
      const auto run = [=](const Tensor& x) { return second(h)(x); };
      return (compiled ? jit(run)(xs) : run(xs)).template to_vector<double>();
    };
    const std::vector<double> quotient = of(f), logarithm = of(g);
    EXPECT_EQ(quotient[0], 0);
    EXPECT_NEAR(quotient[1], 2.75 / std::pow(1.25, 3), 1e-12);  // 2x (x² - 3) / (1 + x²)³
    EXPECT_EQ(logarithm[0], 2);
    // log(1 - eˣ)'' = -eˣ / (1 - eˣ)²
    EXPECT_NEAR(logarithm[1], -std::exp(-0.5) / std::pow(1 - std::exp(-0.5), 2), 1e-12);
  }
}

TEST(Cond, J_090_branches_of_different_types) {
  test::expect_error<ShapeError>(
      "cond: all branches must give the same types: the first gives (f32[2]), branch 1 gives "
      "(f32[3])",
      [] {
        cond(
            Tensor(true), [] { return zeros({3}); }, [] { return zeros({2}); });
      });
}

TEST(Cond, J_090_predicate_must_be_one) {
  test::expect_error<ShapeError>(
      [] {
        cond(
            tensor({true, false}), [] { return Tensor(1.f); }, [] { return Tensor(2.f); });
      },
      "cond: expected a zero-dimensional predicate, got bool[2]");
}

// ---- Loops of unknown length.

TEST(While, J_089_zero_turns) {
  EXPECT_EQ(
      while_loop([](const Tensor& x) { return x > 10; }, [](const Tensor& x) { return x * 2; }, 3.0)
          .item<float>(),
      3.f);
}

TEST(While, J_089_forward_mode) {
  const auto f = [](const Tensor& x) {
    return while_loop([](const std::pair<Tensor, Tensor>& c) { return c.first < 3; },
                      [&](const std::pair<Tensor, Tensor>& c) {
                        return std::pair(c.first + 1, c.second * x);
                      },
                      std::pair(Tensor(0), x))
        .second;
  };
  const auto [y, t] = jvp(f, Tensor(2.f), Tensor(1.f));
  EXPECT_EQ(y.item<float>(), 16.f);
  EXPECT_EQ(t.item<float>(), 32.f);
  test::expect_error<TraceError>([&] { grad(f)(Tensor(2.f)); },
                                 "while_loop: reverse mode needs the number of steps");
}

TEST(While, J_089_batched_predicate) {
  const auto f = [](const Tensor& x, const Tensor& limit) {
    return while_loop([&](const Tensor& y) { return y < limit; },
                      [](const Tensor& y) { return y * 2; }, x);
  };
  EXPECT_EQ(vmap(f)(tensor({1.f, 3.f, 50.f}), tensor({10.f, 4.f, 20.f})).to_vector<float>(),
            (std::vector<float>{16, 6, 50}));
  EXPECT_EQ(
      vmap(f, {.in_axes = {0, kNone}})(tensor({1.f, 3.f, 50.f}), Tensor(10.f)).to_vector<float>(),
      (std::vector<float>{16, 12, 50}));
  EXPECT_EQ(vmap(f, {.in_axes = {kNone, 0}})(Tensor(1.f), tensor({3.f, 100.f})).to_vector<float>(),
            (std::vector<float>{4, 128}));
}

TEST(While, J_089_batched_body_with_one_predicate) {
  const auto f = [](const Tensor& x) {
    return while_loop([](const std::pair<Tensor, Tensor>& c) { return c.first < 3; },
                      [](const std::pair<Tensor, Tensor>& c) {
                        return std::pair(c.first + 1, c.second + c.second);
                      },
                      std::pair(Tensor(0), x))
        .second;
  };
  EXPECT_EQ(vmap(f)(tensor({1.f, 2.f})).to_vector<float>(), (std::vector<float>{8, 16}));
}

TEST(Fori, J_089_bounds_that_are_not_known) {
  const auto f = jit([](const Tensor& n) {
    return fori_loop(
        Tensor(0), n, [](const Tensor& i, const Tensor& x) { return x + i; }, 0);
  });
  EXPECT_EQ(f(Tensor(5)).item<int>(), 10);
  EXPECT_EQ(f(Tensor(0)).item<int>(), 0);
}

TEST(Switch, J_090_branches_in_a_vector) {
  std::vector<std::function<Tensor(const Tensor&)>> branches;
  for (int i = 0; i < 3; ++i) branches.push_back([i](const Tensor& x) { return x * i; });
  EXPECT_EQ(switch_case(Tensor(2), branches, Tensor(4.f)).item<float>(), 8.f);
  EXPECT_EQ(vmap([&](const Tensor& i, const Tensor& x) { return switch_case(i, branches, x); })(
                tensor({0, 1, 9}), tensor({5.f, 5.f, 5.f}))
                .to_vector<float>(),
            (std::vector<float>{0, 5, 10}));
}

TEST(AssociativeScan, J_091_reverse_axis_and_odd_lengths) {
  for (int64_t n = 0; n < 12; ++n) {
    const Tensor x = reshape(arange(2 * n), {2, n});
    const auto add_all = [](const Tensor& a, const Tensor& b) { return a + b; };
    EXPECT_EQ(associative_scan(add_all, x, {.axis = 1}).to_vector<int>(),
              cumsum(x, 1).to_vector<int>());
    EXPECT_EQ(associative_scan(add_all, x, {.axis = -1, .reverse = true}).to_vector<int>(),
              cumsum(x, 1, true).to_vector<int>());
  }
}

}  // namespace
}  // namespace linnet::scan_test
