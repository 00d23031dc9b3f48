#include "core/base/fork.h"

#include <pthread.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace linnet {
namespace {

struct ForkLocks {
  std::mutex mutex;
  std::vector<std::pair<int, std::mutex*>> by_level;  ///< highest first: the order of locking
};

ForkLocks& fork_locks() {
  static ForkLocks* locks = [] {
    pthread_atfork(
        [] {
          fork_locks().mutex.lock();
          for (auto& [level, mutex] : fork_locks().by_level) mutex->lock();
        },
        [] {
          for (auto& [level, mutex] : fork_locks().by_level) mutex->unlock();
          fork_locks().mutex.unlock();
        },
        [] {
          for (auto& [level, mutex] : fork_locks().by_level) mutex->unlock();
          fork_locks().mutex.unlock();
        });
    return new ForkLocks;
  }();
  return *locks;
}

}  // namespace

void lock_around_fork(std::mutex& mutex, int level) {
  ForkLocks& locks = fork_locks();
  std::lock_guard lock(locks.mutex);
  const auto place = std::find_if(locks.by_level.begin(), locks.by_level.end(),
                                  [&](const auto& entry) { return entry.first < level; });
  locks.by_level.insert(place, {level, &mutex});
}

}  // namespace linnet
