#include "linnet/report/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "linnet/error.h"
#include "text_columns.h"

namespace linnet {
namespace {

constexpr const char* kGap = "  ";

std::string padded(const std::string& text, int width, bool at_left) {
  const std::string spaces(static_cast<size_t>(std::max(width - columns_of(text), 0)), ' ');
  return at_left ? text + spaces : spaces + text;
}

void trim_end(std::string& line) { line.erase(line.find_last_not_of(' ') + 1); }

}  // namespace

std::string TableCell::text(int precision) const {
  if (const auto* text = std::get_if<std::string>(&value_)) return *text;
  if (const auto* whole = std::get_if<int64_t>(&value_)) return std::to_string(*whole);
  const double value = std::get<double>(value_);
  const double magnitude = std::abs(value);
  const bool is_plain = value == 0 || !std::isfinite(value) ||
                        (magnitude < 1e9 && magnitude >= 0.5 * std::pow(10.0, -precision));
  return is_plain ? fmt::format("{:.{}f}", value, precision)
                  : fmt::format("{:.{}e}", value, std::max(precision - 2, 1));
}

TextTable::TextTable(std::FILE* out, std::vector<TableColumn> columns)
    : out_(out), columns_(std::move(columns)) {
  for (TableColumn& column : columns_)
    column.width = std::max(column.width, columns_of(column.title));
}

std::string TextTable::heading() const {
  std::string titles, rule;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (i) titles += kGap, rule += kGap;
    titles += padded(columns_[i].title, columns_[i].width, false);
    for (int k = 0; k < columns_[i].width; ++k) rule += "─";
  }
  return titles + "\n" + rule;
}

std::string TextTable::format_row(const std::vector<TableCell>& cells) const {
  if (cells.size() != columns_.size()) {
    throw ValueError("TextTable: a row of " + std::to_string(cells.size()) +
                     " cells in a table of " + std::to_string(columns_.size()) + " columns");
  }
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (i) line += kGap;
    line += padded(cells[i].text(columns_[i].precision), columns_[i].width, !cells[i].is_number());
  }
  trim_end(line);
  return line;
}

void TextTable::add_row(const std::vector<TableCell>& cells) {
  const std::string row = format_row(cells);
  const std::string text = (heading_printed_ ? "" : heading() + "\n") + row + "\n";
  heading_printed_ = true;
  std::fputs(text.c_str(), out_);
  std::fflush(out_);
}

}  // namespace linnet
