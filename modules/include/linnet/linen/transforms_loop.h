// Loops and branches of functional modules.
//
//   // params/layers/dense/kernel f32[12, n, n]: twelve layers, of which the program holds one
//   const auto layers = linen::scan(Layer{}, {.variable_axes = {{"params", 0}},
//                                             .split_rngs = {{"params", true}}, .length = 12});
//   auto [h, unused] = s("layers", layers, x);       // Layer: (s, carry) -> pair(carry, tuple<>())
//
//   // one cell over time: the same parameters at each step
//   auto [last, ys] = s("rnn", linen::scan(Cell{}, {.variable_broadcast = "params",
//                                                   .split_rngs = {{"params", false}}}), h0, xs);
#pragma once

#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "linnet/control_flow.h"
#include "linnet/linen/lifted_call.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

struct ScanOptions {
  VariableAxes variable_axes = {};              ///< one slice for each turn
  CollectionFilter variable_broadcast = false;  ///< the same for all turns, made once
  CollectionFilter variable_carry = false;      ///< as the turn before left them
  SplitRngs split_rngs = {};
  /// One axis per argument behind the carry, for all its leaves (negative counts from the end;
  /// kBroadcast: the whole argument at each turn). Empty: 0 for all.
  std::vector<std::optional<int64_t>> in_axes = {};
  /// One axis for all that is stacked, or one per element of a tuple or pair. kBroadcast: a value
  /// that does not depend on the turn, as it is.
  std::vector<std::optional<int64_t>> out_axes = {};
  /// Number of turns; needed only if no argument is cut.
  std::optional<int64_t> length = {};
  bool reverse = false;
  int64_t unroll = 1;
  /// Handed to boxes that get or lose the axis: `{"partition_name", "layers"}`.
  Metadata metadata_params = {};
  /// Evaluates the body once before the loop, for what does not depend on it: broadcast variables
  /// that are made, and broadcast results. Without, both are refused.
  bool check_constancy_invariants = true;
  LINNET_FIELDS(variable_axes, variable_broadcast, variable_carry, split_rngs, in_axes, out_axes,
                length, reverse, unroll, metadata_params, check_constancy_invariants)
};

struct RematScanOptions {
  std::vector<int64_t> lengths = {};  ///< of the nested loops; the product is the number of layers
  CollectionFilter variable_broadcast = false;
  CollectionFilter variable_carry = false;
  VariableAxes variable_axes = {{true, 0}};
  SplitRngs split_rngs = {{true, true}};
  CheckpointPolicy policy = {};  ///< what each level keeps for the backward pass
  LINNET_FIELDS(lengths, variable_broadcast, variable_carry, variable_axes, split_rngs, policy)
};

struct WhileOptions {
  CollectionFilter carry_variables = false;     ///< may be written, and keep their values
  CollectionFilter broadcast_variables = true;  ///< read-only
  SplitRngs split_rngs = {};
};

namespace detail {

/// @param f gives the new carry, then what is stacked; `counts` and `result_counts` begin with the
/// carry.
/// @param name of the construct, in errors.
TensorList scan_call(const ScanOptions& options, const ScopeFunction& f,
                     const char* name = "linen::scan");
/// @param f gives the new carry alone.
TensorList remat_scan_call(const RematScanOptions& options, const ScopeFunction& f);
TensorList while_loop_call(const WhileOptions& options, const ScopeFunction& condition,
                           const ScopeFunction& body);
/// @param branches have the same scopes and operands.
TensorList cond_call(const LiftOptions& options, const Tensor& index,
                     const std::vector<ScopeFunction>& branches);
/// 0 where a predicate is true, else 1.
Tensor first_if(const Tensor& predicate);
[[noreturn]] void fail_different_results();

template <class R>
inline constexpr bool is_pair_or_two = false;
template <class A, class B>
inline constexpr bool is_pair_or_two<std::pair<A, B>> = true;
template <class A, class B>
inline constexpr bool is_pair_or_two<std::tuple<A, B>> = true;

struct ScanTransform {
  static constexpr const char* kPrefix = "Scan";
  ScanOptions options;
  LINNET_FIELDS(options)

