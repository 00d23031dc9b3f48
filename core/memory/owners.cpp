#include "core/memory/owners.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/base/fork.h"
#include "linnet/detail/format.h"
#include "linnet/module_path.h"

namespace linnet {
namespace {

constexpr size_t kMostLines = 5;

struct Owned {
  std::string owner;
  Device device;
  size_t bytes;
};

struct Owners {
  Owners() { lock_around_fork(mutex, 0); }
  std::mutex mutex;
  std::unordered_map<const Buffer*, Owned> blocks;
};

Owners& owners() {
  static Owners* instance = new Owners;  // never destroyed: exit handlers may free tensors
  return *instance;
}

std::string mebibytes(size_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

}  // namespace

void note_owner(const Buffer* buffer, Device device, size_t bytes) noexcept {
  try {
    Owned owned{present_owner(), device, bytes};
    std::lock_guard lock(owners().mutex);
    owners().blocks.insert_or_assign(buffer, std::move(owned));
  } catch (...) {
  }
}

void forget_owner(const Buffer* buffer) noexcept {
  std::lock_guard lock(owners().mutex);
  owners().blocks.erase(buffer);
}

std::string owner_text(const std::string& path, const char* what) {
  return path.empty() ? what : fmt::format("{} ({})", path, what);
}

std::string present_owner() {
  return owner_text(module_path(), allocating_for ? allocating_for : "tensors");
}

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
    if (owned.device == device) shares.add(owned.owner, owned.bytes);
  }
  return shares.largest();
}

}  // namespace linnet
