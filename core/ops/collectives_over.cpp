// Collectives over an axis that is a dimension of the values: what they are under `vmap`.
#include <algorithm>

#include "core/ops/collectives.h"
#include "core/ops/creation.h"
#include "core/ops/shape_ops.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet {
namespace {

std::string_view name_in(const GatherAxisParams& p) { return p.name; }
std::string_view name_in(const AllToAllParams& p) { return p.name; }
std::string_view name_in(const PermuteAxisParams& p) { return p.name; }
std::string_view name_in(const AxisIndexParams& p) { return p.name; }

template <class P>
bool asks_for_one(ParamsRef params, std::string_view name) {
  return name_in(params.as<P>()) == name;
}

bool asks_for_reduction(ParamsRef params, std::string_view name) {
  const std::vector<std::string>& axes = params.as<ReduceAxesParams>().axes;
  return std::find(axes.begin(), axes.end(), name) != axes.end();
}

/// The value of every element, in front.
Tensor of_all(const AlongAxis& x, int64_t size) {
  return x.batched ? x.value : repeated(x.value, size);
}

Tensor index_list(const std::vector<int64_t>& indices) {
  return astype(from_vector(indices, {static_cast<int64_t>(indices.size())}), DType::kI32);
}

Tensor elements_at(const Tensor& x, const std::vector<int64_t>& indices) {
  return take(x, index_list(indices), 0, GatherMode::kPromiseInBounds);
}

/// `f` of the elements of each group by itself, or of all without groups.
template <class F>
AlongAxis in_groups(const AxisIndexGroups& groups, int64_t size, const AlongAxis& x, const F& f) {
  if (groups.empty()) return f(x, size);
  const Tensor all = of_all(x, size);
  TensorList parts;
  std::vector<int64_t> place(static_cast<size_t>(size));
  int64_t next = 0;
  for (const std::vector<int64_t>& group : groups) {
    const int64_t members = static_cast<int64_t>(group.size());
    parts.push_back(of_all(f(AlongAxis{elements_at(all, group), true}, members), members));
    for (int64_t member : group) place[static_cast<size_t>(member)] = next++;
  }
  return {elements_at(concatenate(parts, 0), place), true};
}

Tensor total(const AlongAxis& x, int64_t size) {
  const DType dtype = x.value.dtype();
  if (!x.batched) return x.value * scalar(static_cast<double>(size), dtype);
  return astype(sum(x.value, 0), dtype);
}

template <AlongAxis (*kReduce)(const AlongAxis&, int64_t size), const Primitive& (*kPrimitive)()>
AlongAxis reduce_over(ParamsRef params, std::string_view name, int64_t size, const AlongAxis& x) {
  ReduceAxesParams rest = params.as<ReduceAxesParams>();
  AlongAxis out = in_groups(rest.groups, size, x, kReduce);
  rest.axes.erase(std::find(rest.axes.begin(), rest.axes.end(), name));
  if (!rest.axes.empty()) out.value = emit_one(kPrimitive(), {out.value}, rest);
  return out;
}

AlongAxis sum_over(const AlongAxis& x, int64_t size) { return {total(x, size), false}; }
AlongAxis max_over(const AlongAxis& x, int64_t) {
  return {x.batched ? max(x.value, 0) : x.value, false};
}
AlongAxis min_over(const AlongAxis& x, int64_t) {
  return {x.batched ? min(x.value, 0) : x.value, false};
}

/// Dimensions `axis` and `axis + 1` as one.
Tensor joined(const Tensor& x, int64_t axis) {
  Shape shape = x.shape();
  shape[axis] *= shape[axis + 1];
  shape.erase(axis + 1);
  return reshape(x, shape);
}

/// Dimension `axis` as two, of which the first has `count` entries.
Tensor divided(const Tensor& x, int64_t axis, int64_t count) {
  Shape shape = x.shape();
  shape.insert(axis + 1, shape[axis] / count);
  shape[axis] = count;
  return reshape(x, shape);
}

AlongAxis all_gather_over(ParamsRef params, std::string_view, int64_t size, const AlongAxis& x) {
  const auto& p = params.as<GatherAxisParams>();
  return in_groups(p.groups, size, x, [&p](const AlongAxis& part, int64_t members) {
    const Tensor stacked = moveaxis(of_all(part, members), 0, p.axis);
    return AlongAxis{p.tiled ? joined(stacked, p.axis) : stacked, false};
  });
}

AlongAxis psum_scatter_over(ParamsRef params, std::string_view, int64_t size, const AlongAxis& x) {
  const auto& p = params.as<GatherAxisParams>();
  return in_groups(p.groups, size, x, [&p](const AlongAxis& part, int64_t members) {
    const Tensor all = total(part, members);
    return AlongAxis{moveaxis(p.tiled ? divided(all, p.axis, members) : all, p.axis, 0), true};
  });
}

AlongAxis all_to_all_over(ParamsRef params, std::string_view, int64_t size, const AlongAxis& x) {
  const auto& p = params.as<AllToAllParams>();
  return in_groups(p.groups, size, x, [&p](const AlongAxis& part, int64_t members) {
    const Tensor all = of_all(part, members);  // [from, dimensions…]
    const Tensor dealt = p.tiled ? divided(all, p.split + 1, members) : all;
    const Tensor by_receiver = moveaxis(dealt, p.split + 1, 0);  // [to, from, dimensions…]
    const Tensor placed = moveaxis(by_receiver, 1, p.concat + 1);
    return AlongAxis{p.tiled ? joined(placed, p.concat + 1) : placed, true};
  });
}

AlongAxis ppermute_over(ParamsRef params, std::string_view, int64_t size, const AlongAxis& x) {
  const auto& p = params.as<PermuteAxisParams>();
  std::vector<int64_t> source(static_cast<size_t>(size), 0);
  std::vector<bool> receives(static_cast<size_t>(size), false);
  for (const auto& [from, to] : p.pairs) {
    source[static_cast<size_t>(to)] = from;
    receives[static_cast<size_t>(to)] = true;
  }
  const Tensor sent = x.batched ? elements_at(x.value, source) : repeated(x.value, size);
  if (p.pairs.size() == source.size()) return x.batched ? AlongAxis{sent, true} : x;
  Shape each(sent.rank(), 1);
  each[0] = size;
  return {where(reshape(from_vector(receives, {size}), each), sent, 0), true};
}

AlongAxis axis_index_over(ParamsRef params, std::string_view, int64_t size, const AlongAxis&) {
  return {iota_on(params.as<AxisIndexParams>().device, DType::kI32, {size}), true};
}

}  // namespace

const Collective* collective_of(const Primitive& primitive) {
  static const std::pair<const Primitive*, Collective> kAll[] = {
      {&psum_primitive(), {asks_for_reduction, reduce_over<sum_over, psum_primitive>}},
      {&pmax_primitive(), {asks_for_reduction, reduce_over<max_over, pmax_primitive>}},
      {&pmin_primitive(), {asks_for_reduction, reduce_over<min_over, pmin_primitive>}},
      {&all_gather_primitive(), {asks_for_one<GatherAxisParams>, all_gather_over}},
      {&psum_scatter_primitive(), {asks_for_one<GatherAxisParams>, psum_scatter_over}},
      {&all_to_all_primitive(), {asks_for_one<AllToAllParams>, all_to_all_over}},
      {&ppermute_primitive(), {asks_for_one<PermuteAxisParams>, ppermute_over}},
      {&axis_index_primitive(), {asks_for_one<AxisIndexParams>, axis_index_over}}};
  for (const auto& [known, collective] : kAll) {
    if (known == &primitive) return &collective;
  }
  return nullptr;
}

}  // namespace linnet
