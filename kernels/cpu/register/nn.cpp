// Kernels of softmax, losses and normalisation.
#include "core/ops/nn.h"

#include <cmath>
#include <string>

#include "kernels/axis_split.h"
#include "kernels/cpu/elementwise/elementwise.h"
#include "kernels/cpu/norm/batch_norm.h"
#include "kernels/cpu/norm/cross_entropy.h"
#include "kernels/cpu/norm/layer_norm.h"
#include "kernels/cpu/register/families.h"
#include "kernels/cpu/register/lines.h"
#include "kernels/cpu/workspace.h"

namespace linnet {
namespace {

/// Classes along the last axis.
AxisSplit rows_and_classes(const KernelRequest& request) {
  const auto& shape = request.inputs[0].shape;
  return {shape, shape.size() - 1, shape.size()};
}

std::string decline_without_classes(const KernelRequest& request) {
  return request.inputs[0].shape.back() == 0 ? "no classes" : "";
}

size_t cross_entropy_bytes(const KernelRequest& request) {
  const AxisSplit s = rows_and_classes(request);
  return cpu::cross_entropy_workspace(request.inputs[0].dtype, s.outer, s.axis);
}

void run_cross_entropy(const KernelRequest& request, const void* const* in, void* const* out,
                       void* workspace) {
  const AxisSplit s = rows_and_classes(request);
  cpu::softmax_cross_entropy(request.inputs[0].dtype, s.outer, s.axis, in[0],
                             request.inputs[1].dtype, in[1], out[0], out[1], workspace);
}

void run_cross_entropy_backward(const KernelRequest& request, const void* const* in,
                                void* const* out, void* workspace) {
  const AxisSplit s = rows_and_classes(request);
  cpu::softmax_cross_entropy_backward(request.inputs[0].dtype, s.outer, s.axis, in[0], in[2],
                                      request.inputs[1].dtype, in[1], in[3], out[0], workspace);
}

/// A parameter in the statistics type: the operand itself, or a converted copy of those few
/// elements in the workspace.
class Parameter {
 public:
  /// @param in null to measure.
  Parameter(cpu::Workspace& w, const KernelRequest& request, const void* const* in, bool present,
            size_t index) {
    if (!present) return;
    const OperandView& x = request.inputs[index];
    const DType wide = wide_dtype(request.inputs[0].dtype);
    if (in) data_ = in[index];
    if (x.dtype == wide) return;
    const int64_t bytes = element_count(x.shape) * static_cast<int64_t>(size_of(wide));
    std::byte* const copy = w.take<std::byte>(bytes);
    if (!in) return;
    const Strides dense = dense_strides(x.shape);
    cpu::cast(x.dtype, wide, x.shape, {in[index], dense.data()}, {copy, dense.data()});
    data_ = copy;
  }
  operator const void*() const { return data_; }  // NOLINT(runtime/explicit)

