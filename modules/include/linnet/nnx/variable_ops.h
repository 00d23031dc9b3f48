// Variables in expressions: every operator takes the values of its operands and gives a plain
// tensor, also between two variables.
//
//   Tensor y = w * x + b;                   // w, b: nnx::Param
//   Tensor same = w == other;               // compares values
//   w = w + step;                           // writes
//   nnx::replace(w, zeros({2, 2}));         // a new variable of w's kind and metadata
#pragma once

#include "linnet/nnx/variable.h"
#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

// Found for variables, whose namespace is this one.
using linnet::operator+;
using linnet::operator-;
using linnet::operator*;
using linnet::operator/;
using linnet::operator%;
using linnet::operator==;
using linnet::operator!=;
using linnet::operator<;
using linnet::operator<=;
using linnet::operator>;
using linnet::operator>=;
using linnet::operator&;
using linnet::operator|;
using linnet::operator^;
using linnet::operator~;

namespace detail {
template <class V>
concept IsVariable = std::is_base_of_v<Variable, V>;
template <class V>
struct CompoundAssignment {
  static_assert(!IsVariable<V>,
                "whether a variable that is assigned to in place stays the same one would be left "
                "to the reader: write v = v + y");
};
}  // namespace detail

template <detail::IsVariable V, class T>
void operator+=(V&, const T&) {
  detail::CompoundAssignment<V>();
}
template <detail::IsVariable V, class T>
void operator-=(V&, const T&) {
  detail::CompoundAssignment<V>();
}
template <detail::IsVariable V, class T>
void operator*=(V&, const T&) {
  detail::CompoundAssignment<V>();
}
template <detail::IsVariable V, class T>
void operator/=(V&, const T&) {
  detail::CompoundAssignment<V>();
}

/// A new variable of the same kind with another value and further metadata; no create hooks run
/// (N-013).
template <detail::IsVariable V>
V replace(const V& variable, state::Value value, const Metadata& updates = {}) {
  V out(variable);
  out.cell()->set_raw(std::move(value));
  for (const auto& [name, entry] : updates.entries()) out.set_metadata(name, MetadataValue(entry));
  return out;
}
template <detail::IsVariable V>
V replace(const V& variable, Tensor value, const Metadata& updates = {}) {
  return nnx::replace(variable, state::Value(std::move(value)), updates);
}
/// The same value under further metadata.
template <detail::IsVariable V>
V replace(const V& variable, const Metadata& updates) {
  return nnx::replace(variable, variable.raw_value(), updates);
}

/// Value and metadata of a variable of exactly the same kind, past hooks (N-014). Assignment
/// between variables takes them from any kind.
/// @throws ValueError if the kinds differ.
void copy_from(Variable& variable, const Variable& other);

}  // namespace linnet::nnx

#pragma GCC visibility pop
