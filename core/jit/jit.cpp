#include "linnet/jit.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "core/base/format.h"
#include "core/base/log.h"
#include "core/exec/executable.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/call.h"
#include "core/trace/graph_trace.h"

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
    size_t index = 0;
  };
  struct WrittenCell {
    std::weak_ptr<state::Cell> cell;
    size_t first = 0, count = 0;  ///< among the program's outputs
    bool tuple = false;
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
  /// More programs of one function than this come from types that never repeat; the oldest goes.
  static constexpr size_t kCapacity = 256;

  void keep(const std::string& key, const EntryPtr& entry) {
    if (entries.insert_or_assign(key, entry).second) oldest_first.push_back(key);
    if (entries.size() <= kCapacity) return;
    entries.erase(oldest_first.front());
    oldest_first.pop_front();
  }

  std::mutex mutex;
  std::condition_variable traced;
  std::unordered_map<std::string, EntryPtr> entries;
  std::deque<std::string> oldest_first;
  std::unordered_map<std::string, std::thread::id> in_progress;
  size_t traces = 0;
};

namespace {

void append_type(std::string& key, const Tensor& tensor) {
  key += static_cast<char>('a' + static_cast<int>(tensor.dtype()));
  key += tensor.weak() ? '~' : '.';
  key += static_cast<char>(tensor.device().index);
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

/// Lifts variables into program inputs.
class JitScope final : public state::Scope {
 public:
  explicit JitScope(GraphTrace& stage) : stage_(stage) {}

  struct Lifted {
    state::CellPtr cell;
    size_t position;  ///< among the program's inputs
    size_t index;
  };
  const std::vector<Lifted>& lifted() const { return lifted_; }
  /// The inner value of a cell that is an argument.
  void preset(const state::CellPtr& cell, state::Value value) {
    presets_[cell.get()] = std::move(value);
  }
  bool is_argument(const state::CellPtr& cell) const { return presets_.count(cell.get()) > 0; }

 protected:
  state::Value lift(const state::CellPtr& cell, const state::Value& outer) override {
    const auto preset = presets_.find(cell.get());
    if (preset != presets_.end()) return preset->second;
    state::Value inner = outer;
    for (size_t i = 0; i < inner.tensors.size(); ++i) {
      if (stage_.owns(inner.tensors[i])) continue;
      lifted_.push_back({cell, stage_.graph().inputs.size(), i});
      inner.tensors[i] = stage_.input(inner.tensors[i].type());
    }
    return inner;
  }

 private:
  GraphTrace& stage_;
  std::vector<Lifted> lifted_;
  std::map<const state::Cell*, state::Value> presets_;
};

/// One recording of the function into an entry.
class Recorder {
 public:
  Recorder(std::vector<JitArgument>& arguments, const std::vector<TensorList>& values)
      : arguments_(arguments) {
    for (const TensorList& list : values) {
      TensorList tracers;
      for (const Tensor& value : list) tracers.push_back(stage_.input(value.type()));
      inputs_.push_back(std::move(tracers));
    }
  }

  void run(const JitCore::Hooks& hooks, JitCore::Entry& entry) {
    JitScope scope(stage_);
    TensorList outputs;
    {
      TraceScope trace_scope(&stage_);
      place_state(scope);
      outputs = hooks.run(inputs_);
      require_defined(outputs, "jit", "a result");
      entry.results = outputs.size();
      for (size_t i = 0; i < arguments_.size(); ++i) collect_state(i, hooks, entry, outputs);
      collect_cells(scope, entry, outputs);
    }
    for (const TensorList& list : inputs_) entry.argument_leaves += list.size();
    Graph graph = stage_.finish(outputs);
    entry.sources.resize(graph.inputs.size() - entry.argument_leaves);
    for (const auto& lifted : scope.lifted()) {
      entry.sources[lifted.position - entry.argument_leaves] = {{}, lifted.cell, lifted.index};
    }
    for (const auto& capture : stage_.captures()) {
      entry.sources[capture.position - entry.argument_leaves].tensor = capture.outer;
    }
    entry.program = std::make_shared<Program>(std::move(graph));
  }

  bool keepable() const { return !stage_.captures_traced(); }

 private:
  void place_state(JitScope& scope) {
    for (size_t i = 0; i < arguments_.size(); ++i) {
      if (!arguments_[i].state) continue;
      size_t next = 0;
      for (tree::LeafRef& leaf : arguments_[i].leaves) {
        if (leaf.tensor) {
          *leaf.tensor = inputs_[i][next++];
        } else {
          state::Value value = state::read_outside(leaf.cell);
          for (Tensor& tensor : value.tensors) tensor = inputs_[i][next++];
          scope.preset(leaf.cell, std::move(value));
        }
      }
    }
  }

  /// Leaves are compared by position: assigning a whole container moves them, but they stay the
  /// same leaves.
  void collect_state(size_t i, const JitCore::Hooks& hooks, JitCore::Entry& entry,
                     TensorList& outputs) {
    entry.changed.emplace_back(0, 0);
    entry.state_outputs.emplace_back();
    if (!arguments_[i].state) return;
    const tree::Flattened flat = hooks.flatten(i);
    const TensorList after = tree::read(flat.leaves);
    require_defined(after, "jit", "a state argument");
    if (flat.structure != arguments_[i].structure) {
      hooks.keep(i);
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

  static void collect_cells(JitScope& scope, JitCore::Entry& entry, TensorList& outputs) {
    for (const state::Scope::Entry& touched : scope.entries()) {
      if (!touched.written || scope.is_argument(touched.cell)) continue;
      const TensorList& tensors = touched.inner.tensors;
      entry.cells.push_back({touched.cell, outputs.size(), tensors.size(), touched.inner.tuple});
      outputs.insert(outputs.end(), tensors.begin(), tensors.end());
    }
  }

  std::vector<JitArgument>& arguments_;
  GraphTrace stage_;
  std::vector<TensorList> inputs_;
};

}  // namespace

JitCore::JitCore() : cache_(std::make_unique<Cache>()) {}
JitCore::~JitCore() = default;

JitCore::EntryPtr JitCore::find(const std::vector<JitArgument>& arguments, std::string& key) const {
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
  Recorder recorder(arguments, values);
  try {
    recorder.run(hooks, *entry);
  } catch (...) {
    restore_state(arguments, values, hooks);
    throw;
  }
  restore_state(arguments, values, hooks);
  entry->prototypes = hooks.prototypes;
  if (log_enabled("jit")) {
    log_line(
        "jit",
        fmt::format("traced {} nodes, {} inputs, {} outputs", entry->program->graph().nodes.size(),
                    entry->program->graph().inputs.size(), entry->program->graph().outputs.size()));
  }
  std::lock_guard lock(cache_->mutex);
  ++cache_->traces;
  if (recorder.keepable()) cache_->keep(key, entry);
  return entry;
}

namespace {

/// The values of a call's inputs. Once `release` is called they are held only here where state will
/// be replaced, so that its memory can be re-used; they are put back unless `commit` is called.
class BorrowedInputs {
 public:
  BorrowedInputs(std::vector<JitArgument>& arguments, const JitCore::Entry& entry) {
    for (size_t i = 0; i < arguments.size(); ++i) {
      size_t leaf_index = 0;
      for (tree::LeafRef& leaf : arguments[i].leaves) {
        if (leaf.tensor) {
          add(*leaf.tensor, replaced(entry, i, leaf_index++), leaf);
          continue;
        }
        const state::Value value = state::read(leaf.cell);
        for (const Tensor& tensor : value.tensors) {
          add(tensor, replaced(entry, i, leaf_index++) && value.single(), leaf);
        }
      }
    }
  }

  ~BorrowedInputs() {
    if (!released_) return;
    for (auto& [leaf, index] : replaced_) {
      if (leaf.tensor)
        *leaf.tensor = tensors[index];
      else
        leaf.cell->set_raw(state::Value(tensors[index]));
    }
  }

  /// Outside all transformations only.
  void release() {
    for (auto& [leaf, index] : replaced_) {
      if (leaf.tensor)
        *leaf.tensor = Tensor();
      else
        leaf.cell->take();
      donated[index] = 1;
    }
    released_ = true;
  }
  void commit() { released_ = false; }

  TensorList tensors;
  std::vector<uint8_t> donated;

 private:
  void add(const Tensor& tensor, bool replaced, const tree::LeafRef& leaf) {
    if (replaced) replaced_.emplace_back(leaf, tensors.size());
    tensors.push_back(tensor);
    donated.push_back(0);
  }
  static bool replaced(const JitCore::Entry& entry, size_t argument, size_t index) {
    const auto& outputs = entry.state_outputs[argument];
    return index < outputs.size() && outputs[index] >= 0;
  }
  std::vector<std::pair<tree::LeafRef, size_t>> replaced_;
  bool released_ = false;
};

void append_sources(const JitCore::Entry& entry, BorrowedInputs& inputs) {
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
      if (source.index >= value.tensors.size()) {
        fail<TraceError>(
            "jit: a variable that the function captured holds {} tensors now and held more when it "
            "was traced\n"
            "  hint: pass what changes its structure as an argument instead of capturing it",
            value.tensors.size());
      }
      inputs.tensors.push_back(value.tensors[source.index]);
    }
    inputs.donated.push_back(0);
  }
}

void check_types(const Graph& graph, const TensorList& inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorType& wanted = graph.types[graph.inputs[i]];
    if (inputs[i].dtype() != wanted.dtype || inputs[i].shape() != wanted.shape) {
      fail<TraceError>(
          "jit: a variable that the function captured was {} when it was traced and is {} now\n"
          "  hint: pass what changes its type as an argument instead of capturing it",
          to_string(wanted), to_string(inputs[i].type()));
    }
  }
}

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
      // A donated cell is empty until its new value is written.
      state::Value value = state::read(leaf.cell);
      if (value.tensors.empty() && !value.tuple) value = state::Value(Tensor());
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
  for (const JitCore::Entry::WrittenCell& written : entry.cells) {
    const state::CellPtr cell = written.cell.lock();
    if (!cell) continue;
    state::Value value;
    value.tuple = written.tuple;
    const auto first = results.begin() + static_cast<int64_t>(written.first);
    value.tensors.assign(first, first + static_cast<int64_t>(written.count));
    state::write(cell, std::move(value));
  }
}

}  // namespace

