// Numbered checkpoints in one directory, a MessagePack file each, as flax.training.checkpoints
// writes them.
//
//   checkpoints::save("out", state, step, {.keep = 3});
//   state = checkpoints::restore("out", state);            // the latest; `state` if there is none
//
// Files are replaced by renaming, so that what is there is whole. `save_checkpoint` (checkpoint.h)
// is for the other case: one checkpoint, with checksums and a manifest.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "linnet/io/file_system.h"
#include "linnet/io/msgpack.h"

#pragma GCC visibility push(default)

namespace linnet::checkpoints {

struct SaveOptions {
  std::string prefix = "checkpoint_";
  int64_t keep = 1;        ///< files that stay: the latest
  bool overwrite = false;  ///< steps that are not beyond the latest; later files are removed
  /// Beside the latest, a file stays if it is so many steps after the last that stayed.
  std::optional<int64_t> keep_every_n_steps = {};
};

/// Steps of which there is a file `prefix` + step in `directory`, ascending; none where there is no
/// directory.
std::vector<int64_t> steps(const std::string& directory, const std::string& prefix = "checkpoint_",
                           FileSystem& file_system = FileSystem::system());
/// Path of the latest. Numbers are compared as numbers: 10 comes after 9.
std::optional<std::string> latest(const std::string& directory,
                                  const std::string& prefix = "checkpoint_",
                                  FileSystem& file_system = FileSystem::system());

namespace detail {
std::string save_bytes(const std::string& directory, const std::vector<std::byte>& bytes,
                       int64_t step, const SaveOptions& options, FileSystem& file_system);
/// The file at `path`, or the one of a step, or the latest, below a directory; nothing if there is
/// none.
std::optional<StateDict> restore_state(const std::string& path, std::optional<int64_t> step,
                                       const std::string& prefix, FileSystem& file_system);
}  // namespace detail

/// Writes `directory`/prefix + step and removes what need not stay; gives the path.
/// @throws ValueError if there is this step or a later one and `overwrite` is off, or `keep` is not
/// positive; IoError if the file cannot be written, nothing being removed then.
template <class T>
std::string save(const std::string& directory, const T& state, int64_t step,
                 const SaveOptions& options = {}, FileSystem& file_system = FileSystem::system()) {
  return detail::save_bytes(directory, to_bytes(state), step, options, file_system);
}

struct RestoreOptions {
  std::optional<int64_t> step = {};  ///< by default the latest
  std::string prefix = "checkpoint_";
};

/// A copy of `target` with the values of a checkpoint: of a file, or in a directory. `target`
/// itself if there is none.
/// @throws ValueError if there is no file of the step that is asked for; else as from_bytes.
template <class T>
T restore(const std::string& path, const T& target, const RestoreOptions& options = {},
          FileSystem& file_system = FileSystem::system()) {
  const std::optional<StateDict> saved =
      detail::restore_state(path, options.step, options.prefix, file_system);
  return saved ? from_state_dict(target, *saved) : tree::copy(target);
}

}  // namespace linnet::checkpoints

#pragma GCC visibility pop
