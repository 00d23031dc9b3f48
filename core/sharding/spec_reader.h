// Reads the text form of partition specs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "linnet/partition_spec.h"

namespace linnet {

/// `P(entry, …, unreduced={…}, unreduced_kind='…', reduced={…})`, as `to_string` writes it; also
/// `PartitionSpec(…)`, and lists in brackets.
class SpecReader {
 public:
  explicit SpecReader(std::string_view text) : text_(text) {}
  /// @throws SpecError with the text and the place.
  PartitionSpec read();

 private:
  [[noreturn]] void fail_at(const char* expected) const;
  bool take(std::string_view token);
  bool take_name(std::string& name);
  std::vector<std::string> names_until(char end);
  SpecEntry entry();
  bool option();

  std::string_view text_;
  size_t at_ = 0;
  PendingAxes pending_;
};

}  // namespace linnet
