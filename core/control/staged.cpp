#include "core/control/staged.h"

#include "core/base/format.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/state.h"

namespace linnet {
namespace {

class StagedScope final : public state::Scope {
 public:
  explicit StagedScope(const char* construct) : construct_(construct) {}

 protected:
  state::Value lower(const Entry& entry) override {
    fail<TraceError>(
        "{}: {} was written inside\n  hint: return the new value and write the variable outside",
        construct_, entry.cell->label.empty() ? "a variable" : "variable " + entry.cell->label);
  }

 private:
  const char* construct_;
};

}  // namespace

Staged stage_function(const char* construct, const TensorList& inputs,
                      const std::function<TensorList(const TensorList&)>& f) {
  require_defined(inputs, construct, "a leaf of the arguments");
  TypeList types;
  for (const Tensor& input : inputs) types.push_back(input.type());
  StagedScope scope(construct);
  TracedFunction traced = trace_to_graph(
      [&](Inputs tracers) {
        TensorList outputs = f(TensorList(tracers.begin(), tracers.end()));
        require_defined(outputs, construct, "a result");
        return outputs;
      },
      types);
  scope.commit();
  Staged out;
  out.operands = inputs;
  out.operands.insert(out.operands.end(), traced.captured.begin(), traced.captured.end());
  out.program = std::make_shared<Program>(std::move(traced.graph));
  return out;
}

}  // namespace linnet
