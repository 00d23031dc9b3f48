// What cuBLASLt demands of a product. A text names the rule that is broken; an empty one says that
// none is.
#pragma once

#include <string>

#include "descriptors.h"

namespace linnet::fake_cublaslt {

struct Problem {
  const Operation& operation;
  const Layout &a, &b, &c, &d;

  bool transposes_a() const { return operation.transpose_a != CUBLAS_OP_N; }
  bool transposes_b() const { return operation.transpose_b != CUBLAS_OP_N; }
  int64_t m() const { return static_cast<int64_t>(d.rows); }
  int64_t n() const { return static_cast<int64_t>(d.columns); }
  int64_t k() const { return static_cast<int64_t>(transposes_a() ? a.rows : a.columns); }
  /// Equal for problems that may share algorithms.
  uint64_t kind() const;
};

struct Call {
  const void* alpha;
  const void* a;
  const void* b;
  const void* beta;
  const void* c;
  void* d;
  void* workspace;
  size_t workspace_bytes;
};

/// Parts of epilogues.
constexpr uint32_t kReluBit = 2, kBiasBit = 4, kReluGradientBit = 8, kBiasGradientBit = 16,
                   kGeluBit = 32, kGeluGradientBit = 64, kAuxiliaryBit = 128;
bool epilogue_is_known(uint32_t epilogue);
bool has_bias(uint32_t epilogue);
/// It writes sums of a matrix to where the bias would be.
bool writes_bias(uint32_t epilogue);
bool has_auxiliary(uint32_t epilogue);
/// The auxiliary operand is a mask of bits.
bool has_mask(uint32_t epilogue);

/// Rules that hold for the descriptors alone.
std::string broken_rule(const Problem&);
/// Rules of one call.
std::string broken_rule(const Problem&, const Call&, const Algorithm&);

}  // namespace linnet::fake_cublaslt
