#include "kernels/cuda/launch/record.h"

#include <cstring>

#include "kernels/cuda/driver/driver.h"
#include "kernels/cuda/runtime/gpu.h"
#include "linnet/detail/format.h"

namespace linnet::cuda {
namespace {

/// Without asking for more, a block has so much dynamic shared memory.
constexpr uint32_t kPlainSharedBytes = 48 << 10;

CUdeviceptr address(uint64_t word) { return static_cast<CUdeviceptr>(word); }

void launch(const Gpu& gpu, CUstream stream, const Record& r, const uint64_t* bases,
            uint64_t* scratch) {
  const Driver& cu = driver();
  const Function& function = *r.function;
  resolve_args(r, bases, scratch);
  allow_shared_bytes(gpu, r);
  auto* const kernel = static_cast<CUkernel>(function.handle());
  ++gpu.counters().launches;
  void* parameters[] = {scratch};
  const CUresult result =
      cu.cuLaunchKernel(reinterpret_cast<CUfunction>(kernel), r.grid.x, r.grid.y, r.grid.z,
                        function.threads(), 1, 1, r.shared_bytes, stream, parameters, nullptr);
  if (result != CUDA_SUCCESS) {
    fail<DeviceError>("{}: kernel {} of {}x{}x{} blocks: {}", to_string(gpu.device()),
                      function.name(), r.grid.x, r.grid.y, r.grid.z, text_of(result));
  }
}

}  // namespace

void resolve_args(const Record& r, const uint64_t* bases, uint64_t* scratch) {
  std::memcpy(scratch, r.args.data(), r.args.size());
  for (uint32_t i = 0; i < r.pointers; ++i) scratch[i] = Address{scratch[i]}.resolve(bases);
}

void allow_shared_bytes(const Gpu& gpu, const Record& r) {
  if (r.shared_bytes <= kPlainSharedBytes) return;
  check(driver().cuKernelSetAttribute(
            CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, static_cast<int>(r.shared_bytes),
            static_cast<CUkernel>(r.function->handle()), gpu.device().index),
        r.function->name());
}

size_t scratch_words(const Record& r) {
  switch (r.kind) {
    case Record::Kind::kLaunch:
      return (r.args.size() + sizeof(uint64_t) - 1) / sizeof(uint64_t);
    case Record::Kind::kLibrary:
      return r.operands.size();
    default:
      return 0;
  }
}

void enqueue(const Gpu& gpu, CUstream stream, const Record& r, const uint64_t* bases,
             uint64_t* scratch) {
  const Driver& cu = driver();
  switch (r.kind) {
    case Record::Kind::kLaunch:
      if (r.grid.x != 0 && r.grid.y != 0 && r.grid.z != 0) launch(gpu, stream, r, bases, scratch);
      return;
    case Record::Kind::kLibrary:
      for (size_t i = 0; i < r.operands.size(); ++i) scratch[i] = r.operands[i].resolve(bases);
      ++gpu.counters().library_calls;
      r.enqueue(r.prepared, stream, reinterpret_cast<void* const*>(scratch));
      return;
    case Record::Kind::kCopy:
      if (r.bytes == 0 || r.to.resolve(bases) == r.from.resolve(bases)) return;
      ++gpu.counters().copies;
      return check(cu.cuMemcpyDtoDAsync(address(r.to.resolve(bases)),
                                        address(r.from.resolve(bases)), r.bytes, stream),
                   "copying on the device");
    case Record::Kind::kFill:
      if (r.bytes == 0) return;
      return check(cu.cuMemsetD32Async(address(r.to.resolve(bases)), r.word,
                                       r.bytes / sizeof(uint32_t), stream),
                   "filling memory of the device");
  }
}

void EagerSink::now(const Record& record) {
  const uint64_t null = 0;
  const size_t words = scratch_words(record);
  uint64_t few[64];
  if (words <= std::size(few)) return enqueue(gpu_, stream_, record, &null, few);
  std::vector<uint64_t> many(words);
  enqueue(gpu_, stream_, record, &null, many.data());
}

void EagerSink::library(const void* prepared, Enqueue enqueue, std::span<const Address> operands) {
  now({.kind = Record::Kind::kLibrary,
       .prepared = prepared,
       .enqueue = enqueue,
       .operands = operands});
}
void EagerSink::copy(Address to, Address from, size_t bytes) {
  now({.kind = Record::Kind::kCopy, .to = to, .from = from, .bytes = bytes});
}
void EagerSink::fill(Address to, uint32_t word, size_t words) {
  now({.kind = Record::Kind::kFill, .to = to, .bytes = words * sizeof(uint32_t), .word = word});
}
void EagerSink::launch_bytes(const DeviceFunction& function, Extent grid,
                             std::span<const std::byte> args, uint32_t pointers,
                             uint32_t shared_bytes) {
  now({.kind = Record::Kind::kLaunch,
       .function = &static_cast<const Function&>(function),
       .grid = grid,
       .shared_bytes = shared_bytes,
       .args = args,
       .pointers = pointers});
}

void RecordList::library(const void* prepared, Enqueue enqueue, std::span<const Address> operands) {
  records_.push_back({.kind = Record::Kind::kLibrary,
                      .prepared = prepared,
                      .enqueue = enqueue,
                      .operands = keep(operands)});
}
void RecordList::copy(Address to, Address from, size_t bytes) {
  records_.push_back({.kind = Record::Kind::kCopy, .to = to, .from = from, .bytes = bytes});
}
void RecordList::fill(Address to, uint32_t word, size_t words) {
  records_.push_back(
      {.kind = Record::Kind::kFill, .to = to, .bytes = words * sizeof(uint32_t), .word = word});
}
void RecordList::launch_bytes(const DeviceFunction& function, Extent grid,
                              std::span<const std::byte> args, uint32_t pointers,
                              uint32_t shared_bytes) {
  records_.push_back({.kind = Record::Kind::kLaunch,
                      .function = &static_cast<const Function&>(function),
                      .grid = grid,
                      .shared_bytes = shared_bytes,
                      .args = keep(args),
                      .pointers = pointers});
}

}  // namespace linnet::cuda
