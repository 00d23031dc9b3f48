#include "cuda/fake_driver/capture.h"

#include <algorithm>
#include <string>
#include <unordered_set>

#include "cuda/fake_driver/call.h"
#include "cuda/fake_driver/graph.h"
#include "cuda/fake_driver/queue.h"

namespace linnet::fake_cuda {
namespace {

std::vector<std::unique_ptr<Capture>>& captures() {
  static auto& all = *new std::vector<std::unique_ptr<Capture>>;
  return all;
}

Graph& checked_graph(Stream& stream) {
  if (stream.capture->invalid)
    fail(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "the capture of this stream was invalidated");
  return *stream.capture->graph;
}

void leave(Capture& capture) {
  for (Stream* stream : capture.joined) {
    stream->capture = nullptr;
    stream->tail.clear();
  }
  std::erase_if(captures(), [&](const auto& other) { return other.get() == &capture; });
}

std::unordered_set<const Node*> with_dependencies(const std::vector<Node*>& nodes) {
  std::unordered_set<const Node*> seen;
  std::vector<const Node*> left(nodes.begin(), nodes.end());
  while (!left.empty()) {
    const Node* node = left.back();
    left.pop_back();
    if (seen.insert(node).second)
      left.insert(left.end(), node->dependencies.begin(), node->dependencies.end());
  }
  return seen;
}

bool all_joined(const Capture& capture) {
  const auto reached = with_dependencies(capture.origin->tail);
  return std::ranges::all_of(capture.joined, [&](const Stream* stream) {
    return std::ranges::all_of(stream->tail,
                               [&](const Node* node) { return reached.contains(node); });
  });
}

}  // namespace

void begin_capture(Stream& stream, CUstreamCaptureMode mode) {
  if (stream.capture) fail(CUDA_ERROR_ILLEGAL_STATE, "the stream is captured already");
  if (stream.legacy)
    fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the legacy stream cannot be captured");
  captures().push_back(std::make_unique<Capture>());
  Capture& capture = *captures().back();
  capture.graph = std::make_unique<Graph>();
  capture.origin = &stream;
  capture.mode = mode;
  capture.thread = std::this_thread::get_id();
  capture.joined = {&stream};
  stream.capture = &capture;
  stream.tail.clear();
}

std::unique_ptr<Graph> end_capture(Stream& stream) {
  if (!stream.capture) fail(CUDA_ERROR_ILLEGAL_STATE, "the stream is not captured");
  Capture& capture = *stream.capture;
  if (capture.origin != &stream)
    fail(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "the capture began on another stream");
  const bool relaxed = capture.mode == CU_STREAM_CAPTURE_MODE_RELAXED;
  if (!relaxed && capture.thread != std::this_thread::get_id())
    fail(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "the capture began on another thread");
  const bool invalid = capture.invalid, joined = all_joined(capture);
  std::unique_ptr<Graph> graph = std::move(capture.graph);
  leave(capture);
  if (invalid) fail(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "the capture was invalidated");
  if (!joined)
    fail(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "a captured stream was not joined with its origin");
  return graph;
}

void record(Stream& stream, Action action) {
  Graph& graph = checked_graph(stream);
  if (std::holds_alternative<InternalAction>(action))
    invalidate(*stream.capture, "what was given to a captured stream cannot be captured");
  stream.tail = {&graph.add(std::move(action), stream.tail)};
}

void record_child(Stream& stream, const Graph& child) {
  Graph& graph = checked_graph(stream);
  stream.tail = {&graph.add_child(child, stream.tail)};
}

void join(Stream& stream, Capture& capture, const std::vector<Node*>& nodes) {
  if (stream.capture && stream.capture != &capture)
    invalidate(*stream.capture, "two captures would depend on each other");
  if (!stream.capture) {
    stream.capture = &capture;
    stream.tail.clear();
    capture.joined.push_back(&stream);
  }
  for (Node* node : nodes)
    if (std::ranges::find(stream.tail, node) == stream.tail.end()) stream.tail.push_back(node);
}

void invalidate(Capture& capture, const char* why) {
  capture.invalid = true;
  fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, why);
}

void refuse_while_capturing(const char* what) {
  for (const auto& capture : captures()) {
    const bool here = capture->thread == std::this_thread::get_id();
    const bool refused = capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL ||
                         (capture->mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL && here);
    if (refused) invalidate(*capture, what);
  }
}

void forget_captures() {
  while (!captures().empty()) leave(*captures().back());
}

}  // namespace linnet::fake_cuda
