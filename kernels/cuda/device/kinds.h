// What host and device code agree on besides addresses: element types, and how elements combine.
#pragma once

#include <cstdint>

namespace linnet::cuda {

/// In the order of DType, so that one converts to the other by a cast.
enum class ElementType : uint8_t {
  kBool,
  kI8,
  kI16,
  kI32,
  kI64,
  kU8,
  kU16,
  kU32,
  kU64,
  kF16,
  kBF16,
  kF32,
  kF64
};

/// Sums and products of integers wrap. NaN wins in extremes.
enum class Fold : uint8_t { kSum, kProd, kMax, kMin };

}  // namespace linnet::cuda
