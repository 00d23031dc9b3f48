// Objects that a thread keeps from one use to the next with their memory, for code that runs at
// every call and must not ask the heap each time.
//
//   const Loan<Scratch> scratch;               // struct Scratch { std::vector<int> list; … };
//   scratch->list.push_back(1);                // has the room of the longest list so far
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <utility>

#include "core/base/per_thread.h"

namespace linnet {

namespace detail {
/// Uses within uses are rare: a compiled function that calls another on the host.
template <class T>
struct Shelf {
  std::array<std::unique_ptr<T>, 4> kept;
  size_t count = 0;
};
}  // namespace detail

/// A T that this thread has put back, or a new one.
template <class T>
std::unique_ptr<T> take_kept() {
  auto* shelf = per_thread<detail::Shelf<T>>();
  return shelf && shelf->count > 0 ? std::move(shelf->kept[--shelf->count]) : std::make_unique<T>();
}

/// For the next `take_kept` of this thread.
template <class T>
void put_back(std::unique_ptr<T> object) noexcept {
  auto* shelf = per_thread<detail::Shelf<T>>();
  if (shelf && shelf->count < shelf->kept.size()) shelf->kept[shelf->count++] = std::move(object);
}

/// A T of this thread, which nobody else uses meanwhile. `T::clear()` empties it and keeps its
/// memory; it must not throw.
template <class T>
class Loan {
 public:
  Loan() : object_(take_kept<T>()) {}
  ~Loan() {
    object_->clear();
    put_back(std::move(object_));
  }
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;
  T* operator->() const { return object_.get(); }
  T& operator*() const { return *object_; }

 private:
  std::unique_ptr<T> object_;
};

}  // namespace linnet
