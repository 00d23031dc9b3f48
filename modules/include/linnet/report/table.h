// Tables with fixed column widths, printed row by row while values arrive.
//
//   TextTable table(stdout, {{.title = "epoch", .width = 5}, {.title = "loss", .width = 8}});
//   table.add_row({1, 0.7312});
#pragma once

#include <concepts>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#pragma GCC visibility push(default)

namespace linnet {

/// Numbers are aligned to the right, text to the left.
struct TableColumn {
  std::string title = {};
  int width = 0;      ///< least number of characters; the title's length if smaller
  int precision = 4;  ///< digits after the point of real numbers
};

/// A whole number, a real number or a text.
class TableCell {
 public:
  template <std::integral T>
  TableCell(T value) : value_(static_cast<int64_t>(value)) {}        // NOLINT(runtime/explicit)
  TableCell(double value) : value_(value) {}                         // NOLINT(runtime/explicit)
  TableCell(const char* value) : value_(std::string(value)) {}       // NOLINT(runtime/explicit)
  TableCell(std::string_view value) : value_(std::string(value)) {}  // NOLINT(runtime/explicit)
  TableCell(std::string value) : value_(std::move(value)) {}         // NOLINT(runtime/explicit)

  bool is_number() const { return !std::holds_alternative<std::string>(value_); }
  /// The text of the cell. A real number that is not zero but too small or too large for
  /// `precision` is written with an exponent.
  std::string text(int precision) const;

 private:
  std::variant<int64_t, double, std::string> value_;
};

/// Prints a heading before the first row and every row at once. A cell that is wider than its
/// column is printed in full; nothing is cut.
class TextTable {
 public:
  TextTable(std::FILE* out, std::vector<TableColumn> columns);

  /// @throws ValueError if the number of cells differs from the number of columns.
  void add_row(const std::vector<TableCell>& cells);

  /// Titles and the line under them, without final newline.
  std::string heading() const;
  /// One row, without final newline. @throws ValueError as `add_row`.
  std::string format_row(const std::vector<TableCell>& cells) const;

 private:
  std::FILE* out_;
  std::vector<TableColumn> columns_;
  bool heading_printed_ = false;
};

}  // namespace linnet

#pragma GCC visibility pop
