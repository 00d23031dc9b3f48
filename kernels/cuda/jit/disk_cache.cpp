#include "kernels/cuda/jit/disk_cache.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "kernels/cuda/driver/cache_folder.h"
#include "linnet/detail/format.h"
#include "linnet/detail/log.h"
#include "linnet/io/atomic_file.h"

namespace linnet::cuda {
namespace {

/// The first line of a file; the image follows.
std::string header_of(const std::string& image) {
  return fmt::format("linnet kernel 1 {} {}\n", image.size(), hex_digest(image));
}

}  // namespace

std::string compiled_file(const std::string& key) {
  const std::string folder = cache_folder();
  return folder.empty() ? "" : folder + "/kernels/" + hex_digest(key) + ".bin";
}

std::optional<std::string> find_compiled(const std::string& key) {
  const std::string path = compiled_file(key);
  if (path.empty()) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string header;
  std::getline(file, header);
  std::string image{std::istreambuf_iterator<char>(file), {}};
  if (header + "\n" == header_of(image)) return image;
  log_warning(fmt::format("cuda: {} is damaged; the kernel is compiled again", path));
  return std::nullopt;
}

void keep_compiled(const std::string& key, const std::string& image) {
  const std::string path = compiled_file(key);
  if (path.empty()) return;
  try {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    write_file_atomically(path, header_of(image) + image);
  } catch (const std::exception& error) {
    log_warning(fmt::format("cuda: a compiled kernel is not kept: {}", error.what()));
  }
}

}  // namespace linnet::cuda
