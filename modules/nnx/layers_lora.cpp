#include "linnet/nnx/layers_lora.h"

#include "linnet/layers/dtypes.h"

namespace linnet::nnx::detail {
namespace {

Variable of_kind(const VariableType& type, Param param) {
  param.cell()->type = &type;
  return Variable(param.cell());
}

}  // namespace

LoRAFactors::LoRAFactors(int64_t in_features, int64_t rank, int64_t out_features,
                         const LoRAOptions& options, RngsRef rngs)
    : lora_a(of_kind(*options.param_type,
                     make_param(rngs, options.a_init, init::he_uniform(), {in_features, rank},
                                options.param_dtype, options.a_metadata))),
      lora_b(of_kind(*options.param_type,
                     make_param(rngs, options.b_init, init::zeros(), {rank, out_features},
                                options.param_dtype, options.b_metadata))),
      in_features(in_features),
      lora_rank(rank),
      out_features(out_features),
      dtype(options.dtype) {}

Tensor LoRAFactors::product(const Tensor& x) const {
  const LayerPath path(lora_a);
  const TensorList in = layers::promote_dtype({x, lora_a.value(), lora_b.value()}, dtype);
  return matmul(matmul(in[0], in[1]), in[2]);
}

}  // namespace linnet::nnx::detail
