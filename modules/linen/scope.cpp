#include "linnet/linen/scope.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <span>

#include "linnet/detail/format.h"
#include "linnet/detail/sha1.h"
#include "linnet/linen/errors.h"
#include "linnet/linen/partitioning.h"
#include "linnet/transforms.h"
#include "modules/linen/scope_node.h"

namespace linnet::linen {

namespace {

/// A hint about the transformation around a scope, whose name is put into `text`; nothing where
/// there is none.
std::string in_transformation(const ScopeNode& node, std::string text) {
  const std::string& name = node.root->transformation;
  if (name.empty()) return {};
  return text.replace(text.find("{}"), 2, name);
}

}  // namespace

void reserve(ScopeNode& node, const std::string& name, const std::string& collection,
             const char* kind) {
  std::set<std::string>& users = node.reserved[name];
  const bool clash =
      collection.empty() ? !users.empty() : users.count(collection) || users.count("");
  if (clash) {
    fail<NameInUseError>("NameInUseError: cannot create {} '{}' in scope {}: the name is in use",
                         kind, name, node.text());
  }
  users.insert(collection);
}

void require_mutable(const ScopeNode& node, const std::string& collection,
                     const std::string& name) {
  if (node.root->mutate.contains(collection)) return;
  fail<ModifyScopeVariableError>(
      "ModifyScopeVariableError: cannot write '{}' in scope {}: collection '{}' is immutable\n"
      "  hint: name the collection in apply_with({{.mutate = {{\"{}\"}}}}, ...){}",
      name, node.text(), collection, collection,
      in_transformation(node, ", and among those that {} lets out"));
}

std::string class_name(const std::type_info& type) { return short_type_name(type); }

Tensor ScopeVariable::value() const {
  const Variables* leaf = node_->root->find(node_->full_path(collection_, name_));
  if (!leaf) {
    fail<ScopeVariableNotFoundError>(
        "ScopeVariableNotFoundError: no variable '{}' in collection '{}' of scope {}", name_,
        collection_, node_->text());
  }
  return constrained_value(*leaf);
}

namespace {

/// A new value in the box of the old one, if it is a value of the same kind.
Variables in_old_box(state::Value value, const Variables* before) {
  const bool same = before && before->box() && before->is_leaf() && !before->fixed() &&
                    before->leaf().tuple == value.tuple &&
                    before->leaf().tensors.size() == value.tensors.size();
  return Variables(std::move(value), same ? before->box() : std::optional<Box>());
}

}  // namespace

void ScopeVariable::set(Tensor value) const {
  node_->check_alive();
  require_mutable(*node_, collection_, name_);
  const std::vector<std::string> path = node_->full_path(collection_, name_);
  node_->root->put(path, in_old_box(state::Value(std::move(value)), node_->root->find(path)));
}

Scope ScopeVariable::scope() const { return Scope(node_); }
ScopeVariable ScopeVariable::in(const Scope& scope) const {
  return ScopeVariable(ScopeAccess::node(scope), collection_, name_);
}

bool ScopeVariable::is_mutable() const { return node_->root->mutate.contains(collection_); }

Scope Scope::push(std::string_view name) {
  node_->check_alive();
  const std::string key(name);
  reserve(*node_, key, "", "submodule");
  return ScopeAccess::child(*this, key);
}

Scope Scope::reopened(const std::string& name) const {
  node_->check_alive();
  return ScopeAccess::child(*this, name);
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

/// Names for more dimensions than a new parameter has are a mistake that would show up late.
void check_annotation(const std::vector<std::string>& path, const Variables& leaf) {
  const AxisNames* names = leaf.box()->metadata.get<AxisNames>("out_sharding");
  if (!names || !leaf.leaf().single()) return;
  check_rank(
      spec_of(*names), leaf.value().rank(),
      fmt::format("parameter '{}' of shape {}", tree::to_string(path), to_string(leaf.shape())));
}

/// The shape an initialiser would give, without computing or using up a key.
Shape abstract_shape(const std::function<Variables(const Key&)>& init) {
  return eval_shape([&](const Tensor& key) { return init(Key(key)).value(); }, Key(0).data())
      .shape();
}

}  // namespace

void parameter_missing(const ScopeNode& node, const std::string& name) {
  const Variables* all = node.root->find({"params"});
  if (!all || all->empty()) {
    fail<ScopeCollectionNotFound>(
        "ScopeCollectionNotFound: parameter '{}' of scope {} was asked for, but there is no "
        "collection 'params'\n"
        "  hint: pass the variables that init returned{}",
        name, node.text(),
        in_transformation(node, ", and name the collection in the options of {}"));
  }
  fail<ScopeParamNotFoundError>(
      "ScopeParamNotFoundError: no parameter '{}' in scope {}; there is {}", name, node.text(),
      fmt::join(all->keys(), ", "));
}

Tensor Scope::param(const std::string& name, const Initializer& init, const Shape& shape,
                    DType dtype) {
  node_->check_alive();
  const std::vector<std::string> path = node_->full_path("params", name);
  const Variables* existing = node_->root->find(path);
  if (existing) {
    reserve(*node_, name, "params", "param");
    const Tensor value = existing->value();
    if (value.shape() != shape) {
      fail<ScopeParamShapeError>(
          "ScopeParamShapeError: parameter '{}' in scope {}: expected shape {}, got {}", name,
          node_->text(), to_string(shape), to_string(value.type()));
    }
    return constrained_value(*existing);
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
      fail<ScopeParamShapeError>(
          "ScopeParamShapeError: parameter '{}' in scope {}: expected shape {}, got {}", name,
          node_->text(), to_string(expected), to_string(value.type()));
    }
    return constrained_value(*existing);
  }
  if (!node_->root->mutate.contains("params")) parameter_missing(*node_, name);
  Variables leaf = init(make_rng("params"));
  if (leaf.box()) check_annotation(path, leaf);
  const Tensor value = constrained_value(leaf);
  node_->root->put(path, std::move(leaf));
  return value;
}

