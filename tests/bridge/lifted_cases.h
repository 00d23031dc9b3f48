// What tests of lifted transformations share: a case is run with wrapped object modules and with
// functional ones of the same weights and keys.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "bridge/bridge_modules.h"
#include "linnet/jit.h"
#include "linnet/linen/transforms.h"

namespace linnet::bridge_tests::lifted_cases {

using linen::Scope;
using linen::Variables;
using Named = std::map<std::string, Tensor>;

constexpr double kTolerance = 2e-6;

struct Outcome {
  Named results;
  Variables updates;
};
/// A module with its type forgotten.
using Run = std::function<Outcome(const Variables&, const Tensor&)>;

inline linen::ApplyOptions options_of(const linen::CollectionFilter& mutate) {
  return {.mutate = mutate, .rngs = {{"dropout", Key(2)}}};
}
inline linen::ApplyOptions quiet() { return options_of({"batch_stats", "Count"}); }
inline linen::ApplyOptions sowing() {
  return options_of({"batch_stats", "Count", "intermediates"});
}

template <class Module>
Run run_of(const Module& module, const linen::ApplyOptions& options) {
  return [module, options](const Variables& variables, const Tensor& x) {
    auto [out, updates] = linen::apply_with(options, module, variables, x);
    const auto leaves = tree::leaves_with_path(out);
    return Outcome{Named(leaves.begin(), leaves.end()), std::move(updates)};
  };
}

inline void expect_same(const Named& got, const Named& expected) {
  for (const auto& [name, value] : got) EXPECT_TRUE(expected.count(name)) << name;
  for (const auto& [name, value] : expected) {
    const ::testing::ScopedTrace trace(__FILE__, __LINE__, name);
    ASSERT_TRUE(got.count(name));
    expect_near(got.at(name), value, kTolerance);
  }
}

inline Named named(const Variables& variables) {
  const auto leaves = tree::leaves_with_path(variables);
  return Named(leaves.begin(), leaves.end());
}

inline void expect_same(const Outcome& got, const Outcome& expected) {
  expect_same(got.results, expected.results);
  expect_same(named(got.updates), named(expected.updates));
}

/// Of a weighted sum of all results, with respect to parameters and the input.
inline Named gradients_of(const Run& run, const Variables& variables, const Tensor& x) {
  const auto loss = [&](const Variables& params, const Tensor& input) {
    Variables all = variables;
    all.children()["params"] = params;
    Tensor total = zeros({});
    for (const auto& [name, value] : run(all, input).results) {
      if (value.dtype() == DType::kF32) total = total + sum(value * normal(value.shape(), 7));
    }
    return total;
  };
  auto [params, input] = grad<0, 1>(loss)(variables["params"], x);
  Named out = named(params);
  out.emplace("input", input);
  return out;
}

inline Variables without_definitions(Variables variables) {
  variables.children().erase("nnx");
  return variables;
}

/// On the device of the test that asks.
inline linen::RngStreams init_streams() { return {{"params", Key(0)}, {"dropout", Key(1)}}; }

/// @tparam Wrapped, Plain make the modules of a case, of either kind.
/// Values and updated collections of the case `make(modules)` are those of the functional modules,
/// also compiled, and also where the wrapped ones are built by their constructors.
template <class Wrapped, class Plain, class Make>
void expect_same_values(const Make& make, const linen::ApplyOptions& options) {
  const auto module = make(Wrapped{});
  const Tensor x = normal({6, 4});
  const Variables variables = linen::init(module, init_streams(), x);
  const Variables bare = without_definitions(variables);
  const Run wrapped = run_of(module, options);
  const Outcome expected = run_of(make(Plain{}), options)(bare, x);
  EXPECT_FALSE(expected.updates.empty());
  {
    SCOPED_TRACE("from the stored definition");
    expect_same(wrapped(variables, x), expected);
  }
  {
    SCOPED_TRACE("from the constructor");
    expect_same(wrapped(bare, x), expected);
  }
  SCOPED_TRACE("compiled");
  const auto program = jit([&](const Variables& v, const Tensor& input) {
    const Outcome out = wrapped(v, input);
    return std::make_pair(out.results, out.updates);
  });
  const auto [results, updates] = program(variables, x);
  expect_same(Outcome{results, updates}, expected);
}

/// And so are derivatives of the results.
template <class Wrapped, class Plain, class Make>
void expect_same_derivatives(const Make& make, const linen::ApplyOptions& options) {
  const auto module = make(Wrapped{});
  const Tensor x = normal({6, 4});
  const Variables variables = linen::init(module, init_streams(), x);
  const Variables bare = without_definitions(variables);
  const Named expected = gradients_of(run_of(make(Plain{}), options), bare, x);
  const Run wrapped = run_of(module, options);
  float size = 0;
  for (const auto& [name, value] : expected) size += sum(abs(value)).template item<float>();
  EXPECT_GT(size, 0.1f);
  expect_same(gradients_of(wrapped, variables, x), expected);
  expect_same(gradients_of(wrapped, bare, x), expected);
}

/// Both, where a module may keep what it sows, where it may not, and where it may write everything,
/// its definition too.
template <class Wrapped, class Plain, class Make>
void expect_same_case(const Make& make) {
  for (const linen::ApplyOptions& options : {quiet(), sowing(), options_of(true)}) {
    expect_same_values<Wrapped, Plain>(make, options);
    expect_same_derivatives<Wrapped, Plain>(make, options);
  }
}
/// Branches that sow differently are refused, and a wrapped module that has sown something is not
/// called again with it, unless `nnx` may change: for cases that would, where nothing is kept.
template <class Wrapped, class Plain, class Make>
void expect_same_quiet_case(const Make& make) {
  expect_same_values<Wrapped, Plain>(make, quiet());
  expect_same_derivatives<Wrapped, Plain>(make, quiet());
}

}  // namespace linnet::bridge_tests::lifted_cases
