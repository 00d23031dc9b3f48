// What the tests of layers share: the golden file of layers, and both module APIs run against it.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "linnet/io/safetensors.h"
#include "linnet/linen.h"
#include "linnet/nnx.h"
#include "linnet/transforms.h"
#include "tests/ops/golden_file.h"

namespace linnet::testing {

/// layers.safetensors with its names.
inline const SafetensorsFile& layers_file() {
  static const SafetensorsFile file =
      read_safetensors(std::string(LINNET_TEST_DATA) + "/reference/golden/layers.safetensors");
  return file;
}

inline Tensor layers_golden(const std::string& name) {
  const HostArray array = layers_file().array(name);
  return from_bytes(array.data, array.dtype, array.shape);
}

/// The entries below a prefix, without it.
inline std::vector<std::string> golden_below(const std::string& prefix) {
  std::vector<std::string> out;
  for (const std::string& name : layers_file().names()) {
    if (name.rfind(prefix, 0) == 0) out.push_back(name.substr(prefix.size()));
  }
  return out;
}

inline std::string path_text(const std::vector<std::string>& path) {
  std::string out;
  for (const std::string& name : path) out += (out.empty() ? "" : "/") + name;
  return out;
}

/// The same paths as the golden entries below `prefix`, with equal values.
inline void expect_variables(const linen::Variables& got, const std::string& prefix,
                             double tolerance) {
  const auto leaves = linen::flat_leaves(got);
  EXPECT_EQ(leaves.size(), golden_below(prefix).size()) << prefix << "\n" << to_string(got);
  for (const auto& [path, leaf] : leaves) {
    const std::string name = prefix + path_text(path);
    ASSERT_TRUE(layers_file().contains(name)) << name;
    expect_golden(leaf->value(), layers_golden(name), tolerance, name);
  }
}

/// A functional module applied to its first input; further arguments are captured.
struct LinenRun {
  std::function<linen::Variables(const linen::RngStreams&, const Tensor&)> init;
  std::function<std::pair<Tensor, linen::Variables>(const linen::ApplyOptions&,
                                                    const linen::Variables&, const Tensor&)>
      apply;
};

template <class Module, class... A>
LinenRun linen_run(const Module& module, const A&... more) {
  return {[=](const linen::RngStreams& rngs, const Tensor& x) {
            return linen::init(module, rngs, x, more...);
          },
          [=](const linen::ApplyOptions& options, const linen::Variables& v, const Tensor& x) {
            return linen::apply_with(options, module, v, x, more...);
          }};
}

struct LinenCase {
  double tolerance = 3e-6;
  std::map<std::string, Key> rngs = {};
  linen::CollectionFilter mutate = false;
};

/// Initial variables from key(0), output, updated collections, and gradients of sum(out *
/// normal(key(2))).
inline void check_linen(const std::string& name, const LinenRun& run,
                        const LinenCase& options = {}) {
  const std::string prefix = "linen/" + name + "/";
  const Tensor x = layers_golden(prefix + "in/0");
  std::map<std::string, Key> keys = options.rngs;
  keys.emplace("params", Key(0));
  const linen::Variables variables = run.init(linen::RngStreams(keys), x);
  expect_variables(variables, prefix + "variables/", options.tolerance);
  if (::testing::Test::HasFatalFailure()) return;
  const linen::ApplyOptions apply{.mutate = options.mutate,
                                  .rngs = linen::RngStreams(options.rngs)};
  const auto [out, updates] = run.apply(apply, variables, x);
  expect_golden(out, layers_golden(prefix + "out"), options.tolerance, prefix + "out");
  expect_variables(updates, prefix + "updates/", options.tolerance);

  if (golden_below(prefix + "grad/").empty()) return;
  const Tensor weights = random::normal(Key(2), out.shape());
  const auto gradients = grad<0, 1>([&](const linen::Variables& params, const Tensor& input) {
    const linen::Variables all = variables | linen::Variables{{"params", params}};
    return sum(run.apply(apply, all, input).first * weights);
  })(variables.contains("params") ? variables["params"] : linen::Variables(), x);
  expect_variables(std::get<0>(gradients), prefix + "grad/params/", 10 * options.tolerance);
  expect_golden(std::get<1>(gradients), layers_golden(prefix + "grad/in"), 10 * options.tolerance,
                prefix + "grad/in");
}

/// Parameters of a model made from Rngs(0), and its output for the golden input.
template <class Model, class Call>
void check_nnx(const std::string& name, Model& model, const Call& call, double tolerance = 3e-6) {
  const std::string prefix = "nnx/" + name + "/";
  const nnx::State params = nnx::state(model, nnx::of_type<nnx::Param>());
  EXPECT_EQ(params.size(), golden_below(prefix + "params/").size()) << nnx::to_string(params);
  for (const auto& [path, leaf] : params.entries()) {
    const std::string key = prefix + "params/" + tree::to_string(path);
    ASSERT_TRUE(layers_file().contains(key)) << key;
    expect_golden(leaf.value(), layers_golden(key), tolerance, key);
  }
  const Tensor out = call(model, layers_golden(prefix + "in/0"));
  expect_golden(out, layers_golden(prefix + "out"), tolerance, prefix + "out");
  const nnx::State stats = nnx::state(model, nnx::of_type<nnx::BatchStat>());
  for (const auto& [path, leaf] : stats.entries()) {
    const std::string key = prefix + "batch_stats_after/" + tree::to_string(path);
    ASSERT_TRUE(layers_file().contains(key)) << key;
    expect_golden(leaf.value(), layers_golden(key), tolerance, key);
  }
}

template <class Model>
void check_nnx(const std::string& name, Model&& model) {
  check_nnx(name, model, [](auto& m, const Tensor& x) { return m(x); });
}

}  // namespace linnet::testing
