#include "linnet/data/data_set.h"

#include <cstring>

#include "core/data/host_tensor.h"
#include "linnet/detail/format.h"

namespace linnet::data::detail {

void check_rows(std::span<const int64_t> rows, int64_t size, const char* operation) {
  for (int64_t row : rows) {
    if (row < 0 || row >= size)
      fail<ValueError>("{}: there is no example {}, they are 0 to {}", operation, row, size - 1);
  }
}

Tensor gather_rows(const Tensor& array, std::span<const int64_t> rows) {
  check_rows(rows, array.shape(0), "data::InMemory");
  Shape shape = array.shape();
  shape[0] = static_cast<int64_t>(rows.size());
  const WritableHostArray out = allocate_host_array(array.dtype(), shape);
  const size_t count = static_cast<size_t>(array.shape(0));
  const size_t width =
      count == 0 ? 0 : static_cast<size_t>(array.size()) * size_of(array.dtype()) / count;
  if (width > 0) {
    const auto* from = static_cast<const std::byte*>(dlpack_view(array).data);
    std::byte* to = out.data;
    for (int64_t row : rows) {
      std::memcpy(to, from + static_cast<size_t>(row) * width, width);
      to += width;
    }
  }
  return host_tensor(out);
}

TensorList host_arrays(const std::vector<std::pair<std::string, Tensor>>& leaves) {
  if (leaves.empty()) fail<TreeError>("data::InMemory: the tree holds no tensor");
  TensorList out;
  for (const auto& [path, leaf] : leaves) {
    const std::string name = path.empty() ? "the tensor" : path;
    if (!leaf.defined() || leaf.rank() == 0) {
      fail<ShapeError>("data::InMemory: {}: expected a leading axis of examples, got {}", name,
                       type_of(leaf));
    }
    if (leaf.traced()) {
      fail<TraceError>("data::InMemory: {}: {} is traced, a data set holds values", name,
                       type_of(leaf));
    }
    if (!out.empty() && leaf.shape(0) != out[0].shape(0)) {
      fail<ShapeError>("data::InMemory: {} has {} examples, but {} has {}: {} and {}",
                       leaves[0].first, out[0].shape(0), name, leaf.shape(0),
                       type_of(leaves[0].second), type_of(leaf));
    }
    out.push_back(leaf.to(kCpu).contiguous());
  }
  return out;
}

Tensor padding_mask(std::span<const int64_t> rows) {
  const WritableHostArray out =
      allocate_host_array(DType::kBool, Shape{static_cast<int64_t>(rows.size())});
  for (size_t i = 0; i < rows.size(); ++i) out.data[i] = std::byte{rows[i] >= 0};
  return host_tensor(out);
}

std::vector<int64_t> padded_rows(std::span<const int64_t> rows) {
  std::vector<int64_t> out(rows.begin(), rows.end());
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] >= 0) continue;
    if (i == 0) fail<ValueError>("data::padded: a batch begins with padding");
    out[i] = out[i - 1];
  }
  return out;
}

}  // namespace linnet::data::detail
