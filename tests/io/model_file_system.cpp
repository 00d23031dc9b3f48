#include "tests/io/model_file_system.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

namespace linnet::testing {

void ModelFileSystem::apply(const Change& change, std::map<std::string, size_t>& entries) {
  if (!change.removed.empty()) entries.erase(change.removed);
  if (!change.set.empty()) entries[change.set] = change.node;
}

int64_t ModelFileSystem::for_each_crash_state(
    const std::function<void(ModelFileSystem&)>& visit) const {
  struct Pending {
    size_t node, change;
  };
  std::vector<Pending> pending;
  std::vector<size_t> unflushed;
  for (size_t n = 0; n < nodes_.size(); ++n) {
    for (size_t c = 0; c < nodes_[n].pending.size(); ++c) pending.push_back({n, c});
    if (nodes_[n].data != nodes_[n].flushed_data) unflushed.push_back(n);
  }
  int64_t count = 0, contents = 1;
  for (size_t i = 0; i < unflushed.size(); ++i) contents *= 3;
  for (uint64_t subset = 0; subset < uint64_t{1} << pending.size(); ++subset) {
    for (int64_t content = 0; content < contents; ++content, ++count) {
      ModelFileSystem state;
      state.nodes_ = nodes_;
      for (Node& node : state.nodes_) {
        node.entries = node.flushed_entries;
        node.data = node.flushed_data;
        node.pending.clear();
      }
      for (size_t i = 0; i < pending.size(); ++i) {
        const auto [node, change] = pending[i];
        if (subset >> i & 1) apply(nodes_[node].pending[change], state.nodes_[node].entries);
      }
      int64_t choice = content;
      for (size_t node : unflushed) {
        const std::string& data = nodes_[node].data;
        if (choice % 3 == 1) state.nodes_[node].data = data.substr(0, data.size() / 2);
        if (choice % 3 == 2) state.nodes_[node].data = data;
        choice /= 3;
      }
      visit(state);
    }
  }
  return count;
}

size_t ModelFileSystem::find(const std::string& path) const {
  size_t node = 0;
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string name = path.substr(begin, end - begin);
    begin = end + 1;
    if (name.empty()) continue;
    const auto found = nodes_[node].entries.find(name);
    if (found == nodes_[node].entries.end()) {
      errno = ENOENT;
      return kNone;
    }
    node = found->second;
  }
  return node;
}

bool ModelFileSystem::find_place(const std::string& path, Place& place) const {
  const size_t slash = path.rfind('/');
  place = {find(path.substr(0, slash)), path.substr(slash + 1)};
  return place.directory != kNone;
}

void ModelFileSystem::change(size_t directory, Change change) {
  apply(change, nodes_[directory].entries);
  nodes_[directory].pending.push_back(std::move(change));
  changed();
}

int ModelFileSystem::open(const char* path, int flags, unsigned) {
  size_t node = find(path);
  if (node != kNone && (flags & O_EXCL)) {
    errno = EEXIST;
    return -1;
  }
  if (node == kNone) {
    Place place;
    if (!(flags & O_CREAT) || !find_place(path, place)) return -1;
    node = nodes_.size();
    nodes_.push_back({});
    change(place.directory, {"", place.name, node});
  }
  open_.push_back(node);
  return static_cast<int>(open_.size()) - 1;
}

ssize_t ModelFileSystem::read_at(int descriptor, void* buffer, size_t bytes, off_t offset) {
  const std::string& data = nodes_[open_[static_cast<size_t>(descriptor)]].data;
  const size_t start = std::min(static_cast<size_t>(offset), data.size());
  const size_t count = std::min(bytes, data.size() - start);
  std::memcpy(buffer, data.data() + start, count);
  return static_cast<ssize_t>(count);
}

// Every descriptor is written from front to back, so appending is enough.
ssize_t ModelFileSystem::write(int descriptor, const void* buffer, size_t bytes) {
  nodes_[open_[static_cast<size_t>(descriptor)]].data.append(static_cast<const char*>(buffer),
                                                             bytes);
  changed();
  return static_cast<ssize_t>(bytes);
}

int ModelFileSystem::sync(int descriptor) {
  Node& node = nodes_[open_[static_cast<size_t>(descriptor)]];
  if (node.is_directory && directories_are_flushed) {
    node.flushed_entries = node.entries;
    node.pending.clear();
  }
  if (!node.is_directory && files_are_flushed) node.flushed_data = node.data;
  changed();
  return 0;
}

int ModelFileSystem::close(int descriptor) {
  open_[static_cast<size_t>(descriptor)] = kNone;
  return 0;
}

int ModelFileSystem::rename(const char* from, const char* to) {
  Place source, target;
  const size_t node = find(from);
  if (node == kNone || !find_place(from, source) || !find_place(to, target)) return -1;
  change(target.directory, {source.name, target.name, node});
  return 0;
}

int ModelFileSystem::remove(const char* path) {
  Place place;
  if (find(path) == kNone || !find_place(path, place)) return -1;
  change(place.directory, {place.name, "", 0});
  return 0;
}

void* ModelFileSystem::map(int, size_t) {
  errno = ENODEV;
  return nullptr;
}

int ModelFileSystem::describe(size_t node, FileStatus& result) const {
  if (node == kNone) return -1;
  result = {.is_regular = !nodes_[node].is_directory,
            .is_directory = nodes_[node].is_directory,
            .size = nodes_[node].data.size(),
            .device = 1,
            .inode = node};
  return 0;
}

int ModelFileSystem::status(int descriptor, FileStatus& result) {
  return describe(open_[static_cast<size_t>(descriptor)], result);
}

int ModelFileSystem::status(const char* path, FileStatus& result) {
  return describe(find(path), result);
}

int ModelFileSystem::make_directory(const char* path, unsigned) {
  Place place;
  if (!find_place(path, place)) return -1;
  nodes_.push_back({.is_directory = true});
  change(place.directory, {"", place.name, nodes_.size() - 1});
  return 0;
}

int ModelFileSystem::list(const char* path, std::vector<std::string>& names) {
  const size_t node = find(path);
  if (node == kNone) return -1;
  for (const auto& entry : nodes_[node].entries) names.push_back(entry.first);
  return 0;
}

int ModelFileSystem::lock(int) { return 0; }

}  // namespace linnet::testing
