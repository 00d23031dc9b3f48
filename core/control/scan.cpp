// scan: its typing and its derivative and batching rules.
#include "core/control/loops.h"
#include "core/control/scan_vjp.h"
#include "core/ops/shape_ops.h"
#include "core/trace/operands.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {
namespace {

TypeList scan_types(ParamsRef params, Inputs) {
  const ScanParams& p = params.as<ScanParams>();
  TypeList types = result_types(p.body->graph());
  for (size_t k = static_cast<size_t>(p.carries); k < types.size(); ++k)
    types[k].shape.insert(0, p.length);
  return types;
}

TensorList run_scan(ParamsRef params, Inputs inputs) {
  return single_node_program(scan_primitive(), params, inputs)->run(inputs);
}

/// What is known of each operand, by the role that it has.
template <class T>
struct Roles {
  Roles(const ScanParams& p, std::span<const T> all)
      : constants(all.first(static_cast<size_t>(p.constants))),
        carry(all.subspan(constants.size(), static_cast<size_t>(p.carries))),
        xs(all.subspan(constants.size() + carry.size())) {}
  std::span<const T> constants, carry, xs;
};

/// Marks of the operands, of which a carry has one if `results_of` says that a marked operand gives
/// it one.
template <class ResultsOf>
Flags settled(const ScanParams& p, Flags flags, const ResultsOf& results_of) {
  for (bool changed = true; changed;) {
    changed = false;
    const Flags results = results_of(flags);
    for (int64_t k = 0; k < p.carries; ++k) {
      uint8_t& flag = flags[static_cast<size_t>(p.constants + k)];
      changed |= results[static_cast<size_t>(k)] && !flag;
      flag |= results[static_cast<size_t>(k)];
    }
  }
  return flags;
}

Flags settled_active(const ScanParams& p, Flags active) {
  return settled(p, std::move(active),
                 [&](const Flags& flags) { return active_results(p.body->graph(), flags); });
}

/// Positions from `first` on, one for each mark that is set, else none.
std::vector<int64_t> positions(int64_t& first, std::span<const uint8_t> flags) {
  std::vector<int64_t> out;
  for (const uint8_t flag : flags) {
    if (flag) out.push_back(first++);
  }
  return out;
}

struct ForwardScan {
  ScanParams params;
  Flags results;  ///< which have tangents
};

/// The scan of primals and tangents: each role's tangents stand behind its primals.
ForwardScan forward_scan(const ScanParams& p, const Flags& active) {
  const Roles<uint8_t> roles(p, active);
  Flags always(p.body->graph().outputs.size(), 0);
  std::copy(roles.carry.begin(), roles.carry.end(), always.begin());
  const Program::Jvp jvp = p.body->jvp(active, always);

  const int64_t operands = static_cast<int64_t>(active.size());
  int64_t tangent = operands;
  const auto t_constants = positions(tangent, roles.constants);
  const auto t_carry = positions(tangent, roles.carry);
  const auto t_xs = positions(tangent, roles.xs);
  const auto inputs = joined<int64_t>({range(0, roles.constants.size()), t_constants,
                                       range(p.constants, roles.carry.size()), t_carry,
                                       range(p.constants + p.carries, roles.xs.size()), t_xs});
  const int64_t results = static_cast<int64_t>(jvp.results.size());
  const std::span<const uint8_t> flags(jvp.results);
  tangent = results;
  const auto out_carry = positions(tangent, flags.first(roles.carry.size()));
  const auto out_ys = positions(tangent, flags.subspan(roles.carry.size()));
  const auto outputs =
      joined<int64_t>({range(0, roles.carry.size()), out_carry,
                       range(p.carries, jvp.results.size() - roles.carry.size()), out_ys});
  ForwardScan out{p, jvp.results};
  out.params.body = std::make_shared<Program>(rearranged(jvp.program->graph(), inputs, outputs));
  out.params.constants += static_cast<int64_t>(t_constants.size());
  out.params.carries += static_cast<int64_t>(t_carry.size());
  return out;
}

std::string key_of(const char* rule, const ScanParams& p, const Flags& flags) {
  return fmt::format("{} {} {} {} {:d} {} {}", rule, p.length, p.constants, p.carries, p.reverse,
                     p.unroll, text_of(flags));
}

TensorList scan_jvp(JvpTrace& trace, const Params& params, Inputs inputs) {
  const ScanParams& p = params.as<ScanParams>();
  const ForwardOperands operands(trace, inputs);
  const Flags active = settled_active(p, operands.active);
  const auto forward = p.body->derived<ForwardScan>(key_of("jvp", p, active), [&] {
    return std::make_shared<const ForwardScan>(forward_scan(p, active));
  });

  TraceScope scope(trace.parent());
  const TensorList tangents = spread(operands.tangents, operands.active);
  TensorList wanted;
  for (size_t i = 0; i < active.size(); ++i)
    wanted.push_back(active[i] ? defined_or_zeros(tangents[i], inputs[i].type()) : Tensor());
  const Roles<Tensor> primal(p, operands.primals), tangent(p, wanted);
  const Roles<uint8_t> flags(p, active);
  const TensorList all =
      joined<Tensor>({primal.constants, chosen<Tensor>(tangent.constants, flags.constants),
                      primal.carry, chosen<Tensor>(tangent.carry, flags.carry), primal.xs,
                      chosen<Tensor>(tangent.xs, flags.xs)});
  const TensorList results = emit(scan_primitive(), all, forward->params);

  const std::span<const uint8_t> out(forward->results);
  const size_t carries = flags.carry.size();
  Reader reader(results);
  const Inputs carry = reader.take(carries), t_carry = reader.take(count_of(out.first(carries)));
  const Inputs ys = reader.take(out.size() - carries);
  return lift_results(trace, joined<Tensor>({carry, ys}), joined<Tensor>({t_carry, reader.rest()}),
                      forward->results);
}

struct BatchedScan {
  ScanParams params;
  Flags operands, results;
};

BatchedScan batched_scan(const ScanParams& p, const Flags& batched, const BatchTrace& trace) {
  BatchedScan out{p, {}, {}};
  out.operands = settled(
      p, batched, [&](const Flags& flags) { return batched_body(*p.body, flags, trace).results; });
  const Program::Batched batch = batched_body(*p.body, out.operands, trace);
  out.results = batch.results;
  const Roles<uint8_t> roles(p, out.operands);
  std::copy(roles.carry.begin(), roles.carry.end(), out.results.begin());
  out.params.body = batched_results(batch, out.results, trace.size());
  return out;
}

TensorList scan_batch(BatchTrace& trace, const Params& params, Inputs inputs) {
  const ScanParams& p = params.as<ScanParams>();
  const BatchedOperands operands(trace, inputs);
  const auto batch = p.body->derived<BatchedScan>(
      fmt::format("{} {}", key_of("batch", p, operands.batched), batch_key(trace)), [&] {
        return std::make_shared<const BatchedScan>(batched_scan(p, operands.batched, trace));
      });
  TraceScope scope(trace.parent());
  TensorList values = operands.values;
  const size_t first_x = static_cast<size_t>(p.constants + p.carries);
  for (size_t i = 0; i < values.size(); ++i) {
    if (!batch->operands[i]) continue;
    if (!operands.batched[i]) values[i] = repeated(values[i], trace.size());
    // The body is batched in front; the sequence runs along the dimension before that.
    if (i >= first_x) values[i] = moveaxis(values[i], 0, 1);
  }
  TensorList results = emit(scan_primitive(), values, batch->params);
  for (size_t k = static_cast<size_t>(p.carries); k < results.size(); ++k) {
    if (batch->results[k]) results[k] = moveaxis(results[k], 1, 0);
  }
  return lift_results(trace, std::move(results), batch->results);
}

TensorList scan_vjp(VjpTrace& trace, const Params& params, Inputs inputs) {
  const ScanParams p = params.as<ScanParams>();
  const Flags active = settled_active(p, active_operands(trace, inputs));
  const auto reverse = p.body->derived<ReverseScan>(
      key_of("vjp", p, active), [&] { return std::make_shared<const ReverseScan>(p, active); });
  const TensorList primals = trace.primals(inputs);
  ReverseScan::Saved saved;
  TensorList results;
  {
    TraceScope scope(trace.parent());
    results = reverse->forward(primals, saved);
  }
  return trace.record(inputs, results,
                      [reverse, saved](Inputs cts) { return reverse->backward(saved, cts); });
}

}  // namespace

const Primitive& scan_primitive() {
  static const Primitive& p = with_subgraphs(
      define(Control{.name = "scan",
                     .infer = scan_types,
                     .decompose = run_scan,
                     .rules = {.jvp = scan_jvp, .vjp = scan_vjp, .batch = scan_batch}}),
      [](ParamsRef params) {
        return std::vector<const Graph*>{&params.as<ScanParams>().body->graph()};
      });
  return p;
}

}  // namespace linnet
