// How arguments and results take part in a transformation of objects: by an axis, broadcast, or
// carried; for parts of a module by filters.
//
//   nnx::StateAxes axes{{nnx::of_type<nnx::Param>(), 0}, {nnx::everything(), nnx::kNone}};
//   auto forward = nnx::vmap(f, {.in_axes = {axes, 0}});
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "linnet/nnx/state.h"
#include "linnet/transforms.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

using linnet::kNone;

/// The type of `kCarry`.
struct CarryMark {};
/// Marks an argument, a result or a part of a module that a loop hands from step to step.
inline constexpr CarryMark kCarry;

/// How one leaf takes part: along an axis, as it is for all (kNone), or carried.
class LeafAxis {
 public:
  constexpr LeafAxis(int64_t position)  // NOLINT(runtime/explicit)
      : kind_(Kind::kMapped), position_(position) {}
  constexpr LeafAxis(std::nullopt_t) : kind_(Kind::kNone) {}  // NOLINT(runtime/explicit)
  constexpr LeafAxis(CarryMark) : kind_(Kind::kCarried) {}    // NOLINT(runtime/explicit)

  bool mapped() const { return kind_ == Kind::kMapped; }
  bool none() const { return kind_ == Kind::kNone; }
  bool carried() const { return kind_ == Kind::kCarried; }
  /// Of a mapped one; negative counts from the end.
  int64_t position() const { return position_; }
  bool operator==(const LeafAxis&) const = default;

 private:
  enum class Kind : uint8_t { kMapped, kNone, kCarried };
  Kind kind_;
  int64_t position_ = 0;
};
/// `0`, `none`, `carry`.
std::string to_string(LeafAxis axis);

/// Axes by filters: a leaf takes that of the first filter that matches (N-101).
class StateAxes {
 public:
  using Entry = std::pair<Filter, LeafAxis>;
  StateAxes(std::initializer_list<Entry> entries) : entries_(entries) {}
  explicit StateAxes(std::vector<Entry> entries) : entries_(std::move(entries)) {}
  /// From a state whose leaves are integers: the axis of the leaf at each path.
  explicit StateAxes(const State& axes);

  const std::vector<Entry>& entries() const { return entries_; }
  /// @throws ValueError if no filter matches.
  LeafAxis of(const tree::Path& path, const StateLeaf& leaf) const;
  bool operator==(const StateAxes&) const = default;

 private:
  std::vector<Entry> entries_;
};

/// The axes of one argument or result.
class AxesPrefix {
 public:
  AxesPrefix(int64_t position) : axes_(LeafAxis(position)) {}  // NOLINT(runtime/explicit)
  AxesPrefix(std::nullopt_t none) : axes_(LeafAxis(none)) {}   // NOLINT(runtime/explicit)
  AxesPrefix(CarryMark carry) : axes_(LeafAxis(carry)) {}      // NOLINT(runtime/explicit)
  AxesPrefix(LeafAxis axis) : axes_(axis) {}                   // NOLINT(runtime/explicit)
  AxesPrefix(StateAxes axes) : axes_(std::move(axes)) {}       // NOLINT(runtime/explicit)

  /// Of one leaf. @throws ValueError if no filter matches.
  LeafAxis of(const tree::Path& path, const StateLeaf& leaf) const;
  /// The whole is carried.
  bool carried() const;
  /// It, or a part of it.
  bool has_carry() const;
  /// Null unless there are filters.
  const StateAxes* filters() const { return std::get_if<StateAxes>(&axes_); }
  bool operator==(const AxesPrefix&) const = default;

 private:
  std::variant<LeafAxis, StateAxes> axes_;
};

}  // namespace linnet::nnx

#pragma GCC visibility pop
