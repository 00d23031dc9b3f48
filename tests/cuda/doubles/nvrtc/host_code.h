// Kernels compiled by g++ for the emulated device.
#pragma once

#include <optional>
#include <string>

#include "cuda/doubles/nvrtc/real.h"

namespace linnet::fake_nvrtc {

/// Whether a text is written for device.h, so that g++ can compile it too.
bool is_for_device_header(const Source& source);

/// The path of a shared object with the kernels of a text. It is compiled at most once; `accepts`
/// is asked only then, before, whether the text is good.
/// @returns nothing, with the reason appended to `log`, if g++ or `accepts` refuses the text.
template <class Accepts>
std::optional<std::string> host_code(const Source& source, const std::string& options,
                                     std::string& log, Accepts&& accepts);

/// The file for a text, which depends on everything that g++ reads.
std::string file_of(const Source& source, const std::string& options);
bool exists(const std::string& path);
/// Compiles and puts the result at `path`. @returns what g++ says, if it refuses.
std::optional<std::string> compile_to(const std::string& path, const Source& source);

template <class Accepts>
std::optional<std::string> host_code(const Source& source, const std::string& options,
                                     std::string& log, Accepts&& accepts) {
  std::string path = file_of(source, options);
  if (exists(path)) return path;
  if (!accepts(log)) return std::nullopt;
  if (const auto refused = compile_to(path, source)) {
    log += "g++ refuses the text for the emulated device:\n" + *refused;
    return std::nullopt;
  }
  return path;
}

}  // namespace linnet::fake_nvrtc
