// Order of sequences, and the loop of recurrent layers over time.
#include "linnet/control_flow.h"
#include "linnet/detail/format.h"
#include "linnet/layers/recurrent.h"

namespace linnet::layers {
namespace {

void check_lengths(const Tensor& lengths, const Shape& batch) {
  if (!is_integer(lengths.dtype())) {
    fail<DTypeError>("seq_lengths: expected integers, got {}", to_string(lengths.type()));
  }
  if (lengths.shape() != batch) {
    fail<ShapeError>("seq_lengths: expected one length per sequence of a batch {}, got {}",
                     to_string(batch), to_string(lengths.type()));
  }
}

/// With dimensions of 1 behind, up to `rank`.
Tensor with_rank(const Tensor& x, size_t rank) {
  Shape shape = x.shape();
  while (shape.size() < rank) shape.push_back(1);
  return reshape(x, shape);
}

/// Of `history` [time, batch..., ...] the entry after each sequence's last step.
Tensor last_of_each(const Tensor& history, const Tensor& lengths) {
  const Tensor last = minimum(lengths, history.shape(0)) - 1;
  const Tensor index = with_rank(expand_dims(last, 0), history.rank());
  return squeeze(take_along_axis(history, index, 0), Axes{0});
}

}  // namespace

Tensor flip_sequences(const Tensor& x, const Tensor& seq_lengths, int64_t num_batch_dims,
                      bool time_major) {
  const int64_t axis = time_major ? 0 : num_batch_dims;
  if (num_batch_dims < 0 || static_cast<int64_t>(x.rank()) <= num_batch_dims) {
    fail<ShapeError>("flip_sequences: expected {} batch dimensions and time, got {}",
                     num_batch_dims, to_string(x.type()));
  }
  if (!seq_lengths.defined()) return flip(x, Axes{axis});
  Shape batch;
  for (int64_t i = 0; i <= num_batch_dims; ++i) {
    if (i != axis) batch.push_back(x.shape(i));
  }
  check_lengths(seq_lengths, batch);
  const int64_t steps = x.shape(axis);
  if (steps == 0) return x;
  // Step t shows step (length - 1 - t) modulo the number of steps: behind its last step a sequence
  // wraps around to its padding.
  Shape time(static_cast<size_t>(num_batch_dims) + 1, 1);
  time[axis] = steps;
  const Tensor backwards = reshape(arange(steps - 1, int64_t{-1}, int64_t{-1}), time);
  const Tensor index = (backwards + expand_dims(seq_lengths, axis)) % steps;
  return take_along_axis(x, with_rank(index, x.rank()), axis);
}

Shape step_shape(const char* layer, const Shape& x, int64_t num_feature_axes, bool time_major) {
  const int64_t axis = time_major ? 0 : static_cast<int64_t>(x.size()) - (num_feature_axes + 1);
  if (static_cast<int64_t>(x.size()) <= num_feature_axes) {
    fail<ShapeError>("{}: expected x [{}] with {} feature dimensions, got shape {}", layer,
                     time_major ? "time, batch..., features..." : "batch..., time, features...",
                     num_feature_axes, to_string(x));
  }
  Shape out(x.begin(), x.begin() + axis);
  out.append(x.begin() + axis + 1, x.end());
  return out;
}

SequenceResult run_over_time(const char* layer, const Tensor& x, int64_t num_feature_axes,
                             const TensorList& carry, const SequenceSettings& settings,
                             const SequenceStep& step, const SequenceLoop& loop) {
  const Shape one = step_shape(layer, x.shape(), num_feature_axes, settings.time_major);
  const int64_t batch_dims = static_cast<int64_t>(one.size()) - num_feature_axes;
  const int64_t axis = settings.time_major ? 0 : batch_dims;
  const Tensor& lengths = settings.seq_lengths;
  if (lengths.defined()) check_lengths(lengths, Shape(one.begin(), one.begin() + batch_dims));
  // Sequences of one length are read backwards by the loop; others begin at different steps.
  const bool flips = settings.reverse && lengths.defined();
  Tensor xs = moveaxis(x, axis, 0);
  if (flips) xs = flip_sequences(xs, lengths, batch_dims, true);

  // Which step is the last differs from sequence to sequence: all carries are kept.
  const bool keeps_carries = lengths.defined() && settings.carry_is_used;
  const SequenceStep kept_step = [&](const TensorList& c, const Tensor& input) {
    TensorList out = step(c, input);
    if (!keeps_carries) return out;
    TensorList carried(out.begin(), out.begin() + c.size());
    out.insert(out.begin(), carried.begin(), carried.end());
    return out;
  };
  const ScanOptions options{.reverse = settings.reverse && !flips, .unroll = settings.unroll};
  const TensorList results =
      loop ? loop(layer, carry, xs, options, kept_step)
           : linnet::detail::scan_call(layer, carry, {xs}, options,
                                       [&](const TensorList& c, const TensorList& inputs) {
                                         return kept_step(c, inputs[0]);
                                       });

  SequenceResult out;
  out.carry.assign(results.begin(), results.begin() + carry.size());
  if (keeps_carries && x.shape(axis) > 0) {
    for (size_t i = 0; i < carry.size(); ++i)
      out.carry[i] = last_of_each(results[carry.size() + i], lengths);
  }
  for (size_t i = (keeps_carries ? 2 : 1) * carry.size(); i < results.size(); ++i) {
    Tensor y = results[i];
    // What the loop read backwards it has stacked in the order of the inputs.
    if (flips && settings.keep_order) y = flip_sequences(y, lengths, batch_dims, true);
    if (settings.reverse && !flips && !settings.keep_order) y = flip(y, Axes{0});
    out.outputs.push_back(moveaxis(y, 0, axis));
  }
  return out;
}

Tensor merge_by_concatenation(const Tensor& forward, const Tensor& backward) {
  return concatenate({forward, backward}, -1);
}

}  // namespace linnet::layers
