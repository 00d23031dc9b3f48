#include "linnet/mesh.h"

#include <algorithm>

#include "core/sharding/current_mesh.h"
#include "core/sharding/names.h"
#include "linnet/detail/format.h"
#include "linnet/params.h"
#include "linnet/trace.h"

namespace linnet {

struct Mesh::Data {
  std::vector<std::string> names;
  std::vector<int64_t> sizes;
  std::vector<AxisType> types;
  std::vector<Device> devices;
  bool is_abstract = false;
  int64_t size = 0;
};

namespace {

int64_t product(const std::vector<int64_t>& sizes) {
  int64_t out = 1;
  for (int64_t size : sizes) out *= size;
  return out;
}

void check_sizes(const char* what, const std::vector<int64_t>& sizes) {
  for (int64_t size : sizes) {
    if (size > 0) continue;
    fail<MeshError>("{}: sizes are positive integers, got {} in {}", what, size, to_string(sizes));
  }
}

std::vector<std::string> checked_names(const char* what, const MeshAxisNames& names) {
  std::vector<std::string> out;
  for (const std::optional<std::string>& name : names.names) {
    if (!name || name->empty()) {
      fail<MeshError>("{}: every axis has a name, that of axis {} of {} is missing", what,
                      out.size(), names.names.size());
    }
    if (std::find(out.begin(), out.end(), *name) != out.end())
      fail<MeshError>("{}: two axes have the name {}", what, quoted(*name));
    out.push_back(*name);
  }
  return out;
}

std::vector<AxisType> checked_types(const char* what, const std::vector<std::string>& names,
                                    const MeshAxisTypes& types) {
  if (!types.types) return std::vector<AxisType>(names.size(), AxisType::kAuto);
  if (types.types->size() != names.size()) {
    fail<MeshError>("{}: {} axis types for {} axes {}", what, types.types->size(), names.size(),
                    tuple_text(names));
  }
  return *types.types;
}

void check_devices(const DeviceGrid& grid) {
  if (static_cast<int64_t>(grid.devices.size()) != product(grid.sizes)) {
    fail<MeshError>("Mesh: a grid {} holds {} devices, got {}", to_string(grid.sizes),
                    product(grid.sizes), grid.devices.size());
  }
  for (size_t i = 0; i < grid.devices.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (grid.devices[i] != grid.devices[j]) continue;
      fail<MeshError>("Mesh: device {} is at positions {} and {}", to_string(grid.devices[i]), j,
                      i);
    }
  }
}

}  // namespace

std::string to_string(AxisType type) {
  constexpr const char* kNames[] = {"Auto", "Explicit", "Manual"};
  return kNames[static_cast<size_t>(type)];
}

Mesh::Mesh(DeviceGrid devices, const MeshAxisNames& names, const MeshAxisTypes& types) {
  if (names.names.size() != devices.sizes.size()) {
    fail<MeshError>("Mesh: {} names for a grid of rank {}", names.names.size(),
                    devices.sizes.size());
  }
  check_sizes("Mesh", devices.sizes);
  auto data = std::make_shared<Data>();
  data->names = checked_names("Mesh", names);
  data->types = checked_types("Mesh", data->names, types);
  check_devices(devices);
  data->sizes = std::move(devices.sizes);
  data->devices = std::move(devices.devices);
  data->size = product(data->sizes);
  if (!data->names.empty()) data_ = std::move(data);
}

AbstractMesh::AbstractMesh(std::vector<int64_t> sizes, const MeshAxisNames& names,
                           const MeshAxisTypes& types) {
  if (names.names.size() != sizes.size())
    fail<MeshError>("AbstractMesh: {} names for {} sizes", names.names.size(), sizes.size());
  check_sizes("AbstractMesh", sizes);
  auto data = std::make_shared<Data>();
  data->names = checked_names("AbstractMesh", names);
  data->types = checked_types("AbstractMesh", data->names, types);
  data->sizes = std::move(sizes);
  data->is_abstract = true;
  data->size = product(data->sizes);
  if (!data->names.empty()) data_ = std::move(data);
}

const Mesh::Data& Mesh::data() const {
  static const Data empty;
  return data_ ? *data_ : empty;
}

const std::vector<std::string>& Mesh::axis_names() const { return data().names; }
const std::vector<int64_t>& Mesh::axis_sizes() const { return data().sizes; }
const std::vector<AxisType>& Mesh::axis_types() const { return data().types; }
int64_t Mesh::size() const { return data().size; }
bool Mesh::is_abstract() const { return data().is_abstract; }

std::vector<std::pair<std::string, int64_t>> Mesh::shape() const {
  std::vector<std::pair<std::string, int64_t>> out;
  for (size_t i = 0; i < axis_names().size(); ++i)
    out.emplace_back(axis_names()[i], axis_sizes()[i]);
  return out;
}

