#include "linnet/jit.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "core/control/stage.h"
#include "core/exec/executable.h"
#include "core/jit/retrace.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/named_axes.h"
#include "linnet/detail/format.h"
#include "linnet/detail/log.h"

namespace linnet {

std::string Lowered::text() const {
  return to_string(static_cast<const Program*>(program_.get())->graph());
}
std::string Lowered::optimized_text() const {
  return to_string(static_cast<const Program*>(program_.get())->executable().graph());
}
size_t Lowered::arena_bytes() const {
  return static_cast<const Program*>(program_.get())->executable().arena_bytes();
}

namespace detail {

struct JitCore::Entry {
  /// Where a program input beyond the arguments comes from.
  struct Source {
    Tensor tensor;                    ///< a captured tensor, or
    std::weak_ptr<state::Cell> cell;  ///< the `index`-th tensor of a captured variable
    size_t index = 0, count = 1;
  };
  /// A captured variable that the function writes; held weakly, as a program may outlive it.
  struct WrittenCell {
    std::weak_ptr<state::Cell> cell;
    size_t first = 0, count = 0;  ///< among the program's outputs
    bool tuple = false;
    bool made = false;  ///< by the function, which did not find it
  };

  ProgramPtr program;
  size_t argument_leaves = 0;
  std::vector<Source> sources;
  size_t results = 0;
  /// For each tensor of each argument in order: the program output that replaces it, or -1.
  std::vector<std::vector<int64_t>> state_outputs;
  /// For each argument: range of outputs with all its leaves, if its structure changed.
  std::vector<std::pair<size_t, size_t>> changed;
  std::vector<WrittenCell> cells;
  std::shared_ptr<const void> prototypes;
};

struct JitCore::Cache {
  explicit Cache(JitOptions given) : options(std::move(given)) {}

  void keep(const std::string& key, const EntryPtr& entry) {
    oldest_first.push_back(key);
    try {
      if (!entries.insert_or_assign(key, entry).second) oldest_first.pop_back();
    } catch (...) {
      oldest_first.pop_back();
      throw;
    }
    while (entries.size() > options.cache_size) {
      entries.erase(oldest_first.front());
      oldest_first.pop_front();
    }
  }

  const JitOptions options;
  std::mutex mutex;
  std::condition_variable traced;
  std::unordered_map<std::string, EntryPtr> entries;
  std::deque<std::string> oldest_first;
  std::unordered_map<std::string, std::thread::id> in_progress;
  size_t traces = 0;
  RetraceLog retraces;
};

namespace {

void append_device(std::string& key, Device device) {
  key += static_cast<char>('A' + static_cast<int>(device.type));
  key += static_cast<char>(device.index);
}

void append_type(std::string& key, const Tensor& tensor) {
  key += static_cast<char>('a' + static_cast<int>(tensor.dtype()));
  key += tensor.weak() ? '~' : '.';
  append_device(key, tensor.device());
  for (int64_t size : tensor.shape()) {
    key += std::to_string(size);
    key += ',';
  }
}

/// Which leaves of the state arguments are one and the same: the program depends on it.
void append_aliases(std::string& key, const std::vector<JitArgument>& arguments) {
  std::vector<std::pair<const void*, size_t>> leaves;
  for (const JitArgument& argument : arguments) {
    if (!argument.state) continue;
    for (const tree::LeafRef& leaf : argument.leaves) {
      const void* address = leaf.tensor ? static_cast<const void*>(leaf.tensor) : leaf.cell.get();
      leaves.emplace_back(address, leaves.size());
    }
  }
  std::sort(leaves.begin(), leaves.end());
  for (size_t k = 1; k < leaves.size(); ++k) {
    if (leaves[k].first != leaves[k - 1].first) continue;
    key += '=' + std::to_string(leaves[k - 1].second) + ',' + std::to_string(leaves[k].second);
  }
}

/// One recording of the function into an entry.
class Recorder {
 public:
  Recorder(std::vector<JitArgument>& arguments, const std::vector<TensorList>& values,
           const JitCore::Hooks& hooks)
      : arguments_(arguments), hooks_(hooks) {
    for (const TensorList& list : values) {
      TensorList tracers;
      for (const Tensor& value : list) tracers.push_back(stage_.input(value.type()));
      inputs_.push_back(std::move(tracers));
    }
  }

  void run(JitCore::Entry& entry) {
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
    entry.program = std::make_shared<Program>(std::move(recorded.graph));
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
      if (written) outputs.push_back(after[k]);
    }
  }

