#include "linnet/state.h"

#include <atomic>

#include "core/base/format.h"
#include "core/base/log.h"

namespace linnet::state {
namespace {

thread_local Scope* innermost = nullptr;
std::atomic<uint64_t> next_serial{1};

}  // namespace

Scope* current_scope() { return innermost; }

Cell::Cell(Value value)
    : value_(std::move(value)), home_(next_serial.load(std::memory_order_relaxed)) {}

// Serials grow with every scope, and a cell's home is the serial the next scope will get: scopes
// opened later have serials at or above it, so `home > serial` means "made inside this scope".
Scope::Scope() : parent_(innermost), serial_(next_serial.fetch_add(1, std::memory_order_relaxed)) {
  innermost = this;
}
Scope::~Scope() { innermost = parent_; }

Scope::Entry& Scope::touch(const CellPtr& cell) {
  auto found = index_.find(cell.get());
  if (found != index_.end()) return entries_[found->second];
  Value outer = parent_ ? parent_->read(cell) : cell->raw();
  Value inner = lift(cell, outer);
  if (log_enabled("state")) {
    log_line("state",
             fmt::format("lift {} {}", cell->label.empty() ? "variable" : cell->label,
                         outer.tensors.empty() ? std::string("()") : type_of(outer.tensors[0])));
  }
  index_[cell.get()] = entries_.size();
  entries_.push_back({cell, std::move(outer), std::move(inner), false});
  return entries_.back();
}

Value Scope::read(const CellPtr& cell) {
  if (cell->home() > serial_) return cell->raw();
  return touch(cell).inner;
}

void Scope::write(const CellPtr& cell, Value value) {
  if (cell->home() > serial_) {
    cell->set_raw(std::move(value));
    return;
  }
  Entry& entry = touch(cell);
  entry.inner = std::move(value);
  entry.written = true;
}

// Whatever can fail comes first: lowering, and making the places in the scope outside.
void Scope::commit() {
  std::vector<std::pair<CellPtr, Value>> out;
  for (const Entry& entry : entries_) {
    if (entry.written) out.emplace_back(entry.cell, lower(entry));
  }
  for (const auto& [cell, value] : out) {
    if (parent_ && cell->home() <= parent_->serial_) parent_->touch(cell);
  }
  for (auto& [cell, value] : out) {
    if (parent_)
      parent_->write(cell, std::move(value));
    else
      cell->set_raw(std::move(value));
  }
}

Value read(const CellPtr& cell) { return innermost ? innermost->read(cell) : cell->raw(); }

Value read_outside(const CellPtr& cell) {
  return innermost && innermost->parent() ? innermost->parent()->read(cell) : cell->raw();
}

void write(const CellPtr& cell, Value value) {
  if (innermost)
    innermost->write(cell, std::move(value));
  else
    cell->set_raw(std::move(value));
}

}  // namespace linnet::state
