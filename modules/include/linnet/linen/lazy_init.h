// linen::lazy_init: variables of a module from the types of its arguments.
//
//   linen::Variables v = linen::lazy_init(model, Key(0), abstract({DType::kF32, {512, 224, 224,
//   3}}));
//
// Nothing is computed of what depends on an argument that is abstract, so that a model is
// initialised for large inputs at the cost of its parameters alone.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "linnet/linen/scope.h"
#include "linnet/traced_call.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

namespace detail {

/// Results of `f` for inputs of which some are abstract; `paths` names them afterwards.
TensorList lazy_results(const TensorList& inputs,
                        const std::function<TensorList(const TensorList&)>& f,
                        const std::function<std::vector<std::string>()>& paths);

}  // namespace detail

/// `init`, where arguments may hold abstract tensors (L-022, L-067); the others are used as they
/// are.
/// @throws LazyInitError naming the variables that depend on an abstract one.
template <class Module, class... A>
Variables lazy_init(const Module& module, const RngStreams& rngs, const A&... args) {
  const auto make = [&](const std::decay_t<const A&>&... now) {
    return init(module, rngs, now...);
  };
  linnet::detail::CallOf<const decltype(make), A...> call(args...);
  std::vector<std::string> paths;
  const TensorList values = detail::lazy_results(
      call.inputs(),
      [&](const TensorList& inputs) {
        TensorList out = call.run(make, inputs);
        for (const auto& [path, leaf] : tree::leaves_with_path(call.traced()))
          paths.push_back(path);
        return out;
      },
      [&] { return paths; });
  return call.result(values);
}

}  // namespace linnet::linen

#pragma GCC visibility pop
