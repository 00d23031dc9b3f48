// The settings of layers, written once for both module APIs.
//
//   linen::Dense{.features = 10, .use_bias = false}            // a layers::Dense<linen::Api>
//   nnx::Linear(784, 10, {.use_bias = false}, rngs)            // options: a
//   layers::Dense<nnx::Api>
//
// A struct layers::X<Api> has every hyper-parameter of one kind of layer with its default. Of the
// functional API it is the layer itself; of the object API it holds the options of a layer, which
// derives from it and adds its variables. What the two spell differently is in their `Api`: the
// type of initialisers, modes that can be left open (linen) or not (nnx), and settings that only
// one of them has.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "linnet/metadata.h"
#include "linnet/summary.h"
#include "linnet/tree.h"

/// LINNET_FIELDS of a layer whose base is its settings: the members named here, then those of the
/// base.
#define LINNET_LAYER_FIELDS(Base, ...)                                                          \
  auto linnet_fields() { return std::tuple_cat(std::tie(__VA_ARGS__), Base::linnet_fields()); } \
  auto linnet_fields() const {                                                                  \
    return std::tuple_cat(std::tie(__VA_ARGS__), Base::linnet_fields());                        \
  }                                                                                             \
  void linnet_fields_owner() const {}                                                           \
  static constexpr std::string_view linnet_field_names() {                                      \
    struct Own {                                                                                \
      static constexpr std::string_view linnet_field_names() { return #__VA_ARGS__; }           \
    };                                                                                          \
    return ::linnet::layers::detail::joined_field_names<Own, Base>();                           \
  }

#pragma GCC visibility push(default)

namespace linnet::layers::detail {

/// The text `names of A, names of B`.
template <class A, class B>
constexpr auto join_field_names() {
  constexpr std::string_view a = A::linnet_field_names(), b = B::linnet_field_names();
  std::array<char, a.size() + 2 + b.size()> out{};
  size_t at = 0;
  for (std::string_view part : {a, std::string_view(", "), b}) {
    for (char c : part) out[at++] = c;
  }
  return out;
}
template <class A, class B>
inline constexpr auto kJoinedFieldNames = join_field_names<A, B>();
template <class A, class B>
constexpr std::string_view joined_field_names() {
  return {kJoinedFieldNames<A, B>.data(), kJoinedFieldNames<A, B>.size()};
}

}  // namespace linnet::layers::detail

namespace linnet::layers {

using linnet::operator<<;  // found for the layers of both APIs, whose settings are of this
                           // namespace

/// In place of a setting of type T that an API does not have; no value converts to it, so that it
/// cannot be set by mistake.
template <class T>
struct Absent {
  constexpr Absent() = default;
  template <class... A>
    requires(sizeof...(A) > 0)
  explicit constexpr Absent(const A&...) {}
};

/// A number nobody else has: what tells two functions apart that cannot be compared.
uint64_t unique_number();

/// T in the functional API, nothing in the object API, whose constructors take it.
template <class Api, class T>
using FunctionalOnly = std::conditional_t<Api::kFunctional, T, Absent<T>>;
/// T in the object API, nothing in the functional one.
template <class Api, class T>
using ObjectOnly = std::conditional_t<Api::kFunctional, Absent<T>, T>;

}  // namespace linnet::layers

namespace linnet::tree {
template <class T>
struct Traits<layers::Absent<T>> {
  static void visit(layers::Absent<T>&, Visitor&) {}
};
template <>
struct Traits<Metadata> {
  static void visit(Metadata& metadata, Visitor& visitor) {
    if (!metadata.empty()) visitor.fixed(typeid(Metadata), linnet::to_string(metadata));
  }
};
}  // namespace linnet::tree

#pragma GCC visibility pop
