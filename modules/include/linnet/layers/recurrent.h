// What recurrent layers of both module APIs share: carries, and the order of sequences.
//
//   Tensor reversed = layers::flip_sequences(x, lengths, 1);   // f32[batch, time, n], i32[batch]
//   auto [carry, y] = rnn(x, nnx::return_carry);               // asks for the last carry too
#pragma once

#include <cstdint>

#include "linnet/function.h"
#include "linnet/random.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

/// What an LSTM cell hands from step to step: its memory and its last output.
struct LSTMCarry {
  Tensor c, h;
  LINNET_FIELDS(c, h)
};

/// A gate or an activation.
using Activation = Function<Tensor(const Tensor&)>;
/// Makes a carry, as initialisers make parameters (init.h).
using CarryInit = Function<Tensor(const Key&, const Shape&, DType)>;
/// Joins what the two directions of a bidirectional layer give.
using MergeFunction = Function<Tensor(const Tensor& forward, const Tensor& backward)>;

/// The argument by which a call of RNN or Bidirectional asks for {last carry, outputs}; without it
/// they give the outputs alone.
struct ReturnCarry {};
inline constexpr ReturnCarry return_carry{};

/// Reverses time. With `seq_lengths` (integers [batch...]) the first `seq_lengths` steps of each
/// sequence change places and the padding behind them stays where it is; lengths beyond the last
/// step wrap around (L-156).
/// @param x [batch..., time, ...], with time_major [time, batch..., ...].
/// @param num_batch_dims how many dimensions the batch has.
/// @throws ShapeError if x has fewer dimensions, or the lengths are not those of a batch;
/// DTypeError if they are not integers.
Tensor flip_sequences(const Tensor& x, const Tensor& seq_lengths, int64_t num_batch_dims,
                      bool time_major = false);

/// How a layer reads its sequences.
struct SequenceSettings {
  bool time_major = false;
  bool reverse = false;     ///< from the last step to the first
  bool keep_order = false;  ///< of reversed sequences: outputs in the order of the inputs
  Tensor seq_lengths = {};  ///< integers [batch...], or undefined
  bool carry_is_used = false;
};

/// A sequence as a loop over time reads it, and what the loop gives as the layer gives it (L-154).
class Sequence {
 public:
  /// @throws ShapeError if x has too few dimensions for a cell with that many feature axes, or the
  /// lengths are not those of its batch; DTypeError if they are not integers.
  Sequence(const char* layer, const Tensor& x, int64_t num_feature_axes, SequenceSettings settings);

  /// Of x without its time.
  const Shape& step_shape() const { return step_shape_; }
  /// [time, batch..., features...] in the order in which the loop goes: what it stacks beside its
  /// outputs, and keys of its steps, follow it.
  const Tensor& steps() const { return steps_; }
  /// Whether the carries of all steps are needed: the last step differs from sequence to sequence.
  bool keeps_carries() const {
    return settings_.seq_lengths.defined() && settings_.carry_is_used && steps_.shape(0) > 0;
  }

  /// Outputs of all steps, [time, ...] in the order of `steps`, with time where x has it.
  Tensor outputs(const Tensor& stacked) const;
  /// The carry after each sequence's own last step, of those of all steps; for a sequence of length
  /// 0, or longer than x, after the last step of all.
  Tensor last_carry(const Tensor& stacked) const;

 private:
  SequenceSettings settings_;
  int64_t batch_dims_, time_axis_;
  Shape step_shape_;
  Tensor steps_;
};

/// Along the last axis: how Bidirectional joins its directions unless told otherwise.
Tensor merge_by_concatenation(const Tensor& forward, const Tensor& backward);

}  // namespace linnet::layers

#pragma GCC visibility pop
