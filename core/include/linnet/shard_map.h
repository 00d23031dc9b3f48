// shard_map: a function written for one position of a mesh, which sees its block of each argument
// and talks to the others by collectives.
//
//   const Mesh mesh = make_mesh({4}, "rows");
//   auto product = shard_map([](const Tensor& a, const Tensor& b) {      // a: [n/4, k], b: [k/4,
//   m]
//     return matmul(a, all_gather(b, "rows", {.tiled = true}));
//   }, {.mesh = mesh, .in_specs = {P("rows"), P("rows")}, .out_specs = {P("rows")}});
//   Tensor c = product(a, b);                                            // [n, m]
//
// All positions are computed on the device of the arguments, as a batch over each axis of the mesh:
// the same values and derivatives that one device per position gives. The umbrella header does not
// include this one.
#pragma once

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "linnet/mesh.h"
#include "linnet/partition_spec.h"
#include "linnet/transforms.h"

#pragma GCC visibility push(default)

namespace linnet {

struct ShardMapOptions {
  Mesh mesh = {};  ///< by default the current one
  /// How each argument is divided, for all its leaves; a single one is for all arguments.
  std::vector<PartitionSpec> in_specs = {};
  /// How the results are put together: one spec, or one per element of a tuple or pair result.
  std::vector<PartitionSpec> out_specs = {};
  /// A result whose spec leaves an axis out must be the same along it, which has to follow from how
  /// it is computed; otherwise the block of the first position is taken.
  bool check = true;
};

namespace detail {

/// @param counts leaves of each argument; `out_counts` those of each element of the result.
TensorList shard_map_call(const ShardMapOptions& options, const TensorList& inputs,
                          const std::vector<size_t>& counts, const FlatFunction& f,
                          const std::function<std::vector<size_t>(size_t)>& out_counts);

}  // namespace detail

/// `f` at every position of a mesh (J-094, S-230). Inside, collectives (collectives.h) take the
/// names of the mesh's axes.
/// @throws MeshError without a mesh, or if it is not the current one; ValueError if there is not a
/// spec for each argument or result, or a result differs along an axis that its spec leaves out;
/// SpecError, UnknownAxisError, SpecRankError, IndivisibleError for specs that do not fit.
template <class F>
auto shard_map(F f, ShardMapOptions options) {
  return [f = std::move(f), options = std::move(options)]<class... A>(const A&... args) {
    detail::CallOf<const F, A...> function(args...);
    const TensorList outputs = detail::shard_map_call(
        options, function.inputs(), function.counts(),
        [&](const TensorList& blocks) { return function.run(f, blocks); },
        [&](size_t count) {
          return options.out_specs.size() > 1 ? detail::leaf_counts(function.traced())
                                              : std::vector<size_t>{count};
        });
    return function.result(outputs);
  };
}

}  // namespace linnet

#pragma GCC visibility pop
