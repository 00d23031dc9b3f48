#include "linnet/build_report.h"

#include <fmt/format.h>
#include <hwy/highway.h>
#include <oneapi/dnnl/dnnl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "linnet/instruction_set.h"
#include "linnet/machine_code.h"
#include "linnet/parallel.h"

namespace linnet {
namespace {

std::string compiler() {
#if defined(__clang__)
  return fmt::format("Clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("GCC {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

/// What makes this build slower than others.
std::string slow_parts() {
  std::string parts;
#if defined(__SANITIZE_ADDRESS__)
  parts += ", address sanitizer";
#endif
#if defined(__SANITIZE_THREAD__)
  parts += ", thread sanitizer";
#endif
#if !defined(__OPTIMIZE__)
  parts += ", not optimised";
#endif
#if defined(LINNET_EXPENSIVE_CHECKS)
  parts += ", expensive checks";
#endif
  return parts;
}

/// Versions that run, where a library says so; of the others, whose headers are compiled in, those
/// of the headers.
std::string versions() {
  const dnnl_version_t& dnnl = *dnnl_version();
  return fmt::format("linnet {}: {}{}, oneDNN {}.{}.{}, Highway {}.{}.{}, fmt {}.{}.{}\n",
                     version(), compiler(), slow_parts(), dnnl.major, dnnl.minor, dnnl.patch,
                     HWY_MAJOR, HWY_MINOR, HWY_PATCH, FMT_VERSION / 10000, FMT_VERSION / 100 % 100,
                     FMT_VERSION % 100);
}

std::string threads() {
  const long all = sysconf(_SC_NPROCESSORS_ONLN);
  cpu_set_t allowed;
  const bool known = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
  const long usable = known ? CPU_COUNT(&allowed) : all;
  std::string text = fmt::format("threads: {} on {} processors", num_threads(), usable);
  if (usable < all) text += fmt::format(" of {}, which this process may use", all);
  if (const char* asked = std::getenv("OMP_NUM_THREADS"))
    text += fmt::format(", OMP_NUM_THREADS={}", asked);
  return text + "\n";
}

std::string instructions() {
  std::string text = fmt::format("instruction set: {}", name_of(instruction_set()));
  if (const char* asked = std::getenv("LINNET_INSTRUCTION_SET"); asked && *asked)
    return text + ", as LINNET_INSTRUCTION_SET asks\n";
  return text + ", the widest of this processor that kernels are compiled for\n";
}

std::string switches() {
  std::vector<std::string_view> found;
  for (char** variable = environ; variable && *variable; ++variable) {
    const std::string_view text(*variable);
    if (text.starts_with("LINNET_")) found.push_back(text);
  }
  std::sort(found.begin(), found.end());
  return found.empty() ? "switches in the environment: none\n"
                       : fmt::format("switches in the environment: {}\n", fmt::join(found, ", "));
}

}  // namespace

std::string version() { return LINNET_VERSION; }

std::string build_report() {
  return versions() + threads() + instructions() +
         fmt::format("machine code for fused clusters: {}\n", machine_code_report()) + switches();
}

}  // namespace linnet
