// Functions of the host inside of compiled programs: values leave the program, are worked on by
// ordinary C++ code, and results come back.
//
//   #include "linnet/callback.h"
//   const auto solve = [](const Tensor& x) { return my_solver(x); };   // concrete, on the host
//   Tensor step(const Tensor& x) { return x + pure_callback(solve, x.type(), x); }
//   auto compiled = jit(step);
//
//   io_callback([&](const Tensor& loss) { curve.push_back(loss.item<float>()); }, loss);
//
// A callback runs on the thread that calls the program, on whichever device the program is, and
// the program waits for it. It gets copies, which it may keep. It must not read state that the call
// is about to replace. What it throws leaves the call, whose arguments are then as before.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include "linnet/traced_call.h"

#pragma GCC visibility push(default)

namespace linnet {

/// What `vmap` does to a `pure_callback`.
enum class VmapMethod : uint8_t {
  kNone,          ///< it is an error
  kSequential,    ///< calls the function for one element after the other
  kExpandDims,    ///< one call: a dimension in front, of size 1 where an operand has no batch
  kBroadcastAll,  ///< one call: the batch in front of all operands
};

struct PureCallbackOptions {
  VmapMethod vmap_method = VmapMethod::kNone;
};

namespace detail {

enum class CallbackKind : uint8_t { kDebug, kIo, kPure };

/// From concrete tensors of the host to results of the declared types.
using HostFunction = std::function<TensorList(const TensorList&)>;

/// Emits the callback.
TensorList host_callback(const char* name, CallbackKind kind, HostFunction f,
                         std::vector<TensorType> results, const TensorList& operands,
                         VmapMethod method = VmapMethod::kNone);

/// The declared results of a callback: a type, or a tree of which the types of the tensors count.
template <class R>
std::vector<TensorType> declared_types(const R& results) {
  if constexpr (std::is_same_v<R, TensorType>) {
    return {results};
  } else {
    std::vector<TensorType> types;
    for (const Tensor& leaf : tree::leaves(results)) types.push_back(leaf.type());
    return types;
  }
}

/// An argument of a callback: a number counts as a tensor.
template <class A>
using CallbackArgument = with_all_tensors<std::decay_t<const A&>>;

/// `f` on trees, as a function on their tensors. It holds the structure of the trees only.
template <class F, class... A>
HostFunction on_leaves(F f, const A&... arguments) {
  return [f = std::move(f), prototypes = std::make_shared<const std::tuple<A...>>(
                                blank(arguments)...)](const TensorList& leaves) {
    size_t next = 0;
    const auto fill = [&](const auto& prototype) {
      const size_t count = tree::leaves(prototype).size();
      next += count;
      return tree::unflatten(prototype, std::span(leaves).subspan(next - count, count));
    };
    return std::apply(
        [&](const A&... each) -> TensorList {
          const std::tuple<A...> filled{fill(each)...};  // braces: from left to right
          using R = decltype(std::apply(f, filled));
          if constexpr (std::is_void_v<R>) {
            std::apply(f, filled);
            return {};
          } else {
            return tree::leaves(std::apply(f, filled));
          }
        },
        *prototypes);
  };
}

template <class... A>
TensorList leaves_of_all(const A&... arguments) {
  TensorList out;
  const auto append = [&](const auto& argument) {
    const TensorList part = tree::leaves(argument);
    out.insert(out.end(), part.begin(), part.end());
  };
  (append(arguments), ...);
  return out;
}

template <class F, class... A>
TensorList callback(const char* name, CallbackKind kind, F f, std::vector<TensorType> results,
                    VmapMethod method, const A&... arguments) {
  static_assert(std::is_invocable_v<const F&, const A&...>,
                "the callback cannot be called with these arguments (numbers come as tensors); it "
                "must be const and copyable");
  return host_callback(name, kind, on_leaves(std::move(f), arguments...), std::move(results),
                       leaves_of_all(arguments...), method);
}

template <class R>
auto as_declared(const R& declared, const TensorList& leaves) {
  if constexpr (std::is_same_v<R, TensorType>)
    return leaves[0];
  else
    return tree::unflatten(declared, std::span<const Tensor>(leaves));
}

}  // namespace detail

/// `f(arguments...)`, a function without side effects. A program may leave it out if nobody needs
/// the results, and may share the results of equal calls.
///
/// Has no derivative: give one with `custom_vjp` or `custom_jvp`. See `VmapMethod` for batches.
/// @param results a `TensorType`, for a function that gives one tensor, or a tree whose tensors
/// have the types of those that `f` gives: `eval_shape` makes one without values.
/// @param arguments tensors, numbers, and trees of them; `f` takes them as they are given.
/// @throws ShapeError or DTypeError when it runs, if `f` gives something else.
template <class R, class F, class... A>
auto pure_callback(F f, PureCallbackOptions options, const R& results, const A&... arguments) {
  return detail::as_declared(
      results, detail::callback("pure_callback", detail::CallbackKind::kPure, std::move(f),
                                detail::declared_types(results), options.vmap_method,
                                detail::as_tensors<detail::CallbackArgument<A>>(arguments)...));
}
template <class R, class F, class... A>
auto pure_callback(F f, const R& results, const A&... arguments) {
  return pure_callback(std::move(f), PureCallbackOptions{}, results, arguments...);
}

/// `f(arguments...)`, a function that may do anything. It runs once per call of the program,
/// whether its results are read or not, and all callbacks but pure ones run in the order in which
/// they were written. Loops call it in every turn, branches where they are taken.
///
/// `vmap` calls it for one element of the batch after the other (once, if no argument is batched);
/// it may not stand in a branch or a loop whose condition differs between the elements. Has no
/// derivative.
/// @param results as in `pure_callback`; a function without a result needs none.
template <class R, class F, class... A>
  requires(!std::is_void_v<std::invoke_result_t<const F&, const detail::CallbackArgument<A>&...>>)
auto io_callback(F f, const R& results, const A&... arguments) {
  return detail::as_declared(
      results, detail::callback("io_callback", detail::CallbackKind::kIo, std::move(f),
                                detail::declared_types(results), VmapMethod::kNone,
                                detail::as_tensors<detail::CallbackArgument<A>>(arguments)...));
}
template <class F, class... A>
  requires(std::is_void_v<std::invoke_result_t<const F&, const detail::CallbackArgument<A>&...>>)
void io_callback(F f, const A&... arguments) {
  detail::callback("io_callback", detail::CallbackKind::kIo, std::move(f), {}, VmapMethod::kNone,
                   detail::as_tensors<detail::CallbackArgument<A>>(arguments)...);
}

}  // namespace linnet

#pragma GCC visibility pop
