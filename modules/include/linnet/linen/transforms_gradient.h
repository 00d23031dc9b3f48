// Derivatives inside functional modules, with the variables that the function makes and changes.
//
//   auto [y, pullback] = linen::vjp(linen::Dense{.features = 4}, s, x);
//   auto [variables, x_gradient] = pullback(ones_like(y));     // variables["params"]["kernel"]
//   auto [energy, forces] = linen::value_and_grad(Energy{}, s, positions);      //
//   std::tuple<Tensor> Tensor h = s("block", linen::remat(Block{}), x);           // recomputed in
//   the backward pass
#pragma once

#include <functional>
#include <memory>
#include <tuple>

#include "linnet/linen/lifted_call.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

struct VjpOptions {
  CollectionFilter vjp_variables = "params";  ///< which get cotangents
  CollectionFilter variables = true;          ///< which are seen besides
  CollectionFilter rngs = true;
  LINNET_FIELDS(vjp_variables, variables, rngs)
};

namespace detail {

TensorList remat_call(const LiftOptions& options, const ScopeFunction& f,
                      const CheckpointPolicy& policy);

struct LiftedGradient {
  TensorList results, gradients;
};
LiftedGradient gradient_call(const LiftOptions& options, const ScopeFunction& f);

struct LiftedVjp {
  TensorList results;
  /// Cotangents of the variables, by collection, and of the inputs.
  std::function<std::pair<Variables, TensorList>(const TensorList&)> pullback;
};
/// @param differentiated how many of the results have cotangents, from the first; called when `f`
/// has run.
LiftedVjp vjp_call(const VjpOptions& options, const ScopeFunction& f,
                   const std::function<size_t()>& differentiated);

struct LiftedJvp {
  TensorList results, tangents;
};
LiftedJvp jvp_call(const LiftOptions& options, const ScopeFunction& f, const TensorList& tangents,
                   const Variables& variable_tangents);

/// A function with its own reverse rule. The functions outlive the call.
struct CustomVjpCall {
  ScopeFunction f;
  ScopeFunction::Run forward;               ///< gives results, then residuals
  std::function<size_t()> forward_results;  ///< how many of those are results
  std::function<std::pair<Variables, TensorList>(const TensorList& residuals,
                                                 const TensorList& cotangents)>
      backward;
};
TensorList custom_vjp_call(const CollectionFilter& grad_vars, CustomVjpCall call);

struct RematTransform {
  static constexpr const char* kPrefix = "Checkpoint";
  LiftOptions options;
  CheckpointPolicy policy;
  LINNET_FIELDS(options, policy)

  template <class Module, class... A>
  auto apply(const Module& module, Scope& scope, const A&... args) const {
    ScopeCall<Module, A...> call(module, scope, args...);
    return call.result(remat_call(options, call.function(), policy));
  }
};

/// Always a tuple, of one tree per argument.
template <class Call, class... A>
auto tuple_of_arguments(const Call& call, const TensorList& values, const A&... args) {
  if constexpr (sizeof...(A) == 1)
    return std::make_tuple(call.chosen(values, args...));
  else
    return call.chosen(values, args...);
}

template <bool kAuxiliary, class F, class... A>
auto vjp(const VjpOptions& options, const F& f, Scope& scope, const A&... args) {
  using Call = DifferentiatedScopeCall<F, A...>;
  auto call = std::make_shared<Call>(f, scope, args...);
  const ScopeFunction function = call->function();
  LiftedVjp lifted = vjp_call(options, function, [&] {
    const std::vector<size_t> counts = function.result_counts();
    if (kAuxiliary) return counts.at(0);
    size_t all = 0;
    for (size_t count : counts) all += count;
    return all;
  });
  const auto pull = [call, lifted, prototypes = tree::copy(std::make_tuple(args...))](
                        const TensorList& cotangents) {
    auto gradients = lifted.pullback(cotangents);
    return std::apply(
        [&](const auto&... given) {
          return std::tuple_cat(std::make_tuple(std::move(gradients.first)),
                                tuple_of_arguments(call->call(), gradients.second, given...));
        },
        prototypes);
  };
  auto result = call->result(lifted.results);
  if constexpr (kAuxiliary) {
    using Value = std::tuple_element_t<0, typename Call::Result>;
    return std::make_tuple(
        std::get<0>(std::move(result)),
        [pull](const Value& cotangent) { return pull(tree::leaves(cotangent)); },
        std::get<1>(std::move(result)));
  } else {
    using Value = typename Call::Result;
    return std::make_pair(std::move(result),
                          [pull](const Value& cotangent) { return pull(tree::leaves(cotangent)); });
  }
}

}  // namespace detail