  std::vector<JitArgument>& arguments_;
  const JitCore::Hooks& hooks_;
  Stage stage_{"jit"};
  std::vector<TensorList> inputs_;
  bool reusable_ = true;
};

}  // namespace

JitCore::JitCore(JitOptions options) : cache_(std::make_unique<Cache>(std::move(options))) {}
JitCore::~JitCore() = default;

JitCore::EntryPtr JitCore::find(const std::vector<JitArgument>& arguments, std::string& key) const {
  append_device(key, default_device());
  key += named_axes_key();
  for (size_t i = 0; i < arguments.size(); ++i) {
    key += arguments[i].structure;
    key += '|';
    for (const Tensor& value : tree::read(arguments[i].leaves)) {
      if (!value.defined()) {
        fail<ValueError>(
            "jit: argument {} holds an undefined tensor\n"
            "  hint: give it a value, or use std::optional<Tensor> for one that may be absent",
            i);
      }
      append_type(key, value);
    }
  }
  append_aliases(key, arguments);
  std::lock_guard lock(cache_->mutex);
  const auto found = cache_->entries.find(key);
  return found != cache_->entries.end() ? found->second : nullptr;
}

namespace {

/// The state arguments as they were before tracing, and the way back.
class SavedState {
 public:
  /// Takes all the memory that `restore` needs.
  SavedState(std::vector<JitArgument>& arguments, const std::vector<TensorList>& values,
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

  std::vector<JitArgument>& arguments_;
  const std::vector<TensorList>& values_;
  const JitCore::Hooks& hooks_;
  std::vector<tree::Flattener> walks_;
  std::vector<size_t> assigned_;
};

std::vector<LeafDescription> describe(size_t arguments, const JitCore::Hooks& hooks) {
  std::vector<LeafDescription> out;
  for (size_t i = 0; i < arguments; ++i) {
    LeafDescriber describer(i);
    hooks.visit(i, describer);
    out.insert(out.end(), describer.leaves().begin(), describer.leaves().end());
  }
  return out;
}

/// The function and the number of its program: `train_step#3`.
std::string program_name(const std::string& function, size_t number) {
  return fmt::format("{}#{}", function.empty() ? "function" : function, number);
}

}  // namespace

JitCore::EntryPtr JitCore::trace(std::vector<JitArgument>& arguments, const std::string& key,
                                 const Hooks& hooks) {
  struct Claim {
    Cache& cache;
    const std::string& key;
    bool held = false;
    ~Claim() {
      if (!held) return;
      std::lock_guard lock(cache.mutex);
      cache.in_progress.erase(key);
      cache.traced.notify_all();
    }
  } claim{*cache_, key};
  {
    std::unique_lock lock(cache_->mutex);
    while (true) {
      const auto found = cache_->entries.find(key);
      if (found != cache_->entries.end()) return found->second;
      const auto [other, free] = cache_->in_progress.try_emplace(key, std::this_thread::get_id());
      claim.held = free;
      if (free || other->second == std::this_thread::get_id()) break;
      cache_->traced.wait(lock);
    }
  }
  std::vector<TensorList> values;
  for (const JitArgument& argument : arguments) values.push_back(tree::read(argument.leaves));
  hooks.save();
  auto entry = std::make_shared<Entry>();
  Recorder recorder(arguments, values, hooks);
  SavedState saved(arguments, values, hooks);
  try {
    recorder.run(*entry);
  } catch (...) {
    saved.restore();
    throw;
  }
  saved.restore();
  saved.find_leaves();
  entry->prototypes = hooks.prototypes;
  std::vector<LeafDescription> leaves = describe(arguments.size(), hooks);
  std::lock_guard lock(cache_->mutex);
  ++cache_->traces;
  if (recorder.reusable()) cache_->keep(key, entry);
  log_trace(*entry, std::move(leaves));
  return entry;
}

void JitCore::log_trace(const Entry& entry, std::vector<LeafDescription> leaves) {
  const std::string name = program_name(cache_->options.name, cache_->traces);
  const std::string reason = cache_->retraces.note(std::move(leaves));
  if (log_enabled("jit")) {
    const Graph& graph = entry.program->graph();
    log_line("jit", fmt::format("{}: traced {} nodes, {} inputs, {} outputs{}{}", name,
                                graph.nodes.size(), graph.inputs.size(), graph.outputs.size(),
                                reason.empty() ? "" : "; ", reason));
  }
  const std::string warning = cache_->retraces.warning("jit: " + name);
  if (!warning.empty()) log_warning(warning);
}

namespace {

/// The values of a call's inputs. Once `release` is called they are held only here where state will
/// be replaced, so that its memory can be re-used.
class BorrowedInputs {
 public:
  BorrowedInputs(std::vector<JitArgument>& arguments, const JitCore::Entry& entry) {
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

void check_types(const Graph& graph, const TensorList& inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
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
  check_types(entry->program->graph(), inputs.tensors);
  if (current_trace() == nullptr && state::current_scope() == nullptr)
    run_eagerly(*entry, inputs, fill);
  else
    run_traced(*entry, arguments, inputs, fill);
}

std::shared_ptr<const void> JitCore::program_of(const EntryPtr& entry) { return entry->program; }
const void* JitCore::prototypes(const EntryPtr& entry) { return entry->prototypes.get(); }
size_t JitCore::trace_count() const {
  std::lock_guard lock(cache_->mutex);
  return cache_->traces;
}

void JitCore::clear() {
  std::lock_guard lock(cache_->mutex);
  cache_->entries.clear();
  cache_->oldest_first.clear();
}

}  // namespace detail
}  // namespace linnet
