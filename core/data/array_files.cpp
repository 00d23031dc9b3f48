#include "linnet/data/array_files.h"

#include "linnet/data/idx.h"
#include "linnet/io/checkpoint.h"
#include "linnet/io/npy.h"
#include "linnet/io/npz.h"

namespace linnet::data {

InMemory<NamedTensors> read_npz_set(const std::string& path) {
  NamedTensors tensors;
  for (const auto& [name, array] : read_npz(path)) tensors.emplace(name, to_tensor(array));
  return in_memory(tensors);
}

InMemory<Tensor> read_npy_set(const std::string& path) {
  return in_memory(to_tensor(read_npy(path)));
}

InMemory<NamedTensors> read_idx_set(const std::map<std::string, std::string>& paths) {
  NamedTensors tensors;
  for (const auto& [name, path] : paths) tensors.emplace(name, to_tensor(read_idx(path)));
  return in_memory(tensors);
}

}  // namespace linnet::data
