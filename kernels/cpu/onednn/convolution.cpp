#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/onednn/compat.h"
#include "kernels/cpu/onednn/convolution_pieces.h"
#include "kernels/cpu/onednn/epilogue.h"
#include "kernels/cpu/onednn/onednn.h"
#include "kernels/cpu/onednn/parts.h"
#include "kernels/cpu/onednn/pipeline.h"
#include "kernels/cpu/onednn/process_end.h"
#include "kernels/cpu/onednn/thread_scope.h"
#include "linnet/deterministic.h"
#include "linnet/error.h"
#include "linnet/parallel.h"

namespace linnet::cpu::onednn {
namespace {

int64_t at_or(const Shape& values, size_t i, int64_t fallback) {
  return values.empty() ? fallback : values[i];
}

/// Reason to decline, or empty.
/// The library's kernels count in 32 bits.
bool countable(const ConvSpec& s) {
  const auto fits = [](std::span<const int64_t> values) {
    return std::all_of(values.begin(), values.end(),
                       [](int64_t v) { return v <= std::numeric_limits<int32_t>::max(); });
  };
  return fits(std::array{s.batch, s.in_channels, s.out_channels}) && fits(s.in_size) &&
         fits(s.kernel_size) && fits(s.strides) && fits(s.dilation) && fits(s.padding_low) &&
         fits(s.padding_high) && fits(s.out_size());
}

std::string reason_to_decline(const ConvSpec& s) {
  const size_t rank = s.in_size.size();
  if (rank < 1 || rank > 3) return fmt::format("{} spatial dimensions", rank);
  if (s.dtype != DType::kF32 && s.dtype != DType::kBF16)
    return fmt::format("dtype {}", name_of(s.dtype));
  if (s.out_dtype != s.dtype && s.out_dtype != DType::kF32)
    return fmt::format("result dtype {}", name_of(s.out_dtype));
  if (s.has_bias && s.bias_dtype != s.out_dtype && s.bias_dtype != DType::kF32) {
    return fmt::format("bias dtype {}", name_of(s.bias_dtype));
  }
  if (s.batch < 1 || s.in_channels < 1 || s.out_channels < 1) return "an empty operand";
  if (!countable(s)) return "sizes beyond 32 bits";
  for (size_t i = 0; i < rank; ++i) {
    if (s.in_size[i] < 1 || s.kernel_size[i] < 1) return "an empty operand";
    if (at_or(s.lhs_dilation, i, 1) != 1) return "dilation of the input";
    if (at_or(s.padding_low, i, 0) < 0 || at_or(s.padding_high, i, 0) < 0)
      return "negative padding";
  }
  for (int64_t size : s.out_size()) {
    if (size < 1) return "an empty result";
  }
  return {};
}

ConvWindow window_of(const ConvSpec& s) {
  ConvWindow w;
  for (size_t i = 0; i < s.in_size.size(); ++i) {
    w.strides.push_back(at_or(s.strides, i, 1));
    w.dilation.push_back(at_or(s.dilation, i, 1) - 1);
    w.padding_low.push_back(at_or(s.padding_low, i, 0));
    w.padding_high.push_back(at_or(s.padding_high, i, 0));
  }
  return w;
}

/// oneDNN names dimensions (batch, channels, spatial...) whatever the memory order is.
Dims activation_dims(int64_t batch, int64_t channels, const Shape& size) {
  Dims dims{batch, channels};
  dims.insert(dims.end(), size.begin(), size.end());
  return dims;
}

Desc channels_last(const Dims& dims, DType dtype) {
  Dims strides(dims.size());
  int64_t step = dims[1];
  strides[1] = 1;
  for (size_t i = dims.size(); i-- > 2;) {
    strides[i] = step;
    step *= dims[i];
  }
  strides[0] = step;
  return strided_desc(dims, dtype, strides);
}

/// ([groups,] out / groups, in / groups, kernel...).
Dims weight_dims(const ConvSpec& s) {
  Dims dims;
  if (s.groups > 1) dims.push_back(s.groups);
  dims.push_back(s.out_channels / s.groups);
  dims.push_back(s.in_channels / s.groups);
  dims.insert(dims.end(), s.kernel_size.begin(), s.kernel_size.end());
  return dims;
}

/// Memory order (kernel..., in / groups, out); the group is the slower part of `out`.
Desc weights_as_given(const ConvSpec& s, DType dtype) {
  const Dims dims = weight_dims(s);
  const size_t first = s.groups > 1 ? 1 : 0;
  Dims strides(dims.size());
  if (first) strides[0] = s.out_channels / s.groups;
  strides[first] = 1;
  strides[first + 1] = s.out_channels;
  int64_t step = s.out_channels * dims[first + 1];
  for (size_t i = dims.size(); i-- > first + 2;) {
    strides[i] = step;
    step *= dims[i];
  }
  return strided_desc(dims, dtype, strides);
}

struct ConvDescs {
  ConvWindow window;
  Dims x_dims, y_dims, w_dims;
};

ConvDescs describe(const ConvSpec& s) {
  return {window_of(s), activation_dims(s.batch, s.in_channels, s.in_size),
          activation_dims(s.batch, s.out_channels, s.out_size()), weight_dims(s)};
}

/// Sizes from which Winograd pays although activations are converted to blocks of 16 channels and
/// back, measured by benchmarks/workshop/onednn_conv.cpp.
constexpr int64_t kLeastForward = 14;
constexpr int64_t kLeastBackward = 28;

bool prefer_winograd(const ConvSpec& s, int64_t least_size) {
  if (!kHasWinograd || !s.allow_winograd) return false;
  if (s.dtype != DType::kF32 || s.groups != 1 || s.in_size.size() != 2) return false;
  if (s.in_channels % 16 || s.out_channels % 16 || s.in_channels < 32 || s.out_channels < 32)
    return false;
  for (size_t i = 0; i < 2; ++i) {
    if (s.kernel_size[i] != 3 || at_or(s.strides, i, 1) != 1 || at_or(s.dilation, i, 1) != 1)
      return false;
    // oneDNN 2.6.3 gives wrong input gradients for unequal padding.
    const int64_t padding = at_or(s.padding_low, i, 0);
    if (padding > 1 || padding != at_or(s.padding_high, i, 0) || s.in_size[i] < least_size)
      return false;
  }
  return true;
}

/// `make(spec, winograd, apart)`; a refused Winograd falls back to the direct sum.
template <class Make>
std::unique_ptr<Prepared> make_piece(const ConvSpec& spec, int64_t least_winograd, Make make,
                                     Desc* apart) {
  if (prefer_winograd(spec, least_winograd)) {
    try {
      return make(spec, true, apart);
    } catch (const dnnl::error&) {
      // Expected for sizes the Winograd kernels do not cover.
    }
  }
  return make(spec, false, apart);
}

/// Threads worth having, one part of the work for each.
int64_t useful_parts(const ConvSpec& s) {
  if (is_deterministic()) return 1;
  const int64_t pixels = s.batch * element_count(s.out_size());
  const int64_t products =
      pixels * s.out_channels * (s.in_channels / s.groups) * element_count(s.kernel_size);
  return std::clamp<int64_t>(2 * products / kParallelWork, 1, num_threads());
}

/// The kernel that `make(parts)` makes, unless there is a reason against or the library refuses.
/// It refuses some shapes of few images that it takes in larger batches, so fewer parts are tried.
template <class Make>
PrepareResult prepare(const ConvSpec& spec, const char* what, Make make) {
  if (std::string reason = reason_to_decline(spec); !reason.empty())
    return {nullptr, std::move(reason)};
  if (process_ends()) return {nullptr, "the process ends"};
  const OneThreadScope scope;
  for (int64_t parts = useful_parts(spec);; parts /= 2) {
    try {
      return {make(parts), {}};
    } catch (const dnnl::error& e) {
      if (parts == 1)
        return {nullptr, fmt::format("oneDNN has no {} for this case ({})", what, e.message)};
    }
  }
}

dnnl::algorithm algorithm_of(bool winograd) {
  return winograd ? dnnl::algorithm::convolution_winograd : dnnl::algorithm::convolution_direct;
}

Desc activations(const Dims& dims, DType dtype, bool winograd) {
  return winograd ? any_desc(dims, dtype) : channels_last(dims, dtype);
}

/// Weights as a kernel wants them: made from the given ones by a step of it, or, if `apart` says
/// where to tell their layout, by the caller.
int add_weights(PipelineBuilder& b, const ConvSpec& s, const Desc& wanted, Desc* apart) {
  if (!apart) return b.converted(b.input(1, weights_as_given(s, s.dtype)), wanted);
  *apart = wanted;
  return b.input(1, wanted);
}

// Inference would want weights that are already in the Winograd domain, and the reorder into it
// takes longer than the transform inside the training kernel.
std::unique_ptr<Prepared> make_linear_forward(const ConvSpec& s, bool winograd, Desc* apart) {
  const ConvDescs d = describe(s);
  const Desc bias = s.has_bias ? strided_desc({s.out_channels}, s.bias_dtype, {1}) : Desc();
  const auto pd = make_conv_forward(
      algorithm_of(winograd), activations(d.x_dims, s.dtype, winograd), any_desc(d.w_dims, s.dtype),
      bias, activations(d.y_dims, s.out_dtype, winograd), d.window, caller_scratchpad(),
      /*training=*/winograd);
  PipelineBuilder b;
  const int y = b.output(0, channels_last(d.y_dims, s.out_dtype));
  const int x = b.converted(b.input(0, channels_last(d.x_dims, s.dtype)), pd.src_desc());
  const int w = add_weights(b, s, pd.weights_desc(), apart);
  const int result = b.writable_as(y, pd.dst_desc());
  PipelineBuilder::Arguments arguments{
      {DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, result}};
  if (s.has_bias) arguments.emplace_back(DNNL_ARG_BIAS, b.input(2, bias));
  b.step(dnnl::convolution_forward(pd), pd.scratchpad_desc(), std::move(arguments));
  b.copy_back(result, y);
  return b.finish(implementation_of(pd));
}

std::unique_ptr<Prepared> make_forward(const ConvSpec& s, bool winograd, Desc* apart) {
  std::unique_ptr<Prepared> linear = make_linear_forward(s, winograd, apart);
  if (!s.activation) return linear;
  Shape shape{s.batch};
  for (const int64_t size : s.out_size()) shape.push_back(size);
  shape.push_back(s.out_channels);
  const Strides dense = dense_strides(shape);
  return with_epilogue(std::move(linear),
                       {*s.activation, /*has_residual=*/false, s.out_dtype, shape, dense});
}

/// oneDNN wants the forward descriptor next to the backward one.
dnnl::convolution_forward::primitive_desc forward_hint(const ConvSpec& s, const ConvDescs& d,
                                                       bool winograd) {
  return make_conv_forward(
      algorithm_of(winograd), activations(d.x_dims, s.dtype, winograd), any_desc(d.w_dims, s.dtype),
      Desc(), activations(d.y_dims, s.dtype, winograd), d.window, caller_scratchpad(), true);
}

std::unique_ptr<Prepared> make_backward_data(const ConvSpec& s, bool winograd, Desc* apart) {
  const ConvDescs d = describe(s);
  const auto pd =
      make_conv_backward_data(algorithm_of(winograd), activations(d.x_dims, s.out_dtype, winograd),
                              any_desc(d.w_dims, s.dtype), activations(d.y_dims, s.dtype, winograd),
                              d.window, forward_hint(s, d, winograd), caller_scratchpad());
  PipelineBuilder b;
  const int dx = b.output(0, channels_last(d.x_dims, s.out_dtype));
  const int dy = b.converted(b.input(0, channels_last(d.y_dims, s.dtype)), pd.diff_dst_desc());
  const int w = add_weights(b, s, pd.weights_desc(), apart);
  const int result = b.writable_as(dx, pd.diff_src_desc());
  b.step(dnnl::convolution_backward_data(pd), pd.scratchpad_desc(),
         {{DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DIFF_SRC, result}});
  b.copy_back(result, dx);
  return b.finish(implementation_of(pd));
}

/// If `apart` is given, the gradient is left in the layout it is made in, which is told there.
std::unique_ptr<Prepared> make_backward_weights(const ConvSpec& s, bool winograd, Desc* apart) {
  const ConvDescs d = describe(s);
  const Desc bias = s.has_bias ? strided_desc({s.out_channels}, s.bias_dtype, {1}) : Desc();
  const auto pd = make_conv_backward_weights(
      algorithm_of(winograd), activations(d.x_dims, s.dtype, winograd),
      any_desc(d.w_dims, s.out_dtype), bias, activations(d.y_dims, s.dtype, winograd), d.window,
      forward_hint(s, d, winograd), caller_scratchpad());
  PipelineBuilder b;
  const Desc made = pd.diff_weights_desc();
  const int dw = b.output(0, apart ? made : weights_as_given(s, s.out_dtype));
  if (apart) *apart = made;
  const int x = b.converted(b.input(0, channels_last(d.x_dims, s.dtype)), pd.src_desc());
  const int dy = b.converted(b.input(1, channels_last(d.y_dims, s.dtype)), pd.diff_dst_desc());
  const int result = b.writable_as(dw, made);
  PipelineBuilder::Arguments arguments{
      {DNNL_ARG_SRC, x}, {DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_DIFF_WEIGHTS, result}};
  if (s.has_bias) arguments.emplace_back(DNNL_ARG_DIFF_BIAS, b.output(1, bias));
  b.step(dnnl::convolution_backward_weights(pd), pd.scratchpad_desc(), std::move(arguments));
  b.copy_back(result, dw);
  return b.finish(implementation_of(pd));
}

std::unique_ptr<Prepared> reorder_between(const Desc& from, const Desc& to) {
  PipelineBuilder b;
  b.copy_back(b.input(0, from), b.output(0, to));
  return b.finish("reorder");
}

/// A change of the layout of weights, divided by output channels or groups.
std::unique_ptr<Prepared> make_conversion(const Desc& from, const Desc& to, const Dims& dims,
                                          int64_t most) {
  constexpr int64_t kGranule = 64;  // no format of the library has larger blocks
  const int64_t count = std::min(most, dims[0] / kGranule);
  if (count < 2) return reorder_between(from, to);
  std::vector<Part> parts;
  for (int64_t i = 0; i < count; ++i) {
    const PartRange range = part_range(dims[0], count, i, kGranule);
    Dims size = dims, offset(dims.size(), 0);
    size[0] = range.size();
    offset[0] = range.first;
    parts.push_back(
        {reorder_between(from.submemory_desc(size, offset), to.submemory_desc(size, offset)),
         {0},
         {0}});
  }
  return in_parts(std::move(parts));
}

/// Where the operands of a piece that are not shared by all lie.
struct PieceOffsets {
  std::vector<int64_t> inputs, outputs;
};

/// Pieces that share weights, which are converted once for all.
template <class Make, class Offsets>
std::unique_ptr<Prepared> make_pieces(const ConvSpec& spec, const std::vector<ConvPiece>& pieces,
                                      int64_t least_winograd, Make make, Offsets offsets) {
  if (pieces.size() == 1) return make_piece(spec, least_winograd, make, nullptr);
  const auto make_all = [&](std::vector<Desc>* apart) {
    std::vector<Part> parts;
    for (const ConvPiece& piece : pieces) {
      auto kernel =
          make_piece(piece.spec, least_winograd, make, apart ? &apart->emplace_back() : nullptr);
      PieceOffsets at = offsets(piece);
      parts.push_back({std::move(kernel), std::move(at.inputs), std::move(at.outputs)});
    }
    return in_parts(std::move(parts));
  };
  std::vector<Desc> wanted;
  auto whole = make_all(&wanted);
  const Desc& first = wanted[0];
  if (std::any_of(wanted.begin(), wanted.end(), [&](const Desc& d) { return d != first; }))
    return make_all(nullptr);
  const Desc given = weights_as_given(spec, spec.dtype);
  if (first == given) return whole;
  auto conversion =
      make_conversion(given, first, weight_dims(spec), static_cast<int64_t>(pieces.size()));
  return with_converted_input(std::move(whole), 1, std::move(conversion), first.get_size());
}

/// The gradient of the weights as a sum over pieces.
std::unique_ptr<Prepared> make_summed_pieces(const ConvSpec& spec, std::vector<ConvPiece> pieces) {
  std::vector<Part> parts;
  std::vector<Desc> made;
  const auto in = static_cast<int64_t>(size_of(spec.dtype));
  for (ConvPiece& piece : pieces) {
    piece.spec.out_dtype = piece.spec.bias_dtype = DType::kF32;
    auto kernel =
        make_piece(piece.spec, kLeastBackward, make_backward_weights, &made.emplace_back());
    parts.push_back({std::move(kernel), {piece.x_offset * in, piece.y_offset * in}, {}});
  }
  const Desc& first = made[0];
  // Terms can be added up only if they are laid out alike.
  if (std::any_of(made.begin(), made.end(), [&](const Desc& d) { return d != first; }))
    return make_piece(spec, kLeastBackward, make_backward_weights, nullptr);
  const auto most = static_cast<int64_t>(pieces.size());
  const auto count = [](const Desc& d) {
    return static_cast<int64_t>(d.get_size() / sizeof(float));
  };
  std::vector<SummedOutput> outputs;
  const Desc weights = weights_as_given(spec, spec.out_dtype);
  outputs.push_back({count(first), first == weights
                                       ? nullptr
                                       : make_conversion(first, weights, weight_dims(spec), most)});
  if (spec.has_bias) {
    const Desc sums = strided_desc({spec.out_channels}, DType::kF32, {1});
    const Desc bias = strided_desc({spec.out_channels}, spec.bias_dtype, {1});
    outputs.push_back({count(sums), sums == bias ? nullptr : reorder_between(sums, bias)});
  }
  return in_summed_parts(std::move(parts), std::move(outputs));
}

}  // namespace

Shape ConvSpec::out_size() const {
  Shape size;
  for (size_t i = 0; i < in_size.size(); ++i) {
    const int64_t padded = in_size[i] + at_or(padding_low, i, 0) + at_or(padding_high, i, 0);
    const int64_t reach = at_or(dilation, i, 1) * (kernel_size[i] - 1) + 1;
    size.push_back(padded < reach ? 0 : (padded - reach) / at_or(strides, i, 1) + 1);
  }
  return size;
}

PrepareResult prepare_conv_forward(const ConvSpec& spec) {
  return prepare(spec, "convolution", [&](int64_t most) {
    const auto in = static_cast<int64_t>(size_of(spec.dtype)),
               out = static_cast<int64_t>(size_of(spec.out_dtype));
    return make_pieces(spec, divide(spec, most, ConvRows::kOfY), kLeastForward, make_forward,
                       [&](const ConvPiece& piece) {
                         return PieceOffsets{{piece.x_offset * in, 0, 0}, {piece.y_offset * out}};
                       });
  });
}

PrepareResult prepare_conv_backward_data(const ConvSpec& spec) {
  return prepare(spec, "gradient of a convolution's input", [&](int64_t most) {
    const auto in = static_cast<int64_t>(size_of(spec.dtype)),
               out = static_cast<int64_t>(size_of(spec.out_dtype));
    return make_pieces(spec, divide(spec, most, ConvRows::kOfX), kLeastBackward, make_backward_data,
                       [&](const ConvPiece& piece) {
                         return PieceOffsets{{piece.y_offset * in, 0}, {piece.x_offset * out}};
                       });
  });
}

PrepareResult prepare_conv_backward_weights(const ConvSpec& spec) {
  return prepare(spec, "gradient of a convolution's weights", [&](int64_t most) {
    // So many terms of one product pay for adding up a result.
    constexpr int64_t kLeastTerms = 64;
    const int64_t terms = spec.batch * element_count(spec.out_size());
    most = std::clamp<int64_t>(terms / kLeastTerms, 1, std::min(most, kMostSummedParts));
    std::vector<ConvPiece> pieces = divide(spec, most, ConvRows::kOfY);
    return pieces.size() == 1 ? make_piece(spec, kLeastBackward, make_backward_weights, nullptr)
                              : make_summed_pieces(spec, std::move(pieces));
  });
}

}  // namespace linnet::cpu::onednn
