// Mistakes that a program with streams can make, one by one, in a small program: the emulated
// driver must find each of them, by a wrong result or an error, while the right program is right
// under every policy.
#include <algorithm>

#include "cuda/host/fake_driver.h"
#include "cuda/host/fake_driver_kernels.h"

namespace linnet::testing::fake_driver_mistakes_test {
namespace {

using fake_cuda::functions;

enum class Mistake : uint8_t {
  kNone,
  kNoSynchronisation,  ///< results are read before they are there
  kPinnedReused,       ///< the next batch is written over one that is still to be copied
  kFreedEarly,         ///< memory is given back on a stream that does not wait for its users
  kNoEdge,             ///< the second kernel of the graph does not wait for the first
  kNoEventWait,        ///< the graph does not wait for the copy
};

constexpr const char* kPolicies[] = {"oldest",   "newest",   "turns",    "random:1",
                                     "random:2", "random:3", "random:4", "random:5"};

/// Computes 2 x + 1 of three batches: copies on one stream, a graph of two kernels on another, a
/// fresh buffer for each result.
class Program {
 public:
  Program(Mistake mistake, CUcontext context) : mistake_(mistake), context_(context) {
    EXPECT_DONE(cuStreamCreate(&copies_, CU_STREAM_NON_BLOCKING));
    EXPECT_DONE(cuStreamCreate(&compute_, CU_STREAM_NON_BLOCKING));
    EXPECT_DONE(cuEventCreate(&copied_, CU_EVENT_DISABLE_TIMING));
    EXPECT_DONE(cuEventCreate(&computed_, CU_EVENT_DISABLE_TIMING));
    void* at = nullptr;
    EXPECT_DONE(cuMemHostAlloc(&at, 2 * kBytes, 0));
    input_ = static_cast<float*>(at);
    output_ = input_ + kCount;
    EXPECT_DONE(cuMemAlloc(&x_, kBytes));
    EXPECT_DONE(cuMemAlloc(&between_, kBytes));
  }
  ~Program() {
    functions().reset();
    EXPECT_DONE(cuCtxSynchronize());
    EXPECT_DONE(cuMemFree(x_));
    EXPECT_DONE(cuMemFree(between_));
    EXPECT_DONE(cuMemFreeHost(input_));
    EXPECT_DONE(cuEventDestroy(copied_));
    EXPECT_DONE(cuEventDestroy(computed_));
    EXPECT_DONE(cuStreamDestroy(copies_));
    EXPECT_DONE(cuStreamDestroy(compute_));
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Whether all batches came out right and no call failed.
  bool run() {
    bool right = true;
    for (int batch = 0; batch < 3; ++batch) {
      write_input(100.f * static_cast<float>(batch));
      CUdeviceptr y = 0;
      right = right && start(&y) && finish(y, 100.f * static_cast<float>(batch));
    }
    return right;
  }

 private:
  static constexpr int kCount = 4;
  static constexpr size_t kBytes = kCount * sizeof(float);

  void write_input(float first) {
    for (int i = 0; i < kCount; ++i) input_[i] = first + static_cast<float>(i);
  }

  CUgraph make_graph(CUdeviceptr y) const {
    CUgraph graph = nullptr;
    EXPECT_DONE(cuGraphCreate(&graph, 0));
    const CUgraphNode first =
        add_kernel_node(graph, "test_driver_line", LineArgs{{x_}, {between_}, 2, 0, kCount});
    std::vector<CUgraphNode> after = {first};
    if (mistake_ == Mistake::kNoEdge) after.clear();
    add_kernel_node(graph, "test_driver_line", LineArgs{{between_}, {y}, 1, 1, kCount}, after);
    return graph;
  }

  bool start(CUdeviceptr* y) {
    // The copy may not overwrite what the batch before still reads.
    bool done = cuStreamWaitEvent(copies_, computed_, 0) == CUDA_SUCCESS &&
                cuMemcpyHtoDAsync(x_, input_, kBytes, copies_) == CUDA_SUCCESS &&
                cuEventRecord(copied_, copies_) == CUDA_SUCCESS;
    if (mistake_ == Mistake::kPinnedReused) write_input(-1000);
    if (mistake_ != Mistake::kNoEventWait)
      done = done && cuStreamWaitEvent(compute_, copied_, 0) == CUDA_SUCCESS;
    done = done && cuMemAllocAsync(y, kBytes, compute_) == CUDA_SUCCESS;
    const CUgraph graph = make_graph(*y);
    CUgraphExec exec = nullptr;
    done = done && cuGraphInstantiate(&exec, graph, 0) == CUDA_SUCCESS &&
           cuGraphLaunch(exec, compute_) == CUDA_SUCCESS &&
           cuGraphExecDestroy(exec) == CUDA_SUCCESS;
    cuGraphDestroy(graph);
    return done && cuEventRecord(computed_, compute_) == CUDA_SUCCESS;
  }

  bool finish(CUdeviceptr y, float first) {
    bool done = true;
    if (mistake_ == Mistake::kFreedEarly) {
      // Behind the copy of the results in time, but on a stream that does not wait for them.
      done = cuStreamWaitEvent(copies_, computed_, 0) == CUDA_SUCCESS &&
             cuMemFreeAsync(y, copies_) == CUDA_SUCCESS &&
             cuStreamSynchronize(copies_) == CUDA_SUCCESS;
    }
    done = done && cuMemcpyDtoHAsync(output_, y, kBytes, compute_) == CUDA_SUCCESS;
    if (mistake_ != Mistake::kNoSynchronisation)
      done = done && cuStreamSynchronize(compute_) == CUDA_SUCCESS;
    bool right = done;
    for (int i = 0; i < kCount; ++i)
      right = right && output_[i] == 2 * (first + static_cast<float>(i)) + 1;
    if (done && mistake_ != Mistake::kFreedEarly) cuMemFreeAsync(y, compute_);
    return right;
  }

  Mistake mistake_;
  CUcontext context_;
  CUstream copies_ = nullptr, compute_ = nullptr;
  CUevent copied_ = nullptr, computed_ = nullptr;
  float *input_ = nullptr, *output_ = nullptr;
  CUdeviceptr x_ = 0, between_ = 0;
};

class DriverMistakes : public FakeDriverTest {
 protected:
  /// Under which of the policies the mistake is found.
  std::vector<std::string> found(Mistake mistake) const {
    std::vector<std::string> by;
    for (const char* policy : kPolicies) {
      functions().set_policy(policy);
      if (!Program(mistake, context_).run()) by.emplace_back(policy);
    }
    return by;
  }
};

const std::vector<std::string> kAll(std::begin(kPolicies), std::end(kPolicies));

TEST_F(DriverMistakes, the_right_program_is_right_under_every_policy) {
  EXPECT_EQ(found(Mistake::kNone), std::vector<std::string>{});
}

TEST_F(DriverMistakes, missing_synchronisation_is_always_found) {
  EXPECT_EQ(found(Mistake::kNoSynchronisation), kAll);
}

TEST_F(DriverMistakes, pinned_memory_used_again_too_early_is_always_found) {
  EXPECT_EQ(found(Mistake::kPinnedReused), kAll);
}

TEST_F(DriverMistakes, use_after_free_is_always_found) {
  EXPECT_EQ(found(Mistake::kFreedEarly), kAll);
}

TEST_F(DriverMistakes, a_missing_edge_is_found_when_later_nodes_go_first) {
  const std::vector<std::string> by = found(Mistake::kNoEdge);
  EXPECT_TRUE(std::ranges::find(by, "newest") != by.end()) << ::testing::PrintToString(by);
  EXPECT_GE(by.size(), 4u) << ::testing::PrintToString(by);
}

TEST_F(DriverMistakes, a_missing_wait_is_found_when_the_copies_are_kept_waiting) {
  const std::vector<std::string> by = found(Mistake::kNoEventWait);
  EXPECT_TRUE(std::ranges::find(by, "newest") != by.end()) << ::testing::PrintToString(by);
}

TEST_F(DriverMistakes, host_code_that_reads_a_device_dies) {
  const CUdeviceptr x = allocate(4);
  EXPECT_DEATH(static_cast<void>(*reinterpret_cast<const volatile float*>(x)), "");
  EXPECT_DONE(cuMemFree(x));
}

}  // namespace
}  // namespace linnet::testing::fake_driver_mistakes_test
