// One piece of work, as a stream queues it and as a node of a graph holds it.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <variant>
#include <vector>

namespace linnet::fake_cuda {

class Kernel;

struct KernelAction {
  const Kernel* kernel = nullptr;
  uint32_t grid[3] = {1, 1, 1};
  uint32_t threads = 1;
  uint32_t shared_bytes = 0;
  std::vector<std::byte> parameters = {};  ///< copied at the call
};

/// Rows of bytes.
struct CopyAction {
  uint64_t to = 0, from = 0;  ///< of a device or of the host
  size_t bytes = 0, rows = 1;
  size_t to_pitch = 0, from_pitch = 0;
  std::shared_ptr<const std::vector<std::byte>> staged = nullptr;  ///< instead of `from`
};

struct FillAction {
  uint64_t to = 0;
  uint32_t value = 0;
  uint32_t element_bytes = 1;
  size_t width = 0;  ///< elements of a row
  size_t rows = 1, pitch = 0;
};

struct HostAction {
  CUhostFn function = nullptr;
  void* data = nullptr;
};

/// Work of a library's double.
struct LibraryAction {
  const char* name = "";
  std::shared_ptr<const std::function<void()>> run;
};

/// Work of the driver itself, which graphs do not hold.
struct InternalAction {
  std::function<void()> run;
};

struct EmptyAction {};

using Action = std::variant<EmptyAction, KernelAction, CopyAction, FillAction, HostAction,
                            LibraryAction, InternalAction>;

/// Does it now. Functions of the host run without the lock on the driver's state.
/// @throws Failure after it has been noted as an error that stays.
void perform(const Action& action, int device);

/// Does, late, or records it where the stream is captured.
void submit(CUstream stream, Action action);

}  // namespace linnet::fake_cuda
