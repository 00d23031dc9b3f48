#include "core/ops/creation.h"
#include "core/memory/owners.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/ops/elementwise.h"
#include "core/ops/families.h"
#include "core/tensor/checked_size.h"
#include "core/tensor/host_access.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"
#include "linnet/trace.h"
#include "linnet/visit_dtype.h"

namespace linnet {

const Primitive& iota_primitive() {
  static const Primitive& p =
      define(Opaque<IotaParams>{.name = "iota", .infer = [](const IotaParams& p, Inputs) {
                                  checked_element_count("iota", p.shape);
                                  return TypeList{{p.dtype, p.shape, false, p.device}};
                                }});
  return p;
}

const Primitive& copy_primitive() {
  static const Primitive& p = define(Elementwise<NoParams>{
      .name = "copy",
      .arity = 1,
      .vjp = [](const NoParams&, Inputs, Outputs, const Tensor& ct) { return TensorList{ct}; },
      .accepts = Accepts::kAny,
      .linear = true,
      .saves_inputs = 0,
      .saves_outputs = 0,
      .complex = true});
  return p;
}

void define_creation() {
  iota_primitive();
  copy_primitive();
}

Tensor dense_copy(const Tensor& tensor) {
  if (tensor.traced()) return emit_one(copy_primitive(), Inputs(&tensor, 1));
  const TraceScope eager(nullptr);
  return emit_one(copy_primitive(), Inputs(&tensor, 1));
}

namespace {

template <class Word>
void fill_words(std::byte* out, const std::byte* value, int64_t count) {
  Word word;
  std::memcpy(&word, value, sizeof word);
  std::fill_n(reinterpret_cast<Word*>(out), count, word);
}

/// Dense memory instead of a view, since most such tensors are state that is about to be updated.
Tensor fill_dense(const Tensor& value, const Shape& shape) {
  allocating_for = "full";
  Tensor out = make_uninitialized(value.dtype(), shape, value.device(), value.weak());
  const std::byte* bits = value.impl()->data;
  const int64_t count = out.size();
  switch (size_of(value.dtype())) {
    case 1:
      fill_words<uint8_t>(mutable_data(out), bits, count);
      break;
    case 2:
      fill_words<uint16_t>(mutable_data(out), bits, count);
      break;
    case 4:
      fill_words<uint32_t>(mutable_data(out), bits, count);
      break;
    case 8:
      fill_words<uint64_t>(mutable_data(out), bits, count);
      break;
    default:
      for (int64_t i = 0; i < count; ++i) std::memcpy(mutable_data(out) + i * 16, bits, 16);
  }
  return out;
}

Tensor from_doubles(const std::vector<double>& values, DType dtype) {
  allocating_for = "arange";
  Tensor out = make_uninitialized(dtype, {static_cast<int64_t>(values.size())}, kCpu);
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    T* to = reinterpret_cast<T*>(mutable_data(out));
    for (size_t i = 0; i < values.size(); ++i) {
      if constexpr (std::is_same_v<T, bool>)
        to[i] = values[i] != 0;
      else if constexpr (std::is_integral_v<T> || sizeof(T) > 2)
        to[i] = static_cast<T>(values[i]);
      else
        to[i] = T(static_cast<float>(values[i]));
    }
  });
  return out.to(default_device());
}

/// Real numbers in a complex dtype are made in the dtype of their parts.
template <class Make>
Tensor made_real(DType dtype, Make make) {
  return is_complex(dtype) ? astype(make(real_dtype_of(dtype)), dtype) : make(dtype);
}

/// An integer type that counts to the largest of `sizes` and twice as far.
DType counting_dtype(std::initializer_list<int64_t> sizes) {
  return std::max(sizes) < (int64_t{1} << 30) ? DType::kI32 : DType::kI64;
}

