// custom_vjp and custom_jvp: functions that bring their own derivative rule.
#include "core/control/loops.h"
#include "core/control/rule_state.h"
#include "core/ops/families.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/operands.h"
#include "core/trace/rules.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"
#include "linnet/transforms.h"

namespace linnet {

void define_remat();

namespace {

using detail::CustomJvpRule;
using detail::CustomVjpRule;
using detail::FlatFunction;

/// `program` is the plain function over `arguments` operands followed by what it captured. It gives
/// `results` of its own, then new values of variables, which carry no derivatives.
struct CustomVjpParams {
  ProgramPtr program;
  std::shared_ptr<const CustomVjpRule> rule;
  int64_t arguments = 0;
  int64_t results = 0;
  LINNET_FIELDS(program, rule, arguments, results)
};
struct CustomJvpParams {
  ProgramPtr program;
  std::shared_ptr<const CustomJvpRule> rule;
  int64_t arguments = 0;
  int64_t results = 0;
  LINNET_FIELDS(program, rule, arguments, results)
};

/// A rule says nothing about what its function captured, so that must not carry derivatives.
void check_captured(const char* name, const Trace& trace, Inputs inputs, int64_t arguments) {
  for (size_t i = static_cast<size_t>(arguments); i < inputs.size(); ++i) {
    if (!trace.owns(inputs[i])) continue;
    fail<TraceError>(
        "{}: the function captures {}, which is being differentiated\n"
        "  hint: make it an argument, so that the rule covers it, or capture stop_gradient of it",
        name, to_string(inputs[i].type()));
  }
}

template <class P>
const Graph& graph_of(ParamsRef params) {
  return params.as<P>().program->graph();
}

template <class P>
Control custom_control(const char* name, ControlRules rules) {
  return {.name = name,
          .infer = [](ParamsRef params, Inputs) { return result_types(graph_of<P>(params)); },
          .decompose = [](ParamsRef params,
                          Inputs inputs) { return run_graph(graph_of<P>(params), inputs); },
          .rules = std::move(rules),
          .is_its_body = true};
}
template <class P>
std::vector<const Graph*> held_by(ParamsRef params) {
  return {&graph_of<P>(params)};
}

/// f under vmap. Without `batched`, all inputs are batched, and without `results`, all results.
FlatFunction batched_function(const char* name, FlatFunction f, NamedAxis axis,
                              std::vector<uint8_t> batched, std::vector<uint8_t> results) {
  return [name, f = std::move(f), axis = std::move(axis), batched = std::move(batched),
          results = std::move(results)](const TensorList& inputs) {
    BatchTrace trace(axis);
    TensorList lifted, outputs;
    for (size_t i = 0; i < inputs.size(); ++i)
      lifted.push_back(i >= batched.size() || batched[i] ? trace.lift(inputs[i]) : inputs[i]);
    {
      TraceScope scope(&trace);
      outputs = f(lifted);
    }
    for (size_t k = 0; k < outputs.size(); ++k) {
      if (!outputs[k].defined()) continue;
      if (k >= results.size() || results[k]) {
        outputs[k] = trace.materialize(outputs[k]);
      } else if (trace.batched(outputs[k])) {
        fail<TraceError>(
            "{}: the rule gives a variable a value that differs between the elements of a batch, "
            "{}, but the function does not",
            name, to_string(outputs[k].type()));
      }
    }
    return outputs;
  };
}

void check_rule(const char* name, const TensorList& cts, const TypeList& types, size_t arguments) {
  if (cts.size() != arguments) {
    fail<TraceError>("{}: the backward rule returned {} cotangents for {} inputs", name, cts.size(),
                     arguments);
  }
  for (size_t i = 0; i < arguments; ++i) {
    if (cts[i].defined() &&
        (cts[i].shape() != types[i].shape || cts[i].dtype() != types[i].dtype)) {
      fail<TraceError>("{}: the backward rule returned {} for input {} of type {}", name,
                       to_string(cts[i].type()), i, to_string(types[i]));
    }
  }
}

/// The results of a rule, and what it writes, must be those of the function that it stands for.
void check_results(const char* name, const char* rule, const Graph& function,
                   const TensorList& got) {
  for (size_t k = 0; k < function.outputs.size(); ++k) {
    const TensorType& wanted = function.types[function.outputs[k]];
    if (got.at(k).defined() && got[k].shape() == wanted.shape && got[k].dtype() == wanted.dtype)
      continue;
    fail<TraceError>("{}: {} returned {} for result {}, the function returns {}", name, rule,
                     type_of(got[k]), k, to_string(wanted));
  }
}

TensorList custom_vjp_jvp(JvpTrace& trace, const Params& params, Inputs inputs);
TensorList custom_vjp_vjp(VjpTrace& trace, const Params& params, Inputs inputs);
TensorList custom_vjp_batch(BatchTrace& trace, const Params& params, Inputs inputs);

const Primitive& custom_vjp_primitive() {
  static const Primitive& p = with_subgraphs(
      define(custom_control<CustomVjpParams>(
          "custom_vjp_call",
          {.jvp = custom_vjp_jvp, .vjp = custom_vjp_vjp, .batch = custom_vjp_batch})),
      held_by<CustomVjpParams>);
  return p;
}

/// What the forward rule gives.
struct ForwardResult {
  TensorList results;  ///< of the function
  TensorList written;  ///< new values of variables
  TensorList residuals;
};

ForwardResult run_forward(const CustomVjpParams& p, const TensorList& primals) {
  const TensorList all = p.rule->fwd(primals);
  check_results("custom_vjp", "the forward rule", p.program->graph(), all);
  require_defined(all, "custom_vjp", "a residual");
  const auto results = all.begin() + p.results;
  const auto written = all.begin() + static_cast<int64_t>(p.program->graph().outputs.size());
  return {TensorList(all.begin(), results), TensorList(results, written),
          TensorList(written, all.end())};
}

TensorList run_backward(const CustomVjpParams& p, const TensorList& residuals, Inputs cts,
                        const TypeList& results, const TypeList& inputs) {
  TensorList operands = residuals;
  for (size_t k = 0; k < results.size(); ++k)
    operands.push_back(defined_or_zeros(cts[k], results[k]));
  TensorList grads = p.rule->bwd(operands);
  check_rule("custom_vjp", grads, inputs, static_cast<size_t>(p.arguments));
  return grads;
}

TensorList custom_vjp_vjp(VjpTrace& trace, const Params& params, Inputs inputs) {
  const CustomVjpParams p = params.as<CustomVjpParams>();
  check_captured("custom_vjp", trace, inputs, p.arguments);
  const TensorList primals = trace.primals(inputs);
  ForwardResult forward;
  {
    TraceScope scope(trace.parent());
    forward = run_forward(p, primals);
  }
  TensorList out =
      trace.record(inputs, forward.results,
                   [p, residuals = forward.residuals, results = types_of(forward.results),
                    types = types_of(inputs)](Inputs cts) {
                     return run_backward(p, residuals, cts, results, types);
                   });
  out.insert(out.end(), forward.written.begin(), forward.written.end());
  return out;
}

/// Forward mode by transposing the reverse rule, which is linear in the cotangents.
TensorList custom_vjp_jvp(JvpTrace& trace, const Params& params, Inputs inputs) {
  const CustomVjpParams& p = params.as<CustomVjpParams>();
  check_captured("custom_vjp", trace, inputs, p.arguments);
  const ForwardOperands operands(trace, inputs);
  TraceScope scope(trace.parent());
  ForwardResult forward = run_forward(p, operands.primals);
  const TypeList types = types_of(forward.results), input_types = types_of(operands.primals);
  const TensorList out_tangents = transpose_linear(
      [&](Inputs cts) {
        const TensorList grads = run_backward(p, forward.residuals, cts, types, input_types);
        TensorList out;
        for (size_t i = 0; i < grads.size(); ++i) {
          if (operands.active[i]) out.push_back(defined_or_zeros(grads[i], input_types[i]));
        }
        return out;
      },
      types, operands.tangents);
  TensorList out = std::move(forward.results);
  for (size_t k = 0; k < out.size(); ++k) {
    if (is_inexact(types[k].dtype)) out[k] = trace.lift(out[k], out_tangents[k]);
  }
  out.insert(out.end(), forward.written.begin(), forward.written.end());
  return out;
}

TensorList custom_vjp_batch(BatchTrace& trace, const Params& params, Inputs inputs) {
  const CustomVjpParams& p = params.as<CustomVjpParams>();
  const BatchedOperands operands(trace, inputs);
  const Program::Batched batch =
      p.program->batch(operands.batched, trace.axis(), static_cast<size_t>(p.results));
  const std::vector<uint8_t> arguments(operands.batched.begin(),
                                       operands.batched.begin() + p.arguments);
  auto rule = std::make_shared<CustomVjpRule>();
  rule->fwd =
      batched_function("custom_vjp", p.rule->fwd, trace.axis(), operands.batched, batch.results);
  // Cotangents of operands that were not batched are summed over the batch.
  rule->bwd = [bwd = batched_function("custom_vjp", p.rule->bwd, trace.axis(), {}, {}),
               arguments](const TensorList& leaves) {
    TensorList grads = bwd(leaves);
    for (size_t i = 0; i < grads.size() && i < arguments.size(); ++i) {
      if (!arguments[i] && grads[i].defined()) grads[i] = sum(grads[i], Axes{0});
    }
    return grads;
  };
  TraceScope scope(trace.parent());
  return lift_results(trace,
                      emit(custom_vjp_primitive(), operands.values,
                           CustomVjpParams{batch.program, rule, p.arguments, p.results}),
                      batch.results);
}

TensorList custom_jvp_jvp(JvpTrace& trace, const Params& params, Inputs inputs);
TensorList custom_jvp_vjp(VjpTrace& trace, const Params& params, Inputs inputs);
TensorList custom_jvp_batch(BatchTrace& trace, const Params& params, Inputs inputs);

const Primitive& custom_jvp_primitive() {
  static const Primitive& p = with_subgraphs(
      define(custom_control<CustomJvpParams>(
          "custom_jvp_call",
          {.jvp = custom_jvp_jvp, .vjp = custom_jvp_vjp, .batch = custom_jvp_batch})),
      held_by<CustomJvpParams>);
  return p;
}

/// Results, new values of variables, and the tangents of the results, from the rule.
TensorList run_jvp_rule(const CustomJvpParams& p, const TensorList& primals,
                        const TensorList& tangents) {
  TensorList operands = primals;
  for (int64_t i = 0; i < p.arguments; ++i) {
    const size_t k = static_cast<size_t>(i);
    operands.push_back(defined_or_zeros(tangents[k], primals[k].type()));
  }
  TensorList out = p.rule->jvp(operands);
  check_results("custom_jvp", "the rule", p.program->graph(), out);
  const size_t first = p.program->graph().outputs.size();
  for (size_t k = 0; k < static_cast<size_t>(p.results); ++k) {
    const Tensor& tangent = out[first + k];
    if (!tangent.defined() || tangent.shape() != out[k].shape() ||
        tangent.dtype() != out[k].dtype()) {
      fail<TraceError>("custom_jvp: the rule returned the tangent {} for result {} of type {}",
                       type_of(tangent), k, type_of(out[k]));
    }
  }
  return out;
}

TensorList custom_jvp_jvp(JvpTrace& trace, const Params& params, Inputs inputs) {
  const CustomJvpParams& p = params.as<CustomJvpParams>();
  check_captured("custom_jvp", trace, inputs, p.arguments);
  const ForwardOperands operands(trace, inputs);
  TraceScope scope(trace.parent());
  TensorList all = run_jvp_rule(p, operands.primals, spread(operands.tangents, operands.active));
  const size_t outputs = p.program->graph().outputs.size();
  for (size_t k = 0; k < static_cast<size_t>(p.results); ++k) {
    if (is_inexact(all[k].dtype())) all[k] = trace.lift(all[k], all[outputs + k]);
  }
  all.resize(outputs);
  return all;
}

TensorList custom_jvp_vjp(VjpTrace& trace, const Params& params, Inputs inputs) {
  const CustomJvpParams p = params.as<CustomJvpParams>();
  check_captured("custom_jvp", trace, inputs, p.arguments);
  const TensorList primals = trace.primals(inputs);
  const std::vector<uint8_t> active = active_operands(trace, inputs);
  TypeList active_types;
  for (size_t i = 0; i < active.size(); ++i) {
    if (active[i]) active_types.push_back(inputs[i].type());
  }
  const auto run = [p, primals, active](const TensorList& directions) {
    return run_jvp_rule(p, primals, spread(directions, active));
  };
  TensorList results, written;
  {
    TraceScope scope(trace.parent());
    TensorList zero_tangents;
    for (const TensorType& type : active_types) zero_tangents.push_back(defined_or_zeros({}, type));
    TensorList all = run(zero_tangents);
    all.resize(p.program->graph().outputs.size());
    written.assign(all.begin() + p.results, all.end());
    all.resize(static_cast<size_t>(p.results));
    results = std::move(all);
  }
  TensorList out = trace.record(
      inputs, results, [run, active, active_types, types = types_of(results)](Inputs cts) {
        TensorList given;
        for (size_t k = 0; k < types.size(); ++k)
          given.push_back(defined_or_zeros(cts[k], types[k]));
        const TensorList grads = transpose_linear(
            [&](Inputs directions) {
              const TensorList all = run(TensorList(directions.begin(), directions.end()));
              return TensorList(all.end() - static_cast<int64_t>(types.size()), all.end());
            },
            active_types, given);
        return spread(grads, active);
      });
  out.insert(out.end(), written.begin(), written.end());
  return out;
}

TensorList custom_jvp_batch(BatchTrace& trace, const Params& params, Inputs inputs) {
  const CustomJvpParams& p = params.as<CustomJvpParams>();
  const BatchedOperands operands(trace, inputs);
  const Program::Batched batch =
      p.program->batch(operands.batched, trace.axis(), static_cast<size_t>(p.results));
  std::vector<uint8_t> rule_batched = operands.batched;
  rule_batched.insert(rule_batched.end(), operands.batched.begin(),
                      operands.batched.begin() + p.arguments);
  auto rule = std::make_shared<CustomJvpRule>();
  rule->jvp =
      batched_function("custom_jvp", p.rule->jvp, trace.axis(), rule_batched, batch.results);
  TraceScope scope(trace.parent());
  return lift_results(trace,
                      emit(custom_jvp_primitive(), operands.values,
                           CustomJvpParams{batch.program, rule, p.arguments, p.results}),
                      batch.results);
}

}  // namespace

void define_control() {
  call_primitive();
  define_remat();
  scan_primitive();
  while_primitive();
  cond_primitive();
  custom_vjp_primitive();
  custom_jvp_primitive();
}

namespace detail {
namespace {

template <class P, class Rule>
TensorList custom_call(const char* construct, const Primitive& primitive, const TensorList& inputs,
                       std::shared_ptr<const Rule> rule) {
  const Staged staged = stage(construct, inputs, rule->f);
  const P params{staged.program, rule_over_operands(std::move(rule), staged),
                 static_cast<int64_t>(inputs.size()),
                 static_cast<int64_t>(staged.recorded.results)};
  return staged.finish(emit(primitive, staged.operands, params));
}

}  // namespace

TensorList custom_vjp_call(const TensorList& inputs, std::shared_ptr<const CustomVjpRule> rule) {
  return custom_call<CustomVjpParams>("custom_vjp", custom_vjp_primitive(), inputs,
                                      std::move(rule));
}

TensorList custom_jvp_call(const TensorList& inputs, std::shared_ptr<const CustomJvpRule> rule) {
  return custom_call<CustomJvpParams>("custom_jvp", custom_jvp_primitive(), inputs,
                                      std::move(rule));
}

}  // namespace detail
}  // namespace linnet
