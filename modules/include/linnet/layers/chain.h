// What a Sequential of either API does with one of its layers.
#pragma once

#include <type_traits>
#include <utility>

#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet::layers {

/// f(x) with the default of its second argument, which a pointer to a function does not know.
/// @throws ValueError unless f is gelu, elu, celu, leaky_relu or squareplus.
Tensor call_activation(Tensor (*f)(const Tensor&, bool), const Tensor& x);
Tensor call_activation(Tensor (*f)(const Tensor&, double), const Tensor& x);

/// A layer with what the one before it gives.
template <class L, class... A>
auto call_in_chain(L& layer, A&&... args) {
  if constexpr (!std::is_invocable_v<L&, A...> && std::is_pointer_v<L> &&
                requires { call_activation(layer, args...); }) {
    return call_activation(layer, args...);
  } else {
    static_assert(std::is_invocable_v<L&, A...>,
                  "Sequential: this layer cannot be called with what the one before it gives. A "
                  "function loses its default arguments here: write [](const Tensor& x) { return "
                  "glu(x); } in place of glu");
    return layer(std::forward<A>(args)...);
  }
}

}  // namespace linnet::layers

#pragma GCC visibility pop
