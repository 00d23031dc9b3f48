#include "linnet/tree.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>

#include "core/base/format.h"

namespace linnet::tree {

std::string to_string(const Path& path) {
  std::string out;
  for (const Key& key : path) {
    if (!out.empty()) out += '/';
    out += key.index >= 0 ? std::to_string(key.index) : key.name;
  }
  return out;
}

namespace {

std::string readable(const char* mangled) {
  int status = 0;
  char* text = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  std::string out = status == 0 ? text : mangled;
  std::free(text);
  return out;
}

}  // namespace

std::optional<FieldExtent> unlisted_bytes(size_t size, size_t alignment, bool polymorphic,
                                          std::vector<FieldExtent> extents) {
  std::sort(extents.begin(), extents.end());
  extents.push_back({size, 0, alignment});  // the end is aligned as the object
  size_t at = polymorphic ? sizeof(void*) : 0;
  for (const FieldExtent& field : extents) {
    if (field.offset >= at + field.alignment) return FieldExtent{at, field.offset - at, 1};
    at = std::max(at, field.offset + field.size);
  }
  return {};
}

void check_fields(const char* type_name, size_t size, size_t alignment, bool polymorphic,
                  std::string_view names, std::vector<FieldExtent> extents) {
  const auto gap = unlisted_bytes(size, alignment, polymorphic, std::move(extents));
  if (!gap) return;
  fail<TreeError>(
      "{}: the {} bytes at offset {} are in no member of LINNET_FIELDS({})\n"
      "  hint: list every member; one that is left out would not be trained, saved or traced",
      readable(type_name), gap->size, gap->offset, names);
}

namespace {
thread_local CopyScope* copy_scope = nullptr;
}  // namespace

CopyScope::CopyScope() : previous_(copy_scope) { copy_scope = this; }
CopyScope::~CopyScope() { copy_scope = previous_; }
CopyScope* CopyScope::current() { return copy_scope; }

void Visitor::flag(bool& value) { fixed(typeid(bool), value ? "1" : "0"); }

void Flattener::add(LeafRef leaf) {
  result_.leaves.push_back(std::move(leaf));
  if (with_paths_) result_.paths.push_back(path_);
}

void Flattener::tensor(Tensor& leaf) {
  result_.structure += 'T';
  add({&leaf, nullptr});
}

void Flattener::cell(state::CellPtr& cell) {
  const state::Value value = state::read(cell);
  result_.structure += value.tuple ? "C(" + std::to_string(value.tensors.size()) + ")" : "C";
  add({nullptr, cell});
  if (!with_paths_) return;
  if (value.tuple) {
    result_.paths.pop_back();
    for (size_t i = 0; i < value.tensors.size(); ++i) {
      Path path = path_;
      path.push_back({"", static_cast<int64_t>(i)});
      result_.paths.push_back(std::move(path));
    }
  }
}

void Flattener::fixed(const std::type_info& type, std::string_view bytes) {
  result_.structure += 'S';
  result_.structure += std::to_string(bytes.size());
  result_.structure += ':';
  result_.structure += bytes;
  result_.structure += type.name();
}

void Flattener::enter(const std::type_info& type, size_t children) {
  result_.structure += '{';
  result_.structure += type.name();
  result_.structure += std::to_string(children);
  if (with_paths_) depth_.push_back(path_.size());
}

void Flattener::leave() {
  result_.structure += '}';
  if (with_paths_) {
    path_.resize(depth_.back());
    depth_.pop_back();
  }
}

void Flattener::child(std::string_view name) {
  // The length tells where the name ends, whatever it contains.
  result_.structure += '.';
  result_.structure += std::to_string(name.size());
  result_.structure += ':';
  result_.structure += name;
  if (with_paths_) {
    path_.resize(depth_.back());
    path_.push_back({std::string(name), -1});
  }
}

void Flattener::child(int64_t index) {
  // Map keys need not count from 0.
  result_.structure += std::to_string(index);
  result_.structure += ',';
  if (with_paths_) {
    path_.resize(depth_.back());
    path_.push_back(index >= 0 ? Key{"", index} : Key{std::to_string(index), -1});
  }
}

bool Flattener::first_visit(const void* address) {
  const auto found = std::find(shared_.begin(), shared_.end(), address);
  if (found != shared_.end()) {
    result_.structure += '@';
    result_.structure += std::to_string(found - shared_.begin());
    return false;
  }
  shared_.push_back(address);
  return true;
}

TensorList read(const std::vector<LeafRef>& leaves) {
  TensorList out;
  out.reserve(leaves.size());
  for (const LeafRef& leaf : leaves) {
    if (leaf.tensor) {
      out.push_back(*leaf.tensor);
    } else {
      for (Tensor& tensor : state::read(leaf.cell).tensors) out.push_back(std::move(tensor));
    }
  }
  return out;
}

namespace {

template <class Get, class Put>
void distribute(const std::vector<LeafRef>& leaves, std::span<const Tensor> values, Get&& get,
                Put&& put) {
  size_t count = 0;
  for (const LeafRef& leaf : leaves) count += leaf.tensor ? 1 : get(leaf.cell).tensors.size();
  if (count != values.size()) {
    fail<TreeError>("tree: {} tensors were given for a tree of {} leaves", values.size(), count);
  }
  size_t next = 0;
  for (const LeafRef& leaf : leaves) {
    if (leaf.tensor) {
      *leaf.tensor = values[next++];
      continue;
    }
    state::Value value = get(leaf.cell);
    for (Tensor& tensor : value.tensors) tensor = values[next++];
    put(leaf.cell, std::move(value));
  }
}

}  // namespace

void write(const std::vector<LeafRef>& leaves, std::span<const Tensor> values) {
  distribute(
      leaves, values, [](const state::CellPtr& cell) { return state::read(cell); },
      [](const state::CellPtr& cell, state::Value value) { state::write(cell, std::move(value)); });
}

void write_raw(const std::vector<LeafRef>& leaves, std::span<const Tensor> values) {
  distribute(
      leaves, values, [](const state::CellPtr& cell) { return cell->raw(); },
      [](const state::CellPtr& cell, state::Value value) { cell->set_raw(std::move(value)); });
}

namespace {

/// `a/b, a/c and 3 more`, or empty.
std::string paths_missing_in(const std::vector<Path>& paths, const std::vector<Path>& other) {
  std::vector<std::string> missing;
  for (const Path& path : paths) {
    if (std::find(other.begin(), other.end(), path) == other.end())
      missing.push_back(to_string(path));
  }
  const size_t shown = std::min<size_t>(missing.size(), 3);
  std::string out = fmt::format(
      "{}", fmt::join(missing.begin(), missing.begin() + static_cast<int64_t>(shown), ", "));
  if (missing.size() > shown) out += fmt::format(" and {} more", missing.size() - shown);
  return out;
}

}  // namespace

void fail_different_structure(const Flattened& a, const Flattened& b, const char* operation) {
  const std::string first = paths_missing_in(a.paths, b.paths),
                    second = paths_missing_in(b.paths, a.paths);
  if (first.empty() && second.empty()) {
    fail<TreeError>("{}: the trees have the same leaves but differ in types or static members",
                    operation);
  }
  std::string text;
  if (!first.empty()) text += fmt::format("\n  only in the first: {}", first);
  if (!second.empty()) text += fmt::format("\n  only in the second: {}", second);
  fail<TreeError>("{}: the trees differ in structure{}", operation, text);
}

}  // namespace linnet::tree
