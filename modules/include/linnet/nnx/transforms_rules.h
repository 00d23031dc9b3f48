// Derivatives of functions of modules beyond gradients: recomputation, own rules, vjp and jvp.
//
//   auto block = nnx::remat([](Block& b, const Tensor& x) { return b(x); });
//   auto [y, pullback] = nnx::vjp(f, model, x);
//   auto [dmodel, dx] = pullback(dy);                      // a State, a Tensor
#pragma once

#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/nnx/transforms.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

namespace detail {

void remat_call(std::vector<Visit> arguments, const Body& body, const CheckpointPolicy& policy);

/// A function that has run once and whose derivative may be asked for again and again.
class Pullback {
 public:
  Pullback(std::vector<Visit> arguments, const std::vector<AxesPrefix>& axes, const Body& body);
  const GradientPlaces& places() const { return places_; }
  /// From cotangents of the first `count` tensors of the result to those of the inputs.
  TensorList operator()(const TensorList& cotangents, size_t count) const;

 private:
  Pullback(ObjectCall&& objects, const Body& body);
  std::shared_ptr<linnet::detail::ReverseCall> call_;
  TensorList outputs_;
  GradientPlaces places_;
};

/// Derivative along one tangent for each input; gives those of the result.
/// @param tangents of each argument: by path of its variables, or in order.
struct Direction {
  State state;
  TensorList list;
  bool by_path = false;
};
TensorList jvp_call(std::vector<Visit> arguments, const Body& body,
                    const std::vector<Direction>& directions);

template <class T>
Direction direction_of(const T& tangent) {
  if constexpr (std::is_same_v<T, State>)
    return {tangent, {}, true};
  else
    return {{}, tree::leaves(tangent), false};
}

/// Cotangents of an argument in the order of its tensors: those of a State by path, undefined ones
/// for the rest.
/// @throws ValueError for a path that the argument does not have.
TensorList cotangents_in_order(const Visit& argument, const State& state);
template <class T>
TensorList cotangents_in_order(const Visit& argument, const T& cotangents) {
  (void)argument;
  return tree::leaves(cotangents);
}

/// The variables of an object; nothing for values.
template <class T>
auto state_of_object(T& object) {
  if constexpr (is_values<std::remove_const_t<T>>)
    return std::tuple<>();
  else
    return nnx::state(object);
}
/// Writes them, unless the object is a constant one.
template <class T, class S>
void update_object(T& object, const S& state) {
  if constexpr (std::is_same_v<S, State> && !std::is_const_v<T>) nnx::update(object, state);
}

inline void append(TensorList& out, const TensorList& part) {
  out.insert(out.end(), part.begin(), part.end());
}

/// What a custom rule returns as a tuple, one entry for each argument.
template <class T>
auto as_tuple(T tangents) {
  if constexpr (tree::detail::is_tuple<T>)
    return tangents;
  else
    return std::make_tuple(std::move(tangents));
}

}  // namespace detail

/// f again in the backward pass instead of its intermediate values, but for those that the policy
/// keeps (N-099). Variables and random counts advance once.
template <class F>
auto remat(F f, CheckpointPolicy policy = {}) {
  return [f = std::move(f), policy = std::move(policy)]<class... A>(A&&... args) -> decltype(auto) {
    detail::TypedCall<const F, A...> call(f, args...);
    detail::remat_call(call.arguments(), call.body(), policy);
    return call.result();
  };
}
/// The same by the name of the core.
template <class F>
auto checkpoint(F f, CheckpointPolicy policy = {}) {
  return nnx::remat(std::move(f), std::move(policy));
}

namespace detail {

/// @tparam kAuxiliary f gives a pair, of which only the first has cotangents.
template <bool kAuxiliary, class F, class... A>
auto vjp(F& f, A&... args) {
  return linnet::detail::all_or_nothing([&] {
    TypedCall<F, A&...> call(f, args...);
    const std::vector<AxesPrefix> axes{
        differentiated_axes<std::remove_cv_t<A>>(of_type<Param>())...};
    auto pulled = std::make_shared<const Pullback>(call.arguments(), axes, call.body());
    auto result = call.result();
    const auto pullback = [&](const auto& value) {
      using Value = std::decay_t<decltype(value)>;
      return
          [pulled, count = tree::leaves(value).size(),
           prototypes = std::make_tuple(linnet::detail::blank(args)...)](const Value& cotangent) {
            const TensorList gradients = (*pulled)(tree::leaves(cotangent), count);
            return [&]<size_t... I>(std::index_sequence<I...>) {
              auto all = std::make_tuple(
                  gradient_of(std::get<I>(prototypes), I, gradients, pulled->places())...);
              if constexpr (sizeof...(I) == 1)
                return std::move(std::get<0>(all));
              else
                return all;
            }(std::index_sequence_for<A...>{});
          };
    };
    if constexpr (kAuxiliary) {
      auto back = pullback(result.first);
      return std::make_tuple(std::move(result.first), std::move(back), std::move(result.second));
    } else {
      auto back = pullback(result);
      return std::make_pair(std::move(result), std::move(back));
    }
  });
}

template <bool kAuxiliary, class F, class... A, class... T>
auto jvp(F& f, const std::tuple<A...>& primals, const std::tuple<T...>& tangents) {
  static_assert(sizeof...(A) == sizeof...(T), "jvp needs as many tangents as primals");
  return std::apply(
      [&](auto&... args) {
        return linnet::detail::all_or_nothing([&] {
          TypedCall<F, decltype(args)...> call(f, args...);
          const TensorList derivative = jvp_call(
              call.arguments(), call.body(),
              std::apply(
                  [](const auto&... each) { return std::vector<Direction>{direction_of(each)...}; },
                  tangents));
          auto result = call.result();
          if constexpr (kAuxiliary) {
            const size_t count = tree::leaves(result.first).size();
            auto tangent = tree::unflatten(result.first, std::span(derivative).first(count));
            return std::make_tuple(std::move(result.first), std::move(tangent),
                                   std::move(result.second));
          } else {
            auto tangent = tree::unflatten(result, derivative);
            return std::make_pair(std::move(result), std::move(tangent));
          }
        });
      },
      primals);
}

}  // namespace detail

