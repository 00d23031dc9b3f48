// Settings of recurrent cells and of the layers that run them over time.
//
//   linen::RNN{linen::LSTMCell{.features = 64}, {.reverse = true}}
//   nnx::RNN(nnx::LSTMCell(32, 64, rngs), {.reverse = true})
//
// A cell takes (carry, x) and gives {new carry, output}. Its input x is [batch..., in] and its
// hidden state [batch..., features] unless it says otherwise. Kernels of inputs are lecun_normal,
// those of hidden states orthogonal and biases zero unless an initialiser is given; parameters are
// kept in `param_dtype`, and the carry starts in it.
#pragma once

#include <optional>
#include <utility>

#include "linnet/layers/config.h"
#include "linnet/layers/recurrent.h"
#include "linnet/layers/window.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

/// The two that compute an LSTM, with the same parameters in the functional API.
enum class LSTMKind {
  kPerGate,    ///< one product per gate and operand
  kOptimized,  ///< one product per operand for all gates
};

/// Long short-term memory (L-146, L-147, N-138):
///   i = gate(W_ii x + W_hi h + b_hi)         f = gate(W_if x + W_hf h + b_hf)
///   g = activation(W_ig x + W_hg h + b_hg)   o = gate(W_io x + W_ho h + b_ho)
///   c' = f c + i g                           h' = o activation(c')
/// Submodules ii, if, ig, io (kernel [in, features]) and hi, hf, hg, ho (kernel [features,
/// features], bias); nnx::OptimizedLSTMCell has dense_i and dense_h for the four gates in this
/// order.
template <class Api, LSTMKind kKind>
struct LSTM {
  static constexpr const char* kClassName =
      kKind == LSTMKind::kPerGate ? "LSTMCell" : "OptimizedLSTMCell";

  FunctionalOnly<Api, int64_t> features{0};
  Activation gate_fn = {};        ///< by default sigmoid
  Activation activation_fn = {};  ///< by default tanh
  typename Api::ParamInit kernel_init = {};
  typename Api::ParamInit recurrent_kernel_init = {};
  typename Api::ParamInit bias_init = {};
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  CarryInit carry_init = {};               ///< by default zeros
  ObjectOnly<Api, bool> keep_rngs{false};  ///< forks a stream for carries at construction
  ObjectOnly<Api, Metadata> kernel_metadata{};
  ObjectOnly<Api, Metadata> recurrent_kernel_metadata{};
  ObjectOnly<Api, Metadata> bias_metadata{};

  LINNET_FIELDS(features, gate_fn, activation_fn, kernel_init, recurrent_kernel_init, bias_init,
                dtype, param_dtype, carry_init, keep_rngs, kernel_metadata,
                recurrent_kernel_metadata, bias_metadata)

  std::pair<LSTMCarry, Tensor> operator()(typename Api::Scope& s, const LSTMCarry& carry,
                                          const Tensor& x) const
    requires(Api::kFunctional);
  /// The carry before the first step, [batch..., features] each; `key` is split for c and h.
  LSTMCarry initialize_carry(const Key& key, const Shape& input_shape) const
    requires(Api::kFunctional);
  int64_t num_feature_axes() const { return 1; }
};

/// h' = activation(W_i x + b_i + W_h h), with `residual` activation(… + h) (L-150, N-138).
/// Submodules i (kernel, bias) and h (kernel); of the object API dense_i and dense_h.
template <class Api>
struct SimpleCell {
  FunctionalOnly<Api, int64_t> features{0};
  Activation activation_fn = {};  ///< by default tanh
  typename Api::ParamInit kernel_init = {};
  typename Api::ParamInit recurrent_kernel_init = {};
  typename Api::ParamInit bias_init = {};
  /// f32 in the object API, as in Flax; otherwise by default the common dtype of operands.
  std::optional<DType> dtype =
      Api::kFunctional ? std::optional<DType>() : std::optional<DType>(DType::kF32);
  DType param_dtype = DType::kF32;
  CarryInit carry_init = {};  ///< by default zeros
  bool residual = false;
  ObjectOnly<Api, bool> keep_rngs{false};
  ObjectOnly<Api, Metadata> kernel_metadata{};
  ObjectOnly<Api, Metadata> recurrent_kernel_metadata{};
  ObjectOnly<Api, Metadata> bias_metadata{};

