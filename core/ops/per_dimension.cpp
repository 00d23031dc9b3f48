#include "core/ops/per_dimension.h"

#include <algorithm>

#include "linnet/detail/format.h"
#include "linnet/error.h"

namespace linnet::detail {

Shape per_dimension(const char* operation, const char* what, const std::vector<int64_t>& values,
                    size_t rank) {
  if (values.empty()) return Shape(rank, 1);
  if (values.size() != rank)
    fail<ShapeError>("{}: expected {} {}, got {}", operation, rank, what, to_string(values));
  if (std::ranges::any_of(values, [](int64_t value) { return value < 1; }))
    fail<ValueError>("{}: {} must be at least 1, got {}", operation, what, to_string(values));
  return values;
}

}  // namespace linnet::detail
