// PartitionSpec (P): which mesh axes divide which dimensions of an array.
//
//   P("data", kNone, axes("model", "replica"))   // dimension 0 over one axis, dimension 2 over two
//   P()                                          // whole on every device
//   P::parse("P('data', None)").for_rank(3)      // P('data', None, None)
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/sharding_errors.h"
#include "linnet/spec_entry.h"

#pragma GCC visibility push(default)

namespace linnet {

/// What a pending reduction will be.
enum class PendingKind : uint8_t { kSum, kMax, kMin };

/// Mesh axes over which a value is not yet reduced, and those over which its cotangents will not
/// be. Names are sorted and occur once.
struct PendingAxes {
  std::vector<std::string> unreduced = {};
  PendingKind unreduced_kind = PendingKind::kSum;
  std::vector<std::string> reduced = {};
  bool operator==(const PendingAxes&) const = default;
};

/// One entry for a dimension that several mesh axes divide, the most significant first.
template <class... S>
SpecEntry axes(S&&... names) {
  return SpecEntry(std::vector<std::string>{std::string(std::forward<S>(names))...});
}

/// A sequence of entries, one per dimension; dimensions behind the last are not divided. Immutable,
/// and cheap to copy.
///
/// Entries are compared one by one: `P("x")` and `P("x", kNone)` differ, though they divide a
/// matrix in the same way (`NamedSharding::is_equivalent_to`). Whether names exist and occur once
/// is checked where a spec meets a mesh, since logical names may repeat until they are translated.
class PartitionSpec final {
 public:
  using Entries = std::vector<SpecEntry>;

  PartitionSpec() = default;
  template <class... E>
    requires(sizeof...(E) > 0 && (std::is_convertible_v<E&&, SpecEntry> && ...))
  explicit(sizeof...(E) == 1) PartitionSpec(E&&... entries)
      : PartitionSpec(Entries{SpecEntry(std::forward<E>(entries))...}) {}
  /// @throws SpecError if an axis is both an entry and pending, or pending in both ways.
  explicit PartitionSpec(Entries entries, PendingAxes pending = {});
  explicit PartitionSpec(const std::vector<std::optional<std::string>>& entries);
  /// Reads the text form. @throws SpecError, also for a list inside a list.
  static PartitionSpec parse(std::string_view text);

  size_t size() const { return entries().size(); }
  bool empty() const { return entries().empty(); }
  const SpecEntry& operator[](size_t dimension) const { return entries()[dimension]; }
  Entries::const_iterator begin() const { return entries().begin(); }
  Entries::const_iterator end() const { return entries().end(); }
  const Entries& entries() const;
  const PendingAxes& pending() const;

  /// The first dimension with that entry. @throws SpecError if there is none.
  size_t index(const SpecEntry& entry) const;
  /// How many dimensions have that entry.
  size_t count(const SpecEntry& entry) const;
  /// The mesh axes of each dimension; none for what is left open.
  std::vector<std::vector<std::string>> axes_of_dimensions() const;
  /// Whether a dimension is left open.
  bool has_unconstrained() const;

  /// One after the other, pending axes united. @throws SpecError if an axis would be an entry and
  /// pending, or if the pending reductions are of two kinds.
  friend PartitionSpec operator+(const PartitionSpec& a, const PartitionSpec& b);
  /// With none in the dimensions that are missing to `rank`. @throws SpecRankError if it is longer.
  PartitionSpec for_rank(size_t rank) const;
  /// Without none at the end.
  PartitionSpec trimmed() const;
  /// @throws SpecError as the constructor.
  PartitionSpec with_pending(PendingAxes pending) const;

  bool operator==(const PartitionSpec& other) const;
  size_t hash() const;

 private:
  struct Data;
  std::shared_ptr<const Data> data_;  ///< null: empty
};
using P = PartitionSpec;

/// `P('x', None, ('y', 'z'))`; one entry alone has a comma behind it, as tuples do.
std::string to_string(const PartitionSpec& spec);
std::ostream& operator<<(std::ostream& stream, const PartitionSpec& spec);

/// Checks a spec against an array's rank. `subject` names the array in the message.
/// @throws SpecRankError if the spec is longer, though the surplus entries be none.
void check_rank(const PartitionSpec& spec, size_t rank, std::string_view subject = "the array");

}  // namespace linnet

template <>
struct std::hash<linnet::PartitionSpec> {
  size_t operator()(const linnet::PartitionSpec& spec) const { return spec.hash(); }
};

#pragma GCC visibility pop
