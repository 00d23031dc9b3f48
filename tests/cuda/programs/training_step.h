// A small training step on plain tensors for tests on the device: products, reductions, elementwise
// clusters, an operation of the host, and state that is changed in place.
#pragma once

#include <vector>

#include "linnet/core.h"

namespace linnet::testing {

inline constexpr Device kGpu{DeviceType::kCuda, 0};

struct TrainingState {
  std::vector<Tensor> weights;
  std::vector<Tensor> momenta;
  Tensor order;
  LINNET_FIELDS(weights, momenta, order)
};

inline Tensor ramp_on(Device device, Shape shape, double from, double to) {
  const int64_t size = element_count(shape);
  return reshape(
             arange(size).astype(DType::kF32) * ((to - from) / static_cast<double>(size)) + from,
             shape)
      .to(device);
}

inline TrainingState training_state(Device device) {
  TrainingState state;
  state.weights = {ramp_on(device, {8, 16}, -0.5, 0.5), ramp_on(device, {16, 4}, 0.4, -0.3)};
  for (const Tensor& w : state.weights) state.momenta.push_back(zeros_like(w));
  state.order = ramp_on(device, {16}, 1, 0);
  return state;
}

/// The loss; the state becomes that after the step.
inline Tensor training_step(TrainingState& state, const Tensor& x) {
  const auto [loss, gradients] = value_and_grad([&](const std::vector<Tensor>& w) {
    return mean(square(matmul(tanh(matmul(x, w[0])), w[1]) - 0.5));
  })(state.weights);
  for (size_t i = 0; i < gradients.size(); ++i) {
    state.momenta[i] = state.momenta[i] * 0.5 + gradients[i];
    state.weights[i] = state.weights[i] - state.momenta[i] * 0.1;
  }
  state.order = sort(state.order * -1 + 0.25);
  return loss;
}

inline std::vector<std::vector<float>> values_of(const TensorList& tensors) {
  std::vector<std::vector<float>> out;
  for (const Tensor& t : tensors) out.push_back(t.to_vector<float>());
  return out;
}
inline std::vector<std::vector<float>> values_of(const TrainingState& state) {
  return values_of(tree::leaves(state));
}

}  // namespace linnet::testing
