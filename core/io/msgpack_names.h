// Names of element types and extension types in Flax's MessagePack files. Private.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "linnet/dtype.h"

namespace linnet::msgpack {

enum Extension : int8_t { kArray = 1, kComplex = 2, kScalar = 3 };

inline constexpr std::string_view kChunked = "__msgpack_chunked_array__";

/// As NumPy and ml_dtypes call them.
inline constexpr std::array<std::pair<DType, std::string_view>, kDTypeCount> kNames{
    {{DType::kBool, "bool"},
     {DType::kI8, "int8"},
     {DType::kI16, "int16"},
     {DType::kI32, "int32"},
     {DType::kI64, "int64"},
     {DType::kU8, "uint8"},
     {DType::kU16, "uint16"},
     {DType::kU32, "uint32"},
     {DType::kU64, "uint64"},
     {DType::kF16, "float16"},
     {DType::kBF16, "bfloat16"},
     {DType::kF32, "float32"},
     {DType::kF64, "float64"},
     {DType::kC64, "complex64"},
     {DType::kC128, "complex128"}}};

}  // namespace linnet::msgpack
