// GPT-2's regular expression by hand: alternatives are tried in its order at each place.
#include <array>

#include "core/data/utf8.h"
#include "linnet/data/tokenizer.h"

namespace linnet::data {
namespace {

enum class Kind { kSpace, kLetter, kNumber, kOther };

Kind kind_of(char32_t code) {
  if (is_letter(code)) return Kind::kLetter;
  if (is_number(code)) return Kind::kNumber;
  return is_white_space(code) ? Kind::kSpace : Kind::kOther;
}

// The end of the run of characters of one kind that begins at `at`, and where its last one begins.
struct Run {
  size_t end, last;
};
Run run_of(std::string_view text, size_t at, Kind kind) {
  Run run{at, at};
  while (run.end < text.size()) {
    const Character next = character_at(text, run.end);
    if (kind_of(next.code) != kind) break;
    run.last = run.end;
    run.end += next.bytes;
  }
  return run;
}

size_t end_of_contraction(std::string_view text, size_t at) {
  constexpr std::array<std::string_view, 7> kContractions = {"'s", "'t",  "'re", "'ve",
                                                             "'m", "'ll", "'d"};
  for (std::string_view contraction : kContractions) {
    if (text.substr(at).starts_with(contraction)) return at + contraction.size();
  }
  return at;
}

size_t end_of_piece(std::string_view text, size_t at) {
  if (const size_t end = end_of_contraction(text, at); end > at) return end;
  const size_t behind_blank = at + (text[at] == ' ' ? 1 : 0);
  if (behind_blank < text.size()) {
    const Kind kind = kind_of(character_at(text, behind_blank).code);
    if (kind != Kind::kSpace) return run_of(text, behind_blank, kind).end;
  }
  // White space. What follows gets the last of it, unless there is no other.
  const Run run = run_of(text, at, Kind::kSpace);
  return run.end < text.size() && run.last > at ? run.last : run.end;
}

}  // namespace

std::vector<std::string_view> gpt2_pieces(std::string_view text) {
  std::vector<std::string_view> pieces;
  for (size_t at = 0; at < text.size();) {
    const size_t end = end_of_piece(text, at);
    pieces.push_back(text.substr(at, end - at));
    at = end;
  }
  return pieces;
}

}  // namespace linnet::data
