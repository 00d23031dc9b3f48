// Functional recurrent layers: cells, RNN and Bidirectional. Their settings and parameters are
// described in layers/config_recurrent.h.
//
//   const linen::RNN lstm{linen::OptimizedLSTMCell{.features = 64}};
//   Tensor y = s("lstm", lstm, x);                              // f32[b, t, n] -> f32[b, t, 64]
//   auto [carry, z] = s("lstm", lstm, x, linen::return_carry,
//                       linen::RNNCall<linen::LSTMCarry>{.seq_lengths = lengths});
//   Tensor both = s("both", linen::Bidirectional{lstm, linen::RNN{linen::GRUCell{64}}}, x);
//
// A cell of your own is a functional module that RNNCellBase describes.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include "linnet/layers/config_recurrent.h"
#include "linnet/linen/layers_init.h"
#include "linnet/linen/transforms_loop.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

using layers::flip_sequences;
using layers::LSTMCarry;
using layers::return_carry;
using layers::ReturnCarry;

using LSTMCell = layers::LSTM<Api, layers::LSTMKind::kPerGate>;
using OptimizedLSTMCell = layers::LSTM<Api, layers::LSTMKind::kOptimized>;
using SimpleCell = layers::SimpleCell<Api>;
using GRUCell = layers::GRUCell<Api>;
using MGUCell = layers::MGUCell<Api>;
using ConvLSTMCell = layers::ConvLSTMCell<Api>;
using RNNSettings = layers::RNNSettings<Api>;
using BidirectionalSettings = layers::BidirectionalSettings<Api>;

/// What a cell makes for `initialize_carry`: a tree of tensors.
template <class Cell>
using CarryOf = std::decay_t<decltype(std::declval<const Cell&>().initialize_carry(
    std::declval<const Key&>(), std::declval<const Shape&>()))>;

/// A recurrent cell (L-152): `initialize_carry(key, input_shape)` makes the carry before the first
/// step, the call gives {new carry, output}, and `num_feature_axes()` says how many trailing
/// dimensions of an input are no batch.
template <class Cell>
concept RNNCellBase = requires(const Cell& cell, Scope& s, const Tensor& x) {
  { cell.num_feature_axes() } -> std::convertible_to<int64_t>;
  { cell(s, std::declval<const CarryOf<Cell>&>(), x).first } -> std::convertible_to<CarryOf<Cell>>;
  cell(s, std::declval<const CarryOf<Cell>&>(), x).second;
};

/// What may differ from call to call of RNN and Bidirectional; settings that are not given are the
/// layer's.
template <class Carry>
struct RNNCall {
  std::optional<Carry> initial_carry = {};  ///< by default what the cell initialises
  std::optional<Key> init_key = {};         ///< of that, by default key 0
  Tensor seq_lengths = {};                  ///< integers [batch...]; what is behind them is padding
  std::optional<bool> time_major = {}, reverse = {}, keep_order = {};
};

/// How the variables and streams of a cell go through the loop; as in `scan`.
struct LoopVariables {
  VariableAxes variable_axes = {};
  CollectionFilter variable_broadcast = "params";
  CollectionFilter variable_carry = false;
  SplitRngs split_rngs = {{"params", false}};

  LINNET_FIELDS(variable_axes, variable_broadcast, variable_carry, split_rngs)
};

namespace detail {

/// A loop whose steps run in `turn`, a scope like `scope`.
layers::SequenceLoop lifted_loop(const Scope& scope, const LoopVariables& variables,
                                 std::optional<Scope>& turn);

template <class Carry>
layers::SequenceSettings sequence_settings(const RNNSettings& settings, const RNNCall<Carry>& call,
                                           bool carry_is_used) {
  return {.time_major = call.time_major.value_or(settings.time_major),
          .reverse = call.reverse.value_or(settings.reverse),
          .keep_order = call.keep_order.value_or(settings.keep_order),
          .unroll = settings.unroll,
          .seq_lengths = call.seq_lengths,
          .carry_is_used = carry_is_used};
}

}  // namespace detail

/// A cell over time (L-154): x [batch..., time, features...] -> outputs of all steps, with time
/// where x has it. The cell's parameters are in the submodule `cell`; unless `variables` says
/// otherwise they are made once, before the loop, each step sees the same ones, and other
/// collections and streams are not visible to the steps.
template <class Cell>
struct RNN {
  static constexpr const char* kClassName = "RNN";
  using Carry = CarryOf<Cell>;
  using Call = RNNCall<Carry>;

  Cell cell;
  RNNSettings settings = {};
  LoopVariables variables = {};

  LINNET_FIELDS(cell, settings, variables)

