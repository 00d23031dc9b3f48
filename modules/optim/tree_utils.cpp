#include "linnet/optim/tree_utils.h"

#include <algorithm>

#include "linnet/detail/format.h"
#include "modules/optim/transform.h"

namespace linnet::optim {

GradientTransformation stateless(
    Function<TensorList(const TensorList& grads, const TensorList& params)> update) {
  const std::string description = fmt::format("stateless({})", update.identity());
  return stateless(description, [update](const TensorList& grads, const TensorList& params) {
    return update(grads, params);
  });
}

NamedChain named_chain(std::vector<std::pair<std::string, GradientTransformation>> parts) {
  NamedChain out;
  std::vector<GradientTransformation> transformations;
  for (auto& [name, part] : parts) {
    if (std::find(out.names.begin(), out.names.end(), name) != out.names.end())
      fail<ValueError>("named_chain: two parts are named '{}'", name);
    out.names.push_back(name);
    transformations.push_back(std::move(part));
  }
  static_cast<GradientTransformation&>(out) = chain(std::move(transformations));
  return out;
}

const TransformState& NamedChain::part(const TransformState& state, std::string_view name) const {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    fail<ValueError>("named_chain: no part is named '{}', only {}", name, fmt::join(names, ", "));
  const size_t index = static_cast<size_t>(found - names.begin());
  if (state.parts.size() != names.size())
    fail<TreeError>("named_chain: the state was made by another transformation's init");
  return state.parts[index];
}

TransformState& NamedChain::part(TransformState& state, std::string_view name) const {
  return const_cast<TransformState&>(part(std::as_const(state), name));
}

}  // namespace linnet::optim
