#include "linnet/linen/collections.h"

#include "linnet/detail/format.h"
#include "linnet/io/checkpoint.h"

namespace linnet::linen {
namespace {

FlatPath below(const FlatPath& path, const std::string& name) {
  FlatPath out = path;
  out.push_back(name);
  return out;
}

void flatten_into(std::map<FlatPath, Variables>& out, const FlatPath& path, const Variables& entry,
                  const FlattenOptions& options) {
  const bool chosen = options.is_leaf && options.is_leaf(path, entry);
  if (entry.is_leaf() || chosen || (entry.empty() && options.keep_empty_nodes && !path.empty())) {
    out.emplace(path, entry);
    return;
  }
  for (const auto& [name, child] : entry.children())
    flatten_into(out, below(path, name), child, options);
}

std::string bytes_of(const Tensor& tensor) {
  const HostArray array = to_host_array(tensor);
  return {reinterpret_cast<const char*>(array.bytes().data()), array.bytes().size()};
}

bool same_value(const Tensor& a, const Tensor& b) {
  return a.type() == b.type() && bytes_of(a) == bytes_of(b);
}

bool same_leaf(const Variables& a, const Variables& b) {
  if (a.is_leaf() != b.is_leaf() || a.box() != b.box()) return false;
  if (a.fixed() || b.fixed())
    return a.fixed() && b.fixed() && a.fixed()->text() == b.fixed()->text();
  const state::Value &x = a.leaf(), &y = b.leaf();
  if (x.tuple != y.tuple || x.tensors.size() != y.tensors.size()) return false;
  for (size_t i = 0; i < x.tensors.size(); ++i) {
    if (!same_value(x.tensors[i], y.tensors[i])) return false;
  }
  return true;
}

Variables map_paths(const Variables& node, const FlatPath& path,
                    const std::function<Tensor(const FlatPath&, const Tensor&)>& function) {
  if (node.is_leaf()) {
    Variables out = node;
    if (!node.fixed()) {
      for (Tensor& tensor : out.leaf().tensors) tensor = function(path, tensor);
    }
    return out;
  }
  Variables out = node;  // with its box
  for (auto& [name, child] : out.children()) child = map_paths(child, below(path, name), function);
  return out;
}

Variables reboxed(const Variables& boxed, const Variables& update, const FlatPath& path) {
  const auto kind = [](const Variables& node) { return node.is_leaf() ? "leaf" : "dictionary"; };
  if (boxed.is_leaf() != update.is_leaf()) {
    fail<TreeError>("replace_boxed: expected a {} at '{}', got a {}", kind(boxed),
                    tree::to_string(path), kind(update));
  }
  Variables out = update;
  for (const auto& [name, child] : boxed.children()) {
    if (!update.contains(name)) {
      fail<TreeError>("replace_boxed: expected an entry '{}', got none",
                      tree::to_string(below(path, name)));
    }
    out.children()[name] = reboxed(child, update[name], below(path, name));
  }
  for (const auto& [name, child] : update.children()) {
    if (boxed.contains(name)) continue;
    fail<TreeError>("replace_boxed: expected no entry '{}', got one",
                    tree::to_string(below(path, name)));
  }
  if (boxed.box()) out.set_box(boxed.box());
  return out;
}

}  // namespace

std::pair<Variables, Variables> pop(const Variables& variables, std::string_view name) {
  Variables entry = variables[name];
  Variables rest = variables;
  rest.children().erase(rest.children().find(name));
  return {std::move(rest), std::move(entry)};
}

Variables copy(const Variables& variables, const Variables& updates) {
  Variables out = variables;
  for (const auto& [name, entry] : updates.children()) out.children().insert_or_assign(name, entry);
  return out;
}

bool same_content(const Variables& a, const Variables& b) {
  if (a.is_leaf() || b.is_leaf()) return same_leaf(a, b);
  if (a.keys() != b.keys() || a.box() != b.box()) return false;
  for (const auto& [name, child] : a.children()) {
    if (!same_content(child, b[name])) return false;
  }
  return true;
}

size_t hash_of(const Variables& variables) {
  std::string text;
  for (const auto& [path, leaf] : flat_leaves(variables)) {
    text += tree::to_string(path) + '=';
    if (leaf->fixed()) {
      text += leaf->fixed()->text();
      continue;
    }
    for (const Tensor& tensor : leaf->leaf().tensors)
      text += linnet::to_string(tensor.type()) + bytes_of(tensor);
  }
  return std::hash<std::string>{}(text);
}

std::map<FlatPath, Variables> flatten_dict(const Variables& variables,
                                           const FlattenOptions& options) {
  std::map<FlatPath, Variables> out;
  flatten_into(out, {}, variables, options);
  return out;
}

std::map<std::string, Variables> flatten_dict(const Variables& variables,
                                              std::string_view separator,
                                              const FlattenOptions& options) {
  std::map<std::string, Variables> out;
  for (auto& [path, entry] : flatten_dict(variables, options))
    out.emplace(fmt::format("{}", fmt::join(path, separator)), entry);
  return out;
}

Variables unflatten_dict(const std::map<FlatPath, Variables>& flat) {
  Variables out;
  for (const auto& [path, entry] : flat) {
    Variables* node = &out;
    for (const std::string& name : path) {
      if (node->is_leaf()) {
        fail<TreeError>("unflatten_dict: '{}' leads through the leaf of another path",
                        tree::to_string(path));
      }
      node = &node->children()[name];
    }
    *node = entry;
  }
  return out;
}

Variables unflatten_dict(const std::map<std::string, Variables>& flat, std::string_view separator) {
  std::map<FlatPath, Variables> paths;
  for (const auto& [text, entry] : flat) {
    FlatPath path;
    size_t begin = 0;
    for (size_t end = 0; end != std::string::npos; begin = end + separator.size()) {
      end = text.find(separator, begin);
      path.push_back(text.substr(begin, end == std::string::npos ? end : end - begin));
      if (end == std::string::npos) break;
    }
    paths.emplace(std::move(path), entry);
  }
  return unflatten_dict(paths);
}

Variables path_aware_map(const Variables& variables,
                         const std::function<Tensor(const FlatPath&, const Tensor&)>& function) {
  return map_paths(variables, {}, function);
}

Variables replace_boxed(const Variables& variables, const Variables& updates) {
  return reboxed(variables, updates, {});
}

}  // namespace linnet::linen
