#include "core/ops/einsum_equation.h"

#include <algorithm>

#include "linnet/detail/format.h"

namespace linnet {
namespace {

// Unlike <cctype>, the same in every locale.
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string without_blanks(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c != ' ' && !(c >= '\t' && c <= '\r')) out += c;
  }
  return out;
}

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> out(1);
  for (char c : text) {
    if (c == ',')
      out.emplace_back();
    else
      out.back() += c;
  }
  return out;
}

/// Labels of the last `count` possible dimensions of the ellipsis.
std::string ellipsis_labels(size_t count) {
  std::string out;
  for (size_t i = count; i > 0; --i) out += static_cast<char>(kEllipsisEnd - static_cast<char>(i));
  return out;
}

/// Checks characters and replaces the ellipsis by `count` labels.
std::string expand(std::string_view equation, const std::string& term, size_t count,
                   bool& has_ellipsis) {
  std::string out;
  has_ellipsis = false;
  for (size_t i = 0; i < term.size(); ++i) {
    if (is_letter(term[i])) {
      out += term[i];
    } else if (term.compare(i, 3, "...") == 0 && !has_ellipsis) {
      has_ellipsis = true;
      out += ellipsis_labels(count);
      i += 2;
    } else {
      fail<ValueError>("einsum: unexpected '{}' in {}", term.substr(i, 1), equation);
    }
  }
  return out;
}

size_t letters_in(const std::string& term) {
  return static_cast<size_t>(std::count_if(term.begin(), term.end(), is_letter));
}

/// The labels that occur once, in alphabetical order, after those of the ellipsis.
std::string implicit_result(const std::vector<std::string>& operands, size_t ellipsis) {
  std::string all;
  for (const std::string& labels : operands) all += labels;
  std::string once;
  for (char c : all) {
    if (!from_ellipsis(c) && std::count(all.begin(), all.end(), c) == 1) once += c;
  }
  std::sort(once.begin(), once.end());
  return ellipsis_labels(ellipsis) + once;
}

void check_result(std::string_view equation, const EinsumEquation& e) {
  for (size_t i = 0; i < e.result.size(); ++i) {
    const char c = e.result[i];
    if (e.result.find(c, i + 1) != std::string::npos) {
      fail<ValueError>("einsum: '{}' occurs twice in the result of {}", c, equation);
    }
    const bool known =
        std::any_of(e.operands.begin(), e.operands.end(),
                    [&](const std::string& labels) { return labels.find(c) != std::string::npos; });
    if (!known && !from_ellipsis(c)) {
      fail<ValueError>("einsum: '{}' of the result is in no operand of {}", c, equation);
    }
  }
}

}  // namespace

EinsumEquation parse_einsum(std::string_view equation, const std::vector<size_t>& ranks) {
  const std::string text = without_blanks(equation);
  const size_t arrow = text.find("->");
  const std::vector<std::string> terms = split_at_commas(text.substr(0, arrow));
  if (terms.size() != ranks.size()) {
    fail<ValueError>("einsum: {} describes {} operands, got {}", equation, terms.size(),
                     ranks.size());
  }
  EinsumEquation out;
  size_t widest = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    const size_t letters = letters_in(terms[i]);
    const size_t count = ranks[i] > letters ? ranks[i] - letters : 0;
    bool has_ellipsis = false;
    out.operands.push_back(expand(equation, terms[i], count, has_ellipsis));
    if (out.operands[i].size() != ranks[i] || (count && !has_ellipsis) ||
        count > kEllipsisEnd - kEllipsisBegin) {
      fail<ShapeError>("einsum: operand {} of {} is described as '{}' but has {} dimensions", i,
                       equation, terms[i], ranks[i]);
    }
    if (has_ellipsis) widest = std::max(widest, count);
  }
  if (arrow == std::string::npos) {
    out.result = implicit_result(out.operands, widest);
  } else {
    bool has_ellipsis = false;
    out.result = expand(equation, text.substr(arrow + 2), widest, has_ellipsis);
  }
  check_result(equation, out);
  return out;
}

}  // namespace linnet
