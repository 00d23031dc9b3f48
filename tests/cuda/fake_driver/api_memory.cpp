// Memory, copies, fills.
#include <cstring>
#include <string>

#include "cuda/fake_driver/action.h"
#include "cuda/fake_driver/call.h"
#include "cuda/fake_driver/capture.h"
#include "cuda/fake_driver/context.h"
#include "cuda/fake_driver/memory.h"
#include "cuda/fake_driver/queue.h"

using namespace linnet::fake_cuda;

namespace {

uint64_t address_of(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

/// Memory that asynchronous copies read and write directly: of a device, or pinned.
bool is_direct(uint64_t address) { return block_of(address) != nullptr; }

/// A copy as the driver does it: from pageable memory the bytes are taken at the call, to pageable
/// memory the call waits.
void copy(uint64_t to, uint64_t from, size_t bytes, CUstream handle) {
  if (!bytes) return;
  Stream& stream = checked_stream(handle);
  CopyAction action{.to = to, .from = from, .bytes = bytes};
  if (!is_direct(from) && !stream.capture) {
    const auto* begin = reinterpret_cast<const std::byte*>(from);
    action.staged = std::make_shared<const std::vector<std::byte>>(begin, begin + bytes);
  }
  submit(handle, std::move(action));
  if (!is_direct(to) && !stream.capture) finish_stream(stream);
}

void copy_and_wait(uint64_t to, uint64_t from, size_t bytes) {
  refuse_while_capturing("a synchronous copy");
  copy(to, from, bytes, nullptr);
  finish_stream(checked_stream(nullptr));
}

void fill(uint64_t to, uint32_t value, uint32_t element_bytes, size_t count, CUstream stream) {
  if (to % element_bytes) fail(CUDA_ERROR_INVALID_VALUE, "a fill of misaligned memory");
  if (!count) return;
  submit(stream,
         FillAction{.to = to, .value = value, .element_bytes = element_bytes, .width = count});
}

void fill_and_wait(uint64_t to, uint32_t value, uint32_t element_bytes, size_t count) {
  refuse_while_capturing("a synchronous fill");
  fill(to, value, element_bytes, count, nullptr);
  finish_stream(checked_stream(nullptr));
}

/// What is free counts only once it has been freed in its stream.
uint64_t plan_block_after_frees(int device, size_t bytes) {
  if (!bytes) fail(CUDA_ERROR_INVALID_VALUE, "an allocation of no bytes");
  if (used_memory(device) + bytes > device_memory()) finish_device(device);
  return plan_block(device, bytes);
}

CUresult allocate_in_order(CUdeviceptr* at, size_t bytes, CUstream handle) {
  Stream& stream = checked_stream(handle);
  if (stream.capture) invalidate(*stream.capture, "nodes that allocate are not emulated");
  const uint64_t begin = plan_block_after_frees(stream.device, bytes);
  stream.push({.action = InternalAction{[begin] { make_alive(begin); }}});
  *at = begin;
  return CUDA_SUCCESS;
}

CUmemoryPool pool_of(int device) {
  static char pools[8];
  return reinterpret_cast<CUmemoryPool>(&pools[checked_device(device)]);
}

}  // namespace

CUresult CUDAAPI cuMemGetInfo(size_t* free, size_t* total) {
  LINNET_FAKE_CUDA_CALL(cuMemGetInfo) {
    *total = device_memory();
    *free = *total - used_memory(current_context()->device);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemAlloc(CUdeviceptr* at, size_t bytes) {
  LINNET_FAKE_CUDA_CALL(cuMemAlloc) {
    refuse_while_capturing("cuMemAlloc");
    *at = plan_block_after_frees(current_context()->device, bytes);
    make_alive(*at);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemFree(CUdeviceptr at) {
  LINNET_FAKE_CUDA_CALL(cuMemFree) {
    refuse_while_capturing("cuMemFree");
    if (!at) return CUDA_SUCCESS;
    const Block* block = block_of(at);
    if (!block || block->device < 0)
      fail(CUDA_ERROR_INVALID_VALUE, "cuMemFree of what is no memory of a device");
    finish_device(block->device);
    free_block(at);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemAllocAsync(CUdeviceptr* at, size_t bytes, CUstream stream) {
  LINNET_FAKE_CUDA_CALL(cuMemAllocAsync) { return allocate_in_order(at, bytes, stream); };
}

CUresult CUDAAPI cuMemAllocFromPoolAsync(CUdeviceptr* at, size_t bytes, CUmemoryPool,
                                         CUstream stream) {
  LINNET_FAKE_CUDA_CALL(cuMemAllocFromPoolAsync) { return allocate_in_order(at, bytes, stream); };
}

CUresult CUDAAPI cuMemFreeAsync(CUdeviceptr at, CUstream handle) {
  LINNET_FAKE_CUDA_CALL(cuMemFreeAsync) {
    Stream& stream = checked_stream(handle);
    if (stream.capture) invalidate(*stream.capture, "nodes that free memory are not emulated");
    const Block* block = block_of(at);
    if (!block || block->begin != at || block->device < 0 || block->state == Block::State::kFreed)
      fail(CUDA_ERROR_INVALID_VALUE, "cuMemFreeAsync of what is no block");
    stream.push({.action = InternalAction{[at] { free_block(at); }}});
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuDeviceGetDefaultMemPool(CUmemoryPool* pool, CUdevice device) {
  LINNET_FAKE_CUDA_CALL(cuDeviceGetDefaultMemPool, Needs::kInitialized) {
    *pool = pool_of(device);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuDeviceGetMemPool(CUmemoryPool* pool, CUdevice device) {
  LINNET_FAKE_CUDA_CALL(cuDeviceGetMemPool, Needs::kInitialized) {
    *pool = pool_of(device);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemPoolSetAttribute(CUmemoryPool, CUmemPool_attribute, void* value) {
  LINNET_FAKE_CUDA_CALL(cuMemPoolSetAttribute, Needs::kInitialized) {
    return value ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  };
}

CUresult CUDAAPI cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute which, void* value) {
  LINNET_FAKE_CUDA_CALL(cuMemPoolGetAttribute, Needs::kInitialized) {
    const bool bytes =
        which == CU_MEMPOOL_ATTR_USED_MEM_CURRENT || which == CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT;
    if (!bytes) fail(CUDA_ERROR_NOT_SUPPORTED, "this attribute of a pool is not emulated");
    int device = 0;
    while (pool_of(device) != pool) ++device;
    *static_cast<cuuint64_t*>(value) = used_memory(device);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemPoolTrimTo(CUmemoryPool, size_t) {
  LINNET_FAKE_CUDA_CALL(cuMemPoolTrimTo, Needs::kInitialized) { return CUDA_SUCCESS; };
}

CUresult CUDAAPI cuMemHostAlloc(void** at, size_t bytes, unsigned) {
  LINNET_FAKE_CUDA_CALL(cuMemHostAlloc) {
    refuse_while_capturing("cuMemHostAlloc");
    if (!bytes) fail(CUDA_ERROR_INVALID_VALUE, "an allocation of no bytes");
    *at = reinterpret_cast<void*>(allocate_pinned(bytes));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemAllocHost(void** at, size_t bytes) {
  LINNET_FAKE_CUDA_CALL(cuMemAllocHost) {
    refuse_while_capturing("cuMemAllocHost");
    if (!bytes) fail(CUDA_ERROR_INVALID_VALUE, "an allocation of no bytes");
    *at = reinterpret_cast<void*>(allocate_pinned(bytes));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemFreeHost(void* at) {
  LINNET_FAKE_CUDA_CALL(cuMemFreeHost) {
    refuse_while_capturing("cuMemFreeHost");
    if (at && is_device_address(address_of(at)))
      fail(CUDA_ERROR_INVALID_VALUE, "cuMemFreeHost of memory of a device");
    if (at) free_block(address_of(at));
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemHostGetDevicePointer(CUdeviceptr* device, void* host, unsigned) {
  LINNET_FAKE_CUDA_CALL(cuMemHostGetDevicePointer) {
    if (!is_direct(address_of(host)))
      fail(CUDA_ERROR_INVALID_VALUE, "this memory of the host is not pinned");
    *device = address_of(host);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuPointerGetAttribute(void* data, CUpointer_attribute which, CUdeviceptr at) {
  LINNET_FAKE_CUDA_CALL(cuPointerGetAttribute, Needs::kInitialized) {
    const Block* block = block_of(at);
    if (!block || block->state != Block::State::kAlive)
      fail(CUDA_ERROR_INVALID_VALUE, "the driver does not know this memory");
    switch (which) {
      case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        *static_cast<unsigned*>(data) =
            block->device < 0 ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
        return CUDA_SUCCESS;
      case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        *static_cast<int*>(data) = block->device;
        return CUDA_SUCCESS;
      default:
        fail(CUDA_ERROR_NOT_SUPPORTED, "this attribute of a pointer is not emulated");
    }
  };
}

CUresult CUDAAPI cuMemcpyHtoD(CUdeviceptr to, const void* from, size_t bytes) {
  LINNET_FAKE_CUDA_CALL(cuMemcpyHtoD) {
    copy_and_wait(to, address_of(from), bytes);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemcpyDtoH(void* to, CUdeviceptr from, size_t bytes) {
  LINNET_FAKE_CUDA_CALL(cuMemcpyDtoH) {
    copy_and_wait(address_of(to), from, bytes);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemcpyDtoD(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  LINNET_FAKE_CUDA_CALL(cuMemcpyDtoD) {
    copy_and_wait(to, from, bytes);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  LINNET_FAKE_CUDA_CALL(cuMemcpy) {
    copy_and_wait(to, from, bytes);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t bytes,
                                   CUstream stream) {
  LINNET_FAKE_CUDA_CALL(cuMemcpyHtoDAsync) {
    copy(to, address_of(from), bytes, stream);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
  LINNET_FAKE_CUDA_CALL(cuMemcpyDtoHAsync) {
    copy(address_of(to), from, bytes, stream);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes,
                                   CUstream stream) {
  LINNET_FAKE_CUDA_CALL(cuMemcpyDtoDAsync) {
    copy(to, from, bytes, stream);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  LINNET_FAKE_CUDA_CALL(cuMemcpyAsync) {
    copy(to, from, bytes, stream);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemcpyPeerAsync(CUdeviceptr to, CUcontext to_context, CUdeviceptr from,
                                   CUcontext from_context, size_t bytes, CUstream stream) {
  LINNET_FAKE_CUDA_CALL(cuMemcpyPeerAsync) {
    checked_context(to_context);
    checked_context(from_context);
    copy(to, from, bytes, stream);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemcpyPeer(CUdeviceptr to, CUcontext to_context, CUdeviceptr from,
                              CUcontext from_context, size_t bytes) {
  LINNET_FAKE_CUDA_CALL(cuMemcpyPeer) {
    checked_context(to_context);
    checked_context(from_context);
    copy_and_wait(to, from, bytes);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemsetD8(CUdeviceptr to, unsigned char value, size_t count) {
  LINNET_FAKE_CUDA_CALL(cuMemsetD8) {
    fill_and_wait(to, value, 1, count);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemsetD16(CUdeviceptr to, unsigned short value, size_t count) {
  LINNET_FAKE_CUDA_CALL(cuMemsetD16) {
    fill_and_wait(to, value, 2, count);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemsetD32(CUdeviceptr to, unsigned value, size_t count) {
  LINNET_FAKE_CUDA_CALL(cuMemsetD32) {
    fill_and_wait(to, value, 4, count);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count,
                                 CUstream stream) {
  LINNET_FAKE_CUDA_CALL(cuMemsetD8Async) {
    fill(to, value, 1, count, stream);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count,
                                  CUstream stream) {
  LINNET_FAKE_CUDA_CALL(cuMemsetD16Async) {
    fill(to, value, 2, count, stream);
    return CUDA_SUCCESS;
  };
}

CUresult CUDAAPI cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
  LINNET_FAKE_CUDA_CALL(cuMemsetD32Async) {
    fill(to, value, 4, count, stream);
    return CUDA_SUCCESS;
  };
}