/// f's value and a function from a cotangent of it to those of the arguments: for objects a State
/// with the paths of their parameters, for variables a variable, for tensors a tree of their type;
/// a tuple if there are several arguments (N-097). What f writes to variables stays written.
template <class F, class... A>
auto vjp(F f, A&&... args) {
  return detail::vjp<false>(f, args...);
}
/// The same for a function that gives a pair of its value and an auxiliary tree: `{value, pullback,
/// auxiliary}`.
template <class F, class... A>
auto vjp_with_aux(F f, A&&... args) {
  return detail::vjp<true>(f, args...);
}

/// f's value at `primals` and its derivative in the direction `tangents`, both tuples: the tangent
/// of an object is a State with those of its variables that shall vary (N-097).
/// `std::tie(model, x)` passes objects by reference.
/// @throws ValueError for a path that the object does not have.
template <class F, class... A, class... T>
auto jvp(F f, const std::tuple<A...>& primals, const std::tuple<T...>& tangents) {
  return detail::jvp<false>(f, primals, tangents);
}
/// The same for a function that gives a pair of its value and an auxiliary tree: `{value, tangent,
/// auxiliary}`.
template <class F, class... A, class... T>
auto jvp_with_aux(F f, const std::tuple<A...>& primals, const std::tuple<T...>& tangents) {
  return detail::jvp<true>(f, primals, tangents);
}

/// f with its own reverse rule (N-098): `fwd(args...)` gives `{result, residuals}`, and
/// `bwd(residuals, updates, cotangent)` the cotangents of the arguments, one or a tuple: for an
/// object a State of its variables, of which those that are left out get none. `updates` is a tuple
/// with, for each object, the cotangents of the values that its variables have afterwards.
///
/// The rules run when a derivative is taken, on copies of the arguments. What f writes to variables
/// of its arguments is seen by the caller.
template <class F, class Fwd, class Bwd>
auto custom_vjp(F f, Fwd fwd, Bwd bwd) {
  return [f = std::move(f), fwd = std::move(fwd), bwd = std::move(bwd)]<class... A>(A&&... args) {
    const auto plain = [f](auto&... objects) {
      auto result = f(objects...);
      return std::make_pair(std::move(result),
                            std::make_tuple(detail::state_of_object(objects)...));
    };
    const auto forward = [fwd](auto&... objects) {
      // Copies that belong to the call; only to find out the type they are seen as constant.
      auto pair = fwd(
          const_cast<std::remove_const_t<std::remove_reference_t<decltype(objects)>>&>(objects)...);
      return std::make_pair(std::make_pair(std::move(pair.first),
                                           std::make_tuple(detail::state_of_object(objects)...)),
                            std::move(pair.second));
    };
    using Objects = std::tuple<std::decay_t<A>...>;
    const auto prototypes = std::make_shared<Objects>(linnet::detail::blank(args)...);
    const auto backward = [bwd, prototypes](const auto& residuals, const auto& cotangent) {
      const auto cotangents = detail::as_tuple(bwd(residuals, cotangent.second, cotangent.first));
      static_assert(std::tuple_size_v<std::decay_t<decltype(cotangents)>> == sizeof...(A),
                    "the backward rule returns a cotangent for each argument");
      TensorList all;
      [&]<size_t... I>(std::index_sequence<I...>) {
        (detail::append(all,
                        detail::cotangents_in_order(detail::visitor_of(std::get<I>(*prototypes)),
                                                    std::get<I>(cotangents))),
         ...);
      }(std::index_sequence_for<A...>{});
      return all;
    };
    return linnet::detail::all_or_nothing([&] {
      auto result = linnet::custom_vjp(plain, forward, backward)(std::as_const(args)...);
      std::apply([&](const auto&... state) { (detail::update_object(args, state), ...); },
                 result.second);
      return std::move(result.first);
    });
  };
}

}  // namespace linnet::nnx

#pragma GCC visibility pop
