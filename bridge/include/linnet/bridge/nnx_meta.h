// bridge::NNXMeta: the box that carries type and metadata of a variable through functional
// dictionaries.
//
//   bridge::NNXMeta box(nnx::Param::static_type(), w, {{"out_sharding", AxisNames{"in", "out"}}});
//   NNXMeta mapped = box.add_axis(0, {{"partition_name", "layers"}});
//   mapped.get_partition_spec();                         // (layers, in, out)
//   linen::Variables leaf = mapped;                      // and NNXMeta(leaf) is the way back
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "linnet/bridge/convert.h"
#include "linnet/random.h"

#pragma GCC visibility push(default)

namespace linnet {
class PartitionSpec;
}

namespace linnet::bridge {

/// What `NNXMeta::replace` changes; what is not given stays.
struct NNXMetaUpdates {
  const nnx::VariableType* var_type = nullptr;
  std::optional<state::Value> value = {};
  std::optional<Metadata> metadata = {};
};

class NNXMeta {
 public:
  NNXMeta(const nnx::VariableType& var_type, state::Value value, Metadata metadata = {});
  /// @throws ModuleError if the leaf has no box with a variable type.
  explicit NNXMeta(const linen::Variables& leaf);

  const nnx::VariableType& var_type() const { return *var_type_; }
  const state::Value& raw_value() const { return value_; }
  /// The tensor. @throws ModuleError for tuples.
  Tensor value() const;
  const Metadata& metadata() const { return metadata_; }

  /// The value as it is.
  const state::Value& unbox() const { return value_; }
  NNXMeta replace_boxed(state::Value value) const;
  NNXMeta replace(NNXMetaUpdates updates) const;
  /// A variable of that type, value and metadata.
  nnx::Variable to_nnx_variable() const;
  /// Names after translation by the rules of the variable and of the thread; empty without
  /// sharding. (`linnet/partition_spec.h` has the type.)
  PartitionSpec get_partition_spec() const;

  /// With a new entry at `position` of every per-axis tuple of the metadata: `out_sharding` gets
  /// `parameters["partition_name"]`, others `parameters[their key]` if given (B-131 … B-140). The
  /// array is not touched. @throws ModuleError (PartitioningUnspecifiedError) without a partition
  /// name.
  NNXMeta add_axis(int64_t position, const Metadata& parameters) const;
  /// The inverse. @throws ValueError stating expected and found name.
  NNXMeta remove_axis(int64_t position, const Metadata& parameters) const;

  operator linen::Variables() const;  // NOLINT(runtime/explicit)
  /// Type, metadata and the identity of the arrays.
  bool operator==(const NNXMeta& other) const;

 private:
  size_t axis_count() const;
  const nnx::VariableType* var_type_;
  state::Value value_;
  Metadata metadata_;
};

/// Makes a leaf of a shape; what layers take as initialiser.
using VariableInitializer = std::function<Tensor(const Key&, const Shape&, DType)>;

/// An initialiser whose result is annotated: a Param with `out_sharding = names` that functional
/// dictionaries show as `Partitioned` (B-146).
std::function<nnx::Param(const Key&, const Shape&, DType)> with_partitioning(
    VariableInitializer init, AxisNames names, std::optional<MeshAxes> mesh = {});

}  // namespace linnet::bridge

#pragma GCC visibility pop