/// `module` recomputed in the backward pass instead of keeping its intermediate values (L-080).
template <class Module>
auto remat(Module module, LiftOptions options = {}, CheckpointPolicy policy = {}) {
  return Lifted<detail::RematTransform, Module>({std::move(options), std::move(policy)},
                                                std::move(module));
}
template <class Module>
auto checkpoint(Module module, LiftOptions options = {}, CheckpointPolicy policy = {}) {
  return linen::remat(std::move(module), std::move(options), std::move(policy));
}

/// The value of `f(s, args...)` and its gradients with respect to the arguments, always a tuple;
/// the variables are constants (L-095). f returns a floating zero-dimensional tensor, or a pair of
/// it and any auxiliary tree. Gives `{value, gradients}`, or `{value, auxiliary, gradients}`.
/// @throws ShapeError for a loss that is not a scalar, ValueError if the arguments hold nothing to
/// differentiate with respect to.
template <class F, class... A>
auto value_and_grad_with(const LiftOptions& options, const F& f, Scope& s, const A&... args) {
  detail::DifferentiatedScopeCall<F, A...> call(f, s, args...);
  const detail::LiftedGradient out = detail::gradient_call(options, call.function());
  auto result = call.result(out.results);
  auto gradients = detail::tuple_of_arguments(call.call(), out.gradients, args...);
  if constexpr (linnet::detail::PairOfResults<decltype(result)>) {
    return std::make_tuple(std::move(result.first), std::move(result.second), std::move(gradients));
  } else {
    return std::make_pair(std::move(result), std::move(gradients));
  }
}
template <class F, class... A>
auto value_and_grad(const F& f, Scope& s, const A&... args) {
  return linen::value_and_grad_with({}, f, s, args...);
}

/// The gradients alone; with an auxiliary result, `{gradients, auxiliary}`.
template <class F, class... A>
auto grad_with(const LiftOptions& options, const F& f, Scope& s, const A&... args) {
  auto result = linen::value_and_grad_with(options, f, s, args...);
  if constexpr (std::tuple_size_v<decltype(result)> == 3)
    return std::make_pair(std::move(std::get<2>(result)), std::move(std::get<1>(result)));
  else
    return std::move(std::get<1>(result));
}
template <class F, class... A>
auto grad(const F& f, Scope& s, const A&... args) {
  return linen::grad_with({}, f, s, args...);
}

/// The value of `f(s, args...)` and a function from its cotangent to `{variables, arguments...}`:
/// the cotangents of `options.vjp_variables`, by collection, and of each argument (L-093). It may
/// be called many times. Variables that f writes keep their values.
/// @throws ModuleError if f or the arguments hold further scopes.
template <class F, class... A>
auto vjp_with(const VjpOptions& options, const F& f, Scope& s, const A&... args) {
  return detail::vjp<false>(options, f, s, args...);
}
template <class F, class... A>
auto vjp(const F& f, Scope& s, const A&... args) {
  return detail::vjp<false>({}, f, s, args...);
}
/// The same for a function that gives a pair of its value and an auxiliary tree: `{value, pullback,
/// auxiliary}`.
template <class F, class... A>
auto vjp_with_aux(const VjpOptions& options, const F& f, Scope& s, const A&... args) {
  return detail::vjp<true>(options, f, s, args...);
}

