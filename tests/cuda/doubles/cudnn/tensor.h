// Tensors of an operation graph: what their descriptors say, and their elements as doubles.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "cuda/doubles/cudnn/descriptor.h"

namespace linnet::fake_cudnn {

using Sizes = std::vector<int64_t>;

struct TensorInfo {
  int64_t id = 0;
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  Sizes shape, strides;
  int64_t alignment = 1;
  bool is_inner = false;     ///< has no memory
  bool is_by_value = false;  ///< the address is that of a number on the host

  explicit TensorInfo(const Snapshot& descriptor);
  int64_t count() const;
  /// Elements from the first to the last in memory.
  int64_t span() const;
};

size_t bytes_of(cudnnDataType_t type);

/// Dense, in the order of the dimensions.
using Elements = std::vector<double>;

/// Calls f(index, offset) for every element: its place in `Elements` and in memory.
template <class F>
void for_each_element(const TensorInfo& t, const F& f) {
  Sizes at(t.shape.size(), 0);
  int64_t offset = 0;
  const int64_t count = t.count();
  for (int64_t i = 0; i < count; ++i) {
    f(i, offset);
    for (size_t d = at.size(); d-- > 0;) {
      offset += t.strides[d];
      if (++at[d] < t.shape[d]) break;
      offset -= t.shape[d] * t.strides[d];
      at[d] = 0;
    }
  }
}

Elements load(const TensorInfo& t, const void* from);
void store(const TensorInfo& t, const Elements& x, void* to);
/// As if stored and loaded.
void round(const TensorInfo& t, Elements& x);
/// To the ten bits of TF32.
void round_operand(Elements& x);

/// Places of broadcast elements: for every element of `shape` the one of `t`, whose dimensions are
/// equal, 1, or a divisor that stands for groups of neighbours.
std::vector<int64_t> places(const Sizes& shape, const TensorInfo& t);

}  // namespace linnet::fake_cudnn
