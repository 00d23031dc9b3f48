// Graphs and capture on the emulated driver.
#include <thread>

#include "cuda/host/fake_driver.h"
#include "cuda/host/fake_driver_kernels.h"

namespace linnet::testing::fake_driver_graph_test {
namespace {

using fake_cuda::functions;

constexpr const char* kPolicies[] = {"oldest", "newest", "turns", "random:3"};

LineArgs line(CUdeviceptr x, CUdeviceptr y, float factor, float term) {
  return {.x = {x}, .y = {y}, .factor = factor, .term = term, .count = 4};
}

class FakeDriverGraph : public FakeDriverTest {
 protected:
  void SetUp() override {
    FakeDriverTest::SetUp();
    EXPECT_DONE(cuGraphCreate(&graph_, 0));
    x_ = allocate(4);
    EXPECT_DONE(cuMemsetD32(x_, 0, 4));
  }
  void TearDown() override {
    EXPECT_DONE(cuMemFree(x_));
    EXPECT_DONE(cuGraphDestroy(graph_));
    FakeDriverTest::TearDown();
  }
  CUgraphExec instantiate(CUgraph graph) const {
    CUgraphExec exec = nullptr;
    EXPECT_DONE(cuGraphInstantiate(&exec, graph, 0));
    return exec;
  }
  void run(CUgraph graph) const {
    const CUgraphExec exec = instantiate(graph);
    EXPECT_DONE(cuGraphLaunch(exec, stream_));
    EXPECT_DONE(cuGraphExecDestroy(exec));  // its run goes on
    finish();
  }
  CUresult enqueue_line(CUstream stream, float factor, float term) const {
    LineArgs args = line(x_, x_, factor, term);
    void* parameters[] = {&args};
    return cuLaunchKernel(kernel_of_program("test_driver_line"), 1, 1, 1, 64, 1, 1, 0, stream,
                          parameters, nullptr);
  }

