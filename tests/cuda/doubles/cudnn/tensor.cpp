#include "cuda/doubles/cudnn/tensor.h"

#include <library_types.h>

#include <cmath>
#include <cstring>

#include "cuda/doubles/cublaslt/numbers.h"

namespace linnet::fake_cudnn {
namespace {

template <class T>
constexpr fake_cublaslt::Elements kWhole{
    [](const std::byte* from, int64_t i) {
      T value;
      std::memcpy(&value, from + i * static_cast<int64_t>(sizeof value), sizeof value);
      return static_cast<double>(value);
    },
    [](std::byte* to, int64_t i, double x) {
      const T value = static_cast<T>(x);
      std::memcpy(to + i * static_cast<int64_t>(sizeof value), &value, sizeof value);
    }};

const fake_cublaslt::Elements& access(cudnnDataType_t type) {
  using fake_cublaslt::elements_of;
  switch (type) {
    case CUDNN_DATA_DOUBLE:
      return elements_of(CUDA_R_64F);
    case CUDNN_DATA_HALF:
      return elements_of(CUDA_R_16F);
    case CUDNN_DATA_BFLOAT16:
      return elements_of(CUDA_R_16BF);
    case CUDNN_DATA_INT32:
      return kWhole<int32_t>;
    case CUDNN_DATA_INT64:
      return kWhole<int64_t>;
    case CUDNN_DATA_BOOLEAN:
      return kWhole<uint8_t>;
    default:
      return elements_of(CUDA_R_32F);
  }
}

}  // namespace

size_t bytes_of(cudnnDataType_t type) {
  switch (type) {
    case CUDNN_DATA_DOUBLE:
    case CUDNN_DATA_INT64:
      return 8;
    case CUDNN_DATA_FLOAT:
    case CUDNN_DATA_INT32:
      return 4;
    case CUDNN_DATA_HALF:
    case CUDNN_DATA_BFLOAT16:
      return 2;
    case CUDNN_DATA_BOOLEAN:
      return 1;
    default:
      throw std::runtime_error("tensors of type " + std::to_string(type) + " are not evaluated");
  }
}

TensorInfo::TensorInfo(const Snapshot& d)
    : id(d.value<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID)),
      type(d.value<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE)),
      shape(d.values<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS)),
      strides(d.values<int64_t>(CUDNN_ATTR_TENSOR_STRIDES)),
      alignment(d.value_or<int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 1)),
      is_inner(d.value_or<bool>(CUDNN_ATTR_TENSOR_IS_VIRTUAL, false)),
      is_by_value(d.value_or<bool>(CUDNN_ATTR_TENSOR_IS_BY_VALUE, false)) {
  if (d.find_child(CUDNN_ATTR_TENSOR_RAGGED_OFFSET_DESC))
    throw std::runtime_error("ragged tensors are not evaluated");
}

int64_t TensorInfo::count() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

int64_t TensorInfo::span() const {
  int64_t last = 0;
  for (size_t d = 0; d < shape.size(); ++d) last += (shape[d] - 1) * strides[d];
  return last + 1;
}

Elements load(const TensorInfo& t, const void* from) {
  Elements out(static_cast<size_t>(t.count()));
  const auto& elements = access(t.type);
  for_each_element(t, [&](int64_t i, int64_t offset) {
    out[static_cast<size_t>(i)] = elements.load(static_cast<const std::byte*>(from), offset);
  });
  return out;
}

void store(const TensorInfo& t, const Elements& x, void* to) {
  const auto& elements = access(t.type);
  for_each_element(t, [&](int64_t i, int64_t offset) {
    elements.store(static_cast<std::byte*>(to), offset, x[static_cast<size_t>(i)]);
  });
}

void round(const TensorInfo& t, Elements& x) {
  const auto& elements = access(t.type);
  std::byte place[8];
  for (double& value : x) {
    elements.store(place, 0, value);
    value = elements.load(place, 0);
  }
}

void round_operand(Elements& x) {
  for (double& value : x) value = fake_cublaslt::to_tf32(static_cast<float>(value));
}

std::vector<int64_t> places(const Sizes& shape, const TensorInfo& t) {
  const size_t lead = shape.size() - t.shape.size();
  Sizes dense(t.shape.size(), 1);
  for (size_t d = dense.size(); d-- > 1;) dense[d - 1] = dense[d] * t.shape[d];
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  std::vector<int64_t> out(static_cast<size_t>(count));
  Sizes at(shape.size(), 0);
  for (int64_t& place : out) {
    for (size_t d = lead; d < shape.size(); ++d) {
      const int64_t size = t.shape[d - lead];
      if (size == 0 || shape[d] % size != 0)
        throw std::runtime_error("a tensor does not broadcast to another one");
      place += at[d] / (shape[d] / size) * dense[d - lead];
    }
    for (size_t d = at.size(); d-- > 0;) {
      if (++at[d] < shape[d]) break;
      at[d] = 0;
    }
  }
  return out;
}

}  // namespace linnet::fake_cudnn
