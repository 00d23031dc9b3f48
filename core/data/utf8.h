// Characters of UTF-8 text, one after the other. Private.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace linnet::data {

/// Stands for a byte that is no part of a character: beyond all code points.
inline constexpr char32_t kNoCharacter = 0x110000;

struct Character {
  char32_t code;  ///< or kNoCharacter + the byte
  size_t bytes;   ///< 1 to 4
};

/// The character at `at`, which is inside `text`. Overlong forms, surrogates and code points above
/// 0x10FFFF are no characters (RFC 3629).
Character character_at(std::string_view text, size_t at);

/// Appends the UTF-8 form of a code point, which is at most 0x10FFFF.
void append_utf8(std::string& text, char32_t code);

bool is_letter(char32_t code);
bool is_number(char32_t code);
/// Unicode's property White_Space.
bool is_white_space(char32_t code);

}  // namespace linnet::data
