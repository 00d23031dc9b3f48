// Batches on their way to a device while it works on those before.
//
//   data::Prefetch batches([&] { return loader.next(); }, gpu);      // std::optional<Batch>
//   while (std::optional<Batch> batch = batches.next()) step(model, optimizer, *batch);
//
// Copies to a device do not wait for its work, nor for what they replace: the host puts them into
// pinned memory and goes on. So a step that is started with one batch and the copies of the next
// ones overlap, and no thread is needed. Keep the results of steps on the device (or read them a
// step late): reading one waits for it.
#pragma once

#include <cstddef>
#include <deque>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "linnet/placement.h"

#pragma GCC visibility push(default)

namespace linnet::data {

struct PrefetchOptions {
  /// Batches that are on the device, or on the way, besides the one that was given last. At least
  /// one.
  size_t ahead = 2;
};

/// Takes batches from `source`, a function without arguments that gives an optional tree of
/// tensors, and hands them out on `device`, in order. An error of the source comes when all batches
/// before it have been handed out.
template <class Source>
class Prefetch {
  using Given = std::invoke_result_t<Source&>;

 public:
  using Batch = typename Given::value_type;

  Prefetch(Source source, Device device, PrefetchOptions options = {})
      : source_(std::move(source)), device_(device), ahead_(options.ahead ? options.ahead : 1) {}

  /// The next batch, once as many as are wanted ahead are on their way; none at the end.
  /// @throws what the source throws, in its turn; DeviceError if there is no such device.
  std::optional<Batch> next() {
    fill(ahead_ + 1);
    if (ready_.empty()) {
      if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
      return std::nullopt;
    }
    std::optional<Batch> out(std::move(ready_.front()));
    ready_.pop_front();
    return out;
  }
  /// Batches on the device that have not been handed out.
  size_t waiting() const { return ready_.size(); }

 private:
  void fill(size_t count) {
    while (!ended_ && ready_.size() < count) {
      try {
        std::optional<Batch> batch = source_();
        if (batch)
          ready_.push_back(to(*batch, device_));
        else
          ended_ = true;
      } catch (...) {
        ended_ = true;
        error_ = std::current_exception();
      }
    }
  }

  Source source_;
  Device device_;
  size_t ahead_;
  std::deque<Batch> ready_;
  std::exception_ptr error_;
  bool ended_ = false;
};

}  // namespace linnet::data

#pragma GCC visibility pop
