// Object recurrent layers: cells, RNN and Bidirectional. Their options and equations are described
// in layers/config_recurrent.h.
//
//   nnx::RNN lstm(nnx::OptimizedLSTMCell(32, 64, rngs));
//   Tensor y = lstm(x);                                         // f32[b, t, 32] -> f32[b, t, 64]
//   auto [carry, z] = lstm(x, nnx::return_carry, {.seq_lengths = lengths});
//   nnx::Bidirectional both(std::move(lstm), nnx::RNN(nnx::GRUCell(32, 64, rngs)));
//
// A cell of your own is a module that RNNCellBase describes. What it writes in a step (counts of
// random streams, statistics) the next step sees.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include "linnet/layers/config_recurrent.h"
#include "linnet/nnx/layers_conv.h"
#include "linnet/nnx/layers_linear.h"
#include "linnet/nnx/rngs_split.h"
#include "linnet/nnx/transforms_loops.h"

#pragma GCC visibility push(default)

template <>
struct linnet::layers::LoopTypes<linnet::nnx::Api> {
  using VariableAxes = int;
  using CollectionFilter = int;
  using SplitRngs = int;
  using StateAxes = nnx::StateAxes;
  using OptionalFilter = std::optional<nnx::Filter>;
  static SplitRngs default_split_rngs() { return 0; }
  static StateAxes default_state_axes() { return {{nnx::everything(), nnx::kCarry}}; }
};

namespace linnet::tree {
template <>
struct Traits<nnx::Filter> {
  static void visit(nnx::Filter& filter, Visitor& visitor) {
    visitor.fixed(typeid(nnx::Filter), filter.text());
  }
};
template <>
struct Traits<nnx::StateAxes> {
  static void visit(nnx::StateAxes& axes, Visitor& visitor) {
    std::string text;
    for (const auto& [filter, axis] : axes.entries())
      text += filter.text() + ": " + nnx::to_string(axis) + '\n';
    visitor.fixed(typeid(nnx::StateAxes), text);
  }
};
}  // namespace linnet::tree

namespace linnet::nnx {

using layers::flip_sequences;
using layers::LSTMCarry;
using layers::return_carry;
using layers::ReturnCarry;

using LSTMCellOptions = layers::LSTM<Api, layers::LSTMKind::kPerGate>;
using OptimizedLSTMCellOptions = layers::LSTM<Api, layers::LSTMKind::kOptimized>;
using SimpleCellOptions = layers::SimpleCell<Api>;
using GRUCellOptions = layers::GRUCell<Api>;
using MGUCellOptions = layers::MGUCell<Api>;
using ConvLSTMCellOptions = layers::ConvLSTMCell<Api>;
using RNNOptions = layers::RNNSettings<Api>;
using BidirectionalOptions = layers::BidirectionalSettings<Api>;

/// LSTM with one product per gate and operand (N-138): linear layers ii, if_, ig, io without bias,
/// hi, hf, hg, ho with one.
class LSTMCell : public LSTMCellOptions {
 public:
  using Options = LSTMCellOptions;
  LSTMCell(int64_t in_features, int64_t hidden_features, RngsRef rngs)
      : LSTMCell(in_features, hidden_features, {}, rngs) {}
  LSTMCell(int64_t in_features, int64_t hidden_features, const Options& options, RngsRef rngs);

  std::pair<LSTMCarry, Tensor> operator()(const LSTMCarry& carry, const Tensor& x) const;
  /// The carry before the first step, [batch..., hidden_features] each, from two keys of the
  /// stream; made by `carry_init` if given, else as the options say.
  LSTMCarry initialize_carry(const Shape& input_shape, RngStream& stream,
                             const layers::CarryInit& carry_init = {}) const;
  /// From the stream `carry`.
  LSTMCarry initialize_carry(const Shape& input_shape, RngsRef streams,
                             const layers::CarryInit& carry_init = {}) const {
    return initialize_carry(input_shape, streams->stream("carry"), carry_init);
  }
  /// From the cell's own stream. @throws ValueError unless it was made with `keep_rngs`.
  LSTMCarry initialize_carry(const Shape& input_shape);

  Linear ii, if_, ig, io, hi, hf, hg, ho;
  std::optional<RngStream> rngs;
  int64_t in_features, hidden_features;

