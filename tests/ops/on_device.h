// What tests of the operation table on another device share.
//
//   expect_on(device, row.function(moved(operands, device)));
//   TensorList there = gradients(row, moved(operands, device));
#pragma once

#include <gtest/gtest.h>

#include "linnet/core.h"
#include "op_table.h"

namespace linnet::testing {

inline TensorList moved(const TensorList& tensors, Device device) {
  TensorList out;
  for (const Tensor& t : tensors) out.push_back(t.to(device));
  return out;
}

inline void expect_on(Device device, const TensorList& tensors) {
  for (const Tensor& t : tensors) EXPECT_EQ(t.device(), device) << to_string(t.type());
}

/// The sum of all floating results with weights, as a function of the floating operands.
inline Tensor weighted_sum(const OpCase& row, const TensorList& operands) {
  Tensor total;
  for (const Tensor& y : row.function(operands)) {
    if (!is_floating(y.dtype())) continue;
    const Tensor part = sum(astype(y, DType::kF64) * 0.75);
    total = total.defined() ? total + part : part;
  }
  return total;
}

inline TensorList gradients(const OpCase& row, const TensorList& operands) {
  return grad([&](const TensorList& x) {
    const Tensor total = weighted_sum(row, x);
    return total.defined() ? total : sum(x[0]) * 0;
  })(operands);
}

inline bool has_gradient(const OpCase& row, const TensorList& operands) {
  if (row.no_gradient || operands.empty()) return false;
  for (const Tensor& x : operands) {
    if (!is_floating(x.dtype())) return false;
  }
  return true;
}

}  // namespace linnet::testing
