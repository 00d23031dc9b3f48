// What a checkpoint's manifest says about the values beside it. Private.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "linnet/io/host_array.h"
#include "linnet/io/json.h"

namespace linnet::checkpoint {

inline constexpr const char* kManifestName = "checkpoint.json";
inline constexpr const char* kLockName = "checkpoint.lock";
/// The key of the manifest that belongs to Linnet.
inline constexpr const char* kKey = "linnet";

/// `values-<number>.safetensors`.
std::string values_name(int64_t number);
/// The number in the name of a values file, or nothing for any other name.
std::optional<int64_t> number_of(const std::string& name);

/// Type as `f32[10]` and checksum of one leaf.
struct Leaf {
  std::string type;
  uint32_t checksum = 0;
};

/// The values that a manifest belongs to.
struct Contents {
  int64_t number = 0;
  std::map<std::string, Leaf> leaves;
};

std::string leaf_type(DType dtype, const Shape& shape);
/// Checksum of the values as they are in the file.
uint32_t leaf_checksum(const HostArray& array);
std::string checksum_text(uint32_t checksum);

/// @throws ValueError if the user's manifest is not an object or uses the reserved key.
void check_user_manifest(const Json& manifest);

/// The text of the complete manifest: the user's, with contents, version and a checksum of all of
/// it.
/// @throws ValueError if it could not be read again.
std::string sealed_text(Json manifest, const Contents& contents);

/// @throws IoError beginning with `path` if the manifest is of another version, was changed after
/// it was written, or lacks something.
Contents contents_of(const Json& manifest, const std::string& path);

}  // namespace linnet::checkpoint
