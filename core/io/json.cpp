#include "linnet/io/json.h"

#include <charconv>
#include <cmath>

#include "json_reader.h"
#include "linnet/io/atomic_file.h"
#include "linnet/io/byte_source.h"

namespace linnet {
namespace {

using json_reader::quote;

// Builds a value from the events of the scanner.
class Builder : public json_reader::Handler {
 public:
  explicit Builder(const Json::Limits& limits) : limits_(limits) {}

  bool null() { return add(Json()) != nullptr; }
  bool boolean(bool value) { return add(Json(value)) != nullptr; }
  bool number_integer(number_integer_t value) { return add(Json(value)) != nullptr; }
  bool number_unsigned(number_unsigned_t value) {
    if (value > static_cast<uint64_t>(INT64_MAX)) return refuse("integer above 2^63 - 1");
    return add(Json(static_cast<int64_t>(value))) != nullptr;
  }
  bool number_float(number_float_t value, const string_t& text) {
    // The scanner turns integers that do not fit 64 bits into rounded doubles.
    if (text.find_first_of(".eE") == string_t::npos) return refuse("integer beyond 64 bits");
    return add(Json(value)) != nullptr;
  }
  bool string(string_t& value) { return add(Json(std::move(value))) != nullptr; }
  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(string_t& name) {
    if (stack_.back()->find(name) != nullptr) return refuse("duplicate key " + quote(name));
    key_ = std::move(name);
    return true;
  }

  Json take() { return std::move(root_); }

 private:
  Json* add(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *stack_.back();
    if (parent.is_object()) return &((parent[key_] = std::move(value)));
    parent.push_back(std::move(value));
    // Elements move when their array grows, but an open element is always the last of its array.
    return const_cast<Json*>(&parent.as_array().back());
  }
  bool open(Json container) {
    if (stack_.size() >= static_cast<size_t>(limits_.depth)) {
      return refuse("nested deeper than " + std::to_string(limits_.depth) + " levels");
    }
    stack_.push_back(add(std::move(container)));
    return true;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }

  Json::Limits limits_;
  Json root_;
  std::vector<Json*> stack_;
  std::string key_;
};

const char* kind_of(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_bool()) return "a boolean";
  if (value.is_integer()) return "an integer";
  if (value.is_number()) return "a real number";
  if (value.is_string()) return "a string";
  return value.is_array() ? "an array" : "an object";
}

[[noreturn]] void throw_kind(const char* expected, const Json& value) {
  throw IoError(std::string("JSON: expected ") + expected + ", found " + kind_of(value));
}

// Length of the UTF-8 sequence at the start of `text`, or zero if it is malformed (overlong forms,
// surrogates and values above U+10FFFF included).
size_t sequence_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  if (lead == 0xE0 && byte(1) < 0xA0) return 0;
  if (lead == 0xED && byte(1) >= 0xA0) return 0;
  if (lead == 0xF0 && byte(1) < 0x90) return 0;
  if (lead == 0xF4 && byte(1) >= 0x90) return 0;
  return length;
}

void append_escaped(std::string& out, unsigned char c) {
  constexpr char kDigits[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (c < 0x20 || c == 0x7F) {
    out += "\\u00";
    out += kDigits[c >> 4];
    out += kDigits[c & 15];
  } else {
    out += static_cast<char>(c);
  }
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const size_t length = sequence_length(text.substr(i));
    if (length == 0) {
      throw ValueError("JSON: string " + quote(text) + " is not UTF-8 at byte " +
                       std::to_string(i));
    }
    if (length == 1) {
      append_escaped(out, static_cast<unsigned char>(text[i]));
    } else {
      out += text.substr(i, length);
    }
    i += length;
  }
  out += '"';
}

void append_real(std::string& out, double value) {
  if (!std::isfinite(value)) throw ValueError("JSON: cannot express " + std::to_string(value));
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  const std::string_view digits(buffer, static_cast<size_t>(end - buffer));
  out += digits;
  // Keeps the value a real number when it is read again.
  if (digits.find_first_of(".e") == std::string_view::npos) out += ".0";
}

void append_line_break(std::string& out, int indent, int depth) {
  if (indent == 0) return;
  out += '\n';
  out.append(static_cast<size_t>(indent) * static_cast<size_t>(depth), ' ');
}

void append_value(std::string& out, const Json& value, int indent, int depth);