/// The value of `f(s, primals...)` and its derivative in the direction `tangents` of the arguments
/// (both tuples) and `variable_tangents` of the variables, by collection; those left out do not
/// move (L-094).
/// @throws TreeError if the tangents of a collection are not those of its variables, ModuleError if
/// f or the arguments hold further scopes.
template <class F, class... A, class... T>
auto jvp_with(const LiftOptions& options, const F& f, Scope& s, const std::tuple<A...>& primals,
              const std::tuple<T...>& tangents, const Variables& variable_tangents) {
  static_assert(sizeof...(A) == sizeof...(T), "jvp needs as many tangents as primals");
  using Call = detail::DifferentiatedScopeCall<F, A...>;
  auto call =
      std::apply([&](const A&... args) { return std::make_unique<Call>(f, s, args...); }, primals);
  TensorList directions;
  std::apply(
      [&](const T&... tangent) {
        (linnet::detail::append_tangent<linnet::detail::with_tensors<A>, A>(directions, tangent),
         ...);
      },
      tangents);
  const detail::LiftedJvp out =
      detail::jvp_call(options, call->function(), directions, variable_tangents);
  return std::make_pair(call->result(out.results), call->result(out.tangents));
}
template <class F, class... A, class... T>
auto jvp(const F& f, Scope& s, const std::tuple<A...>& primals, const std::tuple<T...>& tangents,
         const Variables& variable_tangents) {
  return linen::jvp_with({}, f, s, primals, tangents, variable_tangents);
}

namespace detail {

template <class Forward, class Backward>
struct CustomVjpTransform {
  static constexpr const char* kPrefix = "Custom_vjp";
  Forward forward;
  Backward backward;
  CollectionFilter grad_vars;
  LINNET_FIELDS(forward, backward, grad_vars)

  template <class Module, class... A>
  auto apply(const Module& module, Scope& scope, const A&... args) const {
    struct State {
      ScopeCall<Module, A...> function;
      ScopeCall<Forward, A...> forward;
      Backward backward;
      std::optional<typename ScopeCall<Forward, A...>::Result> result;
    };
    auto state = std::shared_ptr<State>(
        new State{{module, scope, args...}, {forward, scope, args...}, backward, {}});
    CustomVjpCall call;
    call.f = state->function.function();
    call.f.run = [state, run = std::move(call.f.run)](const auto& scopes, const auto& inputs) {
      return run(scopes, inputs);
    };
    const ScopeFunction forward_function = state->forward.function();
    call.forward = [state, run = forward_function.run](const auto& scopes, const auto& inputs) {
      TensorList out = run(scopes, inputs);
      state->result.emplace(linnet::detail::blank(state->forward.call().traced()));
      return out;
    };
    call.forward_results = [counts = forward_function.result_counts] { return counts().at(0); };
    call.backward = [state](const TensorList& residuals, const TensorList& cotangents) {
      auto tangents = state->backward(tree::unflatten(std::get<1>(*state->result), residuals),
                                      tree::unflatten(std::get<0>(*state->result), cotangents));
      static_assert(std::tuple_size_v<decltype(tangents)> == sizeof...(A) + 1,
                    "the backward rule returns a tuple (or pair) of the variables' cotangents and "
                    "those of each argument");
      std::pair<Variables, TensorList> out{std::get<0>(tangents), {}};
      [&]<size_t... I>(std::index_sequence<I...>) {
        ((out.second = linnet::detail::joined_leaves(out.second, std::get<I + 1>(tangents))), ...);
      }(std::index_sequence_for<A...>{});
      return out;
    };
    return state->function.result(custom_vjp_call(grad_vars, std::move(call)));
  }
};

}  // namespace detail

/// `f` with its own reverse rule (L-096). `forward(s, args...)` gives `{result, residuals}`;
/// `backward(residuals, cotangent)` sees no scope and gives a tuple of the cotangents of the
/// variables in `grad_vars` (by collection) and of each argument. Without differentiation `f` runs.
/// What is not to be differentiated, such as settings, the functions capture. The residuals are
/// a tree: for the pullback of `vjp` itself keep variables and arguments, and run it backward.
template <class F, class Forward, class Backward>
auto custom_vjp(F f, Forward forward, Backward backward, CollectionFilter grad_vars = "params") {
  return Lifted<detail::CustomVjpTransform<Forward, Backward>, F>(
      {std::move(forward), std::move(backward), std::move(grad_vars)}, std::move(f));
}

}  // namespace linnet::linen

#pragma GCC visibility pop
