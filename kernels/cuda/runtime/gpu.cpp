#include "kernels/cuda/runtime/gpu.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <utility>

#include "linnet/detail/format.h"
#include "linnet/detail/log.h"

namespace linnet::cuda {
namespace {

constexpr int kMostDevices = 8;

DeviceProperties read_properties(CUdevice device) {
  const Driver& cu = driver();
  const auto attribute = [&](CUdevice_attribute which) {
    int value = 0;
    check(cu.cuDeviceGetAttribute(&value, which, device), "asking for a device's attribute");
    return value;
  };
  DeviceProperties out;
  std::array<char, 256> name{};
  check(cu.cuDeviceGetName(name.data(), static_cast<int>(name.size()), device),
        "asking for a name");
  out.name = name.data();
  out.major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  out.minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  out.multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  out.shared_bytes =
      static_cast<size_t>(attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN));
  check(cu.cuDeviceTotalMem(&out.memory_bytes, device), "asking for the memory");
  return out;
}

}  // namespace

int Gpu::count() {
  int count = 0;
  if (const Driver* cu = find_driver(); cu && cu->cuDeviceGetCount(&count) == CUDA_SUCCESS)
    return std::min(count, kMostDevices);
  return 0;
}

namespace {

/// Those that have been made, for ever.
std::array<std::atomic<Gpu*>, kMostDevices> made{};

}  // namespace

Gpu& Gpu::at(int index) {
  static std::mutex mutex;
  static const pid_t process = getpid();  // of the first use
  if (getpid() != process) {
    fail<DeviceError>(
        "cuda:{}: CUDA was used before this process was forked; it cannot be used in the child",
        index);
  }
  if (index >= 0 && index < kMostDevices) {
    if (Gpu* const gpu = made[static_cast<size_t>(index)].load(std::memory_order_acquire))
      return *gpu;
  }
  driver();
  if (index < 0 || index >= count()) {
    fail<DeviceError>("cuda:{}: there are {} CUDA devices", index, count());
  }
  const std::lock_guard lock(mutex);
  std::atomic<Gpu*>& slot = made[static_cast<size_t>(index)];
  if (!slot.load()) slot.store(new Gpu(index), std::memory_order_release);
  return *slot.load();
}

Gpu& Gpu::of_stream(CUstream stream) {
  for (const std::atomic<Gpu*>& slot : made) {
    Gpu* const gpu = slot.load(std::memory_order_acquire);
    if (gpu && (gpu->stream() == stream || gpu->capture_stream() == stream)) return *gpu;
  }
  fail<DeviceError>("cuda: a stream of no device");
}

Gpu::Gpu(int index) : index_(index) {
  const Driver& cu = driver();
  check(cu.cuDeviceGet(&handle_, index), "asking for a device");
  properties_ = read_properties(handle_);
  if (properties_.major < 8) {
    fail<DeviceError>("cuda:{}: {} has compute capability {}.{}, 8.0 is needed", index,
                      properties_.name, properties_.major, properties_.minor);
  }
  check(cu.cuDevicePrimaryCtxRetain(&context_, handle_), "making a context");
  check(cu.cuCtxSetCurrent(context_), "making a context current");
  check(cu.cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING), "making a stream");
  check(cu.cuStreamCreate(&capture_stream_, CU_STREAM_NON_BLOCKING), "making a stream");
  check(cu.cuStreamCreate(&bus_, CU_STREAM_NON_BLOCKING), "making a stream");
  check(cu.cuDeviceGetDefaultMemPool(&pool_, handle_), "asking for the memory pool");
  cuuint64_t keep = ~cuuint64_t{0};
  check(cu.cuMemPoolSetAttribute(pool_, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep),
        "setting up the memory pool");
}

void Gpu::make_current() const {
  check(driver().cuCtxSetCurrent(context_), "making a context current");
}

void Gpu::upload(void* to, const void* host, size_t bytes) {
  if (bytes == 0) return;
  make_current();
  ++counters_.uploads;
  const auto held = lock();
  const auto* from = static_cast<const std::byte*>(host);
  auto address = reinterpret_cast<CUdeviceptr>(to);
  while (bytes > 0) {
    const size_t part = std::min(bytes, kPinnedBlock);
    uploads_.upload(address, from, part, stream_, bus_);
    from += part;
    address += part;
    bytes -= part;
  }
}