/// Row numbers plus `k`, and column numbers. A diagonal that lies outside does so by one element.
std::pair<Tensor, Tensor> diagonals(int64_t rows, int64_t columns, int64_t k) {
  const Shape shape{rows, columns};
  const DType dtype = counting_dtype({rows, columns});
  const int64_t near = std::clamp(k, -rows - 1, columns + 1);
  return {iota(dtype, shape, 0) + near, iota(dtype, shape, 1)};
}

/// True in the lower triangle, including the `k`-th diagonal.
Tensor lower_mask(Device device, int64_t rows, int64_t columns, int64_t k) {
  const ScopedDevice here(device);
  const auto [row, column] = diagonals(rows, columns, k);
  return greater_equal(row, column);
}

Tensor triangle(const char* operation, const Tensor& x, int64_t k, bool lower) {
  if (x.rank() < 2)
    fail<ShapeError>("{}: expected at least two dimensions, got {}", operation,
                     to_string(x.type()));
  const int64_t near = std::clamp(k, -x.shape(-2) - 1, x.shape(-1) + 1);
  const Tensor mask = lower_mask(x.device(), x.shape(-2), x.shape(-1), lower ? near : near - 1);
  const Tensor zero = scalar(0, x.dtype());
  return lower ? where(mask, x, zero) : where(mask, zero, x);
}

}  // namespace

Tensor filled(const Tensor& value, const Shape& shape, Device device) {
  if (current_trace() == nullptr && value.impl()->concrete() && device.host())
    return fill_dense(host_view(value), shape);
  const Tensor repeated = broadcast_in_dim(value.to(device), shape, {});
  return current_trace() == nullptr ? repeated.contiguous() : repeated;
}

Tensor zeros_of(const TensorType& type) {
  return filled(scalar(0, type.dtype), type.shape, type.device);
}

Tensor zeros(const Shape& shape, DType dtype) {
  return filled(scalar(0, dtype), shape, default_device());
}
Tensor ones(const Shape& shape, DType dtype) {
  return filled(scalar(1, dtype), shape, default_device());
}

Tensor full(const Shape& shape, const Tensor& value, std::optional<DType> dtype) {
  if (value.rank() != 0) {
    fail<ShapeError>(
        "full: expected a value without dimensions, got {}\n  hint: broadcast_to repeats a larger "
        "tensor",
        to_string(value.type()));
  }
  const Device device = value.device().host() ? default_device() : value.device();
  return filled(dtype ? astype(value, *dtype) : value, shape, device);
}

Tensor zeros_like(const Tensor& x) {
  return filled(convert(scalar(0, x.dtype()), {x.dtype(), x.weak()}), x.shape(), x.device());
}
Tensor ones_like(const Tensor& x) {
  return filled(convert(scalar(1, x.dtype()), {x.dtype(), x.weak()}), x.shape(), x.device());
}
Tensor full_like(const Tensor& x, const Tensor& value) {
  const ScopedDevice here(x.device());
  return full(x.shape(), value, x.dtype());
}

Tensor iota(DType dtype, const Shape& shape, int64_t axis) {
  return iota_on(default_device(), dtype, shape, axis);
}

Tensor iota_on(Device device, DType dtype, const Shape& shape, int64_t axis) {
  if (dtype == DType::kBool) fail<DTypeError>("iota: expected a numeric dtype, got bool");
  return made_real(dtype, [&](DType real) {
    return emit_one(iota_primitive(), Inputs{},
                    IotaParams{real, shape, normalize_axis(axis, shape.size(), "iota"), device});
  });
}

Tensor arange(int64_t stop, DType dtype) { return arange(int64_t{0}, stop, int64_t{1}, dtype); }