bool Mesh::has_axis(std::string_view name) const {
  return std::find(axis_names().begin(), axis_names().end(), name) != axis_names().end();
}

size_t Mesh::axis_index(std::string_view name) const {
  const auto found = std::find(axis_names().begin(), axis_names().end(), name);
  if (found == axis_names().end()) {
    fail<UnknownAxisError>("{} has no axis {}{}", to_string(*this), quoted(name),
                           nearest_hint(name, axis_names()));
  }
  return static_cast<size_t>(found - axis_names().begin());
}

std::vector<std::string> Mesh::axes_of(AxisType type) const {
  std::vector<std::string> out;
  for (size_t i = 0; i < axis_names().size(); ++i) {
    if (axis_types()[i] == type) out.push_back(axis_names()[i]);
  }
  return out;
}

AbstractMesh Mesh::abstract() const {
  if (empty() || is_abstract()) return AbstractMesh(data_);
  auto data = std::make_shared<Data>(*data_);
  data->devices.clear();
  data->is_abstract = true;
  return AbstractMesh(std::move(data));
}

const std::vector<Device>& Mesh::devices() const {
  if (is_abstract()) fail<MeshError>("{} has no devices", to_string(*this));
  return data().devices;
}

int64_t Mesh::rank_of(Device device) const {
  const auto found = std::find(devices().begin(), devices().end(), device);
  if (found == devices().end())
    fail<MeshError>("{}: {} is not among its devices", to_string(*this), to_string(device));
  return found - devices().begin();
}

std::vector<int64_t> Mesh::coordinate_of(int64_t rank) const {
  if (rank < 0 || rank >= size())
    fail<MeshError>("{}: there is no position {} of {}", to_string(*this), rank, size());
  std::vector<int64_t> out(axis_sizes().size());
  for (size_t i = out.size(); i-- > 0;) {
    out[i] = rank % axis_sizes()[i];
    rank /= axis_sizes()[i];
  }
  return out;
}

bool Mesh::operator==(const Mesh& other) const {
  if (data_ == other.data_) return true;
  const Data &a = data(), &b = other.data();
  return a.is_abstract == b.is_abstract && a.names == b.names && a.sizes == b.sizes &&
         a.types == b.types && a.devices == b.devices;
}

size_t Mesh::hash() const {
  const Data& d = data();
  size_t seed = detail::value_hash(size_t{d.is_abstract}, d.sizes);
  for (const std::string& name : d.names)
    seed = detail::mix_hash(seed, std::hash<std::string>{}(name));
  seed = detail::value_hash(seed, d.types);
  return detail::value_hash(seed, d.devices);
}

std::string to_string(const Mesh& mesh) {
  std::string out = mesh.is_abstract() ? "AbstractMesh(" : "Mesh(";
  if (mesh.empty()) return out + ")";
  for (const auto& [name, size] : mesh.shape()) out += fmt::format("{}: {}, ", quoted(name), size);
  out += "axis_types=(";
  const std::vector<AxisType>& types = mesh.axis_types();
  for (size_t i = 0; i < types.size(); ++i) out += (i ? ", " : "") + to_string(types[i]);
  return out + (types.size() == 1 ? ",))" : "))");
}

std::vector<Device> all_devices() {
  const DeviceType type = default_device().type;
  std::vector<Device> out;
  for (int i = 0; i < device_count(type); ++i) out.push_back(Device{type, static_cast<uint8_t>(i)});
  return out;
}

namespace {

/// Replaces -1 by what uses `available` devices.
void fill_in(std::vector<int64_t>& sizes, int64_t available) {
  const auto open = std::find(sizes.begin(), sizes.end(), -1);
  if (open == sizes.end()) return;
  if (std::find(open + 1, sizes.end(), -1) != sizes.end())
    fail<MeshError>("make_mesh: only one size may be -1, got {}", to_string(sizes));
  const std::string given = to_string(sizes);
  *open = 1;
  check_sizes("make_mesh", sizes);
  const int64_t others = product(sizes);
  if (available == 0 || available % others != 0) {
    fail<MeshError>("make_mesh: {} devices cannot be divided by {} for the -1 in {}", available,
                    others, given);
  }
  *open = available / others;
}

}  // namespace

Mesh make_mesh(std::vector<int64_t> sizes, const MeshAxisNames& names, const MeshAxisTypes& types,
               std::vector<Device> devices) {
  if (devices.empty()) devices = all_devices();
  const auto available = static_cast<int64_t>(devices.size());
  fill_in(sizes, available);
  check_sizes("make_mesh", sizes);
  const int64_t needed = product(sizes);
  if (needed > available) {
    fail<MeshError>(
        "make_mesh: a mesh {} needs {} devices, there are {} (1 process with {} devices)",
        to_string(sizes), needed, available, available);
  }
  devices.resize(static_cast<size_t>(needed));
  return Mesh(DeviceGrid(std::move(devices), std::move(sizes)), names, types);
}

