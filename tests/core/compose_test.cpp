// Transformations nest in every order: all pairs and many triples on a non-trivial function, the
// perturbation-confusion test, and escaped tracers.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "linnet/core.h"
#include "linnet/error.h"

namespace linnet::compose_test {
namespace {

using Function = std::function<Tensor(const Tensor&)>;

/// f64[3] -> f64[3], smooth, with products, a reduction, a matrix product and an indexing
/// operation.
Tensor body(const Tensor& x) {
  const Tensor m = outer(sin(x), x) + eye(3, 3, 0, DType::kF64);
  const Tensor y = matmul(m, exp(-square(x)));
  return tanh(y) * sum(x) + flip(x, {0}) * log1p(exp(x)) + slice_axis(concatenate({x, y}), 2, 5, 0);
}

Tensor point() { return from_vector<double>({0.3, -0.7, 1.1}, {3}); }

/// A transformation that maps f64[3] -> f64[3] functions to such functions.
struct Transformation {
  std::string name;
  std::function<Function(Function)> apply;
};

Function as_function(auto f) {
  return [f](const Tensor& x) { return f(x); };
}

std::vector<Transformation> transformations() {
  const auto loss = [](Function f) {
    return [f](const Tensor& x) { return sum(f(x) * from_vector<double>({1.0, -2.0, 0.5}, {3})); };
  };
  return {
      {"grad", [=](Function f) { return as_function(grad(loss(f))); }},
      {"value_and_grad",
       [=](Function f) {
         return Function([g = value_and_grad(loss(f))](const Tensor& x) {
           auto [value, gradient] = g(x);
           return gradient + value;
         });
       }},
      {"jvp",
       [](Function f) {
         return Function([f](const Tensor& x) {
           return jvp(f, x, from_vector<double>({0.2, 1.0, -0.4}, {3})).second;
         });
       }},
      {"vjp",
       [](Function f) {
         return Function([f](const Tensor& x) {
           auto [value, pullback] = vjp(f, x);
           return pullback(value);
         });
       }},
      {"vmap",
       [](Function f) {
         return Function([f](const Tensor& x) {
           return sum(vmap(f)(stack({x, x * 2.0, cos(x)})), Axes{0});
         });
       }},
      {"jit",
       [](Function f) {
         return Function(
             [g = jit([f](const Tensor& x) { return f(x); })](const Tensor& x) { return g(x); });
       }},
      {"checkpoint", [](Function f) { return as_function(checkpoint(f)); }},
      {"jacfwd",
       [](Function f) {
         return Function([f](const Tensor& x) { return sum(jacfwd(f)(x), Axes{0}); });
       }},
      {"jacrev",
       [](Function f) {
         return Function([f](const Tensor& x) { return sum(jacrev(f)(x), Axes{0}); });
       }},
      {"custom_vjp",
       [](Function f) {
         return as_function(custom_vjp(
             f, [f](const Tensor& x) { return std::make_pair(f(x), x); },
             [f](const Tensor& x, const Tensor& ct) { return vjp(f, x).second(ct); }));
       }},
      {"custom_jvp",
       [](Function f) {
         return as_function(
             custom_jvp(f, [f](const std::tuple<Tensor>& x, const std::tuple<Tensor>& t) {
               return jvp(f, x, t);
             }));
       }},
  };
}

/// What each transformation means, by central differences of high order on plain eager values.
Tensor numeric_jacobian(const Function& f, const Tensor& x) {
  const double h = 1e-3;
  TensorList columns;
  for (int64_t i = 0; i < 3; ++i) {
    const Tensor e = one_hot(scalar_integer(i, DType::kI32), 3, DType::kF64) * h;
    columns.push_back((f(x - e * 2.0) - f(x - e) * 8.0 + f(x + e) * 8.0 - f(x + e * 2.0)) /
                      (12.0 * h));
  }
  return stack(columns, 1);
}

Tensor numeric(const std::string& name, const Function& f, const Tensor& x) {
  const Tensor weights = from_vector<double>({1.0, -2.0, 0.5}, {3});
  const Tensor direction = from_vector<double>({0.2, 1.0, -0.4}, {3});
  if (name == "grad") return matmul(weights, numeric_jacobian(f, x));
  if (name == "value_and_grad")
    return matmul(weights, numeric_jacobian(f, x)) + sum(f(x) * weights);
  if (name == "jvp") return matmul(numeric_jacobian(f, x), direction);
  if (name == "vjp") return matmul(f(x), numeric_jacobian(f, x));
  if (name == "vmap") return f(x) + f(x * 2.0) + f(cos(x));
  if (name == "jacfwd" || name == "jacrev") return sum(numeric_jacobian(f, x), Axes{0});
  return f(x);
}

void expect_near(const Tensor& got, const Tensor& wanted, double tolerance,
                 const std::string& what) {
  ASSERT_EQ(to_string(got.type()), to_string(wanted.type())) << what;
  const auto a = got.to_vector<double>(), b = wanted.to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_NEAR(a[i], b[i], tolerance * std::max(1.0, std::abs(b[i]))) << what << " element " << i;
  }
}

TEST(Compose, singles_agree_with_differences) {
  for (const Transformation& t : transformations()) {
    expect_near(t.apply(body)(point()), numeric(t.name, body, point()), 1e-8, t.name);
  }
}

TEST(Compose, J_079_all_pairs_agree_with_differences) {
  for (const Transformation& inner : transformations()) {
    const Function f = inner.apply(body);
    for (const Transformation& outer : transformations()) {
      const std::string what = outer.name + " of " + inner.name;
      expect_near(outer.apply(f)(point()), numeric(outer.name, f, point()), 2e-8, what);
    }
  }
}

TEST(Compose, J_079_triples_agree_with_the_same_triple_without_jit_and_checkpoint) {
  // Wrapping any stage in jit or checkpoint must not change a number beyond rounding.
  const std::vector<Transformation> all = transformations();
  const auto find = [&](const std::string& name) {
    for (const Transformation& t : all) {
      if (t.name == name) return t;
    }
    throw ValueError(name);
  };
  const std::vector<std::string> stages{"grad", "jvp", "vmap", "vjp"};
  for (const std::string& a : stages) {
    for (const std::string& b : stages) {
      for (const std::string& c : stages) {
        const Tensor plain = find(a).apply(find(b).apply(find(c).apply(body)))(point());
        const std::string what = a + " of " + b + " of " + c;
        const Tensor jit_inner =
            find(a).apply(find(b).apply(find("jit").apply(find(c).apply(body))))(point());
        expect_near(jit_inner, plain, 1e-11, what + ", jit inside");
        const Tensor jit_outer =
            find("jit").apply(find(a).apply(find(b).apply(find(c).apply(body))))(point());
        expect_near(jit_outer, plain, 1e-11, what + ", jit outside");
        const Tensor remat =
            find(a).apply(find("checkpoint").apply(find(b).apply(find(c).apply(body))))(point());
        expect_near(remat, plain, 1e-11, what + ", checkpoint in between");
      }
    }
  }
}

TEST(Compose, forward_and_reverse_hessians_agree) {
  const auto f = [](const Tensor& x) { return sum(body(x) * body(x)); };
  const Tensor reference = jacfwd(jacrev(f))(point());
  expect_near(jacrev(jacfwd(f))(point()), reference, 1e-12, "reverse over forward");
  expect_near(jacrev(jacrev(f))(point()), reference, 1e-12, "reverse over reverse");
  expect_near(jacfwd(jacfwd(f))(point()), reference, 1e-12, "forward over forward");
  expect_near(hessian(f)(point()), reference, 1e-12, "hessian");
}

TEST(Compose, perturbation_confusion_is_absent) {
  // d/dx (x * d/dy (x + y)) = 1, in every mixture of modes.
  const auto reverse = [](auto f) { return [f](const Tensor& x) { return grad(f)(x); }; };
  const auto forward = [](auto f) {
    return [f](const Tensor& x) { return jvp(f, x, ones({}, DType::kF64)).second; };
  };
  const Tensor one = scalar(1.0, DType::kF64);
  const auto confused = [&](auto outer, auto inner) {
    return outer([&, inner](const Tensor& x) {
             return x * inner([&x](const Tensor& y) { return x + y; })(one);
           })(one)
        .template item<double>();
  };
  EXPECT_EQ(confused(reverse, reverse), 1.0);
  EXPECT_EQ(confused(reverse, forward), 1.0);
  EXPECT_EQ(confused(forward, reverse), 1.0);
  EXPECT_EQ(confused(forward, forward), 1.0);
}

TEST(Compose, escaped_tracers_are_found) {
  for (const Transformation& t : transformations()) {
    if (t.name == "custom_vjp" || t.name == "custom_jvp" || t.name == "checkpoint") continue;
    Tensor escaped;
    t.apply([&](const Tensor& x) {
      escaped = sin(x);
      return body(x);
    })(point());
    try {
      (void)(escaped + 1.0);
      FAIL() << t.name;
    } catch (const TraceError& error) {
      EXPECT_NE(std::string(error.what()).find("has ended"), std::string::npos)
          << t.name << ": " << error.what();
    }
  }
}

TEST(Compose, closures_over_outer_tracers) {
  // f(x) = sum over i of jit/vmap/grad bodies that use x from outside.
  const auto f = [](const Tensor& x) {
    const auto inner = jit([&x](const Tensor& y) { return sum(sin(y) * x); });
    const Tensor a = inner(x * x);
    const Tensor b = sum(vmap([&x](const Tensor& s) { return s * sum(x * x); })(x));
    const Tensor c = sum(grad([&x](const Tensor& y) { return sum(y * y * x); })(x));
    return a + b + c;
  };
  const auto plain = [](const Tensor& x) {
    return sum(sin(x * x) * x) + sum(x * sum(x * x)) + sum(x * x * 2.0);
  };
  expect_near(grad(f)(point()), grad(plain)(point()), 1e-13, "grad");
  expect_near(jit([&](const Tensor& x) { return grad(f)(x); })(point()), grad(plain)(point()),
              1e-13, "jit of grad");
  expect_near(hessian(f)(point()), hessian(plain)(point()), 1e-12, "hessian");
}

TEST(Compose, J_083_jit_traces_once_per_type) {
  int traced = 0;
  const auto f = jit([&](const Tensor& x) {
    ++traced;
    return x * 2;
  });
  f(zeros({3}));
  f(ones({3}));
  EXPECT_EQ(traced, 1);
  f(ones({4}));
  EXPECT_EQ(traced, 2);
  f(ones({3}, DType::kF64));
  EXPECT_EQ(traced, 3);
  EXPECT_EQ(f.trace_count(), 3u);
}

}  // namespace
}  // namespace linnet::compose_test
