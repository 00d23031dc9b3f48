// Optimiser steps: the fused float32 kernel.
#include "linnet/detail/optim.h"
#include "kernels/cpu/optim/update.h"
#include "kernels/cpu/register/families.h"
#include "linnet/kernel.h"

namespace linnet {
namespace {

std::string decline_adamw(const KernelRequest& request) {
  for (const OperandView& x : request.inputs) {
    if (x.dtype != DType::kF32) return "takes f32 only";
  }
  return "";
}

void run_adamw(const KernelRequest& request, const void* const* in, void* const* out, void*) {
  const AdamWParams& p = request.params.as<AdamWParams>();
  const size_t n = static_cast<size_t>(p.count);
  const auto x = [&](size_t i) { return static_cast<const float*>(in[i]); };
  const auto y = [&](size_t i) { return static_cast<float*>(out[i]); };
  cpu::AdamWSettings settings;
  settings.learning_rate = *x(0);
  settings.first_correction = *x(1);
  settings.second_correction = *x(2);
  settings.b1 = static_cast<float>(p.b1);
  settings.b2 = static_cast<float>(p.b2);
  settings.b1_complement = static_cast<float>(1 - p.b1);
  settings.b2_complement = static_cast<float>(1 - p.b2);
  settings.epsilon = static_cast<float>(p.epsilon);
  settings.epsilon_root = static_cast<float>(p.epsilon_root);
  settings.weight_decay = static_cast<float>(p.weight_decay);
  for (size_t i = 0; i < n; ++i) {
    cpu::adamw_update(element_count(request.inputs[3 + i].shape),
                      {x(3 + i), x(3 + n + i), x(3 + 2 * n + i), x(3 + 3 * n + i)},
                      {y(i), y(n + i), y(2 * n + i)}, settings);
  }
}

/// New parameters and moments may replace the old ones.
int in_place_adamw(const KernelRequest& request, size_t result) {
  const size_t n = static_cast<size_t>(request.params.as<AdamWParams>().count);
  return static_cast<int>(result < n ? 3 + result : 3 + n + result);
}

}  // namespace

void register_optim(KernelTable& table) {
  table.add(adamw_update_primitive(), {.name = "fused",
                                       .in_place = true,
                                       .in_place_operand = in_place_adamw,
                                       .decline = decline_adamw,
                                       .run = run_adamw,
                                       .never_throws = true});
}

}  // namespace linnet
