// Patterns of names such as `h.{n}.ln_1.weight`: `{n}` stands for a number, `*` for any text.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace linnet::bridge {

/// What the placeholders stand for.
using Captures = std::map<std::string, std::string, std::less<>>;

class WeightPattern {
 public:
  /// @throws ValueError for a brace without its other half or a placeholder that occurs twice.
  explicit WeightPattern(std::string text);

  const std::string& text() const { return text_; }
  /// Names of the placeholders.
  std::vector<std::string> placeholders() const;
  bool has_wildcard() const;
  std::optional<Captures> match(std::string_view name) const;
  /// The pattern with placeholders replaced; those that are missing stay as they are written.
  std::string fill(const Captures& captures) const;

 private:
  enum class Kind { kText, kNumber, kAnything };
  struct Piece {
    Kind kind;
    std::string text;  ///< of a number: its name
  };
  bool match_from(size_t piece, std::string_view rest, Captures& captures) const;

  std::string text_;
  std::vector<Piece> pieces_;
};

}  // namespace linnet::bridge
