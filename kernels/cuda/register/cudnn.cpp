// What cuDNN computes: convolutions and attention.
#include "core/ops/conv_training.h"
#include "kernels/cuda/cudnn/attention.h"
#include "kernels/cuda/cudnn/conv.h"
#include "kernels/cuda/norm/columns_args.h"
#include "kernels/cuda/register/device_kernel.h"
#include "kernels/cuda/register/families.h"

namespace linnet::cuda {
namespace {

using cudnn::ConvRequest;
using Wanted = cudnn::Convolution::Wanted;

template <Wanted kWanted>
ConvRequest conv_request(const KernelRequest& request) {
  return {request, request.params.as<ConvParams>(), kWanted};
}

ConvRequest fused_request(const KernelRequest& request) {
  const auto& p = request.params.as<ConvBiasActivationParams>();
  return {request, p.conv, Wanted::kResult, p.has_bias, p.has_residual, p.activation};
}

ConvRequest added_request(const KernelRequest& request) {
  const auto& p = request.params.as<ConvDataAddParams>();
  ConvRequest out{request, p.conv, Wanted::kData};
  out.adds = true;
  out.masks = p.masks;
  return out;
}

ConvRequest summed_request(const KernelRequest& request) {
  ConvRequest out = conv_request<Wanted::kResult>(request);
  out.sums = true;
  return out;
}

template <ConvRequest (*kRequest)(const KernelRequest&)>
std::string decline_conv(const KernelRequest& request) {
  return cudnn::decline_conv(kRequest(request));
}

template <ConvRequest (*kRequest)(const KernelRequest&)>
std::unique_ptr<Kernel> prepare_conv(const KernelRequest& request, std::string& reason) {
  return cudnn::prepare_conv(kRequest(request), reason);
}

/// The graph leaves sums where moments belong, and a small kernel makes these of them.
std::unique_ptr<Kernel> prepare_conv_and_moments(const KernelRequest& request,
                                                 std::string& reason) {
  static const Function finish("batch_norm_moments_of_sums", kColumnThreads);
  std::shared_ptr<Kernel> graph = cudnn::prepare_conv(summed_request(request), reason);
  if (!graph) return nullptr;
  const int64_t channels = request.outputs[0].shape.back();
  const int64_t rows = element_count(request.outputs[0].shape) / channels;
  const size_t bytes = graph->workspace_bytes();
  return make_device_kernel(
      [=](LaunchSink& sink, Operands in, Operands out, Address workspace) {
        static_cast<const DeviceKernel&>(*graph).emit(sink, in, out, workspace);
        sink.launch(finish, {blocks_for(channels, kColumnThreads)},
                    MomentsOfSumsArgs{global<float>(out[1]), global<float>(out[2]), rows,
                                      static_cast<int>(channels)});
      },
      bytes);
}

template <ConvRequest (*kRequest)(const KernelRequest&)>
void add_conv(KernelTable& table, const Primitive& primitive) {
  table.add(primitive, {.name = "cudnn",
                        .decline = decline_conv<kRequest>,
                        .prepare = prepare_conv<kRequest>,
                        .never_throws = true});
}

}  // namespace

void register_cudnn(KernelTable& table) {
  add_conv<conv_request<Wanted::kResult>>(table, conv_primitive());
  add_conv<conv_request<Wanted::kData>>(table, conv_backward_data_primitive());
  add_conv<conv_request<Wanted::kWeights>>(table, conv_backward_weights_primitive());
  add_conv<fused_request>(table, conv_bias_activation_primitive());
  add_conv<added_request>(table, conv_backward_data_add_primitive());
  table.add(conv_and_moments_primitive(), {.name = "cudnn",
                                           .decline = decline_conv<summed_request>,
                                           .prepare = prepare_conv_and_moments,
                                           .never_throws = true});
  table.add(attention_primitive(), {.name = "cudnn",
                                    .decline = cudnn::decline_attention,
                                    .prepare = cudnn::prepare_attention,
                                    .never_throws = true});
  table.add(attention_backward_primitive(), {.name = "cudnn",
                                             .decline = cudnn::decline_attention_backward,
                                             .prepare = cudnn::prepare_attention_backward,
                                             .never_throws = true});
}

}  // namespace linnet::cuda
