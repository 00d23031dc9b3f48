#include "linnet/nnx/transforms_batch.h"

#include <algorithm>
#include <set>

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
  state::Scope writes;
  const TensorList results = linnet::detail::batch_call(
      "vmap", objects.inputs(), mapped_axes(objects.places()),
      [&](const TensorList& traced) { return objects.run(traced, body, options.out_axes); },
      [&](size_t) { return mapped_axes(objects.results()); }, options.axis_size, options.axis_name);
  objects.finish(results, writes);
}

namespace {

/// Metadata that are put back unless the call has succeeded.
class MetadataChange {
 public:
  ~MetadataChange() {
    for (auto& [cell, metadata] : before_) cell->metadata = std::move(metadata);
  }
  void set(const VariableCellPtr& cell, Metadata metadata) {
    before_.emplace_back(cell, std::exchange(cell->metadata, std::move(metadata)));
  }
  void keep() { before_.clear(); }

 private:
  std::vector<std::pair<VariableCellPtr, Metadata>> before_;
};

/// Axes that the metadata of a variable describe.
size_t described_axes(const VariableCellPtr& cell) {
  const state::Value& value = state::peek(cell);
  return axis_count(cell->metadata, value.tensors.empty() ? 0 : value.tensors[0].rank());
}

}  // namespace

void metadata_call(std::vector<Visit> arguments, const Body& body, const MetadataOptions& options) {
  Metadata axis;
  axis.set(kPartitionName, options.partition ? MetadataValue(*options.partition) : MetadataValue());
  const ObjectCall objects("transform_metadata", std::move(arguments), options.in_axes,
                           {.differentiates = true});
  MetadataChange change;
  std::set<const state::Cell*> known;
  const auto each_mapped = [&](const auto& change_one) {
    for (const ObjectCall::Leaf& leaf : objects.leaves()) {
      known.insert(leaf.node.cell.get());
      if (!leaf.node.cell || !leaf.axis.mapped()) continue;
      change_one(std::static_pointer_cast<VariableCell>(leaf.node.cell), leaf.axis.position());
    }
  };
  const auto add = [&](const VariableCellPtr& cell, int64_t position) {
    const size_t axes = std::max<size_t>(described_axes(cell), position < 0 ? 0 : position);
    change.set(cell, add_axis(cell->metadata, position, axis, axes));
  };
  each_mapped([&](const VariableCellPtr& cell, int64_t position) {
    // A variable without names has an axis there all the same.
    const size_t axes = std::max<size_t>(described_axes(cell), position < 0 ? 1 : position + 1);
    change.set(cell, remove_axis(cell->metadata, position, axis, axes));
  });
  const std::vector<Visit> parts = body(options.out_axes.size());
  if (options.out_axes.size() > 1 && options.out_axes.size() != parts.size()) {
    fail<ValueError>("transform_metadata: out_axes has {} entries for {} results",
                     options.out_axes.size(), parts.size());
  }
  each_mapped(add);
  for (size_t i = 0; i < parts.size(); ++i) {
    const AxesPrefix out = options.out_axes.empty()       ? AxesPrefix(0)
                           : options.out_axes.size() == 1 ? options.out_axes[0]
                                                          : options.out_axes[i];
    for (const NodeLeaf& leaf : walk(parts[i])) {
      if (!leaf.cell || !known.insert(leaf.cell.get()).second) continue;
      const auto cell = std::static_pointer_cast<VariableCell>(leaf.cell);
      const LeafAxis where = out.of(leaf.path, {cell, Tensor()});
      if (where.mapped()) add(cell, where.position());
    }
  }
  change.keep();
}

}  // namespace linnet::nnx::detail
