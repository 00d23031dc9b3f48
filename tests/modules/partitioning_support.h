// What tests of annotations share: meshes of handles, errors by their facts.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "linnet/core.h"
#include "linnet/linen.h"
#include "linnet/nnx.h"
#include "linnet/partitioning.h"
#include "tests/core/sharding_support.h"

namespace linnet::test {

inline Metadata partition(const char* name) { return {{"partition_name", name}}; }
inline Metadata no_partition() { return {{"partition_name", std::monostate()}}; }
/// (data: 2, model: 4)
inline Mesh mesh24() { return mesh_of({2, 4}, {"data", "model"}); }

}  // namespace linnet::test
