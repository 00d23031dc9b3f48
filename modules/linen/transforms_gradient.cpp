// Derivatives inside functional modules.
#include "linnet/linen/transforms_gradient.h"

#include "linnet/detail/format.h"
#include "modules/linen/lift.h"

namespace linnet::linen::detail {
namespace {

using linnet::detail::blank;
using linnet::detail::ReverseCall;

Pack pack_all(const char* name, const LiftOptions& options, const ScopeFunction& f) {
  return Pack(name, f.scopes, {{options.variables}, {options.variables}, {options.rngs}});
}

/// Derivatives with respect to variables are given by collection, so there can be one scope only.
void require_one_scope(const Pack& pack) {
  if (pack.scope_count() == 1) return;
  fail<ModuleError>(
      "linen::{}: the module or its arguments hold {} further scopes, whose derivatives would have "
      "no name\n  hint: make them children of the scope that is passed",
      pack.name(), pack.scope_count() - 1);
}

template <class T>
T primal(const ReverseCall& call, const T& object) {
  return linnet::detail::with_primals(object, call);
}

/// The tensors of `values` in the order of those of `variables`.
TensorList matching_leaves(const char* what, const Variables& variables, const Variables& values) {
  TensorList out;
  for (const auto& [path, leaf] : flat_leaves(variables)) {
    if (leaf->fixed()) continue;
    const Variables* found = values.find_path(path);
    const size_t count = leaf->leaf().tensors.size();
    if (!found || !found->is_leaf() || found->fixed() || found->leaf().tensors.size() != count) {
      fail<TreeError>("{}: there is none for variable {}", what, tree::to_string(path));
    }
    append(out, found->leaf().tensors);
  }
  return out;
}

}  // namespace

TensorList remat_call(const LiftOptions& options, const ScopeFunction& f,
                      const CheckpointPolicy& policy) {
  const Pack pack = pack_all("remat", options, f);
  PackedCall call(pack, pack.variables(), pack.streams());
  const TensorList inputs = call.inputs(f.inputs);
  const auto body = [&](const TensorList& lifted) { return call.run(f.run, lifted); };
  return call.finish(evaluating_known() ? body(inputs)
                                        : linnet::detail::remat_call(inputs, body, policy));
}

LiftedGradient gradient_call(const LiftOptions& options, const ScopeFunction& f) {
  const Pack pack = pack_all("grad", options, f);
  const VariableGroups variables = pack.variables();
  const StreamGroups streams = pack.streams();
  ReverseCall call("grad", f.inputs, false);
  Pack::Run ran;
  call.run([&] {
    ran = pack.run(f.run, variables, streams, call.traced());
    const Tensor& loss = ran.results.at(0);
    if (!loss.shape().empty())
      fail<ShapeError>("linen::grad: expected a scalar loss, got {}", to_string(loss.type()));
  });
  const Tensor loss = ran.results[0];
  LiftedGradient out;
  out.gradients = call.pullback({loss}, {ones_like(call.primal(loss))});
  out.results = primal(call, ran.results);
  pack.publish(primal(call, ran.updated));
  return out;
}

LiftedVjp vjp_call(const VjpOptions& options, const ScopeFunction& f,
                   const std::function<size_t()>& differentiated) {
  const Pack pack("vjp", f.scopes,
                  {{options.vjp_variables, options.variables},
                   {options.vjp_variables, options.variables},
                   {options.rngs}});
  require_one_scope(pack);
  VariableGroups variables = pack.variables();
  const StreamGroups streams = pack.streams();
  TensorList inputs = tree::leaves(variables[0]);
  append(inputs, f.inputs);
  auto call = std::make_shared<ReverseCall>("vjp", inputs, false);
  Pack::Run ran;
  TensorList outputs;
  call->run([&] {
    LeafReader leaves(call->traced());
    variables[0] = leaves.take(variables[0]);
    ran = pack.run(f.run, variables, streams, leaves.rest());
    outputs = ran.results;
    outputs.resize(differentiated());
  });
  LiftedVjp out;
  out.results = primal(*call, ran.results);
  pack.publish(primal(*call, ran.updated));
  out.pullback = [call, outputs, prototype = blank(variables[0][0])](const TensorList& cotangents) {
    const TensorList all = call->pullback(outputs, cotangents);
    LeafReader leaves(all);
    Variables gradients = leaves.take(prototype);
    return std::make_pair(std::move(gradients), leaves.rest());
  };
  return out;
}

LiftedJvp jvp_call(const LiftOptions& options, const ScopeFunction& f, const TensorList& tangents,
                   const Variables& variable_tangents) {
  std::vector<std::string> moving;
  for (const auto& [collection, tree] : variable_tangents.children()) {
    if (!tree.empty()) moving.push_back(collection);
  }
  const Pack pack("jvp", f.scopes,
                  {{moving, options.variables}, {options.variables}, {options.rngs}});
  require_one_scope(pack);
  const VariableGroups variables = pack.variables();
  const StreamGroups streams = pack.streams();
  TensorList primals = tree::leaves(variables[0]);
  append(primals, f.inputs);
  TensorList directions =
      matching_leaves("linen::jvp: tangents", variables[0][0], variable_tangents);
  append(directions, tangents);
  VariableGroups updated;
  size_t results = 0;
  LiftedJvp out;
  const TensorList outputs = linnet::detail::forward_call(
      primals, directions,
      [&](const TensorList& lifted) {
        LeafReader leaves(lifted);
        VariableGroups inside = variables;
        inside[0] = leaves.take(variables[0]);
        Pack::Run ran = pack.run(f.run, inside, streams, leaves.rest());
        results = ran.results.size();
        append_leaves(ran.results, ran.updated);
        updated = blank(ran.updated);
        return ran.results;
      },
      out.tangents);
  out.tangents.resize(results);
  LeafReader leaves(outputs);
  out.results = leaves.take_tensors(results);
  pack.publish(leaves.take(updated));
  return out;
}

namespace {

/// What the rules of one call share; they outlive it.
struct CustomVjp {
  CustomVjp(const CollectionFilter& grad_vars, CustomVjpCall given)
      : call(std::move(given)),
        pack("custom_vjp", call.f.scopes, {{grad_vars, true}, {grad_vars, true}, {true}}) {
    require_one_scope(pack);
    variables = pack.variables();
    streams = pack.streams();
    before = pack.counters();
    inputs = tree::leaves(variables);
    append_leaves(inputs, streams);
    append(inputs, call.f.inputs);
    variables = blank(variables);
    streams = blank(streams);
    call.f.inputs.clear();
  }

