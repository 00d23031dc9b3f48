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
#include <vector>

#include "linnet/tensor.h"

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

/// Storage behind a variable. Identity is the address; a cell belongs to the state scope in which
/// it was made.
class Cell {
 public:
  explicit Cell(Value value);
  /// One that belongs to the scope in which another was made, whatever goes on now.
  Cell(Value value, uint64_t home) : value_(std::move(value)), home_(home) {}

  const Value& raw() const { return value_; }
  void set_raw(Value value) { value_ = std::move(value); }
  /// Takes the value out so that its memory can be re-used when nobody else holds it.
  Value take() { return std::move(value_); }
  /// The value in place: exchanging its tensors needs no memory and cannot fail.
  Value& raw_in_place() noexcept { return value_; }
  uint64_t home() const { return home_; }

  /// Named in errors; set by the owner of the variable if it knows its path.
  std::string label;

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
  /// Hands every written cell's value, lowered, to the scope outside; call once, on success only.
  void commit();

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

 private:
  Entry& touch(const CellPtr& cell);
  Scope* parent_;
  uint64_t serial_;
  std::vector<Entry> entries_;
  std::map<const Cell*, size_t> index_;
};

/// The scope of this thread, or null outside all transformations.
Scope* current_scope();

/// The present value as seen from the innermost scope.
Value read(const CellPtr& cell);
/// The value as seen from outside the innermost scope.
Value read_outside(const CellPtr& cell);
/// Changes it there.
void write(const CellPtr& cell, Value value);

}  // namespace linnet::state
