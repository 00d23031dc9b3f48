#include "modules/text_table.h"

#include <algorithm>

#include "linnet/detail/format.h"

namespace linnet {

std::string text_table(const std::vector<std::vector<TextCell>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t c = 0; c < row.size(); ++c) {
      for (const std::string& line : row[c]) widths[c] = std::max(widths[c], line.size());
    }
  }
  std::string out;
  for (const auto& row : rows) {
    size_t height = 1;
    for (const TextCell& cell : row) height = std::max(height, cell.size());
    for (size_t i = 0; i < height; ++i) {
      std::string line;
      for (size_t c = 0; c < row.size(); ++c)
        line += fmt::format("  {:<{}}", i < row[c].size() ? row[c][i] : "", widths[c]);
      line.resize(line.find_last_not_of(' ') + 1);
      out += line + '\n';
    }
  }
  return out;
}

std::string grouped_number(int64_t number) {
  std::string out = std::to_string(number);
  const int64_t first = number < 0 ? 1 : 0;
  for (int64_t at = static_cast<int64_t>(out.size()) - 3; at > first; at -= 3)
    out.insert(static_cast<size_t>(at), ",");
  return out;
}

std::string bytes_text(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes > 1'000'000'000) return fmt::format("{:.1f} GB", value / 1e9);
  if (bytes > 1'000'000) return fmt::format("{:.1f} MB", value / 1e6);
  if (bytes > 1'000) return fmt::format("{:.1f} KB", value / 1e3);
  return fmt::format("{} B", bytes);
}

std::string size_text(int64_t elements, int64_t bytes) {
  if (!elements) return {};
  return grouped_number(elements) + " (" + bytes_text(bytes) + ")";
}

}  // namespace linnet
