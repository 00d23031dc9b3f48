#include "linnet/nnx/ema.h"

#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet::nnx {

EMA::EMA(State chosen, double decay, Filter only)
    : params_(std::as_const(chosen)), decay_(decay), filter_(std::move(only)) {
  for (const auto& [path, leaf] : params_.entries()) {
    if (leaf.cell) continue;
    fail<ModuleError>(
        "EMA: '{}' is a plain tensor, and means are kept of variables\n"
        "  hint: choose variables with the filter, such as of_type<Param>()",
        tree::to_string(path));
  }
}

void EMA::blend(const State& values) {
  std::vector<std::pair<Variable, Tensor>> writes;
  for (const auto& [path, leaf] : params_.entries()) {
    const StateLeaf* value = values.find(path);
    if (!value) fail<ModuleError>("EMA: the model has no variable '{}'", tree::to_string(path));
    const Tensor now = value->value();
    Variable shadow(leaf.cell);
    const Tensor held = shadow.value();
    const bool averaged = is_inexact(held.dtype());
    writes.emplace_back(std::move(shadow), averaged ? decay_ * held + (1 - decay_) * now : now);
  }
  if (values.size() != params_.size()) {
    fail<ModuleError>("EMA: there are means of {} variables, and the model has {}", params_.size(),
                      values.size());
  }
  state::Scope all;  // or none
  for (auto& [shadow, mean] : writes) shadow.set_value(mean);
  all.commit();
}

void EMA::visit(tree::Visitor& visitor) {
  visitor.enter(typeid(EMA), 3);
  visitor.child("params");
  tree::visit(params_, visitor);
  visitor.child("decay");
  tree::visit(decay_, visitor);
  visitor.child("filter");
  visitor.fixed(typeid(std::string), filter_.text());
  visitor.leave();
}

}  // namespace linnet::nnx
