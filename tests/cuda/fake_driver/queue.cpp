#include "cuda/fake_driver/queue.h"

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>

#include "cuda/fake_driver/call.h"
#include "cuda/fake_driver/capture.h"
#include "cuda/fake_driver/context.h"
#include "cuda/fake_driver/graph.h"

namespace linnet::fake_cuda {
namespace {

enum class Policy : uint8_t { kRandom, kOldest, kNewest, kTurns };

struct Queues {
  std::vector<std::unique_ptr<Stream>> streams;  // by number; those of devices' legacy streams too
  std::vector<Stream*> legacy{8, nullptr};
  uint64_t streams_made = 0, work_made = 0, work_done = 0;
  Policy policy = Policy::kRandom;
  std::mt19937_64 random;
  uint64_t turn = 0;
  std::condition_variable_any changed;
};

bool apply_policy(Queues& state, const char* text) {
  const char* colon = std::strchr(text, ':');
  const std::string_view name(text, colon ? colon - text : std::strlen(text));
  constexpr std::string_view kNames[] = {"random", "oldest", "newest", "turns"};
  const auto* found = std::ranges::find(kNames, name);
  if (found == std::end(kNames)) return false;
  state.policy = static_cast<Policy>(found - kNames);
  state.random.seed(colon ? std::strtoull(colon + 1, nullptr, 10) : 0);
  state.turn = 0;
  return true;
}

Queues& queues() {
  static Queues& all = *[] {
    auto* made = new Queues;
    const char* policy = std::getenv("LINNET_FAKE_CUDA_POLICY");
    if (policy && !apply_policy(*made, policy))
      std::fprintf(stderr, "fake driver: LINNET_FAKE_CUDA_POLICY=%s is not understood\n", policy);
    return made;
  }();
  return all;
}

/// Streams of one device that are in order with its legacy stream run no work that was queued
/// before the other's.
bool in_order(const Stream& stream) {
  if (!stream.legacy && !stream.blocking) return true;
  return std::ranges::none_of(queues().streams, [&](const auto& other) {
    const bool ordered = other->device == stream.device && other.get() != &stream &&
                         (stream.legacy ? other->blocking : other->legacy);
    return ordered && !other->queue.empty() &&
           other->queue.front().number < stream.queue.front().number;
  });
}

bool is_ready(const Stream& stream) {
  if (stream.running || stream.queue.empty()) return false;
  const Work& work = stream.queue.front();
  return (!work.after || work.after->reached) && in_order(stream);
}

/// Does the next piece of work of a stream, or the next step of the graph that is there.
void run_front(Stream& stream) {
  Work& work = stream.queue.front();  // others may push behind it meanwhile
  stream.running = true;
  bool finished = true;
  try {
    if (work.graph) {
      finished = work.graph->step(stream.device);
    } else {
      perform(work.action, stream.device);
    }
  } catch (...) {
    stream.running = false;
    queues().changed.notify_all();
    throw;
  }
  stream.running = false;
  ++queues().work_done;
  if (finished) {
    if (work.mark) *work.mark = {true, queues().work_done};
    stream.queue.pop_front();
  }
  queues().changed.notify_all();
}

void forget_finished_streams() {
  std::erase_if(queues().streams, [](const auto& stream) {
    return stream->destroyed && stream->queue.empty() && !stream->running;
  });
}

Stream& legacy_stream() {
  const int device = current_context()->device;
  Stream*& found = queues().legacy[device];
  if (!found) {
    queues().streams.push_back(std::make_unique<Stream>());
    found = queues().streams.back().get();
    *found = {.device = device, .number = queues().streams_made++, .legacy = true};
  }
  return *found;
}

}  // namespace

Stream& make_stream(int device, bool blocking, int priority) {
  auto stream = std::make_unique<Stream>();
  stream->device = device;
  stream->number = queues().streams_made++;
  stream->blocking = blocking;
  stream->priority = priority;
  queues().streams.push_back(std::move(stream));
  return *queues().streams.back();
}

void destroy_stream(Stream& stream) {
  stream.destroyed = true;
  forget_finished_streams();
}

std::shared_ptr<Mark> Stream::push(Work work) {
  work.number = queues().work_made++;
  if (!work.mark) work.mark = std::make_shared<Mark>();
  queue.push_back(std::move(work));
  return queue.back().mark;
}

Stream& checked_stream(CUstream handle) {
  if (!handle || handle == CU_STREAM_LEGACY) return legacy_stream();
  if (handle == CU_STREAM_PER_THREAD)
    fail(CUDA_ERROR_NOT_SUPPORTED, "the stream of a thread is not emulated");
  for (const auto& stream : queues().streams) {
    if (reinterpret_cast<CUstream>(stream.get()) != handle || stream->destroyed) continue;
    return *stream;
  }
  fail(CUDA_ERROR_INVALID_HANDLE, "this is no stream, or one that has been destroyed");
}

size_t choose(size_t count) {
  Queues& all = queues();
  switch (all.policy) {
    case Policy::kRandom:
      return all.random() % count;
    case Policy::kOldest:
      return 0;
    case Policy::kNewest:
      return count - 1;
    case Policy::kTurns:
      break;
  }
  return all.turn++ % count;
}

bool run_one() {
  std::vector<Stream*> ready;
  for (const auto& stream : queues().streams)
    if (is_ready(*stream)) ready.push_back(stream.get());
  if (ready.empty()) return false;
  run_front(*ready[choose(ready.size())]);
  forget_finished_streams();
  return true;
}

void run_until(const std::function<bool()>& condition) {
  while (!condition()) {
    if (run_one()) continue;
    const bool elsewhere =
        std::ranges::any_of(queues().streams, [](const auto& stream) { return stream->running; });
    if (!elsewhere) fail_device(CUDA_ERROR_LAUNCH_TIMEOUT, "what is waited for can never happen");
    queues().changed.wait(state_mutex());
  }
}

void finish_stream(Stream& stream) {
  if (stream.capture) invalidate(*stream.capture, "a captured stream was waited for");
  if (stream.queue.empty()) return;
  const std::shared_ptr<Mark> last = stream.queue.back().mark;
  run_until([&] { return last->reached; });
}

void finish_device(int device) {
  std::vector<std::shared_ptr<Mark>> last;
  for (const auto& stream : queues().streams) {
    if (stream->device != device) continue;
    if (stream->capture)
      invalidate(*stream->capture, "the device of a captured stream was waited for");
    if (!stream->queue.empty()) last.push_back(stream->queue.back().mark);
  }
  run_until(
      [&] { return std::ranges::all_of(last, [](const auto& mark) { return mark->reached; }); });
}

size_t pending_work() {
  size_t count = 0;
  for (const auto& stream : queues().streams) count += stream->queue.size();
  return count;
}

void drop_work() {
  for (const auto& stream : queues().streams) {
    for (Work& work : stream->queue) {
      // What memory is there, and what has been waited for, stays true.
      if (const auto* internal = std::get_if<InternalAction>(&work.action)) internal->run();
      work.mark->reached = true;
    }
    stream->queue.clear();
  }
  forget_finished_streams();
}

bool set_policy(const char* text) {
  const std::lock_guard lock(state_mutex());
  return apply_policy(queues(), text);
}

}  // namespace linnet::fake_cuda
