// The optimiser of an object model: a transformation whose state lies in variables.
#include "linnet/detail/format.h"
#include "linnet/ops.h"
#include "linnet/optim.h"
#include "linnet/optim/state_kinds.h"
#include "modules/optim/transform.h"

namespace linnet::optim {

namespace detail {

TransformState StateVariables::read() const {
  TransformState out;
  for (const auto& [name, variables] : lists) {
    TensorList& list = out.lists[name];
    for (const nnx::OptState& variable : variables) list.push_back(variable.value());
  }
  for (const StateVariables& part : parts) out.parts.push_back(part.read());
  return out;
}

namespace {

/// One tensor for each parameter, of its shape: a count of steps is an integer.
bool belongs_to_parameters(const TensorList& tensors, const ParameterList& parameters) {
  if (tensors.size() != parameters.size()) return false;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!is_floating(tensors[i].dtype()) || tensors[i].shape() != parameters[i].shape) return false;
  }
  return true;
}

}  // namespace

void StateVariables::shape_like(const TransformState& state, const ParameterList& parameters) {
  std::erase_if(lists, [&](const auto& list) { return !state.lists.count(list.first); });
  for (const auto& [name, tensors] : state.lists) {
    std::vector<nnx::OptState>& variables = lists[name];
    while (variables.size() > tensors.size()) variables.pop_back();
    const bool by_parameter = belongs_to_parameters(tensors, parameters);
    for (size_t i = variables.size(); i < tensors.size(); ++i) {
      if (by_parameter) {
        variables.emplace_back(OptVariable::static_type(), tensors[i], parameters[i].metadata);
      } else {
        variables.emplace_back(OptArray::static_type(), tensors[i]);
      }
    }
  }
  parts.resize(state.parts.size());
  for (size_t i = 0; i < parts.size(); ++i) parts[i].shape_like(state.parts[i], parameters);
}

void StateVariables::append_writes(const TransformState& state, Writes& out) const {
  for (const auto& [name, tensors] : state.lists) {
    const std::vector<nnx::OptState>& variables = lists.at(name);
    for (size_t i = 0; i < tensors.size(); ++i)
      out.emplace_back(variables[i].cell(), state::Value(variables[i].stored(tensors[i])));
  }
  for (size_t i = 0; i < parts.size(); ++i) parts[i].append_writes(state.parts[i], out);
}

void StateVariables::write(const TransformState& state, const ParameterList& parameters) {
  shape_like(state, parameters);
  Writes writes;
  append_writes(state, writes);
  for (auto& [cell, value] : writes) state::write(cell, std::move(value));
}

}  // namespace detail

namespace {

nnx::State chosen_variables(const std::vector<nnx::detail::NodeLeaf>& leaves,
                            const nnx::Filter& wrt) {
  nnx::State chosen = std::move(filter_state(nnx::detail::state_of(leaves), {wrt})[0]);
  if (chosen.empty()) nnx::detail::fail_nothing_chosen("optimizer", leaves, wrt);
  for (const auto& [path, leaf] : chosen.entries()) {
    if (!leaf.cell) {
      fail<ModuleError>("optimizer: '{}' is a plain tensor, not a variable", tree::to_string(path));
    }
  }
  return chosen;
}

TensorList values_of(const nnx::State& state) {
  TensorList out;
  for (const auto& [path, leaf] : state.entries()) out.push_back(leaf.value());
  return out;
}

/// Hooks belong to the parameter's own value.
Metadata metadata_of_states(Metadata metadata) {
  for (const char* hook : {"on_get_value", "on_set_value", "on_create_value"}) metadata.erase(hook);
  if (const MetadataValue* sharding = metadata.find("optimizer_sharding")) {
    metadata.set("out_sharding", MetadataValue(*sharding));
    metadata.erase("optimizer_sharding");
  }
  return metadata;
}

detail::ParameterList traits_of(const nnx::State& params) {
  detail::ParameterList out;
  for (const auto& [path, leaf] : params.entries())
    out.push_back({leaf.value().shape(), metadata_of_states(leaf.cell->metadata)});
  return out;
}

/// `tx`, or what it is for the parameters of a state, which is then kept in `bound`.
const GradientTransformation& bound_to_paths(const GradientTransformation& tx,
                                             const nnx::State& params,
                                             GradientTransformation& bound) {
  if (!tx.bind) return tx;
  std::vector<tree::Path> paths;
  for (const auto& [path, leaf] : params.entries()) paths.push_back(path);
  bound = tx.bind(paths);
  return bound;
}

}  // namespace