// Short arrays of scalars, such as shapes, stay on one line.
void append_array(std::string& out, const Json::Array& items, int indent, int depth) {
  constexpr size_t kLineItems = 16;
  bool on_one_line = items.size() <= kLineItems;
  for (const Json& item : items) on_one_line = on_one_line && !item.is_array() && !item.is_object();
  const int inner = on_one_line ? 0 : indent;
  out += '[';
  for (size_t i = 0; i < items.size(); ++i) {
    if (i) out += indent && on_one_line ? ", " : ",";
    append_line_break(out, inner, depth + 1);
    append_value(out, items[i], indent, depth + 1);
  }
  append_line_break(out, inner, depth);
  out += ']';
}

void append_object(std::string& out, const Json::Object& members, int indent, int depth) {
  out += '{';
  bool is_first = true;
  for (const auto& [key, value] : members) {
    if (!is_first) out += ',';
    is_first = false;
    append_line_break(out, indent, depth + 1);
    append_string(out, key);
    out += indent ? ": " : ":";
    append_value(out, value, indent, depth + 1);
  }
  if (!members.empty()) append_line_break(out, indent, depth);
  out += '}';
}

void append_value(std::string& out, const Json& value, int indent, int depth) {
  if (value.is_null())
    out += "null";
  else if (value.is_bool())
    out += value.as_bool() ? "true" : "false";
  else if (value.is_integer())
    out += std::to_string(value.as_integer());
  else if (value.is_number())
    append_real(out, value.as_double());
  else if (value.is_string())
    append_string(out, value.as_string());
  else if (value.is_array())
    append_array(out, value.as_array(), indent, depth);
  else
    append_object(out, value.as_object(), indent, depth);
}

}  // namespace

void Json::throw_too_large(uint64_t value) {
  throw ValueError("JSON: integer " + std::to_string(value) + " exceeds 2^63 - 1");
}

bool Json::as_bool() const {
  if (!is_bool()) throw_kind("a boolean", *this);
  return std::get<bool>(value_);
}

int64_t Json::as_integer() const {
  if (!is_integer()) throw_kind("an integer", *this);
  return std::get<int64_t>(value_);
}

double Json::as_double() const {
  if (!is_number()) throw_kind("a number", *this);
  return is_integer() ? static_cast<double>(std::get<int64_t>(value_)) : std::get<double>(value_);
}

const std::string& Json::as_string() const {
  if (!is_string()) throw_kind("a string", *this);
  return std::get<std::string>(value_);
}

const Json::Array& Json::as_array() const {
  if (!is_array()) throw_kind("an array", *this);
  return std::get<Array>(value_);
}

const Json::Object& Json::as_object() const {
  if (!is_object()) throw_kind("an object", *this);
  return std::get<Object>(value_);
}

const Json* Json::find(std::string_view key) const {
  const Object& members = as_object();
  const auto found = members.find(key);
  return found == members.end() ? nullptr : &found->second;
}

const Json& Json::at(std::string_view key) const {
  if (const Json* value = find(key)) return *value;
  constexpr size_t kListed = 10;
  std::string message = "JSON: no key " + quote(key) + "; present:";
  size_t listed = 0;
  for (const auto& member : as_object()) {
    if (listed++ == kListed) {
      message += " ...";
      break;
    }
    message += " " + quote(member.first);
  }
  throw IoError(message + (listed == 0 ? " none" : ""));
}

Json& Json::operator[](std::string_view key) {
  if (is_null()) value_ = Object{};
  if (!is_object()) throw_kind("an object", *this);
  Object& members = std::get<Object>(value_);
  const auto found = members.find(key);
  return found != members.end() ? found->second : members[std::string(key)];
}

void Json::push_back(Json value) {
  if (is_null()) value_ = Array{};
  if (!is_array()) throw_kind("an array", *this);
  std::get<Array>(value_).push_back(std::move(value));
}

std::string Json::to_text(int indent) const {
  std::string out;
  append_value(out, *this, indent, 0);
  return out;
}

Json Json::parse(std::string_view text, const std::string& name, const Limits& limits) {
  Builder builder(limits);
  json_reader::scan(text, name, 0, builder);
  return builder.take();
}

Json read_json(const std::string& path, uint64_t byte_limit) {
  const FileSource source(path);
  if (source.size() > byte_limit) {
    throw IoError(path + ": " + std::to_string(source.size()) + " bytes of JSON, at most " +
                  std::to_string(byte_limit) + " are read");
  }
  std::string text(static_cast<size_t>(source.size()), '\0');
  source.read(0, std::as_writable_bytes(std::span(text)));
  return Json::parse(text, path);
}

void write_json(const std::string& path, const Json& value) {
  write_file_atomically(path, value.to_text() + "\n");
}

}  // namespace linnet
