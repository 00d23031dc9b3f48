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

#include <type_traits>

#include "linnet/metadata.h"
#include "linnet/summary.h"
#include "linnet/tree.h"

#pragma GCC visibility push(default)

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
