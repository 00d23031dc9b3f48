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

template <>
struct linnet::layers::LoopTypes<linnet::linen::Api> {
  using VariableAxes = linen::VariableAxes;
  using CollectionFilter = linen::CollectionFilter;
  using SplitRngs = linen::SplitRngs;
  using StateAxes = int;
  using OptionalFilter = int;
  static SplitRngs default_split_rngs() { return {linen::StreamSplit{"params", false}}; }
  static StateAxes default_state_axes() { return 0; }
};

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

namespace detail {

/// One turn of an RNN: the new carry, and {the carry again if all are kept, the output}.
template <class Cell>
struct RNNStep {
  using Carry = CarryOf<Cell>;
  Cell cell;
  bool keeps_carries;
  LINNET_FIELDS(cell, keeps_carries)

  auto operator()(Scope& s, const Carry& carry, const Tensor& x) const {
    auto [next, y] = cell(s, carry, x);
    Carry after(std::move(next));
    std::optional<Carry> kept;
    if (keeps_carries) kept = after;
    return std::pair(std::move(after), std::pair(std::move(kept), std::move(y)));
  }
};

}  // namespace detail

/// A cell over time (L-154): x [batch..., time, features...] -> outputs of all steps, with time
/// where x has it. The cell is the submodule `cell` under linen::scan. Unless told otherwise its
/// parameters are made once and each step sees the same ones; other collections, and random
/// streams, are not visible to the steps.
template <class Cell>
struct RNN {
  static constexpr const char* kClassName = "RNN";
  using Carry = CarryOf<Cell>;
  using Call = RNNCall<Carry>;

  Cell cell;
  RNNSettings settings = {};

  LINNET_FIELDS(cell, settings)

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
    const layers::Sequence sequence(kClassName, x, cell.num_feature_axes(),
                                    {.time_major = call.time_major.value_or(settings.time_major),
                                     .reverse = call.reverse.value_or(settings.reverse),
                                     .keep_order = call.keep_order.value_or(settings.keep_order),
                                     .seq_lengths = call.seq_lengths,
                                     .carry_is_used = carry_is_used});
    const Carry first = call.initial_carry ? *call.initial_carry
                                           : cell.initialize_carry(call.init_key.value_or(Key(0)),
                                                                   sequence.step_shape());
    const detail::ScanTransform loop{{.variable_axes = settings.variable_axes,
                                      .variable_broadcast = settings.variable_broadcast,
                                      .variable_carry = settings.variable_carry,
                                      .split_rngs = settings.split_rngs,
                                      .unroll = settings.unroll}};
    Scope child = s.child("cell");
    const ModulePathScope path("cell");
    auto [carry, stacked] =
        loop.apply_as(kClassName, detail::RNNStep<Cell>{cell, sequence.keeps_carries()}, child,
                      first, sequence.steps());
    if (stacked.first) {
      carry = tree::map(*stacked.first, [&](const Tensor& t) { return sequence.last_carry(t); });
    }
    auto outputs = tree::map(stacked.second, [&](const Tensor& t) { return sequence.outputs(t); });
    return std::pair(std::move(carry), std::move(outputs));
  }
};
template <class Cell>
RNN(Cell, RNNSettings = {}) -> RNN<Cell>;

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
