// The mathematics of recurrent cells (layers/config_recurrent.h has the equations): from the
// products of one step to the new carry. Neither module API adds to it.
#pragma once

#include "linnet/init.h"
#include "linnet/layers/recurrent.h"

namespace linnet::layers {

/// sigmoid and tanh unless given.
struct CellFunctions {
  const Activation& gate;
  const Activation& activation;
};
/// Of a cell's settings (layers/config_recurrent.h).
template <class Config>
CellFunctions functions_of(const Config& config) {
  return {config.gate_fn, config.activation_fn};
}

/// Sums of products, before gates and activations.
struct LSTMGates {
  Tensor i, f, g, o;
};
/// The four of an LSTM side by side on the last axis, in the order i, f, g, o.
LSTMGates split_gates(const Tensor& gates);
LSTMCarry lstm_step(const LSTMGates& gates, const Tensor& c, const CellFunctions& functions);

/// activation(sum), with `residual` activation(sum + h).
Tensor simple_step(const Tensor& sum, const Tensor& h, bool residual, const Activation& activation);

/// r and z: sums of products; n of the input and of the hidden state apart.
struct GRUGates {
  Tensor r, z, n_of_x, n_of_h;
};
Tensor gru_step(const GRUGates& gates, const Tensor& h, const CellFunctions& functions);

struct MGUGates {
  Tensor f, n_of_x, n_of_h;
};
Tensor mgu_step(const MGUGates& gates, const Tensor& h, bool reset_gate,
                const CellFunctions& functions);

/// `gates` [..., 4 features] in the order i, g, f, o.
LSTMCarry conv_lstm_step(const Tensor& gates, const Tensor& c);

/// The input's shape with `features` in place of its last dimension.
/// @throws ShapeError for an input without dimensions.
Shape carry_shape(const char* cell, const Shape& input_shape, int64_t features);
/// Zeros unless an initialiser is given.
Tensor make_carry(const CarryInit& init, const Key& key, const Shape& shape, DType dtype);

/// Of recurrent kernels, unless an initialiser is given.
Initializer recurrent_kernel_initializer();
/// The same, drawn in f32 whatever dtype is asked for: 16-bit floats have no decomposition.
Initializer recurrent_kernel_initializer_of_any_dtype();

}  // namespace linnet::layers
