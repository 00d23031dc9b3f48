#include "linnet/io/tree_file.h"

#include <algorithm>
#include <cerrno>
#include <set>

#include "linnet/detail/format.h"
#include "linnet/float8.h"
#include "linnet/io/checkpoint.h"
#include "linnet/io/json.h"
#include "linnet/io/safetensors.h"
#include "linnet/ops.h"

namespace linnet {
namespace {

using detail::NamedLeaves;

constexpr std::string_view kEnding = ".safetensors", kIndexEnding = ".index.json";

/// Up to and with the last `/`.
std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

/// @param set tells the files from those of another save.
std::string shard_path(const std::string& path, std::string_view set, size_t number, size_t count) {
  const std::string stem = path.substr(0, path.size() - kEnding.size());
  return fmt::format("{}{}-{:05}-of-{:05}{}", stem, set, number + 1, count, kEnding);
}

bool exists(const std::string& path, FileSystem& file_system) {
  FileStatus status;
  if (file_system.status(path.c_str(), status) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR) throw_file_error("inspect", path, errno);
  return false;
}

void remove_if_there(const std::string& path, FileSystem& file_system) {
  if (file_system.remove(path.c_str()) != 0 && errno != ENOENT)
    throw_file_error("remove", path, errno);
}

/// The files that an index names; none if it is not there or cannot be read, so that nothing is
/// lost with them.
std::set<std::string> files_of_index(const std::string& path, FileSystem& file_system) {
  std::set<std::string> files;
  if (!exists(path, file_system)) return files;
  try {
    const std::string text = read_json(path, kJsonByteLimit, file_system).to_text(0);
    for (const auto& [name, file] : parse_safetensors_index(text, path))
      files.insert(folder_of(path) + file);
  } catch (const IoError&) {
  }
  return files;
}

/// The first of "", "-b", "-c", … under which no shard has a name that is taken.
std::string free_set(const std::string& path, size_t count, const std::set<std::string>& taken) {
  for (char letter = 'a';; ++letter) {
    const std::string set = letter == 'a' ? "" : std::string("-") + letter;
    bool free = true;
    for (size_t i = 0; i < count; ++i) free &= !taken.contains(shard_path(path, set, i, count));
    if (free) return set;
  }
}

std::string named(const PathToName& rename, const std::string& path) {
  return rename ? rename(path) : path;
}

using Arrays = std::map<std::string, HostArray>;

/// In the order of names, as many in each as fit; an array above the limit is alone.
std::vector<Arrays> shards_of(const Arrays& arrays, uint64_t limit) {
  std::vector<Arrays> shards(1);
  uint64_t filled = 0;
  for (const auto& [name, array] : arrays) {
    if (limit > 0 && filled + array.byte_size() > limit && !shards.back().empty()) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().emplace(name, array);
    filled += array.byte_size();
  }
  return shards;
}

/// Open files, and which of them has each array.
struct Source {
  std::vector<SafetensorsFile> files;
  std::map<std::string, size_t> file_of;
};

Source open_one(const std::string& path, FileSystem& file_system) {
  Source source;
  source.files.push_back(read_safetensors(path, FileAccess::kRead, file_system));
  for (const std::string& name : source.files[0].names()) source.file_of.emplace(name, 0);
  return source;
}

Source open_index(const std::string& path, FileSystem& file_system) {
  const std::string text = read_json(path, kJsonByteLimit, file_system).to_text(0);
  Source source;
  std::map<std::string, size_t> numbers;
  for (const auto& [name, file] : parse_safetensors_index(text, path)) {
    const auto [at, first] = numbers.emplace(file, source.files.size());
    if (first)
      source.files.push_back(
          read_safetensors(folder_of(path) + file, FileAccess::kRead, file_system));
    if (!source.files[at->second].contains(name))
      fail<IoError>("{}: '{}' should be in '{}', which does not have it", path, name, file);
    source.file_of.emplace(name, at->second);
  }
  return source;
}

std::string listed(std::string_view what, const std::vector<std::string>& names) {
  constexpr size_t kListed = 5;
  std::string text = fmt::format("{} {}", names.size(), what);
  for (size_t i = 0; i < std::min(names.size(), kListed); ++i)
    text += fmt::format("{}'{}'", i ? ", " : ": ", names[i]);
  return names.size() > kListed ? text + ", ..." : text;
}

/// An array of the file as a value for a leaf.
Tensor fitted(const std::string& file, const SafetensorsFile& source, const std::string& name,
              const Tensor& leaf, bool convert) {
  const SafetensorsEntry& entry = source.entry(name);
  if (const auto format = float8_named(entry.dtype)) {
    if (!convert || entry.shape != leaf.shape())
      fail<IoError>("{}: '{}' is {}{}, expected {}{}", file, name, entry.dtype,
                    to_string(entry.shape), to_string(leaf.type()),
                    entry.shape == leaf.shape() ? "\n  hint: .convert = true converts" : "");
    return from_float8(to_tensor(source.bits(name)).to(leaf.device()), *format, leaf.dtype());
  }
  const HostArray array = source.array(name);
  if (array.shape != leaf.shape() || (array.dtype != leaf.dtype() && !convert)) {
    fail<IoError>("{}: '{}' is {}, expected {}{}", file, name,
                  type_string(array.dtype, array.shape), to_string(leaf.type()),
                  array.shape == leaf.shape() ? "\n  hint: .convert = true converts" : "");
  }
  const Tensor value = to_tensor(array).to(leaf.device());
  return array.dtype == leaf.dtype() ? value : astype(value, leaf.dtype());
}

}  // namespace

std::map<std::string, std::string> parse_safetensors_index(std::string_view text,
                                                           const std::string& name) {
  const Json index = Json::parse(text, name);
  if (!index.is_object() || !index.find("weight_map"))
    fail<IoError>("{}: expected an object with the key 'weight_map'", name);
  std::map<std::string, std::string> files;
  if (!index.at("weight_map").is_object()) fail<IoError>("{}: 'weight_map' is no object", name);
  for (const auto& [array, file] : index.at("weight_map").as_object()) {
    // Nothing outside the folder of the index.
    if (!file.is_string() || file.as_string().empty() || file.as_string() == "." ||
        file.as_string() == ".." || file.as_string().find('/') != std::string::npos ||
        file.as_string().find('\0') != std::string::npos)
      fail<IoError>("{}: '{}' is not mapped to the name of a file", name, array);
    files.emplace(array, file.as_string());
  }
  return files;
}

namespace detail {

void save_tree_leaves(const std::string& path, const NamedLeaves& leaves,
                      const SaveTreeOptions& options, FileSystem& file_system) {
  if (!path.ends_with(kEnding))
    fail<ValueError>("save_tree: expected a path that ends in {}, got '{}'", kEnding, path);
  Arrays arrays;
  uint64_t total = 0;
  for (const auto& [leaf, tensor] : leaves) {
    const std::string name = named(options.rename, leaf);
    const auto [at, first] = arrays.emplace(name, to_host_array(tensor));
    if (!first) fail<ValueError>("save_tree: two leaves have the name '{}'", name);
    total += at->second.byte_size();
  }
  const std::string index_path = path + std::string(kIndexEnding);
  const std::vector<Arrays> shards = shards_of(arrays, options.shard_bytes);
  const std::set<std::string> before = files_of_index(index_path, file_system);
  // Up to here, and up to the last file below, the old tree is there. The index goes before its
  // files.
  const auto drop_old = [&] {
    for (const std::string& file : before) remove_if_there(file, file_system);
  };
  if (shards.size() == 1) {
    write_safetensors(path, arrays, options.metadata, file_system);
    remove_if_there(index_path, file_system);
    drop_old();
    return;
  }
  Json files = Json::object();
  const std::string set = free_set(path, shards.size(), before);
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string shard = shard_path(path, set, i, shards.size());
    write_safetensors(shard, shards[i], options.metadata, file_system);
    for (const auto& [name, array] : shards[i]) files[name] = shard.substr(folder_of(shard).size());
  }
  write_json(index_path,
             Json::Object{{"metadata", Json::Object{{"total_size", static_cast<int64_t>(total)}}},
                          {"weight_map", files}},
             file_system);
  remove_if_there(path, file_system);
  drop_old();
}

std::pair<TensorList, TreeFileReport> load_tree_leaves(const std::string& path,
                                                       const NamedLeaves& leaves,
                                                       const LoadTreeOptions& options,
                                                       FileSystem& file_system) {
  const std::string index_path = path + std::string(kIndexEnding);
  const Source source = path.ends_with(".json")           ? open_index(path, file_system)
                        : exists(path, file_system)       ? open_one(path, file_system)
                        : exists(index_path, file_system) ? open_index(index_path, file_system)
                                                          : open_one(path, file_system);
  TensorList values;
  TreeFileReport report;
  std::map<std::string, size_t> left = source.file_of;
  for (const auto& [leaf, tensor] : leaves) {
    values.push_back(tensor);
    if (options.only && !options.only(leaf)) continue;
    const std::string name = named(options.rename, leaf);
    const auto at = source.file_of.find(name);
    left.erase(name);
    if (at == source.file_of.end()) {
      report.missing.push_back(leaf);
    } else {
      values.back() = fitted(path, source.files[at->second], name, tensor, options.convert);
    }
  }
  for (const auto& [name, file] : left) report.unexpected.push_back(name);
  const bool surplus = !report.unexpected.empty() && !options.only;
  if (options.strict && (!report.missing.empty() || surplus)) {
    fail<IoError>("{}: {}{}{}\n  hint: .strict = false loads what fits", path,
                  report.missing.empty() ? "" : listed("leaves have no array", report.missing),
                  !report.missing.empty() && surplus ? "; " : "",
                  surplus ? listed("arrays have no leaf", report.unexpected) : "");
  }
  return {std::move(values), std::move(report)};
}

}  // namespace detail
}  // namespace linnet
