#include "npy_header.h"

#include <charconv>

#include "linnet/error.h"

namespace linnet::npy {
namespace {

class Parser {
 public:
  Parser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  Header parse() {
    expect('{');
    while (!accept('}')) {
      parse_member();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_spaces();
    if (position_ != text_.size()) fail("text after the dictionary");
    if (fields_ != kAllFields) fail("descr, fortran_order and shape are all needed");
    return std::move(header_);
  }

 private:
  static constexpr unsigned kAllFields = 7;

  [[noreturn]] void fail(const std::string& reason) const {
    throw IoError(name_ + ": npy header, character " + std::to_string(position_) + ": " + reason);
  }

  char peek() {
    skip_spaces();
    return position_ < text_.size() ? text_[position_] : '\0';
  }
  void skip_spaces() {
    while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\n'))
      ++position_;
  }
  bool accept(char c) {
    if (peek() != c) return false;
    ++position_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(std::string("expected ") + c);
  }
  bool accept_word(std::string_view word) {
    skip_spaces();
    if (text_.substr(position_, word.size()) != word) return false;
    position_ += word.size();
    return true;
  }

  std::string_view parse_string() {
    const char mark = peek();
    if (mark != '\'' && mark != '"') fail("expected a string");
    const size_t begin = ++position_;
    const size_t end = text_.find(mark, begin);
    if (end == std::string_view::npos) fail("unfinished string");
    const std::string_view content = text_.substr(begin, end - begin);
    if (content.find('\\') != std::string_view::npos) fail("escape sequence in a string");
    position_ = end + 1;
    return content;
  }

  void parse_member() {
    const std::string_view key = parse_string();
    expect(':');
    unsigned field = 0;
    if (key == "descr") field = 1;
    if (key == "fortran_order") field = 2;
    if (key == "shape") field = 4;
    if (field == 0) fail("unknown key");
    if (fields_ & field) fail("duplicate key " + std::string(key));
    fields_ |= field;
    if (field == 1) parse_descr();
    if (field == 2) parse_order();
    if (field == 4) parse_shape();
  }

  void parse_descr() {
    if (peek() == '[' || peek() == '{' || peek() == '(') fail("structured types are not supported");
    header_.descr = parse_string();
  }

  void parse_order() {
    if (accept_word("True"))
      header_.is_column_major = true;
    else if (!accept_word("False"))
      fail("fortran_order must be True or False");
  }

  void parse_shape() {
    expect('(');
    if (accept(')')) return;
    while (true) {
      header_.shape.push_back(parse_dimension());
      if (header_.shape.size() > kRankLimit)
        fail("more than " + std::to_string(kRankLimit) + " dimensions");
      if (accept(',')) {
        if (accept(')')) return;
        continue;
      }
      // Without a comma, one number in parentheses is a number and no tuple.
      if (header_.shape.size() == 1) fail("shape must be a tuple");
      expect(')');
      return;
    }
  }

  int64_t parse_dimension() {
    skip_spaces();
    int64_t value = 0;
    const char* begin = text_.data() + position_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error == std::errc::result_out_of_range) fail("dimension beyond 64 bits");
    if (error != std::errc() || value < 0) fail("expected a dimension");
    position_ += static_cast<size_t>(end - begin);
    // Python 2 marked long integers.
    if (position_ < text_.size() && text_[position_] == 'L') ++position_;
    return value;
  }

  std::string_view text_;
  const std::string& name_;
  size_t position_ = 0;
  unsigned fields_ = 0;
  Header header_;
};

}  // namespace

Header parse_header(std::string_view text, const std::string& name) {
  return Parser(text, name).parse();
}

}  // namespace linnet::npy
