#include "linnet/params_reader.h"

#include <fmt/format.h>

#include <charconv>

#include "linnet/detail/format.h"

namespace linnet::detail {

void append_text(std::string& out, bool value) { out += value ? "true" : "false"; }
void append_text(std::string& out, int64_t value) {
  fmt::format_to(std::back_inserter(out), "{}", value);
}
void append_text(std::string& out, uint64_t value) {
  fmt::format_to(std::back_inserter(out), "{}", value);
}
void append_text(std::string& out, double value) {
  fmt::format_to(std::back_inserter(out), "{}", value);
}
void append_text(std::string& out, const std::string& value) {
  fmt::format_to(std::back_inserter(out), "'{}'", value);
}
void append_text(std::string& out, DType value) { out += name_of(value); }
void append_text(std::string& out, Device value) { out += to_string(value); }
void append_text(std::string& out, const void* value) { out += value ? "<graph>" : "<none>"; }

bool TextReader::accept(std::string_view word) {
  if (!text_.substr(at_).starts_with(word)) return false;
  at_ += word.size();
  return true;
}

void TextReader::expect(std::string_view word) {
  if (!accept(word)) fail(word);
}

void TextReader::expect_end() {
  if (at_ != text_.size()) fail("the end");
}

void TextReader::fail(std::string_view expected) const { fail_at(at_, expected); }

void TextReader::fail_at(size_t position, std::string_view expected) const {
  linnet::fail<ValueError>("parameters: expected {} at position {} of \"{}\"", expected, position,
                           text_);
}

std::string_view TextReader::word() {
  const size_t begin = at_;
  while (at_ < text_.size() && std::string_view(",]})").find(text_[at_]) == std::string_view::npos)
    ++at_;
  return text_.substr(begin, at_ - begin);
}

int64_t TextReader::integer() {
  const size_t begin = at_;
  const std::string_view digits = word();
  int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) fail_at(begin, "an integer");
  return value;
}

double TextReader::number() {
  const size_t begin = at_;
  const std::string_view digits = word();
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) fail_at(begin, "a number");
  return value;
}

bool TextReader::boolean() {
  if (accept("true")) return true;
  if (!accept("false")) fail("true or false");
  return false;
}

DType TextReader::dtype() {
  const size_t begin = at_;
  const std::string_view name = word();
  for (int i = 0; i < kDTypeCount; ++i) {
    if (name_of(static_cast<DType>(i)) == name) return static_cast<DType>(i);
  }
  fail_at(begin, "a dtype");
}

Device TextReader::device() {
  for (const DeviceType type : {DeviceType::kCpu, DeviceType::kCuda, DeviceType::kExtension}) {
    const std::string first = to_string(Device{type, 0});  // "cpu:0"
    if (!accept(std::string_view(first).substr(0, first.size() - 1))) continue;
    const size_t begin = at_;
    const int64_t index = integer();
    if (index < 0 || index > 255) fail_at(begin, "the number of a device");
    return {type, static_cast<uint8_t>(index)};
  }
  fail("a device");
}

std::string TextReader::quoted() {
  expect("'");
  const size_t end = text_.find('\'', at_);
  if (end == std::string_view::npos) fail("a closing quote");
  std::string out(text_.substr(at_, end - at_));
  at_ = end + 1;
  return out;
}

}  // namespace linnet::detail