  LINNET_FIELDS_AND_BASE(Options, ii, if_, ig, io, hi, hf, hg, ho, rngs, in_features,
                         hidden_features)
};

/// LSTM with one product per operand (N-138): linear layers dense_i without bias and dense_h, each
/// with the gates i, f, g, o side by side.
class OptimizedLSTMCell : public OptimizedLSTMCellOptions {
 public:
  using Options = OptimizedLSTMCellOptions;
  OptimizedLSTMCell(int64_t in_features, int64_t hidden_features, RngsRef rngs)
      : OptimizedLSTMCell(in_features, hidden_features, {}, rngs) {}
  OptimizedLSTMCell(int64_t in_features, int64_t hidden_features, const Options& options,
                    RngsRef rngs);

  std::pair<LSTMCarry, Tensor> operator()(const LSTMCarry& carry, const Tensor& x) const;
  /// As of LSTMCell.
  LSTMCarry initialize_carry(const Shape& input_shape, RngStream& stream,
                             const layers::CarryInit& carry_init = {}) const;
  LSTMCarry initialize_carry(const Shape& input_shape, RngsRef streams,
                             const layers::CarryInit& carry_init = {}) const {
    return initialize_carry(input_shape, streams->stream("carry"), carry_init);
  }
  LSTMCarry initialize_carry(const Shape& input_shape);

  Linear dense_i, dense_h;
  std::optional<RngStream> rngs;
  int64_t in_features, hidden_features;

  LINNET_FIELDS_AND_BASE(Options, dense_i, dense_h, rngs, in_features, hidden_features)
};

/// One product per operand and an activation (N-138): linear layers dense_h without bias, dense_i.
class SimpleCell : public SimpleCellOptions {
 public:
  using Options = SimpleCellOptions;
  SimpleCell(int64_t in_features, int64_t hidden_features, RngsRef rngs)
      : SimpleCell(in_features, hidden_features, {}, rngs) {}
  SimpleCell(int64_t in_features, int64_t hidden_features, const Options& options, RngsRef rngs);

  std::pair<Tensor, Tensor> operator()(const Tensor& h, const Tensor& x) const;
  /// The carry before the first step, [batch..., hidden_features], from one key of the stream; made
  /// by `carry_init` if given, else as the options say.
  Tensor initialize_carry(const Shape& input_shape, RngStream& stream,
                          const layers::CarryInit& carry_init = {}) const;
  Tensor initialize_carry(const Shape& input_shape, RngsRef streams,
                          const layers::CarryInit& carry_init = {}) const {
    return initialize_carry(input_shape, streams->stream("carry"), carry_init);
  }
  /// From the cell's own stream. @throws ValueError unless it was made with `keep_rngs`.
  Tensor initialize_carry(const Shape& input_shape);

  Linear dense_h, dense_i;
  std::optional<RngStream> rngs;
  int64_t in_features, hidden_features;

  LINNET_FIELDS_AND_BASE(Options, dense_h, dense_i, rngs, in_features, hidden_features)
};

/// Gated recurrent unit (N-138): linear layers dense_i, and dense_h without bias, each with r, z, n
/// side by side.
class GRUCell : public GRUCellOptions {
 public:
  using Options = GRUCellOptions;
  GRUCell(int64_t in_features, int64_t hidden_features, RngsRef rngs)
      : GRUCell(in_features, hidden_features, {}, rngs) {}
  GRUCell(int64_t in_features, int64_t hidden_features, const Options& options, RngsRef rngs);

  std::pair<Tensor, Tensor> operator()(const Tensor& h, const Tensor& x) const;
  /// As of SimpleCell.
  Tensor initialize_carry(const Shape& input_shape, RngStream& stream,
                          const layers::CarryInit& carry_init = {}) const;
  Tensor initialize_carry(const Shape& input_shape, RngsRef streams,
                          const layers::CarryInit& carry_init = {}) const {
    return initialize_carry(input_shape, streams->stream("carry"), carry_init);
  }
  Tensor initialize_carry(const Shape& input_shape);

  Linear dense_i, dense_h;
  std::optional<RngStream> rngs;
  int64_t in_features, hidden_features;

  LINNET_FIELDS_AND_BASE(Options, dense_i, dense_h, rngs, in_features, hidden_features)
};

/// Minimal gated unit: linear layers if_ and in, hf without bias, hn with one if there is a reset
/// gate. (Flax has it in the functional API only.)
class MGUCell : public MGUCellOptions {
 public:
  using Options = MGUCellOptions;
  MGUCell(int64_t in_features, int64_t hidden_features, RngsRef rngs)
      : MGUCell(in_features, hidden_features, {}, rngs) {}
  MGUCell(int64_t in_features, int64_t hidden_features, const Options& options, RngsRef rngs);

