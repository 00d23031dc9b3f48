// Kernels of softmax, losses and normalisation.
#include "core/ops/nn.h"

#include <cmath>
#include <string>
#include <vector>

#include "kernels/cpu/elementwise/elementwise.h"
#include "kernels/cpu/norm/batch_norm.h"
#include "kernels/cpu/norm/cross_entropy.h"
#include "kernels/cpu/norm/layer_norm.h"
#include "kernels/cpu/norm/softmax.h"
#include "kernels/cpu/register/families.h"

namespace linnet {
namespace {

/// A shape seen as [outer, axis, inner] around a run of axes.
struct AxisSplit {
  int64_t outer = 1, axis = 1, inner = 1;
  AxisSplit(std::span<const int64_t> shape, size_t begin, size_t end) {
    for (size_t i = 0; i < shape.size(); ++i)
      (i < begin ? outer : i < end ? axis : inner) *= shape[i];
  }
};

AxisSplit split_at(const KernelRequest& request) {
  const size_t axis = static_cast<size_t>(request.params.as<AxisParams>().axis);
  return {request.inputs[0].shape, axis, axis + 1};
}

template <bool kLogarithm>
void run_softmax(const KernelRequest& request, const void* const* in, void* const* out) {
  const AxisSplit s = split_at(request);
  cpu::softmax(request.inputs[0].dtype, s.outer, s.axis, s.inner, in[0], out[0], kLogarithm);
}

template <bool kLogarithm>
void run_softmax_backward(const KernelRequest& request, const void* const* in, void* const* out) {
  const AxisSplit s = split_at(request);
  cpu::softmax_backward(request.inputs[0].dtype, s.outer, s.axis, s.inner, in[0], in[1], out[0],
                        kLogarithm);
}

std::string decline_logsumexp(const KernelRequest& request) {
  const Axes& axes = request.params.as<LogSumExpParams>().axes;
  if (axes.empty()) return "no axes";
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] != axes[0] + static_cast<int64_t>(i)) return "axes apart";
    if (request.inputs[0].shape[static_cast<size_t>(axes[i])] == 0) return "an empty axis";
  }
  return {};
}

void run_logsumexp(const KernelRequest& request, const void* const* in, void* const* out) {
  const Axes& axes = request.params.as<LogSumExpParams>().axes;
  const AxisSplit s(request.inputs[0].shape, static_cast<size_t>(axes.front()),
                    static_cast<size_t>(axes.back()) + 1);
  cpu::logsumexp(request.inputs[0].dtype, s.outer, s.axis, s.inner, in[0], out[0]);
}

/// Classes along the last axis.
AxisSplit rows_and_classes(const KernelRequest& request) {
  const auto& shape = request.inputs[0].shape;
  return {shape, shape.size() - 1, shape.size()};
}

std::string decline_without_classes(const KernelRequest& request) {
  return request.inputs[0].shape.back() == 0 ? "no classes" : "";
}

void run_cross_entropy(const KernelRequest& request, const void* const* in, void* const* out) {
  const AxisSplit s = rows_and_classes(request);
  cpu::softmax_cross_entropy(request.inputs[0].dtype, s.outer, s.axis, in[0],
                             request.inputs[1].dtype, in[1], out[0], out[1]);
}

void run_cross_entropy_backward(const KernelRequest& request, const void* const* in,
                                void* const* out) {
  const AxisSplit s = rows_and_classes(request);
  cpu::softmax_cross_entropy_backward(request.inputs[0].dtype, s.outer, s.axis, in[0], in[2],
                                      request.inputs[1].dtype, in[1], in[3], out[0]);
}

/// A parameter in the statistics type: the operand itself, or a converted copy of those few
/// elements.
class Parameter {
 public:
  Parameter(const KernelRequest& request, const void* const* in, bool present, size_t index) {
    if (!present) return;
    const OperandView& x = request.inputs[index];
    const DType wide = wide_dtype(request.inputs[0].dtype);
    data_ = in[index];
    if (x.dtype == wide) return;
    copy_.resize(static_cast<size_t>(element_count(x.shape)) * size_of(wide));
    const Strides dense = dense_strides(x.shape);
    cpu::cast(x.dtype, wide, x.shape, {in[index], dense.data()}, {copy_.data(), dense.data()});
    data_ = copy_.data();
  }
  operator const void*() const { return data_; }  // NOLINT(runtime/explicit)

