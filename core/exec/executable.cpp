#include "core/exec/executable.h"

#include <mutex>

#include "core/exec/plan.h"
#include "core/passes/options.h"
#include "core/passes/passes.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/detail/format.h"
#include "linnet/detail/log.h"

namespace linnet {
namespace {

TypeList types_of_outputs(const Graph& graph) {
  TypeList types;
  for (ValueId id : graph.outputs) types.push_back(graph.types[id]);
  return types;
}

class CompiledGraph final : public Executable {
 public:
  explicit CompiledGraph(const Graph& graph)
      : options_(compile_options()),
        output_types_(types_of_outputs(graph)),
        graph_(optimize(graph, options_)) {
    if (log_enabled("graph")) log_line("graph", to_string(graph_));
    plan_ = make_plan();
  }

  TensorList run(TensorList& inputs, std::span<const uint8_t> donated,
                 const Ready& ready) const override {
    check(inputs);
    return current_plan()->run(inputs, donated, ready);
  }
  const Graph& graph() const override { return graph_; }
  size_t arena_bytes() const override { return current_plan()->arena_bytes(); }

 private:
  std::shared_ptr<const Plan> make_plan() const {
    const TraceScope isolated(nullptr);
    return std::make_shared<const Plan>(graph_, output_types_, options_.memory_plan);
  }

  /// If the back end has changed its mind, say, about threads, kernels are prepared again.
  std::shared_ptr<const Plan> current_plan() const {
    std::lock_guard lock(mutex_);
    if (!plan_->current()) plan_ = make_plan();
    return plan_;
  }

  void check(const TensorList& inputs) const {
    bool fits = inputs.size() == graph_.inputs.size();
    for (size_t i = 0; fits && i < inputs.size(); ++i) {
      const TensorType& wanted = graph_.types[graph_.inputs[i]];
      fits = inputs[i].dtype() == wanted.dtype && inputs[i].shape() == wanted.shape &&
             inputs[i].device() == wanted.device;
      if (!inputs[i].impl()->concrete()) require_concrete(inputs[i], "jit");
    }
    if (fits) return;
    std::string given, wanted;
    const auto append = [](std::string& list, const TensorType& type) {
      list = fmt::format("{}{}{}", list, list.empty() ? "" : ", ", to_string(type));
      if (!type.device.host()) list = fmt::format("{} on {}", list, to_string(type.device));
    };
    for (const Tensor& x : inputs) append(given, x.type());
    for (ValueId id : graph_.inputs) append(wanted, graph_.types[id]);
    fail<ShapeError>("compiled program: expected ({}), got ({})", wanted, given);
  }

  CompileOptions options_;
  TypeList output_types_;
  Graph graph_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Plan> plan_;
};

}  // namespace

std::shared_ptr<const Executable> compile(const Graph& graph) {
  return std::make_shared<CompiledGraph>(graph);
}

}  // namespace linnet
