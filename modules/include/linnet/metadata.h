// Metadata of variables and boxes: named values that travel with a tensor, such as its sharding.
//
//   Metadata m{{"out_sharding", AxisNames{"in", "out"}}, {"tag", "frozen"}};
//   m.get<AxisNames>("out_sharding")
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "linnet/spec_entry.h"
#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet {

class Mesh;

/// Per dimension of a tensor one mesh axis or logical name, several, or none.
struct AxisNames {
  std::vector<SpecEntry> names;
  AxisNames() = default;
  AxisNames(std::initializer_list<SpecEntry> list) : names(list) {}
  explicit AxisNames(std::vector<SpecEntry> list) : names(std::move(list)) {}
  /// Names that are none at the end do not count: a short tuple means the same as a padded one.
  bool operator==(const AxisNames& other) const;
};

/// Pairs of logical axis name and mesh axes (none: replicated), in order of preference.
struct AxisRules {
  std::vector<std::pair<std::string, SpecEntry>> rules;
  bool operator==(const AxisRules&) const = default;
};

/// Named axes of a mesh, and the mesh itself if annotations were made with one (partitioning.h).
struct MeshAxes {
  std::vector<std::pair<std::string, int64_t>> axes;
  std::shared_ptr<const Mesh> mesh = nullptr;
  MeshAxes(std::vector<std::pair<std::string, int64_t>> list) : axes(std::move(list)) {}  // NOLINT
  MeshAxes(const Mesh& mesh);                                                             // NOLINT
  bool operator==(const MeshAxes& other) const;
};

/// A hook that maps a value when a variable is read, written or made.
struct ValueHook {
  std::function<Tensor(const Tensor&)> function;
  bool operator==(const ValueHook& other) const { return id == other.id; }
  std::shared_ptr<int> id = std::make_shared<int>();
};

/// Names the axis that a transformation adds to or removes from metadata, in both module APIs:
/// `{{kPartitionName, "layers"}}` as metadata of the transformation (N-157).
inline constexpr char kPartitionName[] = "partition_name";

class Metadata;
/// A hook that may change further metadata when an axis is added or removed: (metadata, position,
/// name).
struct AxisHook {
  std::function<void(Metadata&, int64_t, const std::optional<std::string>&)> function;
  bool operator==(const AxisHook& other) const { return id == other.id; }
  std::shared_ptr<int> id = std::make_shared<int>();
};

using MetadataValue =
    std::variant<std::monostate, bool, int64_t, double, std::string, AxisNames, AxisRules, MeshAxes,
                 std::vector<ValueHook>, std::vector<AxisHook>>;

/// Ordered map from names to values. `sharding` and `sharding_names` are accepted spellings of
/// `out_sharding`.
class Metadata {
 public:
  Metadata() = default;
  Metadata(std::initializer_list<std::pair<std::string, MetadataValue>> entries);

  bool has(std::string_view name) const;
  /// Null if absent or of another type.
  template <class T>
  const T* get(std::string_view name) const {
    const MetadataValue* value = find(name);
    return value ? std::get_if<T>(value) : nullptr;
  }
  const MetadataValue* find(std::string_view name) const;
  void set(std::string_view name, MetadataValue value);
  void set(std::string_view name, const char* text) { set(name, MetadataValue(std::string(text))); }
  void erase(std::string_view name);
  bool empty() const { return entries_.empty(); }
  const std::map<std::string, MetadataValue, std::less<>>& entries() const { return entries_; }
  /// Of the entries.
  bool operator==(const Metadata& other) const { return entries_ == other.entries_; }

  /// Axes that were added (or, negative, removed) beside the array: as many more than the array the
  /// metadata describe. Negative positions are counted from there. A new array makes it zero.
  int64_t axes_beside_array() const { return axes_beside_array_; }
  void set_axes_beside_array(int64_t count) { axes_beside_array_ = count; }

 private:
  std::map<std::string, MetadataValue, std::less<>> entries_;
  int64_t axes_beside_array_ = 0;
};

/// `{out_sharding=(in, out), tag='frozen'}`.
std::string to_string(const Metadata& metadata);
size_t hash_of(const Metadata& metadata);

/// The new entry at `position` of every per-axis tuple (B-131 … B-140): `out_sharding` gets
/// `parameters["partition_name"]`, other AxisNames entries whose key is also in `parameters` get
/// that. `rank` is the rank of the value before insertion; negative positions count from the rank
/// after it. Shorter tuples are first padded with none to the rank.
/// @throws PartitioningUnspecifiedError if partition_name is missing though there is sharding;
/// ValueError if `position` is out of range.
Metadata add_axis(const Metadata& metadata, int64_t position, const Metadata& parameters,
                  size_t rank);
/// Undoes exactly that; `rank` is the one before removal. @throws SpecError stating expected and
/// found name; ValueError if `position` is out of range.
Metadata remove_axis(const Metadata& metadata, int64_t position, const Metadata& parameters,
                     size_t rank);
/// The number of axes that metadata describe: that of the longest per-axis tuple, and at least
/// `rank`.
size_t axis_count(const Metadata& metadata, size_t rank);

/// What stands for a tensor (a functional variable, a leaf of a dictionary) prints as one, unless
/// it says that it has a text of its own.
template <class T>
  requires requires(const T& holder) { holder.operator Tensor(); } &&
           (!requires { typename T::HasOwnText; })
std::ostream& operator<<(std::ostream& stream, const T& holder) {
  return stream << holder.operator Tensor();
}
namespace nnx {
using linnet::operator<<;
}
namespace linen {
using linnet::operator<<;
}
namespace bridge {
using linnet::operator<<;
}

}  // namespace linnet

#pragma GCC visibility pop