  LINNET_FIELDS(features, activation_fn, kernel_init, recurrent_kernel_init, bias_init, dtype,
                param_dtype, carry_init, residual, keep_rngs, kernel_metadata,
                recurrent_kernel_metadata, bias_metadata)

  std::pair<Tensor, Tensor> operator()(typename Api::Scope& s, const Tensor& h,
                                       const Tensor& x) const
    requires(Api::kFunctional);
  Tensor initialize_carry(const Key& key, const Shape& input_shape) const
    requires(Api::kFunctional);
  int64_t num_feature_axes() const { return 1; }
};

/// Gated recurrent unit (L-148, N-138):
///   r = gate(W_ir x + b_ir + W_hr h)   z = gate(W_iz x + b_iz + W_hz h)
///   n = activation(W_in x + b_in + r (W_hn h + b_hn))   h' = (1 - z) n + z h
/// Submodules ir, iz, in (kernel, bias), hr, hz (kernel), hn (kernel, bias). The object API has
/// dense_i (kernel [in, 3 features], bias) and dense_h (kernel, no bias: b_hn = 0) in the order r,
/// z, n.
template <class Api>
struct GRUCell {
  FunctionalOnly<Api, int64_t> features{0};
  Activation gate_fn = {};        ///< by default sigmoid
  Activation activation_fn = {};  ///< by default tanh
  typename Api::ParamInit kernel_init = {};
  typename Api::ParamInit recurrent_kernel_init = {};
  typename Api::ParamInit bias_init = {};
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  CarryInit carry_init = {};  ///< by default zeros
  ObjectOnly<Api, bool> keep_rngs{false};
  ObjectOnly<Api, Metadata> kernel_metadata{};
  ObjectOnly<Api, Metadata> recurrent_kernel_metadata{};
  ObjectOnly<Api, Metadata> bias_metadata{};

  LINNET_FIELDS(features, gate_fn, activation_fn, kernel_init, recurrent_kernel_init, bias_init,
                dtype, param_dtype, carry_init, keep_rngs, kernel_metadata,
                recurrent_kernel_metadata, bias_metadata)

  std::pair<Tensor, Tensor> operator()(typename Api::Scope& s, const Tensor& h,
                                       const Tensor& x) const
    requires(Api::kFunctional);
  Tensor initialize_carry(const Key& key, const Shape& input_shape) const
    requires(Api::kFunctional);
  int64_t num_feature_axes() const { return 1; }
};

/// Minimal gated unit, arXiv:1603.09420 (L-149):
///   f = gate(W_if x + b_if + W_hf h)
///   n = activation(W_in x + b_in + f (W_hn h + b_hn))   h' = (1 - f) n + f h
/// Without `reset_gate` n = activation(W_in x + b_in + W_hn h). Submodules if, in (kernel, bias),
/// hf (kernel), hn (kernel, bias only with reset_gate); in the object API if_, in, hf, hn.
template <class Api>
struct MGUCell {
  FunctionalOnly<Api, int64_t> features{0};
  Activation gate_fn = {};        ///< by default sigmoid
  Activation activation_fn = {};  ///< by default tanh
  typename Api::ParamInit kernel_init = {};
  typename Api::ParamInit recurrent_kernel_init = {};
  /// Of b_if, by default ones: a gate that begins open keeps gradients from vanishing.
  typename Api::ParamInit forget_bias_init = {};
  typename Api::ParamInit activation_bias_init = {};  ///< of b_in and b_hn
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  CarryInit carry_init = {};  ///< by default zeros
  bool reset_gate = true;
  ObjectOnly<Api, bool> keep_rngs{false};
  ObjectOnly<Api, Metadata> kernel_metadata{};
  ObjectOnly<Api, Metadata> recurrent_kernel_metadata{};
  ObjectOnly<Api, Metadata> bias_metadata{};

  LINNET_FIELDS(features, gate_fn, activation_fn, kernel_init, recurrent_kernel_init,
                forget_bias_init, activation_bias_init, dtype, param_dtype, carry_init, reset_gate,
                keep_rngs, kernel_metadata, recurrent_kernel_metadata, bias_metadata)

