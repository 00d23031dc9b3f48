// Functions of modules over a batch: stacked variables by axes, ensembles, vmapped constructors.
//
//   nnx::Rngs rngs(0);                                        // an ensemble of five
//   Mlp models = nnx::split_rngs({.splits = 5}, nnx::vmap([](nnx::Rngs& r) { return Mlp(r);
//   }))(rngs); Tensor ys = nnx::vmap([](Mlp& m, const Tensor& x) { return m(x); },
//                         {.in_axes = {0, nnx::kNone}})(models, x);
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "linnet/nnx/transforms_call.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

using linnet::eval_shape;

struct VmapOptions {
  /// One entry for each argument; empty: 0 for all.
  std::vector<AxesPrefix> in_axes = {};
  /// One for the whole result, or one for each element of a tuple or pair. Empty: 0.
  std::vector<AxesPrefix> out_axes = {};
  /// What collectives inside call the batch (collectives.h): the `axis_name` of a batch norm.
  std::string axis_name = {};
  /// Needed only if nothing is mapped.
  std::optional<int64_t> axis_size = {};
  /// With `partition_name` the metadata of mapped variables follow their arrays: the axis has that
  /// name outside and is absent inside; other keys do the same to tuples of names under that key.
  Metadata transform_metadata = {};
};

namespace detail {
void vmap_call(std::vector<Visit> arguments, const Body& body, const VmapOptions& options);
}

/// f over a batch. Arguments may hold modules: variables with an axis are stacked along it, and
/// what f writes to them is stacked again; those with kNone are one for all elements (N-100).
/// Modules that f makes come out with stacked variables. Objects are passed by reference, so that
/// what f does to them is seen by the caller.
/// @throws ShapeError if sizes disagree; ValueError for a variable that is reached with two
/// different axes, a returned variable that is no argument and was not made inside, or a number of
/// axes that does not fit; TraceError if a variable with kNone or a captured one is given a value
/// that differs between the elements.
template <class F>
auto vmap(F f, VmapOptions options = {}) {
  return
      [f = std::move(f), options = std::move(options)]<class... A>(A&&... args) -> decltype(auto) {
        detail::TypedCall<const F, A...> call(f, args...);
        detail::vmap_call(call.arguments(), call.body(), options);
        return call.result();
      };
}

struct MetadataOptions {
  /// As for vmap.
  std::vector<AxesPrefix> in_axes = {};
  std::vector<AxesPrefix> out_axes = {};
  /// The name of the axis; none: an axis without one.
  std::optional<std::string> partition = {};
};

namespace detail {
void metadata_call(std::vector<Visit> arguments, const Body& body, const MetadataOptions& options);
}

/// f with metadata of variables as if an axis were mapped, without mapping anything (N-114): the
/// axis is absent from those of the arguments while f runs, and is added to those of its results.
/// @throws ValueError if a variable has another name at that axis, and for axes as vmap.
template <class F>
auto transform_metadata(F f, MetadataOptions options) {
  return
      [f = std::move(f), options = std::move(options)]<class... A>(A&&... args) -> decltype(auto) {
        detail::TypedCall<const F, A...> call(f, args...);
        detail::metadata_call(call.arguments(), call.body(), options);
        return call.result();
      };
}

}  // namespace linnet::nnx

#pragma GCC visibility pop