  std::pair<Tensor, Tensor> operator()(const Tensor& h, const Tensor& x) const;
  /// As of SimpleCell.
  Tensor initialize_carry(const Shape& input_shape, RngStream& stream,
                          const layers::CarryInit& carry_init = {}) const;
  Tensor initialize_carry(const Shape& input_shape, RngsRef streams,
                          const layers::CarryInit& carry_init = {}) const {
    return initialize_carry(input_shape, streams->stream("carry"), carry_init);
  }
  Tensor initialize_carry(const Shape& input_shape);

  Linear if_, in, hf, hn;
  std::optional<RngStream> rngs;
  int64_t in_features, hidden_features;

  LINNET_FIELDS_AND_BASE(Options, if_, in, hf, hn, rngs, in_features, hidden_features)
};

/// LSTM of convolutions: layers ih and hh, each with the gates i, g, f, o side by side. (Flax has
/// it in the functional API only.)
class ConvLSTMCell : public ConvLSTMCellOptions {
 public:
  using Options = ConvLSTMCellOptions;
  /// @param kernel_size one number per spatial dimension.
  ConvLSTMCell(int64_t in_features, int64_t hidden_features, const PerDimension& kernel_size,
               RngsRef rngs)
      : ConvLSTMCell(in_features, hidden_features, kernel_size, {}, rngs) {}
  ConvLSTMCell(int64_t in_features, int64_t hidden_features, const PerDimension& kernel_size,
               const Options& options, RngsRef rngs);

  std::pair<LSTMCarry, Tensor> operator()(const LSTMCarry& carry, const Tensor& x) const;
  /// As of LSTMCell, [batch..., spatial..., hidden_features] each.
  LSTMCarry initialize_carry(const Shape& input_shape, RngStream& stream,
                             const layers::CarryInit& carry_init = {}) const;
  LSTMCarry initialize_carry(const Shape& input_shape, RngsRef streams,
                             const layers::CarryInit& carry_init = {}) const {
    return initialize_carry(input_shape, streams->stream("carry"), carry_init);
  }
  LSTMCarry initialize_carry(const Shape& input_shape);
  int64_t num_feature_axes() const;

  Conv ih, hh;
  std::optional<RngStream> rngs;
  int64_t in_features, hidden_features;

  LINNET_FIELDS_AND_BASE(Options, ih, hh, rngs, in_features, hidden_features)
};

/// What a cell makes for `initialize_carry`: a tree of tensors.
template <class Cell>
using CarryOf = std::decay_t<decltype(std::declval<Cell&>().initialize_carry(
    std::declval<const Shape&>(), std::declval<RngStream&>()))>;

/// A recurrent cell: `initialize_carry(input_shape, stream)` makes the carry before the first step,
/// the call gives {new carry, output}, and `num_feature_axes()` says how many trailing dimensions
/// of an input are no batch.
template <class Cell>
concept RNNCellBase = requires(Cell& cell, const Tensor& x) {
  { cell.num_feature_axes() } -> std::convertible_to<int64_t>;
  { cell(std::declval<const CarryOf<Cell>&>(), x).first } -> std::convertible_to<CarryOf<Cell>>;
  cell(std::declval<const CarryOf<Cell>&>(), x).second;
};

/// What may differ from call to call of RNN and Bidirectional; settings that are not given are the
/// layer's.
template <class Carry>
struct RNNCall {
  std::optional<Carry> initial_carry = {};  ///< by default what the cell initialises
  Rngs* rngs = nullptr;         ///< whose stream `carry` is used in place of the layer's own
  RngStream* stream = nullptr;  ///< used in place of both
  Tensor seq_lengths = {};      ///< integers [batch...]; what is behind them is padding
  std::optional<bool> time_major = {}, reverse = {}, keep_order = {};
};

namespace detail {

/// A layer's stream for carries: a fork of `carry`, or without `rngs` the one of key 0.
std::optional<RngStream> carry_stream(bool keep, Rngs* rngs);
[[noreturn]] void fail_no_carry_stream(const char* layer);
void warn_shared_directions();

/// The layer itself, also of a shared one.
template <class Layer>
Layer& layer_of(Layer& layer) {
  return layer;
}
template <class Layer>
Layer& layer_of(const Shared<Layer>& layer) {
  return *layer;
}
template <class Layer>
Layer& layer_of(Shared<Layer>& layer) {
  return *layer;
}
template <class Layer>
using LayerOf = std::remove_cvref_t<decltype(layer_of(std::declval<Layer&>()))>;

}  // namespace detail

/// A cell over time (N-139): x [batch..., time, features...] -> outputs of all steps, with time
/// where x has it. Carries that are not given come from the layer's stream `rngs`; a const layer
/// draws from a copy of it, the same ones at every call.
template <class Cell>
class RNN : public RNNOptions {
 public:
  using Options = RNNOptions;
  using Carry = CarryOf<Cell>;
  using Call = RNNCall<Carry>;

