#include "linnet/tree.h"

#include <cxxabi.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "core/base/loan.h"
#include "core/base/stack.h"
#include "core/tree/nesting.h"
#include "linnet/detail/format.h"

namespace linnet::tree {

std::string to_string(const Key& key) {
  return key.index >= 0 ? std::to_string(key.index) : key.name;
}

std::vector<std::string> names(const Path& path) {
  std::vector<std::string> out;
  out.reserve(path.size());
  for (const Key& key : path) out.push_back(to_string(key));
  return out;
}

std::string to_string(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) out += '/';
    for (char c : names[i]) {
      if (c == '/' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out;
}

std::string to_string(const Path& path) { return to_string(names(path)); }

std::vector<std::string> split_path(std::string_view text) {
  std::vector<std::string> out;
  if (text.empty()) return out;
  out.emplace_back();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '/')
      out.emplace_back();
    else
      out.back() += text[i] == '\\' && i + 1 < text.size() ? text[++i] : text[i];
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

int64_t AddressTable::number(const void* address) {
  if (2 * static_cast<size_t>(count_) >= slots_.size()) grow();
  Slot& slot = slots_[slot_of(address)];
  if (slot.round == round_) return slot.number;
  slot = {address, count_++, round_};
  return -1;
}

void AddressTable::clear() {
  count_ = 0;
  if (++round_ != 0) return;
  std::fill(slots_.begin(), slots_.end(), Slot());
  round_ = 1;
}

size_t AddressTable::slot_of(const void* address) const {
  // Fibonacci hashing; objects are aligned, so the low bits say little.
  const uint64_t hash = (reinterpret_cast<uintptr_t>(address) >> 3) * 0x9E3779B97F4A7C15ull;
  size_t at = static_cast<size_t>(hash >> 32) & (slots_.size() - 1);
  while (slots_[at].round == round_ && slots_[at].address != address)
    at = (at + 1) & (slots_.size() - 1);
  return at;
}

void AddressTable::grow() {
  std::vector<Slot> old(slots_.empty() ? 16 : 2 * slots_.size());
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.round == round_) slots_[slot_of(slot.address)] = slot;
  }
}

void PathVisitor::tensor(Tensor&) {}
void PathVisitor::cell(state::CellPtr&) {}
void PathVisitor::fixed(const std::type_info&, std::string_view) {}

void require_room_for_nesting() {
  if (stack_nearly_full()) [[unlikely]] {
    fail<TreeError>(
        "tree: nested too deeply for the stack of this thread\n"
        "  hint: hold a long chain of nodes as a std::vector of them");
  }
}

void PathVisitor::enter(const std::type_info&, size_t) {
  require_room_for_nesting();
  if (with_path_) depth_.push_back(path_.size());
}

void PathVisitor::leave() {
  if (!with_path_) return;
  path_.resize(depth_.back());
  depth_.pop_back();
}

void PathVisitor::step(Key key) {
  path_.resize(depth_.back());
  path_.push_back(std::move(key));
}
void PathVisitor::child(std::string_view name) {
  if (with_path_) step({std::string(name), -1});
}
void PathVisitor::child(int64_t index) {
  // Keys of maps may be negative: then the text counts.
  if (with_path_) step(index >= 0 ? Key{"", index} : Key{std::to_string(index), -1});
}

Path PathVisitor::node_path() const {
  const size_t depth = depth_.empty() ? 0 : depth_.back();
  return Path(path_.begin(), path_.begin() + static_cast<std::ptrdiff_t>(depth));
}

void Flattener::add(LeafRef leaf) {
  result_.leaves.push_back(std::move(leaf));
  if (options_.paths) result_.paths.push_back(path());
}

namespace {

void append_type(std::string& structure, const Tensor& tensor) {
  structure += tensor.defined() ? linnet::to_string(TensorType{tensor.dtype(), tensor.shape()})
                                : std::string("undefined");
  structure += ';';
}

}  // namespace

namespace {

/// With `mark` behind it, in one go: the walk of a call appends little else.
void append_number(std::string& text, uint64_t number, char mark = 0) {
  char digits[24];
  char* end = std::to_chars(digits, std::end(digits) - 1, number).ptr;
  if (mark) *end++ = mark;
  text.append(digits, end);
}

}  // namespace

void Flattener::tensor(Tensor& leaf) {
  result_.structure += 'T';
  if (options_.types) append_type(result_.structure, leaf);
  add({&leaf, nullptr});
}

void Flattener::cell(state::CellPtr& cell) {
  if (const int64_t earlier = seen().number(cell.get()); earlier >= 0) {
    result_.structure += '=';
    append_number(result_.structure, static_cast<uint64_t>(earlier));
    return;
  }
  const state::Value& value = state::peek(cell);
  result_.structure += 'C';
  if (value.tuple) {
    result_.structure += '(';
    append_number(result_.structure, value.tensors.size());
    result_.structure += ')';
  }
  cell->describe(result_.structure);
  if (options_.types) {
    for (const Tensor& tensor : value.tensors) append_type(result_.structure, tensor);
  }
  add({nullptr, cell});
}

void Flattener::fixed(const std::type_info& type, std::string_view bytes) {
  result_.structure += 'S';
  append_number(result_.structure, bytes.size(), ':');
  result_.structure += bytes;
  result_.structure += type.name();
}

void Flattener::enter(const std::type_info& type, size_t children) {
  result_.structure += '{';
  result_.structure += type.name();
  append_number(result_.structure, children);
  PathVisitor::enter(type, children);
}

void Flattener::leave() {
  result_.structure += '}';
  PathVisitor::leave();
}

void Flattener::child(std::string_view name) {
  // The length tells where the name ends, whatever it contains.
  result_.structure += '.';
  append_number(result_.structure, name.size(), ':');
  result_.structure += name;
  PathVisitor::child(name);
}

void Flattener::child(int64_t index) {
  // Map keys need not count from 0.
  if (index < 0) result_.structure += '-';
  const uint64_t magnitude =
      index < 0 ? 0 - static_cast<uint64_t>(index) : static_cast<uint64_t>(index);
  append_number(result_.structure, magnitude, ',');
  PathVisitor::child(index);
}

bool Flattener::first_visit(const void* address) {
  const int64_t earlier = seen().number(address);
  if (earlier < 0) return true;
  result_.structure += '@';
  append_number(result_.structure, static_cast<uint64_t>(earlier));
  return false;
}

void Flattener::reset() {
  result_.leaves.clear();
  result_.paths.clear();
  result_.structure.clear();
  seen().clear();
}

void Flattener::reset(Flattened&& kept) {
  result_ = std::move(kept);
  reset();
}

LentFlattener::LentFlattener() : flattener_(take_kept<Flattener>()) {}

LentFlattener::~LentFlattener() {
  flattener_->reset();
  put_back(std::move(flattener_));
}

std::vector<Path> tensor_paths(const Flattened& flat) {
  std::vector<Path> out;
  for (size_t i = 0; i < flat.leaves.size(); ++i) {
    const state::Value* value = flat.leaves[i].cell ? &state::peek(flat.leaves[i].cell) : nullptr;
    if (!value || !value->tuple) {
      out.push_back(flat.paths[i]);
      continue;
    }
    for (size_t k = 0; k < value->tensors.size(); ++k) {
      out.push_back(flat.paths[i]);
      out.back().push_back({"", static_cast<int64_t>(k)});
    }
  }
  return out;
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
  const std::vector<Path> in_a = tensor_paths(a), in_b = tensor_paths(b);
  const std::string first = paths_missing_in(in_a, in_b), second = paths_missing_in(in_b, in_a);
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
