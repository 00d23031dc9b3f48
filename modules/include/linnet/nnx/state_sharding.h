// nnx::StateSharding: how the variables of an argument or result of a compiled function are placed,
// by filters.
//
//   const nnx::StateSharding weights{{nnx::path_contains("kernel"), columns},
//                                    {nnx::everything(), std::nullopt}};
//   const auto placed = nnx::resolve_shardings({weights, rows}, model, batch);
//   placed[0].at("up/kernel");                            // columns
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "linnet/nnx/partitioning.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

/// Shardings by filters: a variable takes that of the first filter that matches; none leaves it as
/// it is.
class StateSharding {
 public:
  using Entry = std::pair<Filter, std::optional<NamedSharding>>;
  StateSharding(std::initializer_list<Entry> entries) : entries_(entries) {}
  explicit StateSharding(std::vector<Entry> entries) : entries_(std::move(entries)) {}
  /// That of the variable at each path (`get_named_sharding`).
  explicit StateSharding(const Shardings& shardings);

  const std::vector<Entry>& entries() const { return entries_; }
  /// @throws SpecError naming path, kind and filters if no filter matches.
  const std::optional<NamedSharding>& of(const tree::Path& path, const StateLeaf& leaf) const;
  /// By the texts of the filters, in order.
  bool operator==(const StateSharding& other) const { return entries_ == other.entries_; }
  size_t hash() const;

 private:
  std::vector<Entry> entries_;
};

/// An entry of `in_shardings` or `out_shardings`: the same for all variables and tensors of an
/// argument, by filters, or none (as they are).
class ShardingPrefix {
 public:
  ShardingPrefix(std::nullopt_t) {}                                             // NOLINT
  ShardingPrefix(NamedSharding sharding) : sharding_(std::move(sharding)) {}    // NOLINT
  ShardingPrefix(StateSharding shardings) : sharding_(std::move(shardings)) {}  // NOLINT

  /// Of one leaf. @throws SpecError if no filter matches.
  std::optional<NamedSharding> of(const tree::Path& path, const StateLeaf& leaf) const;

 private:
  std::variant<std::monostate, NamedSharding, StateSharding> sharding_;
};

namespace detail {
std::vector<Shardings> resolve_shardings(const std::vector<ShardingPrefix>& in_shardings,
                                         const std::vector<State>& arguments);
}

/// For each argument the shardings of its variables and tensors, by path, as `in_shardings` (one
/// entry per argument) say; what stays as it is is left out.
/// @throws ValueError for another number of entries; SpecError if no filter matches, SpecRankError
/// and IndivisibleError if a sharding does not fit its value; AliasingError, with all paths, if a
/// variable is reached in two ways with different shardings.
template <class... A>
std::vector<Shardings> resolve_shardings(const std::vector<ShardingPrefix>& in_shardings,
                                         A&... arguments) {
  std::vector<State> states;  // moved into place: a copy of a state has variables of its own
  (states.push_back(nnx::state(arguments)), ...);
  return detail::resolve_shardings(in_shardings, states);
}

}  // namespace linnet::nnx

#pragma GCC visibility pop
