#include "linnet/nnx/views.h"

#include <algorithm>

#include "linnet/detail/format.h"

namespace linnet::nnx {

const Attribute* Attributes::find(std::string_view name) {
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].first != name) continue;
    used_[i] = 1;
    return &entries_[i].second;
  }
  return nullptr;
}

void Attributes::require_used(const char* operation) const {
  std::vector<std::string> unused;
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (!used_[i]) unused.push_back(entries_[i].first);
  }
  std::sort(unused.begin(), unused.end());
  if (!unused.empty())
    fail<ValueError>("{}: no module has or takes {}", operation, fmt::join(unused, ", "));
}

void Attributes::fail_type(std::string_view name, const char* expected, const Attribute& got) {
  constexpr const char* kTypes[] = {"a bool", "a whole number", "a number", "a text"};
  fail<ValueError>("attribute '{}': expected {}, got {}", name, expected, kTypes[got.index()]);
}

}  // namespace linnet::nnx
