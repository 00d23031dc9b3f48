#include "modules/layers/recurrent.h"

#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet::layers {
namespace {

Tensor gate(const CellFunctions& functions, const Tensor& x) {
  return functions.gate ? functions.gate(x) : sigmoid(x);
}

Tensor activated(const Activation& activation, const Tensor& x) {
  return activation ? activation(x) : tanh(x);
}

}  // namespace

LSTMGates split_gates(const Tensor& gates) {
  const std::vector<Tensor> parts = split(gates, 4, -1);
  return {parts[0], parts[1], parts[2], parts[3]};
}

LSTMCarry lstm_step(const LSTMGates& gates, const Tensor& c, const CellFunctions& functions) {
  const Tensor i = gate(functions, gates.i), f = gate(functions, gates.f);
  const Tensor g = activated(functions.activation, gates.g), o = gate(functions, gates.o);
  const Tensor next = f * c + i * g;
  return {next, o * activated(functions.activation, next)};
}

Tensor simple_step(const Tensor& sum, const Tensor& h, bool residual,
                   const Activation& activation) {
  return activated(activation, residual ? sum + h : sum);
}

Tensor gru_step(const GRUGates& gates, const Tensor& h, const CellFunctions& functions) {
  const Tensor r = gate(functions, gates.r), z = gate(functions, gates.z);
  const Tensor n = activated(functions.activation, gates.n_of_x + r * gates.n_of_h);
  return (1.0 - z) * n + z * h;
}

Tensor mgu_step(const MGUGates& gates, const Tensor& h, bool reset_gate,
                const CellFunctions& functions) {
  const Tensor f = gate(functions, gates.f);
  const Tensor n = activated(functions.activation,
                             gates.n_of_x + (reset_gate ? gates.n_of_h * f : gates.n_of_h));
  return (1.0 - f) * n + f * h;
}

LSTMCarry conv_lstm_step(const Tensor& gates, const Tensor& c) {
  const std::vector<Tensor> parts = split(gates, 4, -1);
  // The one keeps the forget gate open at the start of training.
  return lstm_step({.i = parts[0], .f = parts[2] + 1, .g = parts[1], .o = parts[3]}, c,
                   {Activation(), Activation()});
}

Shape carry_shape(const char* cell, const Shape& input_shape, int64_t features) {
  if (input_shape.empty()) {
    fail<ShapeError>("{}: expected an input shape [batch..., in] for the carry, got []", cell);
  }
  Shape out = input_shape;
  out.back() = features;
  return out;
}

Tensor make_carry(const CarryInit& init, const Key& key, const Shape& shape, DType dtype) {
  return init ? init(key, shape, dtype) : zeros(shape, dtype);
}

Initializer recurrent_kernel_initializer() { return init::orthogonal(); }

Initializer recurrent_kernel_initializer_of_any_dtype() {
  return [](const Key& key, const Shape& shape, DType dtype) {
    return astype(init::orthogonal()(key, shape, DType::kF32), dtype);
  };
}

}  // namespace linnet::layers
