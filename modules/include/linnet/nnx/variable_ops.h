// Variables in expressions: every operator takes the values of its operands and gives a plain
// tensor, also between two variables.
//
//   Tensor y = w * x + b;                   // w, b: nnx::Param
//   Tensor same = w == other;               // compares values
//   w = w + step;                           // writes
#pragma once

#include "linnet/nnx/variable.h"
#include "linnet/ops.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

// Found for variables, whose namespace is this one.
using linnet::operator+, linnet::operator-, linnet::operator*, linnet::operator/, linnet::operator%,
    linnet::operator==, linnet::operator!=, linnet::operator<, linnet::operator<=,
    linnet::operator>, linnet::operator>=, linnet::operator&, linnet::operator|, linnet::operator^,
    linnet::operator~;

template <class V>
concept IsVariable = std::is_base_of_v<Variable, V>;

/// Does not compile.
template <IsVariable V, class T>
void operator+=(V&, const T&) {
  static_assert(!IsVariable<V>, "a variable may be one that others hold too: write v = v + y");
}

}  // namespace linnet::nnx

#pragma GCC visibility pop
