// nnx::State: variables by path, apart from the module they belong to; and the filters that choose
// them.
//
//   nnx::State params = nnx::state(model, nnx::of_type<nnx::Param>());
//   Tensor kernel = params["up"]["kernel"];
//   auto [graphdef, trained, rest] =
//       nnx::split(model, nnx::of_type<nnx::Param>(), nnx::everything());
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "linnet/nnx/variable.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

/// A leaf of a state: a variable, or a tensor that a module holds directly.
struct StateLeaf {
  VariableCellPtr cell;  ///< null for plain tensors
  Tensor tensor;
  /// The (single) value. @throws ModuleError for tuples.
  Tensor value() const;
  const VariableType* type() const { return cell ? cell->type : nullptr; }
};

/// Chooses leaves by path and kind; comparable by its text (N-071 … N-075).
class Filter {
 public:
  using Predicate = std::function<bool(const tree::Path&, const StateLeaf&)>;
  Filter(Predicate predicate, std::string text)
      : predicate_(std::move(predicate)), text_(std::move(text)) {}
  bool operator()(const tree::Path& path, const StateLeaf& leaf) const {
    return predicate_(path, leaf);
  }
  const std::string& text() const { return text_; }
  bool operator==(const Filter& other) const { return text_ == other.text_; }

 private:
  Predicate predicate_;
  std::string text_;
};

/// Variables of `type` or a kind derived from it.
Filter of_type(const VariableType& type);
template <class V>
Filter of_type() {
  return of_type(V::static_type());
}
/// Variables whose metadata has `tag` (random streams have their name).
Filter with_tag(std::string tag);
/// `key` is an element of the path; inexact: a part of an element's text.
Filter path_contains(std::string key, bool exact = true);
Filter path_in(std::vector<std::string> paths);
Filter any_of(std::vector<Filter> filters);
Filter all_of(std::vector<Filter> filters);
Filter not_(Filter filter);
Filter everything();
Filter nothing();

/// An ordered mapping from paths to leaves. Leaves made by `split` and `state` are the module's own
/// variables; copying a State copies them.
class State {
 public:
  using Entry = std::pair<tree::Path, StateLeaf>;

  State() = default;
  explicit State(std::vector<Entry> entries);
  State(const State& other);
  State(State&&) noexcept = default;
  State& operator=(const State& other);
  State& operator=(State&&) noexcept = default;

  const std::vector<Entry>& entries() const& { return entries_; }
  /// Deleted: a loop over the entries of a temporary state would dangle. Name the state first.
  const std::vector<Entry>& entries() const&& = delete;
  size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }

  /// Null if absent; `path` as in `up/kernel`.
  const StateLeaf* find(std::string_view path) const;
  const StateLeaf* find(const tree::Path& path) const;
  const StateLeaf* find(const std::vector<std::string>& names) const;
  bool contains(std::string_view path) const { return find(path) != nullptr; }

  /// What lies below one key; reading a leaf gives its value.
  class View {
   public:
    View(const State& state, std::vector<std::string> prefix)
        : state_(&state), prefix_(std::move(prefix)) {}
    View operator[](std::string_view key) const;
    View operator[](int64_t index) const;
    /// @throws ModuleError naming the path if there is no leaf here.
    Tensor value() const;
    operator Tensor() const { return value(); }  // NOLINT(runtime/explicit)
    Shape shape() const { return value().shape(); }
    const StateLeaf& leaf() const;

   private:
    const State* state_;
    std::vector<std::string> prefix_;
  };
  View operator[](std::string_view key) const { return View(*this, {})[key]; }
  View operator[](int64_t index) const { return View(*this, {})[index]; }

  void insert(tree::Path path, StateLeaf leaf);
  void visit(tree::Visitor& visitor);

 private:
  std::vector<Entry> entries_;
};

/// One state per filter; each leaf goes to the first that matches.
/// @throws ValueError naming leaves that match none.
std::vector<State> split_state(const State& state, const std::vector<Filter>& filters);
/// As above; the rest is dropped.
std::vector<State> filter_state(const State& state, const std::vector<Filter>& filters);
/// Later states win.
State merge_state(const std::vector<const State*>& states);
std::string to_string(const State& state);
std::ostream& operator<<(std::ostream& stream, const State& state);

}  // namespace linnet::nnx

namespace linnet::tree {
template <>
struct Traits<nnx::State> {
  static void visit(nnx::State& state, Visitor& visitor) { state.visit(visitor); }
};
}  // namespace linnet::tree

#pragma GCC visibility pop