  /// Of a run: `results` tensors, then the updated variables, then residuals.
  TensorList run(const ScopeFunction::Run& f, const TensorList& lifted,
                 const std::function<size_t()>& result_count) {
    LeafReader leaves(lifted);
    const VariableGroups variables_inside = leaves.take(variables);
    const StreamGroups streams_inside = leaves.take(streams);
    const Pack::Run ran = pack.run(f, variables_inside, streams_inside, leaves.rest());
    results = result_count ? result_count() : ran.results.size();
    updated = blank(ran.updated);
    const auto residuals = ran.results.begin() + static_cast<int64_t>(results);
    TensorList out(ran.results.begin(), residuals);
    append_leaves(out, ran.updated);
    out.insert(out.end(), residuals, ran.results.end());
    return out;
  }

  /// Cotangents of all inputs; other variables and keys have none.
  TensorList pull_back(const TensorList& lifted) const {
    const size_t behind = results + tree::leaves(updated).size();
    LeafReader leaves(lifted);
    const TensorList residuals = leaves.take_tensors(lifted.size() - behind);
    const auto [gradients, arguments] = call.backward(residuals, leaves.take_tensors(results));
    TensorList out =
        matching_leaves("linen::custom_vjp: cotangents that the backward rule returned",
                        variables[0][0], gradients);
    out.resize(tree::leaves(variables).size() + tree::leaves(streams).size());
    append(out, arguments);
    return out;
  }

  CustomVjpCall call;
  Pack pack;
  VariableGroups variables, updated;  // structures
  StreamGroups streams;
  Pack::Counters before;
  TensorList inputs;
  size_t results = 0;
};

}  // namespace

TensorList custom_vjp_call(const CollectionFilter& grad_vars, CustomVjpCall call) {
  auto shared = std::make_shared<CustomVjp>(grad_vars, std::move(call));
  auto rule = std::make_shared<linnet::detail::CustomVjpRule>();
  rule->f = [shared](const TensorList& lifted) {
    return shared->run(shared->call.f.run, lifted, nullptr);
  };
  // Whichever of the two functions runs, it draws the keys of the one call that there is.
  rule->fwd = [shared](const TensorList& lifted) {
    const Pack::Counters now = shared->pack.counters();
    shared->pack.set_counters(shared->before);
    TensorList out = shared->run(shared->call.forward, lifted, shared->call.forward_results);
    shared->pack.set_counters(now);
    return out;
  };
  rule->bwd = [shared](const TensorList& lifted) { return shared->pull_back(lifted); };
  const TensorList inputs = std::move(shared->inputs);
  const TensorList outputs =
      evaluating_known() ? rule->f(inputs) : linnet::detail::custom_vjp_call(inputs, rule);
  LeafReader leaves(outputs);
  TensorList out = leaves.take_tensors(shared->results);
  shared->pack.publish(leaves.take(shared->updated));
  return out;
}

}  // namespace linnet::linen::detail