  /// @throws ShapeError if x has too few dimensions or the lengths are not those of its batch.
  auto operator()(Scope& s, const Tensor& x, const Call& call = {}) const {
    return run(s, x, call, false).second;
  }
  /// {carry, outputs}. With seq_lengths the carry is that after each sequence's own last step.
  auto operator()(Scope& s, const Tensor& x, ReturnCarry, const Call& call = {}) const {
    return run(s, x, call, true);
  }

 private:
  auto run(Scope& s, const Tensor& x, const Call& call, bool carry_is_used) const {
    static_assert(RNNCellBase<Cell>,
                  "the cell of an RNN needs initialize_carry(key, input_shape) const, "
                  "num_feature_axes() const, and operator()(Scope&, const Carry&, const Tensor&) "
                  "const that gives std::pair(new carry, output)");
    const auto sequence = detail::sequence_settings(settings, call, carry_is_used);
    const Shape one =
        layers::step_shape(kClassName, x.shape(), cell.num_feature_axes(), sequence.time_major);
    const Carry first = call.initial_carry
                            ? *call.initial_carry
                            : cell.initialize_carry(call.init_key.value_or(Key(0)), one);
    Scope child = s.child("cell");
    const ModulePathScope path("cell");
    using Output = std::decay_t<decltype(cell(child, first, x).second)>;
    std::optional<Output> output;  // whose structure is known after the first step
    std::optional<Scope> turn;
    const auto step = [&](const TensorList& carry, const Tensor& input) {
      auto [next, y] = cell(*turn, tree::unflatten(first, carry), input);
      TensorList out = tree::leaves(static_cast<const Carry&>(next));
      for (Tensor& leaf : tree::leaves(y)) out.push_back(std::move(leaf));
      output.emplace(std::move(y));
      return out;
    };
    const layers::SequenceResult result =
        layers::run_over_time(kClassName, x, cell.num_feature_axes(), tree::leaves(first), sequence,
                              step, detail::lifted_loop(child, variables, turn));
    return std::pair<Carry, Output>(tree::unflatten(first, result.carry),
                                    tree::unflatten(*output, result.outputs));
  }
};
template <class Cell>
RNN(Cell, RNNSettings = {}, LoopVariables = {}) -> RNN<Cell>;

/// Two layers over the same sequences, the second from the end to the beginning, and their outputs
/// joined by `merge_fn` (L-155). Submodules forward_rnn and backward_rnn. The order of time is the
/// input's; `reverse` and `keep_order` of a call mean nothing here.
template <class Forward, class Backward>
struct Bidirectional {
  static constexpr const char* kClassName = "Bidirectional";
  using Carry = std::pair<typename Forward::Carry, typename Backward::Carry>;
  using Call = RNNCall<Carry>;

  Forward forward_rnn;
  Backward backward_rnn;
  BidirectionalSettings settings = {};

  LINNET_FIELDS(forward_rnn, backward_rnn, settings)

  auto operator()(Scope& s, const Tensor& x, const Call& call = {}) const {
    return (*this)(s, x, return_carry, call).second;
  }
  /// {{carry of the forward layer, carry of the backward one}, outputs}.
  auto operator()(Scope& s, const Tensor& x, ReturnCarry, const Call& call = {}) const {
    RNNCall<typename Forward::Carry> forward{
        .seq_lengths = call.seq_lengths, .time_major = settings.time_major, .reverse = false};
    RNNCall<typename Backward::Carry> backward{.seq_lengths = call.seq_lengths,
                                               .time_major = settings.time_major,
                                               .reverse = true,
                                               .keep_order = true};
    if (call.time_major) forward.time_major = backward.time_major = call.time_major;
    if (call.initial_carry) {
      forward.initial_carry = call.initial_carry->first;
      backward.initial_carry = call.initial_carry->second;
    }
    if (call.init_key) {
      const Key keys = random::split(*call.init_key);
      forward.init_key = keys[0];
      backward.init_key = keys[1];
    }
    auto [forward_carry, a] = s("forward_rnn", forward_rnn, x, return_carry, forward);
    auto [backward_carry, b] = s("backward_rnn", backward_rnn, x, return_carry, backward);
    auto outputs = tree::map(a, b, settings.merge_fn);
    return std::pair<Carry, decltype(outputs)>(
        Carry(std::move(forward_carry), std::move(backward_carry)), std::move(outputs));
  }
};
template <class Forward, class Backward>
Bidirectional(Forward, Backward, BidirectionalSettings = {}) -> Bidirectional<Forward, Backward>;

}  // namespace linnet::linen

namespace linnet::layers {
extern template struct LSTM<linen::Api, LSTMKind::kPerGate>;
extern template struct LSTM<linen::Api, LSTMKind::kOptimized>;
extern template struct SimpleCell<linen::Api>;
extern template struct GRUCell<linen::Api>;
extern template struct MGUCell<linen::Api>;
extern template struct ConvLSTMCell<linen::Api>;
}  // namespace linnet::layers

#pragma GCC visibility pop
