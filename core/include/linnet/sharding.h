// Shardings: which piece of an array which device holds.
//
//   const NamedSharding s(make_mesh({4, 2}, {"x", "y"}), P("x", kNone));
//   s.shard_shape({8, 4});                         // [2,4]
//   s.devices_indices_map({8, 4});                 // cpu:0 -> [0:2, 0:4], …
//   s.is_equivalent_to(NamedSharding(mesh, P("x")), 2);   // true
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "linnet/mesh.h"
#include "linnet/partition_spec.h"
#include "linnet/tensor.h"
#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Indices from `begin` to before `end`.
struct IndexRange {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
  auto operator<=>(const IndexRange&) const = default;
};
/// One range per dimension.
using IndexBox = std::vector<IndexRange>;
/// `[0:2, 0:4]`.
std::string to_string(const IndexBox& box);

/// How the positions of a mesh divide arrays of one rank: into how many blocks each dimension is
/// cut, and which block each position holds.
struct Tiling {
  std::vector<int64_t> counts;               ///< per dimension
  std::vector<std::vector<int64_t>> blocks;  ///< per position, the block's index in each dimension
  bool operator==(const Tiling&) const = default;
};

/// What all shardings say.
class Sharding {
 public:
  virtual ~Sharding() = default;

  /// @throws SpecRankError if it speaks of more dimensions.
  virtual Tiling tiling(size_t rank) const = 0;
  /// In the order of the mesh. @throws MeshError for abstract meshes.
  virtual const std::vector<Device>& devices() const = 0;
  /// Whether there are no devices, only positions.
  virtual bool is_abstract() const { return false; }
  virtual size_t num_devices() const = 0;
  virtual const PendingAxes& pending() const = 0;
  /// The memory of each device that holds the pieces.
  virtual const std::string& memory_kind() const = 0;
  virtual std::string text() const = 0;

  /// The shape of one piece of an array. @throws SpecRankError, IndivisibleError with the spec, the
  /// dimension, its size and the divisor.
  Shape shard_shape(const Shape& global) const;
  /// What each device holds, in the order of the mesh. @throws as `shard_shape`, and MeshError.
  std::vector<std::pair<Device, IndexBox>> devices_indices_map(const Shape& global) const;
  /// The same for the devices of this process.
  std::vector<std::pair<Device, IndexBox>> addressable_devices_indices_map(
      const Shape& global) const {
    return devices_indices_map(global);
  }
  /// What position number `rank` of the mesh holds, which may be abstract.
  IndexBox index_box(const Shape& global, int64_t rank) const;
  /// Devices that hold the same piece are numbered from 0 in the order of the mesh.
  int64_t replica_id(Device device) const;
  /// Whether every device holds the whole.
  virtual bool is_fully_replicated() const;
  /// Whether all devices belong to this process.
  bool is_fully_addressable() const { return !is_abstract(); }
  /// Each device once, in the order of their codes and numbers.
  std::vector<Device> device_set() const;
  /// Whether every array of that rank is on the same devices in the same pieces, in the same kind
  /// of memory.
  bool is_equivalent_to(const Sharding& other, size_t rank) const;

 protected:
  /// The largest rank that `replica_id` and `is_fully_replicated` have to look at.
  virtual size_t divided_rank() const = 0;
};

/// A mesh and a spec.
class NamedSharding final : public Sharding {
 public:
  /// @throws UnknownAxisError, DuplicateAxisError as `check_spec`; SpecError for an unknown kind of
  /// memory. The default is the device's own memory.
  NamedSharding(Mesh mesh, PartitionSpec spec, std::string memory_kind = "device");
  /// What is not there is no spec. @throws SpecError that proposes `P()`.
  NamedSharding(const Mesh& mesh, std::nullopt_t);

  const Mesh& mesh() const { return mesh_; }
  const PartitionSpec& spec() const { return spec_; }
  NamedSharding with_spec(PartitionSpec spec) const;
  NamedSharding with_memory_kind(std::string kind) const;

