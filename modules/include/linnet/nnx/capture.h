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
#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

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
  explicit CaptureScope(std::vector<const VariableType*> types);
  ~CaptureScope();
  CaptureScope(const CaptureScope&) = delete;
  CaptureScope& operator=(const CaptureScope&) = delete;
  static const CaptureScope* current();
  bool wants(const VariableType& type) const;

 private:
  std::vector<const VariableType*> types_;
  const CaptureScope* previous_;
};

/// The members of a model that can hold a variable of one of the kinds.
struct SlotTable {
  struct Slot {
    tree::Path path;
    /// Takes the cell that is there, or none; puts in another, or none.
    std::function<VariableCellPtr()> get;
    std::function<void(VariableCellPtr)> set;
  };
  std::vector<const VariableType*> types;
  std::vector<Slot> slots;

  bool wants(const VariableType& type) const;

  template <class T>
  void operator()(const tree::Path& path, T& member) {
    if constexpr (is_variable_slot<T>) {
      using V = typename T::value_type;
      if (!wants(V::static_type())) return;
      slots.push_back({path, [&member] { return member ? member->cell() : nullptr; },
                       [&member](VariableCellPtr cell) {
                         member.reset();
                         if (!cell) return;
                         member.emplace(state::Value());
                         member->cell() = std::move(cell);
                       }});
    }
  }
};

/// Empties the members, fills in values to begin with, and puts everything back when it ends.
class CaptureRun {
 public:
  /// @throws ValueError for an initial value that no member is there for.
  CaptureRun(SlotTable table, const State& init);
  ~CaptureRun();
  CaptureRun(const CaptureRun&) = delete;
  CaptureRun& operator=(const CaptureRun&) = delete;
  /// What members hold now, of one kind.
  State collected(const VariableType& type) const;

 private:
  SlotTable table_;
  std::vector<VariableCellPtr> before_;
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
/// @param init variables to begin with, such as perturbations.
template <class... Kinds, class M, class F>
  requires(sizeof...(Kinds) > 0)
auto capture(M& model, F&& f, const State& init = {}) {
  detail::SlotTable table;
  table.types = {&Kinds::static_type()...};
  for (const auto& [path, leaf] : init.entries()) {
    if (leaf.cell) table.types.push_back(leaf.cell->type);
  }
  const detail::CaptureScope kinds(table.types);
  detail::NodeWalk walk("capture");
  detail::walk_nodes(model, walk, table);
  const detail::CaptureRun run(std::move(table), init);
  auto result = std::forward<F>(f)(model);
  return std::make_tuple(std::move(result), run.collected(Kinds::static_type())...);
}

}  // namespace linnet::nnx

#pragma GCC visibility pop
