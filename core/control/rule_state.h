// Private: custom rules and the variables of the function they stand for. A rule is made a function
// of operands and results like the staged function itself, so transformations need not know of
// variables.
#pragma once

#include <memory>
#include <vector>

#include "core/control/stage.h"
#include "linnet/transforms.h"

namespace linnet {

/// How a staged function sees variables, without keeping them alive.
class RuleState {
 public:
  /// @param construct names the transformation in errors.
  RuleState(const char* construct, const Staged& staged);

  size_t arguments() const { return arguments_; }
  size_t operands() const { return operands_; }
  /// Of the function itself.
  size_t results() const { return results_; }

  /// Calls `rule` with `inputs`. Variables that the function reads have the values that `operands`
  /// (of the staged program) give them; `written` gets the new values of those that it writes.
  /// @param name of the rule, for errors.
  /// @throws TraceError if the rule reads or writes a variable that the function does not.
  TensorList run(const char* name, const detail::FlatFunction& rule, const TensorList& inputs,
                 const TensorList& operands, TensorList& written) const;
  /// Calls a rule that may write nothing.
  TensorList run_reading(const char* name, const detail::FlatFunction& rule,
                         const TensorList& inputs) const;

 private:
  class Scope;
  struct Read {
    std::weak_ptr<state::Cell> cell;
    size_t operand, index;
  };
  const char* construct_;
  size_t arguments_, operands_, results_;
  std::vector<Read> read_;
  std::vector<std::weak_ptr<state::Cell>> written_;
};

/// The rule over operands of the staged program: `fwd` gives results, new values of variables,
/// residuals; `bwd` takes residuals and the cotangents of the results.
std::shared_ptr<const detail::CustomVjpRule> rule_over_operands(
    std::shared_ptr<const detail::CustomVjpRule> rule, const Staged& staged);
/// `jvp` takes operands and the tangents of the arguments; it gives results, new values of
/// variables, tangents of the results.
std::shared_ptr<const detail::CustomJvpRule> rule_over_operands(
    std::shared_ptr<const detail::CustomJvpRule> rule, const Staged& staged);

}  // namespace linnet
