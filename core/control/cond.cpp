// cond: branches, of which one runs, and their derivative and batching rules.
#include "core/control/loops.h"
#include "core/ops/creation.h"
#include "core/ops/elementwise.h"
#include "core/ops/shape_ops.h"
#include "core/tensor/host_access.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/operands.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {
namespace {

TypeList cond_types(ParamsRef params, Inputs) {
  return result_types(params.as<CondParams>().branches.at(0)->graph());
}

/// Outside all transformations the number of the branch is known.
TensorList run_cond(ParamsRef params, Inputs inputs) {
  const CondParams& p = params.as<CondParams>();
  const int32_t branch = inputs[0].item<int32_t>();
  return p.branches.at(static_cast<size_t>(branch))->run(inputs.subspan(1));
}

TensorList cond(std::vector<ProgramPtr> branches, const Tensor& index, Inputs operands) {
  return emit(cond_primitive(), joined<Tensor>({{&index, 1}, operands}),
              CondParams{std::move(branches)});
}

/// Marks that are set for any branch.
template <class ResultsOf>
Flags united(const CondParams& p, const ResultsOf& results_of) {
  Flags out(p.branches[0]->graph().outputs.size(), 0);
  for (const ProgramPtr& branch : p.branches) {
    const Flags results = results_of(*branch);
    for (size_t k = 0; k < out.size(); ++k) out[k] |= results[k];
  }
  return out;
}

TensorList cond_jvp(JvpTrace& trace, const Params& params, Inputs inputs) {
  const CondParams& p = params.as<CondParams>();
  const ForwardOperands operands(trace, inputs.subspan(1));
  const Flags marked = united(
      p, [&](const Program& branch) { return active_results(branch.graph(), operands.active); });
  std::vector<ProgramPtr> branches;
  for (const ProgramPtr& branch : p.branches) {
    const Program::Jvp jvp = branch->jvp(operands.active, marked);
    branches.push_back(jvp.program);
  }
  TraceScope scope(trace.parent());
  TensorList results = cond(std::move(branches), trace.primal(inputs[0]), operands.joined());
  const TensorList tangents(results.begin() + static_cast<int64_t>(marked.size()), results.end());
  results.resize(marked.size());
  return lift_results(trace, std::move(results), tangents, marked);
}

/// Reverse mode: every branch hands its residuals on in slots that the branches share.
class ReverseCond {
 public:
  ReverseCond(const CondParams& p, const Flags& active) {
    for (const ProgramPtr& branch : p.branches) vjps_.push_back(branch->vjp(active));
    results_ = p.branches[0]->graph().outputs.size();
    for (const Program::Vjp& vjp : vjps_) assign_slots(vjp);
    for (size_t b = 0; b < vjps_.size(); ++b) {
      forward_.push_back(forward_branch(b));
      backward_.push_back(backward_branch(b));
    }
  }

  const std::vector<ProgramPtr>& forward() const { return forward_; }
  const std::vector<ProgramPtr>& backward() const { return backward_; }
  size_t results() const { return results_; }

 private:
  /// A residual is an operand of the branches, or lies in a slot.
  struct Residual {
    bool operand;
    size_t index;
  };

  void assign_slots(const Program::Vjp& vjp) {
    const Graph& graph = vjp.forward->graph();
    std::vector<Residual>& residuals = residuals_.emplace_back();
    std::vector<uint8_t> taken(slots_.size(), 0);
    for (size_t r = results_; r < graph.outputs.size(); ++r) {
      const ValueId id = graph.outputs[r];
      const auto input = std::find(graph.inputs.begin(), graph.inputs.end(), id);
      if (input != graph.inputs.end()) {
        residuals.push_back({true, static_cast<size_t>(input - graph.inputs.begin())});
        continue;
      }
      const TensorType& type = graph.types[id];
      size_t slot = 0;
      while (slot < slots_.size() &&
             (taken[slot] || slots_[slot].dtype != type.dtype || slots_[slot].shape != type.shape))
        ++slot;
      if (slot == slots_.size()) {
        slots_.push_back(type);
        taken.push_back(0);
      }
      taken[slot] = 1;
      residuals.push_back({false, slot});
    }
  }

  /// Operands to results and slots.
  ProgramPtr forward_branch(size_t b) const {
    const Graph& graph = vjps_[b].forward->graph();
    return record_program(input_types(graph), [&](const TensorList& inputs) {
      TensorList all = run_graph(graph, inputs), out(all.begin(), all.begin() + results_);
      out.resize(results_ + slots_.size());
      for (size_t r = 0; r < residuals_[b].size(); ++r) {
        if (!residuals_[b][r].operand) out[results_ + residuals_[b][r].index] = all[results_ + r];
      }
      // Under a batched predicate every backward branch runs for every element. What the branch of
      // an element has not filled may be a divisor or the operand of a logarithm there, and
      // derivatives of higher order multiply the result by 0: a one keeps it finite where a zero
      // would not.
      for (size_t s = 0; s < slots_.size(); ++s) {
        Tensor& slot = out[results_ + s];
        if (slot.defined()) continue;
        slot = defined_or_zeros(slot, slots_[s]);
        if (is_inexact(slots_[s].dtype)) slot = ones_like(slot);
      }
      return out;
    });
  }

