#include "linnet/linen/scope.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <set>

#include "linnet/detail/format.h"
#include "linnet/detail/sha1.h"
#include "linnet/transforms.h"

namespace linnet::linen {

/// What all scopes of one call share. An entry that is written inside a transformation (checkpoint,
/// jit, grad around a submodule) is kept in a cell of the call, so that it leaves the
/// transformation like any other variable.
class ScopeRoot {
 public:
  using Path = std::vector<std::string>;

  std::map<std::string, Key> rngs;
  CollectionFilter mutate;
  bool initializing = false;
  bool alive = true;

  explicit ScopeRoot(Variables variables)
      : variables_(std::move(variables)),
        scope_(state::current_scope()),
        home_(state::present_home()) {}

  /// The entry at `path` as the present transformation sees it; null if absent.
  const Variables* find(const Path& path) {
    refresh(path);
    return variables_.find_path(path);
  }
  /// The whole dictionary.
  const Variables& all() {
    refresh({});
    return variables_;
  }

  void put(const Path& path, Variables leaf) {
    auto found = cells_.find(path);
    const bool inside = state::current_scope() != scope_;
    if (leaf.is_leaf() && !leaf.fixed() && (inside || found != cells_.end())) {
      if (found == cells_.end()) found = cells_.emplace(path, make_cell(path)).first;
      state::write(found->second, leaf.leaf());
    }
    variables_.at_path(path) = std::move(leaf);
  }

 private:
  state::CellPtr make_cell(const Path& path) const {
    const Variables* before = variables_.find_path(path);
    const bool has_value = before && before->is_leaf() && !before->fixed();
    auto cell = std::make_shared<state::Cell>(has_value ? before->leaf() : state::Value(), home_);
    cell->label = tree::to_string(path);
    return cell;
  }

  /// Brings the entries at and below `path` up to date; those that a transformation made and did
  /// not hand out are gone.
  void refresh(const Path& path) {
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

  void remove(const Path& path) {
    Variables* parent = &variables_;
    for (size_t i = 0; i + 1 < path.size(); ++i) {
      const auto next = parent->children().find(path[i]);
      if (next == parent->children().end()) return;
      parent = &next->second;
    }
    parent->children().erase(path.back());
  }

  Variables variables_;
  const state::Scope* scope_;  // in which the call was made
  uint64_t home_;
  std::map<Path, state::CellPtr> cells_;
};

/// One scope: a path, its random counters, and the names it has given out.
struct ScopeNode {
  std::shared_ptr<ScopeRoot> root;
  std::vector<std::string> path;
  std::map<std::string, int64_t> rng_counts;
  std::map<std::string, int64_t> automatic_names;
  /// Name -> collections that use it; "" stands for a submodule.
  std::map<std::string, std::set<std::string>> reserved;
  std::map<std::string, std::shared_ptr<ScopeNode>> children;

