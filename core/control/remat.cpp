// checkpoint: a function whose backward pass runs it again instead of keeping its values.
#include "core/control/staged.h"
#include "core/trace/batch.h"
#include "core/trace/jvp.h"
#include "core/trace/vjp.h"
#include "linnet/ops.h"
#include "linnet/transforms.h"

namespace linnet {
namespace {

TypeList result_types(const Graph& graph) {
  TypeList types;
  for (ValueId id : graph.outputs) types.push_back(graph.types[id]);
  return types;
}

/// The cotangents, from a fresh run of the body on operands that the optimiser cannot identify with
/// those of the first run.
TensorList recompute_and_pull_back(const ProgramPtr& program, const TensorList& primals,
                                   const std::vector<uint8_t>& active, Inputs cts) {
  TensorList guarded = primals;
  const TypeList types = result_types(program->graph());
  const size_t inputs = guarded.size();
  for (size_t k = 0; k < types.size(); ++k) {
    if (is_floating(types[k].dtype)) {
      guarded.push_back(cts[k].defined() ? cts[k] : zeros(types[k].shape, types[k].dtype));
    }
  }
  guarded = optimization_barrier(guarded);
  const Program::Vjp programs = program->vjp(active);
  const TensorList forward = call(programs.forward, Inputs(guarded.data(), inputs));
  TensorList operands(forward.begin() + static_cast<int64_t>(types.size()), forward.end());
  operands.insert(operands.end(), guarded.begin() + static_cast<int64_t>(inputs), guarded.end());
  const TensorList grads = call(programs.backward, operands);
  TensorList out(active.size());
  size_t next = 0;
  for (size_t i = 0; i < active.size(); ++i) {
    if (active[i]) out[i] = grads[next++];
  }
  return out;
}

TensorList remat_vjp(VjpTrace& trace, const Params& params, Inputs inputs);
TensorList remat_jvp(JvpTrace& trace, const Params& params, Inputs inputs);
TensorList remat_batch(BatchTrace& trace, const Params& params, Inputs inputs);

const Primitive& remat_primitive() {
  static const Primitive& p = define(
      Control{.name = "remat",
              .infer = [](ParamsRef params, Inputs) { return result_types(called_graph(params)); },
              .decompose = [](ParamsRef params,
                              Inputs inputs) { return run_graph(called_graph(params), inputs); },
              .rules = {.jvp = remat_jvp, .vjp = remat_vjp, .batch = remat_batch},
              .is_its_body = true});
  return p;
}

TensorList remat_vjp(VjpTrace& trace, const Params& params, Inputs inputs) {
  const ProgramPtr program = params.as<CallParams>().program;
  const TensorList primals = trace.primals(inputs);
  std::vector<uint8_t> active;
  for (const Tensor& input : inputs) active.push_back(trace.owns(input));
  TensorList results;
  {
    TraceScope scope(trace.parent());
    results = emit(remat_primitive(), primals, CallParams{program});
  }
  return trace.record(inputs, results, [program, primals, active](Inputs cts) {
    return recompute_and_pull_back(program, primals, active, cts);
  });
}

TensorList remat_jvp(JvpTrace& trace, const Params& params, Inputs inputs) {
  const ProgramPtr& program = params.as<CallParams>().program;
  TensorList operands, tangents;
  std::vector<uint8_t> active;
  for (const Tensor& input : inputs) {
    operands.push_back(trace.primal(input));
    active.push_back(trace.tangent(input).defined());
    if (active.back()) tangents.push_back(trace.tangent(input));
  }
  operands.insert(operands.end(), tangents.begin(), tangents.end());
  TraceScope scope(trace.parent());
  TensorList results = emit(remat_primitive(), operands, CallParams{program->jvp(active)});
  const size_t count = program->graph().outputs.size();
  size_t next = count;
  for (size_t k = 0; k < count; ++k) {
    if (is_floating(results[k].dtype())) results[k] = trace.lift(results[k], results[next++]);
  }
  results.resize(count);
  return results;
}

TensorList remat_batch(BatchTrace& trace, const Params& params, Inputs inputs) {
  std::vector<uint8_t> batched;
  TensorList operands;
  for (const Tensor& input : inputs) {
    batched.push_back(trace.batched(input));
    operands.push_back(trace.value(input));
  }
  TraceScope scope(trace.parent());
  const ProgramPtr program = params.as<CallParams>().program->batch(batched, trace.size());
  TensorList results = emit(remat_primitive(), operands, CallParams{program});
  for (Tensor& result : results) result = trace.lift(result);
  return results;
}

}  // namespace

void define_remat() { remat_primitive(); }

namespace detail {

TensorList remat_call(const TensorList& inputs,
                      const std::function<TensorList(const TensorList&)>& f) {
  const Staged staged = stage_function("checkpoint", inputs, f);
  return emit(remat_primitive(), staged.operands, CallParams{staged.program});
}

}  // namespace detail
}  // namespace linnet
