#include "linnet/bridge/module_apply.h"

#include "linnet/bridge/interop.h"
#include "linnet/detail/format.h"
#include "module_access.h"

namespace linnet::bridge::detail {

void give_variables(const std::function<void(tree::Visitor&)>& visit,
                    const linen::Variables& variables) {
  const IncomingVariables left = fill(visit, incoming_from(variables));
  if (left.empty()) return;
  fail<ModuleError>("bridge::Module: there is no variable '{}'",
                    fmt::join(left.begin()->first, "/"));
}

BoundModules::BoundModules(std::function<void(tree::Visitor&)> visit,
                           const linen::Variables& variables, const ApplyOptions& options,
                           bool initializing)
    : visit_(std::move(visit)) {
  give_variables(visit_, variables);
  if (initializing) wrappers_.emplace(visit_);
  try {
    ModuleAccess::bind(modules_below(visit_), Scope(options.rngs.shared(), options.mutate),
                       initializing, "");
  } catch (...) {
    unbind();
    throw;
  }
}

BoundModules::~BoundModules() { unbind(); }

void BoundModules::unbind() noexcept {
  for (const ReachedModule& reached : modules_below(visit_)) ModuleAccess::unbind(*reached.module);
}

Module& interop_parent(const char* function) {
  Module* parent = current_module();
  if (!parent || !parent->scope()) {
    fail<ModuleError>("{}: there is no call of a bridge::Module in progress", function);
  }
  return *parent;
}

std::string interop_name(std::string_view given, const std::string& type) {
  ModuleContext& context = *current_context();
  if (!context.in_compact) return {};
  if (!given.empty()) return std::string(given);
  return type + '_' + std::to_string(context.type_counter[type]++);
}

std::vector<nnx::detail::NodeLeaf> random_leaves(const std::function<void(tree::Visitor&)>& visit) {
  std::vector<nnx::detail::NodeLeaf> out;
  for (nnx::detail::NodeLeaf& leaf : nnx::detail::walk(visit)) {
    if (!leaf.cell) continue;
    const auto& cell = static_cast<const nnx::VariableCell&>(*leaf.cell);
    if (cell.type->is(nnx::RngState::static_type())) out.push_back(std::move(leaf));
  }
  return out;
}

void set_wrapper_initializing(const std::function<void(tree::Visitor&)>& visit, bool value) {
  nnx::detail::set_flags(visit, {{kInitializing, value}}, false);
}

}  // namespace linnet::bridge::detail
