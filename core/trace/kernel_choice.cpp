// Which kernel runs a request, and the caches of kernels that were prepared before.
#include <algorithm>
#include <atomic>
#include <bit>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "core/base/fork.h"
#include "core/base/per_thread.h"
#include "core/trace/eval.h"
#include "linnet/back_end.h"
#include "linnet/detail/format.h"
#include "linnet/detail/log.h"

namespace linnet {
namespace {

/// Counts changes of the kernel tables, after which earlier choices mean nothing.
std::atomic<uint64_t> table_version{0};

}  // namespace

KernelTable::~KernelTable() {
  for (std::atomic<Chunk*>& chunk : chunks_) delete chunk.load();
}

void KernelTable::add(const Primitive& primitive, KernelImplementation implementation) {
  const size_t id = static_cast<size_t>(primitive.id);
  if (id >= kChunk * kChunks)
    fail<ValueError>("KernelTable: {} is one primitive too many", primitive.name);
  std::lock_guard lock(mutex_);
  std::atomic<Chunk*>& chunk = chunks_[id / kChunk];
  if (!chunk.load(std::memory_order_relaxed)) chunk.store(new Chunk, std::memory_order_release);
  std::atomic<const List*>& slot = chunk.load(std::memory_order_relaxed)->lists[id % kChunk];
  const List* old = slot.load(std::memory_order_relaxed);
  auto fresh = std::make_unique<List>(old ? *old : List{});
  fresh->push_back(implementation);
  const List* published = fresh.get();
  kept_.push_back(std::move(fresh));
  slot.store(published, std::memory_order_release);
  table_version.fetch_add(1, std::memory_order_release);
}

std::span<const KernelImplementation> KernelTable::implementations(
    const Primitive& primitive) const {
  const size_t id = static_cast<size_t>(primitive.id);
  if (id >= kChunk * kChunks) return {};
  const Chunk* chunk = chunks_[id / kChunk].load(std::memory_order_acquire);
  if (!chunk) return {};
  const List* list = chunk->lists[id % kChunk].load(std::memory_order_acquire);
  if (!list) return {};
  return *list;
}

KernelTable& kernel_table(Device device) { return back_end_of(device).kernels(); }

namespace {

/// Words that are equal exactly for the same question about requests with equal parameters.
class RequestKey {
 public:
  RequestKey(std::initializer_list<uint64_t> question, Device device, const BackEnd& back_end,
             const KernelRequest& request) {
    size_t count = question.size() + 3;
    for (const OperandView& operand : request.inputs) count += 1 + 2 * operand.shape.size();
    for (const OperandView& operand : request.outputs) count += 1 + operand.shape.size();
    uint64_t* next = words_.make(count);
    for (uint64_t word : question) *next++ = word;
    *next++ = static_cast<uint64_t>(device.type) << 8 | device.index;
    *next++ = back_end.configuration();
    *next++ = request.inputs.size() << 32 | request.outputs.size();
    for (const OperandView& operand : request.inputs) {
      next = add_type(next, operand);
      for (int64_t stride : operand.strides) *next++ = static_cast<uint64_t>(stride);
    }
    for (const OperandView& operand : request.outputs) next = add_type(next, operand);  // dense
    hash_ = request.params.hash();
    for (uint64_t word : words_.all()) hash_ = std::rotl(hash_, 7) ^ word * 0x9E3779B97F4A7C15ull;
    hash_ ^= hash_ >> 32;
  }

  size_t hash() const { return hash_; }
  bool operator==(const RequestKey& other) const {
    return hash_ == other.hash_ && std::ranges::equal(words_.all(), other.words_.all());
  }

 private:
  /// Words that are all written by whoever makes them; not filled before, as a list would be.
  class Words {
   public:
    uint64_t* make(size_t count) {
      count_ = count;
      if (count > std::size(few_)) many_.resize(count);
      return many_.empty() ? few_ : many_.data();
    }
    std::span<const uint64_t> all() const { return {many_.empty() ? few_ : many_.data(), count_}; }

