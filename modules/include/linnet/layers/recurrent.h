// What recurrent layers of both module APIs share: carries, the order of sequences, and the loop
// over time.
//
//   Tensor reversed = layers::flip_sequences(x, lengths, 1);   // f32[batch, time, n], i32[batch]
//   auto [carry, y] = rnn(x, nnx::return_carry);               // asks for the last carry too
#pragma once

#include <cstdint>
#include <functional>

#include "linnet/function.h"
#include "linnet/random.h"

#pragma GCC visibility push(default)

namespace linnet {
struct ScanOptions;
}

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

/// How a layer reads one sequence.
struct SequenceSettings {
  bool time_major = false;
  bool reverse = false;     ///< from the last step to the first
  bool keep_order = false;  ///< of reversed sequences: outputs in the order of the inputs
  int64_t unroll = 1;
  Tensor seq_lengths = {};     ///< integers [batch...], or undefined
  bool carry_is_used = false;  ///< the carry after each sequence's own last step is needed
};

/// The shape of one step of `x`: all but its time.
/// @throws ShapeError if x has too few dimensions for a cell with that many feature axes.
Shape step_shape(const char* layer, const Shape& x, int64_t num_feature_axes, bool time_major);

struct SequenceResult {
  TensorList carry, outputs;
};
/// The loop itself: as linnet::scan on lists, over one sequence with time in front.
using SequenceStep = std::function<TensorList(const TensorList& carry, const Tensor& x)>;
using SequenceLoop =
    std::function<TensorList(const char* layer, const TensorList& carry, const Tensor& xs,
                             const ScanOptions& options, const SequenceStep& step)>;
/// Runs `step` over the time of `x`: (carry, x of one step) -> the new carry, then the outputs of
/// the step. Outputs get their time where x has it. With lengths the carry is that after each
/// sequence's own last step; one of length 0, or longer than x, gives the carry after the last step
/// of all (L-154).
/// @param loop runs the steps; by default linnet::scan.
SequenceResult run_over_time(const char* layer, const Tensor& x, int64_t num_feature_axes,
                             const TensorList& carry, const SequenceSettings& settings,
                             const SequenceStep& step, const SequenceLoop& loop = {});

/// Along the last axis: how Bidirectional joins its directions unless told otherwise.
Tensor merge_by_concatenation(const Tensor& forward, const Tensor& backward);

}  // namespace linnet::layers

#pragma GCC visibility pop
