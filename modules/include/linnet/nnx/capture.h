// Values on the way through a model: kept with sow and perturb, collected by capture.
//
//   struct Block {
//     nnx::Linear up;
//     std::optional<nnx::Intermediate> features;               // where sow keeps them
//     std::optional<nnx::Perturbation> at_features;
//     Tensor operator()(const Tensor& x) {
//       const Tensor h = nnx::perturb(at_features, up(x));
//       nnx::sow(features, h);
//       return relu(h);
//     }
//     LINNET_FIELDS(up, features, at_features)
//   };
//   auto [y, kept] = nnx::capture<nnx::Intermediate>(model, [&](Model& m) { return m(x); });
//   kept["block"]["features"].leaf();                          // a tuple, one entry a call
//
// What functional modules sow inside bridge::ToNNX is collected too, under the wrapper's path.
#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "linnet/nnx/members.h"
#include "linnet/nnx/nodes.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

namespace detail {

/// Of a member that keeps values: the new value for the old one (none at the first call).
using Reduction = std::function<state::Value(const state::Value* held, const Tensor& value)>;
/// Appends to a tuple.
state::Value append_to_tuple(const state::Value* held, const Tensor& value);
/// False if a capture on this thread does not want the kind.
bool is_captured(const VariableType& type);
void reduce_into(Variable& variable, const Reduction& reduce, const Tensor& value);
/// Zeros at first; their sum with `value`.
Tensor perturbed(Variable& variable, const Tensor& value);

/// While one is alive, sow and perturb on this thread heed these kinds only.
class CaptureScope {
 public:
  explicit CaptureScope(VariableTypes types);
  ~CaptureScope();
  CaptureScope(const CaptureScope&) = delete;
  CaptureScope& operator=(const CaptureScope&) = delete;
  static const CaptureScope* current();
  bool wants(const VariableType& type) const;
  const VariableTypes& types() const { return types_; }

 private:
  VariableTypes types_;
  const CaptureScope* previous_;
};
/// The names of the collections that a capture on this thread wants of wrapped functional modules.
std::vector<std::string> captured_collections();

/// Empties the members that can hold variables of some kinds, fills in values to begin with, and
/// puts everything back when it ends.
class CaptureRun {
 public:
  /// @throws ValueError for an initial value that no member is there for.
  CaptureRun(VariableTypes types, const std::function<void(tree::Visitor&)>& visit,
             const State& init);
  ~CaptureRun();
  CaptureRun(const CaptureRun&) = delete;
  CaptureRun& operator=(const CaptureRun&) = delete;
  /// What members hold now, of one kind.
  State collected(const VariableType& type) const;

 private:
  /// Values by slot and by keeper.
  struct Values {
    std::vector<VariableCellPtr> slots;
    std::vector<NamedCells> kept;
  };
  bool begin_with(const tree::Path& path, const VariableCellPtr& cell, Values& first) const;
  void put(const Values& values) const;
  CaptureScope scope_;
  MemberVisitor members_;
  /// What keepers give and take: kinds that are state between calls are left to them.
  VariableTypes kept_types_;
  Values before_;
};

}  // namespace detail

/// Keeps a value in a member: appended to the tuple that is there, so that a module called several
/// times keeps several (N-036). Inside `capture` only for the kinds asked for.
/// @return false if it was not kept.
template <class V>
  requires std::is_base_of_v<Variable, V>
bool sow(std::optional<V>& member, const Tensor& value,
         const detail::Reduction& reduce = detail::append_to_tuple) {
  if (!detail::is_captured(V::static_type())) return false;
  const bool first = !member;
  if (first)
    member.emplace(reduce(nullptr, value));
  else
    detail::reduce_into(*member, reduce, value);
  return true;
}
/// Keeps one tensor: `reduce(initial, value)` at first, then `reduce(held, value)`.
template <class V>
  requires std::is_base_of_v<Variable, V>
bool sow(std::optional<V>& member, const Tensor& value,
         const std::function<Tensor(const Tensor&, const Tensor&)>& reduce, const Tensor& initial) {
  return nnx::sow(member, value, [&](const state::Value* held, const Tensor& next) {
    return state::Value(reduce(held ? held->tensors.at(0) : initial, next));
  });
}

/// `value` plus what the member holds: zeros, made at the first call (N-037). The gradient with
/// respect to them is that of the value. Inside a `capture` of other kinds it is the value alone.
template <class V = Perturbation>
Tensor perturb(std::optional<V>& member, const Tensor& value) {
  if (!detail::is_captured(V::static_type())) return value;
  if (!member) member.emplace(zeros_like(value));
  return detail::perturbed(*member, value);
}

/// Calls `f(model)` and gives `{result, state...}` with what was sown of each kind, under its path;
/// the model's members of these kinds are afterwards as they were, also if f throws (N-038).
/// Wrapped functional modules may change the collections of these kinds: what they sow is
/// collected, and their perturbations are zeros to begin with.
/// @param init variables to begin with, such as perturbations.
template <class... Kinds, class M, class F>
  requires(sizeof...(Kinds) > 0)
auto capture(M& model, F&& f, const State& init = {}) {
  const detail::CaptureRun run({&Kinds::static_type()...}, detail::visitor_of(model), init);
  auto result = std::forward<F>(f)(model);
  return std::make_tuple(std::move(result), run.collected(Kinds::static_type())...);
}

}  // namespace linnet::nnx

#pragma GCC visibility pop
