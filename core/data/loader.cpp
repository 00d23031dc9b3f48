#include "linnet/data/loader.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <thread>

#include "linnet/detail/format.h"

namespace linnet::data::detail {
namespace {

using Order = std::shared_ptr<const std::vector<int64_t>>;

LoaderOptions checked(LoaderOptions options, int64_t size) {
  if (options.batch_size < 1)
    fail<ValueError>("data::Loader: batch_size must be at least 1, got {}", options.batch_size);
  if (options.workers < 0)
    fail<ValueError>("data::Loader: workers must not be negative, got {}", options.workers);
  if (size < 1) fail<ValueError>("data::Loader: the data set has no examples");
  if (options.remainder == Remainder::kDrop && size < options.batch_size) {
    fail<ValueError>(
        "data::Loader: {} examples do not fill one batch of {}, and the remainder is dropped", size,
        options.batch_size);
  }
  options.ahead = std::max<int64_t>(options.ahead, 1);
  return options;
}

// Of the keys of batches, and no epoch's.
constexpr uint32_t kBatches = 0xFFFFFFFF;
/// The number of an epoch in keys: after 2^32 - 1 epochs the orders begin again.
uint32_t number_of(int64_t epoch) { return static_cast<uint32_t>(epoch % kBatches); }

// Which rows make up which batch.
class Plan {
 public:
  Plan(int64_t size, bool fills_last_batch, const LoaderOptions& options)
      : size_(size),
        batch_size_(options.batch_size),
        batches_(options.remainder == Remainder::kDrop
                     ? size / options.batch_size
                     : (size + options.batch_size - 1) / options.batch_size),
        fills_last_batch_(fills_last_batch) {}

  int64_t batches() const { return batches_; }

  std::vector<int64_t> rows(const Order& order, int64_t batch) const {
    const int64_t begin = batch * batch_size_;
    const int64_t end = std::min(size_, begin + batch_size_);
    std::vector<int64_t> out;
    out.reserve(static_cast<size_t>(batch_size_));
    for (int64_t i = begin; i < end; ++i)
      out.push_back(order ? (*order)[static_cast<size_t>(i)] : i);
    if (fills_last_batch_) out.resize(static_cast<size_t>(batch_size_), -1);
    return out;
  }

  Order order(const std::optional<Key>& key, int64_t epoch) const {
    if (!key) return nullptr;
    // Layouts and devices are the thread's; an order is the same in all of them.
    const random::LayoutScope layout(random::Layout::kPartitionable);
    const ScopedDevice host(kCpu);
    const Key of_epoch = random::fold_in(Key(key->data().to(kCpu)), number_of(epoch));
    return std::make_shared<const std::vector<int64_t>>(
        random::permutation(of_epoch, size_).to_vector<int64_t>());
  }

 private:
  int64_t size_, batch_size_, batches_;
  bool fills_last_batch_;
};

struct Result {
  std::shared_ptr<void> batch;
  std::exception_ptr error;
  bool is_ready = false;
};

Result run(const BatchSource::Gather& gather, const Plan& plan, const Order& order, int64_t batch) {
  Result out;
  try {
    out.batch = gather(plan.rows(order, batch));
  } catch (...) {
    out.error = std::current_exception();
  }
  out.is_ready = true;
  return out;
}

// Threads that make the batches of one epoch, some of them ahead of what has been taken.
class Workers {
 public:
  Workers(const Plan& plan, const BatchSource::Gather& gather, int count, int64_t ahead)
      : plan_(plan), gather_(gather), ring_(static_cast<size_t>(ahead)) {
    try {
      for (int i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
    } catch (...) {
      stop();
      throw;
    }
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  ~Workers() { stop(); }

  /// Forgets what there is and makes the batches from `first` on.
  void start(Order order, int64_t first) {
    const std::lock_guard lock(mutex_);
    ++generation_;
    order_ = std::move(order);
    next_ = taken_ = first;
    std::fill(ring_.begin(), ring_.end(), Result());
    wanted_.notify_all();
  }

  /// Batch number `batch`, which follows the one taken before.
  Result take(int64_t batch) {
    std::unique_lock lock(mutex_);
    Result& slot = ring_[static_cast<size_t>(batch) % ring_.size()];
    made_.wait(lock, [&] { return slot.is_ready; });
    Result out = std::exchange(slot, Result());
    taken_ = batch + 1;
    wanted_.notify_one();
    return out;
  }

 private:
  bool has_work() const {
    return next_ < plan_.batches() && next_ < taken_ + static_cast<int64_t>(ring_.size());
  }

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      wanted_.wait(lock, [this] { return is_stopped_ || has_work(); });
      if (is_stopped_) return;
      const int64_t batch = next_++;
      const int64_t generation = generation_;
      const Order order = order_;
      lock.unlock();
      Result result = run(gather_, plan_, order, batch);
      lock.lock();
      if (generation != generation_) continue;
      ring_[static_cast<size_t>(batch) % ring_.size()] = std::move(result);
      made_.notify_one();
    }
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      is_stopped_ = true;
    }
    wanted_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  const Plan& plan_;
  const BatchSource::Gather& gather_;
  std::mutex mutex_;
  std::condition_variable wanted_, made_;
  std::vector<Result> ring_;  // batch b is at b modulo the size
  Order order_;
  int64_t generation_ = 0;
  int64_t next_ = INT64_MAX;  // nothing to do before the first start
  int64_t taken_ = 0;
  bool is_stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

struct BatchSource::Impl {
  Impl(int64_t size, bool fills_last_batch, LoaderOptions given, Gather function)
      : options(checked(std::move(given), size)),
        plan(size, fills_last_batch, options),
        gather(std::move(function)),
        key(options.shuffle) {
    if (options.workers > 0) workers.emplace(plan, gather, options.workers, options.ahead);
  }

