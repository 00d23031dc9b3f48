#include "linnet/params.h"

#include <fmt/format.h>

namespace linnet::detail {

void append_text(std::string& out, bool value) { out += value ? "true" : "false"; }
void append_text(std::string& out, int64_t value) {
  fmt::format_to(std::back_inserter(out), "{}", value);
}
void append_text(std::string& out, uint64_t value) {
  fmt::format_to(std::back_inserter(out), "{}", value);
}
void append_text(std::string& out, double value) {
  fmt::format_to(std::back_inserter(out), "{}", value);
}
void append_text(std::string& out, const std::string& value) {
  fmt::format_to(std::back_inserter(out), "'{}'", value);
}
void append_text(std::string& out, DType value) { out += name_of(value); }
void append_text(std::string& out, Device value) { out += to_string(value); }
void append_text(std::string& out, const void* value) { out += value ? "<graph>" : "<none>"; }

}  // namespace linnet::detail
