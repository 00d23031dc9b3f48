#include "core/transforms/arguments.h"

#include <algorithm>

#include "core/tensor/tensor_impl.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet::detail {

void require_differentiable(const char* transformation, const TensorList& leaves,
                            bool all_floating) {
  require_defined(leaves, transformation, "a leaf of the arguments");
  const auto floating = [](const Tensor& leaf) { return is_inexact(leaf.dtype()); };
  for (const Tensor& leaf : leaves) {
    if (!all_floating || floating(leaf)) continue;
    fail<DTypeError>(
        "{}: expected floating inputs to differentiate with respect to, got {}\n"
        "  hint: convert with astype, or pass it as another argument",
        transformation, to_string(leaf.type()));
  }
  if (std::any_of(leaves.begin(), leaves.end(), floating)) return;
  std::string types;
  for (const Tensor& leaf : leaves)
    types += fmt::format("{}{}", types.empty() ? "" : ", ", to_string(leaf.type()));
  fail<ValueError>(
      "{}: the chosen arguments hold no floating tensor to differentiate with respect to, got {}\n"
      "  hint: whole numbers, and C++ numbers inside structs, are constants: write 2.0 for 2, make "
      "the member a Tensor",
      transformation, leaves.empty() ? "no tensor at all" : types);
}

void require_kind(const char* transformation, const char* what, const Tensor& tensor,
                  bool holomorphic) {
  if (is_complex(tensor.dtype()) == holomorphic) return;
  if (holomorphic) {
    fail<DTypeError>("{}: expected a complex {} of a holomorphic function, got {}", transformation,
                     what, to_string(tensor.type()));
  }
  fail<DTypeError>(
      "{}: expected a real {}, got {}\n  hint: {{.holomorphic = true}} gives the complex "
      "derivative "
      "of a holomorphic function; of others take real(), imag() or abs(), or call vjp",
      transformation, what, to_string(tensor.type()));
}

Tensor literal_as(DType dtype, const Tensor& tensor) {
  const bool literal = tensor.defined() && tensor.weak() && is_inexact(tensor.dtype());
  return literal && is_inexact(dtype) && dtype != tensor.dtype() ? astype(tensor, dtype) : tensor;
}

}  // namespace linnet::detail
