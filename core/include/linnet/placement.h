// Moving trees of tensors between devices: parameters, batches, whole models.
//
//   Batch there = to(batch, gpu);        // a copy
//   move_to(model, gpu);                 // the model itself: its variables keep their identity
#pragma once

#include "linnet/device.h"
#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet {

/// A copy of `object` with all tensors on `device`; those that are there already are shared.
template <class T>
T to(const T& object, Device device) {
  return tree::map(object, [device](const Tensor& leaf) { return leaf.to(device); });
}

/// Moves all tensors and the values of all variables of `object`. Nothing has changed if it throws.
template <class T>
void move_to(T& object, Device device) {
  const tree::Flattened flat = tree::flatten(object);
  TensorList values = tree::read(flat.leaves);
  for (Tensor& value : values) value = value.to(device);
  tree::write(flat.leaves, values);
}

}  // namespace linnet

#pragma GCC visibility pop
