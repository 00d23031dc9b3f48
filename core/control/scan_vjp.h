// Private: reverse mode through a scan. The way there is the scan that also stacks what the
// derivative of its body reads; the way back is a scan in the other direction.
#pragma once

#include "core/control/loops.h"

namespace linnet {

class ReverseScan {
 public:
  /// @param active which operands are differentiated; settled, so that a carry that becomes active
  /// on the way is marked.
  ReverseScan(const ScanParams& params, Flags active);

  /// What the way back reads, one tensor for each residual of the body.
  using Saved = TensorList;
  /// The results of the scan.
  TensorList forward(const TensorList& operands, Saved& saved) const;
  /// Cotangents of the operands from those of the results, where undefined means zero.
  TensorList backward(const Saved& saved, Inputs cotangents) const;

 private:
  /// Where a residual comes from. Only what changes from step to step and is not at hand anyway is
  /// stacked.
  struct Residual {
    enum class Kind : uint8_t {
      kConstant,  ///< operand `index`, the same in every step
      kComputed,  ///< result `index` of `invariant_`, likewise
      kSequence,  ///< operand `index`, an element of which each step reads
      kStacked    ///< result `index` of the scan
    };
    Kind kind;
    size_t index;
    bool varies() const { return kind == Kind::kSequence || kind == Kind::kStacked; }
  };

  void classify_residuals(const Graph& graph);
  ProgramPtr backward_body(const Flags& given) const;
  TensorList backward_step(Inputs operands, const Flags& given) const;
  TensorList constants_of(const Saved& saved) const;

  // This is kept with the body, so it must not hold it.
  int64_t length_;
  size_t constants_, carries_;
  bool reverse_;
  int64_t unroll_;
  TypeList inputs_of_body_, results_of_body_;
  Flags active_;
  size_t results_;  ///< of the body
  Program::Vjp vjp_;
  std::vector<Residual> residuals_;
  ScanParams forward_;
  ProgramPtr invariant_;  ///< constants to the residuals that follow from them; null without any
};

}  // namespace linnet
