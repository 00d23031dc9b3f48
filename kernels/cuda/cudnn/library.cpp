#include "kernels/cuda/cudnn/library.h"

#include <array>

#include "kernels/cuda/driver/libraries.h"
#include "linnet/detail/format.h"

namespace linnet::cuda::cudnn {
namespace {

constexpr int kOldestVersion = 90800;  // the first that describes devices by their properties

struct Found {
  Library library;
  std::string reason;
};

Found find() {
  Found found;
  const cuda::Library opened = open_library("cudnn", std::array{9});
  if (!opened.handle) {
    found.reason = "the library libcudnn.so.9 was not found";
    for (const std::string& place : opened.tried) found.reason += "\n  " + place;
    return found;
  }
  found.library = library_of(opened.handle, opened.path);
  if (const size_t version = found.library.cudnnGetVersion(); version < kOldestVersion)
    found.reason = fmt::format("{} is of version {}, 9.8 is needed", opened.path, version);
  return found;
}

const Found& found() {
  static const Found* found = new Found(find());
  return *found;
}

}  // namespace

Library library_of(void* handle, std::string path) {
  Library library;
  const cuda::Library opened{handle, path, {}};
#define LINNET_CUDNN_LOOK_UP(name) \
  library.name = reinterpret_cast<decltype(library.name)>(library_function(opened, #name));
  LINNET_CUDNN_FUNCTIONS(LINNET_CUDNN_LOOK_UP)
#undef LINNET_CUDNN_LOOK_UP
  library.path = std::move(path);
  return library;
}

const Library* find_library() { return found().reason.empty() ? &found().library : nullptr; }
const std::string& library_reason() { return found().reason; }

}  // namespace linnet::cuda::cudnn
