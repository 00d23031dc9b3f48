// Streams, events, capture, functions of the host, and what the driver offers to tests.
#include <algorithm>
#include <unordered_map>

#include "cuda/fake_driver/call.h"
#include "cuda/fake_driver/capture.h"
#include "cuda/fake_driver/context.h"
#include "cuda/fake_driver/fake_driver.h"
#include "cuda/fake_driver/graph.h"
#include "cuda/fake_driver/memory.h"
#include "cuda/fake_driver/queue.h"

using namespace linnet::fake_cuda;

namespace {

struct Event {
  int device = 0;
  bool timing = true;
  std::shared_ptr<Mark> mark;  // of the last record; null before the first
  Capture* capture = nullptr;  // if the last record was on a captured stream
  std::vector<Node*> captured;
};

std::unordered_map<CUevent, std::unique_ptr<Event>>& events() {
  static auto& all = *new std::unordered_map<CUevent, std::unique_ptr<Event>>;
  return all;
}

Event& checked_event(CUevent handle) {
  const auto found = events().find(handle);
  if (found == events().end())
    fail(CUDA_ERROR_INVALID_HANDLE, "this is no event, or one that has been destroyed");
  return *found->second;
}

Event& uncaptured_event(CUevent handle) {
  Event& event = checked_event(handle);
  if (event.capture) fail(CUDA_ERROR_CAPTURED_EVENT, "the event was recorded in a captured stream");
  return event;
}

CUresult create_stream(CUstream* handle, unsigned flags, int priority) {
  Stream& stream = make_stream(current_context()->device, !(flags & CU_STREAM_NON_BLOCKING),
                               std::clamp(priority, -5, 0));
  *handle = reinterpret_cast<CUstream>(&stream);
  return CUDA_SUCCESS;
}

CUresult record_event(CUevent handle, CUstream stream_handle) {
  Event& event = checked_event(handle);
  Stream& stream = checked_stream(stream_handle);
  if (event.device != stream.device)
    fail(CUDA_ERROR_INVALID_HANDLE, "event and stream are of different devices");
  event.capture = stream.capture;
  event.captured = stream.tail;
  if (!stream.capture) event.mark = stream.push({});
  return CUDA_SUCCESS;
}

void wait_for_event(Stream& stream, Event& event) {
  if (event.capture) return join(stream, *event.capture, event.captured);
  if (!event.mark) return;
  if (stream.capture) {
    stream.capture->invalid = true;
    fail(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "a captured stream waits for what is not captured");
  }
  stream.push({.after = event.mark});
}

}  // namespace

CUresult CUDAAPI cuStreamCreate(CUstream* stream, unsigned flags) {
  LINNET_FAKE_CUDA_CALL(cuStreamCreate) { return create_stream(stream, flags, 0); };
}

CUresult CUDAAPI cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int priority) {
  LINNET_FAKE_CUDA_CALL(cuStreamCreateWithPriority) {
    return create_stream(stream, flags, priority);
  };
}

