#include "linnet/sharding.h"

#include <algorithm>

#include "linnet/detail/format.h"
#include "linnet/params.h"

namespace linnet {
namespace {

std::string checked_memory(std::string kind, Device device) {
  const std::vector<std::string> known = memory_kinds(device);
  if (std::find(known.begin(), known.end(), kind) == known.end()) {
    fail<SpecError>("NamedSharding: {} has no memory '{}', only {}", to_string(device), kind,
                    fmt::join(known, ", "));
  }
  return kind;
}

IndexBox box_of(const Shape& piece, const std::vector<int64_t>& block) {
  IndexBox out;
  for (size_t d = 0; d < piece.size(); ++d)
    out.push_back({block[d] * piece[d], (block[d] + 1) * piece[d]});
  return out;
}

}  // namespace

std::string to_string(const IndexBox& box) {
  std::string out = "[";
  for (size_t d = 0; d < box.size(); ++d)
    out += fmt::format("{}{}:{}", d ? ", " : "", box[d].begin, box[d].end);
  return out + "]";
}

std::vector<std::string> memory_kinds(Device) { return {"device"}; }

Shape Sharding::shard_shape(const Shape& global) const {
  const Tiling tiles = tiling(global.size());
  Shape out = global;
  for (size_t d = 0; d < global.size(); ++d) {
    const int64_t count = tiles.counts[d];
    if (global[d] % count != 0) {
      const int64_t below = global[d] / count * count;
      fail<IndivisibleError>(
          "{}: dimension {} of {} has size {}, which cannot be divided by {}\n  hint: {}{} would "
          "fit",
          text(), d, to_string(global), global[d], count,
          below > 0 ? std::to_string(below) + " or " : "", below + count);
    }
    out[d] /= count;
  }
  return out;
}

std::vector<std::pair<Device, IndexBox>> Sharding::devices_indices_map(const Shape& global) const {
  const std::vector<Device>& all = devices();
  const Shape piece = shard_shape(global);
  const Tiling tiles = tiling(global.size());
  std::vector<std::pair<Device, IndexBox>> out;
  for (size_t i = 0; i < all.size(); ++i) out.emplace_back(all[i], box_of(piece, tiles.blocks[i]));
  return out;
}

IndexBox Sharding::index_box(const Shape& global, int64_t rank) const {
  const Tiling tiles = tiling(global.size());
  if (rank < 0 || rank >= static_cast<int64_t>(tiles.blocks.size()))
    fail<MeshError>("{}: there is no position {} of {}", text(), rank, tiles.blocks.size());
  return box_of(shard_shape(global), tiles.blocks[static_cast<size_t>(rank)]);
}

int64_t Sharding::replica_id(Device device) const {
  const std::vector<Device>& all = devices();
  const auto found = std::find(all.begin(), all.end(), device);
  if (found == all.end())
    fail<MeshError>("{}: {} is not among its devices", text(), to_string(device));
  const auto at = found - all.begin();
  const std::vector<std::vector<int64_t>> blocks = tiling(divided_rank()).blocks;
  return std::count(blocks.begin(), blocks.begin() + at, blocks[static_cast<size_t>(at)]);
}

bool Sharding::is_fully_replicated() const {
  const std::vector<int64_t> counts = tiling(divided_rank()).counts;
  return std::all_of(counts.begin(), counts.end(), [](int64_t count) { return count == 1; });
}

std::vector<Device> Sharding::device_set() const {
  std::vector<Device> out = devices();
  std::sort(out.begin(), out.end(), [](Device a, Device b) {
    return std::pair(a.type, a.index) < std::pair(b.type, b.index);
  });
  return out;
}

bool Sharding::is_equivalent_to(const Sharding& other, size_t rank) const {
  if (is_abstract() != other.is_abstract() || num_devices() != other.num_devices()) return false;
  if (!is_abstract() && devices() != other.devices()) return false;
  return memory_kind() == other.memory_kind() && pending() == other.pending() &&
         tiling(rank) == other.tiling(rank);
}

NamedSharding::NamedSharding(Mesh mesh, PartitionSpec spec, std::string memory_kind)
    : mesh_(std::move(mesh)), spec_(std::move(spec)), memory_kind_(std::move(memory_kind)) {
  check_spec(spec_, mesh_);
  const bool known_device = !mesh_.is_abstract() && !mesh_.empty();
  memory_kind_ = checked_memory(std::move(memory_kind_),
                                known_device ? mesh_.devices().front() : default_device());
}

NamedSharding::NamedSharding(const Mesh& mesh, std::nullopt_t) {
  fail<SpecError>("NamedSharding: there is no spec for {}\n  hint: P() is that of whole arrays",
                  to_string(mesh));
}

NamedSharding NamedSharding::with_spec(PartitionSpec spec) const {
  return NamedSharding(mesh_, std::move(spec), memory_kind_);
}
NamedSharding NamedSharding::with_memory_kind(std::string kind) const {
  return NamedSharding(mesh_, spec_, std::move(kind));
}

Tiling NamedSharding::tiling(size_t rank) const {
  check_rank(spec_, rank, text());
  Tiling out{std::vector<int64_t>(rank, 1),
             std::vector(static_cast<size_t>(mesh_.size()), std::vector<int64_t>(rank, 0))};
  for (size_t position = 0; position < out.blocks.size(); ++position) {
    const std::vector<int64_t> at = mesh_.coordinate_of(static_cast<int64_t>(position));
    for (size_t d = 0; d < spec_.size(); ++d) {
      int64_t count = 1, block = 0;
      for (const std::string& axis : spec_[d].axes()) {
        const size_t index = mesh_.axis_index(axis);
        count *= mesh_.axis_sizes()[index];
        block = block * mesh_.axis_sizes()[index] + at[index];
      }
      out.counts[d] = count;
      out.blocks[position][d] = block;
    }
  }
  return out;
}

bool NamedSharding::is_fully_replicated() const {
  for (const std::string& axis : spec_.pending().unreduced) {
    if (mesh_.axis_size(axis) > 1) return false;
  }
  return Sharding::is_fully_replicated();
}

std::string NamedSharding::text() const {
  return fmt::format("NamedSharding(mesh={}, spec={}, memory_kind={})", to_string(mesh_),
                     to_string(spec_), memory_kind_);
}

bool NamedSharding::operator==(const NamedSharding& other) const {
  return mesh_ == other.mesh_ && spec_ == other.spec_ && memory_kind_ == other.memory_kind_;
}

size_t NamedSharding::hash() const {
  return detail::mix_hash(detail::mix_hash(mesh_.hash(), spec_.hash()),
                          std::hash<std::string>{}(memory_kind_));
}

SingleDeviceSharding::SingleDeviceSharding(Device device, std::string memory_kind)
    : devices_{device}, memory_kind_(checked_memory(std::move(memory_kind), device)) {}

Tiling SingleDeviceSharding::tiling(size_t rank) const {
  return {std::vector<int64_t>(rank, 1), {std::vector<int64_t>(rank, 0)}};
}

const PendingAxes& SingleDeviceSharding::pending() const { return PartitionSpec().pending(); }

std::string SingleDeviceSharding::text() const {
  return fmt::format("SingleDeviceSharding(device={}, memory_kind={})", to_string(devices_.front()),
                     memory_kind_);
}

Tensor with_sharding_constraint(const Tensor& x, const NamedSharding& sharding) {
  (void)sharding.shard_shape(x.shape());
  return x;
}

Tensor with_sharding_constraint(const Tensor& x, const PartitionSpec& spec) {
  const Mesh mesh = current_mesh();
  if (mesh.empty()) {
    fail<MeshError>(
        "with_sharding_constraint: {} needs a mesh, and none is current\n"
        "  hint: auto scope = set_mesh(make_mesh(...)), or give a NamedSharding",
        to_string(spec));
  }
  return with_sharding_constraint(x, NamedSharding(mesh, spec));
}

Tensor with_sharding_constraint(const Tensor& x, std::nullopt_t) {
  fail<SpecError>(
      "with_sharding_constraint: there is no spec for {}\n  hint: P() is that of whole arrays",
      type_of(x));
}

namespace detail {

Tensor ConstraintsByPath::operator()(const std::string& path, const Tensor& x) {
  std::string at = path;
  for (;;) {
    if (const auto found = specs_.find(at); found != specs_.end()) {
      used_.insert(at);
      return with_sharding_constraint(x, found->second);
    }
    if (at.empty()) return x;
    const size_t slash = at.rfind('/');
    at.resize(slash == std::string::npos ? 0 : slash);
  }
}

void ConstraintsByPath::check_all_used() const {
  std::string unused;
  for (const auto& [path, spec] : specs_) {
    if (!used_.count(path)) unused += (unused.empty() ? "'" : ", '") + path + "'";
  }
  if (!unused.empty())
    fail<SpecError>("with_sharding_constraint: no leaf is at or below {}", unused);
}

}  // namespace detail

SingleDeviceSharding sharding_of(const Tensor& array) {
  return SingleDeviceSharding(array.device());
}

std::vector<Shard> addressable_shards(const Tensor& array) {
  const SingleDeviceSharding sharding = sharding_of(array);
  std::vector<Shard> out;
  for (auto& [device, box] : sharding.addressable_devices_indices_map(array.shape()))
    out.push_back({device, std::move(box), sharding.replica_id(device), array});
  return out;
}

}  // namespace linnet
