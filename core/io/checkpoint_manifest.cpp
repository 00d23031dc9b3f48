#include "checkpoint_manifest.h"

#include <charconv>
#include <span>

#include "linnet/detail/format.h"
#include "linnet/io/checksum.h"

namespace linnet::checkpoint {
namespace {

constexpr const char* kFormat = "linnet-checkpoint";
constexpr int64_t kVersion = 2;
constexpr std::string_view kValuesStart = "values-", kValuesEnd = ".safetensors";

// What is longer would not be read again.
void check_length(const std::string& text) {
  if (text.size() > kJsonByteLimit) {
    fail<ValueError>("save_checkpoint: the manifest has {} bytes, at most {} are read again",
                     text.size(), kJsonByteLimit);
  }
}

// Of the text on one line, which is the same for equal manifests, without the sum itself.
std::string manifest_checksum(Json manifest) {
  manifest[kKey]["checksum"] = Json();
  const std::string text = manifest.to_text(0);
  check_length(text);
  return checksum_text(crc32(std::as_bytes(std::span(text))));
}

void check_version(const Json& ours, const std::string& path) {
  const std::string& format = ours.at("format").as_string();
  if (format != kFormat) {
    fail<IoError>("{}: format '{}', this build reads '{}' version {}", path, format, kFormat,
                  kVersion);
  }
  const int64_t version = ours.at("version").as_integer();
  if (version != kVersion) {
    fail<IoError>("{}: checkpoint version {}, this build reads version {}", path, version,
                  kVersion);
  }
}

uint32_t parsed_checksum(const std::string& text, const std::string& path) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size())
    fail<IoError>("{}: '{}' is not a checksum", path, text);
  return value;
}

Contents parsed(const Json& manifest, const std::string& path) {
  const Json& ours = manifest.at(kKey);
  check_version(ours, path);
  if (manifest_checksum(manifest) != ours.at("checksum").as_string()) {
    fail<IoError>("{}: the manifest was changed after it was written (its checksum differs)", path);
  }
  const std::string& values = ours.at("values").as_string();
  const std::optional<int64_t> number = number_of(values);
  if (!number) fail<IoError>("{}: bad name of a values file '{}'", path, values);
  Contents contents{*number, {}};
  for (const auto& [name, leaf] : ours.at("leaves").as_object()) {
    contents.leaves[name] = {leaf.at("type").as_string(),
                             parsed_checksum(leaf.at("crc32").as_string(), path)};
  }
  return contents;
}

}  // namespace

std::string values_name(int64_t number) {
  return fmt::format("{}{}{}", kValuesStart, number, kValuesEnd);
}

std::optional<int64_t> number_of(const std::string& name) {
  if (!name.starts_with(kValuesStart) || !name.ends_with(kValuesEnd)) return std::nullopt;
  int64_t number = 0;
  const char* const begin = name.data() + kValuesStart.size();
  const auto [end, error] = std::from_chars(begin, name.data() + name.size(), number);
  // Only the spelling that is written, and numbers that leave room to count on.
  constexpr int64_t kGreatest = int64_t{1} << 62;
  if (error != std::errc() || number < 0 || number > kGreatest || values_name(number) != name)
    return std::nullopt;
  return number;
}

std::string leaf_type(DType dtype, const Shape& shape) { return type_string(dtype, shape); }

uint32_t leaf_checksum(const HostArray& array) { return crc32(array.bytes()); }

std::string checksum_text(uint32_t checksum) { return fmt::format("{:08x}", checksum); }

void check_user_manifest(const Json& manifest) {
  if (!manifest.is_object() && !manifest.is_null())
    throw ValueError("save_checkpoint: the manifest must be an object");
  if (manifest.is_null()) return;
  const Json* ours = manifest.find(kKey);
  // A manifest that was loaded may be changed and saved again.
  if (ours && !(ours->is_object() && ours->find("format") != nullptr))
    fail<ValueError>("save_checkpoint: the key '{}' of the manifest is reserved", kKey);
}

std::string sealed_text(Json manifest, const Contents& contents) {
  Json leaves = Json::object();
  for (const auto& [name, leaf] : contents.leaves) {
    Json& entry = leaves[name];
    entry["type"] = leaf.type;
    entry["crc32"] = checksum_text(leaf.checksum);
  }
  Json ours = Json::object();
  ours["format"] = kFormat;
  ours["version"] = kVersion;
  ours["number"] = contents.number;
  ours["values"] = values_name(contents.number);
  ours["leaves"] = std::move(leaves);
  manifest[kKey] = std::move(ours);
  manifest[kKey]["checksum"] = manifest_checksum(manifest);
  std::string text = manifest.to_text() + "\n";
  check_length(text);
  return text;
}

Contents contents_of(const Json& manifest, const std::string& path) {
  try {
    return parsed(manifest, path);
  } catch (const IoError& error) {
    const std::string reason = error.what();
    if (reason.starts_with(path)) throw;
    throw IoError(path + ": not the manifest of a checkpoint: " + reason);
  }
}

}  // namespace linnet::checkpoint
