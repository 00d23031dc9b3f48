// In which order blocks and threads run.
#pragma once

#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "cuda/emulator/machine.h"

namespace linnet::cuda::emulator {

/// SplitMix64.
class RandomNumbers {
 public:
  explicit RandomNumbers(uint64_t seed) : state_(seed) {}
  uint64_t below(uint64_t count) {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % count;
  }

 private:
  uint64_t state_;
};

/// The threads of a block that can run.
class ReadyThreads {
 public:
  /// All threads of a block of `count`.
  void start(Schedule schedule, int count) {
    schedule_ = schedule;
    threads_.resize(static_cast<size_t>(count));
    first_ = size_ = 0;
    add(0, count, [](int) { return true; });
  }

  /// Those of [begin, end) for which `chosen` holds. A thread must not be there yet.
  template <class Chosen>
  void add(int begin, int end, Chosen chosen) {
    // A stack returns the last one first.
    if (schedule_ == Schedule::kReversed || schedule_ == Schedule::kWarp) {
      for (int i = end; i-- > begin;) {
        if (chosen(i)) push(i);
      }
    } else {
      for (int i = begin; i < end; ++i) {
        if (chosen(i)) push(i);
      }
    }
  }

  /// @return -1 if there is none.
  int take(RandomNumbers& random) {
    if (size_ == 0) return -1;
    --size_;
    switch (schedule_) {
      case Schedule::kWarp:  // those that became ready last: the warp that runs
        return threads_[size_];
      case Schedule::kRandom:
        std::swap(threads_[size_], threads_[random.below(size_ + 1)]);
        return threads_[size_];
      default:
        break;
    }
    const int next = threads_[first_];
    first_ = first_ + 1 == threads_.size() ? 0 : first_ + 1;
    return next;
  }

 private:
  void push(int thread) {
    size_t at = first_ + size_++;
    if (at >= threads_.size()) at -= threads_.size();
    threads_[at] = thread;
  }

  Schedule schedule_ = Schedule::kInOrder;
  std::vector<int> threads_;  // a ring from first_; a stack if nothing but its end is used
  size_t first_ = 0, size_ = 0;
};

/// The order of `count` blocks: the i-th to run is start + i * step, modulo count.
class BlockOrder {
 public:
  BlockOrder(Schedule schedule, uint64_t count, RandomNumbers& random) : count_(count) {
    if (schedule == Schedule::kReversed) {
      start_ = step_ = count - 1;
    } else if (schedule == Schedule::kRandom) {
      start_ = random.below(count);
      do {
        step_ = 1 + random.below(count);
      } while (std::gcd(step_, count) != 1);
    }
  }
  uint64_t operator[](uint64_t i) const {
    return static_cast<uint64_t>((start_ + static_cast<unsigned __int128>(i) * step_) % count_);
  }

 private:
  uint64_t count_, start_ = 0, step_ = 1;
};

}  // namespace linnet::cuda::emulator
