// Private: rules and decompositions make their constants where their operands are.
#pragma once

#include "core/tensor/tensor_impl.h"

namespace linnet {

class OperandDevice {
 public:
  explicit OperandDevice(Inputs operands) : scope_(device_of(operands)) {}

 private:
  static Device device_of(Inputs operands) {
    for (const Tensor& operand : operands) {
      if (operand.defined()) return operand.impl()->device;
    }
    return default_device();
  }

  ScopedDevice scope_;
};

}  // namespace linnet
