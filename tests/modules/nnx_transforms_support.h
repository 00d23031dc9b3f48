// What the tests of object transformations share: the golden file, and the modules it was made with
// (tests/reference/cases/nnx_transforms.py).
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "linnet/core.h"
#include "linnet/nnx.h"
#include "tests/ops/golden_file.h"

namespace linnet::testing {

inline const GoldenFile& transforms_file() {
  static const GoldenFile file("nnx_transforms");
  return file;
}
inline Tensor transforms_golden(const std::string& name) { return transforms_file().tensor(name); }

inline std::vector<float> floats(const Tensor& t) { return t.to_vector<float>(); }

inline void expect_transformed(const Tensor& got, const std::string& name,
                               double tolerance = 2e-6) {
  expect_golden(got, transforms_golden(name), tolerance, name);
}

/// Every variable of the state, under its path.
inline void expect_transformed_state(const nnx::State& got, const std::string& prefix,
                                     double tolerance = 2e-6) {
  EXPECT_FALSE(got.empty()) << prefix;
  for (const auto& [path, leaf] : got.entries()) {
    const std::string name = prefix + "/" + tree::to_string(path);
    ASSERT_TRUE(transforms_file().contains(name)) << name;
    expect_transformed(leaf.value(), name, tolerance);
  }
}

/// Key and count of every stream.
inline void expect_streams(nnx::Rngs& rngs, const std::string& prefix) {
  for (const std::string& name : rngs.names()) {
    const nnx::RngStream& stream = rngs[name];
    expect_transformed(stream.key().data(), prefix + "/" + name + "/key", 0);
    expect_transformed(stream.count(), prefix + "/" + name + "/count", 0);
  }
}

/// All variables but keys.
template <class M>
nnx::State without_keys(M& module) {
  return nnx::state(module, nnx::not_(nnx::of_type<nnx::RngKey>()));
}

struct SmallMlp {
  nnx::Linear up, down;
  explicit SmallMlp(nnx::Rngs& rngs) : up(2, 4, rngs), down(4, 1, rngs) {}
  LINNET_FIELDS(up, down)
  Tensor operator()(const Tensor& x) const { return down(tanh(up(x))); }
};

/// A block with parameters, statistics and a random stream.
struct Noisy {
  nnx::Linear linear;
  nnx::BatchNorm norm;
  nnx::Dropout dropout;
  explicit Noisy(nnx::Rngs& rngs) : linear(3, 3, rngs), norm(3, rngs), dropout(0.5, rngs) {}
  LINNET_FIELDS(linear, norm, dropout)
  Tensor operator()(const Tensor& x) { return dropout(tanh(norm(linear(x)))); }
};
inline nnx::Rngs noisy_rngs() { return nnx::Rngs{{"params", 0}, {"dropout", 7}}; }

struct Counter {
  nnx::Linear linear;
  nnx::BatchStat steps{scalar(0, DType::kF32)};
  explicit Counter(nnx::Rngs& rngs) : linear(3, 3, rngs) {}
  LINNET_FIELDS(linear, steps)
  Tensor operator()(const Tensor& x) {
    steps = steps.value() + 1;
    return tanh(linear(x));
  }
};

struct TwoParams {
  nnx::Param a{scalar(1.5, DType::kF32)}, b{scalar(-0.5, DType::kF32)};
  nnx::BatchStat c{scalar(2, DType::kF32)};
  LINNET_FIELDS(a, b, c)
};

}  // namespace linnet::testing
