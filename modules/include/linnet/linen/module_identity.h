// A text that tells functional modules apart, for cache keys of jitted functions.
//
// Functional modules are plain structs, and their hyper-parameters decide what they compute.
// Members that can be compared (numbers, strings, containers of them, LINNET_FIELDS) give a text
// that equal modules share. A module with anything else inside, such as a callable, or with members
// that LINNET_FIELDS leaves out, is equal to its copies only.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include "linnet/fields.h"
#include "linnet/function.h"
#include "linnet/metadata.h"
#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet::linen::detail {

struct ModuleIdentity {
  std::string text;
  /// Something could not be compared.
  bool opaque = false;
};

template <class T>
void identify(ModuleIdentity& out, const T& object);

/// Whether LINNET_FIELDS of T leaves out a member: counted where T is an aggregate, else seen where
/// one leaves a gap that no alignment explains.
template <class T>
bool has_unlisted_members(const T& object) {
  using Fields = decltype(object.linnet_fields());
  if constexpr (std::is_aggregate_v<T>) {
    if (tree::detail::aggregate_arity<T>() > Fields::kCount) return true;
  }
  static const bool unlisted = tree::unlisted_bytes(sizeof(T), alignof(T), std::is_polymorphic_v<T>,
                                                    tree::detail::field_extents(object))
                                   .has_value();
  return unlisted;
}

template <class R>
void identify_range(ModuleIdentity& out, const R& range) {
  out.text += '[';
  for (const auto& element : range) identify(out, element);
  out.text += ']';
}

template <class T>
void identify(ModuleIdentity& out, const T& object) {
  using namespace tree::detail;
  out.text += typeid(T).name();
  if constexpr (requires { object.identify(out); }) {
    object.identify(out);
  } else if constexpr (std::is_same_v<T, Tensor>) {
    out.opaque = true;
  } else if constexpr (std::is_same_v<T, Metadata>) {
    out.text += to_string(object);
  } else if constexpr (std::is_empty_v<T>) {
    return;
  } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    out.text.append(reinterpret_cast<const char*>(&object), sizeof(T));
  } else if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, std::string_view>) {
    out.text += std::to_string(object.size()) + ':';
    out.text += object;
  } else if constexpr (is_vector<T> || is_array<T> || is_small_vector<T> || is_map<T>) {
    identify_range(out, object);
  } else if constexpr (is_optional<T>) {
    out.text += object ? '+' : '-';
    if (object) identify(out, *object);
  } else if constexpr (is_variant<T>) {
    out.text += std::to_string(object.index());
    std::visit([&](const auto& alternative) { identify(out, alternative); }, object);
  } else if constexpr (is_tuple<T>) {
    std::apply([&](const auto&... element) { (identify(out, element), ...); }, object);
  } else if constexpr (HasFields<T>) {
    object.linnet_fields().apply([&](const auto&... field) { (identify(out, field), ...); });
    out.opaque |= has_unlisted_members(object);
  } else if constexpr (!std::is_pointer_v<T> && std::is_class_v<T> &&
                       std::has_unique_object_representations_v<T>) {
    out.text.append(reinterpret_cast<const char*>(&object), sizeof(T));
  } else {
    out.opaque = true;
  }
}

/// The text of a module; of an opaque one, a text that is given once.
template <class M>
std::string identity_of(const M& module) {
  ModuleIdentity identity;
  identify(identity, module);
  return identity.opaque ? "#" + std::to_string(linnet::detail::unique_number())
                         : std::move(identity.text);
}

}  // namespace linnet::linen::detail

#pragma GCC visibility pop
