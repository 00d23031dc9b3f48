// What the tests of recurrent layers share: recurrent.safetensors, and trees against its entries.
#pragma once

#include <string>
#include <utility>

#include "linnet/linen.h"
#include "linnet/nnx.h"
#include "linnet/transforms.h"
#include "tests/ops/golden_file.h"

namespace linnet::testing {

inline const SafetensorsFile& recurrent_file() {
  static const SafetensorsFile file =
      read_safetensors(std::string(LINNET_TEST_DATA) + "/reference/golden/recurrent.safetensors");
  return file;
}

inline Tensor recurrent_golden(const std::string& name) {
  const HostArray array = recurrent_file().array(name);
  return from_bytes(array.data, array.dtype, array.shape);
}

inline size_t count_golden_below(const std::string& prefix) {
  size_t count = 0;
  for (const std::string& name : recurrent_file().names()) count += name.rfind(prefix, 0) == 0;
  return count;
}

/// The tensors of a tree, a carry for instance, against the entries `name` or `name/0`, `name/1`, …
/// (a pair of carries: `name/0/0`, …).
inline void expect_tree(const Tensor& got, const std::string& name, double tolerance) {
  expect_golden(got, recurrent_golden(name), tolerance, name);
}
inline void expect_tree(const layers::LSTMCarry& got, const std::string& name, double tolerance) {
  expect_tree(got.c, name + "/0", tolerance);
  expect_tree(got.h, name + "/1", tolerance);
}
template <class A, class B>
void expect_tree(const std::pair<A, B>& got, const std::string& name, double tolerance) {
  expect_tree(got.first, name + "/0", tolerance);
  expect_tree(got.second, name + "/1", tolerance);
}

/// The same paths as the golden entries below `prefix`, with equal values.
inline void expect_variables_of(const linen::Variables& got, const std::string& prefix,
                                double tolerance) {
  const auto leaves = linen::flat_leaves(got);
  EXPECT_EQ(leaves.size(), count_golden_below(prefix)) << prefix << "\n" << to_string(got);
  for (const auto& [path, leaf] : leaves) {
    const std::string name = prefix + tree::to_string(path);
    ASSERT_TRUE(recurrent_file().contains(name)) << name;
    expect_golden(leaf->value(), recurrent_golden(name), tolerance, name);
  }
}
inline void expect_state_of(const nnx::State& got, const std::string& prefix, double tolerance) {
  EXPECT_EQ(got.size(), count_golden_below(prefix)) << prefix << "\n" << nnx::to_string(got);
  for (const auto& [path, leaf] : got.entries()) {
    const std::string name = prefix + tree::to_string(path);
    ASSERT_TRUE(recurrent_file().contains(name)) << name;
    expect_golden(leaf.value(), recurrent_golden(name), tolerance, name);
  }
}

/// The sum of all tensors of a tree times normal(key(seed)): golden gradients are those of the sum
/// with key(2).
template <class Tree>
Tensor weighted_sum(const Tree& tree, int64_t seed = 2) {
  Tensor out = 0.0;
  for (const Tensor& leaf : tree::leaves(tree))
    out = out + sum(leaf * random::normal(Key(seed), leaf.shape()));
  return out;
}
/// Of gradients: golden second derivatives are the gradients of this.
template <class Gradients>
Tensor along_direction(const Gradients& gradients) {
  return weighted_sum(gradients, 6);
}
/// Whether a case has second derivatives.
inline bool has_second(const std::string& prefix) { return count_golden_below(prefix + "second/"); }

}  // namespace linnet::testing
