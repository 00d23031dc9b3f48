#include "linnet/nnx/state.h"

#include <algorithm>

#include "linnet/detail/format.h"

namespace linnet::nnx {
namespace {

bool before(const State::Entry& a, const State::Entry& b) { return a.first < b.first; }

StateLeaf copied(const StateLeaf& leaf) {
  return leaf.cell ? StateLeaf{copy_cell(leaf.cell), {}} : leaf;
}

}  // namespace

Tensor StateLeaf::value() const {
  if (!cell) return tensor;
  return Variable(cell).value();
}

Filter of_type(const VariableType& type) {
  return {[&type](const tree::Path&, const StateLeaf& leaf) {
            return leaf.cell && leaf.cell->type->is(type);
          },
          fmt::format("OfType({}@{})", type.name(), static_cast<const void*>(&type))};
}
Filter with_tag(std::string tag) {
  std::string text = "WithTag(" + tag + ")";
  return {[tag = std::move(tag)](const tree::Path&, const StateLeaf& leaf) {
            const std::string* found =
                leaf.cell ? leaf.cell->metadata.get<std::string>("tag") : nullptr;
            return found && *found == tag;
          },
          std::move(text)};
}
Filter path_contains(std::string key, bool exact) {
  std::string text = fmt::format("PathContains({},{})", key, exact);
  return {[key = std::move(key), exact](const tree::Path& path, const StateLeaf&) {
            return std::any_of(path.begin(), path.end(), [&](const tree::Key& part) {
              const std::string name = tree::to_string(part);
              return exact ? name == key : name.find(key) != std::string::npos;
            });
          },
          std::move(text)};
}
Filter path_in(std::vector<std::string> paths) {
  std::string text = fmt::format("PathIn({})", fmt::join(paths, ","));
  return {[paths = std::move(paths)](const tree::Path& path, const StateLeaf&) {
            return std::find(paths.begin(), paths.end(), tree::to_string(path)) != paths.end();
          },
          std::move(text)};
}

namespace {

std::string joined(const char* name, const std::vector<Filter>& filters) {
  std::string text = std::string(name) + "(";
  for (const Filter& filter : filters) text += filter.text() + ",";
  return text + ")";
}

}  // namespace

Filter any_of(std::vector<Filter> filters) {
  std::string text = joined("Any", filters);
  return {[filters = std::move(filters)](const tree::Path& path, const StateLeaf& leaf) {
            return std::any_of(filters.begin(), filters.end(),
                               [&](const Filter& f) { return f(path, leaf); });
          },
          std::move(text)};
}
Filter all_of(std::vector<Filter> filters) {
  std::string text = joined("All", filters);
  return {[filters = std::move(filters)](const tree::Path& path, const StateLeaf& leaf) {
            return std::all_of(filters.begin(), filters.end(),
                               [&](const Filter& f) { return f(path, leaf); });
          },
          std::move(text)};
}
Filter not_(Filter filter) {
  std::string text = "Not(" + filter.text() + ")";
  return {[filter = std::move(filter)](const tree::Path& path, const StateLeaf& leaf) {
            return !filter(path, leaf);
          },
          std::move(text)};
}
Filter everything() {
  return {[](const tree::Path&, const StateLeaf&) { return true; }, "Everything"};
}
Filter nothing() {
  return {[](const tree::Path&, const StateLeaf&) { return false; }, "Nothing"};
}

State::State(std::vector<Entry> entries) : entries_(std::move(entries)) {
  std::stable_sort(entries_.begin(), entries_.end(), before);
}
State::State(const State& other) {
  for (const Entry& entry : other.entries_)
    entries_.emplace_back(entry.first, copied(entry.second));
}
State& State::operator=(const State& other) {
  if (this != &other) *this = State(other);
  return *this;
}

const StateLeaf* State::find(const tree::Path& path) const {
  const auto found =
      std::lower_bound(entries_.begin(), entries_.end(), path,
                       [](const Entry& entry, const tree::Path& p) { return entry.first < p; });
  return found != entries_.end() && found->first == path ? &found->second : nullptr;
}
const StateLeaf* State::find(const std::vector<std::string>& names) const {
  // By text: whether a key counts as a name or a position is the module's business.
  for (const auto& [path, leaf] : entries_) {
    if (path.size() == names.size() && tree::names(path) == names) return &leaf;
  }
  return nullptr;
}
const StateLeaf* State::find(std::string_view path) const { return find(tree::split_path(path)); }

void State::insert(tree::Path path, StateLeaf leaf) {
  const auto at =
      std::lower_bound(entries_.begin(), entries_.end(), path,
                       [](const Entry& entry, const tree::Path& p) { return entry.first < p; });
  if (at != entries_.end() && at->first == path)
    at->second = std::move(leaf);
  else
    entries_.insert(at, {std::move(path), std::move(leaf)});
}

State::View State::View::operator[](std::string_view key) const {
  std::vector<std::string> names = prefix_;
  for (std::string& name : tree::split_path(key)) names.push_back(std::move(name));
  return View(*state_, std::move(names));
}
State::View State::View::operator[](int64_t index) const {
  std::vector<std::string> names = prefix_;
  names.push_back(std::to_string(index));
  return View(*state_, std::move(names));
}
const StateLeaf& State::View::leaf() const {
  if (const StateLeaf* found = state_->find(prefix_)) return *found;
  std::string known;
  for (const Entry& entry : state_->entries())
    known += (known.empty() ? "" : ", ") + tree::to_string(entry.first);
  fail<ModuleError>("state: there is no leaf '{}'; there is {}", tree::to_string(prefix_),
                    known.empty() ? "none" : known);
}
Tensor State::View::value() const { return leaf().value(); }

void State::visit(tree::Visitor& visitor) {
  visitor.enter(typeid(State), entries_.size());
  for (auto& [path, leaf] : entries_) {
    for (const tree::Key& key : path) {
      visitor.enter(typeid(tree::Key), 1);
      visitor.child(std::string_view(tree::to_string(key)));
    }
    if (leaf.cell) {
      state::CellPtr cell = leaf.cell;
      visitor.cell(cell);
      if (cell != leaf.cell) leaf.cell = std::static_pointer_cast<VariableCell>(cell);
    } else {
      visitor.tensor(leaf.tensor);
    }
    for (size_t i = 0; i < path.size(); ++i) visitor.leave();
  }
  visitor.leave();
}

namespace {

std::vector<State> distribute(const State& state, const std::vector<Filter>& filters,
                              bool exhaustive) {
  std::vector<std::vector<State::Entry>> parts(filters.size());
  std::string unmatched;
  for (const State::Entry& entry : state.entries()) {
    const auto found = std::find_if(filters.begin(), filters.end(), [&](const Filter& filter) {
      return filter(entry.first, entry.second);
    });
    if (found != filters.end())
      parts[static_cast<size_t>(found - filters.begin())].push_back(entry);
    else
      unmatched += (unmatched.empty() ? "" : ", ") + tree::to_string(entry.first);
  }
  if (exhaustive && !unmatched.empty()) {
    fail<ValueError>(
        "split: non-exhaustive filters: {} match none\n  hint: end the list with everything()",
        unmatched);
  }
  std::vector<State> out;
  for (auto& part : parts) out.emplace_back(std::move(part));
  return out;
}

}  // namespace

std::vector<State> split_state(const State& state, const std::vector<Filter>& filters) {
  return distribute(state, filters, true);
}
std::vector<State> filter_state(const State& state, const std::vector<Filter>& filters) {
  return distribute(state, filters, false);
}

State merge_state(const std::vector<const State*>& states) {
  State out;
  for (const State* state : states) {
    for (const State::Entry& entry : state->entries()) out.insert(entry.first, entry.second);
  }
  return out;
}

std::string to_string(const State& state) {
  std::string out;
  for (const auto& [path, leaf] : state.entries()) {
    const state::Value value = leaf.cell ? state::read(leaf.cell) : state::Value(leaf.tensor);
    out +=
        tree::to_string(path) + ": " + (leaf.cell ? leaf.cell->type->name() + " " : std::string());
    for (size_t i = 0; i < value.tensors.size(); ++i)
      out += (i ? ", " : "") + linnet::to_string(value.tensors[i].type());
    if (leaf.cell && !leaf.cell->metadata.empty())
      out += " " + linnet::to_string(leaf.cell->metadata);
    out += '\n';
  }
  return out;
}

std::ostream& operator<<(std::ostream& stream, const State& state) {
  return stream << to_string(state);
}

}  // namespace linnet::nnx
