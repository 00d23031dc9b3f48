#include <cstring>
#include <unordered_map>

#include "core/graph/rewrite.h"
#include "core/passes/passes.h"
#include "core/tensor/host_access.h"
#include "core/tensor/tensor_impl.h"

namespace linnet {
namespace {

/// Bits and type of a number, as a key; empty for constants with dimensions.
std::string key_of(const Tensor& value) {
  if (!value.shape().empty()) return {};
  const Tensor host = host_view(value);
  std::string key(reinterpret_cast<const char*>(host.impl()->data), size_of(value.dtype()));
  key += to_string(value.device());
  key += static_cast<char>(value.dtype());
  key += static_cast<char>(value.weak());
  return key;
}

void merge_constants(Graph& graph, Replacements& replaced) {
  std::unordered_map<std::string, ValueId> numbers;
  std::unordered_map<const TensorImpl*, ValueId> tensors;
  for (const auto& [id, value] : graph.constants) {
    const std::string key = key_of(value);
    const ValueId first = key.empty() ? tensors.try_emplace(value.impl(), id).first->second
                                      : numbers.try_emplace(key, id).first->second;
    if (first != id) replaced.set(id, first);
  }
}

size_t hash_of(const Graph::Node& node) {
  size_t hash =
      detail::mix_hash(node.params.ref().hash(), static_cast<uint64_t>(node.primitive->id));
  for (ValueId id : node.inputs) hash = detail::mix_hash(hash, static_cast<uint64_t>(id));
  return hash;
}

bool equal(const Graph::Node& a, const Graph::Node& b) {
  return a.primitive == b.primitive && a.inputs == b.inputs && a.params.ref() == b.params.ref();
}

}  // namespace

void merge_common_subexpressions(Graph& graph) {
  Replacements replaced(graph);
  merge_constants(graph, replaced);
  std::unordered_multimap<size_t, const Graph::Node*> seen;
  for (Graph::Node& node : graph.nodes) {
    for (ValueId& id : node.inputs) id = replaced.find(id);
    if (node.primitive->distinct) continue;
    const size_t hash = hash_of(node);
    const auto [begin, end] = seen.equal_range(hash);
    auto found = begin;
    while (found != end && !equal(*found->second, node)) ++found;
    if (found == end) {
      seen.emplace(hash, &node);
      continue;
    }
    for (size_t k = 0; k < node.outputs.size(); ++k)
      replaced.set(node.outputs[k], found->second->outputs[k]);
  }
  replaced.apply(graph);
}

}  // namespace linnet