   private:
    size_t count_ = 0;
    uint64_t few_[32];
    std::vector<uint64_t> many_;
  };

  static uint64_t* add_type(uint64_t* next, const OperandView& operand) {
    *next++ =
        static_cast<uint64_t>(operand.dtype) | operand.shape.size() << 8 | operand.alignment << 32;
    for (int64_t size : operand.shape) *next++ = static_cast<uint64_t>(size);
    return next;
  }

  Words words_;
  size_t hash_ = 0;
};

/// Prepared kernels, least recently used out first. Locked; preparation happens outside the lock.
class PreparedCache {
 public:
  PreparedCache() { lock_around_fork(mutex_, 1); }
  struct Entry {
    RequestKey key;
    Params params;
    std::shared_ptr<const Kernel> kernel;
    std::string declined;
  };

  std::optional<Entry> find(const RequestKey& key, ParamsRef params) {
    std::lock_guard lock(mutex_);
    auto [begin, end] = index_.equal_range(key.hash());
    for (auto it = begin; it != end; ++it) {
      if (it->second->key == key && it->second->params.ref() == params) {
        order_.splice(order_.begin(), order_, it->second);
        return *it->second;
      }
    }
    return std::nullopt;
  }

  void insert(Entry entry) {
    std::lock_guard lock(mutex_);
    const size_t hash = entry.key.hash();
    order_.push_front(std::move(entry));
    index_.emplace(hash, order_.begin());
    if (order_.size() <= kCapacity) return;
    auto last = std::prev(order_.end());
    auto [begin, end] = index_.equal_range(last->key.hash());
    for (auto it = begin; it != end; ++it) {
      if (it->second == last) {
        index_.erase(it);
        break;
      }
    }
    order_.erase(last);
  }

 private:
  static constexpr size_t kCapacity = 4096;
  std::mutex mutex_;
  std::list<Entry> order_;
  std::unordered_multimap<size_t, std::list<Entry>::iterator> index_;
};

PreparedCache& prepared_cache() {
  static PreparedCache* cache = new PreparedCache;  // never destroyed: exit handlers may compute
  return *cache;
}

/// The latest choices of a thread, one per hash value. A hit asks no implementation and takes no
/// lock.
class RecentChoices {
 public:
  RecentChoice* find(const RequestKey& key, ParamsRef params) const {
    Entry* entry = entries_[key.hash() % kSize].get();
    if (!entry || !(entry->key == key) || !(entry->params.ref() == params)) return nullptr;
    return entry;
  }
  void insert(const RequestKey& key, ParamsRef params, const ChosenKernel& chosen) {
    std::unique_ptr<Entry>& entry = entries_[key.hash() % kSize];
    if (entry && entry->users) return;  // a kernel that computes itself came to the same place
    entry = std::make_unique<Entry>(chosen, key, params);
  }

 private:
  struct Entry : RecentChoice {
    Entry(const ChosenKernel& kernel, const RequestKey& asked, ParamsRef values)
        : RecentChoice{kernel}, key(asked), params(values) {}
    RequestKey key;
    Params params;
  };
  static constexpr size_t kSize = 256;
  std::unique_ptr<Entry> entries_[kSize];
};

void log_choice(const KernelRequest& request, const std::string& declined, const char* chosen) {
  std::string operands;
  for (const OperandView& x : request.inputs) {
    operands += (operands.empty() ? "" : ", ") + type_string(x.dtype, x.shape);
  }
  log_line("kernels", fmt::format("{}({}) {{{}}}: {}{}", request.primitive.name, operands,
                                  request.params.text(), chosen ? chosen : "none", declined));
}

/// The request as `implementation` wants to see it: with its own strides or dense ones.
class AdaptedRequest {
 public:
  AdaptedRequest(const KernelRequest& from, bool strided)
      : inputs_(from.inputs), request{from.primitive, from.params, inputs_, from.outputs} {
    if (strided) return;
    strides_.reserve(inputs_.size());
    for (OperandView& view : inputs_) {
      if (is_dense(view.shape, view.strides)) continue;
      strides_.push_back(dense_strides(view.shape));
      view.strides = strides_.back();
    }
  }

