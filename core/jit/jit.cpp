#include "linnet/jit.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "core/base/loan.h"
#include "core/exec/executable.h"
#include "core/jit/entry.h"
#include "core/jit/present_value.h"
#include "core/jit/recording.h"
#include "core/jit/retrace.h"
#include "core/profile/events.h"
#include "core/sharding/current_mesh.h"
#include "core/tensor/tensor_impl.h"
#include "core/trace/named_axes.h"
#include "linnet/detail/format.h"
#include "linnet/detail/log.h"
#include "linnet/float8_dot.h"

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
ProgramCost Lowered::cost() const {
  return static_cast<const Program*>(program_.get())->executable().cost();
}

namespace detail {

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
      recent = nullptr;
      entries.erase(oldest_first.front());
      oldest_first.pop_front();
    }
  }

  const JitOptions options;
  std::mutex mutex;
  std::condition_variable traced;
  using Entries = std::unordered_map<std::string, EntryPtr>;
  Entries entries;
  const Entries::value_type* recent = nullptr;  ///< mostly the next one too: no hash is needed
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

/// The key of a call on its way. It is made at every call, and mostly of types, which are gathered
/// here and appended many at a time.
class KeyWriter {
 public:
  explicit KeyWriter(std::string& key) : key_(key) {}
  KeyWriter(const KeyWriter&) = delete;
  KeyWriter& operator=(const KeyWriter&) = delete;

  void add(std::string_view text) {
    flush();
    key_ += text;
  }

  /// @throws ValueError if the tensor, of argument `argument`, is undefined.
  void add(const Tensor& tensor, size_t argument) {
    const TensorImpl* impl = tensor.impl();
    if (!impl) {
      fail<ValueError>(
          "jit: argument {} holds an undefined tensor\n"
          "  hint: give it a value, or use std::optional<Tensor> for one that may be absent",
          argument);
    }
    if (end_ > std::end(text_) - kHeadBytes) flush();
    *end_++ = static_cast<char>('a' + 2 * static_cast<int>(impl->dtype) + impl->weak);
    *end_++ = static_cast<char>('A' + static_cast<int>(impl->device.type));
    *end_++ = static_cast<char>(impl->device.index);
    *end_++ = static_cast<char>(impl->shape.size());
    for (const int64_t size : impl->shape) {
      if (end_ > std::end(text_) - kSizeBytes) flush();
      // Seven bits a byte; the last has the high bit.
      uint64_t rest = static_cast<uint64_t>(size);
      for (; rest > 127; rest >>= 7) *end_++ = static_cast<char>(rest & 127);
      *end_++ = static_cast<char>(rest | 128);
    }
  }
  /// To be called at the end too.
  void flush() {
    key_.append(text_, end_);
    end_ = text_;
  }

 private:
  static constexpr size_t kHeadBytes = 4, kSizeBytes = 10;

  std::string& key_;
  char text_[512];
  char* end_ = text_;
};

/// @throws ValueError if an argument holds an undefined tensor.
void append_types(std::string& key, std::span<const JitArgument> arguments) {
  KeyWriter writer(key);
  for (size_t i = 0; i < arguments.size(); ++i) {
    writer.add(arguments[i].structure);
    writer.add("|");
    for (const tree::LeafRef& leaf : arguments[i].leaves) {
      if (leaf.tensor) {
        writer.add(*leaf.tensor, i);
        continue;
      }
      const PresentValue present(leaf.cell);
      for (const Tensor& value : present->tensors) writer.add(value, i);
    }
  }
  writer.flush();
}

/// Which leaves of the state arguments are one and the same: the program depends on it. Those of
/// one argument are not: the walk meets each once.
void append_aliases(std::string& key, std::span<const JitArgument> arguments) {
  const auto states = std::count_if(arguments.begin(), arguments.end(),
                                    [](const JitArgument& argument) { return argument.state; });
  if (states < 2) return;
  const Loan<tree::AddressTable> seen;
  size_t index = 0;
  for (const JitArgument& argument : arguments) {
    if (!argument.state) continue;
    for (const tree::LeafRef& leaf : argument.leaves) {
      const int64_t earlier =
          seen->number(leaf.tensor ? static_cast<const void*>(leaf.tensor) : leaf.cell.get());
      if (earlier >= 0) key += '=' + std::to_string(earlier) + ',' + std::to_string(index);
      ++index;
    }
  }
}

}  // namespace

