#include <algorithm>
#include <set>

#include "linnet/data/csv.h"
#include "linnet/data/text.h"
#include "linnet/detail/format.h"

namespace linnet::data {

class CsvParser {
 public:
  CsvParser(std::string_view text, const CsvOptions& options, const std::string& name)
      : text_(text), options_(options) {
    table_.name_ = name;
    table_.missing_ = options.missing;
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (text_.starts_with(kByteOrderMark)) text_.remove_prefix(kByteOrderMark.size());
  }

  CsvTable parse() {
    check_options();
    bool is_first = true;
    while (at_ < text_.size()) {
      if (end_of_line()) continue;
      const int64_t line = line_;
      const size_t before = table_.ends_.size();
      parse_row();
      const size_t fields = table_.ends_.size() - before;
      if (is_first) {
        is_first = false;
        name_columns(fields);
        if (options_.header) continue;
      }
      if (fields != table_.columns_.size()) {
        fail<IoError>("{}: line {}: {} fields, expected {} as in the first line", table_.name_,
                      line, fields, table_.columns_.size());
      }
      table_.lines_.push_back(line);
    }
    return std::move(table_);
  }

 private:
  void check_options() const {
    const char quote = options_.quote, separator = options_.separator;
    for (char c : {quote, separator}) {
      if (c == '\n' || c == '\r')
        fail<ValueError>("data::CsvTable: the end of a line can be neither separator nor quote");
    }
    if (quote == separator)
      fail<ValueError>("data::CsvTable: separator and quote are both '{}'", quote);
  }

  // Passes over an end of line, if there is one here.
  bool end_of_line() {
    const std::string_view rest = text_.substr(at_);
    const size_t length = rest.starts_with("\r\n") ? 2 : rest.starts_with('\n') ? 1 : 0;
    at_ += length;
    line_ += length > 0;
    return length > 0;
  }

  void parse_row() {
    while (true) {
      if (at_ < text_.size() && text_[at_] == options_.quote)
        parse_quoted();
      else
        parse_plain();
      table_.ends_.push_back(table_.texts_.size());
      if (at_ == text_.size() || end_of_line()) return;
      ++at_;  // the separator
    }
  }

  void parse_plain() {
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != options_.separator && text_[at_] != '\n') ++at_;
    // The end of the line is "\r\n" then.
    if (at_ < text_.size() && text_[at_] == '\n' && at_ > begin && text_[at_ - 1] == '\r') --at_;
    table_.texts_ += text_.substr(begin, at_ - begin);
  }

  void parse_quoted() {
    const int64_t begin_line = line_;
    ++at_;
    while (true) {
      const size_t end = text_.find(options_.quote, at_);
      if (end == std::string_view::npos) {
        fail<IoError>("{}: line {}: the quoted field that begins here has no end", table_.name_,
                      begin_line);
      }
      const std::string_view part = text_.substr(at_, end - at_);
      line_ += std::count(part.begin(), part.end(), '\n');
      table_.texts_ += part;
      at_ = end + 1;
      if (at_ == text_.size() || text_[at_] != options_.quote) break;
      table_.texts_ += options_.quote;
      ++at_;
    }
    const std::string_view rest = text_.substr(at_);
    if (!rest.empty() && rest[0] != options_.separator && rest[0] != '\n' &&
        !rest.starts_with("\r\n")) {
      fail<IoError>("{}: line {}: text after the closing quote of a field", table_.name_, line_);
    }
  }

  void name_columns(size_t fields) {
    std::set<std::string> seen;
    for (size_t i = 0; i < fields; ++i) {
      const uint64_t begin = i == 0 ? 0 : table_.ends_[i - 1];
      std::string name = options_.header ? table_.texts_.substr(begin, table_.ends_[i] - begin)
                                         : std::to_string(i);
      if (!seen.insert(name).second)
        fail<IoError>("{}: line 1: two columns are named \"{}\"", table_.name_, name);
      table_.columns_.push_back(std::move(name));
    }
    if (!options_.header) return;
    table_.texts_.clear();
    table_.ends_.clear();
  }

  std::string_view text_;
  const CsvOptions& options_;
  size_t at_ = 0;
  int64_t line_ = 1;
  CsvTable table_;
};

CsvTable CsvTable::parse(std::string_view text, const CsvOptions& options,
                         const std::string& name) {
  return CsvParser(text, options, name).parse();
}

CsvTable CsvTable::read(const std::string& path, const CsvOptions& options) {
  return parse(read_text(path, options.byte_limit), options, path);
}

}  // namespace linnet::data
