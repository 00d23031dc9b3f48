// Where two models differ: their variables, whichever API they are written in, and what their
// layers compute for an input.
//
//   #include <linnet/bridge/compare.h>            // linnet.h does not include it
//   bridge::Comparison found = bridge::compare(object_model, linen_variables);
//   std::cout << to_string(found);        // params/up/kernel: f32[8,4] here, f32[8,5] there
//   found = bridge::compare_calls([&] { return object_model(x); },
//                                 [&] { return linen::apply(Mlp{}, linen_variables, x); });
//   found = bridge::compare_on(object_model, linen::bind(Mlp{}, linen_variables), x);   // both
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/bridge/variables.h"
#include "linnet/linen/bind.h"

#pragma GCC visibility push(default)

namespace linnet::bridge {

struct Difference {
  enum class Kind : uint8_t {
    kMissing,  ///< only the first has it
    kExtra,    ///< only the second has it
    kPath,     ///< both have it, with equal values, under different paths
    kShape,
    kDType,
    kMetadata,  ///< the boxes: kind of variable, sharding, other metadata
    kValue,
    kActivation,  ///< what the layer at this path, or the whole call, computes
  };
  Kind kind;
  std::string path;           ///< collection first; of an activation, of the layer
  std::string first, second;  ///< what each has: types, metadata, or the second path
  /// Largest absolute difference of two numbers; infinite if one is NaN where the other is not.
  double largest = 0;
};

struct Comparison {
  std::vector<Difference> differences;
  double largest_value = 0, largest_activation = 0;  ///< of everything that could be compared
  size_t variables_compared = 0, activations_compared = 0;

  bool equal() const { return differences.empty(); }
  bool has(Difference::Kind kind, const std::string& path) const;
};
/// A line for each difference, and how much was compared.
std::string to_string(const Comparison& comparison);

struct CompareOptions {
  /// Numbers that differ by no more are equal.
  double tolerance = 0;
  bool metadata = true;
};

namespace detail {

Comparison compare_variables(const linen::Variables& first, const linen::Variables& second,
                             const CompareOptions& options);
/// Results of the calls, and of the layers inside that both have by path: what the last operation
/// of a layer gave.
Comparison compare_calls(const std::function<TensorList()>& first,
                         const std::function<TensorList()>& second, const CompareOptions& options);
Comparison joined(Comparison variables, Comparison activations);

template <class M>
linen::Variables variables_to_compare(M& model) {
  if constexpr (std::is_same_v<std::remove_const_t<M>, linen::Variables>)
    return model;
  else if constexpr (requires { model.unbind(); })
    return model.variables();
  else
    return bridge::variables(const_cast<std::remove_const_t<M>&>(model));
}

}  // namespace detail

/// The variables of two models: object modules, bound functional modules, or dictionaries. Random
/// state and graph definitions are left out.
template <class A, class B>
Comparison compare(const A& first, const B& second, const CompareOptions& options = {}) {
  return detail::compare_variables(detail::variables_to_compare(first),
                                   detail::variables_to_compare(second), options);
}

/// What two functions without arguments compute: their results, and the activations of layers that
/// both call under one path. Layers of compiled functions are not seen. The calls happen as usual:
/// counters move, and random streams advance.
template <class F, class G>
Comparison compare_calls(F&& first, G&& second, const CompareOptions& options = {}) {
  return detail::compare_calls([&] { return tree::leaves(first()); },
                               [&] { return tree::leaves(second()); }, options);
}

/// Both, for models that are called with the inputs.
template <class A, class B, class... X>
Comparison compare_on(A&& first, B&& second, const X&... inputs) {
  Comparison variables = compare(first, second);
  return detail::joined(std::move(variables), compare_calls([&] { return first(inputs...); },
                                                            [&] { return second(inputs...); }));
}

}  // namespace linnet::bridge

#pragma GCC visibility pop