  template <class Module, class C, class... X>
  auto apply(const Module& module, Scope& scope, const C& carry, const X&... xs) const {
    return apply_as("linen::scan", module, scope, carry, xs...);
  }
  /// @param name of the construct, in errors.
  template <class Module, class C, class... X>
  auto apply_as(const char* name, const Module& module, Scope& scope, const C& carry,
                const X&... xs) const {
    using Carry = linnet::detail::Carried<C>;
    using Call = ScopeCall<Module, Carry, X...>;
    using Result = typename Call::Result;
    static_assert(is_pair_or_two<Result>,
                  "the body of a scan must return a pair of the new carry and what is stacked; "
                  "std::tuple<>() is nothing");
    if constexpr (is_pair_or_two<Result>) {
      static_assert(std::is_same_v<std::decay_t<std::tuple_element_t<0, Result>>, Carry>,
                    "the body of a scan must return a carry of the type that it is given");
      Call call(module, scope, linnet::detail::as_tensors<Carry>(carry), xs...);
      ScopeFunction f = call.function();
      f.result_counts = [&call] {
        const auto& [after, stacked] = call.call().traced();
        std::vector<size_t> counts = linnet::detail::leaf_counts(stacked);
        counts.insert(counts.begin(), tree::leaves(after).size());
        return counts;
      };
      return call.result(scan_call(options, f, name));
    }
  }
};

struct RematScanTransform {
  static constexpr const char* kPrefix = "Remat_scan";
  RematScanOptions options;
  LINNET_FIELDS(options)

  template <class Module, class C>
  auto apply(const Module& module, Scope& scope, const C& carry) const {
    using Carry = linnet::detail::Carried<C>;
    using Call = ScopeCall<Module, Carry>;
    static_assert(std::is_same_v<typename Call::Result, Carry>,
                  "the body of remat_scan must return a carry of the type that it is given");
    Call call(module, scope, linnet::detail::as_tensors<Carry>(carry));
    return call.result(remat_scan_call(options, call.function()));
  }
};

/// Branches of one type of result on the same operands.
template <class Result, class... A>
class LiftedBranches {
 public:
  template <class F>
  void add(const F& f, Scope& scope, const A&... args) {
    static_assert(
        std::is_same_v<std::decay_t<std::invoke_result_t<const F&, Scope&, Passed<A>...>>, Result>,
        "all branches must return the same type");
    auto call = std::make_shared<ScopeCall<F, A...>>(f, scope, args...);
    ScopeFunction branch = call->function();
    branch.run = [this, call, run = std::move(branch.run)](const auto& scopes, const auto& inputs) {
      TensorList out = run(scopes, inputs);
      const Result& traced = call->call().traced();
      if (result_ && tree::structure(*result_) != tree::structure(traced)) fail_different_results();
      result_.emplace(linnet::detail::blank(traced));
      return out;
    };
    branches_.push_back(std::move(branch));
  }
  Result run(const LiftOptions& options, const Tensor& index) {
    const TensorList outputs = cond_call(options, index, branches_);
    return tree::unflatten(*result_, outputs);
  }

 private:
  std::vector<ScopeFunction> branches_;
  std::optional<Result> result_;
};

}  // namespace detail

/// `module` again and again (L-085): `module(s, carry, x...)` gives a pair of the new carry and any
/// tree; x are the elements of the further arguments along their axes. Gives the last carry and the
/// trees stacked. The program holds the module once, whatever the length.
///
/// Collections in `variable_axes` are cut and stacked as arguments are, those in
/// `variable_broadcast` belong to all turns (L-087), those in `variable_carry`, which must be there
/// before, are handed from turn to turn (L-088). Keys and names are those of Flax: names as in one
/// call; where the body is evaluated before the loop, keys inside it are drawn for the second time
/// (docs/rng.md, section 9.2).
/// @throws ValueError if lengths differ or none is known (L-086), if what is broadcast depends on
/// the loop, or if carried variables change their structure; what linnet::scan throws.
template <class Module>
auto scan(Module module, ScanOptions options = {}) {
  return Lifted<detail::ScanTransform, Module>({std::move(options)}, std::move(module));
}

