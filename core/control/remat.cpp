// checkpoint: a function whose backward pass runs it again instead of keeping its values.
#include "core/control/recomputation.h"
#include "core/control/stage.h"
#include "core/trace/operands.h"
#include "linnet/ops.h"
#include "linnet/transforms.h"

namespace linnet {
namespace {

struct RematParams {
  ProgramPtr program;
  CheckpointPolicy policy;
  LINNET_FIELDS(program, policy)
};

const Graph& body_of(ParamsRef params) { return params.as<RematParams>().program->graph(); }
std::vector<const Graph*> bodies_of(ParamsRef params) { return {&body_of(params)}; }

/// The cotangents, from a fresh run of what was not kept, on operands that the optimiser cannot
/// identify with those of the first run. What the fresh run says about variables is not wanted:
/// they have been written.
TensorList recompute_and_pull_back(const Recomputation& recomputation, const TensorList& kept,
                                   Inputs cts, const TypeList& types,
                                   const std::vector<uint8_t>& active) {
  const size_t count = kept.size();
  TensorList guarded = kept;
  for (Tensor& ct : floating_cotangents(cts, types)) guarded.push_back(std::move(ct));
  guarded = optimization_barrier(guarded);
  TensorList operands = call(recomputation.again, Inputs(guarded.data(), count));
  operands.insert(operands.end(), guarded.begin() + static_cast<int64_t>(count), guarded.end());
  return spread(call(recomputation.backward, operands), active);
}

TensorList remat_vjp(VjpTrace& trace, const Params& params, Inputs inputs);
TensorList remat_jvp(JvpTrace& trace, const Params& params, Inputs inputs);
TensorList remat_batch(BatchTrace& trace, const Params& params, Inputs inputs);

const Primitive& remat_primitive() {
  static const Primitive& p = with_subgraphs(
      define(
          Control{.name = "remat",
                  .infer = [](ParamsRef params, Inputs) { return result_types(body_of(params)); },
                  .decompose = [](ParamsRef params,
                                  Inputs inputs) { return run_graph(body_of(params), inputs); },
                  .rules = {.jvp = remat_jvp, .vjp = remat_vjp, .batch = remat_batch},
                  .is_its_body = true}),
      bodies_of);
  return p;
}

TensorList remat(const ProgramPtr& program, Inputs operands, const CheckpointPolicy& policy) {
  return emit(remat_primitive(), operands, RematParams{program, policy});
}

TensorList remat_vjp(VjpTrace& trace, const Params& params, Inputs inputs) {
  const auto& [program, policy] = params.as<RematParams>();
  const std::vector<uint8_t> active = active_operands(trace, inputs);
  const Recomputation recomputation = recomputation_of(program, active, policy);
  TensorList kept = trace.primals(inputs), results;
  {
    TraceScope scope(trace.parent());
    results = remat(recomputation.forward, kept, policy);
  }
  const auto first_kept = results.begin() + static_cast<int64_t>(program->graph().outputs.size());
  kept.insert(kept.end(), first_kept, results.end());
  results.erase(first_kept, results.end());
  return trace.record(inputs, results,
                      [recomputation, kept, types = types_of(results), active](Inputs cts) {
                        return recompute_and_pull_back(recomputation, kept, cts, types, active);
                      });
}

TensorList remat_jvp(JvpTrace& trace, const Params& params, Inputs inputs) {
  const auto& [program, policy] = params.as<RematParams>();
  const ForwardOperands operands(trace, inputs);
  TraceScope scope(trace.parent());
  return lift_results(trace, remat(program->jvp(operands.active), operands.joined(), policy),
                      program->graph().outputs.size());
}

TensorList remat_batch(BatchTrace& trace, const Params& params, Inputs inputs) {
  const auto& [program, policy] = params.as<RematParams>();
  const BatchedOperands operands(trace, inputs);
  TraceScope scope(trace.parent());
  const Program::Batched batch = program->batch(operands.batched, trace.axis());
  return lift_results(trace, remat(batch.program, operands.values, policy), batch.results);
}

}  // namespace

void define_remat() { remat_primitive(); }

namespace detail {

TensorList remat_call(const TensorList& inputs,
                      const std::function<TensorList(const TensorList&)>& f,
                      const CheckpointPolicy& policy) {
  const Staged staged = stage("checkpoint", inputs, f);
  return staged.finish(remat(staged.program, staged.operands, policy));
}

}  // namespace detail
}  // namespace linnet
