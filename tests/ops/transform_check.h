// Holds an operation of several tensors against all transformations at once.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include "linnet/jit.h"
#include "linnet/ops.h"
#include "linnet/transforms.h"

namespace linnet::testing {

using ListFunction = std::function<Tensor(const TensorList&)>;

inline std::mt19937& generator() {
  static std::mt19937 engine(20240607);
  return engine;
}

/// f64 values that keep away from each other, so that finite differences cross no tie.
inline Tensor distinct(const Shape& shape, double scale = 0.37) {
  std::vector<double> values(static_cast<size_t>(element_count(shape)));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = scale * (static_cast<double>(i) - static_cast<double>(values.size()) / 2 + 0.3);
  }
  std::shuffle(values.begin(), values.end(), generator());
  return from_vector(values, shape);
}

inline void expect_same(const Tensor& got, const Tensor& expected, double tolerance,
                        const char* what) {
  ASSERT_EQ(type_string(got.dtype(), got.shape()), type_string(expected.dtype(), expected.shape()))
      << what;
  const std::vector<double> a = got.to_vector<double>(), b = expected.to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(b[i])) {
      EXPECT_TRUE(std::isnan(a[i])) << what << ": element " << i << " is " << a[i];
    } else {
      EXPECT_NEAR(a[i], b[i], tolerance * std::max(1.0, std::abs(b[i])))
          << what << ": element " << i;
    }
  }
}

namespace transform_check {

inline double inner(const TensorList& a, const TensorList& b) {
  double total = 0;
  for (size_t i = 0; i < a.size(); ++i) total += sum(a[i] * b[i]).item<double>();
  return total;
}

inline TensorList like(const TensorList& x) {
  TensorList out;
  for (const Tensor& t : x) out.push_back(distinct(t.shape(), 0.29));
  return out;
}

inline TensorList moved(const TensorList& x, const TensorList& direction, double step) {
  TensorList out;
  for (size_t i = 0; i < x.size(); ++i) out.push_back(x[i] + direction[i] * Tensor(step));
  return out;
}

/// sum(f * weights), so that gradients of any f can be taken.
inline std::function<Tensor(const TensorList&)> weighted(const ListFunction& f,
                                                         const Tensor& weights) {
  return [=](const TensorList& x) { return sum(f(x) * weights); };
}

/// Reverse and forward derivatives of `f` agree with central differences.
inline void first_order(const ListFunction& f, const TensorList& x, const char* what) {
  const Tensor y = f(x);
  if (!is_floating(y.dtype())) return;
  const Tensor weights = distinct(y.shape(), 0.31);
  const TensorList direction = like(x);
  const auto s = weighted(f, weights);
  const TensorList gradient = grad(s)(x);
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(gradient[i].shape(), x[i].shape()) << what;
    ASSERT_EQ(gradient[i].dtype(), x[i].dtype()) << what;
  }
  constexpr double kStep = 1e-4;
  const double numeric =
      (s(moved(x, direction, kStep)) - s(moved(x, direction, -kStep))).item<double>() / (2 * kStep);
  const double scale = std::max(1.0, std::abs(numeric));
  EXPECT_NEAR(inner(gradient, direction), numeric, 1e-5 * scale) << what << ": reverse mode";
  const auto [value, tangent] = jvp(f, x, direction);
  expect_same(value, y, 1e-12, what);
  EXPECT_NEAR(inner({tangent}, {weights}), numeric, 1e-5 * scale) << what << ": forward mode";
}

/// The batch entries of one argument: itself, then others of its type.
inline TensorList variants(const Tensor& x) {
  if (is_floating(x.dtype())) return {x, distinct(x.shape(), 0.23), distinct(x.shape(), 0.41)};
  if (x.rank() == 0) return {x, x + Tensor(1).astype(x.dtype()), x};
  return {x, roll(x, 1, 0), flip(x, {0})};
}

/// vmap gives what a loop gives, whichever arguments are mapped.
template <class F>
void batching(const F& f, const TensorList& x, const char* what) {
  for (unsigned mask = 1; mask < 1u << x.size(); ++mask) {
    TensorList mapped;
    std::vector<TensorList> entries(3, x);
    for (size_t i = 0; i < x.size(); ++i) {
      if (!(mask >> i & 1u)) continue;
      const TensorList values = variants(x[i]);
      for (size_t b = 0; b < 3; ++b) entries[b][i] = values[b];
      mapped.push_back(stack(values));
    }
    const auto assembled = [&](const TensorList& part) {
      TensorList all = x;
      size_t next = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        if (mask >> i & 1u) all[i] = part[next++];
      }
      return f(all);
    };
    const TensorList got = vmap(assembled)(mapped);
    std::vector<TensorList> looped;
    for (const TensorList& entry : entries) looped.push_back(f(entry));
    for (size_t k = 0; k < got.size(); ++k) {
      expect_same(got[k], stack({looped[0][k], looped[1][k], looped[2][k]}), 1e-9, what);
    }
  }
}

}  // namespace transform_check

struct CheckOptions {
  bool derivatives = true;
};

/// Derivatives of first and second order in both modes (floating operands in f64), vmap over every
/// subset of operands, vmap of gradients, and jit. Integer operands have no derivative.
inline void check_transforms(const ListFunction& f, const TensorList& x,
                             const CheckOptions& options = {}) {
  namespace tc = transform_check;
  TensorList floating;
  for (const Tensor& t : x) {
    if (is_floating(t.dtype())) floating.push_back(t);
  }
  const auto with_floating = [&](const TensorList& part) {
    TensorList all = x;
    size_t next = 0;
    for (Tensor& t : all) {
      if (is_floating(t.dtype())) t = part[next++];
    }
    return f(all);
  };
  const Tensor y = f(x);
  expect_same(jit([&](const TensorList& part) { return f(part); })(x), y, 1e-12, "jit");
  tc::batching([&](const TensorList& all) { return TensorList{f(all)}; }, x, "vmap");
  if (!options.derivatives) return;
  tc::first_order(with_floating, floating, "first order");

  const Tensor weights = distinct(y.shape(), 0.17);
  const auto gradient_of = [&](const TensorList& all) {
    TensorList part;
    for (const Tensor& t : all) {
      if (is_floating(t.dtype())) part.push_back(t);
    }
    return grad([&](const TensorList& chosen) {
      TensorList full = all;
      size_t next = 0;
      for (Tensor& t : full) {
        if (is_floating(t.dtype())) t = chosen[next++];
      }
      return sum(f(full) * weights);
    })(part);
  };
  tc::batching(gradient_of, x, "vmap of grad");
  const TensorList directions = tc::like(floating);
  // Squaring makes the second derivative of linear functions differ from zero.
  const auto slope = [&](const TensorList& part) {
    const TensorList g =
        grad([&](const TensorList& z) { return sum(square(with_floating(z)) * weights); })(part);
    Tensor total = sum(g[0] * directions[0]);
    for (size_t i = 1; i < g.size(); ++i) total = total + sum(g[i] * directions[i]);
    return total;
  };
  tc::first_order(slope, floating, "second order");
}

}  // namespace linnet::testing
