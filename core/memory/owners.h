// Private: for whom large blocks were allocated, so that a report of exhausted memory can say it.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <string>

#include "linnet/device.h"

namespace linnet {

class Buffer;

/// Blocks below this are not worth remembering one by one, but for a `profile::MemoryRecord`.
inline constexpr size_t kOwnedBytes = size_t{1} << 20;
/// Blocks from this size on are remembered now, and those that may have been at any time.
inline constinit std::atomic<size_t> owned_bytes{kOwnedBytes}, least_owned_bytes{kOwnedBytes};

/// What the thread is about to allocate for: the name of an operation, or another literal. It lasts
/// until the next, so that setting it costs one store.
inline constinit thread_local const char* allocating_for = nullptr;

/// Remembers a block of at least `owned_bytes` under the path of modules and `allocating_for`;
/// without memory for that it is forgotten.
void note_owner(const Buffer* buffer, Device device, size_t bytes) noexcept;
void forget_owner(const Buffer* buffer) noexcept;

/// `encoder/dense (dot_general)`, or what it is for alone outside of modules.
std::string owner_text(const std::string& path, const char* what);
/// Of what the thread is about to allocate.
std::string present_owner();

/// Bytes by owner.
class OwnerShares {
 public:
  void add(const std::string& owner, size_t bytes);
  /// A line for each of the largest, in front of which stands a line break.
  std::string largest() const;

 private:
  struct Share {
    size_t bytes = 0, blocks = 0;
  };
  std::map<std::string, Share> shares_;
};

/// A line for each of the largest owners on a device, those of one name together, in front of which
/// stands a line break: `\n  encoder/dense (dot_general): 64.0 MiB in 2 blocks`.
std::string largest_owners(Device device);

}  // namespace linnet