DeviceGrid create_device_mesh(std::vector<int64_t> sizes, std::vector<Device> devices) {
  if (devices.empty()) devices = all_devices();
  check_sizes("create_device_mesh", sizes);
  if (product(sizes) != static_cast<int64_t>(devices.size())) {
    fail<MeshError>("create_device_mesh: {} devices, but the product of the sizes {} is {}",
                    devices.size(), to_string(sizes), product(sizes));
  }
  return DeviceGrid(std::move(devices), std::move(sizes));
}

DeviceGrid create_hybrid_device_mesh(const std::vector<int64_t>& inner_sizes,
                                     const std::vector<int64_t>& outer_sizes,
                                     const std::vector<std::vector<Device>>& islands) {
  check_sizes("create_hybrid_device_mesh", outer_sizes);
  if (inner_sizes.size() != outer_sizes.size()) {
    fail<MeshError>("create_hybrid_device_mesh: {} inner sizes and {} outer ones",
                    inner_sizes.size(), outer_sizes.size());
  }
  if (product(outer_sizes) != static_cast<int64_t>(islands.size())) {
    fail<MeshError>("create_hybrid_device_mesh: {} islands, but the product of the sizes {} is {}",
                    islands.size(), to_string(outer_sizes), product(outer_sizes));
  }
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < inner_sizes.size(); ++i) sizes.push_back(inner_sizes[i] * outer_sizes[i]);
  std::vector<std::vector<Device>> inside;
  for (const std::vector<Device>& island : islands)
    inside.push_back(create_device_mesh(inner_sizes, island).devices);
  std::vector<Device> devices;
  for (int64_t at = 0; at < product(sizes); ++at) {
    // The index along each axis is outer * inner size + inner, from the last axis on.
    int64_t rest = at, outer = 0, inner = 0, outer_step = 1, inner_step = 1;
    for (size_t i = sizes.size(); i-- > 0;) {
      const int64_t index = rest % sizes[i];
      rest /= sizes[i];
      outer += index / inner_sizes[i] * outer_step;
      inner += index % inner_sizes[i] * inner_step;
      outer_step *= outer_sizes[i];
      inner_step *= inner_sizes[i];
    }
    devices.push_back(inside[static_cast<size_t>(outer)][static_cast<size_t>(inner)]);
  }
  return DeviceGrid(std::move(devices), std::move(sizes));
}

namespace {

/// Of one thread. A scope for names alone leaves the mesh with devices as it is.
struct Current {
  Mesh mesh;
  AbstractMesh abstract;
  std::string key;  ///< of what `current_mesh()` gives
};
thread_local Current current;

void make_current(Mesh mesh, AbstractMesh abstract) {
  current.mesh = std::move(mesh);
  current.abstract = std::move(abstract);
  const Mesh shown = current_mesh();
  current.key.clear();
  if (shown.empty()) return;
  current.key = to_string(shown);
  if (shown.is_abstract()) return;
  for (Device device : shown.devices()) current.key += to_string(device) + ",";
}

}  // namespace

const std::string& current_mesh_key() { return current.key; }

MeshScope::MeshScope(Mesh mesh, AbstractMesh abstract)
    : mesh_(current.mesh), abstract_(current.abstract) {
  make_current(std::move(mesh), std::move(abstract));
}
MeshScope::MeshScope(MeshScope&& other) noexcept
    : mesh_(std::move(other.mesh_)),
      abstract_(std::move(other.abstract_)),
      active_(std::exchange(other.active_, false)) {}
MeshScope::~MeshScope() {
  if (active_) make_current(std::move(mesh_), std::move(abstract_));
}

MeshScope set_mesh(const Mesh& mesh) {
  if (const Trace* trace = current_trace()) {
    fail<MeshError>(
        "set_mesh: not inside a function under {}\n  hint: set the mesh around the call",
        trace->transformation());
  }
  if (mesh.is_abstract()) {
    fail<MeshError>("set_mesh: {} has no devices\n  hint: use_abstract_mesh", to_string(mesh));
  }
  if (!mesh.manual_axes().empty()) {
    fail<MeshError>("set_mesh: {} has Manual axes, which exist inside shard_map only",
                    to_string(mesh));
  }
  return MeshScope(mesh, mesh.abstract());
}

MeshScope use_abstract_mesh(const AbstractMesh& mesh) {
  const AbstractMesh& before = current.abstract;
  if (current_trace() && !before.empty() && before.size() != mesh.size()) {
    fail<MeshError>("use_abstract_mesh: inside one traced function {} cannot become {}",
                    to_string(before), to_string(mesh));
  }
  return MeshScope(current.mesh, mesh);
}

Mesh get_mesh() { return current.mesh; }
AbstractMesh get_abstract_mesh() { return current.abstract; }
Mesh current_mesh() {
  return current.mesh.abstract() == current.abstract ? current.mesh : Mesh(current.abstract);
}

}  // namespace linnet
