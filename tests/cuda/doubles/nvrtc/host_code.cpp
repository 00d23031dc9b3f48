#include "cuda/doubles/nvrtc/host_code.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

// Lines are for the sanitizers' messages; the machine's own know them otherwise.
#if defined(__SANITIZE_ADDRESS__)
#define LINNET_FAKE_NVRTC_SANITIZE " -g -fsanitize=address"
#elif defined(__SANITIZE_THREAD__)
#define LINNET_FAKE_NVRTC_SANITIZE " -g -fsanitize=thread"
#else
#define LINNET_FAKE_NVRTC_SANITIZE ""
#endif

namespace linnet::fake_nvrtc {
namespace {

namespace files = std::filesystem;

constexpr const char* kFlags =
    " -std=c++20 -O1 -fPIC -ffp-contract=off -fno-math-errno -fno-strict-aliasing -w"
    " -DLINNET_EMULATED_DEVICE=1" LINNET_FAKE_NVRTC_SANITIZE;

/// Where this library and the machine are.
const files::path& own_folder() {
  static const files::path folder = [] {
    Dl_info here;
    dladdr(reinterpret_cast<void*>(&nvrtcVersion), &here);
    return files::absolute(files::path(here.dli_fname).parent_path());
  }();
  return folder;
}

std::string read(const files::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const files::path& path, const std::string& text) {
  files::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

/// Two sums of FNV-1a from different beginnings.
class Hash {
 public:
  void add(const std::string& text) {
    for (uint64_t* sum : {&a_, &b_}) {
      for (const char c : text) *sum = (*sum ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
      *sum = (*sum ^ 0x100u) * 0x100000001b3u;
    }
  }
  std::string text() const {
    constexpr const char* kDigits = "0123456789abcdef";
    std::string out;
    for (const uint64_t sum : {a_, b_})
      for (int shift = 60; shift >= 0; shift -= 4) out += kDigits[sum >> shift & 15];
    return out;
  }

 private:
  uint64_t a_ = 0xcbf29ce484222325u, b_ = 0x9ae16a3b2f90404fu;
};

/// Of what every text includes on the host: the machine and the headers of device code.
const std::string& hash_of_headers() {
  static const std::string hash = [] {
    Hash sum;
    std::vector<files::path> headers;
    for (const char* folder :
         {"tests/cuda/emulator", "kernels/cuda/device", "kernels/cuda/jit", "kernels/scalar"})
      for (const auto& file :
           files::directory_iterator(files::path(LINNET_SOURCE_DIRECTORY) / folder))
        if (file.path().extension() == ".h") headers.push_back(file.path());
    std::ranges::sort(headers);
    for (const files::path& header : headers) sum.add(read(header));
    return sum.text();
  }();
  return hash;
}

std::string quoted(const files::path& path) { return "'" + path.string() + "'"; }

std::string compiler(const char* language, const files::path& folder) {
  const files::path repository = LINNET_SOURCE_DIRECTORY;
  return LINNET_CXX_COMPILER + std::string(kFlags) + " -x " + language + " -I " + quoted(folder) +
         " -I " + quoted(repository) + " -I " + quoted(repository / "tests");
}

/// A name that no other thread or process uses.
files::path unique(const files::path& path) {
  static std::atomic<int> count = 0;
  return path.string() + "." + std::to_string(getpid()) + "." + std::to_string(count++);
}

/// What almost every text begins with.
constexpr const char* kCommonHeader = "kernels/cuda/jit/cluster.h";

/// That header, compiled once for all processes: most of the time of a text is its headers'.
/// @returns the option that uses it, or none if it cannot be compiled, which the text then shows.
const std::string& precompiled_headers() {
  static const std::string option = [] {
    Hash hash;
    for (const std::string& text :
         {hash_of_headers(), std::string(LINNET_CXX_COMPILER), std::string(kFlags)})
      hash.add(text);
    const files::path header = own_folder() / "compiled" / ("headers" + hash.text() + ".h");
    const files::path compiled = header.string() + ".gch";
    if (!files::exists(compiled)) {
      const files::path mine = unique(compiled);
      write(header, std::string("#include \"").append(kCommonHeader).append("\"\n"));
      const std::string command = compiler("c++-header", own_folder()) + " " + quoted(header) +
                                  " -o " + quoted(mine) + " > /dev/null 2>&1";
      if (std::system(command.c_str()) != 0) return std::string();
      files::rename(mine, compiled);
    }
    return " -include " + quoted(header);
  }();
  return option;
}

/// Whether the repository has just this text at that name; it is then read there.
bool is_in_repository(const std::string& name, const std::string& text) {
  return read(files::path(LINNET_SOURCE_DIRECTORY) / name) == text;
}

}  // namespace

bool is_for_device_header(const Source& source) {
  return source.text.find("LINNET_KERNEL(") != std::string::npos;
}

std::string file_of(const Source& source, const std::string& options) {
  Hash hash;
  for (const std::string& text : {source.name, source.text, options, hash_of_headers(),
                                  std::string(LINNET_CXX_COMPILER), std::string(kFlags)})
    hash.add(text);
  for (const std::string& text : source.includes) hash.add(text);
  return own_folder() / "compiled" / ("lib" + hash.text() + ".so");
}

bool exists(const std::string& path) {
  std::error_code error;
  return files::exists(path, error);
}

std::optional<std::string> compile_to(const std::string& path, const Source& source) {
  const files::path folder = unique(path);
  bool same_headers = source.text.find(kCommonHeader) != std::string::npos;
  for (size_t i = 0; i < source.includes.size(); ++i) {
    const std::string& name = source.include_names[i];
    if (!name.starts_with("kernels/")) continue;  // these replace standard headers
    if (is_in_repository(name, source.includes[i])) continue;
    write(folder / name, source.includes[i]);
    same_headers = false;
  }
  write(folder / "kernel.cu", source.text);
  const std::string command =
      compiler("c++", folder) + (same_headers ? precompiled_headers() : "") + " " +
      quoted(folder / "kernel.cu") + " -shared -o " + quoted(folder / "kernel.so") + " -L " +
      quoted(own_folder()) + " -l:liblinnet_emulator.so -Wl,-rpath," + quoted(own_folder()) +
      " > " + quoted(folder / "log") + " 2>&1";
  std::optional<std::string> refused;
  if (std::system(command.c_str()) != 0) refused = command + "\n" + read(folder / "log");
  std::error_code error;
  if (!refused) files::rename(folder / "kernel.so", path, error);
  if (error) refused = error.message();
  files::remove_all(folder, error);
  return refused;
}

}  // namespace linnet::fake_nvrtc
