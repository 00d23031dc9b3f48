#include "linnet/io/checkpoint.h"

#include <algorithm>
#include <cerrno>
#include <new>
#include <optional>

#include "checkpoint_manifest.h"
#include "core/tensor/host_access.h"
#include "core/tensor/tensor_impl.h"
#include "directory.h"
#include "linnet/detail/format.h"
#include "linnet/io/atomic_file.h"
#include "linnet/io/safetensors.h"
#include "safetensors_header.h"

namespace linnet {
namespace {

using Leaves = std::vector<std::pair<std::string, Tensor>>;
using NameList = std::vector<std::string>;
using checkpoint::Contents;

std::string path_in(const std::string& directory, const std::string& name) {
  return directory + "/" + name;
}

std::string manifest_path(const std::string& directory) {
  return path_in(directory, checkpoint::kManifestName);
}

Json read_manifest(const std::string& directory, FileSystem& file_system) {
  return read_json(manifest_path(directory), kJsonByteLimit, file_system);
}

// ---- saving

std::map<std::string, HostArray> host_arrays(const Leaves& leaves) {
  std::map<std::string, HostArray> arrays;
  for (const auto& [path, tensor] : leaves) {
    if (!arrays.emplace(path, to_host_array(tensor)).second)
      fail<ValueError>("save_checkpoint: two leaves have the path '{}'", path);
  }
  return arrays;
}

Contents contents_for(const std::map<std::string, HostArray>& arrays) {
  Contents contents;
  for (const auto& [path, array] : arrays) {
    contents.leaves[path] = {checkpoint::leaf_type(array.dtype, array.shape),
                             checkpoint::leaf_checksum(array)};
  }
  return contents;
}

NameList names_in(const std::string& directory, FileSystem& file_system) {
  NameList names;
  if (file_system.list(directory.c_str(), names) < 0)
    throw_file_error("list the directory", directory, errno);
  return names;
}

/// A number that no values file in the directory has, whether or not a manifest knows of it.
int64_t next_number(const std::string& directory, FileSystem& file_system) {
  int64_t next = 0;
  for (const std::string& name : names_in(directory, file_system)) {
    if (const auto number = checkpoint::number_of(name)) next = std::max(next, *number + 1);
  }
  return next;
}

/// Removes the values files of other numbers. What the system keeps is removed after the next
/// checkpoint.
void remove_other_values(const std::string& directory, std::optional<int64_t> keep,
                         FileSystem& file_system) {
  for (const std::string& name : names_in(directory, file_system)) {
    const auto number = checkpoint::number_of(name);
    if (number && number != keep) file_system.remove(path_in(directory, name).c_str());
  }
}

/// Values that were written before something failed would fill the disk if it fails again and
/// again.
void remove_values_without_manifest(const std::string& directory, FileSystem& file_system) {
  std::optional<int64_t> present;
  if (has_checkpoint(directory, file_system)) {
    try {
      const std::string path = manifest_path(directory);
      present = checkpoint::contents_of(read_json(path, kJsonByteLimit, file_system), path).number;
    } catch (const IoError&) {
      return;  // nobody knows which values belong to a damaged manifest
    }
  }
  const NameList names = names_in(directory, file_system);
  const bool has_others = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    const auto number = checkpoint::number_of(name);
    return number && number != present;
  });
  if (!has_others) return;
  // The manifest that is there may not be on the disk yet: there may be an older one, whose values
  // must then not go.
  flush_directory(directory, file_system);
  remove_other_values(directory, present, file_system);
}

// ---- loading

std::string listed(const NameList& names) {
  constexpr size_t kListed = 5;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kListed); ++i)
    text += fmt::format("{}'{}'", i ? ", " : "", names[i]);
  return names.size() > kListed ? text + ", ..." : text;
}

/// Names and types, by the manifest alone.
void check_structure(const std::string& directory, const Leaves& leaves, const Contents& contents) {
  NameList missing, unexpected, asked;
  for (const auto& [path, like] : leaves) {
    asked.push_back(path);
    if (!contents.leaves.count(path)) missing.push_back(path);
  }
  std::sort(asked.begin(), asked.end());
  for (const auto& [path, leaf] : contents.leaves) {
    if (!std::binary_search(asked.begin(), asked.end(), path)) unexpected.push_back(path);
  }
  if (!missing.empty() || !unexpected.empty()) {
    std::string reason;
    if (!missing.empty())
      reason +=
          fmt::format("the checkpoint has no {} ({} missing)", listed(missing), missing.size());
    if (!unexpected.empty()) {
      reason += fmt::format("{}it has {} ({} unexpected)", missing.empty() ? "" : "; ",
                            listed(unexpected), unexpected.size());
    }
    fail<IoError>("{}: {}", directory, reason);
  }
  for (const auto& [path, like] : leaves) {
    const std::string expected = checkpoint::leaf_type(like.dtype(), like.shape());
    const std::string& got = contents.leaves.at(path).type;
    if (got != expected) {
      fail<IoError>("{}: '{}' is {} in the checkpoint, expected {}", directory, path, got,
                    expected);
    }
  }
}

