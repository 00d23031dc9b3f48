// What a module is made of, as text: its settings and a table of its variables.
//
//   std::cout << nnx::Linear(784, 10, rngs);
//   // Linear(in_features=784, out_features=10, use_bias=true, param_dtype=f32)
//   //   path    kind   type         elements
//   //   kernel  Param  f32[784,10]      7840
//   //   bias    Param  f32[10]            10
//   //   2 variables, 7850 elements, 31400 bytes
//   std::cout << linen::Dense{.features = 10};
//   // Dense(features=10, use_bias=true, param_dtype=f32)
//
// Any struct with LINNET_FIELDS can be printed, also a user's (whose own operator<< goes before).
#pragma once

#include <concepts>
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <typeinfo>

#include "linnet/fields.h"
#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet {

namespace detail {

std::string number_text(double value);
/// `Name(settings)`, with the name as Flax would write it.
std::string type_heading(const std::type_info& type, const std::string& settings);
/// A line for each leaf of a tree that was flattened with paths, and the totals; nothing without
/// leaves.
std::string variable_table(const tree::Flattened& leaves);
std::ostream& write(std::ostream& stream, const std::string& text);

/// The text of a setting; empty for what is none (variables, modules, functions) or is not given.
template <class T>
std::string setting_text(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_same_v<T, std::string>) {
    return "'" + value + "'";
  } else if constexpr (std::is_same_v<T, DType>) {
    return std::string(name_of(value));
  } else if constexpr (std::is_floating_point_v<T>) {
    return number_text(value);
  } else if constexpr (std::is_integral_v<T>) {
    return std::to_string(value);
  } else if constexpr (std::is_convertible_v<const T&, std::span<const int64_t>>) {
    return to_string(value);
  } else if constexpr (requires {
                         { value.text() } -> std::convertible_to<std::string>;
                       }) {
    return value.text();
  } else if constexpr (tree::detail::is_optional<T>) {
    return value ? setting_text(*value) : std::string();
  } else {
    return {};
  }
}

template <class M>
std::string heading(const M& module) {
  std::string settings;
  size_t index = 0;
  const auto add = [&](const auto& value) {
    const std::string_view name = field_name(M::linnet_field_names(), index++);
    const std::string text = setting_text(value);
    if (text.empty()) return;
    settings += (settings.empty() ? "" : ", ") + std::string(name) + "=" + text;
  };
  module.linnet_fields().apply([&](const auto&... field) { (add(field), ...); });
  return type_heading(typeid(M), settings);
}

}  // namespace detail

/// Type and settings in a line; then, for modules that hold variables, a table of their paths,
/// kinds, types and numbers of elements, and the totals.
template <class M>
  requires HasFields<M>
std::string summary(const M& module) {
  return detail::heading(module) +
         detail::variable_table(tree::flatten(const_cast<M&>(module), true));
}

template <class M>
  requires HasFields<M>
std::ostream& operator<<(std::ostream& stream, const M& module) {
  return detail::write(stream, summary(module));
}

}  // namespace linnet

#pragma GCC visibility pop
