// Calls of compiled functions: where inputs come from, and what is written when all has gone well.
#include <span>

#include "core/base/loan.h"
#include "core/exec/executable.h"
#include "core/jit/entry.h"
#include "core/jit/present_value.h"
#include "core/profile/events.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/call.h"
#include "linnet/detail/format.h"

namespace linnet::detail {
namespace {

/// The new value of a variable.
struct NewValue {
  state::CellPtr cell;
  size_t first, count;  ///< among the results
  bool tuple;
};

/// Lists that a call needs, kept by the thread.
struct CallMemory {
  /// A tensor of the state that the program replaces.
  struct Replaced {
    Tensor* place;
    uint32_t input, output;
    bool variable;
  };
  TensorList inputs, results;
  std::vector<uint8_t> donated, owned;
  std::vector<Replaced> replaced;
  std::vector<NewValue> cells;

  void clear() {
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!owned[i]) inputs[i].release();
    }
    inputs.clear();
    results.clear();
    donated.clear();
    owned.clear();
    replaced.clear();
    cells.clear();
  }
};

/// The values of a call's inputs. Outside all transformations those that will be replaced go over
/// from the arguments without counting references: once `release` is called they are held only
/// here, so that their memory can be re-used. If nothing is replaced, all are merely lent.
class BorrowedInputs {
 public:
  BorrowedInputs(CallMemory& memory, std::span<JitArgument> arguments, const JitCore::Entry& entry)
      : tensors(memory.inputs), donated(memory.donated), memory_(memory) {
    const bool outside = state::current_scope() == nullptr;
    const size_t count = entry.argument_leaves + entry.sources.size();
    tensors.reserve(count);
    donated.reserve(count);
    memory_.owned.reserve(count);
    for (size_t i = 0; i < arguments.size(); ++i) {
      size_t leaf_index = 0;
      for (tree::LeafRef& leaf : arguments[i].leaves) {
        if (leaf.tensor) {
          const int64_t output = output_of(entry, i, leaf_index++);
          add(*leaf.tensor, outside && (output >= 0 || !entry.replaces));
          if (output >= 0) replaces(leaf.tensor, output, false);
          continue;
        }
        const PresentValue value(leaf.cell);
        for (size_t k = 0; k < value->tensors.size(); ++k) {
          const int64_t output = output_of(entry, i, leaf_index++);
          add(value->tensors[k], outside && (output >= 0 || !entry.replaces));
          if (output < 0) continue;
          replaces(outside ? &leaf.cell->raw_in_place().tensors[k] : nullptr, output, true);
        }
      }
    }
  }

  void add(const Tensor& tensor, bool lent) {
    memory_.owned.push_back(!lent);
    donated.push_back(0);
    if (lent)
      tensors.emplace_back(tensor.impl());
    else
      tensors.push_back(tensor);
  }
  /// Outside all transformations only.
  void release() noexcept {
    for (const CallMemory::Replaced& each : memory_.replaced) {
      // A leaf that stands in two places has been taken at the first.
      if (!each.place->release()) tensors[each.input].impl()->retain();
      memory_.owned[each.input] = donated[each.input] = 1;
    }
  }
  void put_back() noexcept {
    for (const CallMemory::Replaced& each : memory_.replaced)
      *each.place = std::move(tensors[each.input]);
  }
  /// Puts the new values into their places; after `release` only.
  void replace(TensorList& results) noexcept {
    for (const CallMemory::Replaced& each : memory_.replaced)
      *each.place = std::move(results[each.output]);
  }
  /// The same for tensors that are no variables, at any time.
  void replace_tensors(const TensorList& results) noexcept {
    for (const CallMemory::Replaced& each : memory_.replaced) {
      if (!each.variable) *each.place = results[each.output];
    }
  }

  TensorList& tensors;
  std::vector<uint8_t>& donated;

 private:
  /// The tensor added last.
  void replaces(Tensor* place, int64_t output, bool variable) {
    memory_.replaced.push_back({place, static_cast<uint32_t>(tensors.size() - 1),
                                static_cast<uint32_t>(output), variable});
  }
  static int64_t output_of(const JitCore::Entry& entry, size_t argument, size_t index) {
    const auto& outputs = entry.state_outputs[argument];
    return index < outputs.size() ? outputs[index] : -1;
  }
  CallMemory& memory_;
};

void require_same_length(const state::Cell& cell, size_t now, size_t traced) {
  if (now == traced) return;
  fail<TraceError>(
      "jit: {}, which the function captured, holds {} tensors now and held {} when it was traced\n"
      "  hint: take the values out between calls, or pass what changes its structure as a "
      "reference parameter instead of capturing it",
      cell.label.empty() ? "a variable" : "variable " + cell.label, now, traced);
}

void append_sources(const JitCore::Entry& entry, BorrowedInputs& inputs) {
  // A list that the function began is there now, and the program would begin it again.
  for (const JitCore::Entry::WrittenCell& written : entry.cells) {
    const state::CellPtr cell = written.made && written.tuple ? written.cell.lock() : nullptr;
    if (!cell || cell->raw().tensors.empty() || cell->raw().tensors[0].traced()) continue;
    require_same_length(*cell, cell->raw().tensors.size(), 0);
  }
  for (const JitCore::Entry::Source& source : entry.sources) {
    if (source.tensor.defined()) {
      inputs.add(source.tensor, false);
    } else {
      const state::CellPtr cell = source.cell.lock();
      if (!cell) {
        fail<TraceError>(
            "jit: a variable that the function captured no longer exists\n"
            "  hint: pass the module as a reference parameter instead of capturing it");
      }
      const PresentValue value(cell);
      require_same_length(*cell, value->tensors.size(), source.count);
      inputs.add(value->tensors[source.index], false);
    }
  }
}

