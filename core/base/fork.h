// What a forked child needs: locks that no vanished thread holds.
#pragma once

#include <mutex>

namespace linnet {

/// Holds `mutex` while the process forks, so that the child finds it free. Locks that are held
/// while others are taken have the higher `level`. The mutex lives for ever.
void lock_around_fork(std::mutex& mutex, int level);

}  // namespace linnet
