#include "linnet/io/state_dict.h"

#include <set>

#include "linnet/detail/format.h"
#include "linnet/io/checkpoint.h"

namespace linnet {

const StateDict::Map& StateDict::entries() const {
  if (!is_map()) fail<ValueError>("state dict: expected a map, got a value");
  return std::get<Map>(value_);
}
StateDict::Map& StateDict::entries() { return const_cast<Map&>(std::as_const(*this).entries()); }

namespace {

std::string names_of(const StateDict::Map& map) {
  std::string out;
  for (const auto& [name, entry] : map) out += (out.empty() ? "" : ", ") + name;
  return out.empty() ? "nothing" : out;
}

}  // namespace

const StateDict& StateDict::operator[](std::string_view name) const {
  const Map& map = entries();
  const auto found = map.find(name);
  if (found == map.end())
    fail<ValueError>("state dict: there is no '{}'; there is {}", name, names_of(map));
  return found->second;
}

HostArray StateDict::array() const {
  if (const HostArray* array = std::get_if<HostArray>(&value_)) return *array;
  if (const bool* value = std::get_if<bool>(&value_))
    return to_host_array(scalar_integer(*value, DType::kBool));
  if (const int64_t* value = std::get_if<int64_t>(&value_))
    return to_host_array(scalar_integer(*value, DType::kI64));
  if (const double* value = std::get_if<double>(&value_))
    return to_host_array(scalar(*value, DType::kF64));
  fail<ValueError>("state dict: expected an array, got {}",
                   is_map() ? "a map of " + names_of(entries()) : "nothing or a text");
}

namespace {

std::string place(const tree::Path& path) {
  return path.empty() ? std::string("the root") : "'" + tree::to_string(path) + "'";
}

/// Puts every tensor at the texts of its path; a tree without tensors is an empty map.
class TreeWriter : public tree::PathVisitor {
 public:
  void tensor(Tensor& leaf) override {
    put(path(), StateDict(to_host_array(leaf)));
    PathVisitor::tensor(leaf);
  }
  void cell(state::CellPtr& cell) override {
    const state::Value value = state::read(cell);
    if (value.single()) {
      put(path(), StateDict(to_host_array(value.tensors[0])));
    } else {
      StateDict list;
      for (size_t i = 0; i < value.tensors.size(); ++i)
        list.entries().emplace(std::to_string(i), to_host_array(value.tensors[i]));
      put(path(), std::move(list));
    }
    PathVisitor::cell(cell);
  }
  void enter(const std::type_info& type, size_t children) override {
    PathVisitor::enter(type, children);
    const tree::Path at = node_path();
    if (!at.empty()) put(at, StateDict());
  }
  StateDict root;

 private:
  void put(const tree::Path& path, StateDict entry) {
    StateDict* node = &root;
    for (const tree::Key& key : path) node = &node->entries()[tree::to_string(key)];
    if (path.empty() ? false : !(node->is_map() && node->entries().empty()))
      fail<ValueError>("to_state_dict: two entries at {}", place(path));
    *node = std::move(entry);
  }
};

/// Fills the tensors of a tree, and counts what it has found in every map.
class TreeReader : public tree::PathVisitor {
 public:
  explicit TreeReader(const StateDict& saved) : saved_(&saved) {}
  void tensor(Tensor& leaf) override {
    leaf = read(path(), leaf);
    PathVisitor::tensor(leaf);
  }
  void cell(state::CellPtr& cell) override {
    state::Value value = state::read(cell);
    for (size_t i = 0; i < value.tensors.size(); ++i) {
      tree::Path at = path();
      if (!value.single()) at.push_back({"", static_cast<int64_t>(i)});
      value.tensors[i] = read(at, value.tensors[i]);
    }
    state::write(cell, std::move(value));
    PathVisitor::cell(cell);
  }
  /// @throws ValueError naming what the tree has no place for.
  void require_all_read() const { require_read(*saved_, {}); }

 private:
  Tensor read(const tree::Path& path, const Tensor& target) {
    const StateDict* node = saved_;
    tree::Path above;
    for (const tree::Key& key : path) {
      const std::string name = tree::to_string(key);
      if (!node->contains(name)) {
        fail<ValueError>("from_state_dict: at {} there is no '{}'; there is {}", place(above), name,
                         node->is_map() ? names_of(node->entries()) : "a value");
      }
      node = &node->entries().find(name)->second;
      above.push_back(key);
    }
    read_.insert(node);
    const Tensor value = to_tensor(node->array());
    if (target.defined() && value.shape() != target.shape()) {
      fail<ShapeError>("from_state_dict: at {}: expected {}, got {}", place(path),
                       to_string(target.type()), to_string(value.type()));
    }
    return value;
  }
  void require_read(const StateDict& node, const tree::Path& path) const {
    if (!node.is_map()) {
      if (node.is_array() && !read_.count(&node)) {
        fail<ValueError>("from_state_dict: {} has no place in the target", place(path));
      }
      return;
    }
    for (const auto& [name, entry] : node.entries()) {
      tree::Path below = path;
      below.push_back({name});
      require_read(entry, below);
    }
  }

  const StateDict* saved_;
  std::set<const StateDict*> read_;
};

}  // namespace

namespace detail {

StateDict write_state_dict(const std::function<void(tree::Visitor&)>& visit) {
  TreeWriter writer;
  visit(writer);
  return std::move(writer.root);
}

void read_state_dict(const StateDict& saved, const std::function<void(tree::Visitor&)>& visit) {
  TreeReader reader(saved);
  visit(reader);
  reader.require_all_read();
}

}  // namespace detail
}  // namespace linnet
