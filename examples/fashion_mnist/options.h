// Command line of the demo.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "linnet/device.h"

namespace demo {

enum class Api { kNnx, kLinen };

struct Options {
  Api api = Api::kNnx;
  int64_t epochs = 8;
  int64_t batch_size = 128;
  int64_t seed = 0;
  double learning_rate = 3e-3;  ///< at its peak
  int threads = 0;              ///< 0: as many as the machine has
  linnet::DeviceType device = linnet::DeviceType::kCpu;
  std::string data;
  std::string out = "out/fashion_mnist";
  bool resume = false;
};

/// Reads the command line; prints help or one sentence about a bad value.
/// Gives the exit code instead if the program should end.
struct Parsed {
  Options options;
  std::optional<int> exit_code;
};
Parsed parse_options(int argc, char** argv);

const char* name_of(Api api);

}  // namespace demo
