// Primitives over named axes. A trace that knows the axis as a dimension of its values applies
// `Collective`; a mesh of processes will run them as they are.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "linnet/collectives.h"
#include "linnet/primitive.h"

namespace linnet {

/// `psum`, `pmax`, `pmin`. Groups are empty, or divide the only axis.
struct ReduceAxesParams {
  std::vector<std::string> axes;
  AxisIndexGroups groups;
  LINNET_FIELDS(axes, groups)
};
/// `all_gather` makes the dimension `axis` of `size`, the number of elements of the axis or of a
/// group; `psum_scatter` takes it away. Tiled, they multiply and divide it.
struct GatherAxisParams {
  std::string name;
  int64_t size = 0;
  Axis axis;
  bool tiled = false;
  AxisIndexGroups groups;
  LINNET_FIELDS(name, size, axis, tiled, groups)
};
struct AllToAllParams {
  std::string name;
  int64_t size = 0;
  Axis split, concat;
  bool tiled = false;
  AxisIndexGroups groups;
  LINNET_FIELDS(name, size, split, concat, tiled, groups)
};
struct PermuteAxisParams {
  std::string name;
  std::vector<std::pair<int64_t, int64_t>> pairs;  ///< source, destination
  LINNET_FIELDS(name, pairs)
};
struct AxisIndexParams {
  std::string name;
  Device device;
  LINNET_FIELDS(name, device)
};

const Primitive& psum_primitive();
const Primitive& pmax_primitive();
const Primitive& pmin_primitive();
const Primitive& all_gather_primitive();
const Primitive& psum_scatter_primitive();
const Primitive& all_to_all_primitive();
const Primitive& ppermute_primitive();
const Primitive& axis_index_primitive();

/// A value for each element of an axis, in front, or one for all.
struct AlongAxis {
  Tensor value;
  bool batched = false;
};

/// What a collective is where the axis is a dimension.
struct Collective {
  bool (*asks_for)(ParamsRef, std::string_view name);
  /// @param x undefined for a primitive without operands.
  AlongAxis (*over)(ParamsRef, std::string_view name, int64_t size, const AlongAxis& x);
};

/// Null for primitives that are no collectives.
const Collective* collective_of(const Primitive& primitive);

}  // namespace linnet