 private:
  std::vector<Strides> strides_;
  SmallVector<OperandView, 8> inputs_;

 public:
  KernelRequest request;
};

bool try_prepare(const KernelImplementation& implementation, const KernelRequest& request,
                 Device device, const BackEnd& back_end, ChosenKernel& chosen,
                 std::string& reason) {
  const RequestKey key({reinterpret_cast<uintptr_t>(&implementation)}, device, back_end, request);
  std::optional<PreparedCache::Entry> entry = prepared_cache().find(key, request.params);
  if (!entry) {
    entry.emplace(PreparedCache::Entry{key, Params(request.params), nullptr, {}});
    entry->kernel = implementation.prepare(request, entry->declined);
    prepared_cache().insert(*entry);
  }
  reason = entry->declined;
  if (!entry->kernel) return false;
  chosen = {&implementation, entry->kernel};
  return true;
}

bool has_complex(std::span<const OperandView> views) {
  return std::any_of(views.begin(), views.end(),
                     [](const OperandView& view) { return is_complex(view.dtype); });
}

ChosenKernel ask_implementations(const KernelRequest& request, Device device, BackEnd& back_end,
                                 std::string& declined) {
  const bool complex = has_complex(request.inputs) || has_complex(request.outputs);
  for (const KernelImplementation& implementation :
       back_end.kernels().implementations(request.primitive)) {
    const AdaptedRequest adapted(request, implementation.strided);
    std::string reason;
    if (complex && !implementation.complex)
      reason = "complex numbers";
    else if (implementation.decline)
      reason = implementation.decline(adapted.request);
    if (reason.empty()) {
      ChosenKernel chosen;
      if (implementation.run) return {&implementation, nullptr};
      if (try_prepare(implementation, adapted.request, device, back_end, chosen, reason))
        return chosen;
    }
    declined += fmt::format("; {} declined: {}", implementation.name, reason);
  }
  return {};
}

}  // namespace

namespace {

/// What the tables answer, kept for the thread.
ChosenKernel ask(const KernelRequest& request, Device device, BackEnd& back_end,
                 const RequestKey& key, RecentChoices* recent, std::string& declined) {
  ChosenKernel chosen = ask_implementations(request, device, back_end, declined);
  if (chosen.implementation && recent) recent->insert(key, request.params, chosen);
  if (log_enabled("kernels"))
    log_choice(request, declined, chosen.implementation ? chosen.implementation->name : nullptr);
  return chosen;
}

RequestKey key_of(const KernelRequest& request, Device device, const BackEnd& back_end) {
  return {
      {static_cast<uint64_t>(request.primitive.id), table_version.load(std::memory_order_acquire)},
      device,
      back_end,
      request};
}

RecentChoice* recent_choice(const RequestKey& key, ParamsRef params, RecentChoices* recent) {
  return recent && !log_enabled("kernels") ? recent->find(key, params) : nullptr;
}

}  // namespace

ChosenKernel choose_kernel(const KernelRequest& request, Device device, std::string& declined) {
  BackEnd& back_end = back_end_of(device);
  const RequestKey key = key_of(request, device, back_end);
  RecentChoices* const recent = per_thread<RecentChoices>();
  if (const RecentChoice* known = recent_choice(key, request.params, recent)) return known->chosen;
  return ask(request, device, back_end, key, recent, declined);
}

BorrowedKernel::BorrowedKernel(const KernelRequest& request, Device device, BackEnd& back_end,
                               std::string& declined) {
  const RequestKey key = key_of(request, device, back_end);
  RecentChoices* const recent = per_thread<RecentChoices>();
  borrowed_ = recent_choice(key, request.params, recent);
  if (borrowed_)
    ++borrowed_->users;
  else
    own_ = ask(request, device, back_end, key, recent, declined);
}

}  // namespace linnet
