// Partial evaluation: what a function gives that does not depend on some of its operands.
#pragma once

#include <functional>

#include "linnet/primitive.h"

#pragma GCC visibility push(default)

namespace linnet::detail {

/// Whether a tensor is a type without a value (`abstract`).
bool is_abstract(const Tensor& tensor);

/// Runs `f` on operands of which only the types are known. Results that do not depend on them are
/// computed; the others are undefined, and nothing is computed for them. What `f` writes to
/// variables is forgotten.
TensorList known_results(const char* name, const TypeList& unknown,
                         const std::function<TensorList(const TensorList&)>& f);

}  // namespace linnet::detail

#pragma GCC visibility pop
