// What tests of object transformations share: a case is run with a wrapped functional module and
// with an object of the same weights and streams.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "bridge/bridge_modules.h"
#include "linnet/jit.h"

namespace linnet::bridge_tests::object_cases {

using Named = std::map<std::string, Tensor>;

constexpr double kTolerance = 2e-6;

/// The streams of a wrapper have a name that no functional module can use.
inline std::string name_of(const tree::Path& path) {
  const std::string name = tree::to_string(path), reserved = "to_nnx__";
  return name.starts_with(reserved) ? name.substr(reserved.size()) : name;
}

/// All tensors, those of tuples by number.
inline Named named(const nnx::State& state) {
  Named out;
  for (const auto& [path, leaf] : state.entries()) {
    if (!leaf.cell) {
      out.emplace(name_of(path), leaf.tensor);
      continue;
    }
    const state::Value value = nnx::Variable(leaf.cell).raw_value();
    for (size_t i = 0; i < value.tensors.size(); ++i) {
      out.emplace(name_of(path) + (value.tuple ? "/" + std::to_string(i) : ""), value.tensors[i]);
    }
  }
  return out;
}
template <class M>
Named named_state(M& module) {
  return named(nnx::state(module));
}

inline void expect_same(const Named& got, const Named& expected) {
  for (const auto& [name, value] : got) EXPECT_TRUE(expected.count(name)) << name;
  for (const auto& [name, value] : expected) {
    const ::testing::ScopedTrace trace(__FILE__, __LINE__, name);
    ASSERT_TRUE(got.count(name));
    expect_near(got.at(name), value, kTolerance);
  }
}

inline Tensor input() { return normal({6, 4}); }

/// Changes the variables before a case, as stacking them does.
using Prepare = std::function<void(const nnx::State&)>;
inline void as_made(const nnx::State&) {}

template <class Functional>
bridge::ToNNX<Functional> made(const Prepare& prepare = as_made) {
  nnx::Rngs rngs = two_streams();
  bridge::ToNNX<Functional> block(Functional{}, rngs);
  block.lazy_init(input());
  prepare(nnx::state(block));
  return block;
}

/// The object with all values of the wrapper, streams included.
template <class Object, class Wrapped>
Object object_like(Wrapped& block) {
  nnx::Rngs rngs = two_streams();
  Object out(rngs);
  const Named values = named_state(block);
  const nnx::State to = nnx::state(out);
  EXPECT_EQ(to.size(), values.size());
  for (const auto& [path, leaf] : to.entries())
    nnx::Variable(leaf.cell).set_raw_value(state::Value(values.at(name_of(path))));
  return out;
}

/// A case is worth something if statistics and streams move in it.
inline void expect_moved(const Named& before, const Named& after) {
  bool statistics = false;
  for (const auto& [name, value] : before)
    statistics |= name.ends_with("norm/mean") && differ(value, after.at(name));
  EXPECT_TRUE(statistics);
  EXPECT_TRUE(differ(after.at("rngs/dropout/count"), before.at("rngs/dropout/count")));
}

/// Results of `f(module, x)` and all variables afterwards are those of the object, also compiled.
template <class Functional, class Object, class F>
void expect_same_values(const F& f, const Prepare& prepare = as_made) {
  using Wrapped = bridge::ToNNX<Functional>;
  Wrapped block = made<Functional>(prepare), compiled = nnx::clone(block);
  Object object = object_like<Object>(block);
  const Tensor x = input();
  const Named before = named_state(object), expected = f(object, x), after = named_state(object);
  expect_moved(before, after);
  expect_same(f(block, x), expected);
  expect_same(named_state(block), after);
  SCOPED_TRACE("compiled");
  const auto program = jit([&](Wrapped& m, const Tensor& in) { return f(m, in); });
  expect_same(program(compiled, x), expected);
  expect_same(named_state(compiled), after);
}

/// Of a weighted sum of all results, with respect to parameters and the input.
template <class M, class F>
Named gradients_of(const F& f, M& module) {
  const auto loss = [&](M& m, const Tensor& x) {
    Tensor total = zeros({});
    for (const auto& [name, value] : f(m, x)) {
      if (value.dtype() == DType::kF32) total = total + sum(value * normal(value.shape(), 7));
    }
    return total;
  };
  const auto [dm, dx] = nnx::grad<0, 1>(loss)(module, input());
  Named out = named(dm);
  out.emplace("input", dx);
  return out;
}

template <class Functional, class Object, class F>
void expect_same_derivatives(const F& f, const Prepare& prepare = as_made) {
  auto block = made<Functional>(prepare);
  Object object = object_like<Object>(block);
  const Named expected = gradients_of(f, object);
  float size = 0;
  for (const auto& [name, value] : expected) size += sum(abs(value)).template item<float>();
  EXPECT_GT(size, 0.1f);
  expect_same(gradients_of(f, block), expected);
  expect_same(named_state(block), named_state(object));
}

template <class Functional, class Object, class F>
void expect_same_case(const F& f, const Prepare& prepare = as_made) {
  expect_same_values<Functional, Object>(f, prepare);
  expect_same_derivatives<Functional, Object>(f, prepare);
}

/// A direction for every parameter.
template <class M>
nnx::State direction_of(M& module) {
  nnx::State out;
  const nnx::State params = nnx::state(module, nnx::of_type<nnx::Param>());
  for (const auto& [path, leaf] : params.entries()) out.insert(path, {nullptr, cos(leaf.value())});
  EXPECT_GE(out.size(), 4u);
  return out;
}

/// Three of each variable that the filter chooses.
inline Prepare stacked(const nnx::Filter& filter) {
  return [filter](const nnx::State& state) {
    for (const auto& [path, leaf] : state.entries()) {
      if (!filter(path, leaf)) continue;
      const Tensor value = leaf.value();
      TensorList three{value, value * 2, value * 3};
      if (value.dtype() == DType::kF32) three = {value, value * 0.5f + 0.25f, 1 - value};
      nnx::Variable(leaf.cell).set_raw_value(state::Value(linnet::stack(three)));
    }
  };
}
inline nnx::Filter parameters() { return nnx::of_type<nnx::Param>(); }
inline nnx::Filter streams() { return nnx::of_type<nnx::RngState>(); }

/// How many values a module keeps that has sown some.
inline size_t sown(const Named& state, const std::string& name = "seen") {
  size_t count = 0;
  while (state.count(name + "/" + std::to_string(count))) ++count;
  return count;
}

}  // namespace linnet::bridge_tests::object_cases
