// Modules of both APIs as submodules of a bridge::Module.
//
//   Tensor operator()(const Tensor& x) {
//     const bridge::Compact compact(*this);
//     auto layer = bridge::nnx_in_bridge_mdl([](nnx::Rngs& rngs) { return Block(8, rngs); });
//     auto head = bridge::linen_in_bridge_mdl(linen::Dense{.features = 2}, "head");
//     return (*head)((*layer)(x));
//   }
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/bridge/module.h"
#include "linnet/bridge/to_nnx.h"
#include "linnet/jit.h"
#include "linnet/nnx/graph.h"

#pragma GCC visibility push(default)

namespace linnet::bridge {

namespace detail {

/// The module whose call is in progress. @throws ModuleError outside of one.
Module& interop_parent(const char* function);
/// The name in a compact method: the one given, or the next one for the type. Empty elsewhere.
std::string interop_name(std::string_view given, const std::string& type);
template <class M>
std::string object_class_name() {
  if constexpr (requires { M::kClassName; })
    return M::kClassName;
  else
    return linen::class_name(typeid(M));
}
/// Leaves of random state, in order.
std::vector<nnx::detail::NodeLeaf> random_leaves(const std::function<void(tree::Visitor&)>& visit);
void set_wrapper_initializing(const std::function<void(tree::Visitor&)>& visit, bool value);

/// What `factory` makes, with types in place of values: nothing of it is computed but random state,
/// if there are streams.
template <class M, class F>
M abstract_module(const F& factory, nnx::Rngs& streams) {
  const bool has_streams = !streams.empty();
  nnx::Rngs stand_in(0);
  nnx::GraphDef graphdef;
  const auto random_state = jit([&](nnx::Rngs& rngs) {
    M made = factory(rngs);
    graphdef = nnx::graphdef(made);
    TensorList keys_and_counts;
    if (!has_streams) return keys_and_counts;
    for (const nnx::detail::NodeLeaf& leaf : random_leaves(nnx::detail::visitor_of(made)))
      keys_and_counts.push_back(state::read(leaf.cell).tensors.at(0));
    return keys_and_counts;
  })(has_streams ? streams : stand_in);
  M out = nnx::detail::copy_prototype<M>(graphdef);
  if (has_streams) {
    size_t next = 0;
    for (const nnx::detail::NodeLeaf& leaf : random_leaves(nnx::detail::visitor_of(out)))
      state::write(leaf.cell, state::Value(random_state.at(next++)));
  }
  return out;
}

}  // namespace detail

/// The object module `factory(rngs)` inside a call of a bridge::Module (B-195 … B-201).
/// Initialising, it is made with the streams of the call. Applying, it is made without values,
/// which come from the variables of the call; only its random streams are made. In a compact method
/// it is attached under `name`, or its type with a number; in `setup` whoever calls attaches it to
/// a field.
/// @throws ModuleError outside of a call.
template <class F>
auto nnx_in_bridge_mdl(const F& factory, std::string_view name = {}) {
  using M = std::invoke_result_t<const F&, nnx::Rngs&>;
  Module& parent = detail::interop_parent("nnx_in_bridge_mdl");
  const auto make = [&] {
    nnx::Rngs& rngs = parent.scope()->rngs();
    return nnx::Shared<M>::make(
        parent.is_initializing() ? factory(rngs) : detail::abstract_module<M>(factory, rngs));
  };
  const std::string own = detail::interop_name(name, detail::object_class_name<M>());
  return own.empty() ? make() : parent.shared_submodule(own, make);
}

/// The functional module as a ToNNX on the streams of the call, which makes its variables iff the
/// call initialises (B-202 … B-204). Names are those of `nnx_in_bridge_mdl`.
template <class M>
nnx::Shared<ToNNX<M>> linen_in_bridge_mdl(M module, std::string_view name = {}) {
  Module& parent = detail::interop_parent("linen_in_bridge_mdl");
  const std::string own = detail::interop_name(name, linen::class_name_of(module));
  const auto make = [&] {
    auto out = nnx::Shared<ToNNX<M>>::make(std::move(module), parent.scope()->rngs());
    detail::set_wrapper_initializing(nnx::detail::visitor_of(*out), parent.is_initializing());
    return out;
  };
  return own.empty() ? make() : parent.shared_submodule(own, make);
}

}  // namespace linnet::bridge

#pragma GCC visibility pop
