#include "json_reader.h"

namespace linnet::json_reader {

std::string quote(std::string_view text) {
  constexpr size_t kLimit = 60;
  std::string result = "\"";
  for (char c : text.substr(0, kLimit)) result += c >= 0x20 && c < 0x7F ? c : '?';
  result += text.size() > kLimit ? "...\"" : "\"";
  return result;
}

PointLocale::PointLocale() {
  static const locale_t point = ::newlocale(LC_ALL_MASK, "C", nullptr);
  // Zero asks for the present locale without a change, which is right should there be no memory.
  before_ = ::uselocale(point);
}

PointLocale::~PointLocale() { ::uselocale(before_); }

bool Handler::parse_error(size_t, const std::string& token,
                          const nlohmann::json::exception& error) {
  // Identifier 406 stands for a number that overflows a double.
  if (error.id == 406) return refuse("number " + quote(token) + " is too large");
  return refuse("malformed JSON near " + quote(token));
}

}  // namespace linnet::json_reader