  explicit RNN(Cell cell, const Options& options = {})
      : Options(options),
        cell(std::move(cell)),
        rngs(detail::carry_stream(options.keep_rngs, nullptr)) {}
  /// Forks the stream `carry`.
  RNN(Cell cell, const Options& options, RngsRef rngs)
      : Options(options),
        cell(std::move(cell)),
        rngs(detail::carry_stream(options.keep_rngs, &*rngs)) {}

  /// @throws ShapeError if x has too few dimensions or the lengths are not those of its batch;
  /// ValueError if a carry is needed and there is no stream.
  auto operator()(const Tensor& x, const Call& call = {}) {
    return run(*this, x, call, false).second;
  }
  auto operator()(const Tensor& x, const Call& call = {}) const {
    return run(*this, x, call, false).second;
  }
  /// {carry, outputs}. With seq_lengths the carry is that after each sequence's own last step.
  auto operator()(const Tensor& x, ReturnCarry, const Call& call = {}) {
    return run(*this, x, call, true);
  }
  auto operator()(const Tensor& x, ReturnCarry, const Call& call = {}) const {
    return run(*this, x, call, true);
  }

  Cell cell;
  std::optional<RngStream> rngs;

  LINNET_FIELDS_AND_BASE(Options, cell, rngs)

 private:
  template <class Self>
  static auto run(Self& self, const Tensor& x, const Call& call, bool carry_is_used) {
    static_assert(RNNCellBase<Cell>,
                  "the cell of an RNN needs initialize_carry(input_shape, RngStream&), "
                  "num_feature_axes(), and operator()(const Carry&, const Tensor&) that gives "
                  "std::pair(new carry, output)");
    const layers::Sequence sequence("RNN", x, self.cell.num_feature_axes(),
                                    {.time_major = call.time_major.value_or(self.time_major),
                                     .reverse = call.reverse.value_or(self.reverse),
                                     .keep_order = call.keep_order.value_or(self.keep_order),
                                     .seq_lengths = call.seq_lengths,
                                     .carry_is_used = carry_is_used});
    const Carry first =
        call.initial_carry ? *call.initial_carry : initial_carry(self, sequence.step_shape(), call);

    std::vector<StateAxes::Entry> axes;
    std::optional<RestoreRngs> restore;
    if (self.broadcast_rngs) {
      axes.emplace_back(all_of({of_type<RngState>(), *self.broadcast_rngs}), kNone);
      if constexpr (!std::is_const_v<Self>) {
        restore.emplace(nnx::split_rngs(
            self.cell, {.splits = 1, .only = *self.broadcast_rngs, .squeeze = true}));
      }
    }
    for (const StateAxes::Entry& entry : self.state_axes.entries()) axes.push_back(entry);
    const auto step = [keeps = sequence.keeps_carries()](auto& cell, const Carry& carry,
                                                         const Tensor& input) {
      auto [next, y] = cell(carry, input);
      Carry after(std::move(next));
      std::optional<Carry> kept;
      if (keeps) kept = after;
      return std::pair(std::move(after), std::pair(std::move(kept), std::move(y)));
    };
    auto [carry, stacked] =
        nnx::scan(step, {.in_axes = {StateAxes(std::move(axes)), kCarry, 0},
                         .out_axes = {kCarry, 0},
                         .unroll = self.unroll})(self.cell, first, sequence.steps());
    if (stacked.first) {
      carry = tree::map(*stacked.first, [&](const Tensor& t) { return sequence.last_carry(t); });
    }
    auto outputs = tree::map(stacked.second, [&](const Tensor& t) { return sequence.outputs(t); });
    return std::pair(std::move(carry), std::move(outputs));
  }

