// Checkpoints that are written while the program goes on.
//
//   AsyncCheckpointer checkpointer;
//   for (...) {
//     state = step(state, batch);
//     if (step % 100 == 0) checkpointer.save("out/checkpoint", state, {{"step", n}});
//   }
//   checkpointer.wait();                                      // throws what the last save threw
//
// linnet.h does not include this header.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "linnet/io/checkpoint.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Runs `save_checkpoint` in a thread of its own, one at a time. For one thread.
class AsyncCheckpointer {
 public:
  explicit AsyncCheckpointer(FileSystem& file_system = FileSystem::system());
  AsyncCheckpointer(const AsyncCheckpointer&) = delete;
  AsyncCheckpointer& operator=(const AsyncCheckpointer&) = delete;
  /// Waits for what is being written. An error that nobody has asked for goes to the log.
  ~AsyncCheckpointer();

  /// Waits for the save before, takes the values as they are now, and begins to write them. Nothing
  /// that happens to `state` later, its donation to a compiled function included, reaches the file.
  /// @throws TraceError for tensors without values, and what the save before threw, after which
  /// nothing is begun.
  template <class T>
  void save(const std::string& directory, const T& state, Json manifest = Json::object()) {
    begin(directory, tree::leaves_with_path(state), std::move(manifest));
  }
  /// Returns when nothing is being written. @throws what the save threw, once.
  void wait();

 private:
  void begin(const std::string& directory, std::vector<std::pair<std::string, Tensor>> leaves,
             Json manifest);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace linnet

#pragma GCC visibility pop
