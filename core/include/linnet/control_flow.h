// Loops and branches inside programs: bodies are recorded once and run as often as needed, in every
// transformation. Carries, sequences and results are trees (tree.h); captured variables take part:
// one that a body writes is carried along.
//
//   auto [carry, ys] = scan([&](const Tensor& h, const Tensor& x) {
//     const Tensor next = tanh(matmul(h, w) + x);
//     return std::pair(next, next);
//   }, h0, xs);                                     // xs: f32[time, batch, n]
//   Tensor root = while_loop([](const Tensor& x) { return abs(x * x - 2) > 1e-6; },
//                            [](const Tensor& x) { return 0.5 * (x + 2 / x); }, 1.0);
//   Tensor y = cond(x > 0, [&] { return sqrt(x); }, [&] { return x * 0; });
#pragma once

#include <functional>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/transforms.h"

#pragma GCC visibility push(default)

namespace linnet {

struct ScanOptions {
  /// Number of steps; needed only if there is no sequence to count.
  std::optional<int64_t> length = {};
  /// From the last element to the first.
  bool reverse = false;
  /// A hint: so many steps may be done in one go. Results do not depend on it; on the CPU, where a
  /// turn costs next to nothing, nothing else does.
  int64_t unroll = 1;
};

struct AssociativeScanOptions {
  int64_t axis = 0;
  bool reverse = false;
};

namespace detail {

/// One step: from the carry and the elements of the sequences to the new carry, followed by what is
/// stacked.
using ScanStep = std::function<TensorList(const TensorList& carry, const TensorList& x)>;
/// Names a leaf of a carry in errors.
using LeafName = std::function<std::string(size_t leaf)>;
/// The last carry, followed by the stacked tensors. `step` is called once, or again if weak carries
/// must be promoted to the types that it gives.
/// @param name of the construct, in errors.
TensorList scan_call(const char* name, const TensorList& init, const TensorList& xs,
                     const ScanOptions& options, const ScanStep& step,
                     const LeafName& name_of_leaf = {});
/// @param condition gives a zero-dimensional bool.
TensorList while_call(const char* name, const TensorList& init,
                      const std::function<Tensor(const TensorList&)>& condition,
                      const FlatFunction& body, const LeafName& name_of_leaf = {});
/// The results of branch `index`, clamped to those there are. All must give the same types.
/// @param index a zero-dimensional integer.
TensorList cond_call(const char* name, const Tensor& index, const TensorList& operands,
                     const std::vector<FlatFunction>& branches);
/// @throws TreeError naming `name` and the leaves that differ.
void require_same_structure(const char* name, const tree::Flattened& expected,
                            const tree::Flattened& got);
template <class T>
void require_same_structure(const char* name, const T& expected, const T& got) {
  if constexpr (!std::is_same_v<T, Tensor>) {
    require_same_structure(name, tree::flatten(const_cast<T&>(expected), true),
                           tree::flatten(const_cast<T&>(got), true));
  }
}
/// 0 or 1 for a bool tensor or number. @throws ShapeError, DTypeError for anything else.
Tensor branch_of(const char* name, const Tensor& predicate);
/// `count` steps if both bounds are known.
struct ForBounds {
  Tensor first, last;
  std::optional<int64_t> count;
};
ForBounds for_bounds(const Tensor& first, const Tensor& last);
TensorList associative_scan_call(
    const TensorList& elements, const AssociativeScanOptions& options,
    const std::function<TensorList(const TensorList&, const TensorList&)>& combine);

/// A carry of type C as functions see it: its numbers are tensors.
template <class C>
using Carried = with_all_tensors<std::decay_t<const C&>>;

/// `carry.h`, for errors.
template <class Carry>
LeafName names_of(const Carry& carry) {
  return [&carry](size_t leaf) {
    const std::string path = tree::leaves_with_path(carry).at(leaf).first;
    return path.empty() ? std::string("it") : "leaf " + path;
  };
}

/// `f(carry...)` as a Carry.
template <class Carry, class F>
auto carry_to_carry(const F& f) {
  return [&f](const auto&... args) -> Carry {
    using R = std::decay_t<decltype(f(args...))>;
    static_assert(std::is_same_v<Carried<R>, Carry>,
                  "the body of a loop must return a carry of the type that it is given (a number "
                  "counts as a Tensor)");
    return as_tensors<Carry>(f(args...));
  };
}

template <class T>
concept TwoResults = tree::detail::is_tuple<T> && std::tuple_size_v<T> == 2;

/// `f(args...)`, a pair or tuple of two, as a pair of a Carry and what is stacked.
template <class Carry, class F>
auto step_of(const F& f) {
  return [&f]<class... A>(const A&... args) {
    static_assert(std::is_invocable_v<const F&, const A&...>,
                  "the step of a scan is called with the carry and the elements of the sequences "
                  "(with the carry alone if there are none); its parameters do not fit");
    auto result = f(args...);
    using R = decltype(result);
    static_assert(TwoResults<R>,
                  "the step of a scan returns a pair: the new carry, and what is stacked");
    if constexpr (TwoResults<R>) {
      using First = std::tuple_element_t<0, R>;
      using Stacked = Carried<std::tuple_element_t<1, R>>;
      static_assert(std::is_same_v<Carried<First>, Carry>,
                    "the step of a scan must return a carry of the type that it is given (a number "
                    "counts as a Tensor)");
      return std::pair<Carry, Stacked>(as_tensors<Carry>(std::get<0>(result)),
                                       as_tensors<Stacked>(std::get<1>(result)));
    }
  };
}

/// @param run calls the step of `call`, which gives a carry and what is stacked.
template <class Carry, class Call>
auto scan_of(const char* name, Call& call, const Carry& init, const ScanOptions& options,
             const FlatFunction& run) {
  const std::span<const Tensor> inputs(call.inputs());
  const size_t carries = call.counts()[0];
  return all_or_nothing([&] {
    return call.result(scan_call(
        name, TensorList(inputs.begin(), inputs.begin() + static_cast<int64_t>(carries)),
        TensorList(inputs.begin() + static_cast<int64_t>(carries), inputs.end()), options,
        [&](const TensorList& carry, const TensorList& x) {
          TensorList values = carry;
          values.insert(values.end(), x.begin(), x.end());
          TensorList leaves = run(values);
          require_same_structure(name, init, call.traced().first);
          return leaves;
        },
        names_of(init)));
  });
}

template <class Carry, class Step, class... X>
auto scan(const char* name, const Step& step, const Carry& init, const ScanOptions& options,
          const X&... xs) {
  CallOf<const Step, Carry, X...> call(init, xs...);
  return scan_of(name, call, init, options,
                 [&](const TensorList& values) { return call.run(step, values); });
}

/// @param condition gives the one tensor of the condition, `body` the carry of `loop`.
template <class Carry, class Call>
Carry while_of(const char* name, Call& loop, const Carry& init, const FlatFunction& condition,
               const FlatFunction& body) {
  return all_or_nothing([&]() -> Carry {
    return loop.result(while_call(
        name, loop.inputs(), [&](const TensorList& carry) { return condition(carry).at(0); },
        [&](const TensorList& carry) {
          TensorList leaves = body(carry);
          require_same_structure(name, init, loop.traced());
          return leaves;
        },
        names_of(init)));
  });
}

template <class Carry, class Condition, class Body>
Carry while_loop(const char* name, const Condition& condition, const Body& body,
                 const Carry& init) {
  CallOf<const Body, Carry> loop(init);
  const auto predicate = [&condition](const Carry& carry) { return Tensor(condition(carry)); };
  CallOf<const decltype(predicate), Carry> test(init);
  return while_of(
      name, loop, init, [&](const TensorList& carry) { return test.run(predicate, carry); },
      [&](const TensorList& carry) { return loop.run(body, carry); });
}

/// The tensors of the results of branches of one type.
template <class Result, class... A>
class BranchCalls {
 public:
  explicit BranchCalls(const char* name, const A&... args) : name_(name), call_(args...) {}

