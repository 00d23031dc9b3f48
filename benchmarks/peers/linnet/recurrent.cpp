// Forward and backward of an LSTM of 256 units over 64 steps of a batch of 32: the layer, and scan.
#include "benchmarks/peers/linnet/side.h"

namespace peers {
namespace {

constexpr int64_t kTime = 64, kBatch = 32, kSize = 256;

struct Lstm {
  Tensor kernel, recurrent, bias;  ///< gates i, f, g, o side by side
  LINNET_FIELDS(kernel, recurrent, bias)
};

Lstm make_lstm() {
  const double bound = 0.0625;
  return {uniform(4000, {kSize, 4 * kSize}, bound), uniform(4001, {kSize, 4 * kSize}, bound),
          uniform(4002, {4 * kSize}, bound)};
}

/// The product with the inputs is taken out of the loop.
Tensor scanned(const Lstm& p, const Tensor& x) {
  using Carry = std::pair<Tensor, Tensor>;
  const Tensor zero = zeros({kBatch, kSize});
  const auto turn = [&](const Carry& carry, const Tensor& of_x) {
    const auto& [c, h] = carry;
    const TensorList gates = split(of_x + matmul(h, p.recurrent), 4, -1);
    const Tensor cell = sigmoid(gates[1]) * c + sigmoid(gates[0]) * tanh(gates[2]);
    const Tensor hidden = sigmoid(gates[3]) * tanh(cell);
    return std::pair(Carry(cell, hidden), hidden);
  };
  return scan(turn, Carry(zero, zero), matmul(x, p.kernel) + p.bias).second;
}

Tensor layered(const Lstm& p, const Tensor& x) {
  nnx::Rngs rngs(0);
  nnx::RNN layer(nnx::OptimizedLSTMCell(kSize, kSize, rngs), {.time_major = true});
  layer.cell.dense_i.kernel = p.kernel;
  layer.cell.dense_h.kernel = p.recurrent;
  *layer.cell.dense_h.bias = p.bias;
  return layer(x);
}

template <class F>
Work forward_and_backward(F apply) {
  const auto step = jit([apply](const Lstm& p, const Tensor& x) {
    return value_and_grad([&](const Lstm& q) { return mean(square(apply(q, x))); })(p);
  });
  return training(
      [step, p = make_lstm(), x = uniform(4003, {kTime, kBatch, kSize}, 1)] { return step(p, x); },
      1,
      [](const auto& result) {
        return result.first.template item<double>() + 1e3 * mean_abs(result.second.recurrent);
      },
      [](const auto& result) { keep(result.first); });
}

}  // namespace

void add_recurrent(Cases& cases) {
  cases.add("lstm", "lstm_64x32x256", "jit", [] { return forward_and_backward(layered); });
  cases.add("lstm", "lstm_64x32x256", "scan", [] { return forward_and_backward(scanned); });
}

}  // namespace peers
