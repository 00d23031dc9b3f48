#include "linnet/bridge/variables.h"

#include <map>

#include "linnet/bridge/convert.h"
#include "linnet/detail/format.h"

namespace linnet::bridge::detail {
namespace {

std::string collection_of(const nnx::VariableType& type) {
  try {
    return nnx::variable_name_from_type(type);
  } catch (const ValueError&) {
    return type.name();  // not registered, and reading variables registers nothing
  }
}

std::vector<std::string> path_in_collection(const nnx::detail::NodeLeaf& leaf) {
  std::vector<std::string> out{
      collection_of(*static_cast<const nnx::VariableCell&>(*leaf.cell).type)};
  for (std::string& name : tree::names(leaf.path)) out.push_back(std::move(name));
  return out;
}

}  // namespace

linen::Variables variables_of(const std::vector<nnx::detail::NodeLeaf>& leaves) {
  linen::Variables out;
  for (const nnx::detail::NodeLeaf& leaf : leaves) {
    if (!leaf.cell) continue;
    const std::vector<std::string> path = path_in_collection(leaf);
    const nnx::Variable variable(std::static_pointer_cast<nnx::VariableCell>(leaf.cell));
    if (variable.type().is(nnx::RngState::static_type())) continue;
    out.at_path(path) = to_linen_var(variable);
  }
  return out;
}

void update_variables(const std::vector<nnx::detail::NodeLeaf>& leaves,
                      const linen::Variables& variables) {
  std::map<std::vector<std::string>, const nnx::detail::NodeLeaf*> known;
  for (const nnx::detail::NodeLeaf& leaf : leaves) {
    if (leaf.cell) known[path_in_collection(leaf)] = &leaf;
  }
  const auto incoming = linen::flat_leaves(variables);
  for (const auto& [path, leaf] : incoming) {
    if (leaf->fixed() || known.count(path)) continue;
    fail<ModuleError>("bridge::update: the module has no variable {}", fmt::join(path, "/"));
  }
  for (const auto& [path, leaf] : incoming) {
    if (leaf->fixed()) continue;
    const state::CellPtr& cell = known[path]->cell;
    state::write(cell, leaf->leaf());
    if (leaf->box())
      static_cast<nnx::VariableCell&>(*cell).metadata = to_nnx_var(path.front(), *leaf).metadata();
  }
}

}  // namespace linnet::bridge::detail
