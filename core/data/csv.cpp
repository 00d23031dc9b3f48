// Columns of a table as tensors.
#include "linnet/data/csv.h"

#include <charconv>
#include <map>

#include "core/data/host_tensor.h"
#include "linnet/detail/format.h"
#include "linnet/visit_dtype.h"

namespace linnet::data {
namespace {

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

// The whole text as a number; a plus sign is allowed.
template <class T>
std::optional<T> number_in(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

template <class T>
std::optional<T> value_in(std::string_view text, const std::optional<double>& missing) {
  if constexpr (std::is_same_v<T, bool>) {
    for (std::string_view yes : {"1", "true", "True", "TRUE"})
      if (text == yes) return true;
    for (std::string_view no : {"0", "false", "False", "FALSE"})
      if (text == no) return false;
    return std::nullopt;
  } else if constexpr (is_floating(dtype_of<T>())) {
    // from_chars knows no smaller floats than f32, from which these are rounded.
    using Parsed = std::conditional_t<sizeof(T) == 2, float, T>;
    if (text.empty() && missing) return static_cast<T>(static_cast<Parsed>(*missing));
    const std::optional<Parsed> value = number_in<Parsed>(text);
    return value ? std::optional(static_cast<T>(*value)) : std::nullopt;
  } else {
    return number_in<T>(text);
  }
}

}  // namespace

int64_t CsvTable::column_index(std::string_view name) const {
  std::string known;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i] == name) return static_cast<int64_t>(i);
    known += (i == 0 ? "\"" : ", \"") + columns_[i] + "\"";
  }
  fail<ValueError>("{}: there is no column \"{}\", there are {}", name_, name,
                   known.empty() ? "none" : known);
}

std::string_view CsvTable::cell(int64_t row, int64_t column) const {
  if (row < 0 || row >= rows() || column < 0 || column >= static_cast<int64_t>(columns_.size())) {
    fail<ValueError>("{}: there is no cell ({}, {}) in {} rows and {} columns", name_, row, column,
                     rows(), columns_.size());
  }
  const size_t at = static_cast<size_t>(row) * columns_.size() + static_cast<size_t>(column);
  const uint64_t begin = at == 0 ? 0 : ends_[at - 1];
  return std::string_view(texts_).substr(begin, ends_[at] - begin);
}

void CsvTable::fill(int64_t column, DType dtype, size_t stride, std::byte* to) const {
  visit_dtype(dtype, [&](auto prototype) {
    using T = decltype(prototype);
    T* out = reinterpret_cast<T*>(to);
    for (int64_t row = 0; row < rows(); ++row) {
      const std::string_view text = trimmed(cell(row, column));
      const std::optional<T> value = value_in<T>(text, missing_);
      if (!value) {
        fail<IoError>("{}: line {}: column \"{}\": \"{}\" is no {}", name_,
                      lines_[static_cast<size_t>(row)], columns_[static_cast<size_t>(column)],
                      text.substr(0, 80), linnet::name_of(dtype));
      }
      out[static_cast<size_t>(row) * stride] = *value;
    }
  });
}

std::vector<std::string> CsvTable::texts(std::string_view name) const {
  const int64_t column = column_index(name);
  std::vector<std::string> out;
  for (int64_t row = 0; row < rows(); ++row) out.emplace_back(cell(row, column));
  return out;
}

Tensor CsvTable::column(std::string_view name, DType dtype) const {
  const WritableHostArray out = allocate_host_array(dtype, {rows()});
  fill(column_index(name), dtype, 1, out.data);
  return host_tensor(out);
}

Tensor CsvTable::matrix(const std::vector<std::string>& names, DType dtype) const {
  const std::vector<std::string>& wanted = names.empty() ? columns_ : names;
  const WritableHostArray out =
      allocate_host_array(dtype, {rows(), static_cast<int64_t>(wanted.size())});
  for (size_t i = 0; i < wanted.size(); ++i)
    fill(column_index(wanted[i]), dtype, wanted.size(), out.data + i * size_of(dtype));
  return host_tensor(out);
}

Categories CsvTable::categories(std::string_view name) const {
  const int64_t column = column_index(name);
  std::map<std::string_view, int32_t> codes;
  for (int64_t row = 0; row < rows(); ++row) codes.emplace(cell(row, column), 0);
  Categories out;
  for (auto& [text, code] : codes) {
    code = static_cast<int32_t>(out.names.size());
    out.names.emplace_back(text);
  }
  const WritableHostArray array = allocate_host_array(DType::kI32, {rows()});
  for (int64_t row = 0; row < rows(); ++row)
    reinterpret_cast<int32_t*>(array.data)[row] = codes.at(cell(row, column));
  out.codes = host_tensor(array);
  return out;
}

}  // namespace linnet::data
