// Private: a straight-line program on vectors of 32-bit lanes, what machine code is made from.
// Every node is one instruction or so, and is set once; equal nodes are one.
//
//   VectorProgram p;
//   const int x = p.input(DType::kF32, false);
//   p.output(DType::kF32, p.append({.op = VectorOp::kMul, .src = {x, x}}));   // y = x * x
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "linnet/dtype.h"

namespace linnet::cpu::codegen {

enum class VectorOp : uint8_t {
  kInput,     ///< immediate: number of the array
  kConstant,  ///< `bits` in every lane
  // Floats. min and max are those of x86: the second operand if the comparison fails.
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMin,
  kMax,
  kSqrt,
  kRound,    ///< immediate: 0 nearest, 1 down, 2 up, 3 toward zero
  kFma,      ///< a * b + c, rounded once
  kScale,    ///< a * 2^b, AVX-512 only
  kCompare,  ///< immediate: predicate of vcmpps; gives a mask
  // Words
  kAnd,
  kOr,
  kXor,
  kShiftLeft,
  kShiftRight,
  kShiftRightSigned,
  kWordAdd,
  kWordSub,
  kWordMul,
  kWordMin,  ///< immediate: 1 unsigned
  kWordMax,  ///< immediate: 1 unsigned
  kShiftLeftBy,
  kShiftRightBy,
  kShiftRightSignedBy,
  kWordCompare,  ///< immediate: WordPredicate, plus 8 if unsigned; gives a mask
  // Masks
  kMaskAnd,
  kMaskOr,
  kMaskXor,
  kMaskNot,
  kSignMask,  ///< sign bit of each lane
  kSelect,    ///< mask, yes, no
  // Conversions
  kWiden,        ///< f32 to f64, immediate: 0 lower half of the lanes, 1 upper
  kNarrow,       ///< two halves of f64 to f32
  kRoundToHalf,  ///< to the nearest f16, left as f32
  kToInteger,    ///< truncates; the most negative number if it does not fit
  kToUnsigned,   ///< AVX-512 only; all ones if it does not fit
  kFromInteger,
  kFromUnsigned,  ///< AVX-512 only
};

/// Of vpcmpd.
enum class WordPredicate : uint8_t { kEq = 0, kLt = 1, kLe = 2, kNe = 4, kGe = 5, kGt = 6 };

struct VectorNode {
  VectorOp op = VectorOp::kConstant;
  /// Lanes of 64 bits: half as many as there are elements.
  bool wide = false;
  bool is_mask = false;
  uint8_t immediate = 0;
  std::array<int, 3> src = {-1, -1, -1};
  uint64_t bits = 0;
  /// Whether it is the same for all elements of a row. Set by append().
  bool is_invariant = false;
};

class VectorProgram {
 public:
  struct Input {
    DType dtype;
    bool is_repeated;  ///< one element for all
  };
  struct Output {
    DType dtype;
    int node;
  };

  int input(DType dtype, bool is_repeated);
  int constant(uint64_t bits, bool wide = false);
  /// The number of the node, or of an equal one; constants are folded.
  int append(VectorNode node);
  void output(DType dtype, int node) { outputs_.push_back({dtype, node}); }

  const std::vector<VectorNode>& nodes() const { return nodes_; }
  const std::vector<Input>& inputs() const { return inputs_; }
  const std::vector<Output>& outputs() const { return outputs_; }
  const VectorNode& node(int i) const { return nodes_[static_cast<size_t>(i)]; }
  /// Without the nodes that no output needs, in an order in which operands of memory come just
  /// before their first reader.
  VectorProgram pruned() const;
  /// The whole program as bytes: equal programs have equal text.
  std::string text() const;

 private:
  int folded(const VectorNode& node);
  /// The place in `numbers_` of the node equal to this one, or of none yet.
  size_t place_of(const VectorNode& node) const;
  void grow();

  std::vector<VectorNode> nodes_;
  std::vector<Input> inputs_;
  std::vector<Output> outputs_;
  /// Nodes that append() made, by their content: a table with gaps, -1 for none.
  std::vector<int> numbers_;
  size_t numbered_ = 0;
};

}  // namespace linnet::cpu::codegen