namespace {

[[noreturn]] void variable_missing(const ScopeNode& node, const std::string& collection,
                                   const std::string& name) {
  const Variables* all = node.root->find({collection});
  const std::string hint =
      in_transformation(node, "\n  hint: name the collection in the options of {}");
  if (!all || all->empty()) {
    fail<ScopeCollectionNotFound>(
        "ScopeCollectionNotFound: no variable '{}' in collection '{}' of scope {}{}", name,
        collection, node.text(), hint);
  }
  fail<ScopeVariableNotFoundError>(
      "ScopeVariableNotFoundError: no variable '{}' in collection '{}' of scope {}{}", name,
      collection, node.text(), hint);
}

}  // namespace

ScopeVariable Scope::variable(const std::string& collection, const std::string& name,
                              const std::function<Tensor()>& init) {
  node_->check_alive();
  reserve(*node_, name, collection, "variable");
  if (!has_variable(collection, name)) {
    if (!node_->root->mutate.contains(collection) || !init) {
      variable_missing(*node_, collection, name);
    }
    node_->root->put(node_->full_path(collection, name), Variables(init()));
  }
  return ScopeVariable(node_, collection, name);
}

bool Scope::has_variable(const std::string& collection, const std::string& name) const {
  node_->check_alive();
  return node_->root->find(node_->full_path(collection, name)) != nullptr;
}

Tensor Scope::get_variable(const std::string& collection, const std::string& name) const {
  node_->check_alive();
  const Variables* leaf = node_->root->find(node_->full_path(collection, name));
  return leaf ? leaf->value() : Tensor();
}

void Scope::put_variable(const std::string& collection, const std::string& name,
                         state::Value value) {
  node_->check_alive();
  require_mutable(*node_, collection, name);
  const std::vector<std::string> path = node_->full_path(collection, name);
  node_->root->put(path, in_old_box(std::move(value), node_->root->find(path)));
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
  node_->check_alive();
  Variables out;
  for (const auto& [collection, tree] : node_->root->all().children()) {
    const Variables* below = tree.find_path(node_->path);
    if (below) out.children().emplace(collection, *below);
  }
  return out;
}

