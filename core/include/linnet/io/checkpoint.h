// Checkpoints of any tree: a safetensors file with every leaf by path, and a JSON manifest that
// names it.
//
//   save_checkpoint("out/checkpoint", state, Json::Object{{"epoch", 3}});
//   Json manifest = load_checkpoint("out/checkpoint", state);      // state: same structure
//
// The manifest is written last and by renaming, so a checkpoint exists completely or not at all: a
// crash at any moment leaves the previous one. It holds a checksum of itself and of every leaf, so
// that values which were damaged, exchanged or put beside another manifest are refused by name.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "linnet/io/file_system.h"
#include "linnet/io/host_array.h"
#include "linnet/io/json.h"
#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Host copy of a concrete tensor, sharing its memory where it is dense.
HostArray to_host_array(const Tensor& tensor);
/// A tensor over the array's memory, or a copy of it on the default device.
Tensor to_tensor(const HostArray& array);

namespace detail {
/// Gives the number of the checkpoint, which grows by at least one with each in a directory.
int64_t save_leaves(const std::string& directory,
                    const std::vector<std::pair<std::string, Tensor>>& leaves, Json manifest,
                    FileSystem& file_system);
/// Values in the order of `leaves`.
std::pair<TensorList, Json> load_leaves(const std::string& directory,
                                        const std::vector<std::pair<std::string, Tensor>>& leaves,
                                        FileSystem& file_system);
}  // namespace detail

/// Writes `state` and `manifest` (plus what is needed to find and check the values, under the key
/// `linnet`) into `directory`, which is made if needed. Older value files are removed after the
/// new manifest is in place, and so are temporary files of processes that were killed. Once this
/// has returned, the checkpoint survives a crash and loss of power. A directory has one writer at a
/// time; others are refused with the number of the process that writes.
/// @throws ValueError if `manifest` is not an object, uses the key `linnet`, or cannot be read
/// again (nested too deep, too long, text that is not UTF-8); if two leaves have one path; or if a
/// leaf has more than 64 dimensions. Numbers that are not finite are saved as texts, see
/// Json::as_double.
/// @throws IoError with path and reason. Whatever is thrown, the previous checkpoint is intact.
template <class T>
void save_checkpoint(const std::string& directory, const T& state, Json manifest = Json::object(),
                     FileSystem& file_system = FileSystem::system()) {
  detail::save_leaves(directory, tree::leaves_with_path(state), std::move(manifest), file_system);
}

/// Fills `state`, which must have the structure of what was saved, and gives the manifest. May run
/// while another process saves: it gets the old or the new checkpoint.
/// @throws IoError naming the leaves that are missing, left over, or of another shape or dtype
/// (before their values are read), or the file or leaf that is damaged or belongs to another
/// checkpoint; `state` is then unchanged.
template <class T>
Json load_checkpoint(const std::string& directory, T& state,
                     FileSystem& file_system = FileSystem::system()) {
  auto [values, manifest] =
      detail::load_leaves(directory, tree::leaves_with_path(state), file_system);
  tree::write(tree::flatten(state).leaves, values);
  return std::move(manifest);  // part of a pair; a copy could fail now that `state` is another
}

/// The manifest alone, to see whether the values fit before loading them.
/// @throws IoError if there is none, or if it is damaged or of another version.
Json checkpoint_manifest(const std::string& directory,
                         FileSystem& file_system = FileSystem::system());

/// True if `directory` holds a checkpoint.
/// @throws IoError if the system cannot say.
bool has_checkpoint(const std::string& directory, FileSystem& file_system = FileSystem::system());

}  // namespace linnet

#pragma GCC visibility pop