Tensor arange(double start, double stop, double step, DType dtype) {
  const double count = std::ceil((stop - start) / step);
  if (!(std::abs(count) < 0x1p48)) {
    fail<ValueError>("arange: from {} to {} in steps of {} is not a finite number of values", start,
                     stop, step);
  }
  std::vector<double> values(static_cast<size_t>(std::max(count, 0.0)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = start + static_cast<double>(i) * step;
  return made_real(dtype, [&](DType real) { return from_doubles(values, real); });
}

namespace {

bool holds(DType dtype, int64_t value) {
  const IntInfo info = iinfo(dtype);
  return value < 0 ? value >= info.min : static_cast<uint64_t>(value) <= info.max;
}

}  // namespace

Tensor arange(int64_t start, int64_t stop, int64_t step, DType dtype) {
  if (step == 0) fail<ValueError>("arange: the step must not be 0");
  // Unsigned, since neither the distance nor the magnitude of the step need fit a signed number.
  const uint64_t from = static_cast<uint64_t>(start), to = static_cast<uint64_t>(stop);
  const bool empty = step > 0 ? stop <= start : stop >= start;
  const uint64_t distance = step > 0 ? to - from : from - to;
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  const uint64_t values = empty ? 0 : (distance - 1) / stride + 1;
  if (values > static_cast<uint64_t>(kMostElements)) {
    fail<ShapeError>("arange: from {} to {} in steps of {} are more values than can be addressed",
                     start, stop, step);
  }
  const int64_t count = static_cast<int64_t>(values);
  const int64_t last =
      static_cast<int64_t>(from + (values == 0 ? 0 : values - 1) * static_cast<uint64_t>(step));
  if (count > 0 && is_integer(dtype) && !(holds(dtype, start) && holds(dtype, last))) {
    fail<ValueError>("arange: the values from {} to {} do not fit {}", start, last, name_of(dtype));
  }
  const Tensor counted = iota(dtype, {count});
  if (start == 0 && step == 1) return counted;
  return counted * scalar_integer(step, dtype) + scalar_integer(start, dtype);
}

Tensor linspace(double start, double stop, int64_t count, DType dtype) {
  if (count < 0) fail<ValueError>("linspace: the count must not be negative, got {}", count);
  std::vector<double> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const double t = count == 1 ? 0 : static_cast<double>(i) / static_cast<double>(count - 1);
    const double value = i + 1 == count && count > 1 ? stop : start + (stop - start) * t;
    values[static_cast<size_t>(i)] = is_inexact(dtype) ? value : std::floor(value);
  }
  return made_real(dtype, [&](DType real) { return from_doubles(values, real); });
}

Tensor eye(int64_t n, int64_t m, int64_t k, DType dtype) {
  if (n < 0) fail<ShapeError>("eye: the number of rows must not be negative, got {}", n);
  const auto [row, column] = diagonals(n, m < 0 ? n : m, k);
  return astype(equal(row, column), dtype);
}

Tensor tril(const Tensor& x, int64_t k) { return triangle("tril", x, k, true); }
Tensor triu(const Tensor& x, int64_t k) { return triangle("triu", x, k, false); }

Tensor one_hot(const Tensor& x, int64_t classes, DType dtype, int64_t axis) {
  if (classes < 0)
    fail<ValueError>("one_hot: the number of classes must not be negative, got {}", classes);
  const int64_t position = normalize_axis(axis, x.rank() + 1, "one_hot");
  Shape result = x.shape();
  result.insert(static_cast<size_t>(position), classes);
  checked_element_count("one_hot", result);
  // Narrow types cannot count all classes.
  const bool many =
      classes > (is_floating(x.dtype()) ? int64_t{1} << 24 : std::numeric_limits<int32_t>::max());
  const DType index = size_of(x.dtype()) == 8   ? x.dtype()
                      : is_floating(x.dtype())  ? (many ? DType::kF64 : DType::kF32)
                      : many                    ? DType::kI64
                      : size_of(x.dtype()) == 4 ? x.dtype()
                                                : DType::kI32;
  Shape counted(x.rank() + 1, 1);
  counted[position] = classes;
  return astype(
      equal(expand_dims(astype(x, index), position), iota_on(x.device(), index, counted, position)),
      dtype);
}

}  // namespace linnet
