// Pointers of a kernel's parameters, in a struct that host and device compile alike. Host code
// fills them with addresses that may not be known yet (back_end.h, `Address`); `launch` resolves
// them.
//
//   struct ScaleArgs {
//     static constexpr unsigned kPointers = 2;   // the first members: pointers
//     Global<const float> x;
//     Global<float> y;
//     float factor;
//     int count;
//   };
#pragma once

#if defined(__CUDACC__)
#define LINNET_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define LINNET_HOST_DEVICE inline
#endif

namespace linnet::cuda {

#if defined(LINNET_EMULATED_DEVICE)
/// Where the bytes of an emulated device's address can be reached.
void* emulated_memory(unsigned long long address);
#endif

/// An address of the device. `get` is for device code alone.
template <class T>
struct Global {
  unsigned long long word = 0;

#if defined(LINNET_EMULATED_DEVICE)
  T* get() const {
    return static_cast<T*>(const_cast<void*>(static_cast<const void*>(emulated_memory(word))));
  }
#elif defined(__CUDACC__)
  LINNET_HOST_DEVICE T* get() const { return reinterpret_cast<T*>(word); }
#endif
};

#if !defined(__CUDACC_RTC__)
/// A pointer argument from an `Address` of the host.
template <class T, class HostAddress>
Global<T> global(HostAddress address) {
  return {address.word};
}
#endif

}  // namespace linnet::cuda
