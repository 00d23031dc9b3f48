// JSON values for manifests and reports: strict reading, deterministic pretty printing.
//
//   Json manifest = Json::object();
//   manifest["step"] = 1200;
//   manifest["loss"] = 0.25;
//   std::string text = manifest.to_text();
//   int64_t step = Json::parse(text).at("step").as_integer();
#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "linnet/io/file_system.h"

#pragma GCC visibility push(default)

namespace linnet {

/// One JSON value. Whole numbers are 64-bit integers and everything with a point or an exponent is
/// a double, and both print so that they come back bit for bit. Objects keep their keys sorted, so
/// equal values have equal text.
class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::map<std::string, Json, std::less<>>;

  /// What is accepted from a file.
  struct Limits {
    int depth = 64;  ///< nesting of arrays and objects
  };

  Json() = default;                                          ///< null
  Json(bool value) : value_(value) {}                        // NOLINT(runtime/explicit)
  Json(double value) : value_(value) {}                      // NOLINT(runtime/explicit)
  Json(float value) : value_(static_cast<double>(value)) {}  // NOLINT(runtime/explicit)
  /// @throws ValueError for an unsigned value above 2^63 - 1.
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  Json(T value) : value_(checked_integer(value)) {}             // NOLINT(runtime/explicit)
  Json(const char* value) : value_(std::string(value)) {}       // NOLINT(runtime/explicit)
  Json(std::string_view value) : value_(std::string(value)) {}  // NOLINT(runtime/explicit)
  Json(std::string value) : value_(std::move(value)) {}         // NOLINT(runtime/explicit)
  Json(Array value) : value_(std::move(value)) {}               // NOLINT(runtime/explicit)
  Json(Object value) : value_(std::move(value)) {}              // NOLINT(runtime/explicit)

  static Json array() { return Json(Array{}); }
  static Json object() { return Json(Object{}); }

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const { return std::holds_alternative<int64_t>(value_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }

  /// @throws IoError naming expected and actual kind; so do the other `as_` functions.
  bool as_bool() const;
  int64_t as_integer() const;
  /// An integer is accepted and converted, and so are the texts "NaN", "Infinity" and "-Infinity",
  /// as which such numbers are written.
  double as_double() const;
  const std::string& as_string() const;
  const Array& as_array() const;
  const Object& as_object() const;

  /// The value of `key`. @throws IoError if this is not an object or lacks the key; the message
  /// lists the keys that exist.
  const Json& at(std::string_view key) const;
  /// The value of `key`, or null pointer if there is none. @throws IoError if this is not an
  /// object.
  const Json* find(std::string_view key) const;
  /// The value of `key`, inserted as null if missing; null becomes an empty object.
  Json& operator[](std::string_view key);
  /// Appends to an array; null becomes an empty array.
  void push_back(Json value);

  bool operator==(const Json& other) const = default;

  /// Text with `indent` spaces a level, or on one line if `indent` is zero. Numbers that JSON
  /// cannot express become the texts "NaN", "Infinity" and "-Infinity", which `as_double`
  /// understands.
  /// @throws ValueError for strings that are not UTF-8, and for deeper nesting than `parse`
  /// accepts.
  std::string to_text(int indent = 2) const;

  /// Reads exactly one value (RFC 8259). Refused: duplicate keys, comments, trailing text, integers
  /// beyond 64 bits, numbers that overflow a double, deeper nesting than `limits.depth`.
  /// @throws IoError "<name>: byte <offset>: <reason>".
  static Json parse(std::string_view text, const std::string& name, const Limits& limits);
  static Json parse(std::string_view text, const std::string& name = "JSON") {
    return parse(text, name, Limits{});
  }

 private:
  template <std::integral T>
  static int64_t checked_integer(T value) {
    if constexpr (std::unsigned_integral<T> && sizeof(T) == sizeof(int64_t)) {
      if (value > static_cast<T>(INT64_MAX)) throw_too_large(value);
    }
    return static_cast<int64_t>(value);
  }
  [[noreturn]] static void throw_too_large(uint64_t value);

  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

/// Greatest length of a JSON file.
inline constexpr uint64_t kJsonByteLimit = uint64_t{256} << 20;

/// Reads a JSON file of at most `byte_limit` bytes.
/// @throws IoError if it cannot be read, is larger, or is malformed.
Json read_json(const std::string& path, uint64_t byte_limit = kJsonByteLimit,
               FileSystem& file_system = FileSystem::system());
/// Writes `value` pretty-printed with a final newline, atomically (see AtomicFile).
/// @throws ValueError as `to_text`, or if the text is longer than what `read_json` reads.
void write_json(const std::string& path, const Json& value,
                FileSystem& file_system = FileSystem::system());

}  // namespace linnet

#pragma GCC visibility pop
