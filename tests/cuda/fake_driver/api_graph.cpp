// Graphs.
#include <algorithm>
#include <string>
#include <unordered_map>

#include "cuda/fake_driver/call.h"
#include "cuda/fake_driver/capture.h"
#include "cuda/fake_driver/context.h"
#include "cuda/fake_driver/graph.h"
#include "cuda/fake_driver/kernels.h"
#include "cuda/fake_driver/memory.h"
#include "cuda/fake_driver/queue.h"

using namespace linnet::fake_cuda;

namespace {

std::unordered_map<CUgraphExec, std::unique_ptr<GraphExec>>& execs() {
  static auto& all = *new std::unordered_map<CUgraphExec, std::unique_ptr<GraphExec>>;
  return all;
}

Graph& checked_graph(CUgraph graph) {
  if (!graph) fail(CUDA_ERROR_INVALID_VALUE, "no graph");
  return *reinterpret_cast<Graph*>(graph);
}

Node& checked_node(CUgraphNode node) {
  if (!node) fail(CUDA_ERROR_INVALID_VALUE, "no node");
  return *reinterpret_cast<Node*>(node);
}

GraphExec& checked_exec(CUgraphExec handle) {
  const auto found = execs().find(handle);
  if (found == execs().end())
    fail(CUDA_ERROR_INVALID_VALUE, "this is no executable graph, or one that has been destroyed");
  return *found->second;
}

std::vector<Node*> nodes_of(const CUgraphNode* nodes, size_t count) {
  std::vector<Node*> found;
  for (size_t i = 0; i < count; ++i) {
    found.push_back(&checked_node(nodes[i]));
    if (std::find(found.begin(), found.end() - 1, found.back()) != found.end() - 1)
      fail(CUDA_ERROR_INVALID_VALUE, "a dependency is given twice");
  }
  return found;
}

CUresult add_node(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                  Action action) {
  Node& made = checked_graph(graph).add(std::move(action), nodes_of(dependencies, count));
  *node = reinterpret_cast<CUgraphNode>(&made);
  return CUDA_SUCCESS;
}

KernelAction action_of(const CUDA_KERNEL_NODE_PARAMS& node) {
  const void* function = node.func;
  if (!function) function = node.kern;
  const LaunchShape shape{{node.gridDimX, node.gridDimY, node.gridDimZ},
                          {node.blockDimX, node.blockDimY, node.blockDimZ},
                          node.sharedMemBytes};
  const Context& context = !node.func && node.ctx ? checked_context(node.ctx) : *current_context();
  return make_launch(checked_kernel(function), shape, node.kernelParams, node.extra,
                     context.device);
}

uint64_t side_of(CUmemorytype type, const void* host, CUdeviceptr device) {
  const bool is_host = type == CU_MEMORYTYPE_HOST;
  const uint64_t address = is_host ? reinterpret_cast<uint64_t>(host) : device;
  if (type == CU_MEMORYTYPE_ARRAY) fail(CUDA_ERROR_NOT_SUPPORTED, "arrays are not emulated");
  if (type != CU_MEMORYTYPE_UNIFIED && is_host == is_device_address(address))
    fail(CUDA_ERROR_INVALID_VALUE, "the type of memory of a copy is not that of its address");
  return address;
}

CopyAction action_of(const CUDA_MEMCPY3D& copy) {
  if (copy.Depth != 1 || copy.srcZ || copy.dstZ || !copy.Height || !copy.WidthInBytes)
    fail(CUDA_ERROR_INVALID_VALUE, "copies of nodes have one or two dimensions");
  const uint64_t from = side_of(copy.srcMemoryType, copy.srcHost, copy.srcDevice);
  const uint64_t to = side_of(copy.dstMemoryType, copy.dstHost, copy.dstDevice);
  return {.to = to + copy.dstY * copy.dstPitch + copy.dstXInBytes,
          .from = from + copy.srcY * copy.srcPitch + copy.srcXInBytes,
          .bytes = copy.WidthInBytes,
          .rows = copy.Height,
          .to_pitch = copy.dstPitch,
          .from_pitch = copy.srcPitch};
}

FillAction action_of(const CUDA_MEMSET_NODE_PARAMS& fill) {
  const unsigned size = fill.elementSize;
  if ((size != 1 && size != 2 && size != 4) || !fill.width || !fill.height || fill.dst % size)
    fail(CUDA_ERROR_INVALID_VALUE, "a fill of wrong size or alignment");
  return {.to = fill.dst,
          .value = fill.value,
          .element_bytes = size,
          .width = fill.width,
          .rows = fill.height,
          .pitch = fill.pitch};
}

/// A node's device may not change, and copies and fills of executable graphs stay one-dimensional
/// and between the same kinds of memory.
void check_update(const CopyAction& old, const CopyAction& now) {
  const auto kind = [](uint64_t address) {
    const Block* block = block_of(address);
    return block ? block->device : -1;
  };
  if (old.rows != 1 || now.rows != 1 || kind(old.to) != kind(now.to) ||
      kind(old.from) != kind(now.from))
    fail(CUDA_ERROR_INVALID_VALUE, "the copy of a node may change in address and size alone");
}

CUresult instantiate(CUgraphExec* handle, CUgraph graph) {
  auto exec = std::make_unique<GraphExec>(checked_graph(graph));
  exec->device = current_context()->device;
  *handle = reinterpret_cast<CUgraphExec>(exec.get());
  execs()[*handle] = std::move(exec);
  return CUDA_SUCCESS;
}

CUresult give_nodes(const std::vector<Node*>& from, CUgraphNode* to, size_t* count) {
  if (to) {
    for (size_t i = 0; i < *count; ++i)
      to[i] = i < from.size() ? reinterpret_cast<CUgraphNode>(from[i]) : nullptr;
    *count = std::min(*count, from.size());
  } else {
    *count = from.size();
  }
  return CUDA_SUCCESS;
}

}  // namespace

