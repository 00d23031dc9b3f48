#include "core/exec/executable.h"

#include <atomic>
#include <mutex>
#include <vector>

#include "core/base/watch.h"
#include "core/exec/by_operation.h"
#include "core/exec/cost.h"
#include "core/exec/plan.h"
#include "core/ops/callback.h"
#include "core/passes/options.h"
#include "core/passes/passes.h"
#include "core/profile/events.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/debug.h"
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
  CompiledGraph(const Graph& graph, size_t memory_limit)
      : CompiledGraph(graph, order_effects(graph), has_effects(graph), memory_limit) {}

  using Executable::run;
  void run(TensorList& inputs, std::span<const uint8_t> donated, const Ready& ready,
           TensorList& results, size_t known) const override {
    check(inputs, known);
    if (watched() && debug::nan_checks()) [[unlikely]] {
      results = run_by_operation(recorded_, inputs);
      if (ready) ready(results);
      return;
    }
    current_plan().run(inputs, donated, ready, results);
    if (has_token_) results.pop_back();
  }
  const Graph& graph() const override { return graph_; }
  size_t arena_bytes() const override { return current_plan().arena_bytes(); }
  ProgramCost cost() const override { return cost_of(current_plan().code()); }

 private:
  CompiledGraph(const Graph& recorded, const Graph& ordered, bool has_token, size_t memory_limit)
      : recorded_(recorded),
        options_(compile_options()),
        memory_limit_(memory_limit),
        output_types_(types_of_outputs(ordered)),
        graph_(optimized(ordered, options_)),
        has_token_(has_token) {
    if (log_enabled("graph")) log_line("graph", to_string(graph_));
    keep_plan();
  }

  static Graph optimized(const Graph& graph, const CompileOptions& options) {
    const profile::Event event("compile", "optimize");
    return optimize(graph, options);
  }

  void keep_plan() const {
    const profile::Event event("compile", "prepare");
    const TraceScope isolated(nullptr);
    plans_.push_back(
        std::make_unique<const Plan>(graph_, output_types_, options_.memory_plan, memory_limit_));
    plan_.store(plans_.back().get(), std::memory_order_release);
  }

  /// If the back end has changed its mind, say, about threads, kernels are prepared again.
  const Plan& current_plan() const {
    const Plan* plan = plan_.load(std::memory_order_acquire);
    return plan->current() ? *plan : other_plan();
  }

  const Plan& other_plan() const {
    std::lock_guard lock(mutex_);
    for (const std::unique_ptr<const Plan>& plan : plans_) {
      if (!plan->current()) continue;
      plan_.store(plan.get(), std::memory_order_release);
      return *plan;
    }
    keep_plan();
    return *plans_.back();
  }

  void check(const TensorList& inputs, size_t known) const {
    bool fits = inputs.size() == graph_.inputs.size();
    for (size_t i = 0; fits && i < inputs.size(); ++i) {
      const TensorImpl& given = *inputs[i].impl();
      if (!given.concrete()) require_concrete(inputs[i], "jit");
      if (i < known) continue;
      const TensorType& wanted = graph_.types[graph_.inputs[i]];
      fits = given.dtype == wanted.dtype && given.shape == wanted.shape &&
             given.device == wanted.device;
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

  const Graph& recorded_;
  CompileOptions options_;
  size_t memory_limit_;
  TypeList output_types_;
  Graph graph_;
  bool has_token_;  ///< the last result is of the program alone
  mutable std::mutex mutex_;
  /// One for each configuration of the back end there was: each may be running.
  mutable std::vector<std::unique_ptr<const Plan>> plans_;
  mutable std::atomic<const Plan*> plan_{nullptr};
};

}  // namespace

std::shared_ptr<const Executable> compile(const Graph& graph, size_t memory_limit) {
  return std::make_shared<CompiledGraph>(graph, memory_limit);
}

}  // namespace linnet
