// custom_vjp and custom_jvp: functions that bring their own derivative rule.
#include "core/base/format.h"
#include "core/control/staged.h"
#include "core/ops/families.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/batch.h"
#include "core/trace/jvp.h"
#include "core/trace/rules.h"
#include "core/trace/vjp.h"
#include "linnet/ops.h"
#include "linnet/transforms.h"

namespace linnet {

void define_remat();

namespace {

using detail::CustomJvpRule;
using detail::CustomVjpRule;
using detail::FlatFunction;

/// `program` is the plain function over `arguments` operands followed by what it captured.
struct CustomVjpParams {
  ProgramPtr program;
  std::shared_ptr<const CustomVjpRule> rule;
  int64_t arguments = 0;
  LINNET_FIELDS(program, rule, arguments)
};
struct CustomJvpParams {
  ProgramPtr program;
  std::shared_ptr<const CustomJvpRule> rule;
  int64_t arguments = 0;
  LINNET_FIELDS(program, rule, arguments)
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
TypeList custom_types(ParamsRef params, Inputs) {
  const Graph& graph = params.as<P>().program->graph();
  TypeList types;
  for (ValueId id : graph.outputs) types.push_back(graph.types[id]);
  return types;
}
template <class P>
TensorList custom_run(ParamsRef params, Inputs inputs) {
  return run_graph(params.as<P>().program->graph(), inputs);
}

/// f with every tensor batched in front: for rules under vmap.
FlatFunction batched_function(FlatFunction f, std::vector<uint8_t> batched, int64_t size) {
  return [f = std::move(f), batched = std::move(batched), size](const TensorList& inputs) {
    BatchTrace trace(size);
    TensorList lifted, outputs;
    for (size_t i = 0; i < inputs.size(); ++i) {
      lifted.push_back(i >= batched.size() || batched[i] ? trace.lift(inputs[i]) : inputs[i]);
    }
    {
      TraceScope scope(&trace);
      outputs = f(lifted);
    }
    for (Tensor& output : outputs) {
      if (output.defined()) output = trace.materialize(output);
    }
    return outputs;
  };
}

void check_rule(const char* name, const TensorList& cts, Inputs inputs, size_t arguments) {
  if (cts.size() != arguments) {
    fail<TraceError>("{}: the backward rule returned {} cotangents for {} inputs", name, cts.size(),
                     arguments);
  }
  for (size_t i = 0; i < arguments; ++i) {
    if (cts[i].defined() &&
        (cts[i].shape() != inputs[i].shape() || cts[i].dtype() != inputs[i].dtype())) {
      fail<TraceError>("{}: the backward rule returned {} for input {} of type {}", name,
                       to_string(cts[i].type()), i, to_string(inputs[i].type()));
    }
  }
}

TensorList custom_vjp_jvp(JvpTrace& trace, const Params& params, Inputs inputs);
TensorList custom_vjp_vjp(VjpTrace& trace, const Params& params, Inputs inputs);
TensorList custom_vjp_batch(BatchTrace& trace, const Params& params, Inputs inputs);

const Primitive& custom_vjp_primitive() {
  static const Primitive& p = define(
      Control{.name = "custom_vjp_call",
              .infer = custom_types<CustomVjpParams>,
              .decompose = custom_run<CustomVjpParams>,
              .rules = {.jvp = custom_vjp_jvp, .vjp = custom_vjp_vjp, .batch = custom_vjp_batch},
              .is_its_body = true});
  return p;
}

struct ForwardResult {
  TensorList results, residuals;
};
/// The results of a rule must be those of the function that it stands for.
void check_results(const char* name, const char* rule, const Graph& function, const TensorList& got,
                   size_t count) {
  if (count != function.outputs.size()) {
    fail<TraceError>("{}: {} returned {} results, the function returns {}", name, rule, count,
                     function.outputs.size());
  }
  for (size_t k = 0; k < count; ++k) {
    const TensorType& wanted = function.types[function.outputs[k]];
    if (!got[k].defined() || got[k].shape() != wanted.shape || got[k].dtype() != wanted.dtype) {
      fail<TraceError>("{}: {} returned {} for result {}, the function returns {}", name, rule,
                       type_of(got[k]), k, to_string(wanted));
    }
  }
}

ForwardResult run_forward(const CustomVjpParams& p, const TensorList& primals) {
  const TensorList all = p.rule->fwd(TensorList(primals.begin(), primals.begin() + p.arguments));
  const int64_t results = static_cast<int64_t>(p.program->graph().outputs.size());
  check_results("custom_vjp", "the forward rule", p.program->graph(), all,
                std::min(all.size(), static_cast<size_t>(results)));
  require_defined(all, "custom_vjp", "a residual");
  return {TensorList(all.begin(), all.begin() + results),
          TensorList(all.begin() + results, all.end())};
}

TensorList run_backward(const CustomVjpParams& p, const TensorList& residuals, Inputs cts,
                        const TypeList& types, Inputs inputs) {
  TensorList operands = residuals;
  for (size_t k = 0; k < types.size(); ++k) {
    operands.push_back(cts[k].defined() ? cts[k] : zeros(types[k].shape, types[k].dtype));
  }
  TensorList grads = p.rule->bwd(operands);
  check_rule("custom_vjp", grads, inputs, static_cast<size_t>(p.arguments));
  return grads;
}

TypeList types_of(const TensorList& tensors) {
  TypeList types;
  for (const Tensor& tensor : tensors) types.push_back(tensor.type());
  return types;
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
  TensorList shapes;
  for (const Tensor& input : inputs) shapes.push_back(abstract(input.type()));
  return trace.record(inputs, forward.results,
                      [p, residuals = forward.residuals, types = types_of(forward.results), shapes](
                          Inputs cts) { return run_backward(p, residuals, cts, types, shapes); });
}

/// Forward mode by transposing the reverse rule, which is linear in the cotangents.
TensorList custom_vjp_jvp(JvpTrace& trace, const Params& params, Inputs inputs) {
  const CustomVjpParams& p = params.as<CustomVjpParams>();
  check_captured("custom_vjp", trace, inputs, p.arguments);
  TensorList primals, tangents;
  std::vector<size_t> active;
  for (size_t i = 0; i < inputs.size(); ++i) {
    primals.push_back(trace.primal(inputs[i]));
    const Tensor tangent = trace.tangent(inputs[i]);
    if (tangent.defined() && static_cast<int64_t>(i) < p.arguments) {
      active.push_back(i);
      tangents.push_back(tangent);
    }
  }
  TraceScope scope(trace.parent());
  ForwardResult forward = run_forward(p, primals);
  const TypeList types = types_of(forward.results);
  const TensorList out_tangents = transpose_linear(
      [&](Inputs cts) {
        const TensorList grads = run_backward(p, forward.residuals, cts, types, primals);
        TensorList out;
        for (size_t i : active) {
          out.push_back(grads[i].defined() ? grads[i]
                                           : zeros(primals[i].shape(), primals[i].dtype()));
        }
        return out;
      },
      types, tangents);
  for (size_t k = 0; k < forward.results.size(); ++k) {
    if (is_floating(types[k].dtype))
      forward.results[k] = trace.lift(forward.results[k], out_tangents[k]);
  }
  return forward.results;
}

TensorList custom_vjp_batch(BatchTrace& trace, const Params& params, Inputs inputs) {
  const CustomVjpParams& p = params.as<CustomVjpParams>();
  std::vector<uint8_t> batched;
  TensorList operands;
  for (const Tensor& input : inputs) {
    batched.push_back(trace.batched(input));
    operands.push_back(trace.value(input));
  }
  auto rule = std::make_shared<CustomVjpRule>();
  const std::vector<uint8_t> arguments(batched.begin(), batched.begin() + p.arguments);
  rule->f = batched_function(p.rule->f, arguments, trace.size());
  rule->fwd = batched_function(p.rule->fwd, arguments, trace.size());
  // Cotangents of operands that were not batched are summed over the batch.
  rule->bwd = [bwd = batched_function(p.rule->bwd, {}, trace.size()),
               arguments](const TensorList& leaves) {
    TensorList grads = bwd(leaves);
    for (size_t i = 0; i < grads.size() && i < arguments.size(); ++i) {
      if (!arguments[i] && grads[i].defined()) grads[i] = sum(grads[i], Axes{0});
    }
    return grads;
  };
  TraceScope scope(trace.parent());
  TensorList results =
      emit(custom_vjp_primitive(), operands,
           CustomVjpParams{p.program->batch(batched, trace.size()), rule, p.arguments});
  for (Tensor& result : results) result = trace.lift(result);
  return results;
}

TensorList custom_jvp_jvp(JvpTrace& trace, const Params& params, Inputs inputs);
TensorList custom_jvp_vjp(VjpTrace& trace, const Params& params, Inputs inputs);
TensorList custom_jvp_batch(BatchTrace& trace, const Params& params, Inputs inputs);

const Primitive& custom_jvp_primitive() {
  static const Primitive& p = define(
      Control{.name = "custom_jvp_call",
              .infer = custom_types<CustomJvpParams>,
              .decompose = custom_run<CustomJvpParams>,
              .rules = {.jvp = custom_jvp_jvp, .vjp = custom_jvp_vjp, .batch = custom_jvp_batch},
              .is_its_body = true});
  return p;
}

/// Results and tangents from the rule; operands beyond the arguments are captured constants.
TensorList run_jvp_rule(const CustomJvpParams& p, const TensorList& primals,
                        const TensorList& tangents) {
  TensorList operands(primals.begin(), primals.begin() + p.arguments);
  for (int64_t i = 0; i < p.arguments; ++i) {
    const Tensor& tangent = tangents[static_cast<size_t>(i)];
    operands.push_back(tangent.defined() ? tangent : zeros(primals[i].shape(), primals[i].dtype()));
  }
  TensorList out = p.rule->jvp(operands);
  const size_t results = p.program->graph().outputs.size();
  if (out.size() != 2 * results) {
    fail<TraceError>(
        "custom_jvp: the rule returned {} tensors; expected {} results and as many tangents",
        out.size(), results);
  }
  check_results("custom_jvp", "the rule", p.program->graph(), out, results);
  for (size_t k = 0; k < results; ++k) {
    const Tensor& tangent = out[results + k];
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
  TensorList primals, tangents;
  for (const Tensor& input : inputs) {
    primals.push_back(trace.primal(input));
    tangents.push_back(trace.tangent(input));
  }
  TraceScope scope(trace.parent());
  TensorList all = run_jvp_rule(p, primals, tangents);
  const size_t results = all.size() / 2;
  for (size_t k = 0; k < results; ++k) {
    if (is_floating(all[k].dtype())) all[k] = trace.lift(all[k], all[results + k]);
  }
  all.resize(results);
  return all;
}

TensorList custom_jvp_vjp(VjpTrace& trace, const Params& params, Inputs inputs) {
  const CustomJvpParams p = params.as<CustomJvpParams>();
  check_captured("custom_jvp", trace, inputs, p.arguments);
  const TensorList primals = trace.primals(inputs);
  std::vector<uint8_t> active;
  TypeList active_types;
  for (size_t i = 0; i < inputs.size(); ++i) {
    active.push_back(trace.owns(inputs[i]) && static_cast<int64_t>(i) < p.arguments);
    if (active.back()) active_types.push_back(inputs[i].type());
  }
  const auto split_rule = [p, primals, active](Inputs directions) {
    TensorList tangents(primals.size());
    size_t next = 0;
    for (size_t i = 0; i < primals.size(); ++i) {
      if (active[i]) tangents[i] = directions[next++];
    }
    return run_jvp_rule(p, primals, tangents);
  };
  TensorList results;
  {
    TraceScope scope(trace.parent());
    TensorList zero_tangents;
    for (const TensorType& type : active_types)
      zero_tangents.push_back(zeros(type.shape, type.dtype));
    results = split_rule(zero_tangents);
    results.resize(results.size() / 2);
  }
  return trace.record(
      inputs, results, [split_rule, active, active_types, types = types_of(results)](Inputs cts) {
        TensorList given;
        for (size_t k = 0; k < types.size(); ++k) {
          given.push_back(cts[k].defined() ? cts[k] : zeros(types[k].shape, types[k].dtype));
        }
        const TensorList grads = transpose_linear(
            [&](Inputs directions) {
              TensorList all = split_rule(directions);
              return TensorList(all.begin() + static_cast<int64_t>(all.size() / 2), all.end());
            },
            active_types, given);
        TensorList out(active.size());
        size_t next = 0;
        for (size_t i = 0; i < active.size(); ++i) {
          if (active[i]) out[i] = grads[next++];
        }
        return out;
      });
}

TensorList custom_jvp_batch(BatchTrace& trace, const Params& params, Inputs inputs) {
  const CustomJvpParams& p = params.as<CustomJvpParams>();
  std::vector<uint8_t> batched;
  TensorList operands;
  for (const Tensor& input : inputs) {
    batched.push_back(trace.batched(input));
    operands.push_back(trace.value(input));
  }
  std::vector<uint8_t> rule_batched(batched.begin(), batched.begin() + p.arguments);
  rule_batched.insert(rule_batched.end(), batched.begin(), batched.begin() + p.arguments);
  auto rule = std::make_shared<CustomJvpRule>();
  rule->f =
      batched_function(p.rule->f, {batched.begin(), batched.begin() + p.arguments}, trace.size());
  rule->jvp = batched_function(p.rule->jvp, rule_batched, trace.size());
  TraceScope scope(trace.parent());
  TensorList results =
      emit(custom_jvp_primitive(), operands,
           CustomJvpParams{p.program->batch(batched, trace.size()), rule, p.arguments});
  for (Tensor& result : results) result = trace.lift(result);
  return results;
}

}  // namespace

void define_control() {
  call_primitive();
  define_remat();
  custom_vjp_primitive();
  custom_jvp_primitive();
}

namespace detail {

TensorList custom_vjp_call(const TensorList& inputs, std::shared_ptr<const CustomVjpRule> rule) {
  const Staged staged = stage_function("custom_vjp", inputs, rule->f);
  return emit(
      custom_vjp_primitive(), staged.operands,
      CustomVjpParams{staged.program, std::move(rule), static_cast<int64_t>(inputs.size())});
}

TensorList custom_jvp_call(const TensorList& inputs, std::shared_ptr<const CustomJvpRule> rule) {
  const Staged staged = stage_function("custom_jvp", inputs, rule->f);
  return emit(
      custom_jvp_primitive(), staged.operands,
      CustomJvpParams{staged.program, std::move(rule), static_cast<int64_t>(inputs.size())});
}

}  // namespace detail
}  // namespace linnet