CUresult CUDAAPI cuStreamDestroy(CUstream handle) {
  LINNET_FAKE_CUDA_CALL(cuStreamDestroy) {
    Stream& stream = checked_stream(handle);
    if (stream.legacy) fail(CUDA_ERROR_INVALID_HANDLE, "the legacy stream cannot be destroyed");
    destroy_stream(stream);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuStreamGetPriority(CUstream stream, int* priority) {
  LINNET_FAKE_CUDA_CALL(cuStreamGetPriority) {
    *priority = checked_stream(stream).priority;
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuStreamGetFlags(CUstream stream, unsigned* flags) {
  LINNET_FAKE_CUDA_CALL(cuStreamGetFlags) {
    *flags = checked_stream(stream).blocking ? CU_STREAM_DEFAULT : CU_STREAM_NON_BLOCKING;
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuStreamGetCtx(CUstream stream, CUcontext* context) {
  LINNET_FAKE_CUDA_CALL(cuStreamGetCtx) {
    *context = handle_of(&primary_context(checked_stream(stream).device));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuStreamGetId(CUstream stream, unsigned long long* id) {
  LINNET_FAKE_CUDA_CALL(cuStreamGetId) {
    *id = checked_stream(stream).number;
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuStreamSynchronize(CUstream stream) {
  LINNET_FAKE_CUDA_CALL(cuStreamSynchronize) {
    finish_stream(checked_stream(stream));
    return CUDA_SUCCESS;
  };
}

/// Who asks again and again makes some work be done.
CUresult CUDAAPI cuStreamQuery(CUstream handle) {
  LINNET_FAKE_CUDA_CALL(cuStreamQuery) {
    Stream& stream = checked_stream(handle);
    if (stream.capture)
      invalidate(*stream.capture, "a captured stream was asked whether it is done");
    if (stream.queue.empty()) return CUDA_SUCCESS;
    run_one();
    return CUDA_ERROR_NOT_READY;
  };
}

CUresult CUDAAPI cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
  LINNET_FAKE_CUDA_CALL(cuStreamWaitEvent) {
    wait_for_event(checked_stream(stream), checked_event(event));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuLaunchHostFunc(CUstream stream, CUhostFn function, void* data) {
  LINNET_FAKE_CUDA_CALL(cuLaunchHostFunc) {
    submit(stream, HostAction{function, data});
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode) {
  LINNET_FAKE_CUDA_CALL(cuStreamBeginCapture) {
    begin_capture(checked_stream(stream), mode);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  LINNET_FAKE_CUDA_CALL(cuStreamEndCapture) {
    *graph = nullptr;
    *graph = reinterpret_cast<CUgraph>(end_capture(checked_stream(stream)).release());
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus* status) {
  LINNET_FAKE_CUDA_CALL(cuStreamIsCapturing) {
    const Capture* capture = checked_stream(handle).capture;
    *status = !capture           ? CU_STREAM_CAPTURE_STATUS_NONE
              : capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                 : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  LINNET_FAKE_CUDA_CALL(cuThreadExchangeStreamCaptureMode) {
    static thread_local CUstreamCaptureMode now = CU_STREAM_CAPTURE_MODE_GLOBAL;
    std::swap(now, *mode);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuEventCreate(CUevent* handle, unsigned flags) {
  LINNET_FAKE_CUDA_CALL(cuEventCreate) {
    auto event = std::make_unique<Event>();
    event->device = current_context()->device;
    event->timing = !(flags & CU_EVENT_DISABLE_TIMING);
    *handle = reinterpret_cast<CUevent>(event.get());
    events()[*handle] = std::move(event);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuEventDestroy(CUevent event) {
  LINNET_FAKE_CUDA_CALL(cuEventDestroy) {
    checked_event(event);
    events().erase(event);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuEventRecord(CUevent event, CUstream stream) {
  LINNET_FAKE_CUDA_CALL(cuEventRecord) { return record_event(event, stream); };
}

CUresult CUDAAPI cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned) {
  LINNET_FAKE_CUDA_CALL(cuEventRecordWithFlags) { return record_event(event, stream); };
}

CUresult CUDAAPI cuEventQuery(CUevent handle) {
  LINNET_FAKE_CUDA_CALL(cuEventQuery) {
    refuse_while_capturing("cuEventQuery");
    const Event& event = uncaptured_event(handle);
    if (!event.mark || event.mark->reached) return CUDA_SUCCESS;
    run_one();
    return CUDA_ERROR_NOT_READY;
  };
}

CUresult CUDAAPI cuEventSynchronize(CUevent handle) {
  LINNET_FAKE_CUDA_CALL(cuEventSynchronize) {
    const std::shared_ptr<Mark> mark = uncaptured_event(handle).mark;
    if (mark) run_until([&] { return mark->reached; });
    return CUDA_SUCCESS;
  };
}

/// Each piece of work takes a microsecond.
CUresult CUDAAPI cuEventElapsedTime(float* milliseconds, CUevent from_handle, CUevent to_handle) {
  LINNET_FAKE_CUDA_CALL(cuEventElapsedTime) {
    const Event &from = uncaptured_event(from_handle), &to = uncaptured_event(to_handle);
    if (!from.mark || !to.mark || !from.timing || !to.timing)
      fail(CUDA_ERROR_INVALID_HANDLE, "an event that was not recorded, or is without timing");
    if (!from.mark->reached || !to.mark->reached) return CUDA_ERROR_NOT_READY;
    *milliseconds =
        1e-3f * (static_cast<float>(to.mark->time) - static_cast<float>(from.mark->time));
    return CUDA_SUCCESS;
  };
}

namespace {

void reset() {
  const std::lock_guard lock(state_mutex());
  forget_captures();
  const bool failed = has_failed();
  reset_calls();
  try {
    for (int device = 0; !failed && device < device_count(); ++device) finish_device(device);
  } catch (const Failure&) {
    reset_calls();
  }
  drop_work();
}

bool set_fault(const char* fault) {
  const std::lock_guard lock(state_mutex());
  return plan_fault(fault);
}

size_t pending() {
  const std::lock_guard lock(state_mutex());
  return pending_work();
}

size_t used(int device) {
  const std::lock_guard lock(state_mutex());
  return used_memory(device);
}

void* bytes(uint64_t address, size_t count) {
  const std::lock_guard lock(state_mutex());
  try {
    return checked_bytes(address, count, -1);
  } catch (const Failure& failure) {
    set_message(failure.text);
    return nullptr;
  }
}

int enqueue_library(void* stream, const char* name, void (*run)(void*), void* data,
                    void (*destroy)(void*)) {
  const std::shared_ptr<void> owned(data, destroy);
  LINNET_FAKE_CUDA_CALL(linnet_enqueue) {
    submit(static_cast<CUstream>(stream),
           LibraryAction{name, std::make_shared<const std::function<void()>>(
                                   [run, owned] { run(owned.get()); })});
    return CUDA_SUCCESS;
  };
}

}  // namespace

extern "C" const Functions linnet_fake_cuda_functions = {
    .calls = [](const char* name) { return calls_of(name); },
    .reset = reset,
    .set_policy = set_policy,
    .set_fault = set_fault,
    .pending = pending,
    .message = [] { return last_message().c_str(); },
    .used = used,
    .bytes = bytes,
    .enqueue =
        [](void* stream, const char* name, void (*run)(void*), void* data, void (*destroy)(void*)) {
          return static_cast<int>(enqueue_library(stream, name, run, data, destroy));
        },
};
