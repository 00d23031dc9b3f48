// The algorithms that the double offers. They compute the same; they differ in what they ask for.
#pragma once

#include <optional>
#include <vector>

#include "rules.h"

namespace linnet::fake_cublaslt {

enum AlgorithmId : int32_t {
  kUnsupported = 66,  ///< looks well, and is refused when it is to run
  kTiles = 21,        ///< needs 16 bytes of alignment
  kSplit = 24,        ///< needs as much workspace as four results of f32
  kAtomic = 25,       ///< adds parts of the sums in place, in any order
  kPlain = 0,         ///< takes everything
};

/// What the heuristics answer, best first.
std::vector<Algorithm> algorithms_for(const Problem& problem, const Preference& preference);
/// The algorithm as it must be for the problem, or none if there is no such algorithm for it.
std::optional<Algorithm> complete(const Problem& problem, const Algorithm& algorithm);

}  // namespace linnet::fake_cublaslt
