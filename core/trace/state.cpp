#include "linnet/state.h"

#include <atomic>
#include <mutex>
#include <set>

#include "linnet/detail/format.h"
#include "linnet/detail/log.h"

namespace linnet::state {
namespace {

thread_local Scope* innermost = nullptr;
thread_local int prototypes = 0;
std::atomic<uint64_t> next_serial{1};

}  // namespace

const std::string* CellLabel::load() const {
  return std::atomic_ref(const_cast<const std::string*&>(text_)).load(std::memory_order_acquire);
}
void CellLabel::store(const std::string* text) {
  std::atomic_ref(text_).store(text, std::memory_order_release);
}
CellLabel& CellLabel::operator=(std::string_view text) {
  if (text == this->text()) return *this;
  static std::mutex* mutex = new std::mutex;
  static auto* texts = new std::set<std::string, std::less<>>;
  const std::lock_guard lock(*mutex);
  auto found = texts->find(text);
  if (found == texts->end()) found = texts->emplace(text).first;
  store(&*found);
  return *this;
}

const std::string& CellLabel::text() const {
  static const std::string none;
  const std::string* text = load();
  return text ? *text : none;
}

Scope* current_scope() { return innermost; }

uint64_t present_home() { return next_serial.load(std::memory_order_relaxed); }

PrototypeScope::PrototypeScope() { ++prototypes; }
PrototypeScope::~PrototypeScope() { --prototypes; }
bool PrototypeScope::active() { return prototypes > 0; }

Cell::Cell(Value value) : value_(std::move(value)), home_(present_home()) {}

// Serials grow with every scope, and a cell's home is the serial the next scope will get: scopes
// opened later have serials at or above it, so `home > serial` means "made inside this scope".
Scope::Scope() : parent_(innermost), serial_(next_serial.fetch_add(1, std::memory_order_relaxed)) {
  innermost = this;
}

namespace {

/// A value whose traces have ended, as its types.
void forget(Cell& cell) {
  Value value = cell.raw();
  bool traced = false;
  for (Tensor& tensor : value.tensors) {
    if (!tensor.defined() || !tensor.traced()) continue;
    tensor = abstract(tensor.type());
    traced = true;
  }
  if (traced) cell.set_raw(std::move(value));
}

}  // namespace

Scope::~Scope() {
  innermost = parent_;
  // Without memory for this, errors about the values say less; nothing else depends on it.
  try {
    for (const CellPtr& cell : survivors()) {
      forget(*cell);
      if (parent_) parent_->adopt(cell);
    }
  } catch (...) {
  }
}

std::vector<CellPtr> Scope::survivors() const {
  std::vector<CellPtr> out;
  for (const std::weak_ptr<Cell>& made : made_) {
    if (CellPtr cell = made.lock()) out.push_back(std::move(cell));
  }
  return out;
}

void Scope::commit_made() {
  std::vector<std::pair<CellPtr, Value>> out;
  for (CellPtr& cell : survivors()) {
    Value lowered = lower_made({cell, {}, cell->raw(), true});
    out.emplace_back(std::move(cell), std::move(lowered));
  }
  if (parent_) {
    for (const auto& [cell, value] : out) parent_->adopt(cell);
  }
  made_.clear();
  for (auto& [cell, value] : out) cell->set_raw(std::move(value));
}

Scope::Entry& Scope::touch(const CellPtr& cell) {
  auto found = index_.find(cell.get());
  if (found != index_.end()) return entries_[found->second];
  Value outer = parent_ ? parent_->read(cell) : cell->raw();
  Value inner = lift(cell, outer);
  if (log_enabled("state")) {
    log_line("state",
             fmt::format("lift {} {}", cell->label.empty() ? "variable" : cell->label.text(),
                         outer.tensors.empty() ? std::string("()") : type_of(outer.tensors[0])));
  }
  // The index must not name an entry for which there is no memory.
  if (entries_.size() == entries_.capacity()) entries_.reserve(2 * entries_.size() + 1);
  index_[cell.get()] = entries_.size();
  entries_.push_back({cell, std::move(outer), std::move(inner), false});
  return entries_.back();
}

Value Scope::read(const CellPtr& cell) {
  if (cell->home() > serial_) return cell->raw();
  return touch(cell).inner;
}

const Value& Scope::peek(const CellPtr& cell) const {
  for (const Scope* scope = this; scope && cell->home() <= scope->serial_; scope = scope->parent_) {
    const auto found = scope->index_.find(cell.get());
    if (found != scope->index_.end()) return scope->entries_[found->second].inner;
  }
  return cell->raw();
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
  commit_made();
  for (auto& [cell, value] : out) {
    if (parent_)
      parent_->write(cell, std::move(value));
    else
      cell->set_raw(std::move(value));
  }
}

Value read(const CellPtr& cell) { return innermost ? innermost->read(cell) : cell->raw(); }

const Value& peek(const CellPtr& cell) { return innermost ? innermost->peek(cell) : cell->raw(); }

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
