// shard_map as a batch over each axis of the mesh, the first outermost.
#include "linnet/shard_map.h"

#include <algorithm>

#include "linnet/detail/format.h"
#include "linnet/sharding.h"
#include "linnet/trace.h"

namespace linnet {
namespace {

using detail::FlatFunction;

Mesh mesh_of(const Mesh& given) {
  const Mesh current = current_mesh();
  if (given.empty() && current.empty())
    fail<MeshError>("shard_map: there is no mesh\n  hint: give one, or set_mesh");
  if (!given.empty() && !current.empty() && !(given == current))
    fail<MeshError>("shard_map: the mesh {} is not the current one, {}", to_string(given),
                    to_string(current));
  return given.empty() ? current : given;
}

/// The spec of every leaf.
std::vector<PartitionSpec> spread(const char* option, const std::vector<PartitionSpec>& specs,
                                  const std::vector<size_t>& counts, const char* what) {
  if (specs.size() != counts.size() && specs.size() != 1)
    fail<ValueError>("shard_map: {} has {} specs for {} {}{}", option, specs.size(), counts.size(),
                     what, counts.size() == 1 ? "" : "s");
  std::vector<PartitionSpec> out;
  for (size_t i = 0; i < counts.size(); ++i)
    out.insert(out.end(), counts[i], specs.size() == 1 ? specs[0] : specs[i]);
  return out;
}

/// Every position has to know its block.
void check_decided(const PartitionSpec& spec) {
  if (spec.has_unconstrained())
    fail<SpecError>("shard_map: {} leaves a dimension open", to_string(spec));
}

/// How an array of blocks is laid out: `whole` is [dimension 0, …] with every divided dimension as
/// [axis, …, rest of it]; `order` brings the axes to the front, in the order of the mesh.
struct Blocks {
  Shape split;
  Axes order;
  std::vector<size_t> axes;  ///< of the mesh, ascending: those in front

  Blocks(const PartitionSpec& spec, const Mesh& mesh, const Shape& block) {
    std::vector<std::pair<size_t, int64_t>> front;
    Axes behind;
    for (size_t d = 0; d < block.size(); ++d) {
      if (d < spec.size()) {
        for (const std::string& name : spec[d].axes()) {
          const size_t axis = mesh.axis_index(name);
          front.emplace_back(axis, static_cast<int64_t>(split.size()));
          split.push_back(mesh.axis_sizes()[axis]);
        }
      }
      behind.push_back(static_cast<int64_t>(split.size()));
      split.push_back(block[d]);
    }
    std::sort(front.begin(), front.end());
    for (const auto& [axis, at] : front) {
      axes.push_back(axis);
      order.push_back(at);
    }
    order.append(behind.begin(), behind.end());
  }
  bool divides(size_t axis) const {
    return std::find(axes.begin(), axes.end(), axis) != axes.end();
  }
};

/// [axes of the mesh that divide it, block].
Tensor blocks_of(const Tensor& whole, const Blocks& layout) {
  return transpose(reshape(whole, layout.split), layout.order);
}

/// The other way.
Tensor joined(const Tensor& blocks, const Blocks& layout, const Shape& whole) {
  Axes back(layout.order.size(), 0);
  for (size_t i = 0; i < layout.order.size(); ++i)
    back[static_cast<size_t>(layout.order[i])] = static_cast<int64_t>(i);
  return reshape(transpose(blocks, back), whole);
}

/// One call, on its way through the axes of the mesh.
class Call {
 public:
  Call(const Mesh& mesh, const ShardMapOptions& options, const FlatFunction& f,
       const std::function<std::vector<size_t>(size_t)>& out_counts)
      : mesh_(mesh), options_(options), f_(f), out_counts_(out_counts) {}

