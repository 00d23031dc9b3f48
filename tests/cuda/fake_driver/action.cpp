#include "cuda/fake_driver/action.h"

#include <cstring>
#include <string>

#include "cuda/fake_driver/call.h"
#include "cuda/fake_driver/capture.h"
#include "cuda/fake_driver/kernels.h"
#include "cuda/fake_driver/memory.h"
#include "cuda/fake_driver/queue.h"

namespace linnet::fake_cuda {
namespace {

struct Perform {
  int device;

  void operator()(const EmptyAction&) const {}
  void operator()(const InternalAction& action) const { action.run(); }
  void operator()(const KernelAction& action) const { run_kernel(action, device); }

  void operator()(const CopyAction& action) const {
    for (size_t row = 0; row < action.rows; ++row) {
      void* to = checked_bytes(action.to + row * action.to_pitch, action.bytes, -1);
      const void* from =
          action.staged ? action.staged->data() + row * action.from_pitch
                        : checked_bytes(action.from + row * action.from_pitch, action.bytes, -1);
      std::memmove(to, from, action.bytes);
    }
  }

  void operator()(const FillAction& action) const {
    const size_t size = action.element_bytes, bytes = action.width * size;
    for (size_t row = 0; row < action.rows; ++row) {
      auto* to = static_cast<std::byte*>(checked_bytes(action.to + row * action.pitch, bytes, -1));
      if (size == 1) {
        std::memset(to, static_cast<int>(action.value & 0xff), bytes);
        continue;
      }
      for (size_t i = 0; i < action.width; ++i) std::memcpy(to + i * size, &action.value, size);
    }
  }

  void operator()(const HostAction& action) const {
    state_mutex().unlock();
    in_host_function() = true;
    action.function(action.data);
    in_host_function() = false;
    state_mutex().lock();
  }

  void operator()(const LibraryAction& action) const {
    try {
      (*action.run)();
    } catch (const Failure& failure) {
      fail(failure.status, std::string(action.name) + ": " + failure.text);
    } catch (const std::exception& error) {
      fail(CUDA_ERROR_LAUNCH_FAILED, std::string(action.name) + ": " + error.what());
    }
  }
};

}  // namespace

void perform(const Action& action, int device) {
  try {
    std::visit(Perform{device}, action);
  } catch (const Failure& failure) {
    fail_device(failure.status, failure.text);
  }
}

void submit(CUstream handle, Action action) {
  Stream& stream = checked_stream(handle);
  if (stream.capture) {
    record(stream, std::move(action));
    return;
  }
  stream.push({.action = std::move(action)});
}

}  // namespace linnet::fake_cuda
