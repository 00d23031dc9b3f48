#include "core/ops/convert.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "core/ops/elementwise.h"
#include "core/ops/families.h"
#include "core/tensor/checked_size.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"
#include "linnet/visit_dtype.h"

namespace linnet {

const Primitive& convert_primitive() {
  static const Primitive& p = define(LinearMap<ConvertParams>{
      .name = "convert_element_type",
      .infer =
          [](const ConvertParams& p, Inputs x) {
            return TypeList{{p.dtype, x[0].shape(), p.weak, x[0].device()}};
          },
      .transpose =
          [](const ConvertParams&, Inputs x, const Tensor& ct) {
            return TensorList{convert(ct, {x[0].dtype(), false})};
          },
      .pointwise = true,
      .complex = true});
  return p;
}

const Primitive& bitcast_primitive() {
  static const Primitive& p = define(Opaque<BitcastParams>{
      .name = "bitcast_convert_type",
      .infer =
          [](const BitcastParams& p, Inputs x) {
            if (size_of(p.dtype) != size_of(x[0].dtype())) {
              fail<DTypeError>("bitcast: {} has {} bytes per element, {} has {}",
                               to_string(x[0].type()), size_of(x[0].dtype()), name_of(p.dtype),
                               size_of(p.dtype));
            }
            return TypeList{{p.dtype, x[0].shape(), false, x[0].device()}};
          },
      .view = [](const BitcastParams& p, const LayoutRef& x) -> std::optional<TensorLayout> {
        if (size_of(p.dtype) != size_of(x.dtype)) return std::nullopt;
        return TensorLayout{p.dtype, x.shape, x.strides};
      },
      .pointwise = true});
  return p;
}

void define_conversion() {
  convert_primitive();
  bitcast_primitive();
}

namespace {

/// One number of any element type: floating ones in `real` (and `imaginary`), integers in `bits`
/// (sign extended).
struct Number {
  double real = 0, imaginary = 0;
  uint64_t bits = 0;
  DType dtype;
};

void read_complex(const TensorImpl& impl, Number& out) {
  if (impl.dtype == DType::kC128) {
    std::memcpy(&out.real, impl.data, sizeof(double));
    std::memcpy(&out.imaginary, impl.data + sizeof(double), sizeof(double));
    return;
  }
  float parts[2];
  std::memcpy(parts, impl.data, sizeof parts);
  const bool exact = impl.weak && !std::isnan(impl.exact_literal);
  out.real = exact ? impl.exact_literal : static_cast<double>(parts[0]);
  out.imaginary = exact ? impl.exact_imaginary : static_cast<double>(parts[1]);
}

Number read_number(const TensorImpl& impl) {
  Number out{.dtype = impl.dtype};
  if (is_complex(impl.dtype)) {
    read_complex(impl, out);
    return out;
  }
  visit_dtype(impl.dtype, [&](auto zero) {
    using T = decltype(zero);
    T value;
    std::memcpy(&value, impl.data, sizeof value);
    if constexpr (std::is_integral_v<T>)
      out.bits = static_cast<uint64_t>(value);
    else if constexpr (sizeof(T) == 2)
      out.real = static_cast<float>(value);
    else
      out.real = value;
  });
  if (impl.weak && impl.dtype == DType::kF32 && !std::isnan(impl.exact_literal))
    out.real = impl.exact_literal;
  return out;
}

/// Truncates; out of range gives the nearest number, NaN gives zero.
template <class T>
T to_integer(double value) {
  if (std::isnan(value)) return T(0);
  if (value <= static_cast<double>(std::numeric_limits<T>::min()))
    return std::numeric_limits<T>::min();
  if (value >= static_cast<double>(std::numeric_limits<T>::max()))
    return std::numeric_limits<T>::max();
  return static_cast<T>(value);
}

/// Toward zero, but with the last bit set if anything was cut off, so that rounding the result to
/// 16 bits gives what rounding `x` directly would have given.
float round_to_odd(double x) {
  const float nearest = static_cast<float>(x);
  if (static_cast<double>(nearest) == x || std::isnan(x)) return nearest;
  uint32_t word = std::bit_cast<uint32_t>(nearest);
  if (std::abs(static_cast<double>(nearest)) > std::abs(x)) --word;
  return std::bit_cast<float>(word | 1u);
}

template <class T>
T convert_number(const Number& from) {
  const bool real = is_inexact(from.dtype);
  if constexpr (std::is_same_v<T, bool>) {
    return real ? from.real != 0 || from.imaginary != 0 : from.bits != 0;
  } else if constexpr (std::is_integral_v<T>) {
    return real ? to_integer<T>(from.real) : static_cast<T>(from.bits);
  } else if constexpr (sizeof(T) == 2) {
    if (real) return T(round_to_odd(from.real));
    return T(round_to_odd(from.dtype == DType::kU64
                              ? static_cast<double>(from.bits)
                              : static_cast<double>(static_cast<int64_t>(from.bits))));
  } else {
    if (real) return static_cast<T>(from.real);
    return from.dtype == DType::kU64 ? static_cast<T>(from.bits)
                                     : static_cast<T>(static_cast<int64_t>(from.bits));
  }
}

Tensor convert_scalar(const TensorImpl& from, WeakDType type) {
  TensorImpl* impl = new TensorImpl;
  Tensor out(impl);
  impl->dtype = type.dtype;
  impl->weak = type.weak;
  impl->data = impl->inline_value;
  const Number number = read_number(from);
  if (is_complex(type.dtype)) {
    const double real = convert_number<double>(number);
    if (type.dtype == DType::kC64) {
      const float parts[2] = {static_cast<float>(real), static_cast<float>(number.imaginary)};
      std::memcpy(impl->inline_value, parts, sizeof parts);
      if (type.weak) impl->exact_literal = real;
    } else {
      std::memcpy(impl->inline_value, &real, sizeof real);
      std::memcpy(impl->inline_value + sizeof real, &number.imaginary, sizeof real);
    }
    impl->exact_imaginary = number.imaginary;
    return out;
  }
  visit_dtype(type.dtype, [&](auto zero) {
    const auto value = convert_number<decltype(zero)>(number);
    std::memcpy(impl->inline_value, &value, sizeof value);
  });
  if (type.weak && type.dtype == DType::kF32 && is_floating(from.dtype))
    impl->exact_literal = number.real;
  return out;
}

bool try_broadcast(const Shape& a, const Shape& b, Shape& out) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  out = longer;
  const size_t offset = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    int64_t& size = out[offset + i];
    if (size == shorter[i] || shorter[i] == 1) continue;
    if (size != 1) return false;
    size = shorter[i];
  }
  return true;
}

}  // namespace