  std::pair<Tensor, Tensor> operator()(typename Api::Scope& s, const Tensor& h,
                                       const Tensor& x) const
    requires(Api::kFunctional);
  Tensor initialize_carry(const Key& key, const Shape& input_shape) const
    requires(Api::kFunctional);
  int64_t num_feature_axes() const { return 1; }
};

/// An LSTM whose products are convolutions (L-151): x [batch..., spatial..., in], carry [batch...,
/// spatial..., features]. One is added to the forget gate before its sigmoid. Submodules ih and hh
/// (kernel [kernel..., in, 4 features], bias) for the gates i, g, f, o.
template <class Api>
struct ConvLSTMCell {
  FunctionalOnly<Api, int64_t> features{0};
  /// Sizes of the window: one per spatial dimension.
  FunctionalOnly<Api, PerDimension> kernel{1};
  PerDimension strides = 1;
  Padding padding = "SAME";
  bool use_bias = true;
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  CarryInit carry_init = {};  ///< by default zeros
  ObjectOnly<Api, bool> keep_rngs{false};
  ObjectOnly<Api, Metadata> kernel_metadata{};
  ObjectOnly<Api, Metadata> bias_metadata{};

  LINNET_FIELDS(features, kernel, strides, padding, use_bias, dtype, param_dtype, carry_init,
                keep_rngs, kernel_metadata, bias_metadata)

  std::pair<LSTMCarry, Tensor> operator()(typename Api::Scope& s, const LSTMCarry& carry,
                                          const Tensor& x) const
    requires(Api::kFunctional);
  LSTMCarry initialize_carry(const Key& key, const Shape& input_shape) const
    requires(Api::kFunctional);
  int64_t num_feature_axes() const
    requires(Api::kFunctional);
};

/// How an API says what becomes of variables and random streams in a loop; specialised beside its
/// layers.
template <class Api>
struct LoopTypes;

/// Of RNN, which runs a cell over time (L-154, N-139).
template <class Api>
struct RNNSettings {
  using Loop = LoopTypes<Api>;

  bool time_major = false;  ///< [time, batch..., features...] in place of [batch..., time, …]
  bool reverse = false;     ///< from the last step to the first, outputs in that order
  bool keep_order = false;  ///< of reversed sequences: outputs in the order of the inputs
  int64_t unroll = 1;       ///< steps that a compiled program does in one go
  /// Of the functional API, as in linen::scan: collections with one slice for each step; those that
  /// are the same for all steps and made once; those that a step finds as the one before left them;
  /// and streams, with whether each step has keys of its own. What nothing names is not visible.
  FunctionalOnly<Api, typename Loop::VariableAxes> variable_axes{};
  FunctionalOnly<Api, typename Loop::CollectionFilter> variable_broadcast{"params"};
  FunctionalOnly<Api, typename Loop::CollectionFilter> variable_carry{false};
  FunctionalOnly<Api, typename Loop::SplitRngs> split_rngs{Loop::default_split_rngs()};
  /// Of the object API, as in nnx::scan: what becomes of the cell's variables; by default each step
  /// finds them as the one before left them.
  ObjectOnly<Api, typename Loop::StateAxes> state_axes{Loop::default_state_axes()};
  /// Streams with the same keys in all steps, and others at the next call.
  ObjectOnly<Api, typename Loop::OptionalFilter> broadcast_rngs{};
  /// A stream of its own for carries: key 0, or a fork of the Rngs given to the constructor.
  ObjectOnly<Api, bool> keep_rngs{true};

  LINNET_FIELDS(time_major, reverse, keep_order, unroll, variable_axes, variable_broadcast,
                variable_carry, split_rngs, state_axes, broadcast_rngs, keep_rngs)
};

/// Of Bidirectional, which runs two of them (L-155, N-140).
template <class Api>
struct BidirectionalSettings {
  MergeFunction merge_fn = merge_by_concatenation;
  bool time_major = false;
  ObjectOnly<Api, bool> keep_rngs{true};  ///< as of RNN

  LINNET_FIELDS(merge_fn, time_major, keep_rngs)
};

}  // namespace linnet::layers

#pragma GCC visibility pop
