// Functional calls of bridge::Module: init and apply.
//
//   linen::Variables vars = bridge::init(model, 0, x);               // a seed: the stream
//   `default` Tensor y = bridge::apply(model, vars, x); auto [z, all] = bridge::apply_with({.mutate
//   = true, .rngs = {{"dropout", Key(1)}}},
//                                      model, vars, x);
//   auto [h, same] = bridge::apply_method({}, &Mlp::encode, model, vars, x);
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/bridge/module.h"
#include "linnet/bridge/to_nnx.h"
#include "linnet/bridge/variables.h"

#pragma GCC visibility push(default)

namespace linnet::bridge {

/// The streams of a call: none, a seed or key (the stream `default`), keys by name, or an Rngs,
/// whose streams advance.
class ApplyRngs {
 public:
  ApplyRngs() : ApplyRngs(nnx::Rngs()) {}
  ApplyRngs(int64_t seed) : ApplyRngs(nnx::Rngs(seed)) {}   // NOLINT(runtime/explicit)
  ApplyRngs(const Key& key) : ApplyRngs(nnx::Rngs(key)) {}  // NOLINT(runtime/explicit)
  ApplyRngs(std::initializer_list<std::pair<std::string, Key>> keys) : ApplyRngs(nnx::Rngs(keys)) {}
  ApplyRngs(nnx::Rngs&& rngs)  // NOLINT(runtime/explicit)
      : rngs_(nnx::Shared<nnx::Rngs>::make(std::move(rngs))) {}
  ApplyRngs(nnx::Rngs& rngs)  // NOLINT(runtime/explicit)
      : rngs_(std::shared_ptr<nnx::Rngs>(std::shared_ptr<void>(), &rngs)) {}
  const nnx::Shared<nnx::Rngs>& shared() const { return rngs_; }

 private:
  nnx::Shared<nnx::Rngs> rngs_;
};

struct ApplyOptions {
  /// What modules wrapped inside may change. If it is not empty, all variables are returned.
  linen::CollectionFilter mutate = false;
  ApplyRngs rngs = {};
};

namespace detail {

/// Writes variables into the modules; what is not there yet waits in the innermost one.
/// @throws ModuleError for paths below something that is no module.
void give_variables(const std::function<void(tree::Visitor&)>& visit,
                    const linen::Variables& variables);

/// Binds every module that `visit` reaches while it lives.
class BoundModules {
 public:
  /// Writes `variables` into the modules, binds them, and runs pending setups.
  BoundModules(std::function<void(tree::Visitor&)> visit, const linen::Variables& variables,
               const ApplyOptions& options, bool initializing);
  ~BoundModules();
  BoundModules(const BoundModules&) = delete;
  BoundModules& operator=(const BoundModules&) = delete;

 private:
  void unbind() noexcept;
  std::function<void(tree::Visitor&)> visit_;
  std::optional<InitializingScope> wrappers_;
};

template <class F, class M, class... A>
auto called(F& method, M& module, A&&... args) {
  if constexpr (std::is_void_v<std::invoke_result_t<F&, M&, A...>>) {
    std::invoke(method, module, std::forward<A>(args)...);
    return std::tuple<>();
  } else {
    return std::invoke(method, module, std::forward<A>(args)...);
  }
}

/// {output, all variables}; the latter are empty if nothing is mutable.
template <class F, class M, class... A>
auto apply_module(const ApplyOptions& options, bool initializing, F& method, const M& module,
                  const linen::Variables& variables, A&&... args) {
  M clone = tree::copy(module);
  auto output = [&] {
    const BoundModules bound(nnx::detail::visitor_of(clone), variables, options, initializing);
    const ModuleCall call(clone, false);
    return called(method, clone, std::forward<A>(args)...);
  }();
  linen::Variables all;
  if (!options.mutate.empty()) all = bridge::variables(clone);
  return std::make_pair(std::move(output), std::move(all));
}

inline constexpr auto kCall = [](auto& module, auto&&... args) -> decltype(auto) {
  return module(std::forward<decltype(args)>(args)...);
};

}  // namespace detail

/// Writes values and metadata into a module outside of calls. Variables under names that are no
/// attributes yet are kept for the call that asks for them (B-164).
/// @throws ModuleError for paths below something that is no module; linen::ScopeParamShapeError.
template <IsModule M>
void update(M& module, const linen::Variables& variables) {
  detail::give_variables(nnx::detail::visitor_of(module), variables);
}

/// Runs `method(module, args...)` on a copy of the module that holds the variables; a member
/// function works too. Gives {output, variables of all collections}, the latter only if something
/// is mutable; a method without result gives an empty tuple. Variables that nobody asks for stay
/// among those returned.
/// @throws ModuleError and ValueError as Module's members say.
template <class F, IsModule M, class... A>
  requires std::is_invocable_v<F&, M&, A...>
auto apply_method(const ApplyOptions& options, F method, const M& module,
                  const linen::Variables& variables, A&&... args) {
  return detail::apply_module(options, false, method, module, variables, std::forward<A>(args)...);
}
/// The same for the call operator.
template <IsModule M, class... A>
auto apply_with(const ApplyOptions& options, const M& module, const linen::Variables& variables,
                A&&... args) {
  return detail::apply_module(options, false, detail::kCall, module, variables,
                              std::forward<A>(args)...);
}
/// The output alone, without streams and with nothing mutable.
template <IsModule M, class... A>
auto apply(const M& module, const linen::Variables& variables, A&&... args) {
  return bridge::apply_with({}, module, variables, std::forward<A>(args)...).first;
}

/// `apply_method` on no variables, in initialising mode and with everything mutable.
template <class F, IsModule M, class... A>
  requires std::is_invocable_v<F&, M&, A...>
auto init_method(const ApplyRngs& rngs, F method, const M& module, A&&... args) {
  return detail::apply_module({.mutate = true, .rngs = rngs}, true, method, module, {},
                              std::forward<A>(args)...);
}
template <IsModule M, class... A>
auto init_with_output(const M& module, const ApplyRngs& rngs, A&&... args) {
  return detail::apply_module({.mutate = true, .rngs = rngs}, true, detail::kCall, module, {},
                              std::forward<A>(args)...);
}
template <IsModule M, class... A>
linen::Variables init(const M& module, const ApplyRngs& rngs, A&&... args) {
  return bridge::init_with_output(module, rngs, std::forward<A>(args)...).second;
}

}  // namespace linnet::bridge

#pragma GCC visibility pop
