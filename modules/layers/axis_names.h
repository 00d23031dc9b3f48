// Private: the natural names of a variable in a model.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "linnet/layers/axis_names.h"
#include "linnet/metadata.h"

namespace linnet::layers {

/// Classes of the modules of a model by path. There may be several at one.
using ModuleClasses = std::multimap<std::vector<std::string>, std::string>;

/// How rules divide the variable at `path`: by its natural names in the outermost layer that knows
/// it, so that an attention layer has the say over its projections. Empty without any, and for
/// fewer dimensions than there are names.
PartitionSpec natural_spec(const ModuleClasses& classes, const std::vector<std::string>& path,
                           size_t rank, const AxisRules& rules);

}  // namespace linnet::layers
