// Operations over a named axis: each element of a batch sees its own value, and these see all.
//
//   auto centred = vmap([](const Tensor& x) { return x - pmean(x, "batch"); },
//                       {.axis_name = "batch"});
//   Tensor y = centred(rows);                             // f32[n, k]: columns have mean zero
//
// Along the axis every element has an index, 0 to n - 1. All are linear but for `pmax` and `pmin`,
// and all are differentiable: as a function of the values of all elements, whose cotangents the
// backward pass exchanges by the transposed collective.
//
// `axis_index_groups` divide the indices of one axis: each is in one group, and elements see those
// of their own group only.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/error.h"
#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet {

/// An axis name that nothing around the call binds.
class UnknownAxisError : public ValueError {
  using ValueError::ValueError;
};

/// One axis name or several: `"batch"`, `{"data", "model"}`, major to minor.
class NamedAxes {
 public:
  NamedAxes(const char* name) : names_{name} {}             // NOLINT(runtime/explicit)
  NamedAxes(std::string name) : names_{std::move(name)} {}  // NOLINT(runtime/explicit)
  NamedAxes(std::vector<std::string> names)
      : names_(std::move(names)) {}  // NOLINT(runtime/explicit)
  NamedAxes(std::initializer_list<const char*> names) : names_(names.begin(), names.end()) {}
  const std::vector<std::string>& list() const { return names_; }

 private:
  std::vector<std::string> names_;
};

using AxisIndexGroups = std::vector<std::vector<int64_t>>;

/// Number of elements along the axis, or the product for several.
/// @throws UnknownAxisError, like everything below.
int64_t axis_size(const NamedAxes& axis);
/// The index of the element, i32[]: row-major in the order of the names for several.
Tensor axis_index(const NamedAxes& axis);

/// The sum over all elements; a value that is the same for all is multiplied, so that `psum(1,
/// axis)` is the size. Bools are counted in i32.
/// @throws ValueError for groups that are no partition of the indices, or of several axes.
Tensor psum(const Tensor& x, const NamedAxes& axis, const AxisIndexGroups& axis_index_groups = {});
/// `psum` divided by the number of elements.
Tensor pmean(const Tensor& x, const NamedAxes& axis, const AxisIndexGroups& axis_index_groups = {});
/// The largest and the smallest value. The cotangent goes to the elements that have it, in equal
/// parts.
Tensor pmax(const Tensor& x, const NamedAxes& axis, const AxisIndexGroups& axis_index_groups = {});
Tensor pmin(const Tensor& x, const NamedAxes& axis, const AxisIndexGroups& axis_index_groups = {});

struct AllGatherOptions {
  /// Where the new dimension is, or, if tiled, the dimension that grows.
  int64_t axis = 0;
  /// Joins the values along `axis` instead of stacking them.
  bool tiled = false;
  AxisIndexGroups axis_index_groups = {};
};
/// The values of all elements, by index. @throws ValueError for groups of different sizes.
Tensor all_gather(const Tensor& x, const NamedAxes& axis, const AllGatherOptions& options = {});

struct PsumScatterOptions {
  /// The dimension that is dealt out: of the size of the axis, or a multiple if tiled.
  int64_t scatter_dimension = 0;
  /// Keeps the dimension, with the element's block of it, instead of removing it.
  bool tiled = false;
  AxisIndexGroups axis_index_groups = {};
};
/// Part i of the sum over all elements, for element i. @throws ShapeError if the dimension does not
/// fit.
Tensor psum_scatter(const Tensor& x, const NamedAxes& axis, const PsumScatterOptions& options = {});

struct AllToAllOptions {
  /// Splits into blocks and joins them, instead of removing a dimension and making another.
  bool tiled = false;
  AxisIndexGroups axis_index_groups = {};
};
/// Part j of the value of element i, along `split_axis`, becomes part i of the result of element j,
/// along `concat_axis`: transposes the axis and a dimension. @throws ShapeError if the dimension
/// does not fit.
Tensor all_to_all(const Tensor& x, const NamedAxes& axis, int64_t split_axis, int64_t concat_axis,
                  const AllToAllOptions& options = {});

/// Element `second` gets the value of element `first`; those that nothing is sent to get zeros.
/// @throws ValueError if two pairs have one source or one destination.
Tensor ppermute(const Tensor& x, const NamedAxes& axis,
                const std::vector<std::pair<int64_t, int64_t>>& pairs);
/// Element i gets the value of element `permutation[i]`.
Tensor pshuffle(const Tensor& x, const NamedAxes& axis, const std::vector<int64_t>& permutation);
/// Every element gets the value of element `source`. @throws ValueError if there is no such
/// element.
Tensor pbroadcast(const Tensor& x, const NamedAxes& axis, int64_t source);

namespace detail {
template <class T>
concept TreeOfTensors = !std::is_convertible_v<const T&, Tensor>;
}  // namespace detail

/// The same of every tensor of a tree.
template <detail::TreeOfTensors T>
T psum(const T& tree, const NamedAxes& axis, const AxisIndexGroups& axis_index_groups = {}) {
  return tree::map(tree, [&](const Tensor& x) { return psum(x, axis, axis_index_groups); });
}
template <detail::TreeOfTensors T>
T pmean(const T& tree, const NamedAxes& axis, const AxisIndexGroups& axis_index_groups = {}) {
  return tree::map(tree, [&](const Tensor& x) { return pmean(x, axis, axis_index_groups); });
}
template <detail::TreeOfTensors T>
T pmax(const T& tree, const NamedAxes& axis, const AxisIndexGroups& axis_index_groups = {}) {
  return tree::map(tree, [&](const Tensor& x) { return pmax(x, axis, axis_index_groups); });
}
template <detail::TreeOfTensors T>
T pmin(const T& tree, const NamedAxes& axis, const AxisIndexGroups& axis_index_groups = {}) {
  return tree::map(tree, [&](const Tensor& x) { return pmin(x, axis, axis_index_groups); });
}
template <detail::TreeOfTensors T>
T all_gather(const T& tree, const NamedAxes& axis, const AllGatherOptions& options = {}) {
  return tree::map(tree, [&](const Tensor& x) { return all_gather(x, axis, options); });
}
template <detail::TreeOfTensors T>
T psum_scatter(const T& tree, const NamedAxes& axis, const PsumScatterOptions& options = {}) {
  return tree::map(tree, [&](const Tensor& x) { return psum_scatter(x, axis, options); });
}
template <detail::TreeOfTensors T>
T all_to_all(const T& tree, const NamedAxes& axis, int64_t split_axis, int64_t concat_axis,
             const AllToAllOptions& options = {}) {
  return tree::map(
      tree, [&](const Tensor& x) { return all_to_all(x, axis, split_axis, concat_axis, options); });
}
template <detail::TreeOfTensors T>
T ppermute(const T& tree, const NamedAxes& axis,
           const std::vector<std::pair<int64_t, int64_t>>& pairs) {
  return tree::map(tree, [&](const Tensor& x) { return ppermute(x, axis, pairs); });
}
template <detail::TreeOfTensors T>
T pshuffle(const T& tree, const NamedAxes& axis, const std::vector<int64_t>& permutation) {
  return tree::map(tree, [&](const Tensor& x) { return pshuffle(x, axis, permutation); });
}
template <detail::TreeOfTensors T>
T pbroadcast(const T& tree, const NamedAxes& axis, int64_t source) {
  return tree::map(tree, [&](const Tensor& x) { return pbroadcast(x, axis, source); });
}

}  // namespace linnet

#pragma GCC visibility pop
