// Trees in safetensors files, one array per leaf by its path, as other programs read and write
// them: one file, or several with an index, as large models are passed around.
//
//   save_tree("out/model.safetensors", params, {.shard_bytes = 5'000'000'000});
//   TreeFileReport report = load_tree("out/model.safetensors", params, {.strict = false});
//
// `save_checkpoint` (checkpoint.h) is for what a run goes on from: it has checksums, and survives a
// crash at any moment. linnet.h does not include this header.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "linnet/io/file_system.h"
#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet {

/// From the path of a leaf, `dense/kernel`, to another text.
using PathToName = std::function<std::string(const std::string& path)>;

struct SaveTreeOptions {
  /// Above so many bytes of values there are several files, `model-00001-of-00003.safetensors` …,
  /// and `model.safetensors.index.json`, which says where each array is. 0: one file.
  uint64_t shard_bytes = 0;
  PathToName rename = {};                            ///< by default the path is the name
  std::map<std::string, std::string> metadata = {};  ///< of every file
};

struct LoadTreeOptions {
  /// Names in the file by the paths of leaves.
  PathToName rename = {};
  /// The leaves to load; the others stay as they are, and may be absent from the file. All if
  /// empty.
  std::function<bool(const std::string& path)> only = {};
  /// Whether leaves without an array, and arrays without a leaf, are errors. Otherwise these leaves
  /// stay as they are. With `only`, arrays without a leaf are never errors.
  bool strict = true;
  /// Whether arrays of other dtypes, eight-bit floating ones too, are converted to that of the
  /// leaf, or errors.
  bool convert = false;
};

struct TreeFileReport {
  std::vector<std::string> missing;     ///< paths of leaves that have no array
  std::vector<std::string> unexpected;  ///< names of arrays that no leaf asked for
};

/// What an index says: the file of each array.
/// @throws IoError if it is no JSON object with a map `weight_map` from names to names of files in
/// the same folder.
std::map<std::string, std::string> parse_safetensors_index(std::string_view text,
                                                           const std::string& name = "index");

namespace detail {
using NamedLeaves = std::vector<std::pair<std::string, Tensor>>;
void save_tree_leaves(const std::string& path, const NamedLeaves& leaves,
                      const SaveTreeOptions& options, FileSystem& file_system);
/// Values in the order of `leaves`.
std::pair<TensorList, TreeFileReport> load_tree_leaves(const std::string& path,
                                                       const NamedLeaves& leaves,
                                                       const LoadTreeOptions& options,
                                                       FileSystem& file_system);
}  // namespace detail

/// Writes the leaves of a tree, all or nothing: whatever fails, and at a crash, `path` loads the
/// tree that was there before or the new one. So several files do not replace those of the present
/// index but stand beside them (`model-b-00001-of-00003.safetensors`) until the new index is in
/// place; what an earlier call left under either form of the path is removed then.
/// @throws ValueError if two leaves have one name, if `path` does not end in `.safetensors`, or as
/// `write_safetensors`; TraceError for tensors without values; IoError if a file cannot be written.
template <class T>
void save_tree(const std::string& path, const T& tree, const SaveTreeOptions& options = {},
               FileSystem& file_system = FileSystem::system()) {
  detail::save_tree_leaves(path, tree::leaves_with_path(tree), options, file_system);
}

/// Fills a tree from a file, or from several if `path` is an index, or if there is no such file but
/// `path` + `.index.json`.
/// @throws IoError naming the leaves and arrays that are missing, left over, or of another shape or
/// dtype, or the file that is damaged; the tree is then unchanged.
template <class T>
TreeFileReport load_tree(const std::string& path, T& tree, const LoadTreeOptions& options = {},
                         FileSystem& file_system = FileSystem::system()) {
  auto [values, report] =
      detail::load_tree_leaves(path, tree::leaves_with_path(tree), options, file_system);
  tree::write(tree::flatten(tree).leaves, values);
  return report;
}

}  // namespace linnet

#pragma GCC visibility pop
