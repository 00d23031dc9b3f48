#include "support/fake_device.h"

#include <unistd.h>

#include <array>
#include <cstring>

#include "core/ops/creation.h"
#include "core/trace/eval.h"
#include "linnet/detail/format.h"
#include "support/fake_stream.h"

namespace linnet::testing {
namespace {

/// A kernel of the CPU with the request it was chosen for, which outlives both.
struct HostWork {
  explicit HostWork(const KernelRequest& from, ChosenKernel kernel)
      : primitive(from.primitive), params(from.params), chosen(std::move(kernel)) {
    for (const auto& views : {from.inputs, from.outputs}) {
      for (const OperandView& view : views)
        layouts.push_back({view.dtype, Shape(view.shape), Strides(view.strides)});
    }
    for (const TensorLayout& x : layouts) views.push_back({x.dtype, x.shape, x.strides});
    for (const auto& given : {from.inputs, from.outputs}) {
      for (const OperandView& view : given) alignments.push_back(view.alignment);
    }
    inputs = from.inputs.size();
  }

  void run(void* const* operands) const {
    const void* const* in = operands;
    void* const* out = operands + inputs;
    void* workspace = operands[views.size()];
    if (chosen.prepared)
      static_cast<const HostKernel&>(*chosen.prepared).run(in, out, workspace);
    else
      chosen.implementation->run(request(), in, out, workspace);
  }
  KernelRequest request() const {
    const std::span<const OperandView> all(views);
    return {primitive, params, all.first(inputs), all.subspan(inputs)};
  }

  const Primitive& primitive;
  Params params;
  ChosenKernel chosen;
  std::vector<TensorLayout> layouts;
  std::vector<OperandView> views;
  std::vector<size_t> alignments;
  size_t inputs = 0;
};

/// Plays the part of a library: queues what the CPU's kernel will do.
class LateKernel final : public DeviceKernel {
 public:
  explicit LateKernel(std::shared_ptr<const HostWork> work) : work_(std::move(work)) {}

  size_t workspace_bytes() const override {
    return work_->chosen.workspace_bytes(work_->request());
  }

  void emit(LaunchSink& sink, std::span<const Address> inputs, std::span<const Address> outputs,
            Address workspace) const override {
    std::vector<Address> operands(inputs.begin(), inputs.end());
    operands.insert(operands.end(), outputs.begin(), outputs.end());
    operands.push_back(workspace);
    sink.library(this, enqueue, operands);
  }

 private:
  static void enqueue(const void* prepared, void* stream, void* const* operands) {
    auto& queue = *static_cast<FakeStream*>(stream);
    const auto& work = static_cast<const LateKernel*>(prepared)->work_;
    for (size_t i = 0; i < work->alignments.size(); ++i) {
      if (reinterpret_cast<uintptr_t>(operands[i]) % work->alignments[i] != 0) {
        fail<DeviceError>("{}: operand {} at {} is not aligned to the {} bytes that were promised",
                          work->primitive.name, i, operands[i], work->alignments[i]);
      }
    }
    queue.push([&queue, work, kept = std::vector(operands, operands + work->views.size() + 1)] {
      std::vector<void*> here;
      for (void* operand : kept)
        here.push_back(queue.memory.accessible(reinterpret_cast<uintptr_t>(operand)));
      work->run(here.data());
    });
  }