  Tiling tiling(size_t rank) const override;
  const std::vector<Device>& devices() const override { return mesh_.devices(); }
  bool is_abstract() const override { return mesh_.is_abstract(); }
  size_t num_devices() const override { return static_cast<size_t>(mesh_.size()); }
  const PendingAxes& pending() const override { return spec_.pending(); }
  const std::string& memory_kind() const override { return memory_kind_; }
  bool is_fully_replicated() const override;
  std::string text() const override;
  /// Mesh, spec and memory kind; `is_equivalent_to` asks for less.
  bool operator==(const NamedSharding& other) const;
  size_t hash() const;

 protected:
  size_t divided_rank() const override { return spec_.size(); }

 private:
  Mesh mesh_;
  PartitionSpec spec_;
  std::string memory_kind_;
};

/// The sharding of an array that is whole on one device.
class SingleDeviceSharding final : public Sharding {
 public:
  explicit SingleDeviceSharding(Device device, std::string memory_kind = "device");

  Device device() const { return devices_[0]; }
  Tiling tiling(size_t rank) const override;
  const std::vector<Device>& devices() const override { return devices_; }
  size_t num_devices() const override { return 1; }
  const PendingAxes& pending() const override;
  const std::string& memory_kind() const override { return memory_kind_; }
  std::string text() const override;
  bool operator==(const SingleDeviceSharding& other) const {
    return devices_ == other.devices_ && memory_kind_ == other.memory_kind_;
  }

 protected:
  size_t divided_rank() const override { return 0; }

 private:
  std::vector<Device> devices_;
  std::string memory_kind_;
};

/// `NamedSharding(mesh=Mesh('x': 4, axis_types=(Auto,)), spec=P('x',), memory_kind=device)`.
inline std::string to_string(const Sharding& sharding) { return sharding.text(); }

/// Checks a spec against a mesh.
/// @throws UnknownAxisError for a name that the mesh lacks (with its axes, and the nearest),
/// DuplicateAxisError for an axis that occurs twice, SpecError if something is left open though no
/// axis is Auto, if the axes of one dimension are of several kinds, or if pending axes are not
/// Explicit.
void check_spec(const PartitionSpec& spec, const Mesh& mesh);

/// The value as it is, and the wish that the partitioner divide it like this. No value and no
/// gradient changes by it; on one device it is a check.
/// @throws SpecRankError, IndivisibleError as `shard_shape`.
Tensor with_sharding_constraint(const Tensor& x, const NamedSharding& sharding);
/// On the current mesh. @throws MeshError if there is none.
Tensor with_sharding_constraint(const Tensor& x, const PartitionSpec& spec);
/// What is not there is no constraint. @throws SpecError.
Tensor with_sharding_constraint(const Tensor& x, std::nullopt_t);

/// Specs by path: one counts for the leaf there, or for all leaves below (`{{"", spec}}`: for all),
/// the longest path first.
using SpecsByPath = std::map<std::string, PartitionSpec>;
namespace detail {
/// Constrains leaves, and knows which specs have counted for one.
class ConstraintsByPath {
 public:
  explicit ConstraintsByPath(const SpecsByPath& specs) : specs_(specs) {}
  Tensor operator()(const std::string& path, const Tensor& x);
  /// @throws SpecError naming specs that have not.
  void check_all_used() const;

 private:
  const SpecsByPath& specs_;
  std::set<std::string> used_;
};
}  // namespace detail
/// Each leaf of a tree under the constraint of its spec, on the current mesh; leaves without one as
/// they are.
/// @throws SpecError for a path that leads to no leaf, and as for one tensor.
template <class T>
T with_sharding_constraint(const T& tree, const SpecsByPath& specs) {
  detail::ConstraintsByPath constraints(specs);
  T out = tree::map_with_path(tree, constraints);
  constraints.check_all_used();
  return out;
}

/// Kinds of memory that a device has.
std::vector<std::string> memory_kinds(Device device);

/// A piece of an array on one device.
struct Shard {
  Device device;
  IndexBox index;
  int64_t replica_id = 0;
  Tensor data;
};
/// The sharding of an array: where it is whole.
SingleDeviceSharding sharding_of(const Tensor& array);
/// The pieces of an array that this process holds. The array's shape is always that of the whole.
std::vector<Shard> addressable_shards(const Tensor& array);

}  // namespace linnet

template <>
struct std::hash<linnet::NamedSharding> {
  size_t operator()(const linnet::NamedSharding& sharding) const { return sharding.hash(); }
};

#pragma GCC visibility pop