/// Of what was captured; the types of arguments are part of the key.
void check_captured(const JitCore::Entry& entry, const TensorList& inputs) {
  const Graph& graph = entry.program->graph();
  for (size_t i = entry.argument_leaves; i < inputs.size(); ++i) {
    const TensorType& wanted = graph.types[graph.inputs[i]];
    if (inputs[i].dtype() != wanted.dtype || inputs[i].shape() != wanted.shape ||
        inputs[i].device() != wanted.device) {
      fail<TraceError>(
          "jit: a variable that the function captured was {} when it was traced and is {} now\n"
          "  hint: pass what changes its type as an argument instead of capturing it",
          to_string(wanted), to_string(inputs[i].type()));
    }
  }
}

/// Captured variables that still exist, and their new values.
void find_written(const JitCore::Entry& entry, std::vector<NewValue>& out) {
  for (const JitCore::Entry::WrittenCell& written : entry.cells) {
    state::CellPtr cell = written.cell.lock();
    if (cell) out.push_back({std::move(cell), written.first, written.count, written.tuple});
  }
}

state::Value value_of(const NewValue& written, const TensorList& results) {
  state::Value value;
  value.tuple = written.tuple;
  const auto first = results.begin() + static_cast<int64_t>(written.first);
  value.tensors.assign(first, first + static_cast<int64_t>(written.count));
  return value;
}

/// Outside all transformations: exchanges the tensors in place. All memory is taken by `prepare`.
void prepare(const NewValue& written) {
  written.cell->raw_in_place().tensors.reserve(written.count);
}
void put(const NewValue& written, const TensorList& results) noexcept {
  state::Value& value = written.cell->raw_in_place();
  value.tuple = written.tuple;
  value.tensors.resize(written.count);
  for (size_t k = 0; k < written.count; ++k) value.tensors[k] = results[written.first + k];
}

using CellValues = std::vector<std::pair<state::CellPtr, state::Value>>;

/// Outside all transformations: donates the state that is replaced. All memory is had before the
/// first kernel runs, and what comes after the last cannot fail.
void run_eagerly(const JitCore::Entry& entry, CallMemory& memory, BorrowedInputs& inputs,
                 const JitCore::Fill& fill) {
  const Executable& executable = entry.program->executable();
  find_written(entry, memory.cells);
  for (const NewValue& written : memory.cells) prepare(written);
  const auto ready = [&](const TensorList& results) { fill({entry, results}); };
  inputs.release();
  try {
    // The types of arguments are part of the key, and captured ones have been checked.
    executable.run(inputs.tensors, inputs.donated, std::ref(ready), memory.results,
                   inputs.tensors.size());
  } catch (...) {
    inputs.put_back();
    throw;
  }
  for (const NewValue& written : memory.cells) put(written, memory.results);
  inputs.replace(memory.results);
}

/// The new values of variables among the state arguments.
void append_cells(std::span<const JitArgument> arguments, const JitCore::Entry& entry,
                  const TensorList& results, CellValues& cells) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!arguments[i].state || entry.state_outputs[i].empty()) continue;
    size_t next = 0;
    for (const tree::LeafRef& leaf : arguments[i].leaves) {
      if (leaf.tensor) {
        ++next;
        continue;
      }
      state::Value value = state::read(leaf.cell);
      bool written = false;
      for (Tensor& tensor : value.tensors) {
        const int64_t output = entry.state_outputs[i][next++];
        if (output < 0) continue;
        tensor = results[static_cast<size_t>(output)];
        written = true;
      }
      if (written) cells.emplace_back(leaf.cell, std::move(value));
    }
  }
}

/// Inside a transformation, whose scope forgets what is written if something fails later.
void run_traced(const JitCore::Entry& entry, CallMemory& memory,
                std::span<const JitArgument> arguments, BorrowedInputs& inputs,
                const JitCore::Fill& fill) {
  const TensorList results = linnet::call(entry.program, inputs.tensors);
  find_written(entry, memory.cells);
  CellValues cells;
  for (const NewValue& written : memory.cells)
    cells.emplace_back(written.cell, value_of(written, results));
  append_cells(arguments, entry, results, cells);
  // The scope makes the place of a variable at its first touch; then writing needs no memory.
  for (const auto& [cell, value] : cells) (void)state::read(cell);
  fill({entry, results});
  inputs.replace_tensors(results);
  for (auto& [cell, value] : cells) state::write(cell, std::move(value));
}

}  // namespace

std::span<const Tensor> JitCore::Results::of_function() const {
  return std::span(all_).first(entry_.results);
}

std::span<const Tensor> JitCore::Results::of_state(size_t argument) const {
  const auto [first, count] = entry_.changed[argument];
  return std::span(all_).subspan(first, count);
}

void JitCore::run(const EntryPtr& entry, std::span<JitArgument> arguments, const Fill& fill) {
  const Loan<CallMemory> memory;
  BorrowedInputs inputs(*memory, arguments, *entry);
  append_sources(*entry, inputs);
  check_captured(*entry, inputs.tensors);
  const profile::Event event("call", [&] {
    return profile::Facts{.name = entry->name.empty() ? "function" : entry->name};
  });
  if (current_trace() == nullptr && state::current_scope() == nullptr)
    run_eagerly(*entry, *memory, inputs, fill);
  else
    run_traced(*entry, *memory, arguments, inputs, fill);
}

}  // namespace linnet::detail
