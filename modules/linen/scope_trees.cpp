// Whole dictionaries as parameters and variables of a scope.
#include "linnet/detail/format.h"
#include "linnet/linen/errors.h"
#include "linnet/transforms.h"
#include "modules/linen/scope_node.h"

namespace linnet::linen {
namespace {

/// @throws ScopeParamShapeError unless the leaves of both have the same paths and shapes.
void require_same_shapes(const ScopeNode& node, const std::string& name, const Variables& expected,
                         const Variables& got) {
  const auto wanted = flat_leaves(expected), found = flat_leaves(got);
  bool same = wanted.size() == found.size();
  for (size_t i = 0; same && i < wanted.size(); ++i) {
    same =
        wanted[i].first == found[i].first && wanted[i].second->shape() == found[i].second->shape();
  }
  if (same) return;
  fail<ScopeParamShapeError>(
      "ScopeParamShapeError: parameter '{}' in scope {}: expected\n{}got\n{}", name, node.text(),
      to_string(expected), to_string(got));
}

}  // namespace

Variables Scope::param_tree(const std::string& name,
                            const std::function<Variables(const Key&)>& init, bool unboxed) {
  node_->check_alive();
  reserve(*node_, name, "params", "param");
  const std::vector<std::string> path = node_->full_path("params", name);
  const auto given = [&](const Variables& entry) { return unboxed ? unbox(entry) : entry; };
  if (const Variables* existing = node_->root->find(path)) {
    const Variables expected =
        eval_shape([&](const Tensor& key) { return init(Key(key)); }, Key(0).data());
    require_same_shapes(*node_, name, expected, *existing);
    return given(*existing);
  }
  if (!node_->root->mutate.contains("params")) parameter_missing(*node_, name);
  const Variables made = init(make_rng("params"));
  for (const auto& [below, leaf] : flat_leaves(made)) {
    std::vector<std::string> at = path;
    at.insert(at.end(), below.begin(), below.end());
    node_->root->put(at, *leaf);
  }
  return given(made);
}

void Scope::put_variables(const std::string& collection, const std::string& name,
                          const Variables& entries) {
  for (const auto& [below, leaf] : flat_leaves(entries)) {
    std::vector<std::string> path{name};
    path.insert(path.end(), below.begin(), below.end());
    put_leaf(collection, path, *leaf);
  }
}

}  // namespace linnet::linen