namespace {
std::atomic<bool> separate_names{false};
}  // namespace

bool rng_separator() { return separate_names; }
void set_rng_separator(bool on) { separate_names = on; }

namespace {

/// docs/rng.md section 8.1: SHA-1 over the path names and the count, first four bytes big-endian.
uint32_t fold_hash(std::span<const std::string> path, int64_t count) {
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
  const Streams& streams = node_->root->streams;
  auto found = streams.find(stream);
  if (found == streams.end()) found = streams.find("params");
  if (found == streams.end()) {
    fail<InvalidRngError>(
        "InvalidRngError: scope {} needs a random key for '{}'\n  hint: pass rngs = {{{{\"{}\", "
        "key}}}}{}",
        node_->text(), stream, stream,
        in_transformation(*node_, ", and name the stream in the options of {}"));
  }
  const int64_t count = ++node_->rng_counts->drawn[found->first];
  const std::span<const std::string> path(node_->path);
  return random::fold_in(found->second.key, fold_hash(path.subspan(found->second.skip), count));
}

bool Scope::has_rng(const std::string& stream) const {
  return node_->root->streams.count(stream) > 0;
}

std::vector<std::string> Scope::rng_streams() const {
  std::vector<std::string> out;
  for (const auto& [name, s] : node_->root->streams) out.push_back(name);
  return out;
}

bool Scope::is_mutable_collection(const std::string& collection) const {
  node_->check_alive();
  return node_->root->mutate.contains(collection);
}
const CollectionFilter& Scope::mutable_collections() const { return node_->root->mutate; }
bool Scope::is_initializing() const { return node_->root->initializing; }
std::vector<std::string> Scope::path() const { return node_->path; }

namespace detail {

CollectionFilter default_init_filter() { return CollectionFilter::deny("intermediates"); }

namespace {

void check_variables(const Variables& variables) {
  for (const auto& [collection, tree] : variables.children()) {
    if (tree.is_leaf()) {
      fail<ApplyScopeInvalidVariablesTypeError>(
          "ApplyScopeInvalidVariablesTypeError: collection '{}' is a leaf; expected a dictionary "
          "of collections",
          collection);
    }
  }
  if (variables.contains("params") && variables["params"].contains("params")) {
    fail<ApplyScopeInvalidVariablesStructureError>(
        "ApplyScopeInvalidVariablesStructureError: 'params' contains another 'params'\n"
        "  hint: pass {{\"params\": ...}} once");
  }
}

}  // namespace

RootCall::RootCall(Variables variables, const RngStreams& rngs, CollectionFilter mutate,
                   bool initializing, const CaptureFilter& capture, bool entered)
    : root_([&] {
        check_variables(variables);
        return std::make_shared<ScopeRoot>(std::move(variables));
      }()),
      scope_([&] {
        for (const auto& [name, key] : rngs.keys()) {
          if (!key.shape().empty()) {
            fail<InvalidRngError>(
                "InvalidRngError: stream '{}' needs one key, got a key array of shape {}", name,
                to_string(key.shape()));
          }
        }
        for (const auto& [name, key] : rngs.keys()) root_->streams[name] = {key};
        root_->mutate = capture.empty() ? std::move(mutate) : mutate | "intermediates";
        root_->initializing = initializing;
        root_->capture = capture;
        auto node = std::make_shared<ScopeNode>();
        node->root = root_;
        return Scope(node);
      }()),
      current_(entered ? enter() : nullptr) {}

RootCall::~RootCall() { root_->alive = false; }

std::shared_ptr<void> RootCall::enter() const { return std::make_shared<CurrentCall>(&scope_); }

Variables RootCall::updates() const {
  Variables out;
  for (const auto& [collection, tree] : root_->all().children()) {
    if (root_->mutate.contains(collection) && !tree.empty())
      out.children().emplace(collection, tree);
  }
  return out;
}

void RootCall::note_calls(CallLog* log) { root_->log = log; }

Variables RootCall::all() const { return root_->all(); }

}  // namespace detail
}  // namespace linnet::linen
