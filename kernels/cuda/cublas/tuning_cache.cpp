#include "kernels/cuda/cublas/tuning_cache.h"

#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>

#include "kernels/cuda/cublas/api.h"
#include "kernels/cuda/driver/cache_folder.h"
#include "linnet/detail/format.h"
#include "linnet/detail/log.h"
#include "linnet/io/json.h"

namespace linnet::cuda {
namespace {

struct Known {
  std::mutex mutex;
  std::map<std::string, cublasLtMatmulAlgo_t> algorithms;  // by key
};
Known& known() {
  static Known* known = new Known;  // never destroyed: exit handlers may compute
  return *known;
}

std::string key_of(const DeviceProperties& device, const std::string& text) {
  return fmt::format("{} of {} multiprocessors, cuBLASLt {}: {}", device.name,
                     device.multiprocessors, cublaslt().version, text);
}

std::string hex(const cublasLtMatmulAlgo_t& algorithm) {
  std::string out;
  for (const uint64_t word : algorithm.data) out += fmt::format("{:016x}", word);
  return out;
}

cublasLtMatmulAlgo_t parse_hex(const std::string& text) {
  cublasLtMatmulAlgo_t out;
  constexpr size_t kDigits = 16;
  if (text.size() != kDigits * std::size(out.data))
    fail<IoError>("an algorithm of {} digits", text.size());
  for (size_t i = 0; i < std::size(out.data); ++i) {
    const std::string digits = text.substr(i * kDigits, kDigits);
    if (digits.find_first_not_of("0123456789abcdef") != std::string::npos)
      fail<IoError>("'{}' in an algorithm", digits);
    out.data[i] = std::stoull(digits, nullptr, 16);
  }
  return out;
}

std::string file_of(const std::string& key) {
  const std::string folder = cache_folder();
  return folder.empty() ? "" : folder + "/products/" + hex_digest(key) + ".json";
}

std::optional<cublasLtMatmulAlgo_t> read(const std::string& path, const std::string& key) {
  struct ::stat status;
  if (path.empty() || ::stat(path.c_str(), &status) != 0) return std::nullopt;
  try {
    const Json file = read_json(path);
    // Another product of the same hash would be no error, but has never been seen.
    if (file.at("product").as_string() != key) return std::nullopt;
    return parse_hex(file.at("algorithm").as_string());
  } catch (const Error& error) {
    log_warning(fmt::format("cuda: a tuned algorithm is ignored, and will be found again: {}",
                            error.what()));
    return std::nullopt;
  }
}

}  // namespace

std::string tuning_file(const DeviceProperties& device, const std::string& text) {
  return file_of(key_of(device, text));
}

std::optional<cublasLtMatmulAlgo_t> find_tuned(const DeviceProperties& device,
                                               const std::string& text) {
  const std::string key = key_of(device, text);
  {
    const std::lock_guard lock(known().mutex);
    const auto found = known().algorithms.find(key);
    if (found != known().algorithms.end()) return found->second;
  }
  const auto found = read(file_of(key), key);
  if (found) {
    const std::lock_guard lock(known().mutex);
    known().algorithms.emplace(key, *found);
  }
  return found;
}

void keep_tuned(const DeviceProperties& device, const std::string& text,
                const cublasLtMatmulAlgo_t& algorithm) {
  const std::string key = key_of(device, text);
  {
    const std::lock_guard lock(known().mutex);
    known().algorithms.insert_or_assign(key, algorithm);
  }
  const std::string path = file_of(key);
  if (path.empty()) return;
  try {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    Json file = Json::object();
    file["product"] = key;
    file["algorithm"] = hex(algorithm);
    write_json(path, file);
  } catch (const std::exception& error) {
    log_warning(fmt::format("cuda: a tuned algorithm is not kept: {}", error.what()));
  }
}

void forget_tuned() {
  const std::lock_guard lock(known().mutex);
  known().algorithms.clear();
}

}  // namespace linnet::cuda
