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
    if (entries.insert_or_assign(key, entry).second) oldest_first.push_back(key);
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

/// Puts the state arguments back as they were before tracing. Variables need no restoring, since
/// what was written while tracing stayed in its scope.
void restore_state(std::vector<JitArgument>& arguments, const std::vector<TensorList>& values,
                   const JitCore::Hooks& hooks) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!arguments[i].state) continue;
    const tree::Flattened now = hooks.flatten(i);
    bool same = now.structure == arguments[i].structure;
    for (size_t k = 0; same && k < now.leaves.size(); ++k) {
      same = now.leaves[k].tensor == arguments[i].leaves[k].tensor &&
             now.leaves[k].cell == arguments[i].leaves[k].cell;
    }
    if (!same) {
      hooks.restore(i);
      arguments[i].leaves = hooks.flatten(i).leaves;  // assigning may have moved them
      continue;
    }
    size_t next = 0;
    for (tree::LeafRef& leaf : arguments[i].leaves) {
      if (leaf.tensor)
        *leaf.tensor = values[i][next++];
      else
        next += state::read(leaf.cell).tensors.size();
    }
  }
}

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
  try {
    recorder.run(*entry);
  } catch (...) {
    restore_state(arguments, values, hooks);
    throw;
  }
  restore_state(arguments, values, hooks);
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

/// Writes state arguments inside a transformation, whose scope forgets it all if something fails.
void write_state(std::vector<JitArgument>& arguments, const JitCore::Entry& entry,
                 const TensorList& results) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!arguments[i].state || entry.state_outputs[i].empty()) continue;
    size_t next = 0;
    for (tree::LeafRef& leaf : arguments[i].leaves) {
      if (leaf.tensor) {
        const int64_t output = entry.state_outputs[i][next++];
        if (output >= 0) *leaf.tensor = results[static_cast<size_t>(output)];
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
      if (written) state::write(leaf.cell, std::move(value));
    }
  }
}

/// New values of captured variables that still exist.
std::vector<std::pair<state::CellPtr, state::Value>> written_cells(const JitCore::Entry& entry,
                                                                   const TensorList& results) {
  std::vector<std::pair<state::CellPtr, state::Value>> out;
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

}  // namespace

struct JitCore::Run::Impl {
  Impl(const EntryPtr& given, std::vector<JitArgument>& all)
      : entry(given),
        arguments(all),
        eager(current_trace() == nullptr && state::current_scope() == nullptr),
        inputs(all, *given) {}

  EntryPtr entry;
  std::vector<JitArgument>& arguments;
  bool eager;
  BorrowedInputs inputs;
  TensorList results;
  std::vector<std::pair<state::CellPtr, state::Value>> cells;
  bool released = false;
};

JitCore::Run::Run(const EntryPtr& entry, std::vector<JitArgument>& arguments)
    : impl_(std::make_unique<Impl>(entry, arguments)) {
  append_sources(*entry, impl_->inputs);
  check_types(entry->program->graph(), impl_->inputs.tensors);
  if (impl_->eager) {
    const Executable& executable = entry->program->executable();
    impl_->inputs.release();
    impl_->released = true;
    try {
      impl_->results = executable.run(impl_->inputs.tensors, impl_->inputs.donated);
      impl_->cells = written_cells(*entry, impl_->results);
    } catch (...) {
      impl_->inputs.put_back();
      throw;
    }
  } else {
    impl_->results = linnet::call(entry->program, impl_->inputs.tensors);
    impl_->cells = written_cells(*entry, impl_->results);
  }
}

JitCore::Run::~Run() {
  if (impl_->released) impl_->inputs.put_back();
}

void JitCore::Run::commit() {
  if (impl_->eager) {
    impl_->inputs.replace(impl_->results);
    impl_->released = false;
    for (auto& [cell, value] : impl_->cells) cell->set_raw(std::move(value));
    return;
  }
  write_state(impl_->arguments, *impl_->entry, impl_->results);
  for (auto& [cell, value] : impl_->cells) state::write(cell, std::move(value));
}

const TensorList& JitCore::Run::results() const { return impl_->results; }
size_t JitCore::Run::result_count() const { return impl_->entry->results; }

TensorList JitCore::Run::changed_state(size_t argument) const {
  const auto [first, count] = impl_->entry->changed[argument];
  const auto begin = impl_->results.begin() + static_cast<int64_t>(first);
  return TensorList(begin, begin + static_cast<int64_t>(count));
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
