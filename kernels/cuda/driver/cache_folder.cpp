#include "kernels/cuda/driver/cache_folder.h"

#include <cstdlib>

namespace linnet::cuda {

std::string cache_folder() {
  if (const char* chosen = std::getenv("LINNET_CUDA_CACHE")) return chosen;
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  if (cache && *cache) return std::string(cache) + "/linnet";
  const char* const home = std::getenv("HOME");
  return home && *home ? std::string(home) + "/.cache/linnet" : std::string();
}

}  // namespace linnet::cuda
