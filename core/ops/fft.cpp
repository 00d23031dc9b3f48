// Functions of linnet/fft.h.
#include "core/ops/fft.h"

#include <algorithm>
#include <cmath>

#include "core/ops/families.h"
#include "linnet/complex.h"
#include "linnet/detail/format.h"
#include "linnet/fft.h"
#include "linnet/numpy_arrays.h"

namespace linnet {
namespace {

const char* name_of(FftKind kind) {
  constexpr const char* kNames[] = {"fft", "ifft", "rfft", "irfft"};
  return kNames[static_cast<int>(kind)];
}

int64_t product(const std::vector<int64_t>& lengths) {
  int64_t out = 1;
  for (int64_t n : lengths) out *= n;
  return out;
}

/// Elements of the last axis of the half of a transform.
int64_t half(int64_t n) { return n / 2 + 1; }

TypeList infer_fft(const FftParams& p, Inputs x) {
  expect_operands("fft", 1, x);
  const TensorType type = x[0].type();
  const bool takes_real = p.kind == FftKind::kRealForward;
  const bool fits =
      takes_real ? type.dtype == DType::kF32 || type.dtype == DType::kF64 : is_complex(type.dtype);
  if (!fits) {
    fail<DTypeError>("{}: expected {}, got {}", name_of(p.kind),
                     takes_real ? "f32 or f64" : "a complex dtype", to_string(type));
  }
  const size_t rank = type.shape.size(), count = p.lengths.size();
  bool agrees = count > 0 && count <= rank;
  for (size_t i = 0; agrees && i < count; ++i) {
    const bool halved = i + 1 == count && p.kind == FftKind::kRealInverse;
    const int64_t size = halved ? half(p.lengths[i]) : p.lengths[i];
    agrees = p.lengths[i] > 0 && type.shape[rank - count + i] == size;
  }
  if (!agrees) {
    fail<ShapeError>("{}: lengths {} do not fit the last axes of {}", name_of(p.kind),
                     to_string(Shape(p.lengths)), to_string(type));
  }
  TensorType out{type.dtype, type.shape, false, type.device};
  if (p.kind == FftKind::kRealForward) {
    out.dtype = complex_dtype_of(type.dtype);
    out.shape[rank - 1] = half(p.lengths.back());
  } else if (p.kind == FftKind::kRealInverse) {
    out.dtype = real_dtype_of(type.dtype);
    out.shape[rank - 1] = p.lengths.back();
  }
  return {out};
}

Tensor transformed(FftKind kind, const Tensor& x, const std::vector<int64_t>& lengths) {
  return emit_one(fft_primitive(), {x}, FftParams{kind, lengths});
}

/// Of the half: the whole transform of what is zero in the other half.
Tensor transpose_real_forward(const std::vector<int64_t>& lengths, const Tensor& ct) {
  std::vector<PadDim> padding(ct.rank());
  padding.back().high = lengths.back() - ct.shape(-1);
  return real(transformed(FftKind::kForward, pad(ct, padding), lengths));
}

/// Every element of the half but the first, and for even lengths the last, counts twice.
Tensor transpose_real_inverse(const std::vector<int64_t>& lengths, const Tensor& ct) {
  const Tensor y = transformed(FftKind::kRealForward, ct, lengths);
  const Tensor index = iota(DType::kI32, {y.shape(-1)});
  const Tensor alone = lengths.back() % 2 == 0 ? index % static_cast<int>(y.shape(-1) - 1) : index;
  const double scale = 1 / static_cast<double>(product(lengths));
  const Tensor weight =
      where(equal(alone, 0), scalar(scale, ct.dtype()), scalar(2 * scale, ct.dtype()));
  return conj(y * weight);
}

}  // namespace

const Primitive& fft_primitive() {
  static const Primitive& p = define(LinearMap<FftParams>{
      .name = "fft",
      .infer = infer_fft,
      .transpose =
          [](const FftParams& q, Inputs, const Tensor& ct) {
            if (q.kind == FftKind::kRealForward)
              return TensorList{transpose_real_forward(q.lengths, ct)};
            if (q.kind == FftKind::kRealInverse)
              return TensorList{transpose_real_inverse(q.lengths, ct)};
            return TensorList{transformed(q.kind, ct, q.lengths)};  // a symmetric matrix
          },
      .batch = [](const FftParams& q,
                  const BatchedInputs& in) { return emit(fft_primitive(), in.x, q); },
      .complex = true});
  return p;
}

void define_fft() { fft_primitive(); }

namespace fft {
namespace {

/// Cropped or padded with zeros behind.
Tensor with_size(const Tensor& x, int64_t size, int64_t axis) {
  const int64_t have = x.shape(axis);
  if (size == have) return x;
  if (size < have) return slice_axis(x, 0, size, axis);
  std::vector<PadDim> padding(x.rank());
  padding[static_cast<size_t>(axis)].high = size - have;
  return pad(x, padding);
}

/// The operand in a dtype that the transform takes.
Tensor fitting(const char* operation, FftKind kind, const Tensor& x) {
  if (kind == FftKind::kRealForward) {
    if (is_complex(x.dtype())) {
      fail<DTypeError>("{}: expected a real tensor, got {}\n  hint: fft takes complex ones",
                       operation, to_string(x.type()));
    }
    return astype(x, x.dtype() == DType::kF64 ? DType::kF64 : DType::kF32);
  }
  return astype(x, complex_dtype_of(x.dtype()));
}

/// Which axes are transformed, and how many elements each has on the real side.
struct Plan {
  Axes axes;
  std::vector<int64_t> lengths;
};

Plan planned(const char* operation, FftKind kind, const Tensor& x, const Lengths& s,
             const TransformAxes& axes) {
  Plan plan;
  if (axes) {
    plan.axes = normalize_axes(Axes(*axes), x.rank(), operation);
  } else {
    const size_t count = s ? s->size() : x.rank();
    if (count > x.rank()) {
      fail<ShapeError>("{}: {} lengths for {}", operation, count, to_string(x.type()));
    }
    for (size_t i = x.rank() - count; i < x.rank(); ++i)
      plan.axes.push_back(static_cast<int64_t>(i));
  }
  if (plan.axes.empty())
    fail<ShapeError>("{}: expected at least one axis of {}", operation, to_string(x.type()));
  if (s && s->size() != plan.axes.size()) {
    fail<ShapeError>("{}: {} lengths for {} axes", operation, s->size(), plan.axes.size());
  }
  for (size_t i = 0; i < plan.axes.size(); ++i) {
    const bool halved = kind == FftKind::kRealInverse && i + 1 == plan.axes.size();
    const int64_t size = x.shape(plan.axes[i]);
    plan.lengths.push_back(s ? (*s)[i] : halved ? 2 * (size - 1) : size);
    if (plan.lengths.back() < 1) {
      fail<ShapeError>("{}: expected at least one element along axis {} of {}, got {}", operation,
                       plan.axes[i], to_string(x.type()), plan.lengths.back());
    }
  }
  return plan;
}

bool inverse(FftKind kind) { return kind == FftKind::kInverse || kind == FftKind::kRealInverse; }

/// The factor on top of what the primitive divides by.
double factor_of(bool divided, bool is_inverse, Norm norm, double count) {
  const double divisor = norm == Norm::kOrtho                      ? std::sqrt(count)
                         : is_inverse == (norm == Norm::kBackward) ? count
                                                                   : 1;
  return (divided ? count : 1) / divisor;
}

Tensor scaled(const Tensor& x, double factor) { return factor == 1 ? x : x * factor; }

/// The transform of the planned axes, without a norm but that of the primitive.
Tensor plain(const char* operation, FftKind kind, const Tensor& x, const Plan& plan) {
  Tensor y = fitting(operation, kind, x);
  const size_t count = plan.axes.size();
  for (size_t i = 0; i < count; ++i) {
    const bool halved = kind == FftKind::kRealInverse && i + 1 == count;
    y = with_size(y, halved ? half(plan.lengths[i]) : plan.lengths[i], plan.axes[i]);
  }
  // The axes go last in their order.
  Axes order;
  for (int64_t axis = 0; axis < static_cast<int64_t>(y.rank()); ++axis) {
    if (std::find(plan.axes.begin(), plan.axes.end(), axis) == plan.axes.end())
      order.push_back(axis);
  }
  for (int64_t axis : plan.axes) order.push_back(axis);
  Axes back(order.size());
  bool moves = false;
  for (size_t i = 0; i < order.size(); ++i) {
    back[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
    moves |= order[i] != static_cast<int64_t>(i);
  }
  if (!moves) return transformed(kind, y, plan.lengths);
  return transpose(transformed(kind, transpose(y, order), plan.lengths), back);
}

Tensor several(const char* operation, FftKind kind, const Tensor& x, const Lengths& s,
               const TransformAxes& axes, Norm norm) {
  const Plan plan = planned(operation, kind, x, s, axes);
  const double count = static_cast<double>(product(plan.lengths));
  return scaled(plain(operation, kind, x, plan),
                factor_of(inverse(kind), inverse(kind), norm, count));
}

Tensor single(const char* operation, FftKind kind, const Tensor& x, std::optional<int64_t> n,
              int64_t axis, Norm norm) {
  return several(operation, kind, x, n ? Lengths{{*n}} : Lengths{}, {{axis}}, norm);
}

void require_positive(const char* operation, int64_t n) {
  if (n < 1) fail<ValueError>("{}: expected at least one element, got {}", operation, n);
}

Tensor shifted(const char* operation, const Tensor& x, const TransformAxes& axes, bool back) {
  Axes along = axes ? normalize_axes(Axes(*axes), x.rank(), operation) : Axes();
  if (!axes) {
    for (size_t i = 0; i < x.rank(); ++i) along.push_back(static_cast<int64_t>(i));
  }
  std::vector<int64_t> shifts;
  for (int64_t axis : along) {
    const int64_t middle = x.shape(axis) / 2;
    shifts.push_back(back ? -middle : middle);
  }
  return along.empty() ? x : roll(x, shifts, along);
}

}  // namespace

Tensor fft(const Tensor& x, std::optional<int64_t> n, int64_t axis, Norm norm) {
  return single("fft", FftKind::kForward, x, n, axis, norm);
}
Tensor ifft(const Tensor& x, std::optional<int64_t> n, int64_t axis, Norm norm) {
  return single("ifft", FftKind::kInverse, x, n, axis, norm);
}
Tensor rfft(const Tensor& x, std::optional<int64_t> n, int64_t axis, Norm norm) {
  return single("rfft", FftKind::kRealForward, x, n, axis, norm);
}
Tensor irfft(const Tensor& x, std::optional<int64_t> n, int64_t axis, Norm norm) {
  return single("irfft", FftKind::kRealInverse, x, n, axis, norm);
}

Tensor hfft(const Tensor& x, std::optional<int64_t> n, int64_t axis, Norm norm) {
  const Plan plan =
      planned("hfft", FftKind::kRealInverse, x, n ? Lengths{{*n}} : Lengths{}, {{axis}});
  return scaled(plain("hfft", FftKind::kRealInverse, conj(x), plan),
                factor_of(true, false, norm, static_cast<double>(plan.lengths[0])));
}
Tensor ihfft(const Tensor& x, std::optional<int64_t> n, int64_t axis, Norm norm) {
  const Plan plan =
      planned("ihfft", FftKind::kRealForward, x, n ? Lengths{{*n}} : Lengths{}, {{axis}});
  return scaled(conj(plain("ihfft", FftKind::kRealForward, x, plan)),
                factor_of(false, true, norm, static_cast<double>(plan.lengths[0])));
}

Tensor fftn(const Tensor& x, const Lengths& s, const TransformAxes& axes, Norm norm) {
  return several("fftn", FftKind::kForward, x, s, axes, norm);
}
Tensor ifftn(const Tensor& x, const Lengths& s, const TransformAxes& axes, Norm norm) {
  return several("ifftn", FftKind::kInverse, x, s, axes, norm);
}
Tensor rfftn(const Tensor& x, const Lengths& s, const TransformAxes& axes, Norm norm) {
  return several("rfftn", FftKind::kRealForward, x, s, axes, norm);
}
Tensor irfftn(const Tensor& x, const Lengths& s, const TransformAxes& axes, Norm norm) {
  return several("irfftn", FftKind::kRealInverse, x, s, axes, norm);
}
Tensor fft2(const Tensor& x, const Lengths& s, const TransformAxes& axes, Norm norm) {
  return several("fft2", FftKind::kForward, x, s, axes, norm);
}
Tensor ifft2(const Tensor& x, const Lengths& s, const TransformAxes& axes, Norm norm) {
  return several("ifft2", FftKind::kInverse, x, s, axes, norm);
}
Tensor rfft2(const Tensor& x, const Lengths& s, const TransformAxes& axes, Norm norm) {
  return several("rfft2", FftKind::kRealForward, x, s, axes, norm);
}
Tensor irfft2(const Tensor& x, const Lengths& s, const TransformAxes& axes, Norm norm) {
  return several("irfft2", FftKind::kRealInverse, x, s, axes, norm);
}

Tensor fftfreq(int64_t n, double d, DType dtype) {
  require_positive("fftfreq", n);
  const Tensor index = iota(DType::kI32, {n});
  const Tensor signed_index = where(index < (n + 1) / 2, index, index - n);
  return astype(signed_index, dtype) / scalar(d * static_cast<double>(n), dtype);
}
Tensor rfftfreq(int64_t n, double d, DType dtype) {
  require_positive("rfftfreq", n);
  return iota(dtype, {half(n)}) / scalar(d * static_cast<double>(n), dtype);
}

Tensor fftshift(const Tensor& x, const TransformAxes& axes) {
  return shifted("fftshift", x, axes, false);
}
Tensor ifftshift(const Tensor& x, const TransformAxes& axes) {
  return shifted("ifftshift", x, axes, true);
}

}  // namespace fft
}  // namespace linnet
