// bridge::functional: an object module class in init/apply style on nnx states.
//
//   auto linear = bridge::functional<nnx::Linear>(32, 64);
//   nnx::State state = linear.init(nnx::Rngs(0));
//   auto [y, next] = linear.apply(state)(x);             // next = {graph definition, new state}
#pragma once

#include <functional>
#include <type_traits>
#include <utility>

#include "linnet/bridge/to_linen.h"

#pragma GCC visibility push(default)

namespace linnet::bridge {

/// States waiting for a call: the module is merged from them, called, and split again (B-158).
template <class M>
class FunctionalCall {
 public:
  FunctionalCall(nnx::GraphDef graphdef, nnx::State state)
      : graphdef_(std::move(graphdef)), state_(std::move(state)) {}

  /// {output, {graph definition, new state}}; the given states do not change.
  template <class... A>
  auto operator()(A&&... args) const {
    return method([](M& module, auto&&... a) { return module(std::forward<decltype(a)>(a)...); },
                  std::forward<A>(args)...);
  }
  /// The same for `function(module, args...)`; a member function works too.
  template <class F, class... A>
  auto method(F&& function, A&&... args) const {
    M module = nnx::merge<M>(graphdef_, nnx::State(state_));
    auto output = std::invoke(std::forward<F>(function), module, std::forward<A>(args)...);
    return std::make_pair(std::move(output),
                          std::make_pair(nnx::graphdef(module), nnx::state(module)));
  }

 private:
  nnx::GraphDef graphdef_;
  nnx::State state_;
};

template <class M>
class Functional {
 public:
  explicit Functional(std::function<M(nnx::Rngs&)> make) : make_(std::move(make)) {}

  /// Builds the module, keeps its graph definition, gives its state (B-157).
  nnx::State init(nnx::Rngs rngs = {}) {
    M module = make_(rngs);
    graphdef_ = nnx::graphdef(module);
    return nnx::state(module);
  }
  /// @throws ModuleError before `init`.
  template <class... S>
  FunctionalCall<M> apply(const S&... states) const {
    if (!graphdef_.definition()) throw ModuleError("Functional: apply was called before init");
    return FunctionalCall<M>(graphdef_, nnx::merge_state({&states...}));
  }
  const nnx::GraphDef& graphdef() const { return graphdef_; }

 private:
  std::function<M(nnx::Rngs&)> make_;
  nnx::GraphDef graphdef_;
};

/// `M(args..., rngs)` in functional style; nothing is built yet (B-156).
template <class M, class... A>
Functional<M> functional(A&&... args) {
  std::tuple<std::decay_t<A>...> arguments(std::forward<A>(args)...);
  return Functional<M>([arguments = std::move(arguments)](nnx::Rngs& rngs) {
    return detail::construct<M>(arguments, rngs);
  });
}

}  // namespace linnet::bridge

#pragma GCC visibility pop