  std::shared_ptr<const HostWork> work_;
};

bool all_dense(const KernelRequest& request) {
  for (const OperandView& x : request.inputs) {
    if (!is_dense(x.shape, x.strides)) return false;
  }
  return true;
}

std::unique_ptr<Kernel> prepare_late(const KernelRequest& request, std::string& reason) {
  for (const OperandView& x : request.inputs) {
    if (x.alignment > 16) reason = fmt::format("alignment {}", x.alignment);
  }
  ChosenKernel chosen = choose_kernel(request, Device{}, reason);
  if (!chosen.implementation) return nullptr;
  if (!chosen.implementation->strided && !all_dense(request)) {
    reason = "strided operands";
    return nullptr;
  }
  return std::make_unique<LateKernel>(std::make_shared<HostWork>(request, std::move(chosen)));
}

/// What the CPU's kernel for the request says of working in place.
int in_place_operand(const KernelRequest& request, size_t result) {
  std::string declined;
  const ChosenKernel chosen = choose_kernel(request, Device{}, declined);
  if (!chosen.implementation || !chosen.implementation->in_place) return -1;
  if (chosen.implementation->in_place_operand)
    return chosen.implementation->in_place_operand(request, result);
  return request.outputs.size() == 1 ? 0 : -1;
}

/// A kernel of the device's own: one thread for each of the elements 0, 1, 2, … of one dimension.
struct CountArgs {
  static constexpr uint32_t kPointers = 1;
  Address out;
  int64_t count;
};

void count_body(Extent grid, const void* bytes) {
  CountArgs args;
  std::memcpy(&args, bytes, sizeof args);
  auto* out = reinterpret_cast<int32_t*>(args.out.word);
  for (int64_t i = 0; i < std::min<int64_t>(args.count, int64_t{grid.x} * 32); ++i)
    out[i] = static_cast<int32_t>(i);
}

class CountKernel final : public DeviceKernel {
 public:
  explicit CountKernel(int64_t count) : count_(count) {}
  void emit(LaunchSink& sink, std::span<const Address>, std::span<const Address> outputs,
            Address) const override {
    static const FakeFunction function(count_body);
    sink.launch(function, {static_cast<uint32_t>((count_ + 31) / 32)},
                CountArgs{outputs[0], count_});
  }

 private:
  int64_t count_;
};

std::unique_ptr<Kernel> prepare_count(const KernelRequest& request, std::string& reason) {
  const OperandView& y = request.outputs[0];
  if (y.dtype == DType::kI32 && y.shape.size() == 1 && y.shape[0] > 0)
    return std::make_unique<CountKernel>(y.shape[0]);
  reason = "counts i32 along one dimension";
  return nullptr;
}

/// Copies of dense tensors are the device's own.
class CopyKernel final : public DeviceKernel {
 public:
  explicit CopyKernel(size_t bytes) : bytes_(bytes) {}
  void emit(LaunchSink& sink, std::span<const Address> inputs, std::span<const Address> outputs,
            Address) const override {
    sink.copy(outputs[0], inputs[0], bytes_);
  }

 private:
  size_t bytes_;
};

std::unique_ptr<Kernel> prepare_copy(const KernelRequest& request, std::string& reason) {
  const OperandView& x = request.inputs[0];
  if (is_dense(x.shape, x.strides))
    return std::make_unique<CopyKernel>(static_cast<size_t>(element_count(x.shape)) *
                                        size_of(x.dtype));
  reason = "strided operands";
  return nullptr;
}

class FakeAllocator final : public Allocator {
 public:
  explicit FakeAllocator(FakeStream& stream) : stream_(stream) {}
  void* allocate(size_t bytes) override {
    void* block = stream_.memory.allocate(bytes);
    // In order with the work that may still use the block.
    stream_.fill(reinterpret_cast<uintptr_t>(block), ~uint32_t{0},
                 FakeMemory::rounded(bytes) / sizeof(uint32_t));
    return block;
  }
  void deallocate(void* block, size_t bytes) noexcept override {
    stream_.memory.deallocate(block, bytes);
  }
  MemoryStats stats() const override { return stream_.memory.stats(); }
  void reset_peak() override { stream_.memory.reset_peak(); }
  void trim() override {}

 private:
  FakeStream& stream_;
};

class FakeBackEnd final : public BackEnd {
 public:
  int device_count() override { return 2; }
  KernelTable& kernels() override {
    static KernelTable* table = [] {
      kernel_table(Device{});  // defines every primitive that has a kernel
      auto* fresh = new KernelTable;
      fresh->add(iota_primitive(),
                 {.name = "count", .prepare = prepare_count, .never_throws = true});
      fresh->add(copy_primitive(),
                 {.name = "copy", .strided = true, .prepare = prepare_copy, .never_throws = true});
      for (const Primitive* primitive : all_primitives()) {
        if (kernel_table(Device{}).implementations(*primitive).empty()) continue;
        for (const bool strided : {true, false}) {
          fresh->add(*primitive, {.name = strided ? "late" : "late on dense operands",
                                  .strided = strided,
                                  .in_place = true,
                                  .in_place_operand = in_place_operand,
                                  .prepare = prepare_late,
                                  .never_throws = true,
                                  .complex = true});
        }
      }
      return fresh;
    }();
    return *table;
  }
  Allocator& allocator(int index) override { return allocators_.at(check(index)); }

