#include "kernels/cpu/codegen/registers.h"

#include <algorithm>

namespace linnet::cpu::codegen {

RegisterFile::RegisterFile(std::vector<int> registers, size_t values,
                           std::function<void(int, int)> spill)
    : registers_(std::move(registers)),
      holds_(registers_.size(), -1),
      where_(values, -1),
      is_spilled_(values, false),
      spill_(std::move(spill)) {}

int RegisterFile::take(int value, std::span<const int> kept,
                       const std::function<int(int)>& next_use) {
  auto best = static_cast<size_t>(std::find(holds_.begin(), holds_.end(), -1) - holds_.begin());
  const bool has_free = best < registers_.size();
  int latest = -1;
  for (size_t i = 0; !has_free && i < registers_.size(); ++i) {
    const int held = holds_[i];
    if (std::find(kept.begin(), kept.end(), held) != kept.end()) continue;
    if (const int use = next_use(held); use > latest) {
      latest = use;
      best = i;
    }
  }
  const int evicted = holds_[best];
  if (evicted >= 0) {
    if (!is_spilled(evicted)) spill_(registers_[best], evicted);
    is_spilled_[static_cast<size_t>(evicted)] = true;
    where_[static_cast<size_t>(evicted)] = -1;
  }
  holds_[best] = value;
  where_[static_cast<size_t>(value)] = registers_[best];
  return registers_[best];
}

void RegisterFile::release(int value) {
  int& where = where_[static_cast<size_t>(value)];
  if (where < 0) return;
  holds_[static_cast<size_t>(std::find(registers_.begin(), registers_.end(), where) -
                             registers_.begin())] = -1;
  where = -1;
}

void RegisterFile::replace(int old_value, int value) {
  const int reg = of(old_value);
  release(old_value);
  const auto at = std::find(registers_.begin(), registers_.end(), reg) - registers_.begin();
  holds_[static_cast<size_t>(at)] = value;
  where_[static_cast<size_t>(value)] = reg;
}

}  // namespace linnet::cpu::codegen
