// What the tests of lifted transformations share: the modules of the golden file linen_transforms
// and the comparison of a module with one of its cases.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "linnet/error.h"
#include "linnet/io/safetensors.h"
#include "linnet/jit.h"
#include "linnet/linen.h"
#include "linnet/linen/transforms.h"
#include "tests/ops/golden_file.h"

namespace linnet::testing::lifted {

using linen::Scope;
using linen::Variables;

inline const SafetensorsFile& golden_file() {
  static const SafetensorsFile file = read_safetensors(
      std::string(LINNET_TEST_DATA) + "/reference/golden/linen_transforms.safetensors");
  return file;
}
inline Tensor golden(const std::string& name) {
  const HostArray array = golden_file().array(name);
  return from_bytes(array.data, array.dtype, array.shape);
}
/// Names of the entry `prefix` and of those below it.
inline std::vector<std::string> golden_names(const std::string& prefix) {
  std::vector<std::string> out;
  for (const std::string& name : golden_file().names()) {
    if (name == prefix || name.rfind(prefix + "/", 0) == 0) out.push_back(name);
  }
  std::sort(out.begin(), out.end());
  return out;
}

constexpr double kTolerance = 5e-6;

/// The leaves of any tree, in order.
template <class T>
void expect_tree(const T& got, const std::string& prefix) {
  const TensorList leaves = tree::leaves(got);
  const std::vector<std::string> names = golden_names(prefix);
  ASSERT_EQ(leaves.size(), names.size()) << prefix;
  for (size_t i = 0; i < names.size(); ++i)
    expect_golden(leaves[i], golden(names[i]), kTolerance, names[i]);
}

/// The same paths and values; tuples are numbered.
inline void expect_variables(const Variables& got, const std::string& prefix,
                             double tolerance = kTolerance) {
  size_t count = 0;
  for (const auto& [path, leaf] : linen::flat_leaves(got)) {
    const std::string name = prefix + "/" + tree::to_string(path);
    const state::Value& value = leaf->leaf();
    for (size_t i = 0; i < value.tensors.size(); ++i, ++count) {
      const std::string entry = value.tuple ? name + "/" + std::to_string(i) : name;
      ASSERT_TRUE(golden_file().contains(entry)) << entry;
      expect_golden(value.tensors[i], golden(entry), tolerance, entry);
    }
  }
  EXPECT_EQ(count, golden_names(prefix).size()) << prefix << "\n" << to_string(got);
}

inline const linen::RngStreams& init_streams() {
  static const linen::RngStreams streams{
      {"params", Key(0)}, {"dropout", Key(1)}, {"noise", Key(2)}};
  return streams;
}
inline const linen::ApplyOptions& apply_options() {
  static const linen::ApplyOptions options{.mutate = {"state", "intermediates", "batch_stats"},
                                           .rngs = {{"dropout", Key(1)}, {"noise", Key(2)}}};
  return options;
}

/// Variables, outputs and changed collections of a case whose inputs are `inputs`.
/// @returns the variables.
template <class Module, class... A>
Variables expect_case_values(const std::string& name, const Module& module, const A&... inputs) {
  const auto [first, variables] = linen::init_with_output(module, init_streams(), inputs...);
  expect_tree(first, name + "/init_out");
  expect_variables(variables, name + "/variables");
  const auto [out, updates] = linen::apply_with(apply_options(), module, variables, inputs...);
  expect_tree(out, name + "/out");
  expect_variables(updates, name + "/updates");
  return variables;
}

/// Sums of some more products than values have.
constexpr double kSecondTolerance = 2e-5;

/// <gradients, normal numbers>, which second derivatives are gradients of.
inline Tensor along(const std::tuple<Variables, Tensor>& gradients) {
  Tensor out = 0.0;
  for (const Tensor& d : tree::leaves(gradients))
    out = out + sum(d * random::normal(Key(3), d.shape()));
  return out;
}

inline void expect_gradients(const std::tuple<Variables, Tensor>& got, const std::string& name,
                             double tolerance) {
  expect_variables(std::get<0>(got), name + "/params", tolerance);
  expect_golden(std::get<1>(got), golden(name + "/in"), tolerance, name + "/in");
}

/// The same, and first and second derivatives with respect to parameters and the first input; those
/// also by one compiled program.
template <class Module, class... A>
void expect_case(const std::string& name, const Module& module, const A&... inputs) {
  const Variables variables = expect_case_values(name, module, inputs...);
  const Tensor x = std::get<0>(std::tie(inputs...));
  const auto loss = [&](const Variables& params, const Tensor& y) {
    Variables all = variables;
    all.children()["params"] = params;
    const auto call = [&](const auto&, const auto&... rest) {
      return linen::apply_with(apply_options(), module, all, y, rest...).first;
    };
    const Tensor out = tree::leaves(call(inputs...)).at(0);
    return sum(out * random::normal(Key(2), out.shape()));
  };
  const std::function<std::tuple<Variables, Tensor>(const Variables&, const Tensor&)>
      first = grad<0, 1>(loss),
      second = grad<0, 1>(
          [&](const Variables& params, const Tensor& y) { return along(first(params, y)); });
  const Variables& params = variables["params"];
  expect_gradients(first(params, x), name + "/grad", kTolerance);
  expect_gradients(second(params, x), name + "/second", kSecondTolerance);
  const auto [one, two] = jit([&](const Variables& p, const Tensor& y) {
    return std::pair(first(p, y), second(p, y));
  })(params, x);
  expect_gradients(one, name + "/grad", kTolerance);
  expect_gradients(two, name + "/second", kSecondTolerance);
}

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// Dense_0, tanh, Dropout_0, a sown mean and, unless told not to, a count of calls.
struct Block {
  int64_t features = 4;
  double rate = 0.5;
  bool counts = true;
  LINNET_FIELDS(features, rate, counts)

  Tensor operator()(Scope& s, const Tensor& x) const {
    Tensor y = tanh(s(linen::Dense{.features = features}, x));
    y = s(linen::Dropout{.rate = rate, .deterministic = false}, y);
    s.sow("intermediates", "mean", mean(y));
    if (!counts) return y;
    const bool exists = s.has_variable("state", "count");
    const auto count = s.variable("state", "count", [] { return scalar(0, DType::kF32); });
    if (exists) count.set(count.value() + 1);
    return y;
  }
};

/// Two keys of the stream noise, and x.
struct Draw {
  std::pair<Tensor, Tensor> operator()(Scope& s, const Tensor& x) const {
    const Tensor first = s.make_rng("noise").data(), second = s.make_rng("noise").data();
    return {stack({first, second}), x};
  }
};

/// Of a vmap or scan that stacks everything and splits all keys.
inline linen::VariableAxes stacked() { return {{"params", 0}, {"state", 0}, {"intermediates", 0}}; }
inline linen::SplitRngs split() { return {{"params", true}, {"dropout", true}}; }

inline Tensor normal(const Shape& shape) { return random::normal(Key(1), shape); }

}  // namespace linnet::testing::lifted