/// `carry = module(s, carry)`, as often as the product of the lengths says, in nested loops of
/// which each level but the innermost is recomputed in the backward pass: memory grows with the sum
/// of the lengths (L-081). Variables are stacked once for each level.
template <class Module>
auto remat_scan(Module module, RematScanOptions options) {
  return Lifted<detail::RematScanTransform, Module>({std::move(options)}, std::move(module));
}

/// `carry = body(s, carry)` while `condition(s, carry)`, a zero-dimensional bool, is true (L-097).
/// The condition writes nothing. Variables cannot be made inside: make them by a call of `body`
/// before. Split streams have another key at each turn.
template <class Condition, class Body, class C>
auto while_loop_with(const WhileOptions& options, const Condition& condition, const Body& body,
                     Scope& s, const C& init) {
  using Carry = linnet::detail::Carried<C>;
  const Carry first = linnet::detail::as_tensors<Carry>(init);
  detail::ScopeCall<Body, Carry> turn(body, s, first);
  static_assert(std::is_same_v<typename decltype(turn)::Result, Carry>,
                "the body of a loop must return a carry of the type that it is given");
  const auto predicate = [&condition](Scope& scope, const Carry& carry) {
    return Tensor(condition(scope, carry));
  };
  detail::ScopeCall<decltype(predicate), Carry> test(predicate, s, first);
  return turn.result(detail::while_loop_call(options, test.function(), turn.function()));
}
template <class Condition, class Body, class C>
auto while_loop(const Condition& condition, const Body& body, Scope& s, const C& init) {
  return linen::while_loop_with({}, condition, body, s, init);
}

/// `branches[index](s, operands...)`, the index clamped to those there are (L-099): a tuple or a
/// vector of modules. They must make and write the same variables; where each has submodules of its
/// own, call all of them while initialising.
/// @throws ValueError if results or variables of the branches differ in structure.
template <class Branches, class... A>
auto switch_case_with(const LiftOptions& options, const Tensor& index, const Branches& branches,
                      Scope& s, const A&... operands) {
  const auto run = [&](const auto& first, const auto&... rest) {
    using Result = std::decay_t<
        std::invoke_result_t<decltype(first), Scope&, detail::Passed<std::decay_t<const A&>>...>>;
    detail::LiftedBranches<Result, std::decay_t<const A&>...> calls;
    calls.add(first, s, operands...);
    (calls.add(rest, s, operands...), ...);
    return calls.run(options, index);
  };
  if constexpr (tree::detail::is_tuple<Branches>) {
    return std::apply(run, branches);
  } else {
    using F = std::decay_t<decltype(branches[0])>;
    using Result = std::decay_t<
        std::invoke_result_t<const F&, Scope&, detail::Passed<std::decay_t<const A&>>...>>;
    detail::LiftedBranches<Result, std::decay_t<const A&>...> calls;
    for (const F& branch : branches) calls.add(branch, s, operands...);
    return calls.run(options, index);
  }
}
template <class Branches, class... A>
auto switch_case(const Tensor& index, const Branches& branches, Scope& s, const A&... operands) {
  return linen::switch_case_with({}, index, branches, s, operands...);
}

/// `on_true(s, operands...)` or `on_false(s, operands...)` (L-098), as switch_case.
template <class T, class F, class... A>
auto cond_with(const LiftOptions& options, const Tensor& predicate, const T& on_true,
               const F& on_false, Scope& s, const A&... operands) {
  return linen::switch_case_with(options, detail::first_if(predicate), std::tie(on_true, on_false),
                                 s, operands...);
}
template <class T, class F, class... A>
auto cond(const Tensor& predicate, const T& on_true, const F& on_false, Scope& s,
          const A&... operands) {
  return linen::cond_with({}, predicate, on_true, on_false, s, operands...);
}

}  // namespace linnet::linen

#pragma GCC visibility pop