TensorList JitCore::execute(const EntryPtr& entry, std::vector<JitArgument>& arguments) {
  const bool eager = current_trace() == nullptr && state::current_scope() == nullptr;
  BorrowedInputs inputs(arguments, *entry);
  append_sources(*entry, inputs);
  check_types(entry->program->graph(), inputs.tensors);
  if (eager) inputs.release();
  TensorList results = eager ? entry->program->executable().run(inputs.tensors, inputs.donated)
                             : call(entry->program, inputs.tensors);
  inputs.commit();
  write_state(arguments, *entry, results);
  return results;
}

std::shared_ptr<const void> JitCore::program_of(const EntryPtr& entry) { return entry->program; }
const void* JitCore::prototypes(const EntryPtr& entry) { return entry->prototypes.get(); }
size_t JitCore::result_count(const EntryPtr& entry) { return entry->results; }
size_t JitCore::trace_count() const {
  std::lock_guard lock(cache_->mutex);
  return cache_->traces;
}

TensorList JitCore::changed_state(const EntryPtr& entry, size_t argument,
                                  const TensorList& results) {
  const auto [first, count] = entry->changed[argument];
  const auto begin = results.begin() + static_cast<int64_t>(first);
  return TensorList(begin, begin + static_cast<int64_t>(count));
}

}  // namespace detail
}  // namespace linnet
