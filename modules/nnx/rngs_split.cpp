#include "linnet/nnx/rngs_split.h"

#include <map>
#include <set>

#include "linnet/detail/format.h"
#include "linnet/traced_call.h"

namespace linnet::nnx {
namespace {

Tensor value_of(const VariableCellPtr& cell) { return Variable(cell).value(); }
void set_value(const VariableCellPtr& cell, const Tensor& value) {
  state::write(cell, state::Value(value));
}

/// A stream in a module: its key and its count are neighbours below one path.
struct Stream {
  tree::Path key_path, count_path;
  VariableCellPtr key, count;
};

std::vector<Stream> streams_of(const detail::Visits& nodes) {
  std::vector<Stream> out;
  std::set<const state::Cell*> seen;
  const auto is = [](const detail::NodeLeaf& leaf, const VariableType& type) {
    return leaf.cell && static_cast<const VariableCell&>(*leaf.cell).type->is(type);
  };
  for (const auto& visit : nodes) {
    const std::vector<detail::NodeLeaf> leaves = detail::walk(visit);
    for (size_t i = 0; i + 1 < leaves.size(); ++i) {
      if (!is(leaves[i], RngKey::static_type()) || !is(leaves[i + 1], RngCount::static_type()))
        continue;
      if (!seen.insert(leaves[i].cell.get()).second) continue;
      out.push_back({leaves[i].path, leaves[i + 1].path,
                     std::static_pointer_cast<VariableCell>(leaves[i].cell),
                     std::static_pointer_cast<VariableCell>(leaves[i + 1].cell)});
    }
  }
  return out;
}

bool matches(const Filter& filter, const Stream& stream) {
  return filter(stream.key_path, {stream.key, {}}) && filter(stream.count_path, {stream.count, {}});
}

/// Uses up one key of the stream.
Key next_key(const char* operation, const Stream& stream) {
  const Tensor key = value_of(stream.key), count = value_of(stream.count);
  if (key.rank() != 1) {
    fail<ValueError>("{}: stream {} is an array of keys already, {}", operation,
                     tree::to_string(stream.key_path), linnet::to_string(key.type()));
  }
  set_value(stream.count, count + scalar_integer(1, DType::kU32));
  return random::fold_in(Key(key), count);
}

/// Begins anew from `key`.
RngBackups::Entry replace(const Stream& stream, const Key& key, const Tensor& first_count) {
  RngBackups::Entry before{stream.key, stream.count, value_of(stream.key), value_of(stream.count),
                           first_count};
  set_value(stream.key, key.data());
  set_value(stream.count, zeros(key.shape(), DType::kU32));
  return before;
}

}  // namespace

void restore_rngs(const RngBackups& backups) {
  for (const RngBackups::Entry& entry : backups.entries) {
    state::write(entry.key, entry.key_before);
    state::write(entry.count, entry.count_before);
  }
}

RestoreRngs::~RestoreRngs() {
  // This needs no memory: the values are moved, and the scope has a place for the streams, which
  // were written in it.
  const bool failed = std::uncaught_exceptions() > exceptions_;
  for (RngBackups::Entry& entry : backups_.entries) {
    state::write(entry.key, std::move(entry.key_before));
    state::write(entry.count, std::move(failed ? entry.first_count : entry.count_before));
  }
}

namespace detail {

RngBackups split_rngs(const Visits& nodes, const SplitOptions& options) {
  if (options.squeeze && options.splits.shape() != Shape{1}) {
    fail<ValueError>("split_rngs: squeeze is for splits = 1, got {}",
                     linnet::to_string(options.splits.shape()));
  }
  return linnet::detail::all_or_nothing([&] {
    RngBackups backups;
    for (const Stream& stream : streams_of(nodes)) {
      if (!matches(options.only, stream)) continue;
      const Tensor count = value_of(stream.count);
      const Key keys = random::split(next_key("split_rngs", stream), options.splits.shape());
      backups.entries.push_back(replace(stream, options.squeeze ? keys[0] : keys, count));
    }
    return backups;
  });
}

RngBackups fork_rngs(const Visits& nodes, const SplitRules& rules) {
  return linnet::detail::all_or_nothing([&] {
    RngBackups backups;
    for (const Stream& stream : streams_of(nodes)) {
      for (const auto& [filter, splits] : rules) {
        if (!matches(filter, stream)) continue;
        const Tensor count = value_of(stream.count);
        Key key = next_key("fork_rngs", stream);
        if (splits) key = random::split(key, splits->shape());
        backups.entries.push_back(replace(stream, key, count));
        break;
      }
    }
    return backups;
  });
}

namespace {

/// The rule of one kind that a stream has, and whether its filter says more than everything().
struct Match {
  const Splits* splits = nullptr;
  bool found = false, specific = false;
  void note(const Filter& filter, const std::optional<Splits>& wanted) {
    splits = wanted ? &*wanted : nullptr;
    found = true;
    specific = !(filter == everything());
  }
};
Match first_match(const SplitRules& rules, const Stream& stream) {
  Match out;
  for (const auto& [filter, splits] : rules) {
    if (!matches(filter, stream)) continue;
    out.note(filter, splits);
    break;
  }
  return out;
}

/// The key of the copy's stream; null if it stays what it was.
std::optional<Key> key_of_copy(const Stream& stream, const RngRules& rules) {
  if (!matches(rules.only, stream)) return std::nullopt;
  const Match split = first_match(rules.split, stream);
  const Match broadcast = first_match(rules.broadcast, stream);
  Match fork;
  for (const Filter& filter : rules.fork) {
    if (!fork.found && matches(filter, stream)) fork.note(filter, std::nullopt);
  }
  if (split.specific + broadcast.specific + fork.specific > 1) {
    fail<ValueError>("with_rngs: stream {} matches several rules: {}{}{}",
                     tree::to_string(stream.key_path), split.specific ? "split " : "",
                     broadcast.specific ? "broadcast " : "", fork.specific ? "fork" : "");
  }
  if (split.found) {
    if (!split.splits) return std::nullopt;
    return random::split(next_key("with_rngs", stream), split.splits->shape());
  }
  if (broadcast.found) {
    if (!broadcast.splits) return std::nullopt;
    Shape shape = broadcast.splits->shape();
    shape.push_back(2);
    return Key(broadcast_to(next_key("with_rngs", stream).data(), shape));
  }
  return fork.found ? std::optional(next_key("with_rngs", stream)) : std::nullopt;
}

VariableCellPtr other_variable(const VariableCellPtr& cell, Tensor value) {
  return make_variable_cell(*cell->type, state::Value(std::move(value)), cell->metadata);
}

}  // namespace

State with_rngs(const std::function<void(tree::Visitor&)>& node, const RngRules& rules) {
  const auto changed = linnet::detail::all_or_nothing([&] {
    std::map<const state::Cell*, VariableCellPtr> out;
    for (const Stream& stream : streams_of({node})) {
      const std::optional<Key> key = key_of_copy(stream, rules);
      if (!key) continue;
      out[stream.key.get()] = other_variable(stream.key, key->data());
      out[stream.count.get()] = other_variable(stream.count, zeros(key->shape(), DType::kU32));
    }
    return out;
  });
  std::vector<State::Entry> entries;
  for (const NodeLeaf& leaf : walk(node)) {
    StateLeaf out{std::static_pointer_cast<VariableCell>(leaf.cell),
                  leaf.tensor ? *leaf.tensor : Tensor()};
    const auto found = changed.find(leaf.cell.get());
    if (leaf.cell && found != changed.end()) out.cell = found->second;
    entries.emplace_back(leaf.path, std::move(out));
  }
  return State(std::move(entries));
}

}  // namespace detail
}  // namespace linnet::nnx
