// linen::bind: a module with its variables, to be called like a function, for trying things out.
//
//   auto model = linen::bind(Mlp{}, variables, {.mutate = "batch_stats", .rngs = {{"dropout",
//   key}}}); Tensor y = model(x);                                  // may change what is mutable
//   Tensor z = model.child("encoder", Encoder{})(x);      // a submodule alone
//   auto [module, updated] = model.unbind();
//
// Programs that are transformed or compiled pass variables by `apply` instead: what a bound module
// holds changes over time.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "linnet/linen/scope.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

/// A module in a scope that stays open (L-054). Copies share their variables.
template <class Module>
class Bound {
 public:
  /// Calls the module: its names are free again, random streams go on.
  /// @throws ModuleError as `apply_with`.
  template <class... A>
  auto operator()(A&&... args) const {
    return call(module_, std::forward<A>(args)...);
  }
  /// Calls another function of a scope in place of the module: `linen::method`, a lambda.
  template <class F, class... A>
  auto call(const F& function, A&&... args) const {
    const std::shared_ptr<void> current = call_->enter();
    Scope scope = scope_;
    return Scope::call(scope, function, std::forward<A>(args)...);
  }
  /// A submodule with the variables below `name`.
  template <class Child>
  Bound<Child> child(const std::string& name, Child module) const {
    return Bound<Child>(call_, scope_.reopened(name), std::move(module));
  }
  /// All collections below the module, as they are now.
  Variables variables() const { return scope_.variables(); }
  const Module& module() const { return module_; }
  Scope scope() const { return scope_; }
  /// The module and its variables apart again (L-055).
  std::pair<Module, Variables> unbind() const { return {module_, variables()}; }

  Bound(std::shared_ptr<detail::RootCall> call, Scope scope, Module module)
      : call_(std::move(call)), scope_(std::move(scope)), module_(std::move(module)) {}

 private:
  std::shared_ptr<detail::RootCall> call_;
  Scope scope_;
  Module module_;
};

/// @param options which collections may change, and the random streams.
template <class Module>
Bound<Module> bind(Module module, const Variables& variables, const ApplyOptions& options = {}) {
  auto call = std::make_shared<detail::RootCall>(variables, options.rngs, options.mutate, false,
                                                 options.capture_intermediates, false);
  Scope scope = call->scope();
  return Bound<Module>(std::move(call), std::move(scope), std::move(module));
}

}  // namespace linnet::linen

#pragma GCC visibility pop
