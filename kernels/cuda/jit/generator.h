// The source of a kernel that computes a cluster of elementwise operations.
//
//   const ClusterLayout layout{.elements = cluster_elements(body), .flat = true, .repeated = {…}};
//   const ClusterSource source = generate_cluster(body, layout);
#pragma once

#include <string>
#include <vector>

#include "core/graph/graph.h"

namespace linnet::cuda {

/// How a generated kernel reaches its operands.
struct ClusterLayout {
  int elements = 1;            ///< of a pack; each thread has one
  bool flat = true;            ///< operands are dense, or one number
  std::vector<bool> repeated;  ///< operands that are one number within a pack
};

struct ClusterSource {
  std::string name;  ///< of the kernel: `cluster_` and a hash, equal for equal bodies and layouts
  std::string text;
  int operands = 0;  ///< those of the parameters: operands and results, rounded up
};

/// Operands and results of one kernel.
inline constexpr size_t kMostClusterOperands = 32;

/// Why a body has no kernel; empty if it has one.
std::string cluster_reason(const Graph& body);

/// Elements of a pack that suit the body: 16 bytes of the smaller types, but what a thread keeps
/// must find place in registers.
int cluster_elements(const Graph& body);

/// Values are computed in the type of the operation, f16 and bf16 in float by the faster functions
/// (device/fast_inl.h); every value is then rounded to its type, as single operations would leave
/// it.
ClusterSource generate_cluster(const Graph& body, const ClusterLayout& layout);

}  // namespace linnet::cuda
