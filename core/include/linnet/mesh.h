// Meshes: devices in a grid whose dimensions have names, and the mesh that is current in a thread.
//
//   const Mesh mesh = make_mesh({4, 2}, {"data", "model"});
//   auto scope = set_mesh(mesh);                       // current until the end of the scope
//   mesh.coordinate(device);                           // {3, 1}
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "linnet/device.h"
#include "linnet/sharding_errors.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Who decides how arrays are divided over an axis.
enum class AxisType : uint8_t {
  kAuto,      ///< the partitioner
  kExplicit,  ///< the program: the sharding is part of an array's type
  kManual     ///< code that runs once per position, inside `shard_map`
};
/// `Auto`, `Explicit`, `Manual`.
std::string to_string(AxisType type);

/// Devices in rows and columns: device number d in row-major order is at `unravel(d, sizes)`.
struct DeviceGrid {
  std::vector<Device> devices;
  std::vector<int64_t> sizes;
  /// A row.
  DeviceGrid(std::initializer_list<Device> row) : DeviceGrid(std::vector<Device>(row)) {}
  DeviceGrid(std::vector<Device> row)  // NOLINT(runtime/explicit)
      : devices(std::move(row)), sizes{static_cast<int64_t>(devices.size())} {}
  DeviceGrid(std::vector<Device> row_major, std::vector<int64_t> sizes)
      : devices(std::move(row_major)), sizes(std::move(sizes)) {}
};

/// The names of a mesh's axes.
struct MeshAxisNames {
  std::vector<std::optional<std::string>> names;
  MeshAxisNames(const char* name) : names{name} {}             // NOLINT(runtime/explicit)
  MeshAxisNames(std::string name) : names{std::move(name)} {}  // NOLINT(runtime/explicit)
  MeshAxisNames(std::initializer_list<std::optional<std::string>> list) : names(list) {}
  MeshAxisNames(const std::vector<std::string>& list)  // NOLINT(runtime/explicit)
      : names(list.begin(), list.end()) {}
};

/// The kinds of a mesh's axes; not given: Auto for all.
struct MeshAxisTypes {
  std::optional<std::vector<AxisType>> types;
  MeshAxisTypes() = default;
  MeshAxisTypes(AxisType type) : types{{type}} {}                        // NOLINT(runtime/explicit)
  MeshAxisTypes(std::initializer_list<AxisType> list) : types(list) {}   // NOLINT
  MeshAxisTypes(std::vector<AxisType> list) : types(std::move(list)) {}  // NOLINT(runtime/explicit)
};

class AbstractMesh;

/// A grid of devices with named axes, or (AbstractMesh) the names and sizes alone. Immutable, and
/// cheap to copy.
class Mesh {
 public:
  /// The empty mesh: no axes and no devices. It is current where nobody set another.
  Mesh() = default;
  /// @throws MeshError if the numbers of names, kinds and dimensions differ, if a name is missing
  /// or occurs twice, if a size is not positive or a device is in two places.
  Mesh(DeviceGrid devices, const MeshAxisNames& names, const MeshAxisTypes& types = {});

  const std::vector<std::string>& axis_names() const;
  const std::vector<int64_t>& axis_sizes() const;
  const std::vector<AxisType>& axis_types() const;
  /// Name and size of each axis, in order.
  std::vector<std::pair<std::string, int64_t>> shape() const;
  /// How many positions there are: the product of the sizes, and 0 in an empty mesh.
  int64_t size() const;
  bool empty() const { return axis_names().empty(); }
  bool has_axis(std::string_view name) const;
  /// @throws UnknownAxisError naming the axes there are.
  size_t axis_index(std::string_view name) const;
  int64_t axis_size(std::string_view name) const { return axis_sizes()[axis_index(name)]; }
  /// Names of one kind, in order.
  std::vector<std::string> explicit_axes() const { return axes_of(AxisType::kExplicit); }
  std::vector<std::string> auto_axes() const { return axes_of(AxisType::kAuto); }
  std::vector<std::string> manual_axes() const { return axes_of(AxisType::kManual); }

