// Making variables of others: replace, copy_from.
//
//   nnx::Param other = nnx::replace(w, zeros({2, 2}), {{"tag", "b"}});   // of w's kind and
//   metadata nnx::copy_from(w, other);                                           // writes both
//   into w
#pragma once

#include <utility>

#include "linnet/nnx/variable_ops.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

/// A new variable of the same kind with another value and further metadata; no create hooks run
/// (N-013).
template <IsVariable V>
V replace(const V& variable, state::Value value, const Metadata& updates = {}) {
  V out(variable);
  out.cell()->set_raw(std::move(value));
  for (const auto& [name, entry] : updates.entries()) out.set_metadata(name, MetadataValue(entry));
  return out;
}
template <IsVariable V>
V replace(const V& variable, Tensor value, const Metadata& updates = {}) {
  return nnx::replace(variable, state::Value(std::move(value)), updates);
}
/// The same value under further metadata.
template <IsVariable V>
V replace(const V& variable, const Metadata& updates) {
  return nnx::replace(variable, variable.raw_value(), updates);
}

/// Value and metadata of a variable of exactly the same kind, past hooks (N-014). Assignment
/// between variables takes them from any kind.
/// @throws ValueError if the kinds differ.
void copy_from(Variable& variable, const Variable& other);

}  // namespace linnet::nnx

#pragma GCC visibility pop
