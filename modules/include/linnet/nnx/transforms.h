// Gradients with respect to the variables of modules.
//
//   auto [loss, grads] = nnx::value_and_grad([&](Mlp& m) { return cross_entropy(m(x), y); },
// model);
//   optimizer.update(model, grads);             // grads: a State with the paths of the parameters
//
//   auto g = nnx::grad<0, 1>(loss)(generator, x);               // {State, Tensor}
//   auto s = nnx::grad(loss, nnx::DiffState<0>(nnx::of_type<nnx::BatchStat>()))(model, x);
//
// Other variables that the function writes (batch statistics, random counts) keep their new values.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "linnet/nnx/transforms_call.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

/// Which variables of argument N to differentiate with respect to (N-095).
template <size_t N>
struct DiffState {
  static constexpr size_t kArgument = N;
  explicit DiffState(Filter filter = of_type<Param>()) : filter(std::move(filter)) {}
  Filter filter;
};

namespace detail {

/// Tensors alone, in standard containers: differentiated as a whole, with a gradient of its type.
template <class T>
inline constexpr bool is_values = std::is_same_v<T, Tensor> || std::is_arithmetic_v<T>;
template <class T, class A>
inline constexpr bool is_values<std::vector<T, A>> = is_values<T>;
template <class T, size_t N>
inline constexpr bool is_values<std::array<T, N>> = is_values<T>;
template <class T>
inline constexpr bool is_values<std::optional<T>> = is_values<T>;
template <class K, class V>
inline constexpr bool is_values<std::map<K, V>> = is_values<V>;
template <class A, class B>
inline constexpr bool is_values<std::pair<A, B>> = is_values<A> && is_values<B>;
template <class... T>
inline constexpr bool is_values<std::tuple<T...>> = (is_values<T> && ...);

/// Where the gradients of a call belong; keeps no value.
class GradientPlaces {
 public:
  explicit GradientPlaces(const ObjectCall& objects);
  /// Of one argument, in order.
  TensorList list(const TensorList& gradients, size_t argument) const;
  /// Of one argument, under the paths of its variables.
  State state(const TensorList& gradients, size_t argument) const;

 private:
  struct Entry {
    size_t argument;
    tree::Path path;
    const VariableType* type;  ///< null for a plain tensor
    Metadata metadata;
  };
  std::vector<Entry> entries_;
};

/// The axes of an argument that is differentiated: what the filter chooses, of values everything.
template <class T>
AxesPrefix differentiated_axes(const Filter& filter) {
  if constexpr (is_values<T> || std::is_base_of_v<Variable, T>)
    return 0;
  else
    return StateAxes{{filter, 0}, {everything(), kNone}};
}

/// The gradient with respect to an argument: a tree of its type for values, a variable for a
/// variable, a State for an object.
template <class T>
auto gradient_of(const T& argument, size_t index, const TensorList& gradients,
                 const GradientPlaces& places) {
  using Value = std::remove_const_t<T>;
  if constexpr (is_values<Value>) {
    return tree::unflatten(argument, places.list(gradients, index));
  } else if constexpr (std::is_base_of_v<Variable, Value>) {
    Value out(argument);
    const TensorList found = places.list(gradients, index);
    // One that an argument before it shows has its gradient there.
    out.set_raw_value(found.empty() ? zeros_like(argument.value()) : found[0]);
    return out;
  } else {
    return places.state(gradients, index);
  }
}

/// @throws ValueError if `objects` has nothing to differentiate with respect to, DTypeError for a
/// variable that is not floating, ModuleError for one that is not a single tensor.
void require_differentiable(const char* name, const ObjectCall& objects, const Filter& filter);
/// A run of a function whose result begins with its loss. Nothing is written before `commit`.
class GradientRun {
 public:
  GradientRun(ObjectCall& objects, const Body& body, const Filter& filter);
  /// Of the inputs.
  const TensorList& gradients() const { return gradients_; }
  void commit();

