#include "algorithms.h"

#include <algorithm>
#include <bit>

namespace linnet::fake_cublaslt {
namespace {

uint64_t workspace_of(const Problem& p, int32_t id) {
  if (id != kSplit) return 0;
  const uint64_t elements = p.d.rows * p.d.columns * static_cast<uint64_t>(p.d.batch_count);
  return (4 * elements * sizeof(float) + 255) / 256 * 256;
}

/// How parts of sums come together.
uint32_t scheme_of(int32_t id) {
  if (id == kSplit) return CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  return id == kAtomic ? CUBLASLT_REDUCTION_SCHEME_INPLACE : CUBLASLT_REDUCTION_SCHEME_NONE;
}

/// The bias has no entry among the preferences: its address tells.
uint16_t bias_alignment(const Operation& o) {
  if (!has_bias(o.epilogue)) return 1;
  const auto address = reinterpret_cast<uintptr_t>(o.bias);
  return address == 0 ? 16
                      : static_cast<uint16_t>(std::min<uintptr_t>(address & (~address + 1), 16));
}

}  // namespace

std::vector<Algorithm> algorithms_for(const Problem& problem, const Preference& preference) {
  const auto clamped = [](uint32_t alignment) {
    return static_cast<uint16_t>(std::min<uint32_t>(std::bit_floor(std::max(alignment, 1u)), 256));
  };
  Algorithm base;
  base.kind = problem.kind();
  base.alignment_a = clamped(preference.alignment_a);
  base.alignment_b = clamped(preference.alignment_b);
  base.alignment_c = clamped(preference.alignment_c);
  base.alignment_d = clamped(preference.alignment_d);
  base.alignment_bias = bias_alignment(problem.operation);
  const bool vectors =
      std::min({base.alignment_a, base.alignment_b, base.alignment_c, base.alignment_d}) >= 16;
  std::vector<Algorithm> out;
  for (const int32_t id : {kUnsupported, kTiles, kSplit, kAtomic, kPlain}) {
    if (id == kTiles && !vectors) continue;
    if ((scheme_of(id) & preference.reductions) != scheme_of(id)) continue;
    Algorithm algorithm = base;
    algorithm.id = id;
    algorithm.workspace_bytes = workspace_of(problem, id);
    if (algorithm.workspace_bytes <= preference.workspace_bytes) out.push_back(algorithm);
  }
  return out;
}

std::optional<Algorithm> complete(const Problem& problem, const Algorithm& algorithm) {
  const bool known = algorithm.id == kUnsupported || algorithm.id == kTiles ||
                     algorithm.id == kSplit || algorithm.id == kAtomic || algorithm.id == kPlain;
  if (algorithm.mark != Algorithm::kMark || algorithm.kind != problem.kind() || !known)
    return std::nullopt;
  Algorithm out = algorithm;
  out.workspace_bytes = workspace_of(problem, algorithm.id);
  return out;
}

}  // namespace linnet::fake_cublaslt