void Gpu::download(void* host, const void* from, size_t bytes) {
  if (bytes == 0) return synchronize("download");
  make_current();
  ++counters_.downloads;
  std::byte* const block = downloads_.take();
  const std::unique_ptr<std::byte, std::function<void(std::byte*)>> give_back(
      block, [this](std::byte* b) { downloads_.give(b); });
  auto* to = static_cast<std::byte*>(host);
  auto address = reinterpret_cast<CUdeviceptr>(from);
  while (bytes > 0) {
    const size_t part = std::min(bytes, kPinnedBlock);
    check(driver().cuMemcpyDtoHAsync(block, address, part, stream_), "copying from the device");
    synchronize("download");
    std::memcpy(to, block, part);
    to += part;
    address += part;
    bytes -= part;
  }
}

void Gpu::copy(void* to, const Gpu& from_gpu, const void* from, size_t bytes) {
  if (bytes == 0) return;
  make_current();
  const Driver& cu = driver();
  const auto there = reinterpret_cast<CUdeviceptr>(to), here = reinterpret_cast<CUdeviceptr>(from);
  if (&from_gpu == this)
    return check(cu.cuMemcpyDtoDAsync(there, here, bytes, stream_), "copying on the device");
  // Ours waits for what theirs has done so far, and theirs until the bytes are here.
  CUevent event = nullptr;
  from_gpu.make_current();
  check(cu.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "making an event");
  const auto order = [&](CUstream first, CUstream second) {
    CUresult result = cu.cuEventRecord(event, first);
    if (result == CUDA_SUCCESS) result = cu.cuStreamWaitEvent(second, event, 0);
    return result;
  };
  CUresult result = order(from_gpu.stream(), stream_);
  if (result == CUDA_SUCCESS) {
    result = cu.cuMemcpyPeerAsync(there, context_, here, from_gpu.context(), bytes, stream_);
  }
  cu.cuEventDestroy(event);
  make_current();
  check(result, "copying between devices");
  check(cu.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "making an event");
  result = order(stream_, from_gpu.stream());
  cu.cuEventDestroy(event);
  check(result, "copying between devices");
}

void Gpu::synchronize(const char* why) {
  make_current();
  ++counters_.waits;
  if (log_enabled("cuda")) log_line("cuda", fmt::format("{}: waits: {}", to_string(device()), why));
  const CUresult result = driver().cuStreamSynchronize(stream_);
  throw_kept_error();
  if (result != CUDA_SUCCESS) {
    fail<DeviceError>("{}: work that was given to the device before has failed: {}",
                      to_string(device()), text_of(result));
  }
}

std::byte* Gpu::host_area(size_t bytes) {
  if (bytes > host_area_bytes_) {
    const size_t size = std::max(bytes, 2 * host_area_bytes_);
    host_area_ = allocate_pinned(size);
    host_area_bytes_ = size;
  }
  return host_area_;
}

void Gpu::keep_error(std::exception_ptr error) noexcept {
  const std::lock_guard lock(error_mutex_);
  if (!error_) error_ = std::move(error);
  has_error_ = true;
}

void Gpu::throw_kept_error() {
  if (!has_error_.load()) return;
  std::exception_ptr error;
  {
    const std::lock_guard lock(error_mutex_);
    error = std::exchange(error_, nullptr);
    has_error_ = false;
  }
  if (error) std::rethrow_exception(error);
}

Statistics statistics(int index) {
  const Counters& c = Gpu::at(index).counters();
  return {c.launches, c.library_calls, c.host_kernels, c.copies,
          c.uploads,  c.downloads,     c.waits,        c.graph_runs};
}

const DeviceProperties& device_properties() {
  static const DeviceProperties* properties = [] {
    if (Gpu::count() > 0) return new DeviceProperties(Gpu::at(0).properties());
    return new DeviceProperties{.name = "planned for an H100",
                                .major = 9,
                                .minor = 0,
                                .multiprocessors = 132,
                                .shared_bytes = 232448,
                                .memory_bytes = size_t{80} << 30};
  }();
  return *properties;
}

}  // namespace linnet::cuda