 private:
  ObjectCall& objects_;
  std::optional<linnet::detail::ReverseCall> call_;
  TensorList results_, gradients_;
};

template <size_t... N>
constexpr bool different() {
  const std::array<size_t, sizeof...(N)> all{N...};
  for (size_t i = 0; i < all.size(); ++i) {
    for (size_t k = 0; k < i; ++k) {
      if (all[i] == all[k]) return false;
    }
  }
  return true;
}

template <class Loss>
concept LossOrPair = std::is_same_v<Loss, Tensor> || requires(Loss& pair) {
  { pair.first } -> std::convertible_to<Tensor>;
  pair.second;
};

/// {value, gradients}, or {value, auxiliary, gradients}.
template <class F, size_t... N, class... A>
auto value_and_grad(F& f, const std::tuple<DiffState<N>...>& wrt, A&&... args) {
  static_assert(different<N...>(), "an argument is named twice");
  static_assert(((N < sizeof...(A)) && ...), "there are not so many arguments");
  TypedCall<F, A...> call(f, args...);
  using Result = std::decay_t<typename TypedCall<F, A...>::Result>;
  static_assert(LossOrPair<Result>, "grad needs a Tensor, or a pair of it and anything else");
  std::vector<AxesPrefix> axes(sizeof...(A), kNone);
  ((axes[N] = differentiated_axes<std::remove_cvref_t<std::tuple_element_t<N, std::tuple<A...>>>>(
        std::get<DiffState<N>>(wrt).filter)),
   ...);
  ObjectCall objects("grad", call.arguments(), axes, {.differentiates = true});
  GradientRun run(objects, call.body(), std::get<0>(wrt).filter);
  const TensorList& gradients = run.gradients();
  const GradientPlaces places(objects);
  auto gradient = [&] {
    if constexpr (sizeof...(N) == 1) {
      return (gradient_of(call.template argument<N>(), N, gradients, places), ...);
    } else {
      return std::make_tuple(gradient_of(call.template argument<N>(), N, gradients, places)...);
    }
  }();
  run.commit();
  if constexpr (std::is_same_v<Result, Tensor>) {
    return std::make_pair(call.result(), std::move(gradient));
  } else {
    auto result = call.result();
    return std::make_tuple(std::move(result.first), std::move(result.second), std::move(gradient));
  }
}

/// {gradients}, or {gradients, auxiliary}.
template <class Result>
auto without_value(Result result) {
  if constexpr (std::tuple_size_v<Result> == 3) {
    return std::make_pair(std::move(std::get<2>(result)), std::move(std::get<1>(result)));
  } else {
    return std::move(std::get<1>(result));
  }
}

}  // namespace detail

/// f's value and its gradients with respect to arguments N... (the first if none are named): of an
/// object with respect to its parameters, as a State with their paths; of a variable a variable; of
/// tensors a tree of their type (N-094). f gives a floating scalar, or a pair of it and any
/// auxiliary result; what comes out is {value, gradients} or {value, auxiliary, gradients}, with a
/// tuple of gradients for several arguments. A variable that several arguments show has its whole
/// gradient at the first (N-096). A call that throws changes no variable.
/// @throws ValueError if there is nothing to differentiate with respect to, or a variable is in an
/// argument that is differentiated and in one that is not; ShapeError if the loss is not a scalar,
/// DTypeError if it or a chosen variable is not floating.
template <size_t... N, class F>
auto value_and_grad(F f) {
  return [f = std::move(f)]<class... A>(A&&... args) {
    if constexpr (sizeof...(N) == 0)
      return detail::value_and_grad(f, std::tuple(DiffState<0>()), args...);
    else
      return detail::value_and_grad(f, std::tuple(DiffState<N>()...), args...);
  };
}
/// With respect to what filters choose.
template <class F, size_t... N>
  requires(sizeof...(N) > 0)
auto value_and_grad(F f, DiffState<N>... wrt) {
  return [f = std::move(f), wrt = std::tuple(std::move(wrt)...)]<class... A>(A&&... args) {
    return detail::value_and_grad(f, wrt, args...);
  };
}
/// Of `f(model)`, at once.
template <class F, class M>
auto value_and_grad(F&& f, M& model, const Filter& wrt) {
  return detail::value_and_grad(f, std::tuple(DiffState<0>(wrt)), model);
}
/// With respect to all variables of one kind; Param unless named.
template <class Kind = Param, class F, class M>
auto value_and_grad(F&& f, M& model) {
  return nnx::value_and_grad(f, model, of_type<Kind>());
}

/// The gradients alone (with an auxiliary result: {gradients, auxiliary}).
template <size_t... N, class F>
auto grad(F f) {
  return [g = nnx::value_and_grad<N...>(std::move(f))]<class... A>(A&&... args) {
    return detail::without_value(g(args...));
  };
}
template <class F, size_t... N>
  requires(sizeof...(N) > 0)
auto grad(F f, DiffState<N>... wrt) {
  return [g = nnx::value_and_grad(std::move(f), std::move(wrt)...)]<class... A>(A&&... args) {
    return detail::without_value(g(args...));
  };
}
template <class Kind = Param, class F, class M>
auto grad(F&& f, M& model) {
  return detail::without_value(nnx::value_and_grad<Kind>(f, model));
}

}  // namespace linnet::nnx

#pragma GCC visibility pop
