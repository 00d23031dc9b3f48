// Dictionaries of dictionaries, as linen::Variables and bridge::AttributeTree are: a node is a leaf
// or has `children()`, a map from names to nodes.
//
//   for (const auto& [path, leaf] : detail::flat_leaves(variables)) ...
#pragma once

#include <string>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace linnet::detail {

/// `kernel, bias`, or `nothing`: for error texts.
template <class Map>
std::string names_of_children(const Map& children) {
  std::string out;
  for (const auto& [name, child] : children) out += (out.empty() ? "" : ", ") + name;
  return out.empty() ? "nothing" : out;
}

/// The node at a path; null if absent.
template <class Node>
const Node* find_node(const Node& root, const std::vector<std::string>& path) {
  const Node* node = &root;
  for (const std::string& name : path) {
    const auto found = node->children().find(name);
    if (found == node->children().end()) return nullptr;
    node = &found->second;
  }
  return node;
}

template <class Node>
using FlatLeaves = std::vector<std::pair<std::vector<std::string>, const Node*>>;

template <class Node>
void append_leaves_below(const Node& node, std::vector<std::string>& path, FlatLeaves<Node>& out) {
  if (node.is_leaf()) {
    out.emplace_back(path, &node);
    return;
  }
  for (const auto& [name, child] : node.children()) {
    path.push_back(name);
    append_leaves_below(child, path, out);
    path.pop_back();
  }
}

/// Every leaf of `root` with its path, in order.
template <class Node>
FlatLeaves<Node> flat_leaves(const Node& root) {
  FlatLeaves<Node> out;
  std::vector<std::string> path;
  append_leaves_below(root, path, out);
  return out;
}

}  // namespace linnet::detail

#pragma GCC visibility pop
