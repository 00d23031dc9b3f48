#include "core/sharding/names.h"

#include <algorithm>
#include <numeric>

namespace linnet {
namespace {

/// Insertions, deletions and exchanges of letters from one text to the other (Levenshtein 1966).
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t exchanged = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, exchanged});
    }
  }
  return row.back();
}

}  // namespace

std::string quoted(std::string_view name) {
  std::string out = "'";
  for (char c : name) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string tuple_text(const std::vector<std::string>& names) {
  std::string out = "(";
  for (size_t i = 0; i < names.size(); ++i) out += (i ? ", " : "") + quoted(names[i]);
  return out + (names.size() == 1 ? ",)" : ")");
}

std::string nearest_hint(std::string_view name, const std::vector<std::string>& names) {
  const std::string* nearest = nullptr;
  size_t least = 0;
  for (const std::string& candidate : names) {
    const size_t distance = edit_distance(name, candidate);
    if (nearest && distance >= least) continue;
    nearest = &candidate;
    least = distance;
  }
  // With more than half of the letters different nobody meant that name.
  if (!nearest || 2 * least > std::max(name.size(), nearest->size())) return {};
  return "\n  hint: did you mean " + quoted(*nearest) + "?";
}

}  // namespace linnet
