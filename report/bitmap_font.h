// A small built-in font for captions. Private.
#pragma once

#include <array>
#include <cstdint>

namespace linnet::font {

inline constexpr int kGlyphWidth = 5;
inline constexpr int kGlyphHeight = 8;  ///< seven rows above the base line and one below
inline constexpr int kAdvance = 6;      ///< from one character to the next

/// Rows from the top; bit 4 is the leftmost element. Characters that are not printable ASCII give a
/// box.
const std::array<uint8_t, kGlyphHeight>& glyph(char character);

}  // namespace linnet::font
