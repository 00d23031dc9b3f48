#include "linnet/precision.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

#include "linnet/detail/format.h"
#include "linnet/detail/log.h"

namespace linnet {
namespace {

Precision from_environment() {
  const char* text = std::getenv("LINNET_MATMUL_PRECISION");
  const std::string_view name = text ? text : "";
  if (name == "highest") return Precision::kHighest;
  if (name == "high") return Precision::kHigh;
  if (!name.empty() && name != "default") {
    log_warning(fmt::format(
        "LINNET_MATMUL_PRECISION is '{}': expected default, high or highest; default is used",
        name));
  }
  return Precision::kDefault;
}

std::atomic<Precision>& precision() {
  static std::atomic<Precision> precision = from_environment();
  return precision;
}

}  // namespace

Precision matmul_precision() { return precision().load(std::memory_order_relaxed); }
void set_matmul_precision(Precision value) { precision().store(value, std::memory_order_relaxed); }

}  // namespace linnet
