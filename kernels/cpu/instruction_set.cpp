#include "linnet/instruction_set.h"

#include <cstdlib>
#include <mutex>
#include <optional>
#include <string>

#include "hwy/targets.h"
#include "kernels/cpu/onednn/onednn.h"
#include "linnet/error.h"

namespace linnet {
namespace {

constexpr InstructionSet kSets[] = {InstructionSet::kBaseline, InstructionSet::kAvx2,
                                    InstructionSet::kAvx512};

/// Targets of Highway that are wider than a set.
int64_t wider_than(InstructionSet set) {
#if HWY_ARCH_X86
  // The bit of a better target is lower; those of x86 are the lowest of the mask.
  const int64_t widest = set == InstructionSet::kBaseline ? HWY_STATIC_TARGET
                         : set == InstructionSet::kAvx2   ? HWY_AVX2
                                                          : HWY_AVX3_DL;
  return widest - 1;
#else
  (void)set;
  return 0;
#endif
}

bool kernels_have_run() { return hwy::GetChosenTarget().IsInitialized(); }

/// The widest set of this processor that is not disabled. Asking does not count as a kernel. The
/// processor answers slowly, above all to a virtual machine.
InstructionSet find_widest() {
#if HWY_ARCH_X86
  const bool chosen = kernels_have_run();
  const int64_t targets = hwy::SupportedTargets();
  if (!chosen) hwy::GetChosenTarget().DeInit();
  if (targets & (HWY_AVX3 | HWY_AVX3_DL)) return InstructionSet::kAvx512;
  if (targets & HWY_AVX2) return InstructionSet::kAvx2;
#endif
  return InstructionSet::kBaseline;
}

/// What was asked for, at first by the environment.
struct Setting {
  std::mutex mutex;
  bool environment_read = false;
  std::optional<InstructionSet> asked;
  std::optional<InstructionSet> widest;  ///< once found
};
Setting& setting() {
  static Setting* one = new Setting;  // never destroyed: exit handlers may compute
  return *one;
}

InstructionSet widest(Setting& s) {
  if (!s.widest) s.widest = find_widest();
  return *s.widest;
}

void use(Setting& s, InstructionSet set) {
  const InstructionSet now = widest(s);
  const std::string wanted(name_of(set)), have(name_of(now));
  if (s.asked == set) return;
  if (s.asked)
    throw ValueError("set_instruction_set: " + have + " was set before, so " + wanted +
                     " comes too late\n  hint: it can be set once");
  if (set > now)
    throw ValueError("set_instruction_set: " + wanted +
                     " is asked for, but the widest set of this "
                     "processor is " +
                     have);
  if (kernels_have_run() || !cpu::onednn::limit_instruction_set(set))
    throw ValueError("set_instruction_set: kernels have already run with " + have + ", so " +
                     wanted +
                     " comes too late\n  hint: call it before the first operation, or set "
                     "LINNET_INSTRUCTION_SET in the environment");
  hwy::DisableTargets(wider_than(set));
  s.widest.reset();
  s.asked = set;
}

/// Once, unless it fails: then every use says so again.
void read_environment(Setting& s) {
  if (s.environment_read) return;
  const char* value = std::getenv("LINNET_INSTRUCTION_SET");
  if (value && *value && !s.asked) {
    const InstructionSet* found = nullptr;
    for (const InstructionSet& set : kSets) {
      if (name_of(set) == value) found = &set;
    }
    if (!found)
      throw ValueError("LINNET_INSTRUCTION_SET: expected baseline, avx2 or avx512, got '" +
                       std::string(value) + "'");
    use(s, *found);
  }
  s.environment_read = true;
}

}  // namespace

std::string_view name_of(InstructionSet set) {
  switch (set) {
    case InstructionSet::kBaseline:
      return "baseline";
    case InstructionSet::kAvx2:
      return "avx2";
    case InstructionSet::kAvx512:
      return "avx512";
  }
  return "unknown";
}

void set_instruction_set(InstructionSet set) {
  Setting& s = setting();
  std::lock_guard lock(s.mutex);
  use(s, set);
}

InstructionSet instruction_set() {
  Setting& s = setting();
  std::lock_guard lock(s.mutex);
  read_environment(s);
  return widest(s);
}

}  // namespace linnet
