#include "linnet/nnx/state_sharding.h"

#include "linnet/detail/format.h"

namespace linnet::nnx {

StateSharding::StateSharding(const Shardings& shardings) {
  for (const auto& [path, sharding] : shardings) entries_.emplace_back(path_in({path}), sharding);
}

const std::optional<NamedSharding>& StateSharding::of(const tree::Path& path,
                                                      const StateLeaf& leaf) const {
  std::string filters;
  for (const auto& [filter, sharding] : entries_) {
    if (filter(path, leaf)) return sharding;
    filters += (filters.empty() ? "" : ", ") + filter.text();
  }
  fail<SpecError>(
      "StateSharding: no sharding for '{}' ({}); the filters are {}\n"
      "  hint: everything() as the last filter takes the rest",
      tree::to_string(path), leaf.type() ? leaf.type()->name() : "a tensor", filters);
}

size_t StateSharding::hash() const {
  std::string text;
  for (const auto& [filter, sharding] : entries_)
    text += filter.text() + (sharding ? std::to_string(sharding->hash()) : "none") + ";";
  return std::hash<std::string>{}(text);
}

std::optional<NamedSharding> ShardingPrefix::of(const tree::Path& path,
                                                const StateLeaf& leaf) const {
  if (const auto* all = std::get_if<NamedSharding>(&sharding_)) return *all;
  if (const auto* filters = std::get_if<StateSharding>(&sharding_)) return filters->of(path, leaf);
  return std::nullopt;
}

namespace detail {
namespace {

/// Where a variable is reached, and what is said of it there.
struct Mention {
  std::string place;
  std::optional<NamedSharding> sharding;
};

void check_same(const std::vector<Mention>& mentions) {
  for (const Mention& mention : mentions) {
    if (mention.sharding == mentions.front().sharding) continue;
    std::string lines;
    for (const Mention& each : mentions) {
      lines +=
          fmt::format("\n  {}: {}", each.place, each.sharding ? to_string(*each.sharding) : "none");
    }
    fail<AliasingError>("one variable is reached with different shardings{}", lines);
  }
}

}  // namespace

std::vector<Shardings> resolve_shardings(const std::vector<ShardingPrefix>& in_shardings,
                                         const std::vector<State>& arguments) {
  if (in_shardings.size() != arguments.size()) {
    fail<ValueError>("in_shardings: {} entries for {} arguments", in_shardings.size(),
                     arguments.size());
  }
  std::vector<Shardings> out(arguments.size());
  std::vector<std::vector<Mention>> mentions;  // per variable, in the order of arguments
  std::map<const VariableCell*, size_t> numbers;
  for (size_t i = 0; i < arguments.size(); ++i) {
    for (const auto& [path, leaf] : arguments[i].entries()) {
      const std::optional<NamedSharding> sharding = in_shardings[i].of(path, leaf);
      const std::string text = tree::to_string(path);
      if (leaf.cell) {
        const size_t number = numbers.emplace(leaf.cell.get(), mentions.size()).first->second;
        mentions.resize(numbers.size());
        mentions[number].push_back({fmt::format("argument {}, '{}'", i, text), sharding});
      }
      if (!sharding) continue;
      (void)with_sharding_constraint(leaf.value(), *sharding);
      out[i].emplace(text, *sharding);
    }
  }
  for (const std::vector<Mention>& all : mentions) check_same(all);
  return out;
}

}  // namespace detail
}  // namespace linnet::nnx