  bool is_abstract() const;
  AbstractMesh abstract() const;
  /// In row-major order. @throws MeshError for an abstract mesh.
  const std::vector<Device>& devices() const;
  /// The number of a device in row-major order. @throws MeshError if it is not in the mesh.
  int64_t rank_of(Device device) const;
  /// Where a device is: its index along each axis. @throws MeshError if it is not in the mesh.
  std::vector<int64_t> coordinate(Device device) const { return coordinate_of(rank_of(device)); }
  /// The same of position number `rank`.
  std::vector<int64_t> coordinate_of(int64_t rank) const;

  /// Devices, names, sizes and kinds.
  bool operator==(const Mesh& other) const;
  size_t hash() const;

 protected:
  struct Data;
  explicit Mesh(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
  const Data& data() const;
  std::vector<std::string> axes_of(AxisType type) const;
  std::shared_ptr<const Data> data_;  ///< null: empty
};

/// A mesh without devices: enough for tracing and for checks of specs.
class AbstractMesh : public Mesh {
 public:
  AbstractMesh() = default;
  /// @throws MeshError as `Mesh`.
  AbstractMesh(std::vector<int64_t> sizes, const MeshAxisNames& names,
               const MeshAxisTypes& types = {});

 private:
  friend class Mesh;
  explicit AbstractMesh(std::shared_ptr<const Data> data) : Mesh(std::move(data)) {}
};

/// `Mesh('x': 2, 'y': 4, axis_types=(Auto, Explicit))`; `AbstractMesh(…)`.
std::string to_string(const Mesh& mesh);

/// All devices of the default device's type, in order.
std::vector<Device> all_devices();

/// A mesh of the first `prod(sizes)` of `devices` (if none are given, of `all_devices()`). One size
/// may be -1: it becomes what uses all devices.
/// @throws MeshError if there are too few, if two sizes are -1, if -1 has no whole solution, or as
/// the constructor.
Mesh make_mesh(std::vector<int64_t> sizes, const MeshAxisNames& names,
               const MeshAxisTypes& types = {}, std::vector<Device> devices = {});

/// A grid of `devices` (if none are given, of `all_devices()`) whose last axes are of devices that
/// are closest together. Those of one machine are equally close, so that they stay in their order.
/// @throws MeshError unless there are as many as the product of the sizes.
DeviceGrid create_device_mesh(std::vector<int64_t> sizes, std::vector<Device> devices = {});

/// A grid of islands, groups of devices that are closer to each other than to the rest: axis i has
/// the size `inner_sizes[i] * outer_sizes[i]`, and within `inner_sizes[i]` it stays in an island.
/// @throws MeshError if the numbers of sizes differ, unless there are as many islands as the
/// product of the outer sizes, or as `create_device_mesh` for one of them.
DeviceGrid create_hybrid_device_mesh(const std::vector<int64_t>& inner_sizes,
                                     const std::vector<int64_t>& outer_sizes,
                                     const std::vector<std::vector<Device>>& islands);

/// Keeps a mesh current while it lives.
class [[nodiscard]] MeshScope {
 public:
  MeshScope(MeshScope&& other) noexcept;
  MeshScope& operator=(MeshScope&&) = delete;
  ~MeshScope();
  /// Leaves the mesh current for the rest of the thread, or until the next `set_mesh`.
  void release() { active_ = false; }

 private:
  friend MeshScope set_mesh(const Mesh& mesh);
  friend MeshScope use_abstract_mesh(const AbstractMesh& mesh);
  MeshScope(Mesh mesh, AbstractMesh abstract);
  Mesh mesh_;  ///< those before
  AbstractMesh abstract_;
  bool active_ = true;
};

/// Makes a mesh current in this thread until the scope ends, or for good after `release()`.
/// @throws MeshError inside a traced function, for abstract meshes and for Manual axes.
MeshScope set_mesh(const Mesh& mesh);
/// The same for what needs no devices; also inside a traced function, where the size of a mesh that
/// is current may not change. @throws MeshError if it would.
MeshScope use_abstract_mesh(const AbstractMesh& mesh);

/// The mesh that `set_mesh` made current; empty if none is.
Mesh get_mesh();
/// What is current of names and sizes: that of the innermost scope of either kind.
AbstractMesh get_abstract_mesh();
/// The current mesh with its devices, if the innermost scope has any, or without.
Mesh current_mesh();

}  // namespace linnet

template <>
struct std::hash<linnet::Mesh> {
  size_t operator()(const linnet::Mesh& mesh) const { return mesh.hash(); }
};

#pragma GCC visibility pop
