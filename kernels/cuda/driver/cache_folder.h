// Where results that take long to find are kept between processes: compiled kernels, choices of
// algorithms.
#pragma once

#include <string>

namespace linnet::cuda {

/// The folder that LINNET_CUDA_CACHE names, else `linnet` in XDG_CACHE_HOME or ~/.cache. Empty if
/// the variable is set to nothing or there is no home: then nothing is kept. It may not exist yet.
std::string cache_folder();
/// The SHA-1 of a text in hexadecimal digits: a name for the file of a key.
std::string hex_digest(const std::string& text);

}  // namespace linnet::cuda
