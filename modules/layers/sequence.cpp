// The order of sequences.
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

Sequence::Sequence(const char* layer, const Tensor& x, int64_t num_feature_axes,
                   SequenceSettings settings)
    : settings_(std::move(settings)),
      batch_dims_(static_cast<int64_t>(x.rank()) - num_feature_axes - 1),
      time_axis_(settings_.time_major ? 0 : batch_dims_) {
  if (batch_dims_ < 0) {
    fail<ShapeError>(
        "{}: expected x [{}] with {} feature dimensions, got {}", layer,
        settings_.time_major ? "time, batch..., features..." : "batch..., time, features...",
        num_feature_axes, to_string(x.type()));
  }
  steps_ = moveaxis(x, time_axis_, 0);
  step_shape_ = Shape(steps_.shape().begin() + 1, steps_.shape().end());
  const Tensor& lengths = settings_.seq_lengths;
  if (lengths.defined())
    check_lengths(lengths, Shape(step_shape_.begin(), step_shape_.begin() + batch_dims_));
  if (settings_.reverse) steps_ = flip_sequences(steps_, lengths, batch_dims_, true);
}

Tensor Sequence::outputs(const Tensor& stacked) const {
  Tensor out = stacked;
  if (settings_.reverse && settings_.keep_order)
    out = flip_sequences(out, settings_.seq_lengths, batch_dims_, true);
  return moveaxis(out, 0, time_axis_);
}

Tensor Sequence::last_carry(const Tensor& stacked) const {
  const Tensor last = minimum(settings_.seq_lengths, stacked.shape(0)) - 1;
  const Tensor index = with_rank(expand_dims(last, 0), stacked.rank());
  return squeeze(take_along_axis(stacked, index, 0), Axes{0});
}

Tensor merge_by_concatenation(const Tensor& forward, const Tensor& backward) {
  return concatenate({forward, backward}, -1);
}

}  // namespace linnet::layers
