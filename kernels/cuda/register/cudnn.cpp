// What cuDNN computes: convolutions and attention.
#include "kernels/cuda/cudnn/attention.h"
#include "kernels/cuda/cudnn/conv.h"
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

template <ConvRequest (*kRequest)(const KernelRequest&)>
std::string decline_conv(const KernelRequest& request) {
  return cudnn::decline_conv(kRequest(request));
}

template <ConvRequest (*kRequest)(const KernelRequest&)>
std::unique_ptr<Kernel> prepare_conv(const KernelRequest& request, std::string& reason) {
  return cudnn::prepare_conv(kRequest(request), reason);
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
