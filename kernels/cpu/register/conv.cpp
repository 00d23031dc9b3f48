// Kernels of convolutions.
#include <algorithm>
#include <string>

#include "core/ops/fused.h"
#include "kernels/cpu/onednn/onednn.h"
#include "kernels/cpu/register/conv_reference.h"
#include "kernels/cpu/register/families.h"
#include "kernels/cpu/register/staging.h"
#include "kernels/layout/conv_layout.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

using cpu::StagedKernel;
using cpu::StagedOperand;
using cpu::Staging;
using cpu::onednn::ConvSpec;
using cpu::onednn::PrepareResult;

/// Which of the three tensors x, w, y of a convolution is computed from the other two.
enum class Wanted : uint8_t { kResult, kData, kWeights };

struct ConvRequest {
  const KernelRequest& request;
  const ConvParams& params;
  Wanted wanted;
  bool has_bias = false;
  Activation activation = {};

  const OperandView& x() const {
    return wanted == Wanted::kData ? request.outputs[0] : request.inputs[0];
  }
  const OperandView& w() const {
    return wanted == Wanted::kWeights ? request.outputs[0] : request.inputs[1];
  }
  const OperandView& y() const {
    return wanted == Wanted::kResult ? request.outputs[0]
                                     : request.inputs[wanted == Wanted::kData ? 0 : 1];
  }
  DType dtype() const { return request.outputs[0].dtype; }
  size_t rank() const { return params.strides.size(); }
};

/// Sizes and geometry except for padding and dilation of x.
ConvSpec basic_spec(const ConvRequest& r, DType compute) {
  ConvSpec s;
  s.batch = r.x().shape[0];
  s.in_channels = r.x().shape.back();
  s.out_channels = r.y().shape.back();
  s.groups = r.params.groups;
  s.in_size = r.params.in_size;
  s.kernel_size = r.params.kernel_size;
  s.strides = r.params.strides;
  s.dilation = r.params.rhs_dilation;
  s.dtype = s.out_dtype = s.bias_dtype = compute;
  s.has_bias = r.has_bias;
  s.activation = r.activation;
  s.allow_winograd = true;
  return s;
}

PrepareResult prepare_wanted(Wanted wanted, const ConvSpec& spec) {
  switch (wanted) {
    case Wanted::kResult:
      return prepare_conv_forward(spec);
    case Wanted::kData:
      return prepare_conv_backward_data(spec);
    case Wanted::kWeights:
      break;
  }
  return prepare_conv_backward_weights(spec);
}

/// The operands, converted to `compute` where they have another dtype.
std::vector<StagedOperand> converted_operands(const ConvRequest& r, DType compute) {
  std::vector<StagedOperand> out;
  for (size_t i = 0; i < r.request.inputs.size(); ++i) {
    const OperandView& x = r.request.inputs[i];
    out.push_back({i});
    if (x.dtype != compute) out.back().staging = cpu::conversion(x.dtype, compute, Shape(x.shape));
  }
  return out;
}

std::optional<Staging> converted_result(const ConvRequest& r, DType compute) {
  if (r.dtype() == compute) return {};
  return cpu::conversion(compute, r.dtype(), Shape(r.request.outputs[0].shape));
}

std::unique_ptr<Kernel> finish(PrepareResult prepared, std::vector<StagedOperand> operands,
                               std::optional<Staging> result, std::string& reason) {
  if (!prepared.kernel) {
    reason = prepared.declined;
    return nullptr;
  }
  return std::make_unique<StagedKernel>(std::move(prepared.kernel), std::move(operands),
                                        std::move(result));
}

std::unique_ptr<Kernel> prepare_ordinary(const ConvRequest& r, DType compute, std::string& reason) {
  ConvSpec spec = basic_spec(r, compute);
  spec.padding_low = r.params.padding_low;
  spec.padding_high = r.params.padding_high;
  return finish(prepare_wanted(r.wanted, spec), converted_operands(r, compute),
                converted_result(r, compute), reason);
}

/// The convolution from y to x whose transpose this one is.
std::optional<ConvSpec> transposed_spec(const ConvRequest& r, DType compute) {
  const std::optional<TransposedConv> transposed = transposed_conv(r.params);
  if (!transposed) return {};
  ConvSpec s = basic_spec(r, compute);
  std::swap(s.in_channels, s.out_channels);
  s.in_size = transposed->in_size;
  s.strides = transposed->strides;
  s.padding_low = transposed->padding_low;
  s.padding_high = transposed->padding_high;
  return s;
}

/// Strides of the transposed kernel [spatial…, out / groups, in] in the order of a `FlippedKernel`.
Strides transposed_strides(const ConvRequest& r) {
  const int64_t ins = r.x().shape.back() / r.params.groups;
  // The same as this kernel's along spatial dimensions.
  const Strides dense = dense_strides(r.w().shape);
  Strides out(dense.begin(), dense.begin() + static_cast<int64_t>(r.rank()));
  for (int64_t stride : {int64_t{1}, ins, r.params.groups * ins}) out.push_back(stride);
  return out;
}

