// nnx::ParamInit: how an object layer makes a variable: an initialiser, with metadata for the
// variable.
//
//   nnx::Linear up(512, 2048, {.kernel_init = init::normal(0.02)}, rngs);
//   nnx::Linear tp(512, 2048, {.kernel_init = nnx::with_partitioning(init::lecun_normal(), {{},
//   "model"})}, rngs);
#pragma once

#include <concepts>
#include <optional>
#include <utility>

#include "linnet/init.h"
#include "linnet/nnx/rngs.h"

namespace linnet::nnx {

struct ParamInit {
  Initializer function;  ///< empty: the layer's default
  Metadata metadata;

  ParamInit() = default;
  template <class F>
    requires std::is_invocable_r_v<Tensor, const F&, const Key&, const Shape&, DType>
  ParamInit(F function, Metadata metadata = {})  // NOLINT(runtime/explicit)
      : function(std::move(function)), metadata(std::move(metadata)) {}
};

/// An initialiser whose variable carries `out_sharding` (and `mesh`): a mesh axis name, or none,
/// per dimension (N-149). `more` is added to the metadata.
ParamInit with_partitioning(Initializer initializer, AxisNames names,
                            std::optional<MeshAxes> mesh = {}, Metadata more = {});

/// A parameter from the next key of `rngs.params()`. It is drawn as `drawn_shape` if given, else as
/// `shape`; `metadata` adds to that of `init`.
Param make_param(Rngs& rngs, const ParamInit& init, const Initializer& otherwise,
                 const Shape& shape, DType dtype, const Metadata& metadata = {},
                 const std::optional<Shape>& drawn_shape = {});

}  // namespace linnet::nnx
