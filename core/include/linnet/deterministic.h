// Results that do not depend on the number of threads.
//
//   set_deterministic(true);        // or LINNET_DETERMINISTIC=1 in the environment
//   set_num_threads(2);             // the same bits as with 1 or 64
#pragma once

#pragma GCC visibility push(default)

namespace linnet {

/// Whether every operation, whoever computes it, gives the same bits for every number of threads
/// . Our own kernels always do; libraries divide sums among threads, so with this on they do
/// not decide how: products of f32 run in our own kernel, and products of bf16 and convolutions in
/// the library on one thread. On a GPU no sum is made of atomic additions. Compiled programs are
/// prepared anew when it changes.
void set_deterministic(bool on);
/// As set last; at first, whether LINNET_DETERMINISTIC is in the environment and not "0".
bool is_deterministic();

}  // namespace linnet

#pragma GCC visibility pop
