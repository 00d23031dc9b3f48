// Private: a kernel made of kernels for parts of the work, which run at the same time, each on one
// thread.
//
//   std::vector<Part> parts;
//   for (int64_t i : {0, 32}) parts.push_back({prepare(32 rows), {i * row_bytes, 0}, {i *
//   out_bytes}}); auto kernel = in_parts(std::move(parts));
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/cpu/onednn/prepared.h"

namespace linnet::cpu::onednn {

/// A kernel for a part of the work, and where its operands lie in those of the whole, in bytes.
struct Part {
  std::unique_ptr<Prepared> kernel;
  std::vector<int64_t> inputs, outputs;
};

/// Parts that write different elements of the outputs.
std::unique_ptr<Prepared> in_parts(std::vector<Part> parts);

/// As many terms are added up at most.
inline constexpr int64_t kMostSummedParts = 64;

/// An output to which all parts contribute: each makes an f32 array of `count` elements, and the
/// arrays are added up in the order of the parts.
struct SummedOutput {
  int64_t count;
  std::unique_ptr<Prepared> conversion;  ///< from the sums to the output; null: they are the output
};

/// Parts whose outputs are terms of the whole ones. Their offsets of outputs are not used.
std::unique_ptr<Prepared> in_summed_parts(std::vector<Part> parts,
                                          std::vector<SummedOutput> outputs);

/// A kernel after `conversion` has made its input `index` from the given one, in `bytes` of
/// workspace.
std::unique_ptr<Prepared> with_converted_input(std::unique_ptr<Prepared> kernel, size_t index,
                                               std::unique_ptr<Prepared> conversion, size_t bytes);

/// [first, last) of `total` elements for part `index` of `parts`, whose borders are multiples of
/// `granule`. May be empty.
struct PartRange {
  int64_t first, last;
  int64_t size() const { return last - first; }
};
PartRange part_range(int64_t total, int64_t parts, int64_t index, int64_t granule = 1);

}  // namespace linnet::cpu::onednn