  template <class Self>
  static Carry initial_carry(Self& self, const Shape& shape, const Call& call) {
    if (call.stream) return self.cell.initialize_carry(shape, *call.stream);
    if (call.rngs) {
      RngStream fork = call.rngs->stream("carry").fork();
      return self.cell.initialize_carry(shape, fork);
    }
    if (self.rngs) {
      if constexpr (std::is_const_v<Self>) {
        RngStream copy = *self.rngs;
        return self.cell.initialize_carry(shape, copy);
      } else {
        return self.cell.initialize_carry(shape, *self.rngs);
      }
    }
    if constexpr (requires { self.cell.initialize_carry(shape); }) {
      return self.cell.initialize_carry(shape);
    } else {
      detail::fail_no_carry_stream("RNN");
    }
  }
};

/// Two layers over the same sequences, the second from the end to the beginning, and their outputs
/// joined by `merge_fn` (N-140). The order of time is the input's; `reverse` and `keep_order` of a
/// call mean nothing here. A layer that is used in both directions is an nnx::Shared.
template <class Forward, class Backward>
class Bidirectional : public BidirectionalOptions {
 public:
  using Options = BidirectionalOptions;
  using ForwardCarry = typename detail::LayerOf<Forward>::Carry;
  using BackwardCarry = typename detail::LayerOf<Backward>::Carry;
  using Carry = std::pair<ForwardCarry, BackwardCarry>;
  using Call = RNNCall<Carry>;

  Bidirectional(Forward forward_rnn, Backward backward_rnn, const Options& options = {})
      : Options(options),
        forward_rnn(std::move(forward_rnn)),
        backward_rnn(std::move(backward_rnn)),
        rngs(detail::carry_stream(options.keep_rngs, nullptr)) {}
  /// Forks the stream `carry`.
  Bidirectional(Forward forward_rnn, Backward backward_rnn, const Options& options, RngsRef rngs)
      : Options(options),
        forward_rnn(std::move(forward_rnn)),
        backward_rnn(std::move(backward_rnn)),
        rngs(detail::carry_stream(options.keep_rngs, &*rngs)) {}

  auto operator()(const Tensor& x, const Call& call = {}) { return run(*this, x, call).second; }
  auto operator()(const Tensor& x, const Call& call = {}) const {
    return run(*this, x, call).second;
  }
  /// {{carry of the forward layer, carry of the backward one}, outputs}.
  auto operator()(const Tensor& x, ReturnCarry, const Call& call = {}) {
    return run(*this, x, call);
  }
  auto operator()(const Tensor& x, ReturnCarry, const Call& call = {}) const {
    return run(*this, x, call);
  }

  Forward forward_rnn;
  Backward backward_rnn;
  std::optional<RngStream> rngs;

  LINNET_FIELDS_AND_BASE(Options, forward_rnn, backward_rnn, rngs)

 private:
  template <class Self>
  static auto run(Self& self, const Tensor& x, const Call& call) {
    std::optional<RngStream> copy;
    if (std::is_const_v<Self> && !call.stream && !call.rngs) copy = self.rngs;
    const auto stream = [&]() -> RngStream* {
      if (call.stream) return call.stream;
      if (call.rngs) return &call.rngs->stream("carry");
      if constexpr (std::is_const_v<Self>) {
        return copy ? &*copy : nullptr;
      } else {
        return self.rngs ? &*self.rngs : nullptr;
      }
    }();
    if constexpr (std::is_same_v<Forward, Backward>) {
      if (&detail::layer_of(self.forward_rnn) == &detail::layer_of(self.backward_rnn))
        detail::warn_shared_directions();
    }
    const bool time_major = call.time_major.value_or(self.time_major);
    RNNCall<ForwardCarry> forward{.stream = stream,
                                  .seq_lengths = call.seq_lengths,
                                  .time_major = time_major,
                                  .reverse = false};
    RNNCall<BackwardCarry> backward{.stream = stream,
                                    .seq_lengths = call.seq_lengths,
                                    .time_major = time_major,
                                    .reverse = true,
                                    .keep_order = true};
    if (call.initial_carry) {
      forward.initial_carry = call.initial_carry->first;
      backward.initial_carry = call.initial_carry->second;
    }
    auto [forward_carry, a] = detail::layer_of(self.forward_rnn)(x, return_carry, forward);
    auto [backward_carry, b] = detail::layer_of(self.backward_rnn)(x, return_carry, backward);
    auto outputs = tree::map(a, b, self.merge_fn);
    return std::pair<Carry, decltype(outputs)>(
        Carry(std::move(forward_carry), std::move(backward_carry)), std::move(outputs));
  }
};

}  // namespace linnet::nnx

namespace linnet::tree {
/// The gate `if_` keeps its underscore, which the names of other members lose.
template <>
struct Traits<nnx::LSTMCell> {
  static void visit(nnx::LSTMCell& cell, Visitor& visitor);
};
template <>
struct Traits<nnx::MGUCell> {
  static void visit(nnx::MGUCell& cell, Visitor& visitor);
};
}  // namespace linnet::tree

#pragma GCC visibility pop
