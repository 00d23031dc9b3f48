#include "linnet/io/checkpoint.h"

#include <filesystem>
#include <system_error>

#include "core/base/format.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/io/safetensors.h"

namespace linnet {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = "checkpoint.json";
constexpr const char* kFormat = "linnet-checkpoint-1";

std::string manifest_path(const std::string& directory) {
  return (fs::path(directory) / kManifest).string();
}

/// A name that no older checkpoint in the directory uses.
std::string next_values_name(const std::string& directory) {
  int64_t number = 0;
  if (has_checkpoint(directory)) {
    number = read_json(manifest_path(directory)).at("linnet").at("number").as_integer() + 1;
  }
  return fmt::format("values-{}.safetensors", number);
}

void remove_other_values(const std::string& directory, const std::string& keep) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("values-") && name.ends_with(".safetensors") && name != keep)
      fs::remove(entry.path(), ignored);
  }
}

}  // namespace

HostArray to_host_array(const Tensor& tensor) {
  require_concrete(tensor, "to_host_array");
  const Tensor flat = tensor.contiguous();
  HostArray out;
  out.dtype = flat.dtype();
  out.shape = flat.shape();
  out.data = flat.impl()->data;
  out.owner = std::make_shared<Tensor>(flat);
  return out;
}

Tensor to_tensor(const HostArray& array) {
  return from_external(array.data, array.dtype, array.shape, array.owner);
}

Json checkpoint_manifest(const std::string& directory) {
  return read_json(manifest_path(directory));
}

bool has_checkpoint(const std::string& directory) {
  std::error_code ignored;
  return fs::exists(manifest_path(directory), ignored);
}

namespace detail {

void save_leaves(const std::string& directory,
                 const std::vector<std::pair<std::string, Tensor>>& leaves, Json manifest) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) fail<IoError>("{}: cannot create the directory: {}", directory, error.message());
  const std::string name = next_values_name(directory);
  std::map<std::string, HostArray> arrays;
  for (const auto& [path, tensor] : leaves) {
    if (!arrays.emplace(path, to_host_array(tensor)).second) {
      fail<IoError>("checkpoint: two leaves have the path '{}'", path);
    }
  }
  write_safetensors((fs::path(directory) / name).string(), arrays, {{"format", kFormat}});
  Json info = Json::object();
  info["format"] = kFormat;
  info["values"] = name;
  info["number"] = static_cast<int64_t>(std::stoll(name.substr(7)));
  info["leaves"] = static_cast<int64_t>(arrays.size());
  manifest["linnet"] = std::move(info);
  write_json(manifest_path(directory), manifest);
  remove_other_values(directory, name);
}

std::pair<TensorList, Json> load_leaves(const std::string& directory,
                                        const std::vector<std::pair<std::string, Tensor>>& leaves) {
  Json manifest = checkpoint_manifest(directory);
  const Json& info = manifest.at("linnet");
  if (info.at("format").as_string() != kFormat) {
    fail<IoError>("{}: expected format {}, got {}", manifest_path(directory), kFormat,
                  info.at("format").as_string());
  }
  const std::string name = info.at("values").as_string();
  if (name.find('/') != std::string::npos)
    fail<IoError>("{}: bad file name '{}'", manifest_path(directory), name);
  // Read, not mapped: the next save replaces the file.
  const SafetensorsFile file =
      read_safetensors((fs::path(directory) / name).string(), FileAccess::kRead);
  TensorList values;
  for (const auto& [path, like] : leaves) {
    if (!file.contains(path)) fail<IoError>("{}: the checkpoint has no '{}'", directory, path);
    values.push_back(to_tensor(file.array(path)));
    if (values.back().dtype() != like.dtype() || values.back().shape() != like.shape()) {
      fail<IoError>("{}: '{}' is {} in the checkpoint, expected {}", directory, path,
                    to_string(values.back().type()), to_string(like.type()));
    }
  }
  if (file.names().size() != leaves.size()) {
    fail<IoError>("{}: the checkpoint has {} leaves, expected {}", directory, file.names().size(),
                  leaves.size());
  }
  return {std::move(values), std::move(manifest)};
}

}  // namespace detail
}  // namespace linnet
