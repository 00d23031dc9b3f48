// From a DType to the C++ type of its elements.
//
//   visit_dtype(x.dtype(), [&](auto zero) {
//     using T = decltype(zero);
//     ...
//   });
//
// The umbrella header does not include this one.
#pragma once

#include "linnet/dtype.h"

#pragma GCC visibility push(default)

namespace linnet {

/// @throws DTypeError: what is known of real types only was asked of another one.
[[noreturn]] void fail_not_real(DType dtype);

/// Calls `f(std::type_identity<T>{})`-style with a value of the element type of a real `dtype`:
/// `visit_dtype(d, [&](auto zero) { using T = decltype(zero); ... })`.
/// @throws DTypeError for complex ones.
template <class F>
decltype(auto) visit_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kBool:
      return f(bool{});
    case DType::kI8:
      return f(int8_t{});
    case DType::kI16:
      return f(int16_t{});
    case DType::kI32:
      return f(int32_t{});
    case DType::kI64:
      return f(int64_t{});
    case DType::kU8:
      return f(uint8_t{});
    case DType::kU16:
      return f(uint16_t{});
    case DType::kU32:
      return f(uint32_t{});
    case DType::kU64:
      return f(uint64_t{});
    case DType::kF16:
      return f(float16{});
    case DType::kBF16:
      return f(bfloat16{});
    case DType::kF32:
      return f(float{});
    case DType::kF64:
      return f(double{});
    case DType::kC64:
    case DType::kC128:
      break;
  }
  fail_not_real(dtype);
}

}  // namespace linnet

#pragma GCC visibility pop
