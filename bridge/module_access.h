// What the bridge does with modules beyond their own interface: binding them, and giving them
// variables.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "linnet/bridge/module.h"

namespace linnet::bridge::detail {

/// Variables for modules, by path below their collection.
using IncomingVariables = std::map<std::vector<std::string>, nnx::Variable>;
using VisitFunction = std::function<void(tree::Visitor&)>;

/// Later collections win; static entries are left out.
/// @throws ValueError if a collection is no dictionary.
IncomingVariables incoming_from(const linen::Variables& variables);
IncomingVariables incoming_from(const AttributeTree& tree);

/// Writes them into the variables and attribute trees that `visit` reaches; what is not there yet
/// stays with the innermost module around it, for whoever asks. Gives what found no place.
/// @throws linen::ScopeParamShapeError for parameters of another shape.
IncomingVariables fill(const VisitFunction& visit, IncomingVariables incoming);

struct ReachedModule {
  Module* module;
  const ModuleType* type;
  std::string path;
};
/// Every module that `visit` reaches, deepest first.
std::vector<ReachedModule> modules_below(const VisitFunction& visit);

struct ModuleAccess {
  static void visit(Module& module, const ModuleType& type, tree::Visitor& visitor);
  /// Keeps variables that nobody has asked for.
  static void keep(Module& module, const std::vector<std::string>& path,
                   const nnx::Variable& variable);
  /// Gives scopes to the modules that have none, then runs the setups that have not run.
  static void bind(const std::vector<ReachedModule>& modules, const Scope& scope, bool initializing,
                   const std::string& path);
  static void unbind(Module& module);
};

}  // namespace linnet::bridge::detail
