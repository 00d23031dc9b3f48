#include "module_access.h"

#include <algorithm>

#include "linnet/bridge/convert.h"
#include "linnet/detail/format.h"
#include "linnet/linen/errors.h"

namespace linnet::bridge::detail {
namespace {

using Names = std::vector<std::string>;

class Filler final : public AttributeVisitor {
 public:
  explicit Filler(IncomingVariables& incoming) : incoming_(incoming) {}

  void cell(state::CellPtr& cell) override {
    const auto found = incoming_.find(tree::names(path()));
    if (found == incoming_.end()) return;
    auto& target = static_cast<nnx::VariableCell&>(*cell);
    check_shape(target, found->second);
    state::write(cell, found->second.raw_value());
    target.metadata = found->second.metadata();
    incoming_.erase(found);
  }
  void attributes(AttributeTree& tree) override {
    take_below(
        [&](const Names& below, const nnx::Variable& variable) { tree.at_path(below) = variable; });
  }
  void left_module(Module& module, const ModuleType&) override {
    take_below([&](const Names& below, const nnx::Variable& variable) {
      ModuleAccess::keep(module, below, variable);
    });
  }

 private:
  template <class F>
  void take_below(const F& take) {
    const Names prefix = tree::names(node_path());
    for (auto entry = incoming_.begin(); entry != incoming_.end();) {
      const Names& path = entry->first;
      if (path.size() <= prefix.size() || !std::equal(prefix.begin(), prefix.end(), path.begin())) {
        ++entry;
        continue;
      }
      take(Names(path.begin() + static_cast<std::ptrdiff_t>(prefix.size()), path.end()),
           entry->second);
      entry = incoming_.erase(entry);
    }
  }
  void check_shape(const nnx::VariableCell& target, const nnx::Variable& given) const {
    const state::Value held = target.raw(), value = given.raw_value();
    if (!nnx::keeps_shape(*target.type) || !held.single() || !value.single()) return;
    if (held.tensors[0].shape() == value.tensors[0].shape()) return;
    fail<linen::ScopeParamShapeError>("ScopeParamShapeError: '{}': expected {}, got {}",
                                      tree::to_string(path()), to_string(held.tensors[0].type()),
                                      to_string(value.tensors[0].type()));
  }
  IncomingVariables& incoming_;
};

class Collector final : public AttributeVisitor {
 public:
  void attributes(AttributeTree&) override {}
  void left_module(Module& module, const ModuleType& type) override {
    found.push_back({&module, &type, tree::to_string(node_path())});
  }
  std::vector<ReachedModule> found;
};

}  // namespace

IncomingVariables incoming_from(const linen::Variables& variables) {
  IncomingVariables out;
  for (const auto& [path, leaf] : linen::flat_leaves(variables)) {
    if (leaf->fixed()) continue;
    if (path.size() < 2)
      fail<ValueError>("bridge::apply: expected a dictionary of collections, got a leaf");
    out.insert_or_assign(Names(path.begin() + 1, path.end()), to_nnx_var(path.front(), *leaf));
  }
  return out;
}
IncomingVariables incoming_from(const AttributeTree& tree) {
  IncomingVariables out;
  for (const auto& [path, leaf] : flat_leaves(tree)) {
    if (leaf->is_variable()) out.emplace(path, leaf->variable());
  }
  return out;
}

IncomingVariables fill(const VisitFunction& visit, IncomingVariables incoming) {
  if (incoming.empty()) return incoming;
  Filler filler(incoming);
  visit(filler);
  return incoming;
}

std::vector<ReachedModule> modules_below(const VisitFunction& visit) {
  Collector collector;
  visit(collector);
  return std::move(collector.found);
}

void visit_module(Module& module, const ModuleType& type, tree::Visitor& visitor) {
  ModuleAccess::visit(module, type, visitor);
}

void ModuleAccess::visit(Module& module, const ModuleType& type, tree::Visitor& visitor) {
  struct Child {
    AttrPriority priority;
    std::string name;
    VisitFunction visit;
  };
  std::vector<Child> children;
  const auto add = [&](const std::string& name, VisitFunction visit_child) {
    const auto found = module.priorities_.find(name);
    const AttrPriority priority =
        found == module.priorities_.end() ? AttrPriority::kDefault : found->second;
    children.push_back({priority, name, std::move(visit_child)});
  };
  for (ModuleField& field : type.fields(module)) add(field.name, std::move(field.visit));
  for (auto& [name, attribute] : module.attributes_)
    add(name, [&held = *attribute](tree::Visitor& v) { held.visit(v); });
  for (auto& [name, given] : module.pending_)
    add(name, [&tree = given](tree::Visitor& v) { tree.visit(v); });
  if (module.scope_) add("scope", [&](tree::Visitor& v) { tree::visit(*module.scope_, v); });
  std::stable_sort(children.begin(), children.end(), [](const Child& a, const Child& b) {
    return std::tie(a.priority, a.name) < std::tie(b.priority, b.name);
  });

  std::string settings{module.initializing_ ? 'i' : '-', module.is_setup_ ? 's' : '-'};
  for (const auto& [name, priority] : module.priorities_)
    settings += fmt::format(" {}:{}={}", name.size(), name, static_cast<int>(priority));
  visitor.enter(*type.type, children.size() + 1);
  visitor.child(std::string_view("module__state"));
  visitor.fixed(typeid(Module), settings);
  for (const Child& child : children) {
    visitor.child(std::string_view(child.name));
    child.visit(visitor);
  }
  if (auto* informed = dynamic_cast<AttributeVisitor*>(&visitor))
    informed->left_module(module, type);
  visitor.leave();
}

void ModuleAccess::keep(Module& module, const Names& path, const nnx::Variable& variable) {
  AttributeTree& given = module.pending_[path.front()];
  AttributeTree& node = given.at_path(Names(path.begin() + 1, path.end()));
  node = AttributeTree(nnx::Variable(variable.cell()));
}

void ModuleAccess::bind(const std::vector<ReachedModule>& modules, const Scope& scope,
                        bool initializing, const std::string& path) {
  for (const ReachedModule& reached : modules) {
    Module& module = *reached.module;
    if (module.scope_) continue;
    module.type_ = reached.type;
    module.scope_.emplace(scope.copy());
    module.initializing_ = initializing;
    module.path_ = path;
    if (!reached.path.empty()) module.path_ += (path.empty() ? "" : "/") + reached.path;
  }
  for (const ReachedModule& reached : modules) {
    if (!reached.type->setup || reached.module->is_setup_) continue;
    const ModuleCall call(*reached.module, false);
    reached.type->setup(*reached.module);
    reached.module->is_setup_ = true;
  }
}

void ModuleAccess::unbind(Module& module) {
  module.scope_.reset();
  module.initializing_ = false;
}

}  // namespace linnet::bridge::detail
