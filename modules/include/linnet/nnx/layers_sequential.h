// nnx::Sequential: layers and functions, one after the other.
//
//   nnx::Sequential mlp{nnx::Linear(784, 256, rngs), relu, nnx::Linear(256, 10, rngs)};
//   Tensor y = mlp(x);                         // variables layers/0/kernel, layers/2/kernel, …
//
// Write braces: they evaluate from left to right, so that keys are drawn in the order of the
// layers.
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include "linnet/layers/chain.h"
#include "linnet/nnx/rngs.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

/// A chain (N-041). What a layer gives is the argument of the next; a tuple or pair gives several.
/// Without layers it is the identity of one argument. Functions by name, also gelu, elu, celu,
/// leaky_relu and squareplus with their default second argument.
template <class... Layers>
class Sequential {
 public:
  Sequential(Layers... layers) : layers(std::move(layers)...) {}  // NOLINT(runtime/explicit)

  template <class... A>
  auto operator()(A&&... args) {
    return run<0>(*this, nullptr, std::forward<A>(args)...);
  }
  template <class... A>
  auto operator()(A&&... args) const {
    return run<0>(*this, nullptr, std::forward<A>(args)...);
  }
  /// Layers that take Rngs after their arguments get `rngs`.
  template <class... A>
  auto call(RngsRef rngs, A&&... args) {
    return run<0>(*this, &*rngs, std::forward<A>(args)...);
  }

  std::tuple<Layers...> layers;

  LINNET_FIELDS(layers)

 private:
  template <size_t I, class Self, class R, class... A>
  static auto run(Self& self, R rngs, A&&... args) {
    if constexpr (I == sizeof...(Layers)) {
      static_assert(sizeof...(A) == 1, "an empty Sequential is the identity of one argument");
      return std::get<0>(std::make_tuple(std::forward<A>(args)...));
    } else {
      auto& layer = std::get<I>(self.layers);
      auto out = [&] {
        if constexpr (std::is_same_v<R, Rngs*> && std::is_invocable_v<decltype(layer), A..., Rngs&>)
          return layer(std::forward<A>(args)..., *rngs);
        else
          return layers::call_in_chain(layer, std::forward<A>(args)...);
      }();
      if constexpr (I + 1 == sizeof...(Layers)) {
        return out;
      } else if constexpr (tree::detail::is_tuple<decltype(out)>) {
        return std::apply([&](auto&... parts) { return run<I + 1>(self, rngs, parts...); }, out);
      } else {
        return run<I + 1>(self, rngs, out);
      }
    }
  }
};

}  // namespace linnet::nnx

#pragma GCC visibility pop
