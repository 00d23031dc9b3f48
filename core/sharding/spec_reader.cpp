#include "core/sharding/spec_reader.h"

#include "linnet/detail/format.h"

namespace linnet {

void SpecReader::fail_at(const char* expected) const {
  fail<SpecError>("PartitionSpec: expected {} at character {} of \"{}\"", expected, at_, text_);
}

bool SpecReader::take(std::string_view token) {
  while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  if (text_.substr(at_, token.size()) != token) return false;
  at_ += token.size();
  return true;
}

bool SpecReader::take_name(std::string& name) {
  const char quote = take("'") ? '\'' : take("\"") ? '"' : '\0';
  if (!quote) return false;
  for (; at_ < text_.size() && text_[at_] != quote; ++at_) {
    if (text_[at_] == '\\') ++at_;
    if (at_ == text_.size()) break;
    name += text_[at_];
  }
  if (at_ >= text_.size()) fail_at("the end of a name");
  ++at_;
  return true;
}

std::vector<std::string> SpecReader::names_until(char end) {
  std::vector<std::string> out;
  const std::string_view closing(&end, 1);
  while (!take(closing)) {
    std::string name;
    if (take("(") || take("[")) fail_at("a name: a list cannot hold a list");
    if (!take_name(name)) fail_at("a name");
    out.push_back(std::move(name));
    if (take(",")) continue;
    if (!take(closing)) fail_at("a comma or the end of the list");
    break;
  }
  return out;
}

SpecEntry SpecReader::entry() {
  if (take("None")) return std::nullopt;
  if (take("UNCONSTRAINED")) return kUnconstrained;
  if (take("(")) return names_until(')');
  if (take("[")) return names_until(']');
  std::string name;
  if (!take_name(name)) fail_at("None, UNCONSTRAINED, a name or a list of names");
  return name;
}

bool SpecReader::option() {
  if (take("unreduced={")) {
    pending_.unreduced = names_until('}');
  } else if (take("reduced={")) {
    pending_.reduced = names_until('}');
  } else if (take("unreduced_kind=")) {
    std::string kind;
    if (!take_name(kind)) fail_at("a kind of reduction");
    if (kind != "sum" && kind != "max" && kind != "min") fail_at("'sum', 'max' or 'min' before");
    pending_.unreduced_kind = kind == "sum"   ? PendingKind::kSum
                              : kind == "max" ? PendingKind::kMax
                                              : PendingKind::kMin;
  } else {
    return false;
  }
  return true;
}

PartitionSpec SpecReader::read() {
  if (!take("PartitionSpec(") && !take("P(")) fail_at("P(");
  PartitionSpec::Entries entries;
  while (!take(")")) {
    if (!option()) entries.push_back(entry());
    if (take(",")) continue;
    if (!take(")")) fail_at("a comma or the end of the spec");
    break;
  }
  take("");  // spaces
  if (at_ != text_.size()) fail_at("nothing more");
  return PartitionSpec(std::move(entries), std::move(pending_));
}

}  // namespace linnet
