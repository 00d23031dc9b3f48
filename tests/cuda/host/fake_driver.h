// The driver's functions in tests: linked, with a context on a device that other tests do not use.
#pragma once

#include <cuda.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "cuda/fake_driver/fake_driver.h"

namespace linnet::testing {

/// Fails the test with the driver's message unless a call succeeds.
#define EXPECT_DONE(call) \
  EXPECT_EQ(static_cast<CUresult>(call), CUDA_SUCCESS) << fake_cuda::functions().message()

/// Each test begins without faults and with nothing waiting, on device 1.
class FakeDriverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fake_cuda::functions().reset();
    fake_cuda::functions().set_policy("random:1");
    EXPECT_DONE(cuInit(0));
    EXPECT_DONE(cuDevicePrimaryCtxRetain(&context_, 1));
    EXPECT_DONE(cuCtxSetCurrent(context_));
    EXPECT_DONE(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
  }
  void TearDown() override {
    fake_cuda::functions().reset();
    EXPECT_DONE(cuStreamDestroy(stream_));
    EXPECT_DONE(cuDevicePrimaryCtxRelease(1));
    fake_cuda::functions().set_policy("random");
  }

  static CUdeviceptr allocate(size_t floats) {
    CUdeviceptr at = 0;
    EXPECT_DONE(cuMemAlloc(&at, floats * sizeof(float)));
    return at;
  }
  static float* pinned(size_t floats) {
    void* at = nullptr;
    EXPECT_DONE(cuMemHostAlloc(&at, floats * sizeof(float), 0));
    return static_cast<float*>(at);
  }
  static std::vector<float> read(CUdeviceptr at, size_t floats) {
    std::vector<float> values(floats);
    EXPECT_DONE(cuMemcpyDtoH(values.data(), at, floats * sizeof(float)));
    return values;
  }
  void finish() const { EXPECT_DONE(cuStreamSynchronize(stream_)); }

  CUcontext context_ = nullptr;
  CUstream stream_ = nullptr;
};

/// A kernel that is defined in this program by LINNET_KERNEL.
inline CUfunction kernel_of_program(const char* name) {
  static const CUlibrary library = [] {
    CUlibrary loaded = nullptr;
    EXPECT_DONE(cuLibraryLoadData(&loaded, fake_cuda::kEmulatedImage, nullptr, nullptr, 0, nullptr,
                                  nullptr, 0));
    return loaded;
  }();
  CUkernel kernel = nullptr;
  EXPECT_DONE(cuLibraryGetKernel(&kernel, library, name));
  return reinterpret_cast<CUfunction>(kernel);
}

/// A node that runs a kernel of one block.
template <class Args>
CUgraphNode add_kernel_node(CUgraph graph, const char* name, Args args,
                            std::vector<CUgraphNode> after = {}) {
  void* parameters[] = {&args};
  CUDA_KERNEL_NODE_PARAMS node{};
  node.func = kernel_of_program(name);
  node.gridDimX = node.gridDimY = node.gridDimZ = 1;
  node.blockDimX = node.blockDimY = node.blockDimZ = 1;
  node.blockDimX = 64;
  node.kernelParams = parameters;
  CUgraphNode made = nullptr;
  EXPECT_DONE(cuGraphAddKernelNode(&made, graph, after.data(), after.size(), &node));
  return made;
}

}  // namespace linnet::testing
