// The emulated driver: what it does late, and what it refuses.
#include "cuda/host/fake_driver.h"

#include <cmath>
#include <thread>

#include "cuda/host/fake_driver_kernels.h"

namespace linnet::testing::fake_driver_test {
namespace {

using fake_cuda::functions;

LineArgs line(CUdeviceptr x, CUdeviceptr y, float factor, float term, int count = 4) {
  return {.x = {x}, .y = {y}, .factor = factor, .term = term, .count = count};
}

CUresult launch(CUstream stream, LineArgs args, unsigned blocks = 1, unsigned threads = 64,
                unsigned shared_bytes = 0) {
  void* parameters[] = {&args};
  return cuLaunchKernel(kernel_of_program("test_driver_line"), blocks, 1, 1, threads, 1, 1,
                        shared_bytes, stream, parameters, nullptr);
}

class FakeDriver : public FakeDriverTest {};

TEST_F(FakeDriver, nothing_happens_before_somebody_waits) {
  const CUdeviceptr x = allocate(4);
  EXPECT_DONE(cuMemsetD32Async(x, 0x3f800000, 4, stream_));
  EXPECT_DONE(launch(stream_, line(x, x, 2, 1)));
  EXPECT_EQ(functions().pending(), 2u);
  EXPECT_TRUE(std::isnan(fake_cuda::memory<float>(x, 4)[3])) << "fresh memory is NaN";
  finish();
  EXPECT_EQ(functions().pending(), 0u);
  EXPECT_EQ(read(x, 4), std::vector<float>(4, 3));
  EXPECT_DONE(cuMemFree(x));
}

TEST_F(FakeDriver, parameters_are_copied_at_the_call) {
  const CUdeviceptr x = allocate(4);
  EXPECT_DONE(cuMemsetD32(x, 0, 4));
  LineArgs args = line(x, x, 1, 5);
  void* parameters[] = {&args};
  EXPECT_DONE(cuLaunchKernel(kernel_of_program("test_driver_line"), 1, 1, 1, 64, 1, 1, 0, stream_,
                             parameters, nullptr));
  args.term = 9;
  finish();
  EXPECT_EQ(read(x, 1), std::vector<float>{5});
  EXPECT_DONE(cuMemFree(x));
}

TEST_F(FakeDriver, pinned_memory_is_read_when_the_copy_runs_and_pageable_at_the_call) {
  const CUdeviceptr x = allocate(1), y = allocate(1);
  float* const late = pinned(1);
  float early = 1;
  *late = 1;
  EXPECT_DONE(cuMemcpyHtoDAsync(x, late, sizeof(float), stream_));
  EXPECT_DONE(cuMemcpyHtoDAsync(y, &early, sizeof(float), stream_));
  *late = early = 2;
  finish();
  EXPECT_EQ(read(x, 1), std::vector<float>{2});
  EXPECT_EQ(read(y, 1), std::vector<float>{1});
  EXPECT_DONE(cuMemFreeHost(late));
  EXPECT_DONE(cuMemFree(x));
  EXPECT_DONE(cuMemFree(y));
}

TEST_F(FakeDriver, allocations_and_frees_are_in_order_of_their_stream) {
  const size_t before = functions().used(1);
  CUdeviceptr x = 0;
  EXPECT_DONE(cuMemAllocAsync(&x, 16, stream_));
  EXPECT_EQ(functions().bytes(x, 16), nullptr);
  EXPECT_NE(std::string(functions().message()).find("not allocated yet"), std::string::npos);
  EXPECT_DONE(cuMemsetD32Async(x, 0, 4, stream_));
  EXPECT_DONE(cuMemFreeAsync(x, stream_));
  EXPECT_EQ(functions().used(1), before + 16);
  finish();
  EXPECT_EQ(functions().used(1), before);
}

TEST_F(FakeDriver, use_after_free_names_the_address_and_stays_an_error) {
  CUdeviceptr x = 0;
  EXPECT_DONE(cuMemAllocAsync(&x, 16, stream_));
  EXPECT_DONE(cuMemFreeAsync(x, stream_));
  EXPECT_DONE(launch(stream_, line(x, x, 1, 1)));
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_ERROR_ILLEGAL_ADDRESS);
  const std::string message = functions().message();
  EXPECT_NE(message.find("which is freed"), std::string::npos) << message;
  EXPECT_NE(message.find("test_driver_line"), std::string::npos) << message;
  int count = 0;
  EXPECT_EQ(cuDeviceGetCount(&count), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(FakeDriver, an_access_beyond_a_block_is_found_in_copies) {
  const CUdeviceptr x = allocate(4);
  float values[8] = {};
  EXPECT_EQ(cuMemcpyHtoD(x, values, sizeof values), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_NE(std::string(functions().message()).find("reach beyond"), std::string::npos);
  functions().reset();
  EXPECT_DONE(cuMemFree(x));
  EXPECT_EQ(cuMemFree(x), CUDA_ERROR_INVALID_VALUE) << "twice";
}

TEST_F(FakeDriver, host_code_cannot_touch_the_memory_of_a_device) {
  const CUdeviceptr x = allocate(4);
  EXPECT_LT(x, CUdeviceptr{1} << 48);
  EXPECT_DEATH(*reinterpret_cast<volatile float*>(x) = 1, "");
  EXPECT_DONE(cuMemFree(x));
}

TEST_F(FakeDriver, memory_has_a_limit_and_waiting_frees_count) {
  size_t free = 0, total = 0;
  EXPECT_DONE(cuMemGetInfo(&free, &total));
  CUdeviceptr x = 0, y = 0;
  EXPECT_EQ(cuMemAllocAsync(&x, total + 1, stream_), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_DONE(cuMemAllocAsync(&x, 4096, stream_));
  EXPECT_DONE(cuMemFreeAsync(x, stream_));
  EXPECT_EQ(cuMemAllocAsync(&y, free + 1, stream_), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(functions().pending(), 0u) << "what is freed later was waited for";
}

TEST_F(FakeDriver, the_other_device_needs_peer_access_for_kernels_but_not_for_copies) {
  CUcontext other = nullptr;
  EXPECT_DONE(cuDevicePrimaryCtxRetain(&other, 0));
  EXPECT_DONE(cuCtxPushCurrent(other));
  const CUdeviceptr there = allocate(4);
  EXPECT_DONE(cuMemsetD32(there, 0, 4));
  EXPECT_DONE(cuCtxPopCurrent(nullptr));
  const CUdeviceptr here = allocate(4);
  EXPECT_DONE(cuMemcpyPeerAsync(here, context_, there, other, 16, stream_));
  finish();
  EXPECT_DONE(launch(stream_, line(there, here, 1, 1)));
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_NE(std::string(functions().message()).find("peer access"), std::string::npos);
  functions().reset();
  EXPECT_DONE(cuCtxEnablePeerAccess(other, 0));
  EXPECT_DONE(launch(stream_, line(there, here, 1, 1)));
  finish();
  EXPECT_EQ(read(here, 1), std::vector<float>{1});
  EXPECT_DONE(cuCtxDisablePeerAccess(other));
  EXPECT_DONE(cuMemFree(here));
  EXPECT_DONE(cuMemFree(there));
  EXPECT_DONE(cuDevicePrimaryCtxRelease(0));
}

TEST_F(FakeDriver, launches_obey_the_rules) {
  const CUdeviceptr x = allocate(4);
  const LineArgs args = line(x, x, 1, 1);
  EXPECT_EQ(launch(stream_, args, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch(stream_, args, 1, 65), CUDA_ERROR_INVALID_VALUE) << "beyond the launch bounds";
  EXPECT_EQ(launch(stream_, args, 1, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch(stream_, args, 1, 64, 49153), CUDA_ERROR_INVALID_VALUE) << "without opting in";
  const CUfunction kernel = kernel_of_program("test_driver_line");
  EXPECT_EQ(cuFuncSetAttribute(kernel, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 300000),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_DONE(cuFuncSetAttribute(kernel, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 100000));
  EXPECT_DONE(launch(stream_, args, 1, 64, 100000));
  EXPECT_DONE(cuFuncSetAttribute(kernel, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 49152));
  finish();
  LineArgs copy = args;
  void* parameters[] = {&copy};
  EXPECT_EQ(cuLaunchKernel(kernel, 1, 65536, 1, 64, 1, 1, 0, stream_, parameters, nullptr),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuLaunchKernel(kernel, 1, 1, 1, 64, 1, 1, 0, stream_, nullptr, nullptr),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_DONE(cuMemFree(x));
}

TEST_F(FakeDriver, parameters_in_a_buffer_have_the_size_of_the_kernels) {
  const CUdeviceptr x = allocate(4);
  EXPECT_DONE(cuMemsetD32(x, 0, 4));
  LineArgs args = line(x, x, 1, 7);
  size_t bytes = sizeof args;
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &args, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
                   CU_LAUNCH_PARAM_END};
  const CUfunction kernel = kernel_of_program("test_driver_line");
  EXPECT_DONE(cuLaunchKernel(kernel, 1, 1, 1, 64, 1, 1, 0, stream_, nullptr, extra));
  finish();
  EXPECT_EQ(read(x, 1), std::vector<float>{7});
  bytes -= 4;
  EXPECT_EQ(cuLaunchKernel(kernel, 1, 1, 1, 64, 1, 1, 0, stream_, nullptr, extra),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_DONE(cuMemFree(x));
}

TEST_F(FakeDriver, kernels_are_found_by_name_alone) {
  CUlibrary library = nullptr;
  CUkernel kernel = nullptr;
  EXPECT_DONE(cuLibraryLoadData(&library, fake_cuda::kEmulatedImage, nullptr, nullptr, 0, nullptr,
                                nullptr, 0));
  EXPECT_EQ(cuLibraryGetKernel(&kernel, library, "no_such_kernel"), CUDA_ERROR_NOT_FOUND);
  EXPECT_DONE(cuLibraryGetKernel(&kernel, library, "test_driver_line"));
  EXPECT_DONE(cuLibraryUnload(library));
  EXPECT_EQ(cuLibraryGetKernel(&kernel, library, "test_driver_line"), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(cuLibraryLoadData(&library, "nonsense", nullptr, nullptr, 0, nullptr, nullptr, 0),
            CUDA_ERROR_INVALID_IMAGE);
}

TEST_F(FakeDriver, a_thread_without_context_is_told_so) {
  std::thread([] {
    CUdeviceptr x = 0;
    EXPECT_EQ(cuMemAlloc(&x, 16), CUDA_ERROR_INVALID_CONTEXT);
  }).join();
}

TEST_F(FakeDriver, functions_of_the_host_run_in_order_and_may_not_call_the_driver) {
  struct Seen {
    float value = 0;
    CUresult nested = CUDA_SUCCESS;
    float* at = nullptr;
  } seen;
  const CUdeviceptr x = allocate(1);
  seen.at = pinned(1);
  EXPECT_DONE(cuMemsetD32Async(x, 0x40400000, 1, stream_));
  EXPECT_DONE(cuMemcpyDtoHAsync(seen.at, x, sizeof(float), stream_));
  const auto look = [](void* data) {
    auto* s = static_cast<Seen*>(data);
    s->value = *s->at;
    s->nested = cuCtxSynchronize();
  };
  EXPECT_DONE(cuLaunchHostFunc(stream_, look, &seen));
  finish();
  EXPECT_EQ(seen.value, 3);
  EXPECT_EQ(seen.nested, CUDA_ERROR_NOT_PERMITTED);
  EXPECT_DONE(cuMemFreeHost(seen.at));
  EXPECT_DONE(cuMemFree(x));
}

TEST_F(FakeDriver, the_legacy_stream_is_in_order_with_blocking_streams) {
  CUstream blocking = nullptr;
  EXPECT_DONE(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
  const CUdeviceptr x = allocate(4);
  for (const char* policy : {"oldest", "newest", "turns", "random:3"}) {
    functions().set_policy(policy);
    EXPECT_DONE(cuMemsetD32Async(x, 0, 4, blocking));
    EXPECT_DONE(launch(nullptr, line(x, x, 1, 1)));
    EXPECT_DONE(launch(blocking, line(x, x, 3, 1)));
    EXPECT_DONE(cuStreamSynchronize(blocking));
    EXPECT_EQ(read(x, 1), std::vector<float>{4}) << policy;
  }
  EXPECT_DONE(cuStreamDestroy(blocking));
  EXPECT_DONE(cuMemFree(x));
}

TEST_F(FakeDriver, events_are_of_their_last_record_and_outlive_themselves) {
  CUstream other = nullptr;
  CUevent begin = nullptr, end = nullptr;
  EXPECT_DONE(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
  EXPECT_DONE(cuEventCreate(&begin, CU_EVENT_DEFAULT));
  EXPECT_DONE(cuEventCreate(&end, CU_EVENT_DEFAULT));
  EXPECT_EQ(cuEventQuery(begin), CUDA_SUCCESS) << "never recorded";
  const CUdeviceptr x = allocate(4);
  for (const char* policy : {"oldest", "newest", "turns", "random:3"}) {
    functions().set_policy(policy);
    EXPECT_DONE(cuEventRecord(begin, stream_));
    EXPECT_DONE(cuMemsetD32Async(x, 0, 4, stream_));
    EXPECT_DONE(cuEventRecord(end, stream_));
    EXPECT_DONE(cuStreamWaitEvent(other, end, 0));
    EXPECT_DONE(launch(other, line(x, x, 1, 2)));
    EXPECT_DONE(cuStreamSynchronize(other));
    EXPECT_EQ(read(x, 1), std::vector<float>{2}) << policy;
    float milliseconds = 0;
    EXPECT_DONE(cuEventElapsedTime(&milliseconds, begin, end));
    EXPECT_GT(milliseconds, 0);
  }
  EXPECT_DONE(cuEventRecord(end, stream_));
  EXPECT_DONE(cuStreamWaitEvent(other, end, 0));
  EXPECT_DONE(cuEventDestroy(end));
  EXPECT_DONE(cuStreamSynchronize(other));
  EXPECT_DONE(cuEventDestroy(begin));
  EXPECT_DONE(cuStreamDestroy(other));
  EXPECT_DONE(cuMemFree(x));
}

TEST_F(FakeDriver, who_asks_again_and_again_gets_an_end) {
  const CUdeviceptr x = allocate(4);
  EXPECT_DONE(cuMemsetD32Async(x, 0, 4, stream_));
  EXPECT_DONE(cuMemsetD32Async(x, 1, 4, stream_));
  EXPECT_EQ(cuStreamQuery(stream_), CUDA_ERROR_NOT_READY);
  int asked = 1;
  while (cuStreamQuery(stream_) == CUDA_ERROR_NOT_READY) ++asked;
  EXPECT_LE(asked, 3);
  EXPECT_DONE(cuMemFree(x));
}

TEST_F(FakeDriver, faults_come_at_the_planned_call) {
  CUdeviceptr x = 0;
  EXPECT_TRUE(functions().set_fault("cuMemAllocAsync:2"));
  EXPECT_DONE(cuMemAllocAsync(&x, 16, stream_));
  EXPECT_DONE(cuMemFreeAsync(x, stream_));
  EXPECT_EQ(cuMemAllocAsync(&x, 16, stream_), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_DONE(cuMemAllocAsync(&x, 16, stream_));
  EXPECT_DONE(cuMemFreeAsync(x, stream_));
  EXPECT_EQ(functions().calls("cuMemAllocAsync"), 3u);
  EXPECT_TRUE(functions().set_fault("*:2"));
  EXPECT_DONE(cuStreamSynchronize(stream_));
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_ERROR_UNKNOWN);
  EXPECT_TRUE(functions().set_fault("lost:1"));
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_ERROR_DEVICE_UNAVAILABLE);
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_ERROR_DEVICE_UNAVAILABLE);
  functions().reset();
  EXPECT_DONE(cuStreamSynchronize(stream_));
  EXPECT_FALSE(functions().set_fault("nonsense"));
}

TEST_F(FakeDriver, entry_points_are_the_newest_and_private_tables_are_not_found) {
  void* found = nullptr;
  CUdriverProcAddressQueryResult result;
  EXPECT_DONE(cuGetProcAddress("cuMemAlloc", &found, CUDA_VERSION, 0, &result));
  EXPECT_EQ(found, reinterpret_cast<void*>(&cuMemAlloc));
  EXPECT_EQ(cuGetProcAddress("cuNothing", &found, CUDA_VERSION, 0, &result), CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(result, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
  const void* table = &found;
  const CUuuid id{};
  EXPECT_EQ(cuGetExportTable(&table, &id), CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(table, nullptr);
}

}  // namespace
}  // namespace linnet::testing::fake_driver_test
