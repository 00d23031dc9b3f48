#include "core/memory/owners.h"

#include <algorithm>
#include <mutex>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "core/base/fork.h"
#include "linnet/detail/format.h"
#include "linnet/module_path.h"
#include "linnet/profile.h"

namespace linnet {
namespace {

constexpr size_t kMostLines = 5;

struct Owned {
  std::string path;  ///< of modules
  const char* what;
  Device device;
  size_t bytes;
};

using ModuleKey = std::pair<Device, std::string>;
struct EarlierModule {
  bool operator()(const ModuleKey& a, const ModuleKey& b) const {
    return std::tie(a.first.type, a.first.index, a.second) <
           std::tie(b.first.type, b.first.index, b.second);
  }
};

struct Owners {
  Owners() { lock_around_fork(mutex, 0); }
  std::mutex mutex;
  std::unordered_map<const Buffer*, Owned> blocks;
  std::map<ModuleKey, profile::ModuleMemory, EarlierModule> modules;
  int records = 0;  ///< of memory, that are going on

  profile::ModuleMemory& module_of(const Owned& owned) {
    return modules[{owned.device, owned.path}];
  }
  void count(const Owned& owned) {
    profile::ModuleMemory& module = module_of(owned);
    module.live_bytes += owned.bytes;
    ++module.live_blocks;
    module.peak_bytes = std::max(module.peak_bytes, module.live_bytes);
  }
  void discount(const Owned& owned) {
    profile::ModuleMemory& module = module_of(owned);
    module.live_bytes -= owned.bytes;
    --module.live_blocks;
  }
};

Owners& owners() {
  static Owners* instance = new Owners;  // never destroyed: exit handlers may free tensors
  return *instance;
}

const char* present_purpose() { return allocating_for ? allocating_for : "tensors"; }

std::string mebibytes(size_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

}  // namespace

void note_owner(const Buffer* buffer, Device device, size_t bytes) noexcept {
  try {
    Owned owned{module_path(), present_purpose(), device, bytes};
    std::lock_guard lock(owners().mutex);
    Owners& all = owners();
    const auto [block, fresh] = all.blocks.insert_or_assign(buffer, std::move(owned));
    if (all.records) all.count(block->second);
  } catch (...) {
  }
}

void forget_owner(const Buffer* buffer) noexcept {
  Owners& all = owners();
  std::lock_guard lock(all.mutex);
  const auto block = all.blocks.find(buffer);
  if (block == all.blocks.end()) return;
  if (all.records) all.discount(block->second);
  all.blocks.erase(block);
}

std::string owner_text(const std::string& path, const char* what) {
  return path.empty() ? what : fmt::format("{} ({})", path, what);
}

std::string present_owner() { return owner_text(module_path(), present_purpose()); }

void OwnerShares::add(const std::string& owner, size_t bytes) {
  Share& share = shares_[owner];
  share.bytes += bytes;
  ++share.blocks;
}

std::string OwnerShares::largest() const {
  std::vector<std::pair<std::string, Share>> sorted(shares_.begin(), shares_.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
  std::string out;
  for (size_t i = 0; i < std::min(sorted.size(), kMostLines); ++i) {
    const auto& [owner, share] = sorted[i];
    out += fmt::format("\n  {}: {} in {} {}", owner, mebibytes(share.bytes), share.blocks,
                       share.blocks == 1 ? "block" : "blocks");
  }
  return out;
}

std::string largest_owners(Device device) {
  OwnerShares shares;
  std::lock_guard lock(owners().mutex);
  for (const auto& [buffer, owned] : owners().blocks) {
    if (owned.device == device) shares.add(owner_text(owned.path, owned.what), owned.bytes);
  }
  return shares.largest();
}

namespace profile {

MemoryRecord::MemoryRecord(Device device) : device_(device) {
  Owners& all = owners();
  std::lock_guard lock(all.mutex);
  if (all.records++ == 0) {
    owned_bytes = 0;
    least_owned_bytes = 0;
    all.modules.clear();
    for (const auto& [buffer, owned] : all.blocks) all.count(owned);
  }
  for (auto& [key, module] : all.modules) {
    if (key.first == device) module.peak_bytes = module.live_bytes;
  }
}

MemoryRecord::~MemoryRecord() {
  Owners& all = owners();
  std::lock_guard lock(all.mutex);
  if (--all.records == 0) owned_bytes = kOwnedBytes;
}

std::vector<ModuleMemory> MemoryRecord::modules() const {
  std::vector<ModuleMemory> out;
  {
    Owners& all = owners();
    std::lock_guard lock(all.mutex);
    for (const auto& [key, module] : all.modules) {
      if (key.first != device_ || module.peak_bytes == 0) continue;
      out.push_back(module);
      out.back().path = key.second;
    }
  }
  std::stable_sort(out.begin(), out.end(), [](const ModuleMemory& a, const ModuleMemory& b) {
    return a.peak_bytes > b.peak_bytes;
  });
  return out;
}

std::string MemoryRecord::text() const {
  std::string out = fmt::format("{:>12}  {:>12}  {:>6}  {}\n", "peak", "live", "blocks", "module");
  for (const ModuleMemory& module : modules()) {
    out += fmt::format("{:>12}  {:>12}  {:>6}  {}\n", mebibytes(module.peak_bytes),
                       mebibytes(module.live_bytes), module.live_blocks,
                       module.path.empty() ? "(none)" : module.path);
  }
  return out;
}

}  // namespace profile

}  // namespace linnet
