#include "modules/linen/lift.h"

#include <algorithm>

#include "linnet/detail/format.h"

namespace linnet::linen {
namespace {

/// Whether `path` is at or below `above`.
bool is_below(const std::vector<std::string>& path, const std::vector<std::string>& above) {
  return path.size() >= above.size() && std::equal(above.begin(), above.end(), path.begin());
}

bool same_scope(const ScopeNode& a, const ScopeNode& b) {
  return a.root == b.root && a.path == b.path;
}

/// The first filter that takes a name, or none.
std::optional<size_t> group_of(const std::vector<CollectionFilter>& filters,
                               const std::string& name) {
  for (size_t g = 0; g < filters.size(); ++g) {
    if (filters[g].contains(name)) return g;
  }
  return std::nullopt;
}

}  // namespace

/// The scopes of one run, which end with it.
struct Pack::Inside {
  std::vector<std::shared_ptr<ScopeNode>> roots;
  std::vector<Scope> scopes;
  Inside() = default;
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside() {
    for (const auto& node : roots) node->root->alive = false;
  }
};

Pack::Pack(const char* name, const std::vector<Scope>& scopes, Filters filters)
    : name_(name), filters_(std::move(filters)) {
  std::vector<std::shared_ptr<ScopeNode>> nodes;
  for (const Scope& scope : scopes) {
    nodes.push_back(ScopeAccess::node(scope));
    nodes.back()->check_alive();
  }
  const auto has_one_above = [&](const ScopeNode& node) {
    return std::any_of(nodes.begin(), nodes.end(), [&](const auto& other) {
      return other->root == node.root && other->path.size() < node.path.size() &&
             is_below(node.path, other->path);
    });
  };
  for (const auto& node : nodes) {
    const bool known = std::any_of(roots_.begin(), roots_.end(),
                                   [&](const auto& root) { return same_scope(*root, *node); });
    if (!known && !has_one_above(*node)) roots_.push_back(node);
  }
  for (const auto& node : nodes) {
    const auto root = std::find_if(roots_.begin(), roots_.end(), [&](const auto& candidate) {
      return candidate->root == node->root && is_below(node->path, candidate->path);
    });
    const auto depth = static_cast<int64_t>((*root)->path.size());
    places_.push_back({static_cast<size_t>(root - roots_.begin()),
                       {node->path.begin() + depth, node->path.end()},
                       node->automatic_names,
                       node});
  }
}

bool Pack::is_root(size_t root, const Scope& scope) const {
  return same_scope(*roots_[root], *ScopeAccess::node(scope));
}

bool Pack::may_write(const CollectionFilter& collections) const {
  return std::any_of(roots_.begin(), roots_.end(),
                     [&](const auto& node) { return !(node->root->mutate & collections).empty(); });
}

std::string Pack::mutability() const {
  std::string out;
  for (const auto& node : roots_) {
    out += node->root->initializing ? "init," : "";
    out += node->root->mutate.text() + ';' + node->root->capture.text() + ';';
  }
  return out;
}

VariableGroups Pack::variables() const {
  VariableGroups groups(filters_.in.size(), std::vector<Variables>(roots_.size()));
  for (size_t r = 0; r < roots_.size(); ++r) {
    for (const auto& [collection, tree] : roots_[r]->root->all().children()) {
      const Variables* below = tree.find_path(roots_[r]->path);
      const std::optional<size_t> group = group_of(filters_.in, collection);
      if (below && group) groups[*group][r].children().emplace(collection, *below);
    }
  }
  return groups;
}

StreamGroups Pack::streams() const {
  StreamGroups groups(filters_.streams.size(), std::vector<Streams>(roots_.size()));
  for (size_t r = 0; r < roots_.size(); ++r) {
    for (const auto& [name, stream] : roots_[r]->root->streams) {
      if (const std::optional<size_t> group = group_of(filters_.streams, name))
        groups[*group][r].emplace(name, stream);
    }
  }
  return groups;
}

std::shared_ptr<ScopeRoot> Pack::inner_root(size_t r, const VariableGroups& variables,
                                            const StreamGroups& streams,
                                            const CollectionFilter& mutate) const {
  const ScopeNode& outside = *roots_[r];
  Variables all;
  for (const std::vector<Variables>& group : variables) {
    for (const auto& [collection, tree] : group[r].children()) {
      std::vector<std::string> path{collection};
      path.insert(path.end(), outside.path.begin(), outside.path.end());
      all.at_path(path) = tree;
    }
  }
  auto root = std::make_shared<ScopeRoot>(std::move(all));
  for (const std::vector<Streams>& group : streams)
    root->streams.insert(group[r].begin(), group[r].end());
  CollectionFilter written = false;
  for (const CollectionFilter& filter : filters_.out) written = written | filter;
  root->mutate = outside.root->mutate & written & mutate;
  root->initializing = outside.root->initializing;
  root->capture = outside.root->capture;
  root->log = outside.root->log;
  root->transformation = name_;
  return root;
}

Pack::Run Pack::run(const detail::ScopeFunction::Run& f, const VariableGroups& variables,
                    const StreamGroups& streams, const TensorList& inputs,
                    const CollectionFilter& mutate) const {
  Inside inside;
  for (size_t r = 0; r < roots_.size(); ++r) {
    auto node = std::make_shared<ScopeNode>();
    node->root = inner_root(r, variables, streams, mutate);
    node->path = roots_[r]->path;
    node->shown_path = roots_[r]->shown_path;
    if (node->shown_path.empty()) node->shown_path.emplace_back();
    std::string& last = node->shown_path.back();
    last = std::string(name_) + '(' + last + ')';
    node->rng_counts = roots_[r]->rng_counts;
    inside.roots.push_back(std::move(node));
  }
  for (const Place& place : places_) {
    Scope scope(inside.roots[place.root]);
    for (const std::string& name : place.path) {
      ScopeAccess::node(scope)->reserved[name].insert("");
      scope = ScopeAccess::child(scope, name);
    }
    ScopeAccess::node(scope)->automatic_names = place.names;
    inside.scopes.push_back(std::move(scope));
  }
  const CurrentCall current(&inside.scopes.back());
  Run out{f(inside.scopes, inputs), repack(inside)};
  for (size_t i = 0; i < places_.size(); ++i) {
    places_[i].outside->automatic_names = ScopeAccess::node(inside.scopes[i])->automatic_names;
  }
  return out;
}

VariableGroups Pack::repack(const Inside& inside) const {
  VariableGroups groups(filters_.out.size(), std::vector<Variables>(roots_.size()));
  for (size_t r = 0; r < roots_.size(); ++r) {
    ScopeRoot& root = *inside.roots[r]->root;
    for (const auto& [collection, tree] : root.all().children()) {
      if (!root.mutate.contains(collection)) continue;
      const Variables* below = tree.find_path(roots_[r]->path);
      if (!below || below->empty()) continue;
      groups[group_of(filters_.out, collection).value()][r].children().emplace(collection, *below);
    }
  }
  return groups;
}

void Pack::publish(const VariableGroups& updated) const {
  for (const std::vector<Variables>& group : updated) {
    for (size_t r = 0; r < roots_.size(); ++r) {
      ScopeRoot& root = *roots_[r]->root;
      for (const auto& [collection, tree] : group[r].children()) {
        // Broadcast collections come back from loops whether they may be written or not.
        if (!root.mutate.contains(collection)) continue;
        for (const auto& [below, leaf] : flat_leaves(tree)) {
          std::vector<std::string> path{collection};
          path.insert(path.end(), roots_[r]->path.begin(), roots_[r]->path.end());
          path.insert(path.end(), below.begin(), below.end());
          root.put(path, *leaf);
        }
      }
    }
  }
}

Pack::Counters Pack::counters() const {
  Counters out;
  for (const auto& node : roots_) out.keys.push_back(node->rng_counts->flat());
  for (const Place& place : places_) out.names.push_back(place.outside->automatic_names);
  return out;
}

void Pack::set_counters(const Counters& counters) const {
  for (size_t r = 0; r < roots_.size(); ++r) roots_[r]->rng_counts->set(counters.keys[r]);
  for (size_t i = 0; i < places_.size(); ++i)
    places_[i].outside->automatic_names = counters.names[i];
}

TensorList PackedCall::inputs(const TensorList& arguments) const {
  TensorList out = tree::leaves(variables_);
  append_leaves(out, streams_);
  append(out, arguments);
  return out;
}

TensorList PackedCall::run(const detail::ScopeFunction::Run& f, const TensorList& lifted) {
  LeafReader leaves(lifted);
  const VariableGroups variables = leaves.take(variables_);
  const StreamGroups streams = leaves.take(streams_);
  Pack::Run ran = pack_.run(f, variables, streams, leaves.rest());
  if (on_the_way_out) on_the_way_out(ran.updated);
  results_ = ran.results.size();
  updated_ = linnet::detail::blank(ran.updated);
  append_leaves(ran.results, ran.updated);
  return std::move(ran.results);
}

TensorList PackedCall::finish(const TensorList& outputs) const {
  LeafReader leaves(outputs);
  TensorList results = leaves.take_tensors(results_);
  pack_.publish(leaves.take(updated_));
  return results;
}

AxisGroups::AxisGroups(const VariableAxes& axes) {
  for (const CollectionAxis& entry : axes) {
    if (entry.axis.in()) {
      in.push_back(entry.collections);
      in_axes.push_back(entry.axis.axis());
    }
    if (entry.axis.out()) {
      out.push_back(entry.collections);
      out_axes.push_back(entry.axis.axis());
    }
  }
}

std::vector<CollectionFilter> stream_filters(const SplitRngs& splits) {
  std::vector<CollectionFilter> out;
  for (const StreamSplit& entry : splits) out.push_back(entry.streams);
  return out;
}

StreamGroups split_streams(StreamGroups groups, const SplitRngs& splits, int64_t count) {
  for (size_t g = 0; g < groups.size(); ++g) {
    if (!splits[g].split) continue;
    for (Streams& streams : groups[g]) {
      for (auto& [name, stream] : streams) stream.key = random::split(stream.key, count);
    }
  }
  return groups;
}

namespace {

/// Gives the boxes of `to` the notes of `from` about axes beside the array.
void keep_axes_beside_array(Variables& to, const Variables& from) {
  if (to.is_leaf()) {
    if (!to.box()) return;
    Box box = *to.box();
    box.metadata.set_axes_beside_array(from.box()->metadata.axes_beside_array());
    return to.set_box(std::move(box));
  }
  for (auto& [name, child] : to.children()) keep_axes_beside_array(child, from[name]);
}

}  // namespace

void remove_box_axis(std::vector<Variables>& group, int64_t axis, const Metadata& parameters) {
  for (Variables& variables : group) {
    Variables changed = remove_axis(variables, axis, parameters);
    keep_axes_beside_array(changed, variables);
    variables = std::move(changed);
  }
}

void add_box_axis(std::vector<Variables>& group, int64_t axis, const Metadata& parameters) {
  for (Variables& variables : group) {
    Variables changed = add_axis(variables, axis, parameters);
    keep_axes_beside_array(changed, variables);
    variables = std::move(changed);
  }
}

namespace {
thread_local bool known_evaluation = false;
}  // namespace

bool evaluating_known() { return known_evaluation; }
KnownEvaluation::KnownEvaluation() : previous_(known_evaluation) { known_evaluation = true; }
KnownEvaluation::~KnownEvaluation() { known_evaluation = previous_; }

}  // namespace linnet::linen
