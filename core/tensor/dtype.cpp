#include "linnet/dtype.h"

#include <limits>

#include "linnet/detail/format.h"
#include "linnet/visit_dtype.h"

namespace linnet {

std::string_view name_of(DType dtype) {
  constexpr std::string_view kNames[kDTypeCount] = {"bool", "i8",  "i16", "i32", "i64",
                                                    "u8",   "u16", "u32", "u64", "f16",
                                                    "bf16", "f32", "f64", "c64", "c128"};
  return kNames[static_cast<int>(dtype)];
}

DType promote_types(DType a, DType b) {
  if (a == b) return a;
  if (a > b) std::swap(a, b);
  if (a == DType::kBool) return b;
  if (is_complex(b)) return a == DType::kF64 ? DType::kC128 : b;
  if (is_floating(b)) {
    if (!is_floating(a)) return b;
    return a == DType::kF16 && b == DType::kBF16 ? DType::kF32 : b;
  }
  // Both integers; the enumeration orders signed before unsigned and narrow before wide.
  if (is_signed_integer(a) == is_signed_integer(b)) return b;
  if (b == DType::kU64) return DType::kF32;
  return size_of(a) > size_of(b) ? a : static_cast<DType>(static_cast<int>(b) - 4 + 1);
}

WeakDType promote_types(WeakDType a, WeakDType b) {
  if (a.weak == b.weak) return {promote_types(a.dtype, b.dtype), a.weak};
  const WeakDType strong = a.weak ? b : a;
  const WeakDType weak = a.weak ? a : b;
  const auto category = [](DType d) {
    return is_complex(d) ? 3 : is_floating(d) ? 2 : d == DType::kBool ? 0 : 1;
  };
  if (category(weak.dtype) <= category(strong.dtype)) return {strong.dtype, false};
  // A complex literal has parts as exact as a floating operand.
  if (is_complex(weak.dtype) && is_floating(strong.dtype))
    return {promote_types(weak.dtype, strong.dtype), false};
  // The weak operand decides the category, so the result is as weak as it is.
  return {weak.dtype, true};
}

void fail_not_real(DType dtype) {
  fail<DTypeError>("expected a real dtype, got {}\n  hint: take real(x), imag(x) or abs(x)",
                   name_of(dtype));
}

FloatInfo finfo(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return {16, 10, 0x1p-10, 65504.0, -65504.0, 0x1p-14};
    case DType::kBF16:
      return {16, 7, 0x1p-7, 0x1.FEp127, -0x1.FEp127, 0x1p-126};
    case DType::kF32:
      return {32, 23, 0x1p-23, 0x1.FFFFFEp127, -0x1.FFFFFEp127, 0x1p-126};
    case DType::kF64: {
      using L = std::numeric_limits<double>;
      return {64, 52, L::epsilon(), L::max(), L::lowest(), L::min()};
    }
    case DType::kC64:
    case DType::kC128:
      return finfo(real_dtype_of(dtype));
    default:
      fail<DTypeError>("finfo: expected a floating dtype, got {}", name_of(dtype));
  }
}

IntInfo iinfo(DType dtype) {
  if (!is_integer(dtype))
    fail<DTypeError>("iinfo: expected an integer dtype, got {}", name_of(dtype));
  const int bits = static_cast<int>(size_of(dtype)) * 8;
  if (is_unsigned_integer(dtype)) return {bits, 0, ~uint64_t{0} >> (64 - bits)};
  const uint64_t max = ~uint64_t{0} >> (65 - bits);
  return {bits, -static_cast<int64_t>(max) - 1, max};
}

}  // namespace linnet