CUresult CUDAAPI cuGraphCreate(CUgraph* graph, unsigned flags) {
  LINNET_FAKE_CUDA_CALL(cuGraphCreate, Needs::kInitialized) {
    if (flags) fail(CUDA_ERROR_INVALID_VALUE, "flags of cuGraphCreate must be 0");
    *graph = reinterpret_cast<CUgraph>(new Graph);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuGraphDestroy(CUgraph graph) {
  LINNET_FAKE_CUDA_CALL(cuGraphDestroy, Needs::kInitialized) {
    delete &checked_graph(graph);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuGraphClone(CUgraph* clone, CUgraph graph) {
  LINNET_FAKE_CUDA_CALL(cuGraphClone, Needs::kInitialized) {
    *clone = reinterpret_cast<CUgraph>(checked_graph(graph).clone().release());
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuGraphAddKernelNode(CUgraphNode* node, CUgraph graph,
                                      const CUgraphNode* dependencies, size_t count,
                                      const CUDA_KERNEL_NODE_PARAMS* parameters) {
  LINNET_FAKE_CUDA_CALL(cuGraphAddKernelNode) {
    return add_node(node, graph, dependencies, count, action_of(*parameters));
  };
}

CUresult CUDAAPI cuGraphAddMemcpyNode(CUgraphNode* node, CUgraph graph,
                                      const CUgraphNode* dependencies, size_t count,
                                      const CUDA_MEMCPY3D* copy, CUcontext context) {
  LINNET_FAKE_CUDA_CALL(cuGraphAddMemcpyNode) {
    checked_context(context);
    return add_node(node, graph, dependencies, count, action_of(*copy));
  };
}

CUresult CUDAAPI cuGraphAddMemsetNode(CUgraphNode* node, CUgraph graph,
                                      const CUgraphNode* dependencies, size_t count,
                                      const CUDA_MEMSET_NODE_PARAMS* fill, CUcontext context) {
  LINNET_FAKE_CUDA_CALL(cuGraphAddMemsetNode) {
    checked_context(context);
    return add_node(node, graph, dependencies, count, action_of(*fill));
  };
}

CUresult CUDAAPI cuGraphAddHostNode(CUgraphNode* node, CUgraph graph,
                                    const CUgraphNode* dependencies, size_t count,
                                    const CUDA_HOST_NODE_PARAMS* parameters) {
  LINNET_FAKE_CUDA_CALL(cuGraphAddHostNode) {
    return add_node(node, graph, dependencies, count,
                    HostAction{parameters->fn, parameters->userData});
  };
}

CUresult CUDAAPI cuGraphAddEmptyNode(CUgraphNode* node, CUgraph graph,
                                     const CUgraphNode* dependencies, size_t count) {
  LINNET_FAKE_CUDA_CALL(cuGraphAddEmptyNode) {
    return add_node(node, graph, dependencies, count, EmptyAction{});
  };
}

CUresult CUDAAPI cuGraphAddChildGraphNode(CUgraphNode* node, CUgraph graph,
                                          const CUgraphNode* dependencies, size_t count,
                                          CUgraph child) {
  LINNET_FAKE_CUDA_CALL(cuGraphAddChildGraphNode) {
    Node& made =
        checked_graph(graph).add_child(checked_graph(child), nodes_of(dependencies, count));
    *node = reinterpret_cast<CUgraphNode>(&made);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuGraphAddDependencies(CUgraph graph, const CUgraphNode* from,
                                        const CUgraphNode* to, const CUgraphEdgeData*,
                                        size_t count) {
  LINNET_FAKE_CUDA_CALL(cuGraphAddDependencies) {
    for (size_t i = 0; i < count; ++i) {
      Node &before = checked_node(from[i]), &after = checked_node(to[i]);
      if (!checked_graph(graph).has(&before) || !checked_graph(graph).has(&after))
        fail(CUDA_ERROR_INVALID_VALUE, "a node is not of this graph");
      if (std::ranges::count(after.dependencies, &before))
        fail(CUDA_ERROR_INVALID_VALUE, "the dependency is there already");
      after.dependencies.push_back(&before);
    }
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuGraphDestroyNode(CUgraphNode node) {
  LINNET_FAKE_CUDA_CALL(cuGraphDestroyNode) {
    checked_node(node).graph->remove(&checked_node(node));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuGraphGetNodes(CUgraph graph, CUgraphNode* nodes, size_t* count) {
  LINNET_FAKE_CUDA_CALL(cuGraphGetNodes) {
    std::vector<Node*> all;
    for (const auto& node : checked_graph(graph).nodes()) all.push_back(node.get());
    return give_nodes(all, nodes, count);
  };
}

CUresult CUDAAPI cuGraphGetRootNodes(CUgraph graph, CUgraphNode* nodes, size_t* count) {
  LINNET_FAKE_CUDA_CALL(cuGraphGetRootNodes) {
    std::vector<Node*> roots;
    for (const auto& node : checked_graph(graph).nodes())
      if (node->dependencies.empty()) roots.push_back(node.get());
    return give_nodes(roots, nodes, count);
  };
}

CUresult CUDAAPI cuGraphNodeGetDependencies(CUgraphNode node, CUgraphNode* dependencies,
                                            CUgraphEdgeData*, size_t* count) {
  LINNET_FAKE_CUDA_CALL(cuGraphNodeGetDependencies) {
    return give_nodes(checked_node(node).dependencies, dependencies, count);
  };
}

CUresult CUDAAPI cuGraphNodeGetType(CUgraphNode node, CUgraphNodeType* type) {
  LINNET_FAKE_CUDA_CALL(cuGraphNodeGetType) {
    *type = checked_node(node).type();
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuGraphChildGraphNodeGetGraph(CUgraphNode node, CUgraph* graph) {
  LINNET_FAKE_CUDA_CALL(cuGraphChildGraphNodeGetGraph) {
    if (!checked_node(node).child) fail(CUDA_ERROR_INVALID_VALUE, "the node holds no graph");
    *graph = reinterpret_cast<CUgraph>(checked_node(node).child.get());
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuGraphInstantiate(CUgraphExec* exec, CUgraph graph, unsigned long long) {
  LINNET_FAKE_CUDA_CALL(cuGraphInstantiate) { return instantiate(exec, graph); };
}

CUresult CUDAAPI cuGraphInstantiateWithParams(CUgraphExec* exec, CUgraph graph,
                                              CUDA_GRAPH_INSTANTIATE_PARAMS* parameters) {
  LINNET_FAKE_CUDA_CALL(cuGraphInstantiateWithParams) {
    parameters->result_out = CUDA_GRAPH_INSTANTIATE_ERROR;
    parameters->hErrNode_out = nullptr;
    const CUresult status = instantiate(exec, graph);
    parameters->result_out = CUDA_GRAPH_INSTANTIATE_SUCCESS;
    return status;
  };
}

CUresult CUDAAPI cuGraphExecDestroy(CUgraphExec exec) {
  LINNET_FAKE_CUDA_CALL(cuGraphExecDestroy, Needs::kInitialized) {
    checked_exec(exec);
    execs().erase(exec);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuGraphExecKernelNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                                const CUDA_KERNEL_NODE_PARAMS* parameters) {
  LINNET_FAKE_CUDA_CALL(cuGraphExecKernelNodeSetParams) {
    checked_exec(exec).set(&checked_node(node), action_of(*parameters));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuGraphExecMemcpyNodeSetParams(CUgraphExec handle, CUgraphNode node,
                                                const CUDA_MEMCPY3D* copy, CUcontext context) {
  LINNET_FAKE_CUDA_CALL(cuGraphExecMemcpyNodeSetParams) {
    checked_context(context);
    GraphExec& exec = checked_exec(handle);
    CopyAction now = action_of(*copy);
    const auto* old = std::get_if<CopyAction>(&exec.action(&checked_node(node)));
    if (old) check_update(*old, now);
    exec.set(&checked_node(node), std::move(now));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuGraphExecMemsetNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                                const CUDA_MEMSET_NODE_PARAMS* fill,
                                                CUcontext context) {
  LINNET_FAKE_CUDA_CALL(cuGraphExecMemsetNodeSetParams) {
    checked_context(context);
    checked_exec(exec).set(&checked_node(node), action_of(*fill));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuGraphExecHostNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                              const CUDA_HOST_NODE_PARAMS* parameters) {
  LINNET_FAKE_CUDA_CALL(cuGraphExecHostNodeSetParams) {
    checked_exec(exec).set(&checked_node(node), HostAction{parameters->fn, parameters->userData});
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuGraphExecChildGraphNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                                    CUgraph child) {
  LINNET_FAKE_CUDA_CALL(cuGraphExecChildGraphNodeSetParams) {
    checked_exec(exec).set_child(&checked_node(node), checked_graph(child));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuGraphUpload(CUgraphExec exec, CUstream stream) {
  LINNET_FAKE_CUDA_CALL(cuGraphUpload) {
    checked_exec(exec);
    checked_stream(stream);
    return CUDA_SUCCESS;
  };
}

/// Runs of one executable graph come one after the other, on whatever streams.
CUresult CUDAAPI cuGraphLaunch(CUgraphExec handle, CUstream stream_handle) {
  LINNET_FAKE_CUDA_CALL(cuGraphLaunch) {
    GraphExec& exec = checked_exec(handle);
    Stream& stream = checked_stream(stream_handle);
    if (stream.capture)
      invalidate(*stream.capture, "launches of graphs into captured streams are not emulated");
    if (exec.device != stream.device)
      fail(CUDA_ERROR_INVALID_VALUE, "the graph was instantiated for another device");
    exec.last_run =
        stream.push({.graph = std::make_shared<GraphRun>(exec.steps()), .after = exec.last_run});
    return CUDA_SUCCESS;
  };
}