  /// Operands, slots and the cotangents of floating results to those of active operands.
  ProgramPtr backward_branch(size_t b) const {
    const Graph& forward = vjps_[b].forward->graph();
    const Graph& backward = vjps_[b].backward->graph();
    const TypeList operands = input_types(forward);
    TypeList cotangents;
    for (size_t i = residuals_[b].size(); i < backward.inputs.size(); ++i)
      cotangents.push_back(backward.types[backward.inputs[i]]);
    return record_program(
        joined<TensorType>({operands, slots_, cotangents}), [&](const TensorList& inputs) {
          Reader reader(inputs);
          const Inputs own = reader.take(operands.size()), slots = reader.take(slots_.size());
          TensorList all;
          for (const Residual& residual : residuals_[b])
            all.push_back((residual.operand ? own : slots)[residual.index]);
          return run_graph(backward, joined<Tensor>({all, reader.rest()}));
        });
  }

  std::vector<Program::Vjp> vjps_;
  size_t results_ = 0;
  TypeList slots_;
  std::vector<std::vector<Residual>> residuals_;
  std::vector<ProgramPtr> forward_, backward_;
};

TensorList cond_vjp(VjpTrace& trace, const Params& params, Inputs inputs) {
  const CondParams& p = params.as<CondParams>();
  const Flags active = active_operands(trace, inputs.subspan(1));
  const TensorList primals = trace.primals(inputs);
  std::string key = fmt::format("cond vjp {}", text_of(active));
  for (const ProgramPtr& branch : p.branches) key = fmt::format("{} {}", key, branch->serial());
  const auto reverse = p.branches[0]->derived<ReverseCond>(
      key, [&] { return std::make_shared<const ReverseCond>(p, active); });
  TensorList results;
  {
    TraceScope scope(trace.parent());
    results = cond(reverse->forward(), primals[0], Inputs(primals).subspan(1));
  }
  const TensorList slots(results.begin() + static_cast<int64_t>(reverse->results()), results.end());
  results.resize(reverse->results());
  Flags all_active = active;
  all_active.insert(all_active.begin(), 0);
  return trace.record(inputs, results,
                      [reverse, primals, slots, types = types_of(results), all_active](Inputs cts) {
                        const TensorList operands = joined<Tensor>(
                            {Inputs(primals).subspan(1), slots, floating_cotangents(cts, types)});
                        return spread(cond(reverse->backward(), primals[0], operands), all_active);
                      });
}

/// All branches run, and every element takes what its branch gave.
TensorList select_of_all(BatchTrace& trace, const CondParams& p, const BatchedOperands& operands) {
  const Flags batched(operands.batched.begin() + 1, operands.batched.end());
  const Tensor& index = operands.values[0];
  TraceScope scope(trace.parent());
  TensorList out;
  for (size_t b = 0; b < p.branches.size(); ++b) {
    const Program::Batched batch = batched_body(*p.branches[b], batched, trace);
    TensorList results = call(batch.program, Inputs(operands.values).subspan(1));
    const Tensor mine = index == static_cast<int32_t>(b);
    for (size_t k = 0; k < results.size(); ++k) {
      if (!batch.results[k]) results[k] = repeated(beside(results[k], mine), trace.size());
      if (b == 0)
        out.push_back(results[k]);
      else
        out[k] = chosen_elements(mine, results[k], out[k]);
    }
  }
  return lift_results(trace, out, Flags(out.size(), 1));
}

TensorList cond_batch(BatchTrace& trace, const Params& params, Inputs inputs) {
  const CondParams& p = params.as<CondParams>();
  const BatchedOperands operands(trace, inputs);
  if (operands.batched[0]) {
    for (const ProgramPtr& branch : p.branches) refuse_input_output("cond", branch->graph());
    return select_of_all(trace, p, operands);
  }
  const Flags batched(operands.batched.begin() + 1, operands.batched.end());
  const Flags marked = united(
      p, [&](const Program& branch) { return batched_body(branch, batched, trace).results; });
  std::vector<ProgramPtr> branches;
  for (const ProgramPtr& branch : p.branches)
    branches.push_back(
        batched_results(batched_body(*branch, batched, trace), marked, trace.size()));
  TraceScope scope(trace.parent());
  return lift_results(
      trace, cond(std::move(branches), operands.values[0], Inputs(operands.values).subspan(1)),
      marked);
}

}  // namespace

const Primitive& cond_primitive() {
  static const Primitive& p = with_subgraphs(
      define(Control{.name = "cond",
                     .infer = cond_types,
                     .decompose = run_cond,
                     .rules = {.jvp = cond_jvp, .vjp = cond_vjp, .batch = cond_batch}}),
      [](ParamsRef params) {
        std::vector<const Graph*> graphs;
        for (const ProgramPtr& branch : params.as<CondParams>().branches)
          graphs.push_back(&branch->graph());
        return graphs;
      });
  return p;
}

}  // namespace linnet