std::unique_ptr<Kernel> prepare_transposed(const ConvRequest& r, DType compute,
                                           std::string& reason) {
  const std::optional<ConvSpec> spec = transposed_spec(r, compute);
  if (!spec) {
    reason = "no transpose of an ordinary convolution";
    return nullptr;
  }
  const FlippedKernel t(r.params, r.x().shape.back(), r.y().shape.back());
  const Strides transposed = transposed_strides(r);
  const int64_t size = element_count(t.shape);
  std::vector<StagedOperand> operands = converted_operands(r, compute);
  if (r.wanted == Wanted::kWeights) {
    std::swap(operands[0], operands[1]);
    const Staging result{.from = compute,
                         .to = r.dtype(),
                         .shape = t.shape,
                         .from_strides = transposed,
                         .to_strides = t.strides,
                         .to_offset = t.offset,
                         .temporary_size = size};
    return finish(prepare_conv_backward_weights(*spec), std::move(operands), result, reason);
  }
  operands[1].staging = Staging{.from = r.dtype(),
                                .to = compute,
                                .shape = t.shape,
                                .from_strides = t.strides,
                                .to_strides = transposed,
                                .from_offset = t.offset,
                                .temporary_size = size};
  PrepareResult prepared =
      r.wanted == Wanted::kResult ? prepare_conv_backward_data(*spec) : prepare_conv_forward(*spec);
  return finish(std::move(prepared), std::move(operands), converted_result(r, compute), reason);
}

std::unique_ptr<Kernel> prepare_padded(const ConvRequest& r, DType compute, std::string& reason) {
  const PaddedInput in(r.params, r.x().shape);
  ConvSpec spec = basic_spec(r, compute);
  spec.in_size = in.size;
  std::vector<StagedOperand> operands = converted_operands(r, compute);
  std::optional<Staging> result = converted_result(r, compute);
  if (r.wanted == Wanted::kData) {
    result = Staging{.from = compute,
                     .to = r.dtype(),
                     .shape = in.shape,
                     .from_strides = in.padded,
                     .to_strides = in.own,
                     .from_offset = in.padded_offset,
                     .to_offset = in.own_offset,
                     .temporary_size = in.padded_size,
                     .cleared_size = element_count(r.x().shape)};
  } else {
    operands[0].staging = Staging{.from = r.dtype(),
                                  .to = compute,
                                  .shape = in.shape,
                                  .from_strides = in.own,
                                  .to_strides = in.padded,
                                  .from_offset = in.own_offset,
                                  .to_offset = in.padded_offset,
                                  .temporary_size = in.padded_size,
                                  .cleared_size = in.padded_size};
  }
  return finish(prepare_wanted(r.wanted, spec), std::move(operands), std::move(result), reason);
}

bool is_empty(const KernelRequest& request) {
  const auto empty = [](const OperandView& x) { return element_count(x.shape) == 0; };
  return std::any_of(request.inputs.begin(), request.inputs.end(), empty) ||
         empty(request.outputs[0]);
}

/// In the operands' own dtype if the library has it, else (16-bit floats) in f32.
std::unique_ptr<Kernel> prepare_in(const ConvRequest& r, DType compute, std::string& reason) {
  if (is_ordinary(r.params)) return prepare_ordinary(r, compute, reason);
  const bool epilogue = r.has_bias || r.activation;
  if (!epilogue) {
    if (auto kernel = prepare_transposed(r, compute, reason)) return kernel;
  }
  return prepare_padded(r, compute, reason);
}

std::unique_ptr<Kernel> prepare(const ConvRequest& r, std::string& reason) {
  const DType dtype = r.dtype();
  if (!is_floating(dtype) || dtype == DType::kF64) {
    reason = fmt::format("dtype {}", name_of(dtype));
    return nullptr;
  }
  if (dtype != DType::kF16) {
    if (auto kernel = prepare_in(r, dtype, reason)) return kernel;
  }
  return dtype == DType::kF32 ? nullptr : prepare_in(r, DType::kF32, reason);
}

template <Wanted kWanted>
std::unique_ptr<Kernel> prepare_conv(const KernelRequest& request, std::string& reason) {
  if (is_empty(request)) {
    const OperandView& out = request.outputs[0];
    return std::make_unique<cpu::ZeroKernel>(static_cast<size_t>(element_count(out.shape)) *
                                             size_of(out.dtype));
  }
  return prepare({request, request.params.as<ConvParams>(), kWanted}, reason);
}

std::unique_ptr<Kernel> prepare_fused(const KernelRequest& request, std::string& reason) {
  const auto& p = request.params.as<ConvBiasActivationParams>();
  if (p.has_residual || is_empty(request)) {
    reason = p.has_residual ? "a residual" : "an empty operand";
    return nullptr;
  }
  return prepare({request, p.conv, Wanted::kResult, p.has_bias, p.activation}, reason);
}

}  // namespace

void register_conv(KernelTable& table) {
  table.add(
      conv_primitive(),
      {.name = "convolution", .prepare = prepare_conv<Wanted::kResult>, .never_throws = true});
  table.add(conv_primitive(), cpu::reference_conv());
  table.add(conv_backward_data_primitive(),
            {.name = "convolution", .prepare = prepare_conv<Wanted::kData>, .never_throws = true});
  table.add(conv_backward_data_primitive(), cpu::reference_conv_backward_data());
  table.add(
      conv_backward_weights_primitive(),
      {.name = "convolution", .prepare = prepare_conv<Wanted::kWeights>, .never_throws = true});
  table.add(conv_backward_weights_primitive(), cpu::reference_conv_backward_weights());
  table.add(conv_bias_activation_primitive(),
            {.name = "convolution", .prepare = prepare_fused, .never_throws = true});
}

}  // namespace linnet
