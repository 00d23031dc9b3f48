// checkpoint: a function whose backward pass runs it again instead of keeping its values.
#include "core/control/stage.h"
#include "core/trace/operands.h"
#include "linnet/ops.h"
#include "linnet/transforms.h"

namespace linnet {
namespace {

/// The cotangents, from a fresh run of the body on operands that the optimiser cannot identify with
/// those of the first run. What the fresh run says about variables is not wanted: they have been
/// written.
TensorList recompute_and_pull_back(const ProgramPtr& program, const TensorList& primals,
                                   const std::vector<uint8_t>& active, Inputs cts) {
  const TypeList types = result_types(program->graph());
  TensorList guarded = primals;
  for (Tensor& ct : floating_cotangents(cts, types)) guarded.push_back(std::move(ct));
  guarded = optimization_barrier(guarded);
  const Program::Vjp programs = program->vjp(active);
  const TensorList forward = call(programs.forward, Inputs(guarded.data(), primals.size()));
  TensorList operands(forward.begin() + static_cast<int64_t>(types.size()), forward.end());
  operands.insert(operands.end(), guarded.begin() + static_cast<int64_t>(primals.size()),
                  guarded.end());
  return spread(call(programs.backward, operands), active);
}

TensorList remat_vjp(VjpTrace& trace, const Params& params, Inputs inputs);
TensorList remat_jvp(JvpTrace& trace, const Params& params, Inputs inputs);
TensorList remat_batch(BatchTrace& trace, const Params& params, Inputs inputs);

const Primitive& remat_primitive() {
  static const Primitive& p = with_subgraphs(
      define(Control{
          .name = "remat",
          .infer = [](ParamsRef params, Inputs) { return result_types(called_graph(params)); },
          .decompose = [](ParamsRef params,
                          Inputs inputs) { return run_graph(called_graph(params), inputs); },
          .rules = {.jvp = remat_jvp, .vjp = remat_vjp, .batch = remat_batch},
          .is_its_body = true}),
      called_graphs);
  return p;
}

TensorList remat(const ProgramPtr& program, Inputs operands) {
  return emit(remat_primitive(), operands, CallParams{program});
}

TensorList remat_vjp(VjpTrace& trace, const Params& params, Inputs inputs) {
  const ProgramPtr program = params.as<CallParams>().program;
  const TensorList primals = trace.primals(inputs);
  const std::vector<uint8_t> active = active_operands(trace, inputs);
  TensorList results;
  {
    TraceScope scope(trace.parent());
    results = remat(program, primals);
  }
  return trace.record(inputs, results, [program, primals, active](Inputs cts) {
    return recompute_and_pull_back(program, primals, active, cts);
  });
}

TensorList remat_jvp(JvpTrace& trace, const Params& params, Inputs inputs) {
  const ProgramPtr& program = params.as<CallParams>().program;
  const ForwardOperands operands(trace, inputs);
  TraceScope scope(trace.parent());
  return lift_results(trace, remat(program->jvp(operands.active), operands.joined()),
                      program->graph().outputs.size());
}

TensorList remat_batch(BatchTrace& trace, const Params& params, Inputs inputs) {
  const BatchedOperands operands(trace, inputs);
  TraceScope scope(trace.parent());
  const Program::Batched batch =
      params.as<CallParams>().program->batch(operands.batched, trace.size());
  return lift_results(trace, remat(batch.program, operands.values), batch.results);
}

}  // namespace

void define_remat() { remat_primitive(); }

namespace detail {

TensorList remat_call(const TensorList& inputs,
                      const std::function<TensorList(const TensorList&)>& f) {
  const Staged staged = stage("checkpoint", inputs, f);
  return staged.finish(remat(staged.program, staged.operands));
}

}  // namespace detail
}  // namespace linnet
