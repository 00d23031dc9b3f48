// What the fake driver offers beyond CUDA's interface, for tests and for the doubles of libraries.
//
//   fake_cuda::functions().set_policy("newest");
//   EXPECT_EQ(fake_cuda::functions().calls("cuStreamSynchronize"), 0);
//
//   fake_cuda::enqueue(stream, "gemm", [=] {           // a double: runs in stream order, late;
//     const float* x = fake_cuda::memory<float>(a, n);  // becomes a node where the stream is
//     captured
//   });
#pragma once

#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>

namespace linnet::fake_cuda {

/// Begins an image that `cuLibraryLoadData` understands: the path of a shared object with kernels
/// that g++ compiled follows, or nothing for those of the program itself, and a null byte.
inline constexpr char kEmulatedImage[] = "linnet emulated kernels\n";

struct Functions {
  /// Calls of a function of the driver, without version (`cuMemAlloc`), since the last reset; of
  /// all of them for "*".
  uint64_t (*calls)(const char* name);
  /// Sets counts to 0, forgets planned faults and errors that stay, does the work that waits or,
  /// if it fails, drops it. Memory, streams and graphs stay.
  void (*reset)();
  /// `random`, `random:7`, `oldest`, `newest` or `turns`. Returns whether it knows the policy.
  bool (*set_policy)(const char* policy);
  /// `cuMemAllocAsync:3`, `*:3` or `lost:3`, counted from now; "" for none. Returns whether it
  /// understands.
  bool (*set_fault)(const char* fault);
  /// Pieces of work that wait, on all devices.
  size_t (*pending)();
  /// What went wrong last, in words.
  const char* (*message)();
  /// Bytes of a device that are allocated.
  size_t (*used)(int device);
  /// Where host code reaches the bytes at an address of a device, or of pinned memory; null, and a
  /// message, if they are not all of one living block. Work that waits has not happened to them.
  void* (*bytes)(uint64_t address, size_t count);
  /// Queues a function as a kernel of a library. It may reach memory by `bytes`, and must not call
  /// the driver. `destroy(data)` is called once it can run no more. Returns a CUresult.
  int (*enqueue)(void* stream, const char* name, void (*run)(void* data), void* data,
                 void (*destroy)(void* data));
};

/// Of the loaded libcuda.so.1.
inline const Functions& functions() {
  static const Functions& found = []() -> const Functions& {
    void* library = dlopen("libcuda.so.1", RTLD_NOW);
    void* symbol = library ? dlsym(library, "linnet_fake_cuda_functions") : nullptr;
    if (!symbol) throw std::runtime_error("libcuda.so.1 is not the fake driver");
    return *static_cast<const Functions*>(symbol);
  }();
  return found;
}

/// The `count` values at an address of a device. For code that `enqueue` runs, and for tests.
template <class T>
T* memory(uint64_t address, size_t count) {
  void* found = functions().bytes(address, count * sizeof(T));
  if (!found && count) throw std::runtime_error(functions().message());
  return static_cast<T*>(found);
}

/// Queues `run`, whose exceptions become errors of the device. Returns a CUresult.
inline int enqueue(void* stream, const char* name, std::function<void()> run) {
  using Run = std::function<void()>;
  return functions().enqueue(
      stream, name, [](void* data) { (*static_cast<Run*>(data))(); }, new Run(std::move(run)),
      [](void* data) { delete static_cast<Run*>(data); });
}

}  // namespace linnet::fake_cuda
