// The queue of a fake device: work given to it is done in order, when somebody waits.
#pragma once

#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "support/fake_device.h"
#include "support/fake_memory.h"

namespace linnet::testing {

/// A function of the fake device: `body` sees the arguments with accessible addresses.
class FakeFunction final : public DeviceFunction {
 public:
  using Body = void (*)(Extent grid, const void* args);
  explicit FakeFunction(Body body) : body(body) {}
  Body body;
};

class FakeStream {
 public:
  FakeMemory memory;

  void push(std::function<void()> work);
  /// Does everything that is queued.
  /// @throws whatever the work threw first; the rest of it has been done.
  void drain();
  FakeDeviceCounts counts() const;

  /// The addresses in the arguments are resolved.
  void launch(const FakeFunction& function, Extent grid, std::vector<std::byte> args,
              uint32_t pointers);
  void copy(uint64_t to, uint64_t from, size_t bytes);
  void fill(uint64_t to, uint32_t word, size_t words);
  void count_library();
  void count_run();

 private:
  mutable std::recursive_mutex mutex_;
  std::deque<std::function<void()>> queue_;
  FakeDeviceCounts counts_;
};

/// Does what it is told at once, that is: queues it.
class FakeSink final : public LaunchSink {
 public:
  FakeSink(FakeStream& stream, const uint64_t* bases) : stream_(stream), bases_(bases) {}

  void library(const void* prepared, Enqueue enqueue, std::span<const Address> operands) override;
  void copy(Address to, Address from, size_t bytes) override;
  void fill(Address to, uint32_t word, size_t words) override;
  /// `launch` with arguments that were kept as bytes.
  void relaunch(const DeviceFunction& function, Extent grid, std::span<const std::byte> args,
                uint32_t pointers, uint32_t shared_bytes) {
    launch_bytes(function, grid, args, pointers, shared_bytes);
  }

 protected:
  void launch_bytes(const DeviceFunction& function, Extent grid, std::span<const std::byte> args,
                    uint32_t pointers, uint32_t shared_bytes) override;

 private:
  FakeStream& stream_;
  const uint64_t* bases_;
};

/// Keeps what it is told and does it again in every run.
class FakeRunner final : public ProgramRunner {
 public:
  FakeRunner(FakeStream& stream, std::span<const ProgramStep> steps);
  void run(std::span<const uint64_t> bases, uint64_t* scratch) const override;

 private:
  class Recorder;
  using Record = std::function<void(FakeSink&)>;
  FakeStream& stream_;
  std::vector<Record> records_;
};

}  // namespace linnet::testing
