#include "support/fake_stream.h"

#include <algorithm>
#include <cstring>

namespace linnet::testing {
namespace {

/// Pieces of work after which the device begins by itself.
constexpr size_t kMostWaiting = size_t{1} << 14;

}  // namespace

void FakeStream::push(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  queue_.push_back(std::move(work));
  if (queue_.size() > kMostWaiting) drain();
}

void FakeStream::drain() {
  std::lock_guard lock(mutex_);
  std::exception_ptr failure;
  while (!queue_.empty()) {
    const std::function<void()> work = std::move(queue_.front());
    queue_.pop_front();
    try {
      work();
    } catch (...) {
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

FakeDeviceCounts FakeStream::counts() const {
  std::lock_guard lock(mutex_);
  FakeDeviceCounts out = counts_;
  out.waiting = queue_.size();
  return out;
}

void FakeStream::launch(const FakeFunction& function, Extent grid, std::vector<std::byte> args,
                        uint32_t pointers) {
  std::lock_guard lock(mutex_);
  ++counts_.launches;
  push([this, body = function.body, grid, args = std::move(args), pointers]() mutable {
    for (uint32_t i = 0; i < pointers; ++i) {
      uint64_t word = 0;
      std::memcpy(&word, args.data() + i * sizeof word, sizeof word);
      word = reinterpret_cast<uintptr_t>(memory.accessible(word));
      std::memcpy(args.data() + i * sizeof word, &word, sizeof word);
    }
    body(grid, args.data());
  });
}

void FakeStream::copy(uint64_t to, uint64_t from, size_t bytes) {
  std::lock_guard lock(mutex_);
  ++counts_.copies;
  push([this, to, from, bytes] {
    std::memmove(memory.accessible(to), memory.accessible(from), bytes);
  });
}

void FakeStream::fill(uint64_t to, uint32_t word, size_t words) {
  std::lock_guard lock(mutex_);
  ++counts_.fills;
  push([this, to, word, words] {
    std::fill_n(reinterpret_cast<uint32_t*>(memory.accessible(to)), words, word);
  });
}

void FakeStream::count_library() {
  std::lock_guard lock(mutex_);
  ++counts_.libraries;
}
void FakeStream::count_run() {
  std::lock_guard lock(mutex_);
  ++counts_.program_runs;
}

void FakeSink::library(const void* prepared, Enqueue enqueue, std::span<const Address> operands) {
  stream_.count_library();
  std::vector<void*> resolved;
  for (const Address& operand : operands)
    resolved.push_back(reinterpret_cast<void*>(operand.resolve(bases_)));
  enqueue(prepared, &stream_, resolved.data());
}

void FakeSink::copy(Address to, Address from, size_t bytes) {
  stream_.copy(to.resolve(bases_), from.resolve(bases_), bytes);
}

void FakeSink::fill(Address to, uint32_t word, size_t words) {
  stream_.fill(to.resolve(bases_), word, words);
}

void FakeSink::launch_bytes(const DeviceFunction& function, Extent grid,
                            std::span<const std::byte> args, uint32_t pointers, uint32_t) {
  std::vector<std::byte> resolved(args.begin(), args.end());
  for (uint32_t i = 0; i < pointers; ++i) {
    Address address;
    std::memcpy(&address, resolved.data() + i * sizeof address, sizeof address);
    const uint64_t word = address.resolve(bases_);
    std::memcpy(resolved.data() + i * sizeof word, &word, sizeof word);
  }
  stream_.launch(static_cast<const FakeFunction&>(function), grid, std::move(resolved), pointers);
}

class FakeRunner::Recorder final : public LaunchSink {
 public:
  explicit Recorder(std::vector<Record>& records) : records_(records) {}

  void library(const void* prepared, Enqueue enqueue, std::span<const Address> operands) override {
    records_.push_back([prepared, enqueue, kept = std::vector(operands.begin(), operands.end())](
                           FakeSink& sink) { sink.library(prepared, enqueue, kept); });
  }
  void copy(Address to, Address from, size_t bytes) override {
    records_.push_back([=](FakeSink& sink) { sink.copy(to, from, bytes); });
  }
  void fill(Address to, uint32_t word, size_t words) override {
    records_.push_back([=](FakeSink& sink) { sink.fill(to, word, words); });
  }

 protected:
  void launch_bytes(const DeviceFunction& function, Extent grid, std::span<const std::byte> args,
                    uint32_t pointers, uint32_t shared_bytes) override {
    records_.push_back([=, &function, kept = std::vector(args.begin(), args.end())](FakeSink& s) {
      s.relaunch(function, grid, kept, pointers, shared_bytes);
    });
  }

 private:
  std::vector<Record>& records_;
};

FakeRunner::FakeRunner(FakeStream& stream, std::span<const ProgramStep> steps) : stream_(stream) {
  Recorder recorder(records_);
  for (const ProgramStep& step : steps) {
    static_cast<const DeviceKernel&>(*step.kernel)
        .emit(recorder, step.inputs, step.outputs, step.workspace);
  }
}

void FakeRunner::run(std::span<const uint64_t> bases, uint64_t*) const {
  stream_.count_run();
  FakeSink sink(stream_, bases.data());
  for (const Record& record : records_) record(sink);
}

}  // namespace linnet::testing