  void run_eager(Device device, const Kernel& kernel, std::span<const void* const> inputs,
                 std::span<void* const> outputs, void* workspace) override {
    std::vector<Address> in, out;
    for (const void* x : inputs) in.push_back(Address::of(x));
    for (void* y : outputs) out.push_back(Address::of(y));
    const uint64_t null = 0;
    FakeSink sink(stream(device.index), &null);
    static_cast<const DeviceKernel&>(kernel).emit(sink, in, out, Address::of(workspace));
  }
  void upload(Device device, void* to, const void* host, size_t bytes) override {
    if (bytes == 0) return;  // and the pointers may be null
    FakeStream& queue = stream(device.index);
    const auto* from = static_cast<const std::byte*>(host);
    queue.push([&queue, to, kept = std::vector(from, from + bytes)] {
      std::memcpy(queue.memory.accessible(reinterpret_cast<uintptr_t>(to)), kept.data(),
                  kept.size());
    });
  }
  void download(void* host, Device device, const void* from, size_t bytes) override {
    FakeStream& queue = stream(device.index);
    queue.drain();
    if (bytes == 0) return;
    std::memcpy(host, queue.memory.accessible(reinterpret_cast<uintptr_t>(from)), bytes);
  }
  void copy(Device to_device, void* to, Device from_device, const void* from,
            size_t bytes) override {
    if (to_device == from_device) {
      return stream(to_device.index)
          .copy(reinterpret_cast<uintptr_t>(to), reinterpret_cast<uintptr_t>(from), bytes);
    }
    std::vector<std::byte> between(bytes);
    download(between.data(), from_device, from, bytes);
    upload(to_device, to, between.data(), bytes);
  }
  void synchronize(Device device) override { stream(device.index).drain(); }
  std::unique_ptr<ProgramRunner> make_runner(Device device,
                                             std::span<const ProgramStep> steps) override {
    return std::make_unique<FakeRunner>(stream(device.index), steps);
  }

  FakeStream& stream(int index) { return streams_.at(check(index)); }

 private:
  static size_t check(int index) {
    if (index > 1) fail<DeviceError>("ext:{}: there are only ext:0 and ext:1", index);
    return static_cast<size_t>(index);
  }

  std::array<FakeStream, 2> streams_;
  std::array<FakeAllocator, 2> allocators_{FakeAllocator(streams_[0]), FakeAllocator(streams_[1])};
};

FakeBackEnd& fake_back_end() {
  static FakeBackEnd* back_end = [] {
    auto* fresh = new FakeBackEnd;
    register_back_end(DeviceType::kExtension, *fresh);
    return fresh;
  }();
  return *back_end;
}

}  // namespace

Device fake_device(int index) {
  fake_back_end();
  return {DeviceType::kExtension, static_cast<uint8_t>(index)};
}

FakeDeviceCounts fake_device_counts(int index) { return fake_back_end().stream(index).counts(); }

bool readable(const void* address) {
  int ends[2];
  if (pipe(ends) != 0) fail<IoError>("readable: no pipe");
  const bool written = write(ends[1], address, 1) == 1;
  close(ends[0]);
  close(ends[1]);
  return written;
}

void emit_on_fake_device(int index, const DeviceKernel& kernel, std::span<const Address> inputs,
                         std::span<const Address> outputs) {
  const uint64_t null = 0;
  FakeSink sink(fake_back_end().stream(index), &null);
  kernel.emit(sink, inputs, outputs, {});
}

}  // namespace linnet::testing
