// Tensors from other libraries of the process and for them, without a copy, by the DLPack protocol
// (version 1; github.com/dmlc/dlpack). The structures here have the layout of that library's
// header, whose own may be used in their place.
//
//   DLManagedTensorVersioned* out = to_dlpack<DLManagedTensorVersioned>(x);   // of dlpack.h
//   Tensor y = from_dlpack(managed);                                        // takes it over
//
// Tensors are values that never change. So memory that is given away is marked as read-only, and
// memory that is taken must not be written to any more. linnet.h does not include this header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet {

namespace dlpack {

struct Version {
  uint32_t major = 1, minor = 0;
};
struct DeviceCode {
  int32_t type = 1;  ///< 1 CPU, 2 CUDA, 3 host memory of CUDA, …
  int32_t id = 0;
};
struct ElementType {
  uint8_t code = 0;  ///< 0 signed, 1 unsigned, 2 floating, 4 bfloat16, 6 bool, …
  uint8_t bits = 0;
  uint16_t lanes = 1;  ///< above 1: vectors, which no tensor here has
};
struct View {
  void* data = nullptr;
  DeviceCode device;
  int32_t ndim = 0;
  ElementType dtype;
  int64_t* shape = nullptr;
  int64_t* strides = nullptr;  ///< in elements; none means row-major without gaps
  uint64_t byte_offset = 0;
};
/// Flags of a managed tensor.
inline constexpr uint64_t kReadOnly = 1, kIsCopied = 2;

struct ManagedTensor {
  Version version;
  void* manager_ctx = nullptr;
  void (*deleter)(ManagedTensor*) = nullptr;  ///< ends the structure and what it holds
  uint64_t flags = 0;
  View dl_tensor;
};
/// The form before version 1.
struct LegacyManagedTensor {
  View dl_tensor;
  void* manager_ctx = nullptr;
  void (*deleter)(LegacyManagedTensor*) = nullptr;
};

template <class M>
concept Versioned = requires(M* managed) {
  managed->version;
  managed->dl_tensor;
};
/// Whether M is laid out as the structures here.
template <class M>
constexpr bool fits() {
  if constexpr (Versioned<M>)
    return sizeof(M) == sizeof(ManagedTensor) &&
           offsetof(M, dl_tensor) == offsetof(ManagedTensor, dl_tensor) &&
           offsetof(M, flags) == offsetof(ManagedTensor, flags);
  else
    return sizeof(M) == sizeof(LegacyManagedTensor) &&
           offsetof(M, deleter) == offsetof(LegacyManagedTensor, deleter);
}

/// @throws as `from_dlpack`.
Tensor take(ManagedTensor* managed);
Tensor take(LegacyManagedTensor* managed);
ManagedTensor* give(const Tensor& tensor);
LegacyManagedTensor* give_legacy(const Tensor& tensor);

}  // namespace dlpack

/// A tensor over the memory of a managed tensor of either form, which is taken over: its deleter is
/// called when nothing needs the memory any more, or at once if this throws. The values are copied
/// only if strides are negative, or the memory is not aligned for its elements.
/// @throws DeviceError for memory that the host cannot read; DTypeError for element types without
/// counterpart, and vectors; ShapeError for shapes that are negative or too large; ValueError for
/// another major version, missing memory, or bools that are neither 0 nor 1.
template <class M>
Tensor from_dlpack(M* managed) {
  static_assert(dlpack::fits<M>(), "this is no managed tensor of DLPack");
  if constexpr (dlpack::Versioned<M>)
    return dlpack::take(reinterpret_cast<dlpack::ManagedTensor*>(managed));
  else
    return dlpack::take(reinterpret_cast<dlpack::LegacyManagedTensor*>(managed));
}

/// The tensor for another library, which ends it by its deleter. Strided tensors keep their
/// strides; those of other devices are copied to the host. The old form cannot say that memory is
/// read-only, and gets a copy.
/// @throws TraceError for tensors without values.
template <class M = dlpack::ManagedTensor>
M* to_dlpack(const Tensor& tensor) {
  static_assert(dlpack::fits<M>(), "this is no managed tensor of DLPack");
  if constexpr (dlpack::Versioned<M>)
    return reinterpret_cast<M*>(dlpack::give(tensor));
  else
    return reinterpret_cast<M*>(dlpack::give_legacy(tensor));
}

}  // namespace linnet

#pragma GCC visibility pop
