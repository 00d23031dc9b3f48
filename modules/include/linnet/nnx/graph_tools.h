// Looking through the nodes and variables of a model, and changing all of them: iter_graph,
// find_duplicates, map, set_metadata, as_pure, and pure calls of a graph definition.
//
//   for (const nnx::GraphItem& item : nnx::iter_graph(model)) …
//   Model halves = nnx::map(model, [](const tree::Path&, const nnx::StateLeaf& leaf) {
//     return leaf.value().astype(DType::kF16); });
//   nnx::set_metadata(model, nnx::path_contains("head"), {{"tag", "frozen"}});
//   auto [y, parts] = nnx::call<Model>(graphdef, state)([&](Model& m) { return m(x); });
#pragma once

#include <functional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "linnet/nnx/graph.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

/// Something a walk over a model meets.
struct GraphItem {
  enum class Kind : uint8_t {
    kNode,      ///< a module or container
    kVariable,  ///< `leaf` has its cell
    kTensor,    ///< a tensor that is no variable, in `leaf`
    kStatic,    ///< a setting, which has no value here
  };
  tree::Path path;
  Kind kind = Kind::kNode;
  const std::type_info* type = nullptr;  ///< of a node or a setting
  StateLeaf leaf = {};
};

namespace detail {
std::vector<GraphItem> iter_graph(const std::function<void(tree::Visitor&)>& visit);
std::vector<std::vector<tree::Path>> find_duplicates(
    const std::function<void(tree::Visitor&)>& visit, const Filter* only);
using LeafMap = std::function<Tensor(const tree::Path&, const StateLeaf&)>;
void map_leaves(const std::vector<NodeLeaf>& leaves, const LeafMap& f);
void set_metadata(const std::vector<NodeLeaf>& leaves, const Filter& only,
                  const Metadata& metadata);
}  // namespace detail

/// Everything in a model, what is inside before its node, each node and variable once (N-057).
template <class M>
std::vector<GraphItem> iter_graph(const M& model) {
  return detail::iter_graph(detail::visitor_of(const_cast<M&>(model)));
}

/// For each variable or shared module that is reached by several paths, these paths (N-058).
/// Containers are not counted.
template <class M>
std::vector<std::vector<tree::Path>> find_duplicates(const M& model) {
  return detail::find_duplicates(detail::visitor_of(const_cast<M&>(model)), nullptr);
}
/// Of the variables that a filter chooses.
template <class M>
std::vector<std::vector<tree::Path>> find_duplicates(const M& model, const Filter& only) {
  return detail::find_duplicates(detail::visitor_of(const_cast<M&>(model)), &only);
}

/// A new model with `f(path, leaf)` as the value of each variable and tensor; kinds, metadata and
/// sharing stay (N-055). The model may be a bare variable.
template <class M>
M map(const M& model, const detail::LeafMap& f) {
  M out = tree::copy(model);
  detail::map_leaves(detail::walk(detail::visitor_of(out)), f);
  return out;
}

/// Adds metadata to all variables that a filter chooses (N-060).
template <class M>
void set_metadata(M& model, const Filter& only, const Metadata& metadata) {
  detail::set_metadata(detail::walk(detail::visitor_of(model)), only, metadata);
}
template <class M>
void set_metadata(M& model, const Metadata& metadata) {
  nnx::set_metadata(model, everything(), metadata);
}

/// The same paths with plain tensors in place of variables (N-061).
/// @throws ModuleError for a variable that holds a tuple.
State as_pure(const State& state);
template <class M>
  requires(!std::is_same_v<M, State>)
State as_pure(M& model) {
  return as_pure(state(model));
}

/// A pure call: `call<M>(graphdef, states...)(f)` merges, calls `f(module)`, and gives
/// `{result, {graphdef, state}}` with what f changed; the states given stay as they are (N-049).
template <class M, class... S>
auto call(const GraphDef& graphdef, const State& first, const S&... states) {
  return [graphdef, all = State(merge_state({&first, &states...}))]<class F>(F&& f) {
    M module = merge<M>(graphdef, State(all));
    auto result = std::forward<F>(f)(module);
    return std::make_pair(std::move(result), split(module));
  };
}

}  // namespace linnet::nnx

#pragma GCC visibility pop
