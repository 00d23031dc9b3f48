// while: its typing and its derivative and batching rules.
#include "core/control/loops.h"
#include "core/ops/shape_ops.h"
#include "core/trace/operands.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {
namespace {

/// Operands of a loop, or what is known of each, by role.
template <class T>
struct LoopRoles {
  LoopRoles(const WhileParams& p, std::span<const T> all)
      : condition(all.first(static_cast<size_t>(p.condition_constants))),
        body(all.subspan(condition.size(), static_cast<size_t>(p.body_constants))),
        carry(all.subspan(condition.size() + body.size())) {}
  std::span<const T> condition, body, carry;
};

TensorList run_while(ParamsRef params, Inputs inputs) {
  return single_node_program(while_primitive(), params, inputs)->run(inputs);
}

/// Which elements of the carry are marked after any number of turns.
template <class ResultsOf>
Flags settled_carry(Flags carry, const ResultsOf& results_of) {
  for (bool changed = true; changed;) {
    changed = false;
    const Flags results = results_of(carry);
    for (size_t k = 0; k < carry.size(); ++k) {
      changed |= results[k] && !carry[k];
      carry[k] |= results[k];
    }
  }
  return carry;
}

Flags active_carry(const WhileParams& p, const LoopRoles<uint8_t>& active) {
  return settled_carry(Flags(active.carry.begin(), active.carry.end()), [&](const Flags& carry) {
    return active_results(p.body->graph(), joined<uint8_t>({active.body, carry}));
  });
}

/// The loop over primals and tangents, for these active constants and carries.
WhileParams forward_while(const WhileParams& p, std::span<const uint8_t> constants,
                          const Flags& carry) {
  const Flags active = joined<uint8_t>({constants, carry});
  const Program::Jvp jvp = p.body->jvp(active, carry);
  const Graph& graph = jvp.program->graph();
  const size_t tangents = count_of(carry), t_constants = count_of(constants);
  const int64_t first = static_cast<int64_t>(active.size());
  const auto inputs = joined<int64_t>({range(0, constants.size()), range(first, t_constants),
                                       range(static_cast<int64_t>(constants.size()), carry.size()),
                                       range(first + static_cast<int64_t>(t_constants), tangents)});

  const Graph& condition = p.condition->graph();
  std::vector<int64_t> condition_inputs = range(0, condition.inputs.size());
  condition_inputs.insert(condition_inputs.end(), tangents, -1);
  TypeList unread;
  for (size_t k = 0; k < carry.size(); ++k) {
    if (carry[k]) unread.push_back(condition.types[condition.inputs[p.condition_constants + k]]);
  }
  return {.condition = shared_program(rearranged(condition, condition_inputs, {0}, unread)),
          .body = shared_program(rearranged(graph, inputs, range(0, graph.outputs.size()))),
          .condition_constants = p.condition_constants,
          .body_constants = p.body_constants + static_cast<int64_t>(t_constants)};
}

TensorList while_jvp(JvpTrace& trace, const Params& params, Inputs inputs) {
  const WhileParams& p = params.as<WhileParams>();
  const ForwardOperands operands(trace, inputs);
  const LoopRoles<uint8_t> active(p, operands.active);
  const Flags carry = active_carry(p, active);
  const TensorList tangents = spread(operands.tangents, operands.active);
  const LoopRoles<Tensor> primal(p, operands.primals), tangent(p, tangents);

  TraceScope scope(trace.parent());
  TensorList t_carry;
  for (size_t k = 0; k < carry.size(); ++k) {
    if (carry[k]) t_carry.push_back(defined_or_zeros(tangent.carry[k], primal.carry[k].type()));
  }
  const TensorList all =
      joined<Tensor>({primal.condition, primal.body, chosen<Tensor>(tangent.body, active.body),
                      primal.carry, t_carry});
  TensorList results = emit(while_primitive(), all, forward_while(p, active.body, carry));
  const TensorList out_tangents(results.begin() + static_cast<int64_t>(carry.size()),
                                results.end());
  results.resize(carry.size());
  return lift_results(trace, std::move(results), out_tangents, carry);
}

TensorList while_vjp(VjpTrace& trace, const Params& params, Inputs inputs) {
  const WhileParams& p = params.as<WhileParams>();
  const Flags operands = active_operands(trace, inputs);
  const Flags carry = active_carry(p, LoopRoles<uint8_t>(p, operands));
  if (count_of(carry)) {
    fail<TraceError>(
        "while_loop: reverse mode needs the number of steps when the loop is recorded\n"
        "  hint: use scan, or fori_loop with C++ numbers as bounds; jvp works as it is");
  }
  TraceScope scope(trace.parent());
  return emit(while_primitive(), trace.primals(inputs), params);
}

/// How a loop looks under a batch.
struct BatchedWhile {
  WhileParams params;
  Flags carry;
};

/// As long as one element goes on, all turn; those that are done keep their carry.
BatchedWhile turn_together(const WhileParams& p, const Program::Batched& condition,
                           const Program::Batched& body, Flags carry, int64_t size) {
  const size_t conditions = static_cast<size_t>(p.condition_constants);
  const Graph& test = condition.program->graph();
  const TypeList test_types = input_types(test), body_types = input_types(body.program->graph());
  const std::span<const TensorType> constants = std::span(test_types).first(conditions);
  const ProgramPtr step = body.program;
  WhileParams out = p;
  // The body asks the condition too.
  out.body_constants += p.condition_constants;
  out.body =
      record_program(joined<TensorType>({constants, body_types}), [&](const TensorList& inputs) {
        Reader reader(inputs);
        const Inputs own = reader.take(conditions);
        const Inputs rest = reader.rest();
        const Inputs last = rest.subspan(static_cast<size_t>(p.body_constants));
        const Tensor going = run_graph(test, joined<Tensor>({own, last}))[0];
        TensorList next = run_graph(step->graph(), rest);
        for (size_t k = 0; k < next.size(); ++k) {
          if (!body.results[k]) next[k] = repeated(next[k], size);
          next[k] = chosen_elements(going, next[k], last[k]);
        }
        return next;
      });
  out.condition = record_program(test_types, [&](const TensorList& inputs) {
    return TensorList{any(run_graph(test, inputs)[0])};
  });
  return {out, std::move(carry)};
}

BatchedWhile batched_while(const WhileParams& p, const Flags& batched, const BatchTrace& trace) {
  const LoopRoles<uint8_t> roles(p, batched);
  const auto body_of = [&](const Flags& carry) {
    return batched_body(*p.body, joined<uint8_t>({roles.body, carry}), trace);
  };
  Flags carry = settled_carry(Flags(roles.carry.begin(), roles.carry.end()),
                              [&](const Flags& flags) { return body_of(flags).results; });
  const auto condition_of = [&](const Flags& flags) {
    return batched_body(*p.condition, joined<uint8_t>({roles.condition, flags}), trace);
  };
  Program::Batched condition = condition_of(carry);
  if (condition.results[0]) {
    refuse_input_output("while_loop", p.condition->graph());
    refuse_input_output("while_loop", p.body->graph());
    carry.assign(carry.size(), 1);
    condition = condition_of(carry);
    return turn_together(p, condition, body_of(carry), carry, trace.size());
  }
  BatchedWhile out{p, carry};
  out.params.condition = condition.program;
  out.params.body = batched_results(body_of(carry), carry, trace.size());
  return out;
}

TensorList while_batch(BatchTrace& trace, const Params& params, Inputs inputs) {
  const WhileParams& p = params.as<WhileParams>();
  const BatchedOperands operands(trace, inputs);
  const std::string key =
      fmt::format("while batch {} {} {} {}", p.condition_constants, p.condition->serial(),
                  text_of(operands.batched), batch_key(trace));
  const auto batch = p.body->derived<BatchedWhile>(key, [&] {
    return std::make_shared<const BatchedWhile>(batched_while(p, operands.batched, trace));
  });
  TraceScope scope(trace.parent());
  const LoopRoles<Tensor> values(p, operands.values);
  const LoopRoles<uint8_t> batched(p, operands.batched);
  TensorList carry;
  for (size_t k = 0; k < values.carry.size(); ++k) {
    const Tensor& value = values.carry[k];
    carry.push_back(batch->carry[k] && !batched.carry[k] ? repeated(value, trace.size()) : value);
  }
  const bool together = batch->params.body_constants != p.body_constants;
  const TensorList all = joined<Tensor>(
      {values.condition, together ? values.condition : Inputs(), values.body, carry});
  return lift_results(trace, emit(while_primitive(), all, batch->params), batch->carry);
}

}  // namespace

const Primitive& while_primitive() {
  static const Primitive& p = with_subgraphs(
      define(Control{
          .name = "while",
          .infer = [](ParamsRef params,
                      Inputs) { return result_types(params.as<WhileParams>().body->graph()); },
          .decompose = run_while,
          .rules = {.jvp = while_jvp, .vjp = while_vjp, .batch = while_batch}}),
      [](ParamsRef params) {
        const WhileParams& p = params.as<WhileParams>();
        return std::vector<const Graph*>{&p.condition->graph(), &p.body->graph()};
      });
  return p;
}

}  // namespace linnet
