#include "linnet/nnx/transforms_batch.h"

#include <algorithm>

#include "linnet/detail/format.h"

namespace linnet::nnx::detail {
namespace {

std::vector<std::optional<int64_t>> mapped_axes(const std::vector<ObjectCall::Place>& places) {
  std::vector<std::optional<int64_t>> out;
  for (const ObjectCall::Place& place : places) {
    out.push_back(place.axis.mapped() ? std::optional(place.position) : std::nullopt);
  }
  return out;
}

void refuse_carry(const std::vector<AxesPrefix>& axes) {
  for (const AxesPrefix& prefix : axes) {
    if (prefix.has_carry()) fail<ValueError>("vmap: kCarry is for loops; expected axes or kNone");
  }
}

}  // namespace

void vmap_call(std::vector<Visit> arguments, const Body& body, const VmapOptions& options) {
  refuse_carry(options.in_axes);
  refuse_carry(options.out_axes);
  ObjectCall objects("vmap", std::move(arguments), options.in_axes,
                     {.metadata = options.transform_metadata});
  const TensorList results = linnet::detail::batch_call(
      "vmap", objects.inputs(), mapped_axes(objects.places()),
      [&](const TensorList& traced) { return objects.run(traced, body, options.out_axes); },
      [&](size_t) { return mapped_axes(objects.results()); }, options.axis_size, options.axis_name);
  objects.finish(results);
}

}  // namespace linnet::nnx::detail