  std::vector<std::string> full_path(const std::string& collection, const std::string& name) const {
    std::vector<std::string> out{collection};
    out.insert(out.end(), path.begin(), path.end());
    out.push_back(name);
    return out;
  }
  std::string text() const { return "/" + tree::to_string(path); }
  void check_alive() const {
    if (!root->alive) {
      fail<ModuleError>(
          "InvalidScopeError: scope {} was used after the init or apply call that made it ended",
          text());
    }
  }
};

namespace {

thread_local const Scope* current_call = nullptr;

void reserve(ScopeNode& node, const std::string& name, const std::string& collection,
             const char* kind) {
  std::set<std::string>& users = node.reserved[name];
  const bool clash =
      collection.empty() ? !users.empty() : users.count(collection) || users.count("");
  if (clash) {
    fail<ModuleError>("NameInUseError: cannot create {} '{}' in scope {}: the name is in use", kind,
                      name, node.text());
  }
  users.insert(collection);
}

void require_mutable(const ScopeNode& node, const std::string& collection,
                     const std::string& name) {
  if (node.root->mutate.contains(collection)) return;
  fail<ModuleError>(
      "ModifyScopeVariableError: cannot write '{}' in scope {}: collection '{}' is immutable\n"
      "  hint: name the collection in apply_with({{.mutate = {{\"{}\"}}}}, ...)",
      name, node.text(), collection, collection);
}

}  // namespace

CollectionFilter::CollectionFilter(std::vector<std::string> names) : names_(std::move(names)) {
  std::sort(names_.begin(), names_.end());
  names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
}

bool CollectionFilter::contains(const std::string& collection) const {
  return std::binary_search(names_.begin(), names_.end(), collection) != deny_;
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

std::string class_name(const std::type_info& type) { return short_type_name(type); }

Tensor ScopeVariable::value() const {
  const Variables* leaf = node_->root->find(node_->full_path(collection_, name_));
  if (!leaf) {
    fail<ModuleError>("ScopeVariableNotFoundError: no variable '{}' in collection '{}' of scope {}",
                      name_, collection_, node_->text());
  }
  return leaf->value();
}

void ScopeVariable::set(Tensor value) const {
  node_->check_alive();
  require_mutable(*node_, collection_, name_);
  const std::vector<std::string> path = node_->full_path(collection_, name_);
  const Variables* before = node_->root->find(path);
  node_->root->put(path, Variables(state::Value(std::move(value)),
                                   before ? before->box() : std::optional<Box>()));
}

bool ScopeVariable::is_mutable() const { return node_->root->mutate.contains(collection_); }

Scope Scope::push(std::string_view name) {
  node_->check_alive();
  const std::string key(name);
  auto found = node_->children.find(key);
  reserve(*node_, key, "", "submodule");
  if (found != node_->children.end()) return Scope(found->second);
  auto child = std::make_shared<ScopeNode>();
  child->root = node_->root;
  child->path = node_->path;
  child->path.push_back(key);
  node_->children[key] = child;
  return Scope(child);
}

void Scope::rewind() {
  node_->reserved.clear();
  node_->automatic_names.clear();
  for (auto& [name, child] : node_->children) Scope(child).rewind();
}

std::string Scope::automatic_name(const std::string& base) {
  return fmt::format("{}_{}", base, node_->automatic_names[base]++);
}

namespace {

/// The shape an initialiser would give, without computing or using up a key.
Shape abstract_shape(const std::function<Variables(const Key&)>& init) {
  return eval_shape([&](const Tensor& key) { return init(Key(key)).value(); }, Key(0).data())
      .shape();
}

[[noreturn]] void parameter_missing(const ScopeNode& node, const std::string& name) {
  const Variables* all = node.root->find({"params"});
  if (!all || all->empty()) {
    fail<ModuleError>(
        "ScopeCollectionNotFound: parameter '{}' of scope {} was asked for, but there is no "
        "collection 'params'\n"
        "  hint: pass the variables that init returned",
        name, node.text());
  }
  fail<ModuleError>("ScopeParamNotFoundError: no parameter '{}' in scope {}; there is {}", name,
                    node.text(), fmt::join(all->keys(), ", "));
}

}  // namespace

Tensor Scope::param(const std::string& name, const Initializer& init, const Shape& shape,
                    DType dtype) {
  node_->check_alive();
  const std::vector<std::string> path = node_->full_path("params", name);
  const Variables* existing = node_->root->find(path);
  if (existing) {
    reserve(*node_, name, "params", "param");
    const Tensor value = existing->value();
    if (value.shape() != shape) {
      fail<ModuleError>(
          "ScopeParamShapeError: parameter '{}' in scope {}: expected shape {}, got {}", name,
          node_->text(), to_string(shape), to_string(value.type()));
    }
    return value;
  }
  return param(name, [&](const Key& key) { return Variables(init(key, shape, dtype)); });
}

Tensor Scope::param(const std::string& name, const std::function<Variables(const Key&)>& init) {
  node_->check_alive();
  reserve(*node_, name, "params", "param");
  const std::vector<std::string> path = node_->full_path("params", name);
  const Variables* existing = node_->root->find(path);
  if (existing) {
    const Tensor value = existing->value();
    const Shape expected = abstract_shape(init);
    if (value.shape() != expected) {
      fail<ModuleError>(
          "ScopeParamShapeError: parameter '{}' in scope {}: expected shape {}, got {}", name,
          node_->text(), to_string(expected), to_string(value.type()));
    }
    return value;
  }
  if (!node_->root->mutate.contains("params")) parameter_missing(*node_, name);
  Variables leaf = init(make_rng("params"));
  const Tensor value = leaf.value();
  node_->root->put(path, std::move(leaf));
  return value;
}

ScopeVariable Scope::variable(const std::string& collection, const std::string& name,
                              const std::function<Tensor()>& init) {
  node_->check_alive();
  reserve(*node_, name, collection, "variable");
  if (!has_variable(collection, name)) {
    if (!node_->root->mutate.contains(collection) || !init) {
      const Variables* all = node_->root->find({collection});
      fail<ModuleError>(
          "{}: no variable '{}' in collection '{}' of scope {}",
          !all || all->empty() ? "ScopeCollectionNotFound" : "ScopeVariableNotFoundError", name,
          collection, node_->text());
    }
    node_->root->put(node_->full_path(collection, name), Variables(init()));
  }
  return ScopeVariable(node_, collection, name);
}

bool Scope::has_variable(const std::string& collection, const std::string& name) const {
  return node_->root->find(node_->full_path(collection, name)) != nullptr;
}

Tensor Scope::get_variable(const std::string& collection, const std::string& name) const {
  const Variables* leaf = node_->root->find(node_->full_path(collection, name));
  return leaf ? leaf->value() : Tensor();
}

void Scope::put_variable(const std::string& collection, const std::string& name,
                         state::Value value) {
  node_->check_alive();
  require_mutable(*node_, collection, name);
  const std::vector<std::string> path = node_->full_path(collection, name);
  const Variables* before = node_->root->find(path);
  node_->root->put(path,
                   Variables(std::move(value), before ? before->box() : std::optional<Box>()));
}

const Variables* Scope::find_leaf(const std::string& collection,
                                  const std::vector<std::string>& path) const {
  std::vector<std::string> full{collection};
  full.insert(full.end(), node_->path.begin(), node_->path.end());
  full.insert(full.end(), path.begin(), path.end());
  return node_->root->find(full);
}

void Scope::put_leaf(const std::string& collection, const std::vector<std::string>& path,
                     Variables leaf) {
  node_->check_alive();
  require_mutable(*node_, collection, tree::to_string(path));
  std::vector<std::string> full{collection};
  full.insert(full.end(), node_->path.begin(), node_->path.end());
  full.insert(full.end(), path.begin(), path.end());
  node_->root->put(full, std::move(leaf));
}

Variables Scope::variables() const {
  Variables out;
  for (const auto& [collection, tree] : node_->root->all().children()) {
    const Variables* below = tree.find_path(node_->path);
    if (below) out.children().emplace(collection, *below);
  }
  return out;
}

bool Scope::sow(const std::string& collection, const std::string& name, const Tensor& value) {
  node_->check_alive();
  if (!node_->root->mutate.contains(collection)) return false;
  const std::vector<std::string> path = node_->full_path(collection, name);
  const Variables* before = node_->root->find(path);
  if (!before || !before->is_leaf()) reserve(*node_, name, collection, "variable");
  Variables leaf = before && before->is_leaf() ? *before : Variables(state::Value::tuple_of({}));
  leaf.leaf().tensors.push_back(value);
  node_->root->put(path, std::move(leaf));
  return true;
}

Tensor Scope::perturb(const std::string& name, const Tensor& value, const std::string& collection) {
  node_->check_alive();
  if (node_->root->initializing && node_->root->mutate.contains(collection)) {
    node_->root->put(node_->full_path(collection, name), Variables(zeros_like(value)));
  }
  const Variables* all = node_->root->find({collection});
  if (!all) return value;
  const Variables* leaf = node_->root->find(node_->full_path(collection, name));
  if (!leaf) {
    fail<ModuleError>(
        "perturb: collection '{}' has no entry '{}' in scope {}\n  hint: leave the collection out",
        collection, name, node_->text());
  }
  return value + leaf->value();
}

namespace {
std::atomic<bool> separate_names{false};
}  // namespace

bool rng_separator() { return separate_names; }
void set_rng_separator(bool on) { separate_names = on; }

namespace {

/// docs/rng.md section 8.1: SHA-1 over the path names and the count, first four bytes big-endian.
uint32_t fold_hash(const std::vector<std::string>& path, int64_t count) {
  const std::string separator(rng_separator() ? 1 : 0, '\0');
  std::string text;
  for (const std::string& name : path) text += separator + name;
  text += separator;
  std::string digits;
  for (uint64_t rest = static_cast<uint64_t>(count); rest; rest >>= 8) {
    digits.insert(digits.begin(), static_cast<char>(rest & 0xFF));
  }
  text += digits;
  const auto digest = sha1({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return uint32_t{digest[0]} << 24 | uint32_t{digest[1]} << 16 | uint32_t{digest[2]} << 8 |
         digest[3];
}

}  // namespace

Key Scope::make_rng(const std::string& stream) {
  node_->check_alive();
  const auto& rngs = node_->root->rngs;
  auto found = rngs.find(stream);
  if (found == rngs.end()) found = rngs.find("params");
  if (found == rngs.end()) {
    fail<ModuleError>(
        "InvalidRngError: scope {} needs a random key for '{}'\n  hint: pass rngs = {{{{\"{}\", "
        "key}}}}",
        node_->text(), stream, stream);
  }
  const int64_t count = ++node_->rng_counts[found->first];
  return random::fold_in(found->second, fold_hash(node_->path, count));
}

bool Scope::has_rng(const std::string& stream) const { return node_->root->rngs.count(stream) > 0; }

std::vector<std::string> Scope::rng_streams() const {
  std::vector<std::string> out;
  for (const auto& [name, key] : node_->root->rngs) out.push_back(name);
  return out;
}

bool Scope::is_mutable_collection(const std::string& collection) const {
  return node_->root->mutate.contains(collection);
}
const CollectionFilter& Scope::mutable_collections() const { return node_->root->mutate; }
bool Scope::is_initializing() const { return node_->root->initializing; }
std::vector<std::string> Scope::path() const { return node_->path; }
const Scope* Scope::current() { return current_call; }

namespace detail {

CollectionFilter default_init_filter() { return CollectionFilter::deny("intermediates"); }

namespace {

void check_variables(const Variables& variables) {
  for (const auto& [collection, tree] : variables.children()) {
    if (tree.is_leaf()) {
      fail<ModuleError>(
          "ApplyScopeInvalidVariablesTypeError: collection '{}' is a leaf; expected a dictionary "
          "of collections",
          collection);
    }
  }
  if (variables.contains("params") && variables["params"].contains("params")) {
    fail<ModuleError>(
        "ApplyScopeInvalidVariablesStructureError: 'params' contains another 'params'\n"
        "  hint: pass {{\"params\": ...}} once");
  }
}

}  // namespace

RootCall::RootCall(Variables variables, const RngStreams& rngs, CollectionFilter mutate,
                   bool initializing)
    : root_([&] {
        check_variables(variables);
        return std::make_shared<ScopeRoot>(std::move(variables));
      }()),
      scope_([&] {
        for (const auto& [name, key] : rngs.keys()) {
          if (!key.shape().empty()) {
            fail<ModuleError>(
                "InvalidRngError: stream '{}' needs one key, got a key array of shape {}", name,
                to_string(key.shape()));
          }
        }
        root_->rngs = rngs.keys();
        root_->mutate = std::move(mutate);
        root_->initializing = initializing;
        auto node = std::make_shared<ScopeNode>();
        node->root = root_;
        return Scope(node);
      }()),
      previous_(current_call) {
  current_call = &scope_;
}

RootCall::~RootCall() {
  root_->alive = false;
  current_call = previous_;
}

Variables RootCall::updates() const {
  Variables out;
  for (const auto& [collection, tree] : root_->all().children()) {
    if (root_->mutate.contains(collection) && !tree.empty())
      out.children().emplace(collection, tree);
  }
  return out;
}

Variables RootCall::all() const { return root_->all(); }

}  // namespace detail
}  // namespace linnet::linen
