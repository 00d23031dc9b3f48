// Private: a compiled function is recorded into an entry, and its state arguments are as before.
#pragma once

#include <vector>

#include "core/control/stage.h"
#include "core/jit/entry.h"
#include "core/jit/retrace.h"
#include "core/tensor/tensor_impl.h"
#include "linnet/detail/format.h"

namespace linnet::detail {

/// One recording of the function into an entry.
class Recorder {
 public:
  Recorder(std::span<JitArgument> arguments, const std::vector<TensorList>& values,
           const JitCore::Hooks& hooks)
      : arguments_(arguments), hooks_(hooks) {
    for (const TensorList& list : values) {
      TensorList tracers;
      for (const Tensor& value : list) tracers.push_back(stage_.input(value.type()));
      inputs_.push_back(std::move(tracers));
    }
  }

  /// @param memory_limit of the program; 0: none.
  void run(JitCore::Entry& entry, size_t memory_limit) {
    for (size_t i = 0; i < arguments_.size(); ++i) {
      if (arguments_[i].state) place_state(i);
    }
    Recorded recorded = stage_.record([&] {
      TensorList outputs = hooks_.run(inputs_);
      require_defined(outputs, "jit", "a result");
      entry.results = outputs.size();
      for (size_t i = 0; i < arguments_.size(); ++i) {
        if (!arguments_[i].state) check_copy(i);
        collect_state(i, entry, outputs);
      }
      return outputs;
    });
    for (const TensorList& list : inputs_) entry.argument_leaves += list.size();
    for (Recorded::Source& source : recorded.sources) {
      if (source.cell)
        entry.sources.push_back({{}, source.cell, source.index, source.count});
      else
        entry.sources.push_back({std::move(source.value), {}, 0, 1});
    }
    for (const Recorded::Written& written : recorded.written)
      entry.cells.push_back(
          {written.cell, written.first, written.count, written.tuple, written.made});
    reusable_ = recorded.reusable;
    entry.program = std::make_shared<Program>(std::move(recorded.graph), memory_limit);
  }

  bool reusable() const { return reusable_; }

 private:
  void place_state(size_t i) {
    size_t next = 0;
    for (tree::LeafRef& leaf : arguments_[i].leaves) {
      if (leaf.tensor) {
        *leaf.tensor = inputs_[i][next++];
      } else {
        state::Value value = state::read(leaf.cell);
        for (Tensor& tensor : value.tensors) tensor = inputs_[i][next++];
        stage_.preset(leaf.cell, std::move(value));
      }
    }
  }

  /// What the function writes to a copy would be lost without a word.
  void check_copy(size_t i) const {
    size_t variable = 0;
    for (const tree::LeafRef& leaf : hooks_.copied(i)) {
      if (!leaf.cell) continue;
      for (const state::Scope::Entry& touched : state::current_scope()->entries()) {
        if (touched.cell != leaf.cell || !touched.written) continue;
        LeafDescriber describer(i);
        hooks_.visit(i, describer);
        fail<TraceError>(
            "jit: argument {} is passed by value, and its variable '{}' is written inside: the "
            "caller would not see it\n"
            "  hint: take the argument by reference, as T&",
            i, describer.variables().at(variable));
      }
      ++variable;
    }
  }

  /// Leaves are compared by position: assigning a whole container moves them, but they stay the
  /// same leaves.
  void collect_state(size_t i, JitCore::Entry& entry, TensorList& outputs) {
    entry.changed.emplace_back(0, 0);
    entry.state_outputs.emplace_back();
    if (!arguments_[i].state) return;
    const tree::Flattened flat = hooks_.flatten(i);
    const TensorList after = tree::read(flat.leaves);
    require_defined(after, "jit", "a state argument");
    if (flat.structure != arguments_[i].structure) {
      hooks_.keep(i);
      entry.changed.back() = {outputs.size(), after.size()};
      outputs.insert(outputs.end(), after.begin(), after.end());
      return;
    }
    for (size_t k = 0; k < after.size(); ++k) {
      const bool written = after[k].impl() != inputs_[i][k].impl();
      entry.state_outputs.back().push_back(written ? static_cast<int64_t>(outputs.size()) : -1);
      entry.replaces |= written;
      if (written) outputs.push_back(after[k]);
    }
  }

  std::span<JitArgument> arguments_;
  const JitCore::Hooks& hooks_;
  Stage stage_{"jit"};
  std::vector<TensorList> inputs_;
  bool reusable_ = true;
};

/// The state arguments as they were before tracing, and the way back.
class SavedState {
 public:
  /// Takes all the memory that `restore` needs.
  SavedState(std::span<JitArgument> arguments, const std::vector<TensorList>& values,
             const JitCore::Hooks& hooks)
      : arguments_(arguments), values_(values), hooks_(hooks), walks_(arguments.size()) {
    assigned_.reserve(arguments.size());
    for (size_t i = 0; i < arguments.size(); ++i) {
      if (!arguments[i].state) continue;
      hooks.visit(i, walks_[i]);
      walks_[i].reset();
    }
  }

  /// Variables need no restoring, since what was written while tracing stayed in its scope.
  void restore() noexcept {
    for (size_t i = 0; i < arguments_.size(); ++i) {
      if (!arguments_[i].state) continue;
      if (is_as_before(i)) {
        place(i);
      } else {
        assign(i);
      }
    }
  }

  /// Finds the leaves of what was assigned, which may have moved them.
  void find_leaves() {
    for (size_t i : assigned_) arguments_[i].leaves = hooks_.flatten(i).leaves;
  }

 private:
  bool is_as_before(size_t i) noexcept {
    try {
      hooks_.visit(i, walks_[i]);
    } catch (...) {  // for want of memory: then it is not known
      return false;
    }
    const tree::Flattened& now = walks_[i].result();
    if (now.structure != arguments_[i].structure) return false;
    for (size_t k = 0; k < now.leaves.size(); ++k) {
      if (now.leaves[k].tensor != arguments_[i].leaves[k].tensor ||
          now.leaves[k].cell != arguments_[i].leaves[k].cell)
        return false;
    }
    return true;
  }

  void place(size_t i) noexcept {
    size_t next = 0;
    for (tree::LeafRef& leaf : arguments_[i].leaves) {
      if (leaf.tensor)
        *leaf.tensor = values_[i][next++];
      else
        next += state::peek(leaf.cell).tensors.size();
    }
  }

  void assign(size_t i) noexcept {
    try {
      hooks_.restore(i);
    } catch (...) {  // it keeps tensors without values, whose use says so
    }
    assigned_.push_back(i);
  }

  std::span<JitArgument> arguments_;
  const std::vector<TensorList>& values_;
  const JitCore::Hooks& hooks_;
  std::vector<tree::Flattener> walks_;
  std::vector<size_t> assigned_;
};

}  // namespace linnet::detail
