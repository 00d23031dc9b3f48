#include "linnet/partition_spec.h"

#include <algorithm>
#include <ostream>

#include "core/sharding/names.h"
#include "core/sharding/spec_reader.h"
#include "linnet/detail/format.h"
#include "linnet/params.h"

namespace linnet {

SpecEntry::SpecEntry(Axes axes) : axes_(std::move(axes)) { std::erase(axes_, ""); }

std::string to_string(const SpecEntry& entry) {
  if (entry.unconstrained()) return "UNCONSTRAINED";
  if (entry.none()) return "None";
  return entry.axes().size() == 1 ? quoted(entry.axes()[0]) : tuple_text(entry.axes());
}

struct PartitionSpec::Data {
  Entries entries;
  PendingAxes pending;
};

namespace {

constexpr const char* kKinds[] = {"sum", "max", "min"};

const PendingAxes& no_pending() {
  static const PendingAxes none;
  return none;
}

void sort_names(std::vector<std::string>& names, const char* what) {
  for (const std::string& name : names) {
    if (name.empty()) fail<SpecError>("PartitionSpec: a name in {} is missing", what);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

void require_disjoint(const std::vector<std::string>& a, const char* what_a,
                      const std::vector<std::string>& b, const char* what_b) {
  for (const std::string& name : a) {
    if (std::find(b.begin(), b.end(), name) == b.end()) continue;
    fail<SpecError>("PartitionSpec: axis {} is both {} and {}", quoted(name), what_a, what_b);
  }
}

std::string set_text(const std::vector<std::string>& names) {
  std::string out = "{";
  for (const std::string& name : names) out += (out.size() > 1 ? ", " : "") + quoted(name);
  return out + "}";
}

std::vector<std::string> all_axes(const PartitionSpec::Entries& entries) {
  std::vector<std::string> out;
  for (const SpecEntry& entry : entries)
    out.insert(out.end(), entry.axes().begin(), entry.axes().end());
  return out;
}

}  // namespace

PartitionSpec::PartitionSpec(Entries entries, PendingAxes pending) {
  sort_names(pending.unreduced, "unreduced");
  sort_names(pending.reduced, "reduced");
  if (pending.unreduced.empty()) pending.unreduced_kind = PendingKind::kSum;
  const std::vector<std::string> used = all_axes(entries);
  require_disjoint(used, "an entry", pending.unreduced, "unreduced");
  require_disjoint(used, "an entry", pending.reduced, "reduced");
  require_disjoint(pending.unreduced, "unreduced", pending.reduced, "reduced");
  if (!entries.empty() || pending != PendingAxes())
    data_ = std::make_shared<const Data>(Data{std::move(entries), std::move(pending)});
}

PartitionSpec::PartitionSpec(const std::vector<std::optional<std::string>>& entries)
    : PartitionSpec(Entries(entries.begin(), entries.end())) {}

PartitionSpec PartitionSpec::parse(std::string_view text) { return SpecReader(text).read(); }

const PartitionSpec::Entries& PartitionSpec::entries() const {
  static const Entries none;
  return data_ ? data_->entries : none;
}
const PendingAxes& PartitionSpec::pending() const { return data_ ? data_->pending : no_pending(); }

size_t PartitionSpec::index(const SpecEntry& entry) const {
  const auto found = std::find(begin(), end(), entry);
  if (found == end())
    fail<SpecError>("PartitionSpec: there is no {} in {}", to_string(entry), to_string(*this));
  return static_cast<size_t>(found - begin());
}

size_t PartitionSpec::count(const SpecEntry& entry) const {
  return static_cast<size_t>(std::count(begin(), end(), entry));
}

std::vector<std::vector<std::string>> PartitionSpec::axes_of_dimensions() const {
  std::vector<std::vector<std::string>> out;
  for (const SpecEntry& entry : *this) out.push_back(entry.axes());
  return out;
}

bool PartitionSpec::has_unconstrained() const {
  return std::any_of(begin(), end(), [](const SpecEntry& entry) { return entry.unconstrained(); });
}

PartitionSpec operator+(const PartitionSpec& a, const PartitionSpec& b) {
  PartitionSpec::Entries entries = a.entries();
  entries.insert(entries.end(), b.begin(), b.end());
  PendingAxes pending = a.pending();
  const PendingAxes& more = b.pending();
  if (!pending.unreduced.empty() && !more.unreduced.empty() &&
      pending.unreduced_kind != more.unreduced_kind) {
    fail<SpecError>("PartitionSpec: {} and {} are unreduced in two ways", to_string(a),
                    to_string(b));
  }
  if (pending.unreduced.empty()) pending.unreduced_kind = more.unreduced_kind;
  pending.unreduced.insert(pending.unreduced.end(), more.unreduced.begin(), more.unreduced.end());
  pending.reduced.insert(pending.reduced.end(), more.reduced.begin(), more.reduced.end());
  return PartitionSpec(std::move(entries), std::move(pending));
}

PartitionSpec PartitionSpec::for_rank(size_t rank) const {
  check_rank(*this, rank);
  Entries padded = entries();
  padded.resize(rank);
  return PartitionSpec(std::move(padded), pending());
}

PartitionSpec PartitionSpec::trimmed() const {
  Entries shortest = entries();
  while (!shortest.empty() && shortest.back().none()) shortest.pop_back();
  return PartitionSpec(std::move(shortest), pending());
}

PartitionSpec PartitionSpec::with_pending(PendingAxes pending) const {
  return PartitionSpec(entries(), std::move(pending));
}

bool PartitionSpec::operator==(const PartitionSpec& other) const {
  return data_ == other.data_ || (entries() == other.entries() && pending() == other.pending());
}

size_t PartitionSpec::hash() const { return std::hash<std::string>{}(to_string(*this)); }

std::string to_string(const PartitionSpec& spec) {
  std::string out = "P(";
  for (size_t i = 0; i < spec.size(); ++i) out += (i ? ", " : "") + to_string(spec[i]);
  const PendingAxes& pending = spec.pending();
  const auto add = [&](const std::string& text) { out += (out.size() > 2 ? ", " : "") + text; };
  if (!pending.unreduced.empty()) add("unreduced=" + set_text(pending.unreduced));
  if (pending.unreduced_kind != PendingKind::kSum)
    add(fmt::format("unreduced_kind='{}'", kKinds[static_cast<size_t>(pending.unreduced_kind)]));
  if (!pending.reduced.empty()) add("reduced=" + set_text(pending.reduced));
  const bool alone = spec.size() == 1 && pending == PendingAxes();
  return out + (alone ? ",)" : ")");
}

std::ostream& operator<<(std::ostream& stream, const PartitionSpec& spec) {
  return stream << to_string(spec);
}

void check_rank(const PartitionSpec& spec, size_t rank, std::string_view subject) {
  if (spec.size() <= rank) return;
  fail<SpecRankError>("{}: {} needs rank {} or more, got rank {}{}", subject, to_string(spec),
                      spec.size(), rank, rank == 0 ? "\n  hint: the spec of a scalar is P()" : "");
}

}  // namespace linnet
