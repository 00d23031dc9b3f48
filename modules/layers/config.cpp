#include "linnet/layers/config.h"

#include <atomic>

namespace linnet::layers {

uint64_t unique_number() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace linnet::layers
