// Modules of both kinds that the tests of the bridge wrap into each other.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "linnet/bridge.h"
#include "linnet/linen.h"
#include "linnet/nnx.h"
#include "linnet/transforms.h"

namespace linnet::bridge_tests {

inline Tensor normal(const Shape& shape, int64_t seed = 1) {
  return random::normal(Key(seed), shape);
}

inline std::vector<float> values(const Tensor& t) { return t.to_vector<float>(); }

inline void expect_equal(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(to_string(a.type()), to_string(b.type()));
  EXPECT_EQ(a.to_vector<double>(), b.to_vector<double>());
}
inline void expect_near(const Tensor& a, const Tensor& b, double tolerance = 1e-5) {
  ASSERT_EQ(to_string(a.type()), to_string(b.type()));
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], tolerance) << "element " << i;
}
inline bool differ(const Tensor& a, const Tensor& b) {
  return a.to_vector<double>() != b.to_vector<double>();
}

/// The text of the exception that `body` throws.
template <class E, class F>
std::string thrown(F&& body) {
  try {
    body();
  } catch (const E& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

struct Count : nnx::VariableOf<Count> {
  using VariableOf::VariableOf;
  using VariableOf::operator=;
};

/// Functional: a counter in a collection of its own, and a bias.
struct Counter {
  Tensor operator()(linen::Scope& s, const Tensor& x) const {
    linen::ScopeVariable count =
        s.variable("counter", "count", [] { return zeros({}, DType::kI32); });
    if (!s.is_initializing()) count.set(count.value() + scalar_integer(1, DType::kI32));
    return x + s.param("bias", init::normal(0.01), {2});
  }
};

/// Object: counts its calls.
struct StatefulCounter {
  nnx::Param bias;
  Count count;
  explicit StatefulCounter(nnx::Rngs& rngs)
      : bias(random::normal(rngs.params(), {2})), count(zeros({}, DType::kI32)) {}
  LINNET_FIELDS(bias, count)

  Tensor operator()(const Tensor& x) {
    count = count.value() + scalar_integer(1, DType::kI32);
    return x + bias.value();
  }
};

/// Functional: a nested scope and dropout.
struct FunctionalDot {
  int64_t features;
  double rate;

  Tensor operator()(linen::Scope& s, const Tensor& x) const {
    const Tensor h = s("dense", linen::Dense{.features = features}, x);
    return s("drop", linen::Dropout{.rate = rate, .deterministic = false}, h);
  }
};

/// Object around the functional one.
struct StatefulBlock {
  nnx::Linear linear;
  bridge::ToNNX<FunctionalDot> inner;

  StatefulBlock(int64_t in, int64_t out, double rate, nnx::Rngs& rngs)
      : linear(in, out, rngs), inner(FunctionalDot{out, rate}, rngs) {}
  LINNET_FIELDS(linear, inner)

  Tensor operator()(const Tensor& x) { return inner(linear(x)); }
};

/// Object with dropout of its own.
struct StatefulDropout {
  nnx::Linear linear;
  nnx::Dropout dropout;

  StatefulDropout(int64_t in, int64_t out, double rate, nnx::Rngs& rngs)
      : linear(in, out, rngs), dropout(rate, rngs) {}
  LINNET_FIELDS(linear, dropout)

  Tensor operator()(const Tensor& x) { return dropout(linear(x)); }
};

/// Functional around the object.
struct FunctionalOuter {
  double rate;

  Tensor operator()(linen::Scope& s, const Tensor& x) const {
    Tensor h = s("first", linen::Dense{.features = 4}, x);
    h = s("second", bridge::to_linen<StatefulDropout>(4, 3, rate), h);
    return s("third", linen::Dense{.features = 2}, h);
  }
};

/// Functional convolution block of the demonstration.
struct ConvBlock {
  int64_t features;

  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    Tensor y = s("conv", linen::Conv{.features = features, .kernel = {3, 3}, .use_bias = false}, x);
    y = s("norm", linen::BatchNorm{.momentum = 0.9}, y, !train);
    return relu(y);
  }
};

/// The same as an object.
struct StatefulConvBlock {
  nnx::Conv conv;
  nnx::BatchNorm norm;

  StatefulConvBlock(int64_t in, int64_t out, nnx::Rngs& rngs)
      : conv(in, out, {3, 3}, {.use_bias = false}, rngs), norm(out, {.momentum = 0.9}, rngs) {}
  LINNET_FIELDS(conv, norm)

  Tensor operator()(const Tensor& x, bool train) { return relu(norm(conv(x), !train)); }
};

inline const nnx::Rngs two_streams() { return nnx::Rngs{{"default", Key(0)}, {"dropout", Key(1)}}; }

}  // namespace linnet::bridge_tests
