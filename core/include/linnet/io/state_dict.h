// Any tree as nested maps of arrays with texts for keys, which is what portable files hold; and
// back.
//
//   StateDict saved = to_state_dict(train_state);       // {"params": {"dense": {"kernel": ...}},
//   ...} TrainState again = from_state_dict(train_state, saved);
//
// Positions of lists become the keys "0", "1", …; static leaves (numbers, texts) are part of the
// program and not saved. As flax.serialization.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "linnet/io/host_array.h"
#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet {

/// One node: a map, an array, or a simple value that a file of another program may hold.
class StateDict {
 public:
  using Map = std::map<std::string, StateDict, std::less<>>;
  using Value = std::variant<Map, HostArray, std::monostate, bool, int64_t, double, std::string>;

  /// An empty map.
  StateDict() = default;
  StateDict(std::initializer_list<std::pair<const std::string, StateDict>> entries)
      : value_(Map(entries)) {}
  StateDict(Value value) : value_(std::move(value)) {}      // NOLINT(runtime/explicit)
  StateDict(HostArray array) : value_(std::move(array)) {}  // NOLINT(runtime/explicit)

  bool is_map() const { return std::holds_alternative<Map>(value_); }
  bool is_array() const { return std::holds_alternative<HostArray>(value_); }
  const Value& value() const { return value_; }
  /// @throws ValueError unless this is a map.
  const Map& entries() const;
  Map& entries();
  /// Entry of a map. @throws ValueError naming the entries there are.
  const StateDict& operator[](std::string_view name) const;
  bool contains(std::string_view name) const { return is_map() && entries().count(name); }
  /// A number counts as an array without dimensions, i64 or f64; a bool likewise.
  /// @throws ValueError for other nodes.
  HostArray array() const;

 private:
  Value value_;
};

namespace detail {
StateDict write_state_dict(const std::function<void(tree::Visitor&)>& visit);
void read_state_dict(const StateDict& saved, const std::function<void(tree::Visitor&)>& visit);
}  // namespace detail

/// The tensors of a tree by their keys (L-168).
/// @throws TraceError for tensors without values, ValueError if two keys have one text.
template <class T>
StateDict to_state_dict(const T& object) {
  return detail::write_state_dict(
      [&](tree::Visitor& visitor) { tree::visit(const_cast<T&>(object), visitor); });
}

/// A copy of `target` with the arrays of `saved`, which decide dtypes.
/// @throws ValueError naming the path where keys are missing or left over or a list has another
/// length, ShapeError where an array has another shape.
template <class T>
T from_state_dict(const T& target, const StateDict& saved) {
  T out = tree::copy(target);
  detail::read_state_dict(saved, [&](tree::Visitor& visitor) { tree::visit(out, visitor); });
  return out;
}

}  // namespace linnet

#pragma GCC visibility pop
