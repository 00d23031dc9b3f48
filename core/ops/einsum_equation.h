// Private: an einsum equation resolved against the ranks of its operands.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace linnet {

/// One character per dimension. Letters are the equation's own; the dimensions of an ellipsis get
/// characters that no letter has, the last one `kEllipsisEnd - 1`, so that they align at the right.
struct EinsumEquation {
  std::vector<std::string> operands;
  std::string result;
};

inline constexpr char kEllipsisBegin = 1, kEllipsisEnd = 32;
inline bool from_ellipsis(char label) { return label >= kEllipsisBegin && label < kEllipsisEnd; }

/// @throws ValueError for a malformed equation, ShapeError if the ranks do not fit.
EinsumEquation parse_einsum(std::string_view equation, const std::vector<size_t>& ranks);

}  // namespace linnet
