// Tables of text: CSV files with typed columns.
//
//   auto table = data::CsvTable::read("iris.csv");
//   Tensor x = table.matrix({"sepal_length", "sepal_width"});          // f32[rows,2]
//   auto [codes, names] = table.categories("species");                 // i32[rows], {"setosa", …}
//   auto set = data::in_memory(Batch{x, codes});
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "linnet/fields.h"
#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet::data {

struct CsvOptions {
  char separator = ',';
  char quote = '"';
  /// Whether the first line names the columns; without it they are named "0", "1", ….
  bool header = true;
  /// The number of an empty cell of a column of floats; none: such a cell is an error.
  std::optional<double> missing = {};
  uint64_t byte_limit = uint64_t{1} << 30;
};

/// Texts as numbers of classes.
struct Categories {
  Tensor codes;                    ///< i32 [rows]: places in `names`
  std::vector<std::string> names;  ///< ascending
  LINNET_FIELDS(codes, names)
};

/// The cells of a file (RFC 4180): fields between separators, perhaps quoted; inside quotes stand
/// separators, ends of lines, and quotes written twice. Lines end with "\n" or "\r\n"; empty ones
/// are passed over, and so is a byte order mark. A quote inside a field that does not begin with
/// one is a character like others.
class CsvTable {
 public:
  /// @throws IoError with path and line if the file cannot be read, is larger than the limit, or if
  /// a row has more or fewer fields than the first, a quoted field has no end or is followed by
  /// text, or two columns have one name.
  static CsvTable read(const std::string& path, const CsvOptions& options = {});
  /// The same for a text in memory; `name` begins the error messages.
  static CsvTable parse(std::string_view text, const CsvOptions& options = {},
                        const std::string& name = "CSV");

  int64_t rows() const { return static_cast<int64_t>(lines_.size()); }
  const std::vector<std::string>& columns() const { return columns_; }
  /// The place of a column. @throws ValueError naming those that there are.
  int64_t column_index(std::string_view name) const;
  /// The text of a cell, without quotes. @throws ValueError if there is none.
  std::string_view cell(int64_t row, int64_t column) const;

  /// The texts of a column.
  std::vector<std::string> texts(std::string_view name) const;
  /// [rows]: the numbers of a column, with blanks around them. Of floats, "nan" and "inf" are some;
  /// of bool, "true" and "false" (also with a capital, or all of them) and 1 and 0.
  /// @throws IoError with path, line and column for a cell that is no number or beyond the dtype.
  Tensor column(std::string_view name, DType dtype = DType::kF32) const;
  /// [rows, names]: several columns of one type; none named means all.
  Tensor matrix(const std::vector<std::string>& names = {}, DType dtype = DType::kF32) const;
  Categories categories(std::string_view name) const;

 private:
  friend class CsvParser;
  void fill(int64_t column, DType dtype, size_t stride, std::byte* to) const;

  std::string name_;
  std::optional<double> missing_;
  std::vector<std::string> columns_;
  std::string texts_;           // of all cells, one after the other
  std::vector<uint64_t> ends_;  // where each cell ends in it, row by row
  std::vector<int64_t> lines_;  // the line in the file on which each row begins
};

}  // namespace linnet::data

#pragma GCC visibility pop
