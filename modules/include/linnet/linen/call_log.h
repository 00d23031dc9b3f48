// What `tabulate` notes of calls of modules while a model runs. Users need linen/tabulate.h.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "linnet/summary.h"
#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

/// One call of a module, as `capture_intermediates` chooses by it.
struct ModuleCall {
  std::vector<std::string> path;  ///< of the module's scope
  std::string class_name;
  std::string method;  ///< `__call__` unless the module is a method (linen/method.h)
};

namespace detail {

/// The calls of one run, in the order in which they begin; kept by linen/tabulate.cpp.
class CallLog;

template <class T>
std::string value_text(const T& value);

template <class R>
std::string joined_texts(const R& range) {
  std::string out;
  for (const auto& element : range) out += (out.empty() ? "" : ", ") + value_text(element);
  return "(" + out + ")";
}

/// Types of tensors, and numbers and texts, in the nesting of `value`; empty for what is none.
template <class T>
std::string value_text(const T& value) {
  using namespace tree::detail;
  if constexpr (std::is_same_v<T, Tensor>) {
    return value.defined() ? to_string(value.type()) : "none";
  } else if constexpr (is_optional<T>) {
    return value ? value_text(*value) : "none";
  } else if constexpr (is_tuple<T>) {
    std::string out;
    std::apply(
        [&](const auto&... part) { ((out += (out.empty() ? "" : ", ") + value_text(part)), ...); },
        value);
    return "(" + out + ")";
  } else if constexpr (is_vector<T> || is_array<T>) {
    return joined_texts(value);
  } else if constexpr (is_map<T>) {
    std::string out;
    for (const auto& [key, entry] : value) {
      out += out.empty() ? "" : ", ";
      if constexpr (std::is_convertible_v<decltype(key), std::string>) out += key + ": ";
      out += value_text(entry);
    }
    return "{" + out + "}";
  } else if constexpr (HasFields<T>) {
    return std::apply([](const auto&... field) { return value_text(std::tie(field...)); },
                      value.linnet_fields());
  } else {
    return linnet::detail::setting_text(value);
  }
}

}  // namespace detail
}  // namespace linnet::linen

#pragma GCC visibility pop
