#include "kernels/cpu/register/conv_reference.h"

#include <cstring>

#include "core/ops/conv.h"
#include "kernels/cpu/reference/convolution.h"

namespace linnet::cpu {
namespace {

/// A dense channels-last tensor [outer, spatial…, channels].
ConvolutionStrides activation_strides(const OperandView& x) {
  const Strides dense = dense_strides(x.shape);
  ConvolutionStrides out{.outer = dense[0], .feature = 1};
  for (size_t i = 0; i + 2 < x.shape.size(); ++i) out.spatial[i] = dense[i + 1];
  return out;
}

/// A dense kernel [spatial…, in / groups, out].
ConvolutionStrides kernel_strides(const OperandView& w) {
  const Strides dense = dense_strides(w.shape);
  const size_t rank = w.shape.size() - 2;
  ConvolutionStrides out{.outer = 1, .feature = dense[rank]};
  for (size_t i = 0; i < rank; ++i) out.spatial[i] = dense[i];
  return out;
}

int64_t dilated(int64_t size, int64_t dilation) {
  return size == 0 ? 0 : (size - 1) * dilation + 1;
}

const std::byte* at(const void* data, int64_t element, DType dtype) {
  return static_cast<const std::byte*>(data) + element * static_cast<int64_t>(size_of(dtype));
}
std::byte* at(void* data, int64_t element, DType dtype) {
  return static_cast<std::byte*>(data) + element * static_cast<int64_t>(size_of(dtype));
}

void add_dimension(ConvolutionGeometry& g, const ConvParams& p, size_t i) {
  g.in_size[i] = p.in_size[i];
  g.kernel_size[i] = p.kernel_size[i];
  g.stride[i] = p.strides[i];
  g.pad_low[i] = p.padding_low[i];
  g.pad_high[i] = p.padding_high[i];
  g.input_dilation[i] = p.lhs_dilation[i];
  g.kernel_dilation[i] = p.rhs_dilation[i];
}

/// The cotangent, dilated by the stride, meets the kernel backwards.
void add_backward_data_dimension(ConvolutionGeometry& g, const ConvParams& p, size_t i,
                                 int64_t outputs) {
  const int64_t reach = (p.kernel_size[i] - 1) * p.rhs_dilation[i];
  g.in_size[i] = outputs;
  g.kernel_size[i] = p.kernel_size[i];
  g.stride[i] = p.lhs_dilation[i];
  g.pad_low[i] = reach - p.padding_low[i];
  g.pad_high[i] = (p.in_size[i] - 1) * p.lhs_dilation[i] + reach + 1 -
                  dilated(outputs, p.strides[i]) - g.pad_low[i];
  g.input_dilation[i] = p.strides[i];
  g.kernel_dilation[i] = p.rhs_dilation[i];
}

/// The cotangent is the kernel, and the batch is what is summed over.
void add_backward_weights_dimension(ConvolutionGeometry& g, const ConvParams& p, size_t i,
                                    int64_t outputs) {
  g.in_size[i] = p.in_size[i];
  g.kernel_size[i] = outputs;
  g.stride[i] = p.rhs_dilation[i];
  g.pad_low[i] = p.padding_low[i];
  g.pad_high[i] = (p.kernel_size[i] - 1) * p.rhs_dilation[i] + dilated(outputs, p.strides[i]) -
                  dilated(p.in_size[i], p.lhs_dilation[i]) - p.padding_low[i];
  g.input_dilation[i] = p.lhs_dilation[i];
  g.kernel_dilation[i] = p.strides[i];
}

/// Convolutions of independent groups, one after the other.
struct Groups {
  ConvolutionProblem problem;  ///< without addresses
  int64_t count = 1;
  /// Elements between the operands of one group and of the next.
  int64_t input = 0, kernel = 0, out = 0;
  int64_t first_kernel = 0;  ///< element at which the kernel begins
};

Groups forward(const KernelRequest& request) {
  const ConvParams& p = request.params.as<ConvParams>();
  const OperandView &x = request.inputs[0], &w = request.inputs[1], &y = request.outputs[0];
  ConvolutionGeometry g{.batch = x.shape[0],
                        .in_features = x.shape.back(),
                        .out_features = w.shape.back(),
                        .feature_groups = p.groups};
  for (size_t i = 0; i < p.strides.size(); ++i) add_dimension(g, p, i);
  return {{x.dtype, y.dtype, g, nullptr, activation_strides(x), nullptr, kernel_strides(w), nullptr,
           activation_strides(y)}};
}

Groups backward_data(const KernelRequest& request) {
  const ConvParams& p = request.params.as<ConvParams>();
  const OperandView &dy = request.inputs[0], &w = request.inputs[1], &dx = request.outputs[0];
  const int64_t ins = dx.shape.back() / p.groups, outs = dy.shape.back() / p.groups;
  ConvolutionGeometry g{.batch = dy.shape[0], .in_features = outs, .out_features = ins};
  ConvolutionStrides kernel = kernel_strides(w);
  std::swap(kernel.outer, kernel.feature);
  int64_t last = 0;
  for (size_t i = 0; i < p.strides.size(); ++i) {
    add_backward_data_dimension(g, p, i, dy.shape[i + 1]);
    last += (p.kernel_size[i] - 1) * kernel.spatial[i];
    kernel.spatial[i] = -kernel.spatial[i];
  }
  return {{dy.dtype, dx.dtype, g, nullptr, activation_strides(dy), nullptr, kernel, nullptr,
           activation_strides(dx)},
          p.groups,
          outs,
          outs,
          ins,
          last};
}

Groups backward_weights(const KernelRequest& request) {
  const ConvParams& p = request.params.as<ConvParams>();
  const OperandView &x = request.inputs[0], &dy = request.inputs[1], &dw = request.outputs[0];
  const int64_t ins = x.shape.back() / p.groups, outs = dy.shape.back() / p.groups;
  ConvolutionGeometry g{.batch = ins, .in_features = x.shape[0], .out_features = outs};
  for (size_t i = 0; i < p.strides.size(); ++i)
    add_backward_weights_dimension(g, p, i, dy.shape[i + 1]);
  ConvolutionStrides input = activation_strides(x), kernel = activation_strides(dy),
                     result = kernel_strides(dw);
  std::swap(input.outer, input.feature);
  std::swap(kernel.outer, kernel.feature);
  std::swap(result.outer, result.feature);
  return {{x.dtype, dw.dtype, g, nullptr, input, nullptr, kernel, nullptr, result},
          p.groups,
          ins,
          outs,
          outs};
}

bool sums_nothing(const KernelRequest& request) {
  for (const OperandView& x : request.inputs) {
    if (element_count(x.shape) == 0) return true;
  }
  return element_count(request.outputs[0].shape) == 0;
}

template <Groups (*kGroups)(const KernelRequest&)>
size_t bytes_of(const KernelRequest& request) {
  return sums_nothing(request) ? 0 : reference_convolution_workspace(kGroups(request).problem);
}

template <Groups (*kGroups)(const KernelRequest&)>
void run(const KernelRequest& request, const void* const* in, void* const* out, void* workspace) {
  const OperandView& y = request.outputs[0];
  if (sums_nothing(request)) {
    std::memset(out[0], 0, static_cast<size_t>(element_count(y.shape)) * size_of(y.dtype));
    return;
  }
  Groups groups = kGroups(request);
  ConvolutionProblem& problem = groups.problem;
  for (int64_t i = 0; i < groups.count; ++i) {
    problem.input = at(in[0], i * groups.input, request.inputs[0].dtype);
    problem.kernel = at(in[1], groups.first_kernel + i * groups.kernel, request.inputs[1].dtype);
    problem.out = at(out[0], i * groups.out, y.dtype);
    reference_convolution(problem, workspace);
  }
}

template <Groups (*kGroups)(const KernelRequest&)>
KernelImplementation implementation() {
  return {.name = "reference",
          .run = run<kGroups>,
          .workspace_bytes = bytes_of<kGroups>,
          .never_throws = true};
}

}  // namespace

KernelImplementation reference_conv() { return implementation<forward>(); }
KernelImplementation reference_conv_backward_data() { return implementation<backward_data>(); }
KernelImplementation reference_conv_backward_weights() {
  return implementation<backward_weights>();
}

}  // namespace linnet::cpu
