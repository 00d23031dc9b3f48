// Kernels and the implementation lists that choose them. For people who add kernels.
//
//   table.add(exp_primitive(), {.name = "vector", .strided = true, .run = run_exp});
//
// The lists are ordered, best first; the first implementation that does not decline runs.
// LINNET_LOG=kernels prints, once per preparation, who ran and who declined why.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "linnet/primitive.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Type and layout of one operand or result, as a kernel sees it. Strides are in elements.
struct OperandView {
  DType dtype;
  std::span<const int64_t> shape;
  std::span<const int64_t> strides;
  /// The address is a multiple of this many bytes: a power of two, at most the
  /// `widest_alignment()` of the back end.
  size_t alignment = 1;
};

struct KernelRequest {
  const Primitive& primitive;
  ParamsRef params;
  std::span<const OperandView> inputs;
  std::span<const OperandView> outputs;  ///< dense
};

/// A prepared kernel. How it is run is between it and its back end (back_end.h): `HostKernel` for
/// those that work where they are called, `DeviceKernel` for those that describe their launches.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual size_t workspace_bytes() const { return 0; }
};

/// A kernel that has done its work when `run` returns, on addresses it reads and writes itself.
/// `run` may be called from several threads at once.
class HostKernel : public Kernel {
 public:
  virtual void run(const void* const* inputs, void* const* outputs, void* workspace) const = 0;
};

struct KernelImplementation {
  const char* name;
  /// Takes inputs of any strides; otherwise it is handed dense copies.
  bool strided = false;
  /// An output may share the memory of a dense input of the same type and shape.
  bool in_place = false;
  /// If `in_place`: the operand whose memory result `result` may have, or -1. Null means any
  /// operand of an elementwise kernel, and the first operand of other kernels with one result.
  int (*in_place_operand)(const KernelRequest&, size_t result) = nullptr;
  /// Empty text accepts; otherwise the reason. Null accepts everything.
  std::string (*decline)(const KernelRequest&) = nullptr;
  /// Makes a kernel that is kept and used again for equal requests. May return null after setting
  /// `reason` if only preparation could tell that the request is not supported.
  std::unique_ptr<Kernel> (*prepare)(const KernelRequest&, std::string& reason) = nullptr;
  /// Alternative to `prepare` for kernels without set-up cost that are `HostKernel`s in kind.
  void (*run)(const KernelRequest&, const void* const* inputs, void* const* outputs,
              void* workspace) = nullptr;
  /// What a program may run instead of `run`, where a request is known long before it runs and runs
  /// many times: a `HostKernel` that has looked at the layouts once and throws as little as `run`;
  /// null where that gains nothing. It is not shared with other programs, and has no workspace.
  std::unique_ptr<Kernel> (*bind)(const KernelRequest&) = nullptr;
  /// Bytes of scratch memory that `run` is given, aligned to 64. Null means none.
  size_t (*workspace_bytes)(const KernelRequest&) = nullptr;
  /// `run` never throws: it takes no memory but its workspace. Before a kernel that may throw no
  /// donated memory is written over, so that a call that fails leaves its inputs as they were.
  bool never_throws = false;
  /// Takes requests with complex operands or results, which are kept from all others.
  bool complex = false;
};

/// The implementation lists of one kind of device. May be read and added to from several threads.
class KernelTable {
 public:
  KernelTable() = default;
  ~KernelTable();
  KernelTable(const KernelTable&) = delete;
  KernelTable& operator=(const KernelTable&) = delete;

  /// Appends to the list of `primitive`, best first. Requests that were answered before are asked
  /// again.
  void add(const Primitive& primitive, KernelImplementation implementation);
  /// The list as it is now; the span stays valid.
  std::span<const KernelImplementation> implementations(const Primitive& primitive) const;

 private:
  using List = std::vector<KernelImplementation>;
  static constexpr size_t kChunk = 64, kChunks = 256;
  struct Chunk {
    std::atomic<const List*> lists[kChunk] = {};
  };
  std::mutex mutex_;  ///< of `add`
  std::atomic<Chunk*> chunks_[kChunks] = {};
  std::vector<std::unique_ptr<const List>> kept_;  ///< every list there ever was
};

/// The table of a device's back end.
/// @throws DeviceError if there is none for the device.
KernelTable& kernel_table(Device device);

}  // namespace linnet

#pragma GCC visibility pop
