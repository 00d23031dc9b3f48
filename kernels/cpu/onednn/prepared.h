// A kernel whose choices are made: raw pointers in, raw pointers out.
//
//   PrepareResult r = onednn::prepare_matmul(spec);
//   if (!r.kernel) log(r.declined);
//   r.kernel->execute(inputs, outputs, workspace);   // workspace: r.kernel->workspace_bytes()
//   bytes
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace linnet::cpu {

/// A launchable kernel for fixed shapes, types and strides. `execute` may be called from several
/// threads at once, each with a workspace of its own; it does not allocate after the first call of
/// as many threads as ever run it together. The work is divided for the number of threads at
/// preparation, and gives the same bits whatever number there is when it runs.
class Prepared {
 public:
  virtual ~Prepared() = default;
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;

  /// Bytes of scratch memory, aligned to 64, that `execute` overwrites. Their content does not
  /// matter.
  virtual size_t workspace_bytes() const { return 0; }

  /// Runs the kernel. The order of inputs and outputs is that of the `prepare_…` function.
  /// Outputs overlap neither inputs nor each other.
  /// @throws DeviceError if the library reports a failure.
  virtual void execute(std::span<const void* const> inputs, std::span<void* const> outputs,
                       void* workspace) const = 0;

  /// What computes, for logs: `brg:avx512_core`, `own gemm`.
  const std::string& implementation() const { return implementation_; }

 protected:
  Prepared() = default;
  std::string implementation_;
};

/// A kernel, or the reason why there is none.
struct PrepareResult {
  std::unique_ptr<Prepared> kernel;
  std::string declined;
};

namespace onednn {
using cpu::Prepared;
using cpu::PrepareResult;
}  // namespace onednn

}  // namespace linnet::cpu
