// Sets of collections, and dictionaries split by them.
#include <algorithm>
#include <iterator>

#include "linnet/detail/format.h"
#include "linnet/linen/collections.h"

namespace linnet::linen {

CollectionFilter::CollectionFilter(std::vector<std::string> names) : names_(std::move(names)) {
  std::sort(names_.begin(), names_.end());
  names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
}

bool CollectionFilter::contains(const std::string& collection) const {
  return std::binary_search(names_.begin(), names_.end(), collection) != deny_;
}

std::string CollectionFilter::text() const {
  return fmt::format("{}{{{}}}", deny_ ? "all but " : "", fmt::join(names_, ", "));
}

CollectionFilter CollectionFilter::deny(const CollectionFilter& filter) {
  CollectionFilter out = filter;
  out.deny_ = !out.deny_;
  return out;
}

namespace {

using Names = std::vector<std::string>;

Names united(const Names& a, const Names& b) {
  Names out;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}
Names without(const Names& a, const Names& b) {
  Names out;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}
Names common(const Names& a, const Names& b) {
  Names out;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

}  // namespace

CollectionFilter operator&(const CollectionFilter& a, const CollectionFilter& b) {
  CollectionFilter out;
  out.deny_ = a.deny_ && b.deny_;
  if (a.deny_ && b.deny_)
    out.names_ = united(a.names_, b.names_);
  else if (a.deny_)
    out.names_ = without(b.names_, a.names_);
  else if (b.deny_)
    out.names_ = without(a.names_, b.names_);
  else
    out.names_ = common(a.names_, b.names_);
  return out;
}
CollectionFilter operator|(const CollectionFilter& a, const CollectionFilter& b) {
  return CollectionFilter::deny(CollectionFilter::deny(a) & CollectionFilter::deny(b));
}
CollectionFilter operator-(const CollectionFilter& a, const CollectionFilter& b) {
  return a & CollectionFilter::deny(b);
}

std::vector<Variables> group_collections(const Variables& variables,
                                         const std::vector<CollectionFilter>& filters) {
  std::vector<Variables> groups(filters.size());
  for (const auto& [collection, tree] : variables.children()) {
    for (size_t g = 0; g < filters.size(); ++g) {
      if (!filters[g].contains(collection)) continue;
      groups[g].children().emplace(collection, tree);
      break;
    }
  }
  return groups;
}

}  // namespace linnet::linen
