// Low-rank adaptation: a trained layer stays as it is, and a product of two narrow matrices that is
// added to it is trained.
//
//   nnx::LoRALinear layer(512, 512, 8, rngs);               // rank 8
//   auto tuned = nnx::LoRA(512, 8, 512, trained, rngs);     // around a layer that there is
//   auto [loss, grads] = nnx::value_and_grad<nnx::LoRAParam>(f, model);
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include "linnet/nnx/layers_linear.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

struct LoRAOptions {
  std::optional<DType> dtype = {};
  DType param_dtype = DType::kF32;
  ParamInit a_init = {};  ///< by default he_uniform
  ParamInit b_init = {};  ///< by default zeros, so that at first nothing is added
  Metadata a_metadata = {};
  Metadata b_metadata = {};
  /// The kind of both variables.
  const VariableType* param_type = &LoRAParam::static_type();
};

namespace detail {

/// The two factors: lora_a [in, rank], lora_b [rank, out].
class LoRAFactors {
 public:
  LoRAFactors(int64_t in_features, int64_t rank, int64_t out_features, const LoRAOptions& options,
              RngsRef rngs);
  /// x [..., in] · lora_a · lora_b, [..., out].
  Tensor product(const Tensor& x) const;

  Variable lora_a, lora_b;
  int64_t in_features, lora_rank, out_features;
  std::optional<DType> dtype;

  LINNET_FIELDS(lora_a, lora_b, in_features, lora_rank, out_features, dtype)
};

struct NoBase {};

}  // namespace detail

/// x [..., in] -> x · lora_a · lora_b [..., out], plus what `base_module` gives for x if there is
/// one (N-132). Keys are drawn for lora_a, then lora_b. The base is any callable module or
/// Shared one.
template <class Base = detail::NoBase>
class LoRA : public detail::LoRAFactors {
 public:
  LoRA(int64_t in_features, int64_t rank, int64_t out_features, RngsRef rngs)
      : LoRA(in_features, rank, out_features, LoRAOptions(), rngs) {}
  LoRA(int64_t in_features, int64_t rank, int64_t out_features, const LoRAOptions& options,
       RngsRef rngs)
      : LoRAFactors(in_features, rank, out_features, options, rngs) {}
  LoRA(int64_t in_features, int64_t rank, int64_t out_features, Base base, RngsRef rngs)
      : LoRA(in_features, rank, out_features, std::move(base), {}, rngs) {}
  LoRA(int64_t in_features, int64_t rank, int64_t out_features, Base base,
       const LoRAOptions& options, RngsRef rngs)
      : LoRAFactors(in_features, rank, out_features, options, rngs), base_module(std::move(base)) {}

  /// Further arguments are the base's.
  template <class... A>
  Tensor operator()(const Tensor& x, A&&... more) {
    return sum_with(base_module, x, std::forward<A>(more)...);
  }
  template <class... A>
  Tensor operator()(const Tensor& x, A&&... more) const {
    return sum_with(base_module, x, std::forward<A>(more)...);
  }

  std::optional<Base> base_module;

  LINNET_FIELDS_AND_BASE(detail::LoRAFactors, base_module)

 private:
  template <class B, class... A>
  Tensor sum_with(B& base, const Tensor& x, A&&... more) const {
    const Tensor low = product(x);
    if constexpr (std::is_same_v<Base, detail::NoBase>) {
      static_assert(sizeof...(A) == 0, "LoRA: there is no base module for further arguments");
      return low;
    } else if constexpr (requires { (**base)(x, more...); }) {
      return base ? low + (**base)(x, std::forward<A>(more)...) : low;
    } else {
      static_assert(std::is_invocable_v<decltype(*base), const Tensor&, A...>,
                    "LoRA: the base module cannot be called with these arguments");
      return base ? low + (*base)(x, std::forward<A>(more)...) : low;
    }
  }
};
LoRA(int64_t, int64_t, int64_t, RngsRef) -> LoRA<>;
LoRA(int64_t, int64_t, int64_t, const LoRAOptions&, RngsRef) -> LoRA<>;
template <class Base>
LoRA(int64_t, int64_t, int64_t, Base, RngsRef) -> LoRA<Base>;
template <class Base>
LoRA(int64_t, int64_t, int64_t, Base, const LoRAOptions&, RngsRef) -> LoRA<Base>;

/// A Linear, under whose paths are those of one, with a LoRA `lora` beside it (N-132).
class LoRALinear : public Linear {
 public:
  LoRALinear(int64_t in_features, int64_t out_features, int64_t rank, RngsRef rngs)
      : LoRALinear(in_features, out_features, rank, {}, {}, rngs) {}
  LoRALinear(int64_t in_features, int64_t out_features, int64_t rank, const LinearOptions& linear,
             const LoRAOptions& options, RngsRef rngs)
      : Linear(in_features, out_features, linear, rngs),
        lora(in_features, rank, out_features, options, rngs) {}

  Tensor operator()(const Tensor& x) const { return Linear::operator()(x) + lora(x); }

  LoRA<> lora;

  LINNET_FIELDS_AND_BASE(Linear, lora)
};

}  // namespace linnet::nnx

#pragma GCC visibility pop
