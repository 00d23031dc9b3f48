// Mutable state: cells, and the scopes through which transformations see them.
//
// A cell holds a tensor (or a list of them) that changes over time. Reads and writes go through the
// innermost state scope; a transformation opens one, lifts a cell on first touch, and hands written
// values out when it ends. Users meet cells as nnx::Variable.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet::state {

/// Value of a cell: one tensor, or a tuple of them (what `sow` collects).
struct Value {
  TensorList tensors;
  bool tuple = false;

  Value() = default;
  Value(Tensor tensor) { tensors.push_back(std::move(tensor)); }  // NOLINT(runtime/explicit)
  static Value tuple_of(TensorList list) {
    Value v;
    v.tensors = std::move(list);
    v.tuple = true;
    return v;
  }
  bool single() const { return !tuple && tensors.size() == 1; }
};

/// A path that may be read while another thread sets it: its texts live as long as the process, of
/// which there are as many as models have paths.
class CellLabel {
 public:
  CellLabel() = default;
  CellLabel(const CellLabel& other) : text_(other.load()) {}
  CellLabel& operator=(const CellLabel& other) {
    store(other.load());
    return *this;
  }
  CellLabel& operator=(std::string_view text);
  const std::string& text() const;
  bool empty() const { return text().empty(); }
  operator const std::string&() const { return text(); }  // NOLINT(runtime/explicit)
  friend std::string operator+(const char* before, const CellLabel& label) {
    return before + label.text();
  }

 private:
  const std::string* load() const;
  void store(const std::string* text);
  const std::string* text_ = nullptr;  ///< accessed atomically
};

/// Storage behind a variable. Identity is the address; a cell belongs to the state scope in which
/// it was made.
class Cell {
 public:
  /// Of the present scope. Variables are made with `make_cell`, so that the scope knows of them.
  explicit Cell(Value value);
  /// Of the scope in which `home` was the value of `present_home()`.
  Cell(Value value, uint64_t home) : value_(std::move(value)), home_(home) {}
  virtual ~Cell() = default;
  Cell(const Cell&) = delete;
  Cell& operator=(const Cell&) = delete;

  /// Appends what, besides its value, tells this cell from others in the structure of a tree.
  virtual void describe(std::string& structure) const { (void)structure; }

  const Value& raw() const { return value_; }
  void set_raw(Value value) { value_ = std::move(value); }
  /// Takes the value out so that its memory can be re-used when nobody else holds it.
  Value take() { return std::move(value_); }
  /// The value in place: exchanging its tensors needs no memory and cannot fail.
  Value& raw_in_place() noexcept { return value_; }
  uint64_t home() const { return home_; }

  /// Named in errors; set by the owner of the variable if it knows its path.
  CellLabel label;

 private:
  Value value_;
  uint64_t home_;
};

using CellPtr = std::shared_ptr<Cell>;

/// The view one transformation has of the cells touched while it runs.
class Scope {
 public:
  Scope();
  virtual ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  Value read(const CellPtr& cell);
  void write(const CellPtr& cell, Value value);
  const Value& peek(const CellPtr& cell) const;
  /// Hands every written cell's value, lowered, to the scope outside; call once, on success only.
  void commit();
  /// Lowers the values of the cells that were made inside and are still held by somebody, as
  /// `commit` does first. Without it they end as types without values.
  void commit_made();
  /// Notes a cell made inside.
  void adopt(const CellPtr& cell) { made_.push_back(cell); }
  /// Cells made inside that somebody outside still holds.
  std::vector<CellPtr> survivors() const;

  struct Entry {
    CellPtr cell;
    Value outer;
    Value inner;
    bool written = false;
  };
  const std::vector<Entry>& entries() const { return entries_; }
  Scope* parent() const { return parent_; }

 protected:
  /// The inner value of a cell on first touch.
  virtual Value lift(const CellPtr& cell, const Value& outer) {
    (void)cell;
    return outer;
  }
  /// The value that leaves, for a written cell.
  virtual Value lower(const Entry& entry) { return entry.inner; }
  /// The same for a cell that was made inside and outlives the scope.
  virtual Value lower_made(const Entry& entry) { return lower(entry); }

 private:
  Entry& touch(const CellPtr& cell);
  std::vector<std::weak_ptr<Cell>> made_;
  Scope* parent_;
  uint64_t serial_;
  std::vector<Entry> entries_;
  std::map<const Cell*, size_t> index_;
};

/// The scope of this thread, or null outside all transformations.
Scope* current_scope();
/// What cells made now have as their home.
uint64_t present_home();

/// While one is alive, cells that are made belong to no scope: those of prototypes, which show a
/// structure and hold no values.
class PrototypeScope {
 public:
  PrototypeScope();
  ~PrototypeScope();
  PrototypeScope(const PrototypeScope&) = delete;
  PrototypeScope& operator=(const PrototypeScope&) = delete;
  static bool active();
};

/// A cell of the present scope, which looks after it when it outlives the transformation.
template <class C = Cell, class... A>
std::shared_ptr<C> make_cell(A&&... arguments) {
  auto cell = std::make_shared<C>(std::forward<A>(arguments)...);
  Scope* scope = current_scope();
  if (scope && !PrototypeScope::active()) scope->adopt(cell);
  return cell;
}

/// The present value as seen from the innermost scope.
Value read(const CellPtr& cell);
/// The same without lifting it, for its structure and types: no use in computations.
const Value& peek(const CellPtr& cell);
/// The value as seen from outside the innermost scope.
Value read_outside(const CellPtr& cell);
/// Changes it there.
void write(const CellPtr& cell, Value value);

}  // namespace linnet::state

#pragma GCC visibility pop
