// Batches of a data set in order, epoch after epoch: shuffled by a key, made by worker threads,
// resumed exactly where a checkpoint was written.
//
//   data::Loader loader(data::in_memory(Batch{images, labels}),
//                       {.batch_size = 128, .shuffle = Key(0), .workers = 2});
//   while (loader.epoch() < 10) {
//     for (const Batch& batch : loader) step(model, optimizer, batch);     // the rest of this
//     epoch
//   }
//   save_checkpoint(directory, std::tuple(params, loader.state()));
//
// The order of an epoch depends on the key and the number of the epoch, not on the workers nor on
// what was loaded before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "linnet/data/data_set.h"
#include "linnet/random.h"

#pragma GCC visibility push(default)

namespace linnet::data {

/// What becomes of the last examples of an epoch if they do not fill a batch. (`data::padded` fills
/// it up.)
enum class Remainder : uint8_t {
  kKeep,  ///< a smaller batch
  kDrop   ///< no batch
};

struct LoaderOptions {
  int64_t batch_size = 32;
  Remainder remainder = Remainder::kKeep;
  /// The key of the orders: epoch e runs through random::permutation(fold_in(key, e), size), where
  /// they begin again after 2^32 - 1 epochs. None: the order of the data set.
  std::optional<Key> shuffle = {};
  /// Threads that make batches. With 0 the thread that asks makes them.
  int workers = 0;
  /// Finished batches that wait for the one who asks, at most; with workers only, at least 1.
  int64_t ahead = 4;
};

/// Where a loader stands: a tree of tensors, for checkpoints.
struct LoaderState {
  Tensor epoch = scalar_integer(0, DType::kI64);     ///< i64[], from 0
  Tensor position = scalar_integer(0, DType::kI64);  ///< i64[]: batches of this epoch handed out
  Tensor key = Key(0).data();                        ///< u32[2], of the orders
  LINNET_FIELDS(epoch, position, key)
};

namespace detail {

/// Calls a function for the rows of each batch, in the threads of the workers, and gives the
/// results in order.
class BatchSource {
 public:
  using Gather = std::function<std::shared_ptr<void>(std::span<const int64_t>)>;
  BatchSource(int64_t size, bool fills_last_batch, LoaderOptions options, Gather gather);
  ~BatchSource();
  BatchSource(BatchSource&&) noexcept;
  BatchSource& operator=(BatchSource&&) noexcept;

  /// Null at the end of an epoch.
  std::shared_ptr<void> next();
  int64_t epoch() const;
  int64_t position() const;
  int64_t batches() const;
  LoaderState state(int64_t ahead) const;
  void set_state(const LoaderState& state);
  void seek(int64_t epoch, int64_t position);
  Key batch_key() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

template <class D>
constexpr bool fills_last_batch() {
  if constexpr (requires { D::kFillsLastBatch; })
    return D::kFillsLastBatch;
  else
    return false;
}

}  // namespace detail

/// One user at a time: the members are not called by several threads at once.
template <DataSet D>
class Loader {
 public:
  using Batch = typename D::Batch;

  /// @throws ValueError for a batch size below 1, negative workers, or an empty data set.
  explicit Loader(D set, LoaderOptions options = {})
      : set_(std::make_shared<const D>(std::move(set))),
        source_(set_->size(), detail::fills_last_batch<D>(), std::move(options),
                [set = set_](std::span<const int64_t> rows) -> std::shared_ptr<void> {
                  return std::make_shared<Batch>(set->gather(rows));
                }) {}

  /// The next batch of this epoch, on the host; none at its end, once: the call after that begins
  /// the next epoch.
  /// @throws what the data set throws, in the turn of its batch. That batch counts as handed out,
  /// so that the next call goes on behind it; but not if memory was short (std::bad_alloc): then
  /// the next call makes it again.
  std::optional<Batch> next() {
    const std::shared_ptr<void> batch = source_.next();
    if (!batch) return std::nullopt;
    return std::move(*static_cast<Batch*>(batch.get()));
  }

  /// `for (Batch& batch : loader)` runs through the rest of the epoch.
  class Iterator {
   public:
    explicit Iterator(Loader* loader) : loader_(loader), batch_(loader->next()) {}
    Batch& operator*() { return *batch_; }
    Batch* operator->() { return &*batch_; }
    Iterator& operator++() {
      batch_ = loader_->next();
      return *this;
    }
    bool operator==(std::nullptr_t) const { return !batch_; }

   private:
    Loader* loader_;
    std::optional<Batch> batch_;
  };
  Iterator begin() { return Iterator(this); }
  std::nullptr_t end() { return nullptr; }

  const D& data_set() const { return *set_; }
  /// Examples of the data set.
  int64_t examples() const { return set_->size(); }
  /// Batches of one epoch.
  int64_t batches() const { return source_.batches(); }
  /// The epoch of the next batch, from 0.
  int64_t epoch() const { return source_.epoch(); }
  /// Batches of this epoch that have been handed out.
  int64_t position() const { return source_.position(); }

  /// Where a loader must stand to give what this one gives next. If a Prefetch or a queue took
  /// batches that have not been used, `ahead` is their number: `loader.state(batches.waiting())`.
  /// @throws ValueError if there were fewer batches.
  LoaderState state(int64_t ahead = 0) const { return source_.state(ahead); }
  /// Goes on as the loader that gave `state`, which had the same data, batch size and remainder.
  /// @throws ValueError if there is no such position.
  void set_state(const LoaderState& state) { source_.set_state(state); }
  /// Goes to the batch number `position` of an epoch.
  void seek(int64_t epoch, int64_t position = 0) { source_.seek(epoch, position); }
  /// A key of its own for each batch, that of the one handed out last: for augmentations that are
  /// the same after a resume. Without `shuffle`, made from Key(0).
  Key batch_key() const { return source_.batch_key(); }

 private:
  std::shared_ptr<const D> set_;
  detail::BatchSource source_;
};

}  // namespace linnet::data

#pragma GCC visibility pop
