// Streams and events: work waits in queues until somebody waits for it.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "cuda/fake_driver/action.h"

namespace linnet::fake_cuda {

class GraphRun;
struct Capture;
struct Node;

/// A point of a stream that others may wait for.
struct Mark {
  bool reached = false;
  uint64_t time = 0;  ///< pieces of work done by all devices before it
};

struct Work {
  Action action = {};
  std::shared_ptr<GraphRun> graph = nullptr;  ///< instead of `action`
  std::shared_ptr<Mark> after = nullptr;      ///< may not begin before this is reached
  std::shared_ptr<Mark> mark = nullptr;       ///< is reached when it is done
  uint64_t number = 0;                        ///< in order of the calls
};

struct Stream {
  int device = 0;
  uint64_t number = 0;
  bool blocking = true;  ///< in order with the legacy stream
  bool legacy = false;
  bool destroyed = false;
  bool running = false;  ///< a function of the host, on some thread
  int priority = 0;
  std::deque<Work> queue = {};
  Capture* capture = nullptr;
  std::vector<Node*> tail = {};  ///< what the next captured piece of work depends on

  /// @returns the mark that is reached when the work is done.
  std::shared_ptr<Mark> push(Work work);
};

Stream& make_stream(int device, bool blocking, int priority);
/// What waits in it will still be done.
void destroy_stream(Stream& stream);
/// The current context's legacy stream for null.
/// @throws Failure if there is no such stream.
Stream& checked_stream(CUstream stream);

/// Does work, by the policy, until the condition holds.
/// @throws Failure if no work can be done any more, or some of it fails.
void run_until(const std::function<bool()>& condition);
/// Does one piece of work if any can be done.
bool run_one();
void finish_stream(Stream& stream);
void finish_device(int device);
size_t pending_work();
void drop_work();

bool set_policy(const char* text);
/// Which of `count` candidates, oldest first, comes next.
size_t choose(size_t count);

}  // namespace linnet::fake_cuda
