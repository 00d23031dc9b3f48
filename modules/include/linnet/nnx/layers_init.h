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

#include "linnet/function.h"
#include "linnet/init.h"
#include "linnet/layers/config.h"
#include "linnet/nnx/rngs.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

struct ParamInit {
  Initializer function;  ///< empty: the layer's default
  Metadata metadata;

  ParamInit() = default;
  template <class F>
    requires std::is_invocable_r_v<Tensor, const F&, const Key&, const Shape&, DType>
  ParamInit(F function, Metadata metadata = {})  // NOLINT(runtime/explicit)
      : function(std::move(function)),
        metadata(std::move(metadata)),
        identity_(linnet::detail::unique_number()) {}

  /// Functions cannot be compared: an initialiser is equal to its copies only.
  template <class Identity>
  void identify(Identity& out) const {
    if (function) out.text += std::to_string(identity_);
    if (!metadata.empty() || (function && identity_ == 0)) out.opaque = true;
  }
  void visit(tree::Visitor& visitor);

 private:
  uint64_t identity_ = 0;
};

struct AttentionCall;

/// How the settings of layers (layers/config.h) are spelled here.
struct Api {
  static constexpr bool kFunctional = false;
  struct Scope;  ///< never defined: object layers are called without one
  using ParamInit = nnx::ParamInit;
  using Mode = bool;
  using AttentionCall = nnx::AttentionCall;
};

/// An initialiser whose variable carries metadata (N-012). A name that the layer's own metadata
/// have too is as given here, except hooks, of which the layer's count.
ParamInit with_metadata(Initializer initializer, Metadata metadata);

/// An initialiser whose variable carries `out_sharding` (and `mesh`): a mesh axis name, or none,
/// per dimension (N-149). `more` is added to the metadata.
ParamInit with_partitioning(Initializer initializer, AxisNames names,
                            std::optional<MeshAxes> mesh = {}, Metadata more = {});

/// A parameter from the next key of `rngs.params()`. It is drawn as `drawn_shape` if given, else as
/// `shape`; `metadata` is joined to that of `init`, as of `with_metadata`.
/// @throws ValueError if both give `hijax`, `ref` or `eager_sharding`, and differ.
Param make_param(Rngs& rngs, const ParamInit& init, const Initializer& otherwise,
                 const Shape& shape, DType dtype, const Metadata& metadata = {},
                 const std::optional<Shape>& drawn_shape = {});

}  // namespace linnet::nnx

namespace linnet::tree {
template <>
struct Traits<nnx::ParamInit> {
  static void visit(nnx::ParamInit& init, Visitor& visitor) { init.visit(visitor); }
};
}  // namespace linnet::tree

#pragma GCC visibility pop