 private:
  const void* data_ = nullptr;
  std::vector<std::byte> copy_;
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

void run_layer_norm(const KernelRequest& request, const void* const* in, void* const* out) {
  const NormParams& p = request.params.as<NormParams>();
  const AxisSplit s = rows_of(request);
  const Parameter scale(request, in, p.has_scale, 1),
      bias(request, in, p.has_bias, 1 + p.has_scale);
  cpu::layer_norm(request.inputs[0].dtype, s.outer, s.axis, in[0], scale, bias, p.epsilon, out[0],
                  out[1], out[2]);
}

void run_layer_norm_backward(const KernelRequest& request, const void* const* in,
                             void* const* out) {
  const NormParams& p = request.params.as<NormParams>();
  const AxisSplit s = rows_of(request);
  const Parameter scale(request, in, p.has_scale, 4);
  cpu::layer_norm_backward(request.inputs[0].dtype, s.outer, s.axis, in[0], scale, in[1], in[2],
                           in[3], out[0], p.has_scale ? out[1] : nullptr,
                           p.has_bias ? out[1 + p.has_scale] : nullptr);
}

void run_rms_norm(const KernelRequest& request, const void* const* in, void* const* out) {
  const NormParams& p = request.params.as<NormParams>();
  const AxisSplit s = rows_of(request);
  const Parameter scale(request, in, p.has_scale, 1);
  cpu::rms_norm(request.inputs[0].dtype, s.outer, s.axis, in[0], scale, p.epsilon, out[0], out[1]);
}

void run_rms_norm_backward(const KernelRequest& request, const void* const* in, void* const* out) {
  const NormParams& p = request.params.as<NormParams>();
  const AxisSplit s = rows_of(request);
  const Parameter scale(request, in, p.has_scale, 3);
  cpu::rms_norm_backward(request.inputs[0].dtype, s.outer, s.axis, in[0], scale, in[1], in[2],
                         out[0], p.has_scale ? out[1] : nullptr);
}

void run_batch_norm_train(const KernelRequest& request, const void* const* in, void* const* out) {
  const BatchNormParams& p = request.params.as<BatchNormParams>();
  const AxisSplit s = rows_and_classes(request);
  const DType dtype = request.inputs[0].dtype;
  const Parameter scale(request, in, p.has_scale, 1),
      bias(request, in, p.has_bias, 1 + p.has_scale);
  cpu::batch_norm_statistics(dtype, s.outer, s.axis, in[0], out[1], out[2]);
  cpu::batch_norm_apply(dtype, s.outer, s.axis, in[0], out[1], out[2], scale, bias, p.epsilon,
                        false, out[0]);
}

void run_batch_norm_inference(const KernelRequest& request, const void* const* in,
                              void* const* out) {
  const BatchNormParams& p = request.params.as<BatchNormParams>();
  const AxisSplit s = rows_and_classes(request);
  const Parameter mean(request, in, true, 1), variance(request, in, true, 2);
  const Parameter scale(request, in, p.has_scale, 3),
      bias(request, in, p.has_bias, 3 + p.has_scale);
  cpu::batch_norm_apply(request.inputs[0].dtype, s.outer, s.axis, in[0], mean, variance, scale,
                        bias, p.epsilon, false, out[0]);
}

template <class T>
std::vector<T> inverse_deviation(const void* variance, int64_t channels, double epsilon) {
  std::vector<T> out(static_cast<size_t>(channels));
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = T(1) / std::sqrt(static_cast<const T*>(variance)[i] + static_cast<T>(epsilon));
  }
  return out;
}

template <class T>
void batch_norm_backward(const KernelRequest& request, const void* const* in, void* const* out) {
  const BatchNormParams& p = request.params.as<BatchNormParams>();
  const AxisSplit s = rows_and_classes(request);
  const std::vector<T> rstd = inverse_deviation<T>(in[2], s.axis, p.epsilon);
  const Parameter scale(request, in, p.has_scale, 4);
  cpu::batch_norm_backward(request.inputs[0].dtype, s.outer, s.axis, in[0], in[1], rstd.data(),
                           scale, in[3], nullptr, out[0], p.has_scale ? out[1] : nullptr,
                           p.has_bias ? out[1 + p.has_scale] : nullptr);
}

void run_batch_norm_backward(const KernelRequest& request, const void* const* in,
                             void* const* out) {
  if (request.inputs[0].dtype == DType::kF64)
    batch_norm_backward<double>(request, in, out);
  else
    batch_norm_backward<float>(request, in, out);
}

}  // namespace

void register_nn(KernelTable& table) {
  table.add(softmax_primitive(), {.name = "rows", .in_place = true, .run = run_softmax<false>});
  table.add(log_softmax_primitive(), {.name = "rows", .in_place = true, .run = run_softmax<true>});
  table.add(softmax_backward_primitive(), {.name = "rows", .run = run_softmax_backward<false>});
  table.add(log_softmax_backward_primitive(), {.name = "rows", .run = run_softmax_backward<true>});
  table.add(logsumexp_primitive(),
            {.name = "rows", .decline = decline_logsumexp, .run = run_logsumexp});
  table.add(integer_cross_entropy_primitive(),
            {.name = "rows", .decline = decline_without_classes, .run = run_cross_entropy});
  table.add(integer_cross_entropy_backward_primitive(), {.name = "rows",
                                                         .in_place = true,
                                                         .decline = decline_without_classes,
                                                         .run = run_cross_entropy_backward});
  const auto add = [&](const Primitive& primitive, auto run) {
    table.add(primitive, {.name = "rows", .decline = decline_empty, .run = run});
  };
  add(layer_norm_primitive(), run_layer_norm);
  add(layer_norm_backward_primitive(), run_layer_norm_backward);
  add(rms_norm_primitive(), run_rms_norm);
  add(rms_norm_backward_primitive(), run_rms_norm_backward);
  add(batch_norm_train_primitive(), run_batch_norm_train);
  add(batch_norm_backward_primitive(), run_batch_norm_backward);
  add(batch_norm_inference_primitive(), run_batch_norm_inference);
}

}  // namespace linnet
