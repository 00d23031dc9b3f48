// jit of functional modules inside others: one compiled program per module, types and collections.
//
//   Tensor h = s("block", linen::jit(Block{.width = 256}), x);
//
// A whole call is compiled by `linnet::jit` round `linen::apply`; this is for parts of it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "linnet/jit.h"
#include "linnet/linen/lifted_call.h"
#include "linnet/linen/module_identity.h"

#pragma GCC visibility push(default)

namespace linnet::linen {
namespace detail {

using linnet::detail::JitCore;

struct LiftedJit {
  TensorList results;
  std::shared_ptr<const void> prototype;  ///< of the result
};
/// @param settings text that tells this function from others of its cache.
/// @param prototype keeps the structure of the last result.
LiftedJit jit_call(JitCore& core, const std::string& settings, const LiftOptions& options,
                   const ScopeFunction& f,
                   const std::function<std::shared_ptr<const void>()>& prototype);
TensorList fold_rngs_call(const LiftOptions& options, const ScopeFunction& f);

/// One cache for all equal modules: functional code makes them anew at every call. It lives as long
/// as the process, since programs need what ends in an order of its own.
template <class Module, class... A>
JitCore& shared_jit() {
  static JitCore* core = new JitCore(JitOptions{.name = class_name(typeid(Module))});
  return *core;
}

/// @tparam Module whose programs are kept.
template <class Module>
struct JitTransform {
  static constexpr const char* kPrefix = "Jit";

  JitTransform(LiftOptions given, const Module& module) : options(std::move(given)) {
    ModuleIdentity text;
    linen::detail::identify(text, options);
    linen::detail::identify(text, module);
    identity = std::move(text.text);
    // What cannot be compared is equal to its copies only.
    if (text.opaque)
      own = std::make_shared<JitCore>(JitOptions{.name = class_name(typeid(Module))});
  }

  template <class M, class... A>
  auto apply(const M& module, Scope& scope, const A&... args) const {
    using Call = ScopeCall<M, A...>;
    Call call(module, scope, args...);
    const std::string settings = identity + '|' + tree::structure(std::make_tuple(args...)) + '|' +
                                 typeid(std::tuple<A...>).name();
    const LiftedJit out =
        jit_call(own ? *own : shared_jit<M, A...>(), settings, options, call.function(), [&call] {
          return std::make_shared<const typename Call::Result>(
              linnet::detail::blank(call.call().traced()));
        });
    return tree::unflatten(*static_cast<const typename Call::Result*>(out.prototype.get()),
                           out.results);
  }
  template <class Identity>
  void identify(Identity& out) const {
    out.text += identity;
    out.opaque |= own != nullptr;
  }

  LiftOptions options;
  std::string identity;
  std::shared_ptr<JitCore> own;
};

struct FoldRngsTransform {
  static constexpr const char* kPrefix = "Fold_rngs";
  LiftOptions options;
  LINNET_FIELDS(options)

  template <class Module, class... A>
  auto apply(const Module& module, Scope& scope, const A&... args) const {
    ScopeCall<Module, A...> call(module, scope, args...);
    return call.result(fold_rngs_call(options, call.function()));
  }
};

}  // namespace detail

/// `module` compiled (L-078). Modules with equal settings share programs, as do scopes at other
/// paths; a module that holds what cannot be compared (a lambda with captures) shares them with its
/// copies only, so it is made once and kept. C++ numbers among the arguments belong to the program.
/// Keys inside are those of `fold_rngs`: each stream gives one key at the scope's path, from which
/// the module draws as if it were the root.
template <class Module>
auto jit(Module module, LiftOptions options = {}) {
  detail::JitTransform<Module> transform(std::move(options), module);
  return Lifted<detail::JitTransform<Module>, Module>(std::move(transform), std::move(module));
}

/// `module` with the keys that it has under `jit`, without compiling it (L-079).
template <class Module>
auto fold_rngs(Module module, LiftOptions options = {}) {
  return Lifted<detail::FoldRngsTransform, Module>({std::move(options)}, std::move(module));
}

}  // namespace linnet::linen

#pragma GCC visibility pop
