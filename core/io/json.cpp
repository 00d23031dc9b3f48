#include "linnet/io/json.h"

#include <algorithm>
#include <cmath>
#include <limits>

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

// The texts that stand for the numbers JSON lacks, as in the JSON mapping of Protocol Buffers.
constexpr const char* kNan = "NaN";
constexpr const char* kInfinity = "Infinity";
constexpr const char* kMinusInfinity = "-Infinity";

// Escaping, UTF-8 and digits are the library's. Arrays and objects are not: the destructor of its
// containers allocates, which ends the process when memory is short.
std::string scalar_text(const nlohmann::json& scalar) {
  try {
    return scalar.dump();
  } catch (const nlohmann::json::type_error& error) {
    // Its message begins with an identifier in brackets.
    const std::string_view reason = error.what();
    throw ValueError("JSON: a string is not UTF-8:" +
                     std::string(reason.substr(std::min(reason.find(']') + 1, reason.size()))));
  }
}

std::string real_text(double value) {
  if (std::isfinite(value)) return scalar_text(value);
  return scalar_text(std::isnan(value) ? kNan : value > 0 ? kInfinity : kMinusInfinity);
}

class Printer {
 public:
  Printer(std::string& out, int indent) : out_(out), indent_(indent) {}

  void print(const Json& value, int depth) {
    if ((value.is_array() || value.is_object()) && depth == Json::Limits{}.depth) {
      throw ValueError("JSON: nested deeper than " + std::to_string(depth) +
                       " levels, which is not read again");
    }
    if (value.is_null())
      out_ += "null";
    else if (value.is_bool())
      out_ += value.as_bool() ? "true" : "false";
    else if (value.is_integer())
      out_ += std::to_string(value.as_integer());
    else if (value.is_number())
      out_ += real_text(value.as_double());
    else if (value.is_string())
      out_ += scalar_text(value.as_string());
    else if (value.is_array())
      print_array(value.as_array(), depth);
    else
      print_object(value.as_object(), depth);
  }

 private:
  void break_line(int depth) {
    if (indent_ == 0) return;
    out_ += '\n';
    out_.append(static_cast<size_t>(indent_) * static_cast<size_t>(depth), ' ');
  }

  // Short arrays of scalars, such as shapes, stay on one line.
  void print_array(const Json::Array& items, int depth) {
    constexpr size_t kLineItems = 16;
    const bool on_one_line =
        items.size() <= kLineItems && std::none_of(items.begin(), items.end(), [](const Json& i) {
          return i.is_array() || i.is_object();
        });
    out_ += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i) out_ += indent_ && on_one_line ? ", " : ",";
      if (!on_one_line) break_line(depth + 1);
      print(items[i], depth + 1);
    }
    if (!on_one_line) break_line(depth);
    out_ += ']';
  }

  void print_object(const Json::Object& members, int depth) {
    out_ += '{';
    bool is_first = true;
    for (const auto& [key, value] : members) {
      if (!is_first) out_ += ',';
      is_first = false;
      break_line(depth + 1);
      out_ += scalar_text(key);
      out_ += indent_ ? ": " : ":";
      print(value, depth + 1);
    }
    if (!members.empty()) break_line(depth);
    out_ += '}';
  }

  std::string& out_;
  int indent_;
};

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
  if (is_string()) {
    const std::string& text = as_string();
    constexpr double kInf = std::numeric_limits<double>::infinity();
    if (text == kNan) return std::numeric_limits<double>::quiet_NaN();
    if (text == kInfinity) return kInf;
    if (text == kMinusInfinity) return -kInf;
  }
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
  Printer(out, indent).print(*this, 0);
  return out;
}

Json Json::parse(std::string_view text, const std::string& name, const Limits& limits) {
  Builder builder(limits);
  json_reader::scan(text, name, 0, builder);
  return builder.take();
}

Json read_json(const std::string& path, uint64_t byte_limit, FileSystem& file_system) {
  const FileSource source(path, file_system);
  if (source.size() > byte_limit) {
    throw IoError(path + ": " + std::to_string(source.size()) + " bytes of JSON, at most " +
                  std::to_string(byte_limit) + " are read");
  }
  std::string text(static_cast<size_t>(source.size()), '\0');
  source.read(0, std::as_writable_bytes(std::span(text)));
  return Json::parse(text, path);
}

void write_json(const std::string& path, const Json& value, FileSystem& file_system) {
  const std::string text = value.to_text() + "\n";
  if (text.size() > kJsonByteLimit) {
    throw ValueError(path + ": " + std::to_string(text.size()) + " bytes of JSON, at most " +
                     std::to_string(kJsonByteLimit) + " are read again");
  }
  write_file_atomically(path, text, file_system);
}

}  // namespace linnet
