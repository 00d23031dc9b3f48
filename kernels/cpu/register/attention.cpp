// Kernels of attention.
#include <array>
#include <string>

#include "core/ops/nn.h"
#include "kernels/cpu/attention/attention.h"
#include "kernels/cpu/register/families.h"

namespace linnet {
namespace {

/// Fewer queries than this pass over keys and values once in the composite's products; bringing
/// them into panels would be another pass.
constexpr int64_t kLeastQueries = 8;

std::string decline(const KernelRequest& request, const AttentionParams& p) {
  const DType dtype = request.inputs[0].dtype;
  if (dtype == DType::kF64) return "f64";
  if (p.has_bias) return "a bias";
  if (p.dropout_rate > 0) return "dropout";
  if (request.inputs[0].shape[1] < kLeastQueries) return "few queries";
  for (size_t i = 0; i < 3; ++i) {
    if (element_count(request.inputs[i].shape) == 0) return "an empty operand";
  }
  return "";
}

std::array<int64_t, 4> strides_of(const OperandView& x) {
  return {x.strides[0], x.strides[1], x.strides[2], x.strides[3]};
}

/// @param mask number of the operand that is the mask, if there is one
cpu::AttentionProblem problem_of(const KernelRequest& request, const AttentionParams& p,
                                 size_t mask) {
  const auto &q = request.inputs[0].shape, &k = request.inputs[1].shape;
  cpu::AttentionProblem out{.dtype = request.inputs[0].dtype,
                            .batch = q[0],
                            .q_len = q[1],
                            .kv_len = k[1],
                            .heads = q[2],
                            .kv_heads = k[2],
                            .dim = q[3],
                            .v_dim = request.inputs[2].shape[3],
                            .scale = static_cast<float>(p.scale),
                            .causal = p.causal,
                            .has_mask = p.has_mask};
  for (size_t i = 0; p.has_mask && i < 4; ++i) {
    const OperandView& m = request.inputs[mask];
    out.mask_strides[i] = m.shape[i] == 1 ? 0 : m.strides[i];
  }
  return out;
}

cpu::AttentionInputs inputs_of(const KernelRequest& request, const void* const* in, bool has_mask,
                               size_t mask) {
  const auto operand = [&](size_t i) {
    return cpu::AttentionOperand{in[i], strides_of(request.inputs[i])};
  };
  return {operand(0), operand(1), operand(2),
          has_mask ? static_cast<const uint8_t*>(in[mask]) : nullptr};
}

cpu::AttentionRows rows_of(const KernelRequest& request, const void* const* in, size_t i) {
  const Strides s(request.inputs[i].strides);
  return {static_cast<const float*>(in[i]), {s[0], s[1], s[2]}};
}

cpu::AttentionProblem forward_problem(const KernelRequest& request) {
  return problem_of(request, request.params.as<AttentionParams>(), 3);
}

void run_attention(const KernelRequest& request, const void* const* in, void* const* out,
                   void* workspace) {
  const bool has_mask = request.params.as<AttentionParams>().has_mask;
  cpu::attention(forward_problem(request), inputs_of(request, in, has_mask, 3), out[0],
                 static_cast<float*>(out[1]), workspace);
}

size_t mask_of(const AttentionBackwardParams& p) { return p.has_dlse ? 7 : 6; }

cpu::AttentionProblem backward_problem(const KernelRequest& request) {
  const auto& p = request.params.as<AttentionBackwardParams>();
  return problem_of(request, p.attention, mask_of(p));
}

void run_attention_backward(const KernelRequest& request, const void* const* in, void* const* out,
                            void* workspace) {
  const auto& p = request.params.as<AttentionBackwardParams>();
  cpu::AttentionGradient gradient{.y = {in[3], strides_of(request.inputs[3])},
                                  .dy = {in[5], strides_of(request.inputs[5])},
                                  .lse = rows_of(request, in, 4),
                                  .dlse = {}};
  if (p.has_dlse) gradient.dlse = rows_of(request, in, 6);
  cpu::attention_backward(backward_problem(request),
                          inputs_of(request, in, p.attention.has_mask, mask_of(p)), gradient,
                          out[0], out[1], out[2], workspace);
}

}  // namespace

void register_attention(KernelTable& table) {
  table.add(attention_primitive(), {.name = "blocks",
                                    .strided = true,
                                    .decline =
                                        [](const KernelRequest& request) {
                                          return decline(request,
                                                         request.params.as<AttentionParams>());
                                        },
                                    .run = run_attention,
                                    .workspace_bytes =
                                        [](const KernelRequest& request) {
                                          return cpu::attention_workspace(forward_problem(request));
                                        },
                                    .never_throws = true});
  table.add(attention_backward_primitive(),
            {.name = "blocks",
             .strided = true,
             .decline =
                 [](const KernelRequest& request) {
                   return decline(request, request.params.as<AttentionBackwardParams>().attention);
                 },
             .run = run_attention_backward,
             .workspace_bytes =
                 [](const KernelRequest& request) {
                   return cpu::attention_backward_workspace(backward_problem(request));
                 },
             .never_throws = true});
}

}  // namespace linnet
