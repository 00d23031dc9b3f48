// Loops and branches over modules: layers stacked by scan over one block, steps that change
// variables, branches with objects as operands.
//
//   const auto layers = nnx::scan([](const Tensor& x, Block& block) { return block(x); },
//                                 {.in_axes = {nnx::kCarry, 0}, .out_axes = {nnx::kCarry}});
//   Tensor y = layers(x, blocks);                         // blocks: variables stacked along axis 0
//   Tensor z = nnx::cond(x > 0, [](Block& b) { return b(one); }, [](Block&) { return one; },
//   block);
#pragma once

#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/control_flow.h"
#include "linnet/nnx/transforms.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

struct ScanOptions {
  /// One entry for each argument: kCarry for the one that goes from step to step, an axis for what
  /// is taken apart, kNone for what is the same in every step; StateAxes may mix them.
  std::vector<AxesPrefix> in_axes = {kCarry, 0};
  /// One for the whole result, or one for each element of a pair or tuple.
  std::vector<AxesPrefix> out_axes = {kCarry, 0};
  /// Number of steps; needed only if nothing has an axis.
  std::optional<int64_t> length = {};
  /// From the last element to the first.
  bool reverse = false;
  /// Steps that the program does in one go.
  int64_t unroll = 1;
  /// As for vmap.
  Metadata transform_metadata = {};
};

namespace detail {

void scan_call(std::vector<Visit> arguments, const Body& body, const ScanOptions& options);
/// @param condition of the object that `carry` shows; a zero-dimensional bool.
void while_call(Visit carry, const Body& condition, const Body& body);
/// `index` is set before each call of `body`.
void fori_call(const Tensor& first, const Tensor& last, int64_t unroll, Tensor& index, Visit carry,
               const Body& body);
/// `select` says which branch the next call of `body` is.
void cond_call(const char* name, const Tensor& index, size_t branches,
               const std::function<void(size_t)>& select, std::vector<Visit> operands,
               const Body& body);

/// Numbers among plain values, which a loop may change, as tensors; objects stay where they are.
template <class C>
decltype(auto) loop_carry(C& init) {
  if constexpr (is_values<std::decay_t<C>>)
    return linnet::detail::Carried<C>(
        linnet::detail::as_tensors<linnet::detail::Carried<C>>(std::as_const(init)));
  else
    return (init);
}

template <class Result, class F, class... A>
constexpr void check_branch() {
  static_assert(std::is_invocable_v<const F&, A&...>,
                "a branch is called with the operands that follow the branches; its parameters do "
                "not fit");
  static_assert(std::is_same_v<kept_result<std::invoke_result_t<const F&, A&...>>, Result>,
                "all branches must return the same type");
}

template <class First, class... F, class... A>
decltype(auto) branch_call(const char* name, const Tensor& index, const First& first,
                           const std::tuple<const F&...>& rest, A&... operands) {
  using Result = kept_result<std::invoke_result_t<const First&, A&...>>;
  (check_branch<Result, F, A...>(), ...);
  size_t chosen = 0;
  const auto dispatch = [&](auto&... objects) -> Result {
    std::optional<HeldResult<Result>> held;
    size_t number = 0;
    const auto run_if = [&](const auto& branch) {
      if (number++ != chosen) return;
      held.emplace();
      held->run([&]() -> decltype(auto) { return std::invoke(branch, objects...); });
    };
    run_if(first);
    std::apply([&](const auto&... branch) { (run_if(branch), ...); }, rest);
    return held->take();
  };
  TypedCall<const decltype(dispatch), A&...> call(dispatch, operands...);
  cond_call(
      name, index, 1 + sizeof...(F), [&](size_t which) { chosen = which; }, call.arguments(),
      call.body());
  return call.result();
}

}  // namespace detail

