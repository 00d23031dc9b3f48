// linen::Sequential: layers and functions, one after the other.
//
//   linen::Sequential mlp{linen::Dense{256}, relu, linen::Dense{10}};
//   Tensor y = s("mlp", mlp, x);                        // parameters mlp/layers_0, mlp/layers_2
#pragma once

#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "linnet/layers/chain.h"
#include "linnet/linen/scope.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

namespace detail {

[[noreturn]] void fail_empty_sequential();

}  // namespace detail

/// A chain (L-161). What a layer gives is the argument of the next; a tuple or pair gives several.
/// Modules are named by their position, `layers_0`, `layers_1`, …; functions take a position too,
/// also gelu, elu, celu, leaky_relu and squareplus with their default second argument.
template <class... Layers>
struct Sequential {
  std::tuple<Layers...> layers;

  Sequential(Layers... layers) : layers(std::move(layers)...) {}  // NOLINT(runtime/explicit)

  /// @throws ValueError if there are no layers.
  template <class... A>
  auto operator()(Scope& s, A&&... args) const {
    if constexpr (sizeof...(Layers) == 0) {
      detail::fail_empty_sequential();
    } else {
      return run<0>(s, std::forward<A>(args)...);
    }
  }

 private:
  template <size_t I, class... A>
  auto run(Scope& s, A&&... args) const {
    const auto& layer = std::get<I>(layers);
    auto out = [&] {
      if constexpr (std::is_invocable_v<decltype(layer), Scope&, A...>)
        return s("layers_" + std::to_string(I), layer, std::forward<A>(args)...);
      else
        return layers::call_in_chain(layer, std::forward<A>(args)...);
    }();
    if constexpr (I + 1 == sizeof...(Layers)) {
      return out;
    } else if constexpr (tree::detail::is_tuple<decltype(out)>) {
      return std::apply([&](auto&... parts) { return run<I + 1>(s, parts...); }, out);
    } else {
      return run<I + 1>(s, out);
    }
  }
};

}  // namespace linnet::linen

#pragma GCC visibility pop
