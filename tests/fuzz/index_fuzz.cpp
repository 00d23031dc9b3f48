#include "entry_points.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  linnet::fuzz::run_index(std::as_bytes(std::span(data, size)));
  return 0;
}
