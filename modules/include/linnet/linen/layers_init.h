// linen::ParamInit: how a functional layer makes a parameter: an initialiser, or one whose result
// is boxed with axis names.
//
//   linen::Dense{.features = 10, .kernel_init = init::normal(0.02)}
//   linen::Dense{.features = 10, .kernel_init = linen::with_partitioning(init::lecun_normal(),
//   {"in", "out"})}
#pragma once

#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "linnet/function.h"
#include "linnet/init.h"
#include "linnet/layers/config.h"
#include "linnet/linen/scope.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

class ParamInit {
 public:
  using Function = std::function<Variables(const Key&, const Shape&, DType)>;

  /// Not given: the layer's default.
  ParamInit() = default;
  /// From `Tensor(const Key&, const Shape&, DType)` or the same returning a leaf with its box.
  template <class F>
    requires std::is_invocable_v<const F&, const Key&, const Shape&, DType>
  ParamInit(F function)  // NOLINT(runtime/explicit)
      : function_(
            [function = std::move(function)](const Key& key, const Shape& shape, DType dtype) {
              return Variables(function(key, shape, dtype));
            }),
        identity_(linnet::detail::unique_number()) {}

  explicit operator bool() const { return function_ != nullptr; }
  /// Functions cannot be compared: an initialiser is equal to its copies only.
  template <class Identity>
  void identify(Identity& out) const {
    out.text += std::to_string(identity_);
  }
  void visit(tree::Visitor& visitor) {
    if (function_) visitor.fixed(typeid(ParamInit), std::to_string(identity_));
  }
  Variables operator()(const Key& key, const Shape& shape, DType dtype) const {
    return function_(key, shape, dtype);
  }
  /// This, or `other` if not given.
  ParamInit value_or(Initializer other) const {
    return function_ ? *this : ParamInit(std::move(other));
  }
  /// Makes its values for `shape` and reshapes them to the shape that is asked for.
  ParamInit drawn_as(const Shape& shape) const;

 private:
  Function function_;
  uint64_t identity_ = 0;
};

/// An initialiser whose result is a Partitioned box: a mesh axis name, or none, per dimension
/// (L-107).
ParamInit with_partitioning(Initializer initializer, AxisNames names,
                            std::optional<MeshAxes> mesh = {});
/// The same with logical names, translated by rules (L-109).
ParamInit with_logical_partitioning(Initializer initializer, AxisNames names,
                                    std::optional<AxisRules> rules = {},
                                    std::optional<MeshAxes> mesh = {});

struct AttentionCall;

/// How the settings of layers (layers/config.h) are spelled here.
struct Api {
  static constexpr bool kFunctional = true;
  using Scope = linen::Scope;
  using ParamInit = linen::ParamInit;
  using Mode = std::optional<bool>;  ///< none: given at the call
  using AttentionCall = linen::AttentionCall;
};

/// The parameter `name` of a layer: read if it exists, made by `init` otherwise.
/// @throws ModuleError as Scope::param.
Tensor param(Scope& scope, const std::string& name, const ParamInit& init, const Shape& shape,
             DType dtype);

}  // namespace linnet::linen

namespace linnet::tree {
template <>
struct Traits<linen::ParamInit> {
  static void visit(linen::ParamInit& init, Visitor& visitor) { init.visit(visitor); }
};
}  // namespace linnet::tree

#pragma GCC visibility pop
