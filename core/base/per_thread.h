// An object of the calling thread that code may ask for at any time, even while the thread ends.
//
//   if (RecentChoices* recent = per_thread<RecentChoices>()) recent->insert(...);
#pragma once

namespace linnet {

namespace detail {
template <class T>
inline constinit thread_local bool per_thread_closed = false;
}  // namespace detail

/// The T of this thread, made at first use; null once it has been destroyed, which is before the
/// destructors of static objects and of older thread_local objects run: they may still compute.
template <class T>
T* per_thread() {
  struct Holder {
    T object;
    ~Holder() { detail::per_thread_closed<T> = true; }
  };
  if (detail::per_thread_closed<T>) return nullptr;
  static thread_local Holder holder;
  return &holder.object;
}

}  // namespace linnet