 private:
  const void* data_ = nullptr;
};

/// What the kernels of a normalisation need besides operands and results.
struct NormSpace {
  /// @param first operand index of the scale, which the bias follows
  /// @param bytes what the kernel itself works in
  /// @param has_moments whether operands 1 and 2 are mean and variance
  NormSpace(cpu::Workspace& w, const KernelRequest& request, const void* const* in, bool has_scale,
            bool has_bias, size_t first, size_t bytes, bool has_moments = false)
      : mean(w, request, in, has_moments, 1),
        variance(w, request, in, has_moments, 2),
        scale(w, request, in, has_scale, first),
        bias(w, request, in, has_bias, first + has_scale),
        rest(w.take<std::byte>(static_cast<int64_t>(bytes))) {}
  Parameter mean, variance, scale, bias;
  std::byte* rest;
};

/// [rows, length] of a normalisation over trailing axes.
AxisSplit rows_of(const KernelRequest& request) {
  const auto& shape = request.inputs[0].shape;
  return {shape, shape.size() - static_cast<size_t>(request.params.as<NormParams>().axes),
          shape.size()};
}

std::string decline_empty(const KernelRequest& request) {
  return element_count(request.inputs[0].shape) == 0 ? "an empty operand" : "";
}

NormSpace layer_norm_space(const KernelRequest& request, const void* const* in, cpu::Workspace& w) {
  const NormParams& p = request.params.as<NormParams>();
  const AxisSplit s = rows_of(request);
  return NormSpace(w, request, in, p.has_scale, p.has_bias, 1,
                   cpu::norm_workspace(request.inputs[0].dtype, s.outer, s.axis));
}

void run_layer_norm(const KernelRequest& request, const void* const* in, void* const* out,
                    void* workspace) {
  const NormParams& p = request.params.as<NormParams>();
  const AxisSplit s = rows_of(request);
  cpu::Workspace w(workspace);
  const NormSpace space = layer_norm_space(request, in, w);
  cpu::layer_norm(request.inputs[0].dtype, s.outer, s.axis, in[0], space.scale, space.bias,
                  p.epsilon, out[0], out[1], out[2], space.rest);
}

template <size_t kScale>
NormSpace norm_backward_space(const KernelRequest& request, const void* const* in,
                              cpu::Workspace& w) {
  const NormParams& p = request.params.as<NormParams>();
  const AxisSplit s = rows_of(request);
  return NormSpace(w, request, in, p.has_scale, false, kScale,
                   cpu::norm_backward_workspace(request.inputs[0].dtype, s.outer, s.axis));
}

void run_layer_norm_backward(const KernelRequest& request, const void* const* in, void* const* out,
                             void* workspace) {
  const NormParams& p = request.params.as<NormParams>();
  const AxisSplit s = rows_of(request);
  cpu::Workspace w(workspace);
  const NormSpace space = norm_backward_space<4>(request, in, w);
  cpu::layer_norm_backward(request.inputs[0].dtype, s.outer, s.axis, in[0], space.scale, in[1],
                           in[2], in[3], out[0], p.has_scale ? out[1] : nullptr,
                           p.has_bias ? out[1 + p.has_scale] : nullptr, space.rest);
}

void run_rms_norm(const KernelRequest& request, const void* const* in, void* const* out,
                  void* workspace) {
  const NormParams& p = request.params.as<NormParams>();
  const AxisSplit s = rows_of(request);
  cpu::Workspace w(workspace);
  const NormSpace space = layer_norm_space(request, in, w);
  cpu::rms_norm(request.inputs[0].dtype, s.outer, s.axis, in[0], space.scale, p.epsilon, out[0],
                out[1], space.rest);
}

void run_rms_norm_backward(const KernelRequest& request, const void* const* in, void* const* out,
                           void* workspace) {
  const NormParams& p = request.params.as<NormParams>();
  const AxisSplit s = rows_of(request);
  cpu::Workspace w(workspace);
  const NormSpace space = norm_backward_space<3>(request, in, w);
  cpu::rms_norm_backward(request.inputs[0].dtype, s.outer, s.axis, in[0], space.scale, in[1], in[2],
                         out[0], p.has_scale ? out[1] : nullptr, space.rest);
}

size_t batch_norm_bytes(const KernelRequest& request) {
  const AxisSplit s = rows_and_classes(request);
  return cpu::batch_norm_workspace(request.inputs[0].dtype, s.outer, s.axis);
}

NormSpace batch_norm_train_space(const KernelRequest& request, const void* const* in,
                                 cpu::Workspace& w) {
  const BatchNormParams& p = request.params.as<BatchNormParams>();
  return NormSpace(w, request, in, p.has_scale, p.has_bias, 1, batch_norm_bytes(request));
}

void run_batch_norm_train(const KernelRequest& request, const void* const* in, void* const* out,
                          void* workspace) {
  const BatchNormParams& p = request.params.as<BatchNormParams>();
  const AxisSplit s = rows_and_classes(request);
  const DType dtype = request.inputs[0].dtype;
  cpu::Workspace w(workspace);
  const NormSpace space = batch_norm_train_space(request, in, w);
  cpu::batch_norm_statistics(dtype, s.outer, s.axis, in[0], out[1], out[2], space.rest);
  cpu::batch_norm_apply(dtype, s.outer, s.axis, in[0], out[1], out[2], space.scale, space.bias,
                        p.epsilon, false, out[0], space.rest);
}

NormSpace batch_norm_inference_space(const KernelRequest& request, const void* const* in,
                                     cpu::Workspace& w) {
  const BatchNormParams& p = request.params.as<BatchNormParams>();
  return NormSpace(w, request, in, p.has_scale, p.has_bias, 3, batch_norm_bytes(request), true);
}

void run_batch_norm_inference(const KernelRequest& request, const void* const* in, void* const* out,
                              void* workspace) {
  const BatchNormParams& p = request.params.as<BatchNormParams>();
  const AxisSplit s = rows_and_classes(request);
  cpu::Workspace w(workspace);
  const NormSpace space = batch_norm_inference_space(request, in, w);
  cpu::batch_norm_apply(request.inputs[0].dtype, s.outer, s.axis, in[0], space.mean, space.variance,
                        space.scale, space.bias, p.epsilon, false, out[0], space.rest);
}

/// The workspace begins with the reciprocal of the standard deviation of each channel.
NormSpace batch_norm_backward_space(const KernelRequest& request, const void* const* in,
                                    cpu::Workspace& w) {
  const BatchNormParams& p = request.params.as<BatchNormParams>();
  return NormSpace(w, request, in, p.has_scale, false, 4, batch_norm_bytes(request));
}

size_t batch_norm_backward_bytes(const KernelRequest& request) {
  cpu::Workspace measured(nullptr);
  measured.take<double>(rows_and_classes(request).axis);
  batch_norm_backward_space(request, nullptr, measured);
  return measured.bytes();
}

template <class T>
void batch_norm_backward(const KernelRequest& request, const void* const* in, void* const* out,
                         void* workspace) {
  const BatchNormParams& p = request.params.as<BatchNormParams>();
  const AxisSplit s = rows_and_classes(request);
  cpu::Workspace w(workspace);
  T* const rstd = reinterpret_cast<T*>(w.take<double>(s.axis));
  const NormSpace space = batch_norm_backward_space(request, in, w);
  for (int64_t c = 0; c < s.axis; ++c)
    rstd[c] = T(1) / std::sqrt(static_cast<const T*>(in[2])[c] + static_cast<T>(p.epsilon));
  cpu::batch_norm_backward(request.inputs[0].dtype, s.outer, s.axis, in[0], in[1], rstd,
                           space.scale, in[3], nullptr, out[0], p.has_scale ? out[1] : nullptr,
                           p.has_bias ? out[1 + p.has_scale] : nullptr, space.rest);
}

void run_batch_norm_backward(const KernelRequest& request, const void* const* in, void* const* out,
                             void* workspace) {
  if (request.inputs[0].dtype == DType::kF64)
    batch_norm_backward<double>(request, in, out, workspace);
  else
    batch_norm_backward<float>(request, in, out, workspace);
}

/// Bytes of what `kSpace` takes.
template <NormSpace (*kSpace)(const KernelRequest&, const void* const*, cpu::Workspace&)>
size_t bytes_of(const KernelRequest& request) {
  cpu::Workspace measured(nullptr);
  kSpace(request, nullptr, measured);
  return measured.bytes();
}

}  // namespace

void register_nn(KernelTable& table) {
  add_lines<cpu::softmax_lines, AxisParams>(table, softmax_primitive());
  add_lines<cpu::log_softmax_lines, AxisParams>(table, log_softmax_primitive());
  add_lines<cpu::softmax_backward_lines, AxisParams>(table, softmax_backward_primitive());
  add_lines<cpu::log_softmax_backward_lines, AxisParams>(table, log_softmax_backward_primitive());
  add_lines<cpu::logsumexp_lines, LogSumExpParams>(table, logsumexp_primitive());
  table.add(integer_cross_entropy_primitive(), {.name = "rows",
                                                .decline = decline_without_classes,
                                                .run = run_cross_entropy,
                                                .workspace_bytes = cross_entropy_bytes,
                                                .never_throws = true});
  table.add(integer_cross_entropy_backward_primitive(), {.name = "rows",
                                                         .in_place = true,
                                                         .decline = decline_without_classes,
                                                         .run = run_cross_entropy_backward,
                                                         .workspace_bytes = cross_entropy_bytes,
                                                         .never_throws = true});
  const auto add = [&](const Primitive& primitive, auto run, auto bytes) {
    table.add(primitive, {.name = "rows",
                          .decline = decline_empty,
                          .run = run,
                          .workspace_bytes = bytes,
                          .never_throws = true});
  };
  add(layer_norm_primitive(), run_layer_norm, bytes_of<layer_norm_space>);
  add(layer_norm_backward_primitive(), run_layer_norm_backward, bytes_of<norm_backward_space<4>>);
  add(rms_norm_primitive(), run_rms_norm, bytes_of<layer_norm_space>);
  add(rms_norm_backward_primitive(), run_rms_norm_backward, bytes_of<norm_backward_space<3>>);
  add(batch_norm_train_primitive(), run_batch_norm_train, bytes_of<batch_norm_train_space>);
  add(batch_norm_backward_primitive(), run_batch_norm_backward, batch_norm_backward_bytes);
  add(batch_norm_inference_primitive(), run_batch_norm_inference,
      bytes_of<batch_norm_inference_space>);
}

}  // namespace linnet
