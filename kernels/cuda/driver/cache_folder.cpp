#include "kernels/cuda/driver/cache_folder.h"

#include <cstdlib>

#include "linnet/detail/format.h"
#include "linnet/detail/sha1.h"

namespace linnet::cuda {

std::string cache_folder() {
  if (const char* chosen = std::getenv("LINNET_CUDA_CACHE")) return chosen;
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  if (cache && *cache) return std::string(cache) + "/linnet";
  const char* const home = std::getenv("HOME");
  return home && *home ? std::string(home) + "/.cache/linnet" : std::string();
}

std::string hex_digest(const std::string& text) {
  std::string digits;
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  for (const uint8_t byte : sha1({bytes, text.size()})) digits += fmt::format("{:02x}", byte);
  return digits;
}

}  // namespace linnet::cuda
