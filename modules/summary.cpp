#include "linnet/summary.h"

#include <algorithm>
#include <array>
#include <ostream>

#include "linnet/detail/format.h"
#include "linnet/nnx/variable.h"
#include "linnet/variable_type.h"

namespace linnet::detail {
namespace {

using Row = std::array<std::string, 4>;

std::string kind_of(const tree::LeafRef& leaf) {
  // The cells of a tree are those of variables.
  return leaf.cell ? static_cast<const nnx::VariableCell&>(*leaf.cell).type->name() : "Tensor";
}

std::string text_of(const std::vector<Row>& rows) {
  std::array<size_t, 4> widths{};
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const Row& row : rows) {
    out += fmt::format("\n  {:<{}}  {:<{}}  {:<{}}  {:>{}}", row[0], widths[0], row[1], widths[1],
                       row[2], widths[2], row[3], widths[3]);
  }
  return out;
}

}  // namespace

std::string number_text(double value) { return fmt::format("{}", value); }

std::string type_heading(const std::type_info& type, const std::string& settings) {
  return short_type_name(type) + "(" + settings + ")";
}

std::string variable_table(const tree::Flattened& leaves) {
  std::vector<Row> rows{{"path", "kind", "type", "elements"}};
  int64_t elements = 0, bytes = 0;
  size_t path = 0;
  for (const tree::LeafRef& leaf : leaves.leaves) {
    for (const Tensor& tensor : tree::read({leaf})) {
      const std::string name = tree::to_string(leaves.paths[path++]);
      if (!tensor.defined()) {
        rows.push_back({name, kind_of(leaf), "undefined", "0"});
        continue;
      }
      rows.push_back(
          {name, kind_of(leaf), to_string(tensor.type()), fmt::format("{}", tensor.size())});
      elements += tensor.size();
      bytes += tensor.size() * static_cast<int64_t>(size_of(tensor.dtype()));
    }
  }
  if (rows.size() == 1) return {};
  return text_of(rows) + fmt::format("\n  {} variable{}, {} elements, {} bytes", rows.size() - 1,
                                     rows.size() == 2 ? "" : "s", elements, bytes);
}

std::ostream& write(std::ostream& stream, const std::string& text) { return stream << text; }

}  // namespace linnet::detail