Tensor convert(const Tensor& x, WeakDType type) {
  const TensorImpl& impl = *x.impl();
  if (impl.dtype == type.dtype && impl.weak == type.weak) return x;
  if (impl.concrete()) {
    if (impl.shape.empty() && impl.device.host()) return convert_scalar(impl, type);
    if (impl.dtype == type.dtype) return with_weak(x, type.weak);
  }
  return emit_one(convert_primitive(), {x}, ConvertParams{type.dtype, type.weak});
}

Tensor to_floating(const Tensor& x) {
  return is_inexact(x.dtype()) ? x : convert(x, {DType::kF32, x.weak()});
}

Tensor beside(const Tensor& x, const Tensor& other) {
  if (x.impl()->device == other.impl()->device) return x;
  return x.impl()->device.host() && x.impl()->shape.empty() ? x.to(other.impl()->device) : x;
}

Tensor broadcast_trailing(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const size_t offset = shape.size() - x.rank();
  const TensorImpl& from = *x.impl();
  if (current_trace() == nullptr && from.concrete()) {
    checked_element_count("broadcast", shape);
    Strides strides(shape.size());
    for (size_t i = offset; i < shape.size(); ++i) {
      if (from.shape[i - offset] == shape[i]) strides[i] = from.strides[i - offset];
    }
    return make_view(x, shape, strides, 0);
  }
  Axes dimensions;
  for (size_t i = offset; i < shape.size(); ++i) dimensions.push_back(static_cast<int64_t>(i));
  return broadcast_in_dim(x, shape, dimensions);
}

Shape broadcast_shapes(const char* operation, const Shape& a, const Shape& b) {
  Shape out;
  if (!try_broadcast(a, b, out)) {
    fail<ShapeError>(
        "{}: shapes {} and {} do not broadcast\n  hint: counted from the last, sizes must be equal "
        "or 1",
        operation, to_string(a), to_string(b));
  }
  return out;
}

bool fits_integer(const Tensor& literal, DType dtype) {
  if (literal.dtype() == dtype) return true;
  const IntInfo info = iinfo(dtype);
  const uint64_t bits = read_number(*literal.impl()).bits;
  const int64_t value = static_cast<int64_t>(bits);
  const bool negative = value < 0 && literal.dtype() != DType::kU64;
  return negative ? value >= info.min : bits <= info.max;
}

