// Kernels and the implementation lists that choose them. For people who add kernels.
//
//   table.add(exp_primitive(), {.name = "vector", .strided = true, .run = run_exp});
//
// The lists are ordered, best first; the first implementation that does not decline runs.
// LINNET_LOG=kernels prints, once per preparation, who ran and who declined why.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "linnet/primitive.h"

namespace linnet {

/// Type and layout of one operand or result, as a kernel sees it. Strides are in elements.
struct OperandView {
  DType dtype;
  std::span<const int64_t> shape;
  std::span<const int64_t> strides;
};

struct KernelRequest {
  const Primitive& primitive;
  ParamsRef params;
  std::span<const OperandView> inputs;
  std::span<const OperandView> outputs;  ///< dense
};

/// A prepared kernel. `run` may be called from several threads at once.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual size_t workspace_bytes() const { return 0; }
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
  /// Alternative to `prepare` for kernels without set-up cost.
  void (*run)(const KernelRequest&, const void* const* inputs, void* const* outputs) = nullptr;
};

/// The implementation lists of one device.
class KernelTable {
 public:
  /// Appends to the list of `primitive`, best first.
  void add(const Primitive& primitive, KernelImplementation implementation);
  std::span<const KernelImplementation> implementations(const Primitive& primitive) const;

 private:
  std::vector<std::vector<KernelImplementation>> lists_;
};

/// The table of a device; the CPU's is filled at first use by the back end that is linked in.
KernelTable& kernel_table(Device device);

/// Called once by `kernel_table(kCpu)`; defined by the CPU back end.
void register_cpu_kernels(KernelTable& table);

}  // namespace linnet