  CUgraph graph_ = nullptr;
  CUdeviceptr x_ = 0;
};

CUDA_KERNEL_NODE_PARAMS node_of(void** parameters) {
  CUDA_KERNEL_NODE_PARAMS node{};
  node.func = kernel_of_program("test_driver_line");
  node.gridDimX = node.gridDimY = node.gridDimZ = node.blockDimY = node.blockDimZ = 1;
  node.blockDimX = 64;
  node.kernelParams = parameters;
  return node;
}

TEST_F(FakeDriverGraph, a_chain_is_in_order_under_every_policy) {
  const CUgraphNode first = add_kernel_node(graph_, "test_driver_line", line(x_, x_, 0, 1));
  const CUgraphNode second =
      add_kernel_node(graph_, "test_driver_line", line(x_, x_, 3, 1), {first});
  add_kernel_node(graph_, "test_driver_line", line(x_, x_, 2, 1), {second});
  for (const char* policy : kPolicies) {
    functions().set_policy(policy);
    run(graph_);
    EXPECT_EQ(read(x_, 1), std::vector<float>{9}) << policy;
  }
}

TEST_F(FakeDriverGraph, parameters_change_from_the_next_run_on) {
  const CUgraphNode node = add_kernel_node(graph_, "test_driver_line", line(x_, x_, 1, 1));
  const CUgraphExec exec = instantiate(graph_);
  EXPECT_DONE(cuGraphLaunch(exec, stream_));
  LineArgs args = line(x_, x_, 10, 5);
  void* parameters[] = {&args};
  CUDA_KERNEL_NODE_PARAMS now = node_of(parameters);
  EXPECT_DONE(cuGraphExecKernelNodeSetParams(exec, node, &now));
  EXPECT_DONE(cuGraphLaunch(exec, stream_));
  args.term = 100;  // copied at the call
  EXPECT_EQ(functions().pending(), 2u);
  finish();
  EXPECT_EQ(read(x_, 1), std::vector<float>{15});
  EXPECT_DONE(cuGraphExecDestroy(exec));
}

TEST_F(FakeDriverGraph, copies_and_fills_are_nodes) {
  const CUdeviceptr y = allocate(4);
  CUDA_MEMSET_NODE_PARAMS fill{};
  fill.dst = x_;
  fill.value = 0x3f800000;
  fill.elementSize = 4;
  fill.width = 4;
  fill.height = 1;
  CUgraphNode filled = nullptr, copied = nullptr;
  EXPECT_DONE(cuGraphAddMemsetNode(&filled, graph_, nullptr, 0, &fill, context_));
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.srcDevice = x_;
  copy.dstDevice = y;
  copy.WidthInBytes = 16;
  copy.Height = copy.Depth = 1;
  EXPECT_DONE(cuGraphAddMemcpyNode(&copied, graph_, &filled, 1, &copy, context_));
  const CUgraphExec exec = instantiate(graph_);
  EXPECT_DONE(cuGraphLaunch(exec, stream_));
  finish();
  EXPECT_EQ(read(y, 4), std::vector<float>(4, 1));
  fill.value = 0x40000000;
  copy.WidthInBytes = 8;
  EXPECT_DONE(cuGraphExecMemsetNodeSetParams(exec, filled, &fill, context_));
  EXPECT_DONE(cuGraphExecMemcpyNodeSetParams(exec, copied, &copy, context_));
  EXPECT_DONE(cuGraphLaunch(exec, stream_));
  finish();
  EXPECT_EQ(read(y, 4), (std::vector<float>{2, 2, 1, 1}));
  float host[2];
  copy.srcMemoryType = CU_MEMORYTYPE_HOST;
  copy.srcHost = host;
  EXPECT_EQ(cuGraphExecMemcpyNodeSetParams(exec, copied, &copy, context_), CUDA_ERROR_INVALID_VALUE)
      << "from another kind of memory";
  EXPECT_DONE(cuGraphExecDestroy(exec));
  EXPECT_DONE(cuMemFree(y));
}

TEST_F(FakeDriverGraph, captured_work_becomes_a_child_that_can_be_replaced) {
  const auto capture = [&](float factor, float term, int launches) {
    CUgraph captured = nullptr;
    EXPECT_DONE(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    for (int i = 0; i < launches; ++i) EXPECT_DONE(enqueue_line(stream_, factor, term));
    EXPECT_DONE(cuStreamEndCapture(stream_, &captured));
    return captured;
  };
  const CUgraph twice = capture(1, 1, 2), other = capture(3, 0, 2), longer = capture(1, 1, 3);
  EXPECT_EQ(functions().pending(), 0u) << "captured work is not done";
  const CUgraphNode first = add_kernel_node(graph_, "test_driver_line", line(x_, x_, 0, 1));
  CUgraphNode child = nullptr;
  EXPECT_DONE(cuGraphAddChildGraphNode(&child, graph_, &first, 1, twice));
  add_kernel_node(graph_, "test_driver_line", line(x_, x_, 10, 0), {child});
  for (const char* policy : kPolicies) {
    functions().set_policy(policy);
    const CUgraphExec exec = instantiate(graph_);
    EXPECT_DONE(cuGraphLaunch(exec, stream_));
    finish();
    EXPECT_EQ(read(x_, 1), std::vector<float>{30}) << policy;
    EXPECT_DONE(cuGraphExecChildGraphNodeSetParams(exec, child, other));
    EXPECT_DONE(cuGraphLaunch(exec, stream_));
    finish();
    EXPECT_EQ(read(x_, 1), std::vector<float>{90}) << policy;
    EXPECT_EQ(cuGraphExecChildGraphNodeSetParams(exec, child, longer),
              CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
    EXPECT_DONE(cuGraphExecDestroy(exec));
  }
  for (const CUgraph graph : {twice, other, longer}) EXPECT_DONE(cuGraphDestroy(graph));
}

TEST_F(FakeDriverGraph, the_work_of_a_librarys_double_is_captured_and_runs_again) {
  CUgraph captured = nullptr;
  EXPECT_DONE(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  EXPECT_DONE(
      fake_cuda::enqueue(stream_, "add", [x = x_] { fake_cuda::memory<float>(x, 4)[0]++; }));
  EXPECT_DONE(cuStreamEndCapture(stream_, &captured));
  run(captured);
  run(captured);
  EXPECT_EQ(read(x_, 1), std::vector<float>{2});
  EXPECT_DONE(cuGraphDestroy(captured));
}

TEST_F(FakeDriverGraph, a_fork_within_a_capture_must_come_back) {
  CUstream other = nullptr;
  CUevent fork = nullptr, joined = nullptr;
  EXPECT_DONE(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
  EXPECT_DONE(cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING));
  EXPECT_DONE(cuEventCreate(&joined, CU_EVENT_DISABLE_TIMING));
  for (const bool comes_back : {true, false}) {
    CUgraph captured = nullptr;
    EXPECT_DONE(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_RELAXED));
    EXPECT_DONE(enqueue_line(stream_, 0, 1));
    EXPECT_DONE(cuEventRecord(fork, stream_));
    EXPECT_DONE(cuStreamWaitEvent(other, fork, 0));
    EXPECT_DONE(enqueue_line(other, 5, 0));
    EXPECT_DONE(cuEventRecord(joined, other));
    if (comes_back) {
      EXPECT_DONE(cuStreamWaitEvent(stream_, joined, 0));
      EXPECT_DONE(enqueue_line(stream_, 1, 1));
      EXPECT_DONE(cuStreamEndCapture(stream_, &captured));
      run(captured);
      EXPECT_EQ(read(x_, 1), std::vector<float>{6});
      EXPECT_DONE(cuGraphDestroy(captured));
    } else {
      EXPECT_EQ(cuStreamEndCapture(stream_, &captured), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
    }
  }
  EXPECT_DONE(cuEventDestroy(fork));
  EXPECT_DONE(cuEventDestroy(joined));
  EXPECT_DONE(cuStreamDestroy(other));
}

TEST_F(FakeDriverGraph, what_cannot_be_captured_ends_the_capture) {
  CUgraph captured = nullptr;
  CUdeviceptr y = 0;
  for (int what = 0; what < 3; ++what) {
    EXPECT_DONE(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    const CUresult refused = what == 0   ? cuStreamSynchronize(stream_)
                             : what == 1 ? cuMemAlloc(&y, 16)
                                         : cuMemAllocAsync(&y, 16, stream_);
    EXPECT_EQ(refused, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED) << what;
    EXPECT_EQ(cuStreamEndCapture(stream_, &captured), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  }
  EXPECT_DONE(enqueue_line(stream_, 1, 1));
  finish();
}

TEST_F(FakeDriverGraph, a_capture_forbids_other_threads_only_what_its_mode_says) {
  for (const auto mode : {CU_STREAM_CAPTURE_MODE_GLOBAL, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL}) {
    CUgraph captured = nullptr;
    CUresult there = CUDA_SUCCESS;
    EXPECT_DONE(cuStreamBeginCapture(stream_, mode));
    std::thread([&] {
      CUdeviceptr y = 0;
      EXPECT_DONE(cuCtxSetCurrent(context_));
      there = cuMemAlloc(&y, 16);
      if (there == CUDA_SUCCESS) {
        EXPECT_DONE(cuMemFreeAsync(y, nullptr));
      }
    }).join();
    const bool global = mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
    EXPECT_EQ(there, global ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS);
    EXPECT_EQ(cuStreamEndCapture(stream_, &captured),
              global ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS);
    if (captured) {
      EXPECT_DONE(cuGraphDestroy(captured));
    }
  }
}

TEST_F(FakeDriverGraph, cycles_and_strangers_are_refused) {
  const CUgraphNode first = add_kernel_node(graph_, "test_driver_line", line(x_, x_, 1, 1));
  const CUgraphNode second =
      add_kernel_node(graph_, "test_driver_line", line(x_, x_, 1, 1), {first});
  CUgraph other = nullptr;
  CUgraphNode node = nullptr;
  EXPECT_DONE(cuGraphCreate(&other, 0));
  EXPECT_EQ(cuGraphAddEmptyNode(&node, other, &first, 1), CUDA_ERROR_INVALID_VALUE);
  EXPECT_DONE(cuGraphDestroy(other));
  EXPECT_DONE(cuGraphAddDependencies(graph_, &second, &first, nullptr, 1));
  CUgraphExec exec = nullptr;
  EXPECT_EQ(cuGraphInstantiate(&exec, graph_, 0), CUDA_ERROR_INVALID_VALUE);
}

}  // namespace
}  // namespace linnet::testing::fake_driver_graph_test