Optimizer::Optimizer(GradientTransformation tx, nnx::Filter wrt,
                     const std::vector<nnx::detail::NodeLeaf>& leaves)
    : Optimizer(std::move(tx), wrt, chosen_variables(leaves, wrt)) {}

Optimizer::Optimizer(GradientTransformation tx, nnx::Filter wrt, const nnx::State& chosen)
    : tx_(std::move(tx)),
      wrt_(std::move(wrt)),
      step_(zero_count(values_of(chosen), DType::kU32)),
      parameters_(traits_of(chosen)) {
  tx_.description = described(std::move(tx_.description));
  GradientTransformation bound;
  state_.write(bound_to_paths(tx_, chosen, bound).init_list(values_of(chosen)), parameters_);
}

Optimizer& Optimizer::operator=(const Optimizer& other) {
  if (this == &other) return *this;
  const TransformState state = other.state();
  tx_ = other.tx_;
  wrt_ = other.wrt_;
  step_ = other.step_;
  parameters_ = other.parameters_;
  state_.write(state, parameters_);
  return *this;
}

void Optimizer::visit(tree::Visitor& visitor) {
  visitor.enter(typeid(Optimizer), 4);
  visitor.child("description");
  visitor.fixed(typeid(std::string), tx_.description);
  visitor.child("wrt");
  visitor.fixed(typeid(std::string), wrt_.text());
  visitor.child("step");
  tree::visit(step_, visitor);
  visitor.child("state");
  tree::visit(state_, visitor);
  visitor.leave();
}

void Optimizer::update_state(const nnx::State& params, const nnx::State& grads,
                             const ExtraArguments& extra, nnx::State* updates) {
  TensorList values, gradients;
  for (const auto& [path, leaf] : params.entries()) {
    const nnx::StateLeaf* gradient = grads.find(path);
    if (!gradient)
      fail<ModuleError>("optimizer: there is no gradient for '{}'", tree::to_string(path));
    if (!leaf.cell)
      fail<ModuleError>("optimizer: '{}' is a plain tensor, not a variable", tree::to_string(path));
    values.push_back(leaf.value());
    gradients.push_back(gradient->value());
    if (values.back().shape() != gradients.back().shape()) {
      fail<ShapeError>("optimizer: the gradient of '{}', {}, does not fit the parameter, {}",
                       tree::to_string(path), to_string(gradients.back().type()),
                       to_string(values.back().type()));
    }
  }
  if (grads.size() != params.size()) {
    fail<ModuleError>("optimizer: {} gradients were given for {} parameters", grads.size(),
                      params.size());
  }
  TransformState next_state = state();
  GradientTransformation bound;
  const GradientTransformation& tx = bound_to_paths(tx_, params, bound);
  TensorList next;
  if (updates) {
    const TensorList added = detail::update_lists(tx, gradients, next_state, values, extra);
    next = apply_updates(values, added);
    size_t at = 0;
    for (const auto& [path, leaf] : params.entries()) updates->insert(path, {nullptr, added[at++]});
  } else {
    next = step_lists(tx, values, gradients, next_state, extra);
  }
  detail::StateVariables::Writes writes;
  size_t i = 0;
  for (const auto& [path, leaf] : params.entries())
    writes.emplace_back(leaf.cell, state::Value(nnx::Variable(leaf.cell).stored(next[i++])));
  writes.emplace_back(step_.cell(), state::Value(next_count(step_.value())));
  state_.shape_like(next_state, parameters_);
  state_.append_writes(next_state, writes);
  // Nothing has been written until here, and nothing can fail any more.
  for (auto& [cell, value] : writes) state::write(cell, std::move(value));
}

}  // namespace linnet::optim
