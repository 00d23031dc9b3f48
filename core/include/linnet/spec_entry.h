// SpecEntry: how one dimension of an array is divided.
//
//   SpecEntry rows = "data", both = {"data", "model"}, whole = std::nullopt, any = kUnconstrained;
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace linnet {

/// The type of `kUnconstrained`.
struct Unconstrained {};
/// Marks a dimension that the partitioner may divide as it likes.
inline constexpr Unconstrained kUnconstrained;

/// Not at all, over one mesh axis, over several (the first is the most significant), or left open.
/// Names may be logical ones, which rules translate later.
class SpecEntry {
 public:
  using Axes = std::vector<std::string>;
  SpecEntry(std::nullopt_t = std::nullopt) {}             // NOLINT(runtime/explicit)
  SpecEntry(const char* axis) : SpecEntry(Axes{axis}) {}  // NOLINT(runtime/explicit)
  SpecEntry(std::string axis) : SpecEntry(Axes{std::move(axis)}) {}
  SpecEntry(const std::optional<std::string>& axis) : SpecEntry(axis ? Axes{*axis} : Axes{}) {}
  SpecEntry(std::initializer_list<const char*> axes) : SpecEntry(Axes(axes.begin(), axes.end())) {}
  /// Empty names do not count.
  SpecEntry(Axes axes);                               // NOLINT(runtime/explicit)
  SpecEntry(Unconstrained) : unconstrained_(true) {}  // NOLINT(runtime/explicit)

  bool none() const { return axes_.empty() && !unconstrained_; }
  bool unconstrained() const { return unconstrained_; }
  /// Empty for a dimension that is not divided, or left open.
  const Axes& axes() const { return axes_; }
  bool operator==(const SpecEntry&) const = default;

 private:
  Axes axes_;
  bool unconstrained_ = false;
};
/// `None`, `'x'`, `('x', 'y')`, `UNCONSTRAINED`.
std::string to_string(const SpecEntry& entry);

}  // namespace linnet

#pragma GCC visibility pop
