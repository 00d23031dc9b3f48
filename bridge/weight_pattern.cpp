#include "bridge/weight_pattern.h"

#include <algorithm>

#include "linnet/detail/format.h"

namespace linnet::bridge {

WeightPattern::WeightPattern(std::string text) : text_(std::move(text)) {
  const auto put = [this](Kind kind, std::string piece) {
    if (!piece.empty() || kind == Kind::kAnything) pieces_.push_back({kind, std::move(piece)});
  };
  size_t begin = 0;
  while (begin < text_.size()) {
    const size_t at = text_.find_first_of("{}*", begin);
    put(Kind::kText, text_.substr(begin, at - begin));
    if (at == std::string::npos) break;
    begin = at + 1;
    if (text_[at] == '*') {
      put(Kind::kAnything, {});
      continue;
    }
    const size_t end = text_.find_first_of("{}", begin);
    if (text_[at] == '}' || end == std::string::npos || text_[end] == '{' || end == begin)
      fail<ValueError>("load_weights: the pattern '{}' has a brace without a name in it", text_);
    put(Kind::kNumber, text_.substr(begin, end - begin));
    begin = end + 1;
  }
  const std::vector<std::string> names = placeholders();
  for (size_t i = 0; i < names.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (names[i] == names[j])
        fail<ValueError>("load_weights: the pattern '{}' has {{{}}} twice", text_, names[i]);
}

std::vector<std::string> WeightPattern::placeholders() const {
  std::vector<std::string> names;
  for (const Piece& piece : pieces_)
    if (piece.kind == Kind::kNumber) names.push_back(piece.text);
  return names;
}

bool WeightPattern::has_wildcard() const {
  for (const Piece& piece : pieces_)
    if (piece.kind == Kind::kAnything) return true;
  return false;
}

bool WeightPattern::match_from(size_t piece, std::string_view rest, Captures& captures) const {
  if (piece == pieces_.size()) return rest.empty();
  const auto& [kind, text] = pieces_[piece];
  if (kind == Kind::kText)
    return rest.starts_with(text) && match_from(piece + 1, rest.substr(text.size()), captures);
  if (kind == Kind::kAnything) {
    for (size_t skip = 0; skip <= rest.size(); ++skip)
      if (match_from(piece + 1, rest.substr(skip), captures)) return true;
    return false;
  }
  const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
  if (digits == 0) return false;
  captures[text] = rest.substr(0, digits);
  return match_from(piece + 1, rest.substr(digits), captures);
}

std::optional<Captures> WeightPattern::match(std::string_view name) const {
  Captures captures;
  if (!match_from(0, name, captures)) return std::nullopt;
  return captures;
}

std::string WeightPattern::fill(const Captures& captures) const {
  std::string out;
  for (const auto& [kind, text] : pieces_) {
    const auto found = captures.find(text);
    if (kind == Kind::kText)
      out += text;
    else if (kind == Kind::kAnything)
      out += '*';
    else
      out += found == captures.end() ? "{" + text + "}" : found->second;
  }
  return out;
}

}  // namespace linnet::bridge
