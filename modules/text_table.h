// Private: tables as text, in columns as wide as they need to be, and numbers in them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace linnet {

/// A cell of one or more lines.
using TextCell = std::vector<std::string>;
/// Rows of cells, of one number, under one another; two spaces before each column.
std::string text_table(const std::vector<std::vector<TextCell>>& rows);

/// `1,234,567`.
std::string grouped_number(int64_t number);
/// `17.9 KB`, with powers of 1000.
std::string bytes_text(int64_t bytes);
/// `4,480 (17.9 KB)`; empty for nothing.
std::string size_text(int64_t elements, int64_t bytes);

}  // namespace linnet
