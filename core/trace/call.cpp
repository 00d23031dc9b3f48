#include "core/trace/call.h"

#include <atomic>

#include "core/trace/graph_trace.h"
#include "core/trace/operands.h"
#include "linnet/detail/format.h"

namespace linnet {
namespace {

/// Graph transformations record in isolation: whatever is being traced around must not leak in.
class IsolatedScope {
 public:
  IsolatedScope() : scope_(nullptr) {}

 private:
  TraceScope scope_;
};

Program::Jvp jvp_program(const Graph& graph, const std::vector<uint8_t>& active,
                         const std::vector<uint8_t>& always) {
  IsolatedScope isolated;
  GraphTrace stage(GraphTrace::Outside::kEmbed);
  Program::Jvp out;
  TensorList primals, outputs;
  for (const TensorType& type : input_types(graph)) primals.push_back(stage.input(type));
  {
    TraceScope stage_scope(&stage);
    JvpTrace forward;
    TensorList lifted = primals;
    for (size_t i = 0; i < active.size(); ++i) {
      if (active[i]) lifted[i] = forward.lift(primals[i], stage.input(primals[i].type()));
    }
    TensorList results;
    {
      TraceScope forward_scope(&forward);
      results = run_graph(graph, lifted);
    }
    for (const Tensor& result : results) outputs.push_back(forward.primal(result));
    for (size_t k = 0; k < results.size(); ++k) {
      const Tensor tangent = forward.tangent(results[k]);
      out.results.push_back(tangent.defined() || (always[k] && is_inexact(results[k].dtype())));
      if (out.results[k]) outputs.push_back(defined_or_zeros(tangent, results[k].type()));
    }
  }
  out.program = std::make_shared<Program>(stage.finish(outputs));
  return out;
}

Program::Batched batched_program(const Graph& graph, const std::vector<uint8_t>& batched,
                                 const NamedAxis& axis, size_t always) {
  IsolatedScope isolated;
  GraphTrace stage(GraphTrace::Outside::kEmbed);
  Program::Batched out;
  TensorList outputs;
  {
    TraceScope stage_scope(&stage);
    BatchTrace batch(axis);
    TensorList inputs;
    const TypeList types = input_types(graph);
    for (size_t i = 0; i < types.size(); ++i) {
      TensorType type = types[i];
      if (batched[i]) type.shape.insert(0, axis.size);
      const Tensor input = stage.input(type);
      inputs.push_back(batched[i] ? batch.lift(input) : input);
    }
    TensorList results;
    {
      TraceScope batch_scope(&batch);
      results = run_graph(graph, inputs);
    }
    for (size_t k = 0; k < results.size(); ++k) {
      out.results.push_back(k < always || batch.batched(results[k]));
      outputs.push_back(out.results[k] ? batch.materialize(results[k]) : results[k]);
    }
  }
  out.program = std::make_shared<Program>(stage.finish(outputs));
  return out;
}

/// Cuts a recorded forward-and-backward graph in two. Residuals are the forward values that the
/// backward nodes read.
Program::Vjp cut_vjp(const Graph& whole, size_t forward_nodes, size_t forward_inputs,
                     size_t results) {
  std::vector<uint8_t> is_forward(whole.types.size(), 0);
  for (size_t i = 0; i < forward_inputs; ++i) is_forward[whole.inputs[i]] = 1;
  for (size_t n = 0; n < forward_nodes; ++n) {
    for (ValueId id : whole.nodes[n].outputs) is_forward[id] = 1;
  }
  std::vector<ValueId> residuals;
  std::vector<uint8_t> chosen(whole.types.size(), 0);
  const auto want = [&](ValueId id) {
    if (is_forward[id] && !chosen[id]) {
      chosen[id] = 1;
      residuals.push_back(id);
    }
  };
  for (size_t n = forward_nodes; n < whole.nodes.size(); ++n) {
    for (ValueId id : whole.nodes[n].inputs) want(id);
  }
  for (size_t k = results; k < whole.outputs.size(); ++k) want(whole.outputs[k]);

  Graph forward, backward;
  forward.types = backward.types = whole.types;
  forward.constants = backward.constants = whole.constants;
  forward.inputs.assign(whole.inputs.begin(),
                        whole.inputs.begin() + static_cast<int64_t>(forward_inputs));
  forward.nodes.assign(whole.nodes.begin(),
                       whole.nodes.begin() + static_cast<int64_t>(forward_nodes));
  forward.outputs.assign(whole.outputs.begin(),
                         whole.outputs.begin() + static_cast<int64_t>(results));
  forward.outputs.insert(forward.outputs.end(), residuals.begin(), residuals.end());
  backward.inputs = residuals;
  backward.inputs.insert(backward.inputs.end(),
                         whole.inputs.begin() + static_cast<int64_t>(forward_inputs),
                         whole.inputs.end());
  backward.nodes.assign(whole.nodes.begin() + static_cast<int64_t>(forward_nodes),
                        whole.nodes.end());
  backward.outputs.assign(whole.outputs.begin() + static_cast<int64_t>(results),
                          whole.outputs.end());
  return {std::make_shared<Program>(std::move(forward)),
          std::make_shared<Program>(std::move(backward)), residuals.size()};
}

Program::Vjp vjp_programs(const Graph& graph, const std::vector<uint8_t>& active) {
  IsolatedScope isolated;
  GraphTrace stage(GraphTrace::Outside::kEmbed);
  TensorList outputs;
  size_t forward_nodes = 0;
  {
    TensorList primals;
    for (const TensorType& type : input_types(graph)) primals.push_back(stage.input(type));
    TraceScope stage_scope(&stage);
    VjpTrace tape;
    TensorList inputs = primals;
    TensorList wanted;
    for (size_t i = 0; i < active.size(); ++i) {
      if (!active[i]) continue;
      inputs[i] = tape.input(primals[i]);
      wanted.push_back(inputs[i]);
    }
    TensorList results;
    {
      TraceScope tape_scope(&tape);
      results = run_graph(graph, inputs);
    }
    outputs = tape.primals(results);
    forward_nodes = stage.graph().nodes.size();
    TensorList cts;
    for (const Tensor& result : results) {
      cts.push_back(is_inexact(result.dtype()) ? stage.input(result.type()) : Tensor());
    }
    for (Tensor& grad : tape.pullback(results, cts, wanted)) outputs.push_back(std::move(grad));
  }
  const size_t results = graph.outputs.size();
  const Graph whole = stage.finish(outputs);
  return cut_vjp(whole, forward_nodes, graph.inputs.size(), results);
}

std::string key_of(const std::vector<uint8_t>& flags) {
  return std::string(flags.begin(), flags.end());
}

TensorList call_jvp(JvpTrace& trace, const Params& params, Inputs inputs) {
  const ProgramPtr& program = params.as<CallParams>().program;
  const ForwardOperands operands(trace, inputs);
  TraceScope scope(trace.parent());
  return lift_results(trace, call(program->jvp(operands.active), operands.joined()),
                      program->graph().outputs.size());
}

TensorList call_vjp(VjpTrace& trace, const Params& params, Inputs inputs) {
  const ProgramPtr& program = params.as<CallParams>().program;
  const std::vector<uint8_t> active = active_operands(trace, inputs);
  const Program::Vjp programs = program->vjp(active);
  TensorList results;
  {
    TraceScope scope(trace.parent());
    results = call(programs.forward, trace.primals(inputs));
  }
  const size_t count = program->graph().outputs.size();
  TensorList residuals(results.begin() + static_cast<int64_t>(count), results.end());
  results.resize(count);
  return trace.record(
      inputs, results,
      [backward = programs.backward, residuals, types = types_of(results), active](Inputs cts) {
        TensorList operands = residuals;
        for (Tensor& ct : floating_cotangents(cts, types)) operands.push_back(std::move(ct));
        return spread(call(backward, operands), active);
      });
}

TensorList call_batch(BatchTrace& trace, const Params& params, Inputs inputs) {
  const BatchedOperands operands(trace, inputs);
  TraceScope scope(trace.parent());
  const Program::Batched batch =
      params.as<CallParams>().program->batch(operands.batched, trace.axis());
  return lift_results(trace, call(batch.program, operands.values), batch.results);
}

}  // namespace

Program::Program(Graph graph, size_t memory_limit)
    : graph_(std::move(graph)), memory_limit_(memory_limit) {
  static std::atomic<uint64_t> next{0};
  serial_ = next.fetch_add(1, std::memory_order_relaxed);
}

Program::Jvp Program::jvp(const std::vector<uint8_t>& active,
                          const std::vector<uint8_t>& always) const {
  std::lock_guard lock(mutex_);
  Jvp& slot = jvps_[{key_of(active), key_of(always)}];
  if (!slot.program) slot = jvp_program(graph_, active, always);
  return slot;
}

ProgramPtr Program::jvp(const std::vector<uint8_t>& active) const {
  return jvp(active, std::vector<uint8_t>(graph_.outputs.size(), 1)).program;
}

std::shared_ptr<const void> Program::derived_erased(
    const std::string& key, const std::function<std::shared_ptr<const void>()>& make) const {
  {
    std::lock_guard lock(mutex_);
    const auto found = derived_.find(key);
    if (found != derived_.end()) return found->second;
  }
  std::shared_ptr<const void> made = make();
  std::lock_guard lock(mutex_);
  return derived_.try_emplace(key, std::move(made)).first->second;
}

Program::Vjp Program::vjp(const std::vector<uint8_t>& active) const {
  std::lock_guard lock(mutex_);
  Vjp& slot = vjps_[key_of(active)];
  if (!slot.forward) slot = vjp_programs(graph_, active);
  return slot;
}

Program::Batched Program::batch(const std::vector<uint8_t>& batched, const NamedAxis& axis,
                                size_t always) const {
  std::lock_guard lock(mutex_);
  Batched& slot = batches_[{key_of(batched), axis.name, axis.size, always}];
  if (!slot.program) slot = batched_program(graph_, batched, axis, always);
  return slot;
}

const Graph& called_graph(ParamsRef params) { return params.as<CallParams>().program->graph(); }

const Primitive& call_primitive() {
  static const Primitive& p = with_subgraphs(
      define(Control{
          .name = "call",
          .infer = [](ParamsRef params, Inputs) { return result_types(called_graph(params)); },
          .decompose = [](ParamsRef params,
                          Inputs inputs) { return params.as<CallParams>().program->run(inputs); },
          .rules = {.jvp = call_jvp, .vjp = call_vjp, .batch = call_batch},
          .is_its_body = true}),
      called_graphs);
  return p;
}

std::vector<const Graph*> called_graphs(ParamsRef params) { return {&called_graph(params)}; }

TensorList call(const ProgramPtr& program, Inputs inputs) {
  return emit(call_primitive(), inputs, CallParams{program});
}

}  // namespace linnet