  void prepare() {
    if (is_prepared) return;
    order = plan.order(key, epoch);
    if (workers) workers->start(order, position);
    is_prepared = true;
  }

  std::shared_ptr<void> next() {
    if (position >= plan.batches()) {
      seek(epoch + 1, 0);
      return nullptr;
    }
    prepare();
    const int64_t batch = position;
    Result result = workers ? workers->take(batch) : run(gather, plan, order, batch);
    if (result.error) rethrow(result.error);
    handed_out(batch);
    return result.batch;
  }
  void handed_out(int64_t batch) {
    last = {epoch, batch};
    position = batch + 1;
  }
  /// A batch that fails counts as handed out, but one for which there was no memory is made again.
  [[noreturn]] void rethrow(const std::exception_ptr& error) {
    const int64_t batch = position;
    try {
      std::rethrow_exception(error);
    } catch (const std::bad_alloc&) {
      is_prepared = false;
      throw;
    } catch (...) {
      handed_out(batch);
      throw;
    }
  }

  void seek(int64_t to_epoch, int64_t to_position) {
    if (to_epoch < 0 || to_position < 0 || to_position > plan.batches()) {
      fail<ValueError>(
          "data::Loader: there is no place {} in epoch {}: an epoch has {} batches\n"
          "  hint: a state fits loaders of the same data, batch size and remainder",
          to_position, to_epoch, plan.batches());
    }
    epoch = to_epoch;
    position = to_position;
    is_prepared = false;
  }

  const LoaderOptions options;
  const Plan plan;
  const Gather gather;
  std::optional<Key> key;
  int64_t epoch = 0, position = 0;
  std::pair<int64_t, int64_t> last{0, 0};  // epoch and number of the batch handed out last
  Order order;
  bool is_prepared = false;
  std::optional<Workers> workers;
};

BatchSource::BatchSource(int64_t size, bool fills_last_batch, LoaderOptions options, Gather gather)
    : impl_(std::make_unique<Impl>(size, fills_last_batch, std::move(options), std::move(gather))) {
}
BatchSource::~BatchSource() = default;
BatchSource::BatchSource(BatchSource&&) noexcept = default;
BatchSource& BatchSource::operator=(BatchSource&&) noexcept = default;

std::shared_ptr<void> BatchSource::next() { return impl_->next(); }
int64_t BatchSource::epoch() const { return impl_->epoch; }
int64_t BatchSource::position() const { return impl_->position; }
int64_t BatchSource::batches() const { return impl_->plan.batches(); }
void BatchSource::seek(int64_t epoch, int64_t position) { impl_->seek(epoch, position); }

LoaderState BatchSource::state(int64_t ahead) const {
  int64_t epoch = impl_->epoch, position = impl_->position;
  if (ahead > 0) {
    // Epochs to go back, without their product with the batches, which may not fit 64 bits.
    const int64_t missing = ahead - position;
    const int64_t back = missing > 0 ? (missing - 1) / batches() + 1 : 0;
    if (back > epoch)
      fail<ValueError>("data::Loader: {} batches cannot be ahead, {} were handed out", ahead,
                       epoch * batches() + position);
    epoch -= back;
    position = back * batches() - missing;
  }
  LoaderState out;
  out.epoch = scalar_integer(epoch, DType::kI64);
  out.position = scalar_integer(position, DType::kI64);
  if (impl_->key) out.key = impl_->key->data();
  return out;
}

void BatchSource::set_state(const LoaderState& state) {
  const Key key(state.key);
  impl_->seek(state.epoch.item<int64_t>(), state.position.item<int64_t>());
  if (impl_->key) impl_->key = key;
}

Key BatchSource::batch_key() const {
  const auto [epoch, batch] = impl_->last;
  // No epoch has this number, so that these keys are apart from those of the orders.
  Key key = random::fold_in(impl_->key ? *impl_->key : Key(0), kBatches);
  // Nor do numbers of batches that need more than 32 bits meet others.
  if (batch >> 32)
    key = random::fold_in(random::fold_in(key, kBatches), static_cast<uint32_t>(batch >> 32));
  return random::fold_in(random::fold_in(key, number_of(epoch)), static_cast<uint32_t>(batch));
}

}  // namespace linnet::data::detail
