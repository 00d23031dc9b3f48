// A file system in memory that knows what would be left after loss of power: the data of files that
// were not flushed may be missing or cut, and entries of directories that were not flushed may be
// missing in any combination.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "linnet/io/file_system.h"

namespace linnet::testing {

class ModelFileSystem : public FileSystem {
 public:
  /// Flushes that do nothing, to see that the enumeration finds what they are for.
  bool files_are_flushed = true, directories_are_flushed = true;
  /// Called after every call that changes something.
  std::function<void()> after_change;

  ModelFileSystem() { nodes_.push_back({.is_directory = true}); }

  /// Calls `visit` with every state that loss of power could leave now; gives their number.
  int64_t for_each_crash_state(const std::function<void(ModelFileSystem&)>& visit) const;

  /// The bytes of an existing file.
  std::string& content(const std::string& path) { return nodes_.at(find(path)).data; }

  int open(const char* path, int flags, unsigned mode) override;
  ssize_t read_at(int descriptor, void* buffer, size_t bytes, off_t offset) override;
  ssize_t write(int descriptor, const void* buffer, size_t bytes) override;
  int sync(int descriptor) override;
  int close(int descriptor) override;
  int rename(const char* from, const char* to) override;
  int remove(const char* path) override;
  void* map(int descriptor, size_t bytes) override;
  int status(int descriptor, FileStatus& result) override;
  int status(const char* path, FileStatus& result) override;
  int make_directory(const char* path, unsigned mode) override;
  int list(const char* path, std::vector<std::string>& names) override;
  int lock(int descriptor) override;

 private:
  /// Removes the entry `removed` and sets the entry `set` to a node, as far as they are not empty.
  struct Change {
    std::string removed, set;
    size_t node = 0;
  };
  struct Node {
    bool is_directory = false;
    std::string data = {}, flushed_data = {};
    std::map<std::string, size_t> entries = {}, flushed_entries = {};
    std::vector<Change> pending = {};
  };
  struct Place {
    size_t directory;
    std::string name;
  };

  static constexpr size_t kNone = static_cast<size_t>(-1);
  static void apply(const Change& change, std::map<std::string, size_t>& entries);
  bool find_place(const std::string& path, Place& place) const;
  size_t find(const std::string& path) const;
  void change(size_t directory, Change change);
  void changed() const {
    if (after_change) after_change();
  }
  int describe(size_t node, FileStatus& result) const;

  std::vector<Node> nodes_;
  std::vector<size_t> open_;  // node of each descriptor, or kNone
};

}  // namespace linnet::testing