/// The values file has the leaves of the manifest and nothing else.
void check_file(const SafetensorsFile& file, const std::string& path, const Contents& contents) {
  for (const auto& [name, leaf] : contents.leaves) {
    if (!file.contains(name))
      fail<IoError>("{}: no '{}': the values are not those of the manifest", path, name);
    const SafetensorsEntry& entry = file.entry(name);
    const auto dtype = safetensors::find_element_type(entry.dtype)->dtype;
    const std::string type =
        dtype ? checkpoint::leaf_type(*dtype, entry.shape) : entry.dtype + to_string(entry.shape);
    if (type != leaf.type) {
      fail<IoError>(
          "{}: '{}' is {}, the manifest says {}: the values are not those of the manifest", path,
          name, type, leaf.type);
    }
  }
  const size_t count = file.names().size();
  if (count != contents.leaves.size()) {
    fail<IoError>("{}: {} leaves, the manifest says {}: the values are not those of the manifest",
                  path, count, contents.leaves.size());
  }
}

TensorList read_values(const std::string& directory, const Leaves& leaves, const Contents& contents,
                       FileSystem& file_system) {
  const std::string path = path_in(directory, checkpoint::values_name(contents.number));
  // Read, not mapped: the next save replaces the file.
  const SafetensorsFile file = read_safetensors(path, FileAccess::kRead, file_system);
  check_file(file, path, contents);
  TensorList values;
  for (const auto& [name, like] : leaves) {
    const HostArray array = file.array(name);
    const uint32_t checksum = checkpoint::leaf_checksum(array);
    const uint32_t expected = contents.leaves.at(name).checksum;
    if (checksum != expected) {
      fail<IoError>(
          "{}: '{}' is damaged or of another checkpoint: checksum {}, the manifest says {}", path,
          name, checkpoint::checksum_text(checksum), checkpoint::checksum_text(expected));
    }
    values.push_back(to_tensor(array).to(like.device()));
  }
  return values;
}

}  // namespace

HostArray to_host_array(const Tensor& tensor) {
  require_concrete(tensor, "to_host_array");
  const Tensor flat = host_view(tensor);
  HostArray out;
  out.dtype = flat.dtype();
  out.shape = flat.shape();
  out.data = flat.impl()->data;
  out.owner = std::make_shared<Tensor>(flat);
  return out;
}

Tensor to_tensor(const HostArray& array) {
  return from_external(array.data, array.dtype, array.shape, array.owner).to(default_device());
}

Json checkpoint_manifest(const std::string& directory, FileSystem& file_system) {
  Json manifest = read_manifest(directory, file_system);
  checkpoint::contents_of(manifest, manifest_path(directory));
  return manifest;
}

bool has_checkpoint(const std::string& directory, FileSystem& file_system) {
  const std::string path = manifest_path(directory);
  FileStatus status;
  if (file_system.status(path.c_str(), status) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR) throw_file_error("inspect", path, errno);
  return false;
}

namespace detail {

int64_t save_leaves(const std::string& directory, const Leaves& leaves, Json manifest,
                    FileSystem& file_system) {
  // Whatever can be refused is refused before the first write.
  checkpoint::check_user_manifest(manifest);
  const std::map<std::string, HostArray> arrays = host_arrays(leaves);
  Contents contents = contents_for(arrays);
  make_directories(directory, file_system);
  const DirectoryLock lock(directory, checkpoint::kLockName, file_system);
  remove_abandoned_temporaries(directory, file_system);
  remove_values_without_manifest(directory, file_system);
  contents.number = next_number(directory, file_system);
  const std::string text = checkpoint::sealed_text(std::move(manifest), contents);
  write_safetensors(path_in(directory, checkpoint::values_name(contents.number)), arrays,
                    {{"format", "linnet-checkpoint"}}, file_system);
  write_file_atomically(manifest_path(directory), text, file_system);
  // The checkpoint is complete whether or not the old one can be removed.
  try {
    remove_other_values(directory, contents.number, file_system);
  } catch (const IoError&) {
  } catch (const std::bad_alloc&) {
  }
  return contents.number;
}

std::pair<TensorList, Json> load_leaves(const std::string& directory, const Leaves& leaves,
                                        FileSystem& file_system) {
  // A writer that commits between the reading of manifest and values removes the values that the
  // old manifest names. Then there is a new manifest.
  constexpr int kAttempts = 100;
  for (int attempt = 1;; ++attempt) {
    Json manifest = read_manifest(directory, file_system);
    const Contents contents = checkpoint::contents_of(manifest, manifest_path(directory));
    check_structure(directory, leaves, contents);
    try {
      return {read_values(directory, leaves, contents, file_system), std::move(manifest)};
    } catch (const IoError&) {
      if (attempt == kAttempts || read_manifest(directory, file_system) == manifest) throw;
    }
  }
}

}  // namespace detail
}  // namespace linnet