/// f step by step (N-104). Of the arguments, one may be the carry, which f returns anew as the part
/// of its result that `out_axes` marks; variables and tensors with an axis are taken apart along
/// it, and what f writes to them is stacked again; variables with kCarry by StateAxes keep what a
/// step writes for the next one. Objects in the carry must be the same ones in every step (N-105):
/// nnx::Shared, or references.
/// @throws ValueError for axes that do not make sense, a variable with kNone that f writes (random
/// streams begin every step from the same count), other variables in the carry than before, and as
/// vmap; ShapeError, TreeError as linnet::scan.
template <class F>
auto scan(F f, ScanOptions options = {}) {
  return
      [f = std::move(f), options = std::move(options)]<class... A>(A&&... args) -> decltype(auto) {
        detail::TypedCall<const F, A...> call(f, args...);
        detail::scan_call(call.arguments(), call.body(), options);
        return call.result();
      };
}

/// `body(carry)` again and again while `condition(carry)` is true; the carry is a tree that may
/// hold objects, which are the same ones in every step: nnx::Shared, or references in a tuple
/// (N-108). `body` returns the next carry.
/// @throws ValueError if the objects are others than before, or change their structure.
template <class Condition, class Loop, class C>
auto while_loop(Condition condition, Loop body, C&& init) {
  decltype(auto) carry = detail::loop_carry(init);
  using Carry = std::remove_reference_t<decltype(carry)>;
  using Given =
      std::conditional_t<std::is_lvalue_reference_v<C> && std::is_reference_v<decltype(carry)>,
                         Carry&, Carry>;
  const auto predicate = [&condition](Carry& at) { return Tensor(condition(at)); };
  detail::TypedCall<const Loop, Given> call(body, carry);
  // The condition sees the object that the body sees.
  auto& held = call.template argument<0>();
  detail::TypedCall<const decltype(predicate), std::remove_reference_t<decltype(held)>> test(
      predicate, held);
  detail::while_call(call.arguments()[0], test.body(), call.body());
  return call.result();
}

/// `carry = body(i, carry)` for i from `first` up to but not including `last`, with objects as in
/// `while_loop`. Between C++ numbers the loop has a known length and reverse mode differentiates
/// it.
template <class Loop, class C>
auto fori_loop(const Tensor& first, const Tensor& last, Loop body, C&& init, int64_t unroll = 1) {
  decltype(auto) carry = detail::loop_carry(init);
  using Carry = std::remove_reference_t<decltype(carry)>;
  using Given =
      std::conditional_t<std::is_lvalue_reference_v<C> && std::is_reference_v<decltype(carry)>,
                         Carry&, Carry>;
  Tensor index;
  const auto step = [&](Carry& at) -> decltype(auto) { return body(std::as_const(index), at); };
  detail::TypedCall<const decltype(step), Given> call(step, carry);
  detail::fori_call(first, last, unroll, index, call.arguments()[0], call.body());
  return call.result();
}

/// `on_true(operands...)` or `on_false(operands...)`, which return the same type (N-109); what the
/// branch that runs writes to variables of the operands is seen by the caller.
/// @throws ValueError if the branches return different structures, or one changes that of an
/// operand.
template <class T, class F, class... A>
decltype(auto) cond(const Tensor& predicate, T on_true, F on_false, A&&... operands) {
  return detail::branch_call("cond", linnet::detail::branch_of("cond", predicate), on_false,
                             std::tuple<const T&>(on_true), operands...);
}

/// The branch with this number, clamped to those there are: `branches` is a tuple of functions of
/// the operands (N-109).
template <class First, class... F, class... A>
decltype(auto) switch_case(const Tensor& index, const std::tuple<First, F...>& branches,
                           A&&... operands) {
  return std::apply(
      [&](const First& first, const F&... rest) -> decltype(auto) {
        return detail::branch_call("switch_case", index, first, std::tuple<const F&...>(rest...),
                                   operands...);
      },
      branches);
}

}  // namespace linnet::nnx

#pragma GCC visibility pop
