#include "core/control/staged.h"

#include "core/base/format.h"
#include "linnet/state.h"

namespace linnet {
namespace {

class StagedScope final : public state::Scope {
 public:
  explicit StagedScope(const char* construct) : construct_(construct) {}

 protected:
  state::Value lower(const Entry& entry) override {
    fail<TraceError>("{}: {} was written inside\n  hint: return the new value and write the variable outside",
                     construct_, entry.cell->label.empty() ? "a variable" : "variable " + entry.cell->label);
  }

 private:
  const char* construct_;
};

}  // namespace

Staged stage_function(const char* construct, const TensorList& inputs,
                      const std::function<TensorList(const TensorList&)>& f) {
  TypeList types;
  for (const Tensor& input : inputs) types.push_back(input.type());
  StagedScope scope(construct);
  TracedFunction traced =
      trace_to_graph([&](Inputs tracers) { return f(TensorList(tracers.begin(), tracers.end())); }, types);
  scope.commit();
  Staged out;
  out.operands = inputs;
  out.operands.insert(out.operands.end(), traced.captured.begin(), traced.captured.end());
  out.program = std::make_shared<Program>(std::move(traced.graph));
  return out;
}

}  // namespace linnet
