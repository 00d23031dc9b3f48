// Batching: values carry a leading batch dimension that the function does not see.
#pragma once

#include "core/ops/collectives.h"
#include "core/trace/named_axes.h"
#include "linnet/trace.h"

namespace linnet {

class BatchTracer final : public Tracer {
 public:
  explicit BatchTracer(Tensor value) : value(std::move(value)) {}
  Tensor value;  ///< with the batch dimension in front
};

class BatchTrace final : public Trace {
 public:
  /// While it exists the name of the axis is bound.
  explicit BatchTrace(NamedAxis axis) : axis_(std::move(axis)), bound_(axis_) {}
  TensorList process(const Primitive& primitive, Inputs inputs, ParamsRef params) override;
  const char* transformation() const override { return "vmap"; }

  int64_t size() const { return axis_.size; }
  const NamedAxis& axis() const { return axis_; }
  /// A traced tensor of one element's type; `value` has the batch dimension in front.
  Tensor lift(const Tensor& value);
  bool batched(const Tensor& tensor) const { return owns(tensor); }
  /// The value with the batch dimension in front, or the tensor itself if it is not batched.
  Tensor value(const Tensor& tensor) const;
  /// The same, repeated if it is not batched.
  Tensor materialize(const Tensor& tensor) const;

 private:
  /// Results for a batch of no entries. They follow from the types alone, so no batching rule meets
  /// a size of zero, which some would have to divide by.
  TensorList without_entries(const Primitive& primitive, Inputs inputs, ParamsRef params);
  /// A collective over this axis, which it may reach without a batched operand.
  TensorList over_axis(const Primitive& primitive, const Collective& collective, Inputs inputs,
                       ParamsRef params);

  NamedAxis axis_;
  NamedAxisScope bound_;
};

}  // namespace linnet
