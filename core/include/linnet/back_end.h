// What a kind of device has to bring: memory, copies, kernels, and a way to run programs of them.
// For people who write back ends (kernels/README.md); nothing of it is needed to use one.
//
//   class MyBackEnd final : public BackEnd { … };
//   register_back_end(DeviceType::kExtension, my_back_end);   // lives for ever
//
// A back end works in order: what it is given for one device, by whichever thread, happens as if
// one after the other. It may happen late. Only `download` and `synchronize` wait.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "linnet/device.h"
#include "linnet/kernel.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Where an operand lies: one of the bases of a call, and an offset in bytes. Base 0 is null, so
/// that its offsets are addresses.
struct Address {
  uint64_t word = 0;  ///< 16 bits of base, 48 of offset

  static constexpr uint64_t kOffsetBits = 48;
  static constexpr uint64_t kMostBases = uint64_t{1} << 16;
  static constexpr Address at(uint64_t base, uint64_t offset) {
    return {base << kOffsetBits | offset};
  }
  static Address of(const void* address) { return {reinterpret_cast<uintptr_t>(address)}; }
  constexpr uint64_t base() const { return word >> kOffsetBits; }
  constexpr uint64_t offset() const { return word & ((uint64_t{1} << kOffsetBits) - 1); }
  constexpr uint64_t resolve(const uint64_t* bases) const { return bases[base()] + offset(); }
};

/// Blocks of a launch.
struct Extent {
  uint32_t x = 1, y = 1, z = 1;
};

/// A function that the device can execute; each back end has its own kind.
class DeviceFunction {
 public:
  virtual ~DeviceFunction() = default;
};

/// Takes what a kernel wants done, in order. One consumer does it at once, another keeps it and
/// does it in every run of a program.
class LaunchSink {
 public:
  virtual ~LaunchSink() = default;

  /// Starts `grid` blocks of `function`. The first `Args::kPointers` words of `args` are addresses,
  /// which are resolved before the function sees them.
  template <class Args>
  void launch(const DeviceFunction& function, Extent grid, const Args& args,
              uint32_t shared_bytes = 0) {
    static_assert(std::is_trivially_copyable_v<Args>);
    static_assert(Args::kPointers * sizeof(Address) <= sizeof(Args));
    launch_bytes(function, grid, std::as_bytes(std::span(&args, 1)), Args::kPointers, shared_bytes);
  }

  /// Starts the work of a library. `prepared` must outlive the sink's use of it.
  using Enqueue = void (*)(const void* prepared, void* stream, void* const* operands);
  virtual void library(const void* prepared, Enqueue enqueue,
                       std::span<const Address> operands) = 0;
  virtual void copy(Address to, Address from, size_t bytes) = 0;
  /// Sets `words` words of four bytes.
  virtual void fill(Address to, uint32_t word, size_t words) = 0;

 protected:
  virtual void launch_bytes(const DeviceFunction& function, Extent grid,
                            std::span<const std::byte> args, uint32_t pointers,
                            uint32_t shared_bytes) = 0;
};

/// A kernel that describes its launches instead of running. `emit` may be called from several
/// threads at once, and must not wait for the device.
class DeviceKernel : public Kernel {
 public:
  virtual void emit(LaunchSink& sink, std::span<const Address> inputs,
                    std::span<const Address> outputs, Address workspace) const = 0;
};

/// One kernel of a program with the places of its operands: either a prepared kernel, or the `run`
/// of an implementation and the request it was chosen for.
struct ProgramStep {
  const Kernel* kernel = nullptr;
  void (*run)(const KernelRequest&, const void* const*, void* const*, void*) = nullptr;
  const KernelRequest* request = nullptr;
  std::span<const Address> inputs, outputs;
  Address workspace;
};

/// Runs the steps of one program, or of a part of one, again and again. Safe to call from several
/// threads.
class ProgramRunner {
 public:
  virtual ~ProgramRunner() = default;
  /// Words of host memory that a run uses as scratch.
  virtual size_t scratch_words() const { return 0; }
  /// Starts the work on the memory at `bases`; a device may do it after this has returned. By now
  /// memory of the inputs may be given up: what can fail has failed in `make_runner`.
  virtual void run(std::span<const uint64_t> bases, uint64_t* scratch) const = 0;
};

/// How much a cluster of elementwise operations may hold.
struct FusionLimits {
  size_t instructions = 48, operands = 16, results = 8;
};

class BackEnd {
 public:
  virtual ~BackEnd() = default;

  /// Devices that can be used now; 0 where the hardware or its driver is missing.
  virtual int device_count() { return 1; }
  /// The implementation lists.
  virtual KernelTable& kernels() = 0;
  /// Memory of the device with this index. Blocks may be given back while work that uses them is
  /// still to be done.
  /// @throws DeviceError if there is no such device.
  virtual Allocator& allocator(int index) = 0;

  /// Does, or starts, the work of one kernel. `inputs` and `outputs` are addresses on the device.
  virtual void run_eager(Device device, const Kernel& kernel, std::span<const void* const> inputs,
                         std::span<void* const> outputs, void* workspace) = 0;
  /// Host memory may be used again on return.
  virtual void upload(Device device, void* to, const void* host, size_t bytes) = 0;
  /// Waits for the work that the bytes depend on.
  virtual void download(void* host, Device device, const void* from, size_t bytes) = 0;
  /// Between two devices of this back end, or within one.
  virtual void copy(Device to_device, void* to, Device from_device, const void* from,
                    size_t bytes) = 0;
  virtual void synchronize(Device device) = 0;

  /// `steps`, and what they point to, outlive the runner.
  virtual std::unique_ptr<ProgramRunner> make_runner(Device device,
                                                     std::span<const ProgramStep> steps) = 0;

  virtual FusionLimits fusion_limits() const { return {}; }
  /// Columns of the panels in which a product reads a matrix that stays the same from turn to turn
  /// of a loop; 0 if it gains nothing.
  virtual int64_t panel_columns(DType) const { return 0; }
  /// Values in the arena of a program begin at multiples of this.
  virtual size_t arena_alignment() const { return 256; }
  /// The largest alignment that kernels are told of; one kernel is prepared for each that occurs.
  virtual size_t widest_alignment() const { return 16; }
  /// A number that changes when kernels must be prepared anew.
  virtual uint64_t configuration() const { return 0; }
};

/// Makes `back_end` serve all devices of a type, for ever. Back ends that are linked in register
/// themselves before the first use of any device.
/// @throws DeviceError if the type has one already.
void register_back_end(DeviceType type, BackEnd& back_end);

/// The back end of a device.
/// @throws DeviceError naming those that are registered, if there is none.
BackEnd& back_end_of(Device device);

/// Defined by what is linked in (kernels/registry.cpp): calls `register_back_end` for each of its
/// back ends. Called once.
void register_linked_back_ends();

}  // namespace linnet

#pragma GCC visibility pop
