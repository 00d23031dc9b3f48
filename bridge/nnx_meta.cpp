#include "linnet/bridge/nnx_meta.h"

#include "linnet/detail/format.h"
#include "linnet/partitioning.h"

namespace linnet::bridge {

NNXMeta::NNXMeta(const nnx::VariableType& var_type, state::Value value, Metadata metadata)
    : var_type_(&var_type), value_(std::move(value)), metadata_(std::move(metadata)) {}

NNXMeta::NNXMeta(const linen::Variables& leaf)
    : var_type_(leaf.box() ? leaf.box()->variable_type : nullptr), value_(leaf.leaf()) {
  if (!var_type_) {
    fail<ModuleError>("NNXMeta: the leaf is {}, not a box with a variable type",
                      leaf.box() ? "a " + leaf.box()->kind : "bare");
  }
  metadata_ = leaf.box()->metadata;
}

Tensor NNXMeta::value() const {
  if (!value_.single())
    fail<ModuleError>("NNXMeta: expected a tensor, got a tuple of {}", value_.tensors.size());
  return value_.tensors[0];
}

NNXMeta NNXMeta::replace_boxed(state::Value value) const {
  return replace({.value = std::move(value)});
}

NNXMeta NNXMeta::replace(NNXMetaUpdates updates) const {
  NNXMeta out(updates.var_type ? *updates.var_type : *var_type_, updates.value.value_or(value_),
              updates.metadata.value_or(metadata_));
  if (updates.value) out.metadata_.set_axes_beside_array(0);
  return out;
}

nnx::Variable NNXMeta::to_nnx_variable() const {
  return nnx::Variable(nnx::make_variable_cell(*var_type_, value_, metadata_));
}

PartitionSpec NNXMeta::get_partition_spec() const { return partition_spec(metadata_); }

size_t NNXMeta::axis_count() const {
  return linnet::axis_count(metadata_, value_.single() ? value().rank() : 0);
}

NNXMeta NNXMeta::add_axis(int64_t position, const Metadata& parameters) const {
  return NNXMeta(*var_type_, value_,
                 linnet::add_axis(metadata_, position, parameters, axis_count()));
}
NNXMeta NNXMeta::remove_axis(int64_t position, const Metadata& parameters) const {
  return NNXMeta(*var_type_, value_,
                 linnet::remove_axis(metadata_, position, parameters, axis_count()));
}

NNXMeta::operator linen::Variables() const {
  return linen::Variables(value_, linen::Box{"NNXMeta", metadata_, var_type_});
}

bool NNXMeta::operator==(const NNXMeta& other) const {
  if (var_type_ != other.var_type_ || metadata_ != other.metadata_) return false;
  if (value_.tuple != other.value_.tuple || value_.tensors.size() != other.value_.tensors.size())
    return false;
  for (size_t i = 0; i < value_.tensors.size(); ++i) {
    if (value_.tensors[i].impl() != other.value_.tensors[i].impl()) return false;
  }
  return true;
}

std::function<nnx::Param(const Key&, const Shape&, DType)> with_partitioning(
    VariableInitializer init, AxisNames names, std::optional<MeshAxes> mesh) {
  Metadata metadata{{"out_sharding", std::move(names)},
                    {std::string(kLinenMetaType), std::string("Partitioned")}};
  if (mesh) metadata.set("mesh", *mesh);
  return [init = std::move(init), metadata](const Key& key, const Shape& shape, DType dtype) {
    return nnx::Param(init(key, shape, dtype), metadata);
  };
}

}  // namespace linnet::bridge