  TensorList operator()(const TensorList& inputs, const std::vector<PartitionSpec>& specs) {
    TensorList blocks;
    for (size_t i = 0; i < inputs.size(); ++i) {
      check_decided(specs[i]);
      const NamedSharding sharding(mesh_, specs[i]);
      in_.emplace_back(specs[i], mesh_, sharding.shard_shape(inputs[i].shape()));
      blocks.push_back(blocks_of(inputs[i], in_.back()));
    }
    TensorList outputs = along(0, blocks);
    for (size_t k = 0; k < outputs.size(); ++k) {
      Shape whole = blocks_out_[k];
      for (size_t d = 0; d < std::min(whole.size(), out_specs_[k].size()); ++d)
        for (const std::string& name : out_specs_[k][d].axes()) whole[d] *= mesh_.axis_size(name);
      outputs[k] = joined(outputs[k], out_[k], whole);
    }
    return outputs;
  }

 private:
  TensorList along(size_t axis, const TensorList& blocks) {
    if (axis == mesh_.axis_names().size()) return at_one_position(blocks);
    std::vector<std::optional<int64_t>> in_axes;
    for (const Blocks& layout : in_)
      in_axes.push_back(layout.divides(axis) ? std::optional<int64_t>(0) : std::nullopt);
    const auto inner = [&](const TensorList& x) {
      const TensorList y = along(axis + 1, x);
      for (size_t k = 0; k < y.size(); ++k) check_equal(y[k], k, axis);
      return y;
    };
    TensorList outputs = detail::batch_call(
        "shard_map", blocks, in_axes, inner, [&](size_t) { return out_axes(axis); },
        mesh_.axis_sizes()[axis], mesh_.axis_names()[axis]);
    if (!options_.check) {
      for (size_t k = 0; k < outputs.size(); ++k)
        if (!out_[k].divides(axis)) outputs[k] = index_axis(outputs[k], 0, 0);
    }
    return outputs;
  }

  /// @throws ValueError for a result that may differ along an axis of the mesh which its spec
  /// leaves out.
  void check_equal(const Tensor& y, size_t k, size_t axis) const {
    if (!options_.check || out_[k].divides(axis) || !current_trace()->owns(y)) return;
    fail<ValueError>(
        "shard_map: the spec {} of result {} leaves out axis '{}', but the result, {}, may differ "
        "along it\n  hint: reduce it over '{}', name the axis in the spec, or switch the check off "
        "(.check = false)",
        to_string(out_specs_[k]), k, mesh_.axis_names()[axis], to_string(y.type()),
        mesh_.axis_names()[axis]);
  }

  std::vector<std::optional<int64_t>> out_axes(size_t axis) const {
    std::vector<std::optional<int64_t>> out;
    for (const Blocks& layout : out_)
      out.push_back(layout.divides(axis) || !options_.check ? std::optional<int64_t>(0)
                                                            : std::nullopt);
    return out;
  }

  TensorList at_one_position(const TensorList& blocks) {
    TensorList outputs = f_(blocks);
    out_specs_ = spread("out_specs", options_.out_specs, out_counts_(outputs.size()), "result");
    for (size_t k = 0; k < outputs.size(); ++k) {
      const PartitionSpec& spec = out_specs_[k];
      check_decided(spec);
      check_spec(spec, mesh_);
      if (spec.size() > outputs[k].rank())
        fail<SpecRankError>("shard_map: {} is for more dimensions than result {} has, {}{}",
                            to_string(spec), k, to_string(outputs[k].type()),
                            outputs[k].rank() == 0 ? "\n  hint: P() is for a number" : "");
      blocks_out_.push_back(outputs[k].shape());
      out_.emplace_back(spec, mesh_, outputs[k].shape());
    }
    return outputs;
  }

  const Mesh& mesh_;
  const ShardMapOptions& options_;
  const FlatFunction& f_;
  const std::function<std::vector<size_t>(size_t)>& out_counts_;
  std::vector<Blocks> in_, out_;
  std::vector<PartitionSpec> out_specs_;
  std::vector<Shape> blocks_out_;
};

}  // namespace

namespace detail {

TensorList shard_map_call(const ShardMapOptions& options, const TensorList& inputs,
                          const std::vector<size_t>& counts, const FlatFunction& f,
                          const std::function<std::vector<size_t>(size_t)>& out_counts) {
  const Mesh mesh = mesh_of(options.mesh);
  return Call(mesh, options, f, out_counts)(
      inputs, spread("in_specs", options.in_specs, counts, "argument"));
}

}  // namespace detail

}  // namespace linnet
