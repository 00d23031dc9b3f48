// Streams that are captured: what is given to them becomes nodes of a graph.
#pragma once

#include <cuda.h>

#include <memory>
#include <thread>
#include <vector>

#include "cuda/fake_driver/action.h"

namespace linnet::fake_cuda {

class Graph;
struct Node;
struct Stream;

struct Capture {
  std::unique_ptr<Graph> graph;
  Stream* origin = nullptr;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  std::thread::id thread;
  bool invalid = false;
  std::vector<Stream*> joined;  ///< all streams that take part
};

void begin_capture(Stream& stream, CUstreamCaptureMode mode);
/// @throws Failure if the capture was invalidated or a stream has not come back to its origin.
std::unique_ptr<Graph> end_capture(Stream& stream);
/// Adds a node behind what the stream has recorded.
void record(Stream& stream, Action action);
void record_child(Stream& stream, const Graph& child);
/// What waits for `nodes` of a capture takes part in it.
void join(Stream& stream, Capture& capture, const std::vector<Node*>& nodes);
/// The capture can no longer succeed.
/// @throws Failure always.
[[noreturn]] void invalidate(Capture& capture, const char* why);
/// Refuses calls that are forbidden while any stream is captured, and so ends those captures.
void refuse_while_capturing(const char* what);
void forget_captures();

}  // namespace linnet::fake_cuda
