// Checkpoints of any tree: a safetensors file with every leaf by path, and a JSON manifest that
// names it.
//
//   save_checkpoint("out/checkpoint", state, Json::Object{{"epoch", 3}});
//   Json manifest = load_checkpoint("out/checkpoint", state);      // state: same structure
//
// The manifest is written last and by renaming, so a checkpoint exists completely or not at all: a
// crash at any moment leaves the previous one.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "linnet/io/host_array.h"
#include "linnet/io/json.h"
#include "linnet/tree.h"

namespace linnet {

/// Host copy of a concrete tensor, sharing its memory where it is dense.
HostArray to_host_array(const Tensor& tensor);
/// A tensor over the array's memory.
Tensor to_tensor(const HostArray& array);

namespace detail {
void save_leaves(const std::string& directory,
                 const std::vector<std::pair<std::string, Tensor>>& leaves, Json manifest);
/// Values in the order of `leaves`. @throws IoError if a leaf is missing, left over or of another
/// type.
std::pair<TensorList, Json> load_leaves(const std::string& directory,
                                        const std::vector<std::pair<std::string, Tensor>>& leaves);
}  // namespace detail

/// Writes `state` and `manifest` (plus what is needed to find and check the values) into
/// `directory`, which is made if needed. Older value files are removed after the new manifest is in
/// place.
/// @throws IoError with path and reason; the previous checkpoint is then intact.
template <class T>
void save_checkpoint(const std::string& directory, const T& state, Json manifest = Json::object()) {
  detail::save_leaves(directory, tree::leaves_with_path(state), std::move(manifest));
}

/// Fills `state`, which must have the structure of what was saved, and gives the manifest.
/// @throws IoError naming the first leaf that is missing, left over, or of another shape or dtype.
template <class T>
Json load_checkpoint(const std::string& directory, T& state) {
  auto [values, manifest] = detail::load_leaves(directory, tree::leaves_with_path(state));
  tree::write(tree::flatten(state).leaves, values);
  return manifest;
}

/// The manifest alone, to see whether the values fit before loading them. @throws IoError.
Json checkpoint_manifest(const std::string& directory);

/// True if `directory` holds a checkpoint.
bool has_checkpoint(const std::string& directory);

}  // namespace linnet
