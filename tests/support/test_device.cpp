// LINNET_TEST_DEVICE=cuda:0 runs the tests of a program on another device: what they make is made
// there, and what is computed from it stays there.
#include <cstdlib>
#include <optional>
#include <string>

#include "linnet/device.h"

namespace linnet::testing {
namespace {

std::optional<Device> chosen_device() {
  const char* name = std::getenv("LINNET_TEST_DEVICE");
  if (!name) return {};
  for (const DeviceType type : {DeviceType::kCpu, DeviceType::kCuda}) {
    for (const uint8_t index : {uint8_t{0}, uint8_t{1}}) {
      if (to_string(Device{type, index}) == name) return Device{type, index};
    }
  }
  std::abort();
}

/// Made and unmade in the main thread.
class ChosenDevice {
 public:
  ChosenDevice() {
    if (const std::optional<Device> device = chosen_device()) scope_.emplace(*device);
  }

 private:
  std::optional<ScopedDevice> scope_;
};
const ChosenDevice chosen;

}  // namespace
}  // namespace linnet::testing
