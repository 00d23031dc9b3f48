// What the two JSON readers (values and safetensors headers) share: a scanner that reports events
// to a handler and knows the byte offset at which a handler refused. Private, since it includes the
// JSON library.
#pragma once

#include <locale.h>

#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "linnet/error.h"

namespace linnet::json_reader {

/// Forward iterator over a text that leaves its position where the handler can see it: the library
/// gives handlers no offsets.
class TrackedIterator {
 public:
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;
  using iterator_category = std::input_iterator_tag;

  TrackedIterator(const char* position, const char** tracker)
      : position_(position), tracker_(tracker) {}
  reference operator*() const { return *position_; }
  TrackedIterator& operator++() {
    *tracker_ = ++position_;
    return *this;
  }
  TrackedIterator operator++(int) {
    TrackedIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const TrackedIterator& other) const { return position_ == other.position_; }
  bool operator!=(const TrackedIterator& other) const { return position_ != other.position_; }

 private:
  const char* position_;
  const char** tracker_;
};

/// Quotes text from a file for a message: printable ASCII, at most 60 characters of it.
std::string quote(std::string_view text);

/// Base of handlers. A handler refuses by `return refuse("...")`.
class Handler {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  bool refuse(std::string reason) {
    reason_ = std::move(reason);
    return false;
  }
  /// Called by the scanner for malformed text.
  bool parse_error(size_t position, const std::string& token,
                   const nlohmann::json::exception& error);
  bool binary(binary_t&) { return refuse("binary values are not JSON"); }

  const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

/// While it lives, this thread reads and prints numbers with a point, whatever the program chose
/// with `setlocale`: the library takes the mark of the current locale.
class PointLocale {
 public:
  PointLocale();
  PointLocale(const PointLocale&) = delete;
  PointLocale& operator=(const PointLocale&) = delete;
  ~PointLocale();

 private:
  locale_t before_;
};

/// Sends the events of one JSON value that fills `text` completely to `handler`.
/// @throws IoError "<name>: byte <base + offset>: <reason>".
template <class H>
void scan(std::string_view text, const std::string& name, size_t base, H& handler) {
  const auto fail = [&](size_t offset, const std::string& reason) {
    throw IoError(name + ": byte " + std::to_string(base + offset) + ": " + reason);
  };
  // The library takes a zero byte for the end of the text and would leave the rest unread.
  const size_t zero = text.find('\0');
  if (zero != std::string_view::npos) fail(zero, "zero byte in JSON text");
  const PointLocale locale;
  const char* position = text.data();
  const TrackedIterator first(text.data(), &position);
  const TrackedIterator last(text.data() + text.size(), &position);
  if (!nlohmann::json::sax_parse(first, last, &handler)) {
    fail(static_cast<size_t>(position - text.data()), handler.reason());
  }
}

}  // namespace linnet::json_reader
