// Natural logical names of the dimensions of layers' variables: with them a table of rules alone
// says how a model of standard layers is divided over a mesh.
//
//   layers::natural_axis_names("Dense")        // {kernel: P('embed', 'mlp'), bias: P('mlp')}
//   nnx::specs_by_rules({{{"mlp", "model"}, {"vocab", "model"}, {"embed", "data"}}}, model);
//
// `specs_by_rules` of linen/partitioning.h and nnx/partitioning.h applies them to whole models.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "linnet/partition_spec.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

/// Names of the last dimensions of a variable; those before them have none.
struct NaturalAxisNames {
  std::string variable;  ///< its path in the layer, `query/kernel`; `*` is any one name
  PartitionSpec names;
};

/// Those of a layer of either API, by the name of its class; none for a layer whose dimensions mean
/// what its user says (DenseGeneral, Einsum), and for classes that are no layers of Linnet.
const std::vector<NaturalAxisNames>& natural_axis_names(std::string_view layer);

}  // namespace linnet::layers

#pragma GCC visibility pop