  template <class F>
  void add(const F& f) {
    static_assert(std::is_invocable_v<const F&, const A&...>,
                  "a branch is called with the operands that follow the branches; its parameters "
                  "do not fit");
    using R = std::decay_t<decltype(f(std::declval<const A&>()...))>;
    static_assert(std::is_same_v<Carried<R>, Result>,
                  "all branches must return the same type (a number counts as a Tensor)");
    branches_.push_back([this, &f](const TensorList& values) {
      Result result = std::apply([&f](const A&... args) { return as_tensors<Result>(f(args...)); },
                                 call_.arguments(values));
      TensorList leaves = tree::leaves(result);
      if (result_) require_same_structure(name_, *result_, result);
      result_.emplace(blank(result));
      return leaves;
    });
  }
  Result run(const Tensor& index) {
    return all_or_nothing([&]() -> Result {
      const TensorList outputs = cond_call(name_, index, call_.inputs(), branches_);
      return tree::unflatten(*result_, outputs);
    });
  }

 private:
  /// Only holds the operands.
  static int hold(const A&...) { return 0; }
  const char* name_;
  CallOf<decltype(&hold), A...> call_;
  std::vector<FlatFunction> branches_;
  std::optional<Result> result_;
};

}  // namespace detail

/// `f(carry, x)` for each element x of `xs` along axis 0, where each turn begins with the carry
/// that the one before it gave. `f` returns a pair of the new carry and any tree.
///
/// Gives a pair: the last carry, and the trees with one more dimension in front, of size `length`
/// (J-088). The program holds `f` once, whatever the length. Differentiable in both modes; the
/// backward pass keeps of each turn what the derivative of `f` reads.
/// @throws TreeError or ShapeError naming the leaf if the carry changes its structure or type,
/// ShapeError if sequences have different lengths, ValueError if the length is not known.
template <class F, class C, class X>
auto scan(F f, const C& init, const X& xs, ScanOptions options = {}) {
  using Carry = detail::Carried<C>;
  return detail::scan("scan", detail::step_of<Carry>(f), detail::as_tensors<Carry>(init), options,
                      xs);
}
/// The same without sequences: `f(carry)`, `options.length` times.
template <class F, class C>
auto scan(F f, const C& init, ScanOptions options) {
  using Carry = detail::Carried<C>;
  return detail::scan("scan", detail::step_of<Carry>(f), detail::as_tensors<Carry>(init), options);
}

/// `body(carry)` again and again while `condition(carry)` is true (J-089). Differentiable in
/// forward mode; reverse mode needs a loop of known length, `scan` or `fori_loop`.
/// @param condition gives a zero-dimensional bool.
template <class Condition, class Body, class C>
auto while_loop(Condition condition, Body body, const C& init) {
  using Carry = detail::Carried<C>;
  return detail::while_loop("while_loop", condition, detail::carry_to_carry<Carry>(body),
                            detail::as_tensors<Carry>(init));
}

/// `carry = body(i, carry)` for i from `first` up to but not including `last` (J-089); i is an
/// int32 tensor. If both are C++ numbers the loop is a `scan`, which reverse mode can
/// differentiate; otherwise it is a `while_loop`.
template <class Body, class C>
auto fori_loop(const Tensor& first, const Tensor& last, Body body, const C& init) {
  using Carry = detail::Carried<C>;
  using Counted = std::pair<Tensor, Carry>;
  const auto next = [&](const Counted& at) {
    return Counted(at.first + 1,
                   detail::carry_to_carry<Carry>(body)(std::as_const(at.first), at.second));
  };
  const detail::ForBounds bounds = detail::for_bounds(first, last);
  const Counted init_at(bounds.first, detail::as_tensors<Carry>(init));
  if (bounds.count) {
    const auto step = [&](const Counted& at) { return std::pair(next(at), std::tuple<>()); };
    return detail::scan("fori_loop", step, init_at, ScanOptions{.length = bounds.count})
        .first.second;
  }
  const auto more = [&](const Counted& at) { return at.first < bounds.last; };
  return detail::while_loop("fori_loop", more, next, init_at).second;
}

/// `on_true(operands...)` or `on_false(operands...)`, which return the same type (J-090). Only one
/// of them runs, but under `vmap` with a predicate for each element, where both do.
/// Branches without a result are called for the variables that they write.
/// @param predicate zero-dimensional: bool, or a number, which is true if it is not 0.
template <class T, class F, class... A>
auto cond(const Tensor& predicate, T on_true, F on_false, const A&... operands) {
  if constexpr (std::is_void_v<decltype(on_true(operands...))>) {
    const auto nothing = [](auto& branch) {
      return [&branch](const A&... x) {
        branch(x...);
        return std::tuple<>();
      };
    };
    cond(predicate, nothing(on_true), nothing(on_false), operands...);
  } else {
    using Result = detail::Carried<decltype(on_true(operands...))>;
    detail::BranchCalls<Result, std::decay_t<const A&>...> calls("cond", operands...);
    calls.add(on_false);
    calls.add(on_true);
    return calls.run(detail::branch_of("cond", predicate));
  }
}

/// The branch with this number, clamped to those there are (J-090): `branches` is a tuple or a
/// vector of functions of the operands.
template <class Branches, class... A>
auto switch_case(const Tensor& index, const Branches& branches, const A&... operands) {
  if constexpr (tree::detail::is_tuple<Branches>) {
    return std::apply(
        [&](const auto& first, const auto&... rest) {
          using Result = detail::Carried<decltype(first(operands...))>;
          detail::BranchCalls<Result, std::decay_t<const A&>...> calls("switch_case", operands...);
          calls.add(first);
          (calls.add(rest), ...);
          return calls.run(index);
        },
        branches);
  } else {
    using Result = detail::Carried<decltype(branches[0](operands...))>;
    detail::BranchCalls<Result, std::decay_t<const A&>...> calls("switch_case", operands...);
    for (const auto& branch : branches) calls.add(branch);
    return calls.run(index);
  }
}

/// `f(x)` for each element x of `xs` along axis 0, one after the other, stacked (J-091): `vmap` in
/// the memory of one element.
template <class F, class X>
auto map_each(F f, const X& xs) {
  const auto step = [&f](const std::tuple<>&, const X& x) {
    using Y = detail::Carried<decltype(f(x))>;
    return std::pair<std::tuple<>, Y>({}, detail::as_tensors<Y>(f(x)));
  };
  return detail::scan("map_each", step, std::tuple<>(), ScanOptions{}, xs).second;
}

/// All partial combinations x0, combine(x0, x1), combine(combine(x0, x1), x2), … along an axis, in
/// about 2 log2(n) calls of `combine` on many elements at once (J-091): it must be associative and
/// work along that axis element by element.
template <class F, class X>
X associative_scan(F combine, const X& elements, AssociativeScanOptions options = {}) {
  const auto flat = [&](const TensorList& a, const TensorList& b) {
    return tree::leaves(X(combine(tree::unflatten(elements, a), tree::unflatten(elements, b))));
  };
  return tree::unflatten(elements,
                         detail::associative_scan_call(tree::leaves(elements), options, flat));
}

}  // namespace linnet

#pragma GCC visibility pop
