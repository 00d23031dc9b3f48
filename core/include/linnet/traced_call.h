// One call of a function on trees, seen through its tensors: what every transformation of a typed
// function does before and after its own work. For people who write transformations; users need
// transforms.h.
//
//   detail::CallOf<F, A...> call(args...);                  // copies the arguments
//   return detail::all_or_nothing([&] {
//     TensorList out = engine(call.inputs(), [&](const TensorList& lifted) {
//       return call.run(f, lifted);                         // f on arguments that hold `lifted`
//     });
//     return call.result(out);                              // a tree of f's result type
//   });
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet::detail {

/// What `make` gives. Variables that it writes have their new values only when the result is there:
/// if there is no memory for it, they are as before.
template <class F>
auto all_or_nothing(const F& make) {
  state::Scope writes;
  auto out = make();
  writes.commit();
  return out;
}

/// T with tensors in place of the C++ numbers that it is, or that it holds in standard containers.
/// Members of structs stay what they are: there they are static leaves.
/// @tparam kAll of whole numbers and bools too, not only of floating ones.
template <class T, bool kAll>
struct WithTensors {
  static constexpr bool replaced = std::is_floating_point_v<T> || (kAll && std::is_arithmetic_v<T>);
  using type = std::conditional_t<replaced, Tensor, T>;
};
/// Floating numbers are tensors: those that have derivatives.
template <class T>
using with_tensors = typename WithTensors<T, false>::type;
/// All numbers are tensors: those that a loop may change.
template <class T>
using with_all_tensors = typename WithTensors<T, true>::type;
template <class T, class A, bool kAll>
struct WithTensors<std::vector<T, A>, kAll> {
  using Element = typename WithTensors<T, kAll>::type;
  using type =
      std::conditional_t<std::is_same_v<Element, T>, std::vector<T, A>, std::vector<Element>>;
};
template <class T, size_t N, bool kAll>
struct WithTensors<std::array<T, N>, kAll> {
  using type = std::array<typename WithTensors<T, kAll>::type, N>;
};
template <class T, bool kAll>
struct WithTensors<std::optional<T>, kAll> {
  using type = std::optional<typename WithTensors<T, kAll>::type>;
};
template <class K, class V, bool kAll>
struct WithTensors<std::map<K, V>, kAll> {
  using type = std::map<K, typename WithTensors<V, kAll>::type>;
};
template <class A, class B, bool kAll>
struct WithTensors<std::pair<A, B>, kAll> {
  using type = std::pair<typename WithTensors<A, kAll>::type, typename WithTensors<B, kAll>::type>;
};
template <class... T, bool kAll>
struct WithTensors<std::tuple<T...>, kAll> {
  using type = std::tuple<typename WithTensors<T, kAll>::type...>;
};

/// `from` as the type `To`, which is its own, or that with tensors in place of numbers.
template <class To, class From>
decltype(auto) as_tensors(const From& from) {
  if constexpr (std::is_same_v<To, From>) {
    return (from);
  } else if constexpr (std::is_same_v<To, std::decay_t<const From&>>) {
    return To(from);  // an array
  } else if constexpr (std::is_same_v<To, Tensor>) {
    return Tensor(from);
  } else if constexpr (tree::detail::is_tuple<To>) {
    return [&]<size_t... I>(std::index_sequence<I...>) {
      return To(as_tensors<std::tuple_element_t<I, To>>(std::get<I>(from))...);
    }(std::make_index_sequence<std::tuple_size_v<To>>{});
  } else if constexpr (tree::detail::is_optional<To>) {
    return from ? To(as_tensors<typename To::value_type>(*from)) : To();
  } else if constexpr (tree::detail::is_map<To>) {
    To out;
    for (const auto& [key, value] : from)
      out.emplace(key, as_tensors<typename To::mapped_type>(value));
    return out;
  } else if constexpr (tree::detail::is_array<To>) {
    To out;
    for (size_t i = 0; i < from.size(); ++i) out[i] = as_tensors<typename To::value_type>(from[i]);
    return out;
  } else {
    To out;
    out.reserve(from.size());
    for (const auto& element : from) out.push_back(as_tensors<typename To::value_type>(element));
    return out;
  }
}

/// The types Wanted..., one after the other, where F can be called with them, else those of
/// Plain....
template <class F, class Chosen, class Plain, class Wanted>
struct FittingArguments;
template <class F, class... C>
struct FittingArguments<F, std::tuple<C...>, std::tuple<>, std::tuple<>> {
  using type = std::tuple<C...>;
};
template <class F, class... C, class P, class... Ps, class W, class... Ws>
struct FittingArguments<F, std::tuple<C...>, std::tuple<P, Ps...>, std::tuple<W, Ws...>> {
  using Next = std::conditional_t<std::is_invocable_v<F&, C&..., W&, Ps&...>, W, P>;
  using type = typename FittingArguments<F, std::tuple<C..., Next>, std::tuple<Ps...>,
                                         std::tuple<Ws...>>::type;
};

template <class F, class Plain, class Wanted>
struct DifferentiatedTypes;
template <class F, class... P, class... W>
struct DifferentiatedTypes<F, std::tuple<P...>, std::tuple<W...>> {
  static auto choose() {
    if constexpr ((std::is_same_v<P, W> && ...))
      return std::type_identity<std::tuple<P...>>{};
    else if constexpr (std::is_invocable_v<F&, W&...>)
      return std::type_identity<std::tuple<W...>>{};
    else
      return FittingArguments<F, std::tuple<>, std::tuple<P...>, std::tuple<W...>>{};
  }
  using type = typename decltype(choose())::type;
};

template <class Which, class All>
struct WantedTypes;
template <size_t... W, size_t... I>
struct WantedTypes<std::index_sequence<W...>, std::index_sequence<I...>> {
  template <size_t Index>
  static constexpr bool chosen = ((W == Index) || ...);
  template <class... A>
  using of = std::tuple<std::conditional_t<chosen<I>, with_tensors<A>, A>...>;
};

/// The types with which F is called if of its arguments A... those in `Which` are to be
/// differentiated: floating C++ numbers become tensors where F takes them.
template <class F, class Which, class... A>
using differentiated = typename DifferentiatedTypes<
    F, std::tuple<A...>,
    typename WantedTypes<Which, std::index_sequence_for<A...>>::template of<A...>>::type;

/// A copy without its tensors: the structure alone, which keeps no value alive.
template <class T>
T blank(const T& object) {
  const state::PrototypeScope prototype;
  T out = tree::copy(object);
  const std::vector<tree::LeafRef> leaves = tree::flatten(out).leaves;
  tree::write_raw(leaves, TensorList(tree::read(leaves).size()));
  return out;
}

/// Says in one sentence why a function cannot be transformed.
template <class F, class... A>
constexpr bool check_callable() {
  constexpr bool callable = std::is_invocable_v<F&, A&...>;
  constexpr bool callable_if_mutable = std::is_invocable_v<std::remove_const_t<F>&, A&...>;
  static_assert(callable || !callable_if_mutable,
                "the function's operator() is not const: declare it const, or drop `mutable` from "
                "the lambda; what it shall change, it captures by reference");
  static_assert(callable || callable_if_mutable,
                "the function cannot be called with these arguments: their number or types do not "
                "fit its parameters (a floating number that is differentiated comes as a Tensor)");
  if constexpr (callable) {
    static_assert(!std::is_void_v<std::invoke_result_t<F&, A&...>>,
                  "the function returns nothing: a transformation needs its result");
  }
  return callable;
}

/// Keeps of a result its structure alone: variables made for it end with it, unless somebody else
/// holds them.
template <class T>
void keep_prototype(std::optional<T>& result) {
  if constexpr (!std::is_same_v<T, Tensor>) {
    const state::PrototypeScope prototype;
    T copy = tree::copy(*result);
    result.reset();
    result.emplace(std::move(copy));
  }
}

/// What F gives for the arguments of a call.
template <class F, class Arguments>
struct TracedResult;
template <class F, class... A>
struct TracedResult<F, std::tuple<A...>> {
  static_assert(check_callable<F, A...>());
  using type = std::decay_t<std::invoke_result_t<F&, A&...>>;
};

template <class R, class Arguments, class Which>
class TracedCall;

/// A call in progress. The arguments in `Which` are seen through their tensors. The type says
/// nothing of the function, so that all functions of a signature share the code.
/// @tparam R what the function gives.
template <class R, class... A, size_t... W>
class TracedCall<R, std::tuple<A...>, std::index_sequence<W...>> {
 public:
  using Arguments = std::tuple<A...>;
  using Result = R;

  template <class... Given>
  explicit TracedCall(const Given&... args) {
    const state::PrototypeScope local;
    const tree::CopyScope scope;
    arguments_.emplace(as_tensors<A>(args)...);
    (append(std::get<W>(*arguments_)), ...);
  }

  /// The tensors of the chosen arguments, and how many each has.
  const TensorList& inputs() const { return inputs_; }
  const std::vector<size_t>& counts() const { return counts_; }

  /// Gives up the inputs: the arguments are blank until others are placed.
  TensorList take_inputs() {
    place(TensorList(inputs_.size()));
    return std::move(inputs_);
  }

  /// Puts other tensors into the chosen arguments.
  void place(const TensorList& values) { place(*arguments_, values); }
  /// Calls f; gives the tensors of its result.
  template <class F>
  TensorList run(F& f) {
    call(f, std::index_sequence_for<A...>{});
    return leaves_of_result();
  }
  template <class F>
  TensorList run(F& f, const TensorList& values) {
    place(values);
    return run(f);
  }

  /// The result of `run` with its traced tensors.
  const Result& traced() const { return *result_; }
  /// The same with others.
  Result result(std::span<const Tensor> tensors) const {
    return tree::unflatten(*result_, tensors);
  }
  /// A copy of all arguments, with other tensors in the chosen ones.
  Arguments arguments(const TensorList& values) const {
    const state::PrototypeScope local;
    Arguments out = tree::copy(*arguments_);
    place(out, values);
    return out;
  }
  /// The chosen ones of `prototypes` with other tensors: one tree, or a tuple of them. The
  /// prototypes are arguments as they were given, since f may have changed its own.
  template <class... Given>
  auto chosen(const TensorList& values, const Given&... prototypes) const {
    size_t next = 0, which = 0;
    const auto all = std::tie(prototypes...);
    std::tuple<std::tuple_element_t<W, Arguments>...> out{[&] {
      const size_t first = next, count = counts_[which++];
      next += count;
      return tree::unflatten<std::tuple_element_t<W, Arguments>>(
          as_tensors<std::tuple_element_t<W, Arguments>>(std::get<W>(all)),
          std::span<const Tensor>(values).subspan(first, count));
    }()...};
    if constexpr (sizeof...(W) == 1)
      return std::move(std::get<0>(out));
    else
      return out;
  }

 private:
  template <class F, size_t... I>
  void call(F& f, std::index_sequence<I...>) {
    result_.emplace(std::invoke(f, std::get<I>(*arguments_)...));
  }
  TensorList leaves_of_result() {
    TensorList leaves = tree::leaves(*result_);
    keep_prototype(result_);
    return leaves;
  }

  template <class T>
  void append(T& argument) {
    const TensorList part = tree::leaves(argument);
    counts_.push_back(part.size());
    inputs_.insert(inputs_.end(), part.begin(), part.end());
  }

  /// Variables of a copy are local to whatever goes on around it, so no state scope is asked.
  void place(Arguments& arguments, const TensorList& values) const {
    size_t which = 0, next = 0;
    [[maybe_unused]] const auto place_one = [&](auto& argument) {
      const size_t count = counts_[which++];
      tree::write_raw(tree::flatten(argument).leaves,
                      std::span<const Tensor>(values).subspan(next, count));
      next += count;
    };
    (place_one(std::get<W>(arguments)), ...);
  }

  std::optional<Arguments> arguments_;
  TensorList inputs_;
  std::vector<size_t> counts_;
  std::optional<Result> result_;
};

template <class F, class Arguments, class Which>
using TracedCallOf = TracedCall<typename TracedResult<F, Arguments>::type, Arguments, Which>;

/// Of F, const if it is called as such, with all arguments as they are.
template <class F, class... A>
using CallOf =
    TracedCallOf<F, std::tuple<std::decay_t<const A&>...>, std::index_sequence_for<A...>>;
/// With floating numbers among the arguments in `Which` as tensors.
template <class F, class Which, class... A>
using DifferentiatedCall =
    TracedCallOf<F, differentiated<F, Which, std::decay_t<const A&>...>, Which>;

}  // namespace linnet::detail

#pragma GCC visibility pop
