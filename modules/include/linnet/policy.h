// In which types a module keeps its parameters, computes, and answers: mixed precision for any
// module of either API, as one object.
//
//   const Policy half{.compute = DType::kBF16};        // parameters and results stay f32
//   const Policy half = Policy::parse("params=f32,compute=bf16,output=f32");
//
//   linen::Dense{…} -> half(linen::Dense{.features = 64})             // the settings of one layer
//   nnx::Linear up(32, 64, half(nnx::Linear::Options{}), rngs);
//
//   Tensor y = s("body", linen::with_policy(Body{}, half), x);        // a module, whatever is in
//   it nnx::WithPolicy<Body> body(half, rngs); Tensor y = body(x);
//
//   const Policy eight{.compute = DType::kBF16, .products = Products::kFloat8};
//
// has the linear layers of a module multiply numbers of eight bits (linnet/float8_dot.h);
// everything else in it computes as without. The innermost policy around a layer decides: a head
// with a policy of its own inside of such a module multiplies as that says.
//
// Gradients have the types of the parameters. For float16 take a scale of the loss besides
// (linnet/dynamic_scale.h): what is smaller than 6e-8 would vanish.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "linnet/float8_dot.h"
#include "linnet/linen/transforms_map.h"
#include "linnet/nnx/graph.h"
#include "linnet/ops.h"
#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet {

struct Policy {
  DType param = DType::kF32;             ///< of parameters where they are kept
  DType compute = DType::kF32;           ///< of parameters and arguments inside of the module
  DType output = DType::kF32;            ///< of its results
  Products products = Products::kPlain;  ///< of linear layers inside of the module

  /// `params=f32,compute=bf16,output=f32,products=float8` in any order, what is missing as for
  /// `Policy{}`; a single type means all three types.
  /// @throws ValueError for another key or other products, DTypeError for what is no floating type.
  static Policy parse(std::string_view text);

  /// The settings of a layer of either API, computing and keeping parameters as the policy says;
  /// its results have the type it computes in.
  /// @throws ValueError if the policy says more than types: settings of a layer do not hold that.
  template <class Layer>
    requires requires(Layer& layer) {
      layer.dtype = DType::kF32;
      layer.param_dtype = DType::kF32;
    }
  Layer operator()(Layer layer) const {
    check_types_only();
    layer.dtype = compute;
    layer.param_dtype = param;
    return layer;
  }

  /// A copy of a tree with its floating tensors in one of the three types.
  template <class Tree>
  Tree cast_to_param(const Tree& tree) const {
    return cast(tree, param);
  }
  template <class Tree>
  Tree cast_to_compute(const Tree& tree) const {
    return cast(tree, compute);
  }
  template <class Tree>
  Tree cast_to_output(const Tree& tree) const {
    return cast(tree, output);
  }

  LINNET_FIELDS(param, compute, output, products)

 private:
  void check_types_only() const;
  template <class Tree>
  static Tree cast(const Tree& tree, DType dtype) {
    if constexpr (std::is_arithmetic_v<Tree> || std::is_same_v<Tree, linen::Scope>) {
      return tree;
    } else {
      return tree::map(tree, [dtype](const Tensor& leaf) {
        return is_floating(leaf.dtype()) ? leaf.astype(dtype) : leaf;
      });
    }
  }
};

/// `params=f32,compute=bf16,output=f32`, and `,products=float8` if they are not plain.
std::string to_string(const Policy& policy);

namespace linen {

/// A functional module under a policy; see `with_policy`.
template <class Module>
struct PolicyModule {
  Module module;
  Policy policy;

  template <class... A>
  auto operator()(Scope& s, const A&... args) const {
    const Policy p = policy;
    const auto cast =
        map_variables(module, "params",
                      {.in = [p](const Variables& params) { return p.cast_to_compute(params); },
                       .out = [p](const Variables& params) { return p.cast_to_param(params); },
                       .init = true});
    const ScopedProducts products(p.products);
    return p.cast_to_output(cast(s, p.cast_to_compute(args)...));
  }
  LINNET_FIELDS(module, policy)
};

/// `module` that sees its parameters and floating arguments in the policy's `compute` and whose
/// results are in `output`; init makes parameters of type `param` by a run that computes in what it
/// makes. Other collections are as they
/// are: running averages stay in f32. Names and paths are those of `module` alone.
template <class Module>
PolicyModule<Module> with_policy(Module module, const Policy& policy) {
  return {std::move(module), policy};
}

}  // namespace linen

namespace nnx {

/// An object module under a policy: a call sees parameters (kind Param) and floating arguments in
/// the policy's `compute`; its results are in `output`. What the call writes to other variables
/// that are there before is kept; variables that it makes are not.
template <class M>
class WithPolicy {
 public:
  /// `module` on its own variables, whose parameters become `param`.
  WithPolicy(const Policy& p, M m) : module(std::move(m)), policy(p) { keep_parameters(); }
  /// Makes the module from the arguments of its constructor.
  template <class... A>
    requires std::is_constructible_v<M, A&...>
  explicit WithPolicy(const Policy& p, A&... arguments) : module(arguments...), policy(p) {
    keep_parameters();
  }

  template <class... A>
  auto operator()(const A&... arguments) {
    auto [definition, params, rest] = split(module, of_type<Param>(), everything());
    M inside = merge<M>(definition, policy.cast_to_compute(params), rest);
    const ScopedProducts products(policy.products);
    return policy.cast_to_output(inside(policy.cast_to_compute(arguments)...));
  }

  M module;
  Policy policy;
  LINNET_FIELDS(module, policy)

 private:
  void keep_parameters() {
    const State params = state(module, of_type<Param>());
    update(module, policy.cast_to_param(params));
  }
};

}  // namespace nnx
}  // namespace linnet

#pragma GCC visibility pop
