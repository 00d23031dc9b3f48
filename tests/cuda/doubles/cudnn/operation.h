// The operations of a graph by plain loops.
#pragma once

#include <functional>

#include "cuda/doubles/cudnn/tensor.h"

namespace linnet::fake_cudnn {

/// Where the operations of a graph find and leave the elements of tensors.
class Values {
 public:
  virtual ~Values() = default;
  virtual const Elements& read(const TensorInfo& t) = 0;
  virtual void write(const TensorInfo& t, Elements x) = 0;
  /// Whether products of f32 round their operands.
  virtual bool rounds_operands() const = 0;
};

/// @throws std::runtime_error for an operation, or an attribute of one, that is not known.
void run(const Snapshot& operation, Values& values);

/// One for each kind.
void run_convolution(const Snapshot& operation, Values& values);
void run_pointwise(const Snapshot& operation, Values& values);
void run_product(const Snapshot& operation, Values& values);

}  // namespace linnet::fake_cudnn
