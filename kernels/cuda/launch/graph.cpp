#include "kernels/cuda/launch/graph.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string_view>

#include "kernels/cuda/driver/driver.h"
#include "kernels/cuda/runtime/gpu.h"
#include "linnet/detail/format.h"
#include "linnet/detail/log.h"

namespace linnet::cuda {
namespace {

/// Below this one call for each record is as good.
constexpr size_t kFewestRecords = 2;
/// After so many in a row the driver is not asked again.
constexpr int kMostFailures = 3;

/// A copy onto itself is left out of a list; a node cannot be left out of one run.
bool has_copy_onto_itself(const std::vector<Record>& records, const uint64_t* bases) {
  return std::any_of(records.begin(), records.end(), [&](const Record& r) {
    return r.kind == Record::Kind::kCopy && r.bytes != 0 &&
           r.to.resolve(bases) == r.from.resolve(bases);
  });
}

bool does_nothing(const Record& r) {
  switch (r.kind) {
    case Record::Kind::kLaunch:
      return r.grid.x == 0 || r.grid.y == 0 || r.grid.z == 0;
    case Record::Kind::kLibrary:
      return false;
    default:
      return r.bytes == 0;
  }
}

/// @param parameters an array of one pointer, which is set to `scratch`.
CUDA_KERNEL_NODE_PARAMS launch_of(const Gpu& gpu, const Record& r, const uint64_t* bases,
                                  uint64_t* scratch, void** parameters) {
  resolve_args(r, bases, scratch);
  *parameters = scratch;
  CUDA_KERNEL_NODE_PARAMS node{};
  node.kern = static_cast<CUkernel>(r.function->handle());
  node.ctx = gpu.context();
  node.gridDimX = r.grid.x;
  node.gridDimY = r.grid.y;
  node.gridDimZ = r.grid.z;
  node.blockDimX = r.function->threads();
  node.blockDimY = node.blockDimZ = 1;
  node.sharedMemBytes = r.shared_bytes;
  node.kernelParams = parameters;
  return node;
}

CUDA_MEMCPY3D copy_of(const Record& r, const uint64_t* bases) {
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.srcDevice = static_cast<CUdeviceptr>(r.from.resolve(bases));
  copy.dstDevice = static_cast<CUdeviceptr>(r.to.resolve(bases));
  copy.WidthInBytes = r.bytes;
  copy.Height = copy.Depth = 1;
  return copy;
}

CUDA_MEMSET_NODE_PARAMS fill_of(const Record& r, const uint64_t* bases) {
  CUDA_MEMSET_NODE_PARAMS fill{};
  fill.dst = static_cast<CUdeviceptr>(r.to.resolve(bases));
  fill.value = r.word;
  fill.elementSize = sizeof(uint32_t);
  fill.width = r.bytes / sizeof(uint32_t);
  fill.height = 1;
  return fill;
}

}  // namespace

bool graphs_wanted() {
  const char* text = std::getenv("LINNET_CUDA_GRAPHS");
  return !text || std::string_view(text) != "0";
}

std::unique_ptr<RecordGraph> RecordGraph::make(const Gpu& gpu, std::span<const Record> records,
                                               std::span<const uint64_t> bases, uint64_t* scratch) {
  std::unique_ptr<RecordGraph> made(new RecordGraph(gpu, records));
  try {
    return made->build(bases, scratch) ? std::move(made) : nullptr;
  } catch (const Error&) {
    return nullptr;  // the list says what is wrong
  }
}

RecordGraph::~RecordGraph() {
  // Runs that are under way go on. Fails when the process ends and the driver is gone.
  driver().cuCtxSetCurrent(gpu_.context());
  if (exec_) driver().cuGraphExecDestroy(exec_);
  if (graph_) driver().cuGraphDestroy(graph_);
}

bool RecordGraph::build(std::span<const uint64_t> bases, uint64_t* scratch) {
  const Driver& cu = driver();
  CUresult result = cu.cuGraphCreate(&graph_, 0);
  users_.resize(bases.size());
  stale_.resize(records_.size());
  for (size_t i = 0; i < records_.size() && result == CUDA_SUCCESS; ++i) {
    result = add(records_[i], bases.data(), scratch);
    note_users(i);
  }
  if (result == CUDA_SUCCESS) result = cu.cuGraphInstantiateWithFlags(&exec_, graph_, 0);
  if (result != CUDA_SUCCESS) {
    if (log_enabled("cuda"))
      log_line("cuda", fmt::format("a program runs without a graph: {}", text_of(result)));
    return false;
  }
  bases_.assign(bases.begin(), bases.end());
  return true;
}

/// Each node waits for the one before.
CUresult RecordGraph::add(const Record& record, const uint64_t* bases, uint64_t* scratch) {
  const Driver& cu = driver();
  CUgraphNode node = nullptr;
  CUresult result = CUDA_SUCCESS;
  if (!does_nothing(record)) {
    const auto last = std::find_if(nodes_.rbegin(), nodes_.rend(), [](CUgraphNode n) { return n; });
    const size_t count = last != nodes_.rend();
    const CUgraphNode before = count ? *last : nullptr;
    switch (record.kind) {
      case Record::Kind::kLaunch:
        result = add_launch(record, before, &node, bases, scratch);
        break;
      case Record::Kind::kLibrary:
        result = add_library(record, before, &node, bases, scratch);
        break;
      case Record::Kind::kCopy: {
        const CUDA_MEMCPY3D copy = copy_of(record, bases);
        result = cu.cuGraphAddMemcpyNode(&node, graph_, &before, count, &copy, gpu_.context());
        ++copies_;
        break;
      }
      case Record::Kind::kFill: {
        const CUDA_MEMSET_NODE_PARAMS fill = fill_of(record, bases);
        result = cu.cuGraphAddMemsetNode(&node, graph_, &before, count, &fill, gpu_.context());
        break;
      }
    }
  }
  nodes_.push_back(node);
  return result;
}

CUresult RecordGraph::add_launch(const Record& record, CUgraphNode before, CUgraphNode* node,
                                 const uint64_t* bases, uint64_t* scratch) {
  ++launches_;
  void* parameters[1];
  allow_shared_bytes(gpu_, record);
  const CUDA_KERNEL_NODE_PARAMS launch = launch_of(gpu_, record, bases, scratch, parameters);
  return driver().cuGraphAddKernelNode(node, graph_, &before, before ? 1 : 0, &launch);
}

CUresult RecordGraph::add_library(const Record& record, CUgraphNode before, CUgraphNode* node,
                                  const uint64_t* bases, uint64_t* scratch) {
  ++library_calls_;
  const uint64_t host_before = gpu_.counters().host_kernels;
  CUgraph captured = nullptr;
  CUresult result = capture(record, bases, scratch, &captured);
  host_kernels_ += gpu_.counters().host_kernels - host_before;
  gpu_.counters().host_kernels = host_before;
  if (result != CUDA_SUCCESS) return result;
  result = driver().cuGraphAddChildGraphNode(node, graph_, &before, before ? 1 : 0, captured);
  driver().cuGraphDestroy(captured);
  return result;
}

/// What a library does, as a graph. Nothing is done.
CUresult RecordGraph::capture(const Record& record, const uint64_t* bases, uint64_t* scratch,
                              CUgraph* graph) {
  const Driver& cu = driver();
  for (size_t i = 0; i < record.operands.size(); ++i)
    scratch[i] = record.operands[i].resolve(bases);
  const CUstream stream = gpu_.capture_stream();
  // Libraries may allocate, and other threads go on.
  CUresult result = cu.cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
  if (result != CUDA_SUCCESS) return result;
  try {
    record.enqueue(record.prepared, stream, reinterpret_cast<void* const*>(scratch));
  } catch (...) {
    result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;  // without a graph it will be thrown again
  }
  const CUresult ended = cu.cuStreamEndCapture(stream, graph);
  if (ended != CUDA_SUCCESS) cu.cuStreamEndCapture(stream, graph);  // the stream must be free again
  if (result == CUDA_SUCCESS) return ended;
  if (ended == CUDA_SUCCESS) cu.cuGraphDestroy(*graph);
  return result;
}

void RecordGraph::note_users(size_t record) {
  const Record& r = records_[record];
  const auto note = [&](Address address) {
    std::vector<uint32_t>& users = users_[address.base()];
    if (users.empty() || users.back() != record) users.push_back(static_cast<uint32_t>(record));
  };
  switch (r.kind) {
    case Record::Kind::kLaunch:
      for (uint32_t i = 0; i < r.pointers; ++i) {
        Address address;
        std::memcpy(&address.word, r.args.data() + i * sizeof(uint64_t), sizeof(uint64_t));
        note(address);
      }
      return;
    case Record::Kind::kLibrary:
      for (const Address address : r.operands) note(address);
      return;
    case Record::Kind::kCopy:
      note(r.from);
      [[fallthrough]];
    case Record::Kind::kFill:
      note(r.to);
  }
}

CUresult RecordGraph::update(size_t record, const uint64_t* bases, uint64_t* scratch) {
  const Driver& cu = driver();
  const Record& r = records_[record];
  const CUgraphNode node = nodes_[record];
  switch (r.kind) {
    case Record::Kind::kLaunch: {
      void* parameters[1];
      const CUDA_KERNEL_NODE_PARAMS launch = launch_of(gpu_, r, bases, scratch, parameters);
      return cu.cuGraphExecKernelNodeSetParams(exec_, node, &launch);
    }
    case Record::Kind::kLibrary: {
      const uint64_t host_before = gpu_.counters().host_kernels;
      CUgraph captured = nullptr;
      CUresult result = capture(r, bases, scratch, &captured);
      gpu_.counters().host_kernels = host_before;
      if (result != CUDA_SUCCESS) return result;
      result = cu.cuGraphExecChildGraphNodeSetParams(exec_, node, captured);
      cu.cuGraphDestroy(captured);
      return result;
    }
    case Record::Kind::kCopy: {
      const CUDA_MEMCPY3D copy = copy_of(r, bases);
      return cu.cuGraphExecMemcpyNodeSetParams(exec_, node, &copy, gpu_.context());
    }
    case Record::Kind::kFill: {
      const CUDA_MEMSET_NODE_PARAMS fill = fill_of(r, bases);
      return cu.cuGraphExecMemsetNodeSetParams(exec_, node, &fill, gpu_.context());
    }
  }
  return CUDA_SUCCESS;
}

bool RecordGraph::update_all(std::span<const uint64_t> bases, uint64_t* scratch) {
  for (size_t base = 0; base < bases.size(); ++base) {
    if (bases[base] == bases_[base]) continue;
    for (const uint32_t record : users_[base]) stale_[record] = true;
    bases_[base] = bases[base];
  }
  for (size_t i = 0; i < records_.size(); ++i) {
    if (!stale_[i]) continue;
    stale_[i] = false;
    if (nodes_[i] && update(i, bases.data(), scratch) != CUDA_SUCCESS) return false;
  }
  return true;
}

void RecordGraph::count_run() const {
  Counters& counters = gpu_.counters();
  ++counters.graph_runs;
  counters.launches += launches_;
  counters.library_calls += library_calls_;
  counters.host_kernels += host_kernels_;
  counters.copies += copies_;
}

bool RecordGraph::run(std::span<const uint64_t> bases, uint64_t* scratch) {
  if (!update_all(bases, scratch)) return false;
  if (driver().cuGraphLaunch(exec_, gpu_.stream()) != CUDA_SUCCESS) return false;
  count_run();
  return true;
}

GraphRunner::GraphRunner(Gpu& gpu, std::span<const ProgramStep> steps)
    : gpu_(gpu), list_(gpu, steps) {
  if (list_.records().size() < kFewestRecords) state_ = State::kListOnly;
}

/// A graph that cannot be brought up to date is made anew: a library may have chosen another kernel
/// for the new addresses.
bool GraphRunner::run_graph(std::span<const uint64_t> bases, uint64_t* scratch) const {
  if (state_ == State::kGraph && graph_->run(bases, scratch)) return true;
  graph_ = RecordGraph::make(gpu_, list_.records(), bases, scratch);
  if (graph_ && graph_->run(bases, scratch)) {
    state_ = State::kGraph;
    failures_ = 0;
    return true;
  }
  graph_ = nullptr;
  state_ = ++failures_ < kMostFailures ? State::kRanOnce : State::kListOnly;
  return false;
}

void GraphRunner::run(std::span<const uint64_t> bases, uint64_t* scratch) const {
  gpu_.make_current();
  const auto held = gpu_.lock();
  const bool graph = state_ == State::kRanOnce || state_ == State::kGraph;
  if (graph && !has_copy_onto_itself(list_.records(), bases.data()) && run_graph(bases, scratch))
    return;
  list_.run(bases, scratch);
  if (state_ == State::kFresh) state_ = State::kRanOnce;
}

}  // namespace linnet::cuda
