// Calls of compiled functions: where inputs come from, and what is written when all has gone well.
#include <span>

#include "core/exec/executable.h"
#include "core/jit/entry.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/call.h"
#include "linnet/detail/format.h"

namespace linnet::detail {
namespace {

/// The values of a call's inputs. Once `release` is called they are held only here where state will
/// be replaced, so that its memory can be re-used.
class BorrowedInputs {
 public:
  BorrowedInputs(std::vector<JitArgument>& arguments, const JitCore::Entry& entry) {
    const size_t count = entry.argument_leaves + entry.sources.size();
    tensors.reserve(count);
    donated.reserve(count);
    size_t replaced = 0;
    for (const std::vector<int64_t>& outputs : entry.state_outputs) replaced += outputs.size();
    replaced_.reserve(replaced);
    for (size_t i = 0; i < arguments.size(); ++i) {
      size_t leaf_index = 0;
      for (tree::LeafRef& leaf : arguments[i].leaves) {
        if (leaf.tensor) {
          add(*leaf.tensor, output_of(entry, i, leaf_index++), leaf);
          continue;
        }
        const state::Value value = state::read(leaf.cell);
        for (size_t k = 0; k < value.tensors.size(); ++k) {
          const int64_t output = output_of(entry, i, leaf_index++);
          add(value.tensors[k], output, {nullptr, leaf.cell}, k);
        }
      }
    }
  }

  /// Outside all transformations only.
  void release() noexcept {
    for (const Replaced& each : replaced_) {
      each.place() = Tensor();
      donated[each.input] = 1;
    }
  }
  void put_back() noexcept {
    for (const Replaced& each : replaced_) each.place() = tensors[each.input];
  }
  /// Puts the new values into their places; after `release` only.
  void replace(const TensorList& results) noexcept {
    for (const Replaced& each : replaced_) each.place() = results[each.output];
  }
  /// The same for tensors that are no variables, at any time.
  void replace_tensors(const TensorList& results) noexcept {
    for (const Replaced& each : replaced_) {
      if (each.leaf.tensor) *each.leaf.tensor = results[each.output];
    }
  }

  TensorList tensors;
  std::vector<uint8_t> donated;

 private:
  /// A tensor of the state that the program replaces.
  struct Replaced {
    tree::LeafRef leaf;
    size_t index;  ///< in the variable
    size_t input, output;
    Tensor& place() const {
      return leaf.tensor ? *leaf.tensor : leaf.cell->raw_in_place().tensors[index];
    }
  };

  void add(const Tensor& tensor, int64_t output, const tree::LeafRef& leaf, size_t index = 0) {
    if (output >= 0)
      replaced_.push_back({leaf, index, tensors.size(), static_cast<size_t>(output)});
    tensors.push_back(tensor);
    donated.push_back(0);
  }
  static int64_t output_of(const JitCore::Entry& entry, size_t argument, size_t index) {
    const auto& outputs = entry.state_outputs[argument];
    return index < outputs.size() ? outputs[index] : -1;
  }
  std::vector<Replaced> replaced_;
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
      inputs.tensors.push_back(source.tensor);
    } else {
      const state::CellPtr cell = source.cell.lock();
      if (!cell) {
        fail<TraceError>(
            "jit: a variable that the function captured no longer exists\n"
            "  hint: pass the module as a reference parameter instead of capturing it");
      }
      state::Value value = state::read(cell);
      require_same_length(*cell, value.tensors.size(), source.count);
      inputs.tensors.push_back(value.tensors[source.index]);
    }
    inputs.donated.push_back(0);
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

using CellValues = std::vector<std::pair<state::CellPtr, state::Value>>;

/// New values of captured variables that still exist.
CellValues written_cells(const JitCore::Entry& entry, const TensorList& results) {
  CellValues out;
  out.reserve(entry.cells.size());
  for (const JitCore::Entry::WrittenCell& written : entry.cells) {
    state::CellPtr cell = written.cell.lock();
    if (!cell) continue;
    state::Value value;
    value.tuple = written.tuple;
    const auto first = results.begin() + static_cast<int64_t>(written.first);
    value.tensors.assign(first, first + static_cast<int64_t>(written.count));
    out.emplace_back(std::move(cell), std::move(value));
  }
  return out;
}

/// Outside all transformations: donates the state that is replaced. All memory is had before the
/// first kernel runs, and what comes after the last cannot fail.
void run_eagerly(const JitCore::Entry& entry, BorrowedInputs& inputs, const JitCore::Fill& fill) {
  const Executable& executable = entry.program->executable();
  CellValues cells;
  const auto ready = [&](const TensorList& results) {
    cells = written_cells(entry, results);
    fill({entry, results});
  };
  TensorList results;
  inputs.release();
  try {
    results = executable.run(inputs.tensors, inputs.donated, std::ref(ready));
  } catch (...) {
    inputs.put_back();
    throw;
  }
  inputs.replace(results);
  for (auto& [cell, value] : cells) cell->set_raw(std::move(value));
}

/// The new values of variables among the state arguments.
void append_cells(const std::vector<JitArgument>& arguments, const JitCore::Entry& entry,
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
void run_traced(const JitCore::Entry& entry, const std::vector<JitArgument>& arguments,
                BorrowedInputs& inputs, const JitCore::Fill& fill) {
  const TensorList results = linnet::call(entry.program, inputs.tensors);
  CellValues cells = written_cells(entry, results);
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

void JitCore::run(const EntryPtr& entry, std::vector<JitArgument>& arguments, const Fill& fill) {
  BorrowedInputs inputs(arguments, *entry);
  append_sources(*entry, inputs);
  check_captured(*entry, inputs.tensors);
  if (current_trace() == nullptr && state::current_scope() == nullptr)
    run_eagerly(*entry, inputs, fill);
  else
    run_traced(*entry, arguments, inputs, fill);
}

}  // namespace linnet::detail
