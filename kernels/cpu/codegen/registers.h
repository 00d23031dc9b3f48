// Private: which value is in which register while code is emitted from first to last instruction.
//
// Values are numbers below a count fixed at the start. What is needed latest is moved to a slot of
// the stack when registers run out; as no value ever changes, it is written there once.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace linnet::cpu::codegen {

class RegisterFile {
 public:
  /// @param registers that may be used.
  /// @param spill emits the store of a register to the slot of a value.
  RegisterFile(std::vector<int> registers, size_t values,
               std::function<void(int reg, int value)> spill);

  /// The register of a value, -1 if it is in none.
  int of(int value) const { return where_[static_cast<size_t>(value)]; }
  bool is_spilled(int value) const { return is_spilled_[static_cast<size_t>(value)]; }
  /// A register for a new value. Those of `kept` stay where they are.
  /// @param next_use when each value is read next.
  int take(int value, std::span<const int> kept, const std::function<int(int value)>& next_use);
  void release(int value);
  /// The new value is where the old one was.
  void replace(int old_value, int value);

 private:
  std::vector<int> registers_;
  std::vector<int> holds_;  ///< value in each of them, -1 if none
  std::vector<int> where_;
  std::vector<bool> is_spilled_;
  std::function<void(int, int)> spill_;
};

}  // namespace linnet::cpu::codegen
