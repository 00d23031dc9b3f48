// A tile program on a few elements of known layouts, as the bodies of loops have them: everything
// but the addresses of operands is decided once.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/cpu/elementwise/strided.h"
#include "kernels/cpu/interpreter/tile_program.h"

namespace linnet::cpu {

class SmallTileProgram {
 public:
  /// Nothing unless every operand is dense or one repeated element, all registers fit into a small
  /// buffer, and no type is kept in another format.
  /// @param space of operands, then of destinations.
  static std::optional<SmallTileProgram> make(const CompiledTileProgram& program,
                                              const StridedSpace& space);

  /// Destinations may be operands' memory exactly.
  void run(const void* const* in, void* const* out) const;

 private:
  /// Where the value of a register is: at an operand, among the numbers, or in the buffer.
  struct Value {
    enum class Kind : uint8_t { kOperand, kNumber, kBuffer } kind;
    bool repeat;
    uint32_t at;  ///< operand, or bytes
  };
  struct Step {
    ElementwiseLoop kernel;
    Value src[3];
    uint32_t dst;  ///< bytes in the buffer
    uint8_t arity;
    double params[1];
  };
  struct Result {
    Value from;
    ElementwiseLoop copy;
    uint32_t bytes;  ///< 0: one element, repeated by `copy`
  };

  static constexpr size_t kBuffer = 8192;

  const char* address(const Value& value, const void* const* in, const char* buffer) const {
    switch (value.kind) {
      case Value::Kind::kOperand:
        return static_cast<const char*>(in[value.at]);
      case Value::Kind::kNumber:
        return numbers_.data() + value.at;
      case Value::Kind::kBuffer:
        break;
    }
    return buffer + value.at;
  }

  int64_t count_ = 0;
  std::vector<Step> steps_;
  std::vector<Result> results_;
  std::vector<char> numbers_;
};

}  // namespace linnet::cpu
