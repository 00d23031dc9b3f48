#include "linnet/io/checkpoints.h"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "core/io/directory.h"
#include "linnet/detail/format.h"
#include "linnet/io/atomic_file.h"
#include "linnet/io/byte_source.h"

namespace linnet::checkpoints {
namespace {

std::string path_of(const std::string& directory, const std::string& prefix, int64_t step) {
  return directory + "/" + prefix + std::to_string(step);
}

/// The step of a file of that prefix; nothing for other names, such as those of temporary files.
std::optional<int64_t> step_of(const std::string& name, const std::string& prefix) {
  if (name.rfind(prefix, 0) != 0) return std::nullopt;
  int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + prefix.size(), end, step);
  if (error != std::errc() || rest != end) return std::nullopt;
  return step;
}

void remove_file(const std::string& path, FileSystem& file_system) {
  if (file_system.remove(path.c_str()) != 0) throw_file_error("remove", path, errno);
}

void require_next(const std::vector<int64_t>& present, int64_t step, const std::string& path) {
  if (present.empty() || present.back() < step) return;
  fail<ValueError>(
      "checkpoints: {} is not beyond step {}, of which there is a checkpoint\n  hint: save with "
      "overwrite",
      path, present.back());
}

/// Those of `present` (ascending, with the new one) that go.
std::vector<int64_t> outdated(std::vector<int64_t> present, int64_t step,
                              const SaveOptions& options) {
  std::vector<int64_t> out;
  while (present.back() > step) {
    out.push_back(present.back());
    present.pop_back();
  }
  const size_t count = present.size(), keep = static_cast<size_t>(options.keep);
  std::optional<int64_t> last_kept;
  for (size_t i = 0; i + keep < count; ++i) {
    const bool stays = options.keep_every_n_steps &&
                       (!last_kept || present[i] - *last_kept >= *options.keep_every_n_steps);
    if (stays)
      last_kept = present[i];
    else
      out.push_back(present[i]);
  }
  return out;
}

}  // namespace

std::vector<int64_t> steps(const std::string& directory, const std::string& prefix,
                           FileSystem& file_system) {
  std::vector<std::string> names;
  if (file_system.list(directory.c_str(), names) != 0) {
    if (errno == ENOENT) return {};
    throw_file_error("list", directory, errno);
  }
  std::vector<int64_t> out;
  for (const std::string& name : names) {
    if (const std::optional<int64_t> step = step_of(name, prefix)) out.push_back(*step);
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::optional<std::string> latest(const std::string& directory, const std::string& prefix,
                                  FileSystem& file_system) {
  const std::vector<int64_t> present = steps(directory, prefix, file_system);
  if (present.empty()) return std::nullopt;
  return path_of(directory, prefix, present.back());
}

namespace detail {

std::string save_bytes(const std::string& directory, const std::vector<std::byte>& bytes,
                       int64_t step, const SaveOptions& options, FileSystem& file_system) {
  if (options.keep < 1)
    fail<ValueError>("checkpoints: keep must be positive, got {}", options.keep);
  make_directories(directory, file_system);
  std::vector<int64_t> present = steps(directory, options.prefix, file_system);
  const std::string path = path_of(directory, options.prefix, step);
  if (!options.overwrite) require_next(present, step, path);
  AtomicFile file(path, file_system);
  file.write(bytes);
  file.commit();
  if (std::find(present.begin(), present.end(), step) == present.end()) {
    present.push_back(step);
    std::sort(present.begin(), present.end());
  }
  for (const int64_t old : outdated(present, step, options))
    remove_file(path_of(directory, options.prefix, old), file_system);
  return path;
}

std::optional<StateDict> restore_state(const std::string& path, std::optional<int64_t> step,
                                       const std::string& prefix, FileSystem& file_system) {
  FileStatus status;
  const bool present = file_system.status(path.c_str(), status) == 0;
  std::optional<std::string> file = path;
  if (!present || status.is_directory) {
    const std::vector<int64_t> all =
        present ? steps(path, prefix, file_system) : std::vector<int64_t>();
    if (step && std::find(all.begin(), all.end(), *step) == all.end())
      fail<ValueError>("checkpoints: there is no {}", path_of(path, prefix, *step));
    if (all.empty()) return std::nullopt;
    file = path_of(path, prefix, step ? *step : all.back());
  }
  const FileSource source(*file, file_system);
  std::vector<std::byte> bytes(source.size());
  source.read(0, bytes);
  return msgpack_restore(bytes, *file);
}

}  // namespace detail
}  // namespace linnet::checkpoints
