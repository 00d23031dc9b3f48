// Helpers of the tests of file formats.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "linnet/error.h"

namespace linnet::testing {

/// A fresh directory that is removed with everything in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "linnet-io-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }
  size_t count() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::filesystem::path path_;
};

inline std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_text(const std::string& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
}

/// `count` as `width` bytes, least significant first.
inline std::string little_endian(uint64_t value, int width) {
  std::string result;
  for (int i = 0; i < width; ++i) result += static_cast<char>(value >> (8 * i) & 0xFF);
  return result;
}

/// Expects `action` to throw exactly an `E` whose message has all of `parts`.
template <class E = IoError, class Action>
void expect_error(Action&& action, std::initializer_list<std::string_view> parts) {
  try {
    action();
    ADD_FAILURE() << "nothing was thrown, expected a message with \"" << *parts.begin() << "\"";
  } catch (const E& error) {
    const std::string_view message = error.what();
    for (std::string_view part : parts) {
      EXPECT_NE(message.find(part), std::string_view::npos)
          << "\"" << part << "\" not in: " << message;
    }
    EXPECT_EQ(message.find("json.exception"), std::string_view::npos) << message;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another exception was thrown: " << error.what();
  }
}

}  // namespace linnet::testing
