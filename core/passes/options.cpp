#include "core/passes/options.h"

#include <cstdlib>

#include "linnet/detail/format.h"

namespace linnet {
namespace {

thread_local const CompileOptions* innermost = nullptr;

bool* find_option(CompileOptions& options, std::string_view name) {
  if (name == "simplify") return &options.simplify;
  if (name == "loop_motion") return &options.loop_motion;
  if (name == "epilogues") return &options.epilogues;
  if (name == "fusion") return &options.fusion;
  if (name == "memory_plan") return &options.memory_plan;
  if (name == "verify") return &options.verify;
  return nullptr;
}

CompileOptions defaults() {
  CompileOptions options;
#ifdef LINNET_EXPENSIVE_CHECKS
  options.verify = true;
#endif
  return options;
}

}  // namespace

CompileOptions parse_compile_options(std::string_view text) {
  CompileOptions options = defaults();
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    if (item.empty()) continue;
    bool* option = item.size() > 1 ? find_option(options, item.substr(1)) : nullptr;
    if (!option || (item[0] != '-' && item[0] != '+')) {
      fail<ValueError>(
          "compile options: `{}` is not understood\n"
          "  hint: + or - followed by simplify, epilogues, fusion, memory_plan or verify, "
          "separated by commas",
          item);
    }
    *option = item[0] == '+';
  }
  return options;
}

const CompileOptions& compile_options() {
  if (innermost) return *innermost;
  static const CompileOptions options = [] {
    const char* text = std::getenv("LINNET_COMPILE");
    return parse_compile_options(text ? text : "");
  }();
  return options;
}

ScopedCompileOptions::ScopedCompileOptions(const CompileOptions& options)
    : options_(options), previous_(innermost) {
  innermost = &options_;
}
ScopedCompileOptions::~ScopedCompileOptions() { innermost = previous_; }

}  // namespace linnet
