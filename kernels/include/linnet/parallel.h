// How many threads the CPU kernels use, and the loop they share.
//
//   linnet::set_num_threads(4);
//   linnet::cpu::parallel_for(n, 4096, [&](int64_t begin, int64_t end) { work(begin, end); });
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace linnet {

/// Sets the number of threads of every CPU kernel called from now on, in any thread of the process.
/// The default is the OMP_NUM_THREADS environment variable, or the number of processors.
/// The threads are made when they are first needed, and belong to the library: it shares them with
/// nobody, and they sleep when there is nothing to do. A forked child makes new ones.
/// @throws ValueError if `count` is less than one or more than 256 and four times the number of
/// processors.
void set_num_threads(int count);

/// The number of threads a CPU kernel may use: 1 inside an OpenMP parallel region of the caller.
/// Kernels that several threads of a program call at once get the threads one at a time; the others
/// compute on the thread that called them meanwhile.
int num_threads();

namespace cpu {

/// Reference to a callable that outlives the call it is passed to. Never empty, never owning.
template <class Signature>
class FunctionRef;

template <class R, class... A>
class FunctionRef<R(A...)> {
 public:
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>)
  FunctionRef(F&& function)  // NOLINT(runtime/explicit)
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(function)))),
        call_([](void* object, A... arguments) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(std::forward<A>(arguments)...);
        }) {}

  R operator()(A... arguments) const { return call_(object_, std::forward<A>(arguments)...); }

 private:
  void* object_;
  R (*call_)(void*, A...);
};

/// Calls `body(begin, end)` for disjoint ranges that cover [0, total), possibly at the same time.
/// `grain` is the least amount of work worth a thread. Below it, with one thread, and inside
/// another parallel region there is a single call in the calling thread. The first exception of a
/// body reaches the caller once all ranges are done.
void parallel_for(int64_t total, int64_t grain, FunctionRef<void(int64_t begin, int64_t end)> body);

/// How many ranges `parallel_for_slots` works on at the same time at most. Depends on the amount of
/// work alone, so that scratch memory sized by it does for every number of threads.
int64_t parallel_slots(int64_t total, int64_t grain);
/// As `parallel_for`, but ranges that are worked on at the same time have different numbers `slot`
/// below `parallel_slots(total, grain)`.
void parallel_for_slots(int64_t total, int64_t grain,
                        FunctionRef<void(int64_t begin, int64_t end, int64_t slot)> body);

}  // namespace cpu
}  // namespace linnet

#pragma GCC visibility pop
