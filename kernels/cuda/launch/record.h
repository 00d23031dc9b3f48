// What kernels describe, as data: the parameters with symbolic addresses, to be done at once or
// kept.
#pragma once

#include <cuda.h>

#include <cstring>
#include <vector>

#include "kernels/cuda/launch/function.h"
#include "linnet/back_end.h"

namespace linnet::cuda {

class Gpu;

/// One piece of work. Spans point into the list that keeps it.
struct Record {
  enum class Kind : uint8_t { kLaunch, kLibrary, kCopy, kFill };
  Kind kind;
  // kLaunch
  const Function* function = nullptr;
  Extent grid = {};
  uint32_t shared_bytes = 0;
  std::span<const std::byte> args = {};
  uint32_t pointers = 0;
  // kLibrary
  const void* prepared = nullptr;
  LaunchSink::Enqueue enqueue = nullptr;
  std::span<const Address> operands = {};
  // kCopy, kFill
  Address to = {}, from = {};
  size_t bytes = 0;
  uint32_t word = 0;
};

/// Does a record on a stream of `gpu`, whose context is current and whose lock is held.
/// @param scratch of `scratch_words(record)` words.
/// @throws DeviceError naming the kernel.
void enqueue(const Gpu& gpu, CUstream stream, const Record& record, const uint64_t* bases,
             uint64_t* scratch);
size_t scratch_words(const Record& record);
/// The parameters of a launch with its addresses, at `scratch`.
void resolve_args(const Record& record, const uint64_t* bases, uint64_t* scratch);
/// Lets the function of a launch have as much shared memory as it asks for.
/// @throws DeviceError if a block cannot have so much.
void allow_shared_bytes(const Gpu& gpu, const Record& record);

/// Does what it is told at once, that is: enqueues it.
class EagerSink final : public LaunchSink {
 public:
  /// @param gpu's context is current and its lock held.
  EagerSink(const Gpu& gpu, CUstream stream) : gpu_(gpu), stream_(stream) {}
  void library(const void* prepared, Enqueue enqueue, std::span<const Address> operands) override;
  void copy(Address to, Address from, size_t bytes) override;
  void fill(Address to, uint32_t word, size_t words) override;

 protected:
  void launch_bytes(const DeviceFunction& function, Extent grid, std::span<const std::byte> args,
                    uint32_t pointers, uint32_t shared_bytes) override;

 private:
  void now(const Record& record);
  const Gpu& gpu_;
  CUstream stream_;
};

/// Keeps what it is told.
class RecordList final : public LaunchSink {
 public:
  const std::vector<Record>& records() const { return records_; }
  void library(const void* prepared, Enqueue enqueue, std::span<const Address> operands) override;
  void copy(Address to, Address from, size_t bytes) override;
  void fill(Address to, uint32_t word, size_t words) override;

 protected:
  void launch_bytes(const DeviceFunction& function, Extent grid, std::span<const std::byte> args,
                    uint32_t pointers, uint32_t shared_bytes) override;

 private:
  /// A copy that stays where it is.
  template <class T>
  std::span<const T> keep(std::span<const T> values) {
    auto& block =
        blocks_.emplace_back((values.size_bytes() + sizeof(uint64_t) - 1) / sizeof(uint64_t));
    if (!values.empty()) std::memcpy(block.data(), values.data(), values.size_bytes());
    return {reinterpret_cast<const T*>(block.data()), values.size()};
  }

  std::vector<Record> records_;
  std::vector<std::vector<uint64_t>> blocks_;
};

}  // namespace linnet::cuda