struct JitCall::Memory {
  std::vector<JitArgument> arguments;
  size_t count = 0;  ///< of the call; those behind have memory only
  tree::Flattener walk;
  std::string key;

  void clear() {
    for (size_t i = 0; i < count; ++i) {
      arguments[i].leaves.clear();
      arguments[i].structure.clear();
    }
    count = 0;
    walk.reset();
    key.clear();
  }
};

JitCall::JitCall() : memory_(take_kept<Memory>()) {}

JitCall::~JitCall() {
  memory_->clear();
  put_back(std::move(memory_));
}

std::span<JitArgument> JitCall::arguments() const {
  return std::span(memory_->arguments).first(memory_->count);
}

std::string& JitCall::key() const { return memory_->key; }

tree::Flattener& JitCall::begin_argument() {
  if (memory_->count == memory_->arguments.size()) memory_->arguments.emplace_back();
  JitArgument& argument = memory_->arguments[memory_->count];
  memory_->walk.reset({std::move(argument.leaves), {}, std::move(argument.structure)});
  return memory_->walk;
}

void JitCall::end_argument(bool state) {
  tree::Flattened flat = memory_->walk.take();
  memory_->arguments[memory_->count++] = {std::move(flat.leaves), std::move(flat.structure), state};
}

JitCore::JitCore(JitOptions options) : cache_(std::make_unique<Cache>(std::move(options))) {}
JitCore::~JitCore() = default;

JitCore::EntryPtr JitCore::find(std::span<const JitArgument> arguments, std::string& key) const {
  append_device(key, default_device());
  key += named_axes_key();
  key += current_mesh_key();
  if (layer_products() != Products::kPlain) key += name_of(layer_products());
  append_types(key, arguments);
  append_aliases(key, arguments);
  std::lock_guard lock(cache_->mutex);
  if (cache_->recent && cache_->recent->first == key) return cache_->recent->second;
  const auto found = cache_->entries.find(key);
  if (found == cache_->entries.end()) return nullptr;
  cache_->recent = &*found;
  return found->second;
}

namespace {

std::vector<LeafDescription> describe(size_t arguments, const JitCore::Hooks& hooks) {
  std::vector<LeafDescription> out;
  for (size_t i = 0; i < arguments; ++i) {
    LeafDescriber describer(i);
    hooks.visit(i, describer);
    out.insert(out.end(), describer.leaves().begin(), describer.leaves().end());
  }
  return out;
}

std::string function_name(const std::string& given) { return given.empty() ? "function" : given; }

/// The function and the number of its program: `train_step#3`.
std::string program_name(const std::string& function, size_t number) {
  return fmt::format("{}#{}", function_name(function), number);
}

}  // namespace

JitCore::EntryPtr JitCore::trace(std::span<JitArgument> arguments, const std::string& key,
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
  const profile::Event event("compile", [&] {
    return profile::Facts{.name = "trace " + function_name(cache_->options.name)};
  });
  std::vector<TensorList> values;
  for (const JitArgument& argument : arguments) values.push_back(tree::read(argument.leaves));
  hooks.save();
  auto entry = std::make_shared<Entry>();
  entry->name = cache_->options.name;
  Recorder recorder(arguments, values, hooks);
  SavedState saved(arguments, values, hooks);
  try {
    recorder.run(*entry, cache_->options.memory_limit);
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

std::shared_ptr<const void> JitCore::program_of(const EntryPtr& entry) { return entry->program; }
const void* JitCore::prototypes(const EntryPtr& entry) { return entry->prototypes.get(); }
size_t JitCore::trace_count() const {
  std::lock_guard lock(cache_->mutex);
  return cache_->traces;
}

void JitCore::clear() {
  std::lock_guard lock(cache_->mutex);
  cache_->recent = nullptr;
  cache_->entries.clear();
  cache_->oldest_first.clear();
}

}  // namespace detail
}  // namespace linnet
