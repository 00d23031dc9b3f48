#include "linnet/bridge/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "linnet/detail/format.h"
#include "linnet/ops.h"

namespace linnet::bridge::detail {
namespace {

using Names = std::vector<std::string>;

const nnx::VariableType* type_of_cell(const nnx::detail::NodeLeaf& leaf) {
  return leaf.cell ? static_cast<const nnx::VariableCell&>(*leaf.cell).type : nullptr;
}

/// Empty for what has no counterpart in a functional dictionary.
std::string collection_of(const nnx::detail::NodeLeaf& leaf) {
  const nnx::VariableType* type = type_of_cell(leaf);
  if (!type || type->is(nnx::RngState::static_type())) return {};
  return nnx::variable_name_from_type(*type, true);
}

void append(std::vector<StoredLeaf>& out, const std::string& collection, const std::string& path,
            const state::Value& value) {
  const bool single = value.single();
  for (size_t i = 0; i < value.tensors.size(); ++i) {
    out.push_back({collection, single ? path : path + "/" + std::to_string(i), value.tensors[i]});
  }
}

std::string functional_name(const StoredLeaf& leaf) {
  return tree::to_string(Names{leaf.collection}) + "/" + leaf.path;
}

/// Key or count of a stream, by its name and type: `dropout/rngs/key`, u32[2].
bool looks_random(const std::string& name, const std::string& type) {
  return type.starts_with("u32[") && (name.ends_with("/key") || name.ends_with("/count"));
}

/// A tensor of a type such as `u32[3,2]`, of which only the type counts.
Tensor like_type(const std::string& type) {
  Shape shape;
  const char* at = type.data() + type.find('[') + 1;
  const char* const end = type.data() + type.size();
  while (at < end && *at != ']') {
    int64_t size = 0;
    at = std::from_chars(at, end, size).ptr;
    shape.push_back(size);
    if (at < end && *at == ',') ++at;
  }
  return zeros(shape, DType::kU32);
}

void flatten(const StateDict& node, Names& path, std::map<std::string, HostArray>& out) {
  if (!node.is_map()) {
    out.emplace(tree::to_string(path), node.array());
    return;
  }
  for (const auto& [name, child] : node.entries()) {
    path.push_back(name);
    flatten(child, path, out);
    path.pop_back();
  }
}

void check_fits(const std::string& name, const Tensor& target, const HostArray& saved) {
  const std::string wanted = to_string(target.type()), got = type_string(saved.dtype, saved.shape);
  if (target.shape() != Shape(saved.shape.begin(), saved.shape.end()))
    fail<ShapeError>("convert: '{}': expected {}, got {}", name, wanted, got);
  if (target.dtype() != saved.dtype)
    fail<DTypeError>("convert: '{}': expected {}, got {}", name, wanted, got);
}

}  // namespace

std::vector<StoredLeaf> stored_leaves(const std::vector<nnx::detail::NodeLeaf>& leaves) {
  std::vector<StoredLeaf> out;
  for (const nnx::detail::NodeLeaf& leaf : leaves) {
    append(out, collection_of(leaf), tree::to_string(leaf.path),
           leaf.cell ? state::read(leaf.cell) : state::Value(*leaf.tensor));
  }
  return out;
}
std::vector<StoredLeaf> stored_leaves(const linen::Variables& variables) {
  std::vector<StoredLeaf> out;
  for (const auto& [path, leaf] : linen::flat_leaves(variables)) {
    if (leaf->fixed()) continue;
    append(out, path.front(), tree::to_string(Names(path.begin() + 1, path.end())), leaf->leaf());
  }
  return out;
}

std::vector<std::optional<std::string>> stored_names(
    const std::vector<StoredLeaf>& leaves, const std::function<bool(const std::string&)>& stored) {
  size_t functional = 0, object = 0;
  for (const StoredLeaf& leaf : leaves) {
    if (leaf.collection.empty()) continue;
    functional += stored(functional_name(leaf));
    object += stored(leaf.path);
  }
  std::vector<std::optional<std::string>> out;
  for (const StoredLeaf& leaf : leaves) {
    if (!leaf.collection.empty())
      out.push_back(functional >= object ? functional_name(leaf) : leaf.path);
    else if (functional < object && stored(leaf.path))
      out.push_back(leaf.path);
    else
      out.push_back(std::nullopt);
  }
  return out;
}

std::pair<TensorList, Json> load_converted(const std::string& directory,
                                           const std::vector<StoredLeaf>& leaves,
                                           FileSystem& file_system) {
  const Json manifest = checkpoint_manifest(directory, file_system);
  std::map<std::string, std::string> stored;
  for (const auto& [name, leaf] : manifest.at("linnet").at("leaves").as_object())
    stored.emplace(name, leaf.at("type").as_string());
  const auto names =
      stored_names(leaves, [&](const std::string& name) { return stored.count(name) > 0; });

  std::vector<std::pair<std::string, Tensor>> asked;
  for (size_t i = 0; i < leaves.size(); ++i) {
    if (!names[i]) continue;
    asked.emplace_back(*names[i], leaves[i].value);
    stored.erase(*names[i]);
  }
  const size_t wanted = asked.size();
  for (const auto& [name, type] : stored) {
    if (looks_random(name, type)) asked.emplace_back(name, like_type(type));
  }
  auto [values, read] = linnet::detail::load_leaves(directory, asked, file_system);
  values.resize(wanted);
  TensorList out;
  size_t next = 0;
  for (const auto& name : names) out.push_back(name ? values[next++] : Tensor());
  return {std::move(out), std::move(read)};
}

TensorList converted(const StateDict& saved, const std::vector<StoredLeaf>& leaves) {
  std::map<std::string, HostArray> stored;
  Names path;
  flatten(saved, path, stored);
  const auto names =
      stored_names(leaves, [&](const std::string& name) { return stored.count(name) > 0; });
  TensorList out;
  std::string missing, left;
  for (size_t i = 0; i < leaves.size(); ++i) {
    out.emplace_back();
    if (!names[i]) continue;
    const auto found = stored.find(*names[i]);
    if (found == stored.end()) {
      missing += (missing.empty() ? "" : ", ") + *names[i];
      continue;
    }
    check_fits(*names[i], leaves[i].value, found->second);
    out.back() = to_tensor(found->second);
    stored.erase(found);
  }
  for (const auto& [name, array] : stored) {
    if (!looks_random(name, type_string(array.dtype, array.shape)))
      left += (left.empty() ? "" : ", ") + name;
  }
  if (!missing.empty() || !left.empty()) {
    fail<ValueError>("convert: the state dict does not fit: missing {}, left over {}",
                     missing.empty() ? "none" : missing, left.empty() ? "none" : left);
  }
  return out;
}

namespace {

/// The value with those of the list in place of its tensors; `next` moves on by as many.
std::optional<state::Value> replaced(state::Value value, const TensorList& values, size_t& next) {
  bool any = false;
  for (Tensor& tensor : value.tensors) {
    const Tensor& fresh = values.at(next++);
    if (!fresh.defined()) continue;
    tensor = fresh;
    any = true;
  }
  return any ? std::optional(std::move(value)) : std::nullopt;
}

}  // namespace

void write_leaves(const std::vector<nnx::detail::NodeLeaf>& leaves, const TensorList& values) {
  size_t next = 0;
  for (const nnx::detail::NodeLeaf& leaf : leaves) {
    const state::Value held = leaf.cell ? state::read(leaf.cell) : state::Value(*leaf.tensor);
    std::optional<state::Value> fresh = replaced(held, values, next);
    if (!fresh) continue;
    if (leaf.cell)
      state::write(leaf.cell, std::move(*fresh));
    else
      *leaf.tensor = fresh->tensors[0];
  }
}

void write_leaves(linen::Variables& variables, const TensorList& values) {
  size_t next = 0;
  for (const auto& [path, leaf] : linen::flat_leaves(variables)) {
    if (leaf->fixed()) continue;
    if (auto fresh = replaced(leaf->leaf(), values, next))
      variables.at_path(path).leaf() = std::move(*fresh);
  }
}

}  // namespace linnet::bridge::detail
