#include "modules/linen/scope_node.h"

#include <algorithm>

#include "linnet/detail/format.h"
#include "linnet/linen/errors.h"

namespace linnet::linen {

ScopeRoot::ScopeRoot(Variables variables)
    : variables_(std::move(variables)),
      scope_(state::current_scope()),
      home_(state::present_home()) {}

const Variables* ScopeRoot::find(const Path& path) {
  refresh(path);
  return variables_.find_path(path);
}

const Variables& ScopeRoot::all() {
  refresh({});
  return variables_;
}

void ScopeRoot::put(const Path& path, Variables leaf) {
  auto found = cells_.find(path);
  const bool inside = state::current_scope() != scope_;
  if (leaf.is_leaf() && !leaf.fixed() && (inside || found != cells_.end())) {
    if (found == cells_.end()) found = cells_.emplace(path, make_cell(path)).first;
    state::write(found->second, leaf.leaf());
  }
  variables_.at_path(path) = std::move(leaf);
}

state::CellPtr ScopeRoot::make_cell(const Path& path) const {
  const Variables* before = variables_.find_path(path);
  const bool has_value = before && before->is_leaf() && !before->fixed();
  auto cell = std::make_shared<state::Cell>(has_value ? before->leaf() : state::Value(), home_);
  cell->label = tree::to_string(path);
  return cell;
}

void ScopeRoot::refresh(const Path& path) {
  for (auto it = cells_.lower_bound(path); it != cells_.end(); ++it) {
    const Path& at = it->first;
    if (at.size() < path.size() || !std::equal(path.begin(), path.end(), at.begin())) break;
    state::Value value = state::read(it->second);
    if (value.tuple || !value.tensors.empty())
      variables_.at_path(at).leaf() = std::move(value);
    else
      remove(at);
  }
}

void ScopeRoot::remove(const Path& path) {
  Variables* parent = &variables_;
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    const auto next = parent->children().find(path[i]);
    if (next == parent->children().end()) return;
    parent = &next->second;
  }
  parent->children().erase(path.back());
}

namespace {

template <class Counts, class F>
void for_each_count(Counts& counts, std::vector<std::string>& path, const F& f) {
  for (auto& [stream, count] : counts.drawn) f(path, stream, count);
  for (auto& [name, child] : counts.children) {
    path.push_back(name);
    for_each_count(*child, path, f);
    path.pop_back();
  }
}

}  // namespace

RngCounts::Flat RngCounts::flat() const {
  Flat out;
  std::vector<std::string> path;
  for_each_count(*this, path, [&](const auto& at, const std::string& stream, int64_t count) {
    if (count) out.emplace(std::make_pair(at, stream), count);
  });
  return out;
}

void RngCounts::set(const Flat& counts) {
  std::vector<std::string> path;
  for_each_count(*this, path, [](const auto&, const std::string&, int64_t& count) { count = 0; });
  for (const auto& [where, count] : counts) {
    RngCounts* at = this;
    for (const std::string& name : where.first) {
      std::shared_ptr<RngCounts>& child = at->children[name];
      if (!child) child = std::make_shared<RngCounts>();
      at = child.get();
    }
    at->drawn[where.second] = count;
  }
}

std::vector<std::string> ScopeNode::full_path(const std::string& collection,
                                              const std::string& name) const {
  std::vector<std::string> out{collection};
  out.insert(out.end(), path.begin(), path.end());
  out.push_back(name);
  return out;
}

std::string ScopeNode::text() const { return "/" + tree::to_string(shown_path); }

void ScopeNode::check_alive() const {
  if (root->alive) return;
  fail<InvalidScopeError>(
      "InvalidScopeError: scope {} was used after the init or apply call that made it ended",
      text());
}

Scope ScopeAccess::child(const Scope& scope, const std::string& name) {
  ScopeNode& node = *scope.node_;
  std::shared_ptr<ScopeNode>& child = node.children[name];
  if (!child) {
    child = std::make_shared<ScopeNode>();
    child->root = node.root;
    child->path = node.path;
    child->path.push_back(name);
    child->shown_path = node.shown_path;
    child->shown_path.push_back(name);
    std::shared_ptr<RngCounts>& counts = node.rng_counts->children[name];
    if (!counts) counts = std::make_shared<RngCounts>();
    child->rng_counts = counts;
  }
  return Scope(child);
}

namespace {
thread_local const Scope* current_call = nullptr;
}  // namespace

CurrentCall::CurrentCall(const Scope* scope) : previous_(current_call) { current_call = scope; }
CurrentCall::~CurrentCall() { current_call = previous_; }
const Scope* Scope::current() { return current_call; }

}  // namespace linnet::linen
