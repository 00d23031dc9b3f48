#include "core/ops/collectives.h"

#include <algorithm>

#include "core/ops/convert.h"
#include "core/ops/dims.h"
#include "core/ops/elementwise.h"
#include "core/ops/families.h"
#include "core/ops/shape_ops.h"
#include "core/trace/named_axes.h"
#include "linnet/detail/format.h"
#include "linnet/device.h"
#include "linnet/ops.h"

namespace linnet {
namespace {

template <class P>
TypeList same_type(const P&, Inputs x) {
  return {x[0].type()};
}

template <class P>
DimMap same_dims(const P&, Inputs x) {
  return dims::aligned(x, {}, x[0].shape());
}

TensorList psum_transpose(const ReduceAxesParams& p, Inputs, const Tensor& ct) {
  return {emit_one(psum_primitive(), {ct}, p)};
}

TypeList extreme_type(const ReduceAxesParams&, Inputs x) {
  if (x[0].dtype() == DType::kBool)
    fail<DTypeError>("pmax, pmin: expected numbers, got {}", to_string(x[0].type()));
  return {x[0].type()};
}

/// The part that each element has in an extreme value: 1 / count where it is attained, else 0.
Tensor share(const ReduceAxesParams& p, const Tensor& x, const Tensor& y) {
  const Tensor attained = astype(equal(x, y), x.dtype());
  return attained / emit_one(psum_primitive(), {attained}, p);
}

TensorList extreme_vjp(const ReduceAxesParams& p, Inputs x, Outputs y, Inputs cts) {
  return {share(p, x[0], y[0]) * emit_one(psum_primitive(), {cts[0]}, p)};
}

TensorList extreme_jvp(const ReduceAxesParams& p, Inputs x, Outputs y, Inputs tangents) {
  return {emit_one(psum_primitive(), {share(p, x[0], y[0]) * tangents[0]}, p)};
}

const Primitive& define_extreme(const char* name) {
  return define(Smooth<ReduceAxesParams>{.name = name,
                                         .infer = extreme_type,
                                         .vjp = extreme_vjp,
                                         .jvp = extreme_jvp,
                                         .dims = same_dims});
}

/// All dimensions but the one that the axis makes, grows or takes.
DimMap gathered_dims(const Shape& whole, const Shape& part, const GatherAxisParams& p,
                     bool gathers) {
  DimMap map;
  TensorFactors of_whole, of_part;
  for (size_t i = 0; i < whole.size(); ++i) {
    const bool own = static_cast<int64_t>(i) == p.axis;
    of_whole.push_back({map.add(whole[i], own ? FactorKind::kWhole : FactorKind::kPass)});
    if (!own)
      of_part.push_back(of_whole.back());
    else if (p.tiled)
      of_part.push_back({map.add(part[i], FactorKind::kWhole)});
  }
  map.operands = {gathers ? of_part : of_whole};
  map.results = {gathers ? std::move(of_whole) : std::move(of_part)};
  return map;
}

Shape gathered_shape(const Shape& part, const GatherAxisParams& p) {
  Shape shape = part;
  if (p.tiled)
    shape[p.axis] *= p.size;
  else
    shape.insert(p.axis, p.size);
  return shape;
}

Shape scattered_shape(const char* operation, const Tensor& x, const GatherAxisParams& p) {
  Shape shape = x.shape();
  const bool fits = p.tiled ? shape[p.axis] % p.size == 0 : shape[p.axis] == p.size;
  if (!fits) {
    fail<ShapeError>("{}: dimension {} of {} is not {} the {} elements of '{}'", operation,
                     p.axis.value, to_string(x.type()), p.tiled ? "a multiple of" : "as long as",
                     p.size, p.name);
  }
  if (p.tiled)
    shape[p.axis] /= p.size;
  else
    shape.erase(p.axis);
  return shape;
}

TensorType with_shape(const Tensor& x, Shape shape) {
  TensorType type = x.type();
  type.shape = std::move(shape);
  return type;
}

Shape exchanged_shape(const Tensor& x, const AllToAllParams& p) {
  const GatherAxisParams split{p.name, p.size, p.split, p.tiled, {}};
  Shape shape = scattered_shape("all_to_all", x, split);
  return gathered_shape(shape, {p.name, p.size, p.concat, p.tiled, {}});
}

DimMap exchanged_dims(const AllToAllParams& p, Inputs x) {
  DimMap map;
  TensorFactors operand, result;
  const Shape out = exchanged_shape(x[0], p);
  for (size_t i = 0; i < x[0].rank(); ++i) {
    const int64_t axis = static_cast<int64_t>(i);
    const bool own = axis == p.split || (p.tiled && axis == p.concat);
    operand.push_back({map.add(x[0].shape()[i], own ? FactorKind::kWhole : FactorKind::kPass)});
    if (!own) {
      result.push_back(operand.back());
    } else if (p.tiled) {
      result.push_back({map.add(out[i], FactorKind::kWhole)});
    }
  }
  if (!p.tiled) result.insert(result.begin() + p.concat, {map.add(p.size, FactorKind::kWhole)});
  map.operands = {std::move(operand)};
  map.results = {std::move(result)};
  return map;
}

PermuteAxisParams inverse_of(const PermuteAxisParams& p) {
  PermuteAxisParams out{p.name, {}};
  for (const auto& [from, to] : p.pairs) out.pairs.emplace_back(to, from);
  return out;
}

}  // namespace

const Primitive& psum_primitive() {
  static const Primitive& p = define(LinearMap<ReduceAxesParams>{.name = "psum",
                                                                 .infer = same_type,
                                                                 .transpose = psum_transpose,
                                                                 .dims = same_dims,
                                                                 .complex = true});
  return p;
}
const Primitive& pmax_primitive() {
  static const Primitive& p = define_extreme("pmax");
  return p;
}
const Primitive& pmin_primitive() {
  static const Primitive& p = define_extreme("pmin");
  return p;
}

const Primitive& all_gather_primitive() {
  static const Primitive& p = define(LinearMap<GatherAxisParams>{
      .name = "all_gather",
      .infer = [](const GatherAxisParams& q,
                  Inputs x) { return TypeList{with_shape(x[0], gathered_shape(x[0].shape(), q))}; },
      .transpose = [](const GatherAxisParams& q, Inputs,
                      const Tensor& ct) { return emit(psum_scatter_primitive(), {ct}, q); },
      .dims =
          [](const GatherAxisParams& q, Inputs x) {
            return gathered_dims(gathered_shape(x[0].shape(), q), x[0].shape(), q, true);
          },
      .complex = true});
  return p;
}

const Primitive& psum_scatter_primitive() {
  static const Primitive& p = define(LinearMap<GatherAxisParams>{
      .name = "psum_scatter",
      .infer =
          [](const GatherAxisParams& q, Inputs x) {
            return TypeList{with_shape(x[0], scattered_shape("psum_scatter", x[0], q))};
          },
      .transpose = [](const GatherAxisParams& q, Inputs,
                      const Tensor& ct) { return emit(all_gather_primitive(), {ct}, q); },
      .dims =
          [](const GatherAxisParams& q, Inputs x) {
            return gathered_dims(x[0].shape(), scattered_shape("psum_scatter", x[0], q), q, false);
          },
      .complex = true});
  return p;
}

const Primitive& all_to_all_primitive() {
  static const Primitive& p = define(LinearMap<AllToAllParams>{
      .name = "all_to_all",
      .infer = [](const AllToAllParams& q,
                  Inputs x) { return TypeList{with_shape(x[0], exchanged_shape(x[0], q))}; },
      .transpose =
          [](const AllToAllParams& q, Inputs, const Tensor& ct) {
            AllToAllParams back = q;
            std::swap(back.split, back.concat);
            return emit(all_to_all_primitive(), {ct}, back);
          },
      .dims = exchanged_dims,
      .complex = true});
  return p;
}

const Primitive& ppermute_primitive() {
  static const Primitive& p = define(LinearMap<PermuteAxisParams>{
      .name = "ppermute",
      .infer = same_type,
      .transpose = [](const PermuteAxisParams& q, Inputs,
                      const Tensor& ct) { return emit(ppermute_primitive(), {ct}, inverse_of(q)); },
      .dims = same_dims,
      .complex = true});
  return p;
}

const Primitive& axis_index_primitive() {
  static const Primitive& p = define(
      Opaque<AxisIndexParams>{.name = "axis_index", .infer = [](const AxisIndexParams& q, Inputs) {
                                return TypeList{{DType::kI32, {}, false, q.device}};
                              }});
  return p;
}

void define_collectives() {
  psum_primitive();
  pmax_primitive();
  pmin_primitive();
  all_gather_primitive();
  psum_scatter_primitive();
  all_to_all_primitive();
  ppermute_primitive();
  axis_index_primitive();
}

namespace {

/// The size of one axis, which is not several. @throws UnknownAxisError
int64_t size_of(const char* operation, const NamedAxes& axis) {
  int64_t size = 1;
  for (const std::string& name : axis.list()) size *= size_of_named_axis(operation, name);
  return size;
}

/// @throws ValueError unless each index of the one axis is in one group.
void check_groups(const char* operation, const NamedAxes& axis, const AxisIndexGroups& groups) {
  if (groups.empty()) return;
  if (axis.list().size() != 1) {
    fail<ValueError>("{}: axis_index_groups divide one axis, got {}", operation,
                     axis.list().size());
  }
  const int64_t size = size_of(operation, axis);
  std::vector<int64_t> all;
  for (const std::vector<int64_t>& group : groups)
    all.insert(all.end(), group.begin(), group.end());
  std::sort(all.begin(), all.end());
  bool whole = static_cast<int64_t>(all.size()) == size;
  for (size_t i = 0; whole && i < all.size(); ++i) whole = all[i] == static_cast<int64_t>(i);
  if (!whole) {
    fail<ValueError>("{}: axis_index_groups must have each index of '{}', 0 to {}, in one group",
                     operation, axis.list()[0], size - 1);
  }
}

/// The number of elements of an axis, or of its groups. @throws ValueError if those differ.
int64_t members(const char* operation, const NamedAxes& axis, const AxisIndexGroups& groups) {
  check_groups(operation, axis, groups);
  if (groups.empty()) return size_of(operation, axis);
  for (const std::vector<int64_t>& group : groups) {
    if (group.size() == groups[0].size()) continue;
    fail<ValueError>("{}: axis_index_groups must be of one size, got {} and {}", operation,
                     groups[0].size(), group.size());
  }
  return static_cast<int64_t>(groups[0].size());
}

/// Bools as numbers that can be added.
Tensor counted(const Tensor& x) { return x.dtype() == DType::kBool ? astype(x, DType::kI32) : x; }

Tensor reduce_axes(const char* operation, const Primitive& primitive, const Tensor& x,
                   const NamedAxes& axis, const AxisIndexGroups& groups) {
  size_of(operation, axis);
  check_groups(operation, axis, groups);
  if (axis.list().empty()) return x;
  return emit_one(primitive, {x}, ReduceAxesParams{axis.list(), groups});
}

/// @throws ValueError for several names.
const std::string& one_name(const char* operation, const NamedAxes& axis) {
  if (axis.list().size() != 1) {
    fail<ValueError>("{}: expected one axis, got {}", operation, axis.list().size());
  }
  return axis.list()[0];
}

}  // namespace

int64_t axis_size(const NamedAxes& axis) { return size_of("axis_size", axis); }

Tensor axis_index(const NamedAxes& axis) {
  Tensor index;
  for (const std::string& name : axis.list()) {
    const int64_t size = size_of_named_axis("axis_index", name);
    const Tensor own =
        emit_one(axis_index_primitive(), {}, AxisIndexParams{name, default_device()});
    index = index.defined() ? index * scalar_integer(size, DType::kI32) + own : own;
  }
  return index.defined() ? index : scalar_integer(0, DType::kI32);
}

Tensor psum(const Tensor& x, const NamedAxes& axis, const AxisIndexGroups& axis_index_groups) {
  return reduce_axes("psum", psum_primitive(), counted(x), axis, axis_index_groups);
}

Tensor pmean(const Tensor& x, const NamedAxes& axis, const AxisIndexGroups& axis_index_groups) {
  const Tensor values = counted(x);
  const Tensor total = reduce_axes("pmean", psum_primitive(), values, axis, axis_index_groups);
  const DType dtype = is_inexact(x.dtype()) ? x.dtype() : DType::kF32;
  if (!axis_index_groups.empty()) return total / psum(scalar(1, dtype), axis, axis_index_groups);
  return total / scalar(static_cast<double>(size_of("pmean", axis)), dtype);
}

Tensor pmax(const Tensor& x, const NamedAxes& axis, const AxisIndexGroups& axis_index_groups) {
  return reduce_axes("pmax", pmax_primitive(), x, axis, axis_index_groups);
}
Tensor pmin(const Tensor& x, const NamedAxes& axis, const AxisIndexGroups& axis_index_groups) {
  return reduce_axes("pmin", pmin_primitive(), x, axis, axis_index_groups);
}

Tensor all_gather(const Tensor& x, const NamedAxes& axis, const AllGatherOptions& options) {
  const int64_t size = members("all_gather", axis, options.axis_index_groups);
  const int64_t at = normalize_axis(options.axis, x.rank() + (options.tiled ? 0 : 1), "all_gather");
  Tensor out = x;
  // From the last name outwards: each is the outer index of those behind it.
  for (size_t i = axis.list().size(); i-- > 0;) {
    const bool tiled = options.tiled || i + 1 < axis.list().size();
    const int64_t own =
        axis.list().size() == 1 ? size : size_of_named_axis("all_gather", axis.list()[i]);
    out = emit_one(all_gather_primitive(), {out},
                   GatherAxisParams{axis.list()[i], own, at, tiled, options.axis_index_groups});
  }
  return out;
}

Tensor psum_scatter(const Tensor& x, const NamedAxes& axis, const PsumScatterOptions& options) {
  const int64_t size = members("psum_scatter", axis, options.axis_index_groups);
  const int64_t at = normalize_axis(options.scatter_dimension, x.rank(), "psum_scatter");
  GatherAxisParams params{"", size, at, options.tiled, options.axis_index_groups};
  for (const std::string& name : axis.list())
    params.name += (params.name.empty() ? "" : ",") + name;
  scattered_shape("psum_scatter", x, params);
  Tensor out = counted(x);
  for (size_t i = 0; i < axis.list().size(); ++i) {
    params.name = axis.list()[i];
    if (axis.list().size() > 1) params.size = size_of_named_axis("psum_scatter", params.name);
    params.tiled = options.tiled || i + 1 < axis.list().size();
    out = emit_one(psum_scatter_primitive(), {out}, params);
  }
  return out;
}

Tensor all_to_all(const Tensor& x, const NamedAxes& axis, int64_t split_axis, int64_t concat_axis,
                  const AllToAllOptions& options) {
  const int64_t size = members("all_to_all", axis, options.axis_index_groups);
  const AllToAllParams params{one_name("all_to_all", axis),
                              size,
                              normalize_axis(split_axis, x.rank(), "all_to_all"),
                              normalize_axis(concat_axis, x.rank(), "all_to_all"),
                              options.tiled,
                              options.axis_index_groups};
  return emit_one(all_to_all_primitive(), {x}, params);
}

Tensor ppermute(const Tensor& x, const NamedAxes& axis,
                const std::vector<std::pair<int64_t, int64_t>>& pairs) {
  const std::string& name = one_name("ppermute", axis);
  const int64_t size = size_of("ppermute", axis);
  std::vector<int64_t> sources, destinations;
  for (const auto& [from, to] : pairs) {
    if (from < 0 || from >= size || to < 0 || to >= size) {
      fail<ValueError>("ppermute: ({}, {}) is not a pair of indices of '{}', which has {}", from,
                       to, name, size);
    }
    sources.push_back(from);
    destinations.push_back(to);
  }
  for (std::vector<int64_t>* list : {&sources, &destinations}) {
    std::sort(list->begin(), list->end());
    if (std::adjacent_find(list->begin(), list->end()) == list->end()) continue;
    fail<ValueError>("ppermute: two pairs have one {}",
                     list == &sources ? "source" : "destination");
  }
  return emit_one(ppermute_primitive(), {x}, PermuteAxisParams{name, pairs});
}

Tensor pbroadcast(const Tensor& x, const NamedAxes& axis, int64_t source) {
  const int64_t size = size_of("pbroadcast", axis);
  if (source < 0 || source >= size)
    fail<ValueError>("pbroadcast: there is no element {} of {}", source, size);
  return all_gather(x, axis)[source];
}

Tensor pshuffle(const Tensor& x, const NamedAxes& axis, const std::vector<int64_t>& permutation) {
  const int64_t size = size_of("pshuffle", axis);
  if (static_cast<int64_t>(permutation.size()) != size) {
    fail<ValueError>("pshuffle: expected a permutation of {} indices, got {}", size,
                     permutation.size());
  }
  std::vector<std::pair<int64_t, int64_t>> pairs;
  for (size_t to = 0; to < permutation.size(); ++to)
    pairs.emplace_back(permutation[to], static_cast<int64_t>(to));
  return ppermute(x, axis, pairs);
}

}  // namespace linnet