bool is_whole_literal(const Tensor& x) {
  const TensorImpl& impl = *x.impl();
  return impl.weak && impl.shape.empty() && impl.concrete() && is_integer(impl.dtype);
}

namespace {

/// A literal that does not fit is an error: wrapped it would be another number.
Tensor promoted_operand(const char* operation, const Tensor& x, const Tensor& other,
                        WeakDType type) {
  if (is_integer(type.dtype) && is_whole_literal(x) && !fits_integer(x, type.dtype)) {
    fail<ValueError>(
        "{}: the literal {} is out of range of {}\n  hint: convert the tensor to a wider dtype, or "
        "the literal with astype if it is to wrap",
        operation,
        x.dtype() == DType::kU64 ? fmt::format("{}", x.item<uint64_t>())
                                 : fmt::format("{}", x.item<int64_t>()),
        to_string(other.type()));
  }
  return convert(x, type);
}

}  // namespace

std::pair<Tensor, Tensor> promote_and_broadcast(const char* operation, const Tensor& a,
                                                const Tensor& b) {
  Shape shape;
  if (!try_broadcast(a.shape(), b.shape(), shape)) {
    fail<ShapeError>(
        "{}: shapes do not broadcast: {} and {}\n  hint: counted from the last, sizes must be "
        "equal or 1",
        operation, to_string(a.type()), to_string(b.type()));
  }
  const WeakDType type =
      promote_types(WeakDType{a.dtype(), a.weak()}, WeakDType{b.dtype(), b.weak()});
  // Most operands need nothing, and every handle that is copied is two atomic operations.
  const auto fit = [&](const Tensor& x, const Tensor& other) {
    const bool here = x.impl()->device == other.impl()->device;
    if (x.impl()->dtype == type.dtype && here) return broadcast_trailing(x, shape);
    Tensor y = x.impl()->dtype == type.dtype ? x : promoted_operand(operation, x, other, type);
    if (!here) y = beside(y, other);
    return broadcast_trailing(y, shape);
  };
  return {fit(a, b), fit(b, a)};
}

Tensor emit_binary(const Primitive& primitive, const Tensor& a, const Tensor& b) {
  if (a.dtype() == b.dtype() && a.shape() == b.shape())
    return emit_one(primitive, BorrowedTensors<2>(a, b));
  const auto [x, y] = promote_and_broadcast(primitive.name.c_str(), a, b);
  return emit_one(primitive, BorrowedTensors<2>(x, y));
}

Tensor emit_binary_floating(const Primitive& primitive, const Tensor& a, const Tensor& b) {
  const WeakDType type =
      promote_types(WeakDType{a.dtype(), a.weak()}, WeakDType{b.dtype(), b.weak()});
  if (is_inexact(type.dtype)) return emit_binary(primitive, a, b);
  // As weak as the integer type would be: a bool with a literal is as weak as the literal.
  const WeakDType floating{DType::kF32, type.weak};
  return emit_binary(primitive, convert(a, floating), convert(b, floating));
}

Tensor emit_floating(const Primitive& primitive, const Tensor& x, ParamsRef params) {
  if (is_inexact(x.dtype())) return emit_one(primitive, Inputs(&x, 1), params);
  return emit_one(primitive, {to_floating(x)}, params);
}

Tensor astype(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype && !x.weak()) return x;
  if (is_complex(x.dtype()) && !is_complex(dtype) && dtype != DType::kBool) {
    fail<DTypeError>(
        "astype: {} cannot become {} without losing its imaginary part\n  hint: take real(x), "
        "imag(x) or abs(x)",
        to_string(x.type()), name_of(dtype));
  }
  return convert(x, {dtype, false});
}

Tensor bitcast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return astype(x, dtype);
  if (is_complex(dtype) != is_complex(x.dtype()))
    fail<DTypeError>("bitcast: {} and {} are not both complex or both real", to_string(x.type()),
                     name_of(dtype));
  if (size_of(dtype) != size_of(x.dtype())) {
    fail<DTypeError>("bitcast: expected a dtype of {} bytes for {}, got {} of {} bytes",
                     size_of(x.dtype()), to_string(x.type()), name_of(dtype), size_of(dtype));
  }
  return emit_one(bitcast_primitive(), {x}, BitcastParams{dtype});
}

}  // namespace linnet
