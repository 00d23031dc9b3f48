#include "linnet/bridge/to_linen.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "linnet/bridge/convert.h"
#include "linnet/detail/format.h"
#include "linnet/detail/log.h"
#include "linnet/nnx/members.h"

namespace linnet::bridge::detail {
namespace {

using Names = std::vector<std::string>;

const nnx::VariableCell& cell_of(const nnx::detail::NodeLeaf& leaf) {
  return static_cast<const nnx::VariableCell&>(*leaf.cell);
}

bool is_random_state(const nnx::detail::NodeLeaf& leaf) {
  return leaf.cell && cell_of(leaf).type->is(nnx::RngState::static_type());
}

/// A leaf of the incoming variables; the collection decides the kind of a variable made from it.
struct Incoming {
  std::string collection;
  const linen::Variables* leaf;
};

/// Everything at or below the scope but static entries, by path; later collections win.
std::map<Names, Incoming> incoming_variables(const linen::Variables& variables) {
  std::map<Names, Incoming> out;
  for (const auto& [path, leaf] : linen::flat_leaves(variables)) {
    if (leaf->fixed()) continue;
    out[Names(path.begin() + 1, path.end())] = {path.front(), leaf};
  }
  return out;
}

linen::Variables leaf_of(const nnx::Variable& variable, const ToLinenOptions& options) {
  if (options.metadata_fn) return options.metadata_fn(variable);
  linen::Variables leaf = to_linen_var(variable, options.metadata_type);
  if (!options.keep_metadata) leaf.set_box({});
  return leaf;
}

std::string joined(const std::map<Names, Incoming>& paths) {
  std::string out;
  for (const auto& [path, incoming] : paths) {
    out += (out.empty() ? "" : ", ") +
           fmt::format("{} (in {})", fmt::join(path, "/"), incoming.collection);
  }
  return out;
}

/// Adds variables to the attribute trees inside a module: those below a tree's path.
class AttributeFiller final : public AttributeVisitor {
 public:
  explicit AttributeFiller(std::map<Names, Incoming>& missing) : missing_(missing) {}

  void attributes(AttributeTree& tree) override {
    // Nested trees are filled with the outermost one.
    const Names prefix = tree::names(node_path());
    for (auto entry = missing_.begin(); entry != missing_.end();) {
      const Names& path = entry->first;
      if (path.size() <= prefix.size() || !std::equal(prefix.begin(), prefix.end(), path.begin())) {
        ++entry;
        continue;
      }
      const Names below(path.begin() + static_cast<std::ptrdiff_t>(prefix.size()), path.end());
      tree.at_path(below) = to_nnx_var(entry->second.collection, *entry->second.leaf);
      entry = missing_.erase(entry);
    }
  }

 private:
  std::map<Names, Incoming>& missing_;
};

/// Key and count of every stream, in order: the next key of the stream of that name, else of
/// `default`.
void seed_streams(const std::vector<nnx::detail::NodeLeaf>& leaves, nnx::Rngs& rngs) {
  for (const nnx::detail::NodeLeaf& leaf : leaves) {
    if (!is_random_state(leaf)) continue;
    const Shape shape = leaf.cell->raw().tensors.at(0).shape();
    if (cell_of(leaf).type->is(nnx::RngCount::static_type())) {
      state::write(leaf.cell, state::Value(zeros(shape, DType::kU32)));
      continue;
    }
    const std::string* tag = cell_of(leaf).metadata.get<std::string>("tag");
    Key key = rngs.next(tag ? *tag : "default");
    if (shape.size() > 1) {
      Shape keys = shape;
      keys.pop_back();
      key = random::split(key, keys);
    }
    state::write(leaf.cell, state::Value(key.data()));
  }
}

}  // namespace

nnx::Rngs scope_streams(linen::Scope& scope, bool add_default, const ToLinenOptions& options) {
  if (options.skip_rng) return nnx::Rngs();
  std::vector<std::pair<std::string, Key>> keys;
  bool has_default = false;
  for (const std::string& name : scope.rng_streams()) {
    keys.emplace_back(name, scope.make_rng(name));
    has_default |= name == "default";
  }
  if (add_default && !has_default) keys.emplace_back("default", Key(0));
  return nnx::Rngs(keys);
}

namespace {

void check_plain_tensors(const std::vector<nnx::detail::NodeLeaf>& leaves,
                         const TensorList& before) {
  size_t next = 0;
  for (const nnx::detail::NodeLeaf& leaf : leaves) {
    if (!leaf.tensor) continue;
    if (next < before.size() && leaf.tensor->impl() == before[next++].impl()) continue;
    fail<ValueError>(
        "ToLinen: cannot infer collection name of '{}': the call changed it, and it is a tensor, "
        "not a variable\n"
        "  hint: make it an nnx::Variable",
        tree::to_string(leaf.path));
  }
}

}  // namespace

bool store_variables(linen::Scope& scope, const VisitFunction& visit, const BeforeCall& before,
                     const ToLinenOptions& options, bool only_new) {
  const std::vector<nnx::detail::NodeLeaf> leaves = nnx::detail::walk(visit);
  check_plain_tensors(leaves, before.plain);
  bool stored = false;
  for (const nnx::detail::NodeLeaf& leaf : leaves) {
    if (!leaf.cell || is_random_state(leaf)) continue;
    const nnx::Variable variable(std::static_pointer_cast<nnx::VariableCell>(leaf.cell));
    const std::string collection = nnx::variable_name_from_type(variable.type(), true);
    const Names path = tree::names(leaf.path);
    if (!scope.is_mutable_collection(collection) ||
        (only_new &&
         std::binary_search(before.paths.begin(), before.paths.end(), tree::to_string(leaf.path))))
      continue;
    scope.put_leaf(collection, path, leaf_of(variable, options));
    stored = true;
  }
  // A module with plain tensors cannot be made from its definition.
  return options.store_graphdef && before.plain.empty() && (stored || !only_new) &&
         scope.is_mutable_collection("nnx");
}

BeforeCall::BeforeCall(const VisitFunction& visit, bool with_paths) {
  for (const nnx::detail::NodeLeaf& leaf : nnx::detail::walk(visit)) {
    if (leaf.tensor) plain.push_back(*leaf.tensor);
    if (with_paths) paths.push_back(tree::to_string(leaf.path));
  }
  std::sort(paths.begin(), paths.end());
}

void store_graphdef(linen::Scope& scope, const nnx::GraphDef& graphdef) {
  scope.put_leaf("nnx", {"graphdef"},
                 linen::Variables(std::shared_ptr<const StaticEntry>(graphdef.definition())));
}

nnx::GraphDef stored_graphdef(const linen::Scope& scope) {
  const linen::Variables* entry = scope.find_leaf("nnx", {"graphdef"});
  if (!entry) return {};
  auto definition = std::dynamic_pointer_cast<const nnx::GraphDef::Definition>(entry->fixed());
  if (!definition) fail<ModuleError>("ToLinen: 'nnx/graphdef' holds no graph definition");
  return nnx::GraphDef(std::move(definition));
}

std::shared_ptr<const SeededValues> kept_by_identity(const void* constructor,
                                                     const std::string& identity,
                                                     const std::function<SeededValues()>& make) {
  using Functions = std::map<std::string, std::shared_ptr<const SeededValues>>;
  struct Kept {
    std::mutex mutex;
    std::map<const void*, Functions> of_constructor;
  };
  constexpr size_t kMost = 64;
  static Kept* kept = new Kept;
  if (identity.empty()) return std::make_shared<const SeededValues>(make());
  std::lock_guard lock(kept->mutex);
  Functions& entries = kept->of_constructor[constructor];
  if (entries.size() >= kMost) entries.clear();
  std::shared_ptr<const SeededValues>& entry = entries[identity];
  if (!entry) entry = std::make_shared<const SeededValues>(make());
  return entry;
}

std::vector<TensorList> values_at(const VisitFunction& visit,
                                  const std::vector<std::string>& paths) {
  std::map<std::string, TensorList> by_path;
  for (const nnx::detail::NodeLeaf& leaf : nnx::detail::walk(visit)) {
    if (leaf.cell) by_path.emplace(tree::to_string(leaf.path), state::read(leaf.cell).tensors);
  }
  std::vector<TensorList> out;
  for (const std::string& path : paths) out.push_back(by_path[path]);
  return out;
}

void fail_no_argument(const char* module, const char* type) {
  fail<ModuleError>("to_linen: {} is constructed without an argument of type {}", module, type);
}

void fail_needs_streams(const char* type) {
  fail<ValueError>("to_linen: {} has no constructor without nnx::Rngs&, but skip_rng is set", type);
}

namespace {

/// Takes the leaves out of the members and trees that hold them, where these can be without.
void take_out(const std::vector<nnx::detail::NodeLeaf>& leaves, const VisitFunction& visit) {
  std::set<Names> paths;
  nnx::detail::VariableTypes types;
  for (const nnx::detail::NodeLeaf& leaf : leaves) {
    paths.insert(tree::names(leaf.path));
    types.push_back(cell_of(leaf).type);
  }
  if (types.empty()) return;
  nnx::detail::MemberVisitor members(types);
  visit(members);
  for (const auto& slot : members.slots()) {
    if (paths.count(tree::names(slot.path))) slot.set(nullptr);
  }
  for (const auto& keeper : members.keepers()) {
    nnx::detail::NamedCells cells = keeper.get(types);
    std::erase_if(cells, [&](const auto& entry) {
      tree::Path path = keeper.path;
      path.insert(path.end(), entry.first.begin(), entry.first.end());
      return paths.count(tree::names(path)) > 0;
    });
    keeper.set(types, cells);
  }
}

/// The constructor's values for leaves that no collection holds; intermediates that it does not
/// make are not there, as before a call has sown them.
void load_constructed(const std::vector<nnx::detail::NodeLeaf>& leaves, const VisitFunction& visit,
                      const SeededValues& constructed, nnx::Rngs& rngs) {
  if (leaves.empty()) return;
  std::vector<std::string> paths;
  for (const nnx::detail::NodeLeaf& leaf : leaves) paths.push_back(tree::to_string(leaf.path));
  std::vector<TensorList> values = constructed(rngs, paths);
  std::vector<nnx::detail::NodeLeaf> unmade, absent;
  for (size_t i = 0; i < leaves.size(); ++i) {
    if (values[i].size() == 1) {
      state::write(leaves[i].cell, state::Value(values[i][0]));
    } else if (values[i].empty() && is_random_state(leaves[i])) {
      unmade.push_back(leaves[i]);
    } else {
      if (values[i].empty()) absent.push_back(leaves[i]);
      state::write(leaves[i].cell, state::Value::tuple_of(std::move(values[i])));
    }
  }
  take_out(absent, visit);
  seed_streams(unmade, rngs);
}

bool is_intermediate(const nnx::detail::NodeLeaf& leaf) {
  return leaf.cell && cell_of(leaf).type->is(nnx::Intermediate::static_type());
}

const nnx::VariableType& type_of(const Incoming& entry) {
  return nnx::variable_type_from_name(entry.collection, nullptr, true);
}
bool is_sown(const Incoming& entry) { return type_of(entry).is(nnx::Intermediate::static_type()); }

/// The scope's variables for empty members of the type std::optional: a call before this one made
/// them. Of the kinds of intermediates, or of all kinds.
void fill_members(const linen::Variables& variables, const VisitFunction& visit,
                  bool only_intermediates) {
  const std::map<Names, Incoming> incoming = incoming_variables(variables);
  nnx::detail::VariableTypes types;
  for (const auto& [path, entry] : incoming) {
    if (!only_intermediates || is_sown(entry)) types.push_back(&type_of(entry));
  }
  if (types.empty()) return;
  nnx::detail::MemberVisitor members(std::move(types));
  visit(members);
  for (const auto& slot : members.slots()) {
    const auto found = incoming.find(tree::names(slot.path));
    if (found == incoming.end() || slot.get()) continue;
    const nnx::Variable made = to_nnx_var(found->second.collection, *found->second.leaf);
    if (&made.type() == slot.type) slot.set(made.cell());
  }
}

/// Puts those that are of the kinds of intermediates into the attribute trees around their paths.
void fill_trees(std::map<Names, Incoming>& incoming, const VisitFunction& visit) {
  std::map<Names, Incoming> sown;
  for (const auto& [path, entry] : incoming) {
    if (is_sown(entry)) sown.emplace(path, entry);
  }
  if (sown.empty()) return;
  std::map<Names, Incoming> left = sown;
  AttributeFiller filler(left);
  visit(filler);
  std::erase_if(incoming, [&](const auto& entry) {
    return sown.count(entry.first) && !left.count(entry.first);
  });
}

}  // namespace

void load_exactly(const linen::Scope& scope, const VisitFunction& visit,
                  const SeededValues& constructed, nnx::Rngs& rngs) {
  const linen::Variables variables = scope.variables();
  fill_members(variables, visit, true);
  std::map<Names, Incoming> incoming = incoming_variables(variables);
  std::vector<nnx::detail::NodeLeaf> not_held;
  std::string missing;
  for (const nnx::detail::NodeLeaf& leaf : nnx::detail::walk(visit)) {
    const auto found = incoming.find(tree::names(leaf.path));
    if (is_random_state(leaf) || (is_intermediate(leaf) && found == incoming.end())) {
      not_held.push_back(leaf);
    } else if (found == incoming.end()) {
      missing += (missing.empty() ? "" : ", ") + tree::to_string(leaf.path);
    } else {
      state::write(leaf.cell, found->second.leaf->leaf());
      incoming.erase(found);
    }
  }
  fill_trees(incoming, visit);
  if (missing.empty() && incoming.empty())
    return load_constructed(not_held, visit, constructed, rngs);
  fail<ModuleError>(
      "ToLinen: the variables do not fit the graph definition in 'nnx': missing {}, unknown {}\n"
      "  hint: make 'nnx' mutable in the call that changes the structure, or leave the collection "
      "out",
      missing.empty() ? "none" : missing, incoming.empty() ? "none" : joined(incoming));
}

void load_over(const linen::Scope& scope, const VisitFunction& visit) {
  const linen::Variables variables = scope.variables();
  fill_members(variables, visit, false);
  std::map<Names, Incoming> incoming = incoming_variables(variables);
  for (const nnx::detail::NodeLeaf& leaf : nnx::detail::walk(visit)) {
    const auto found = incoming.find(tree::names(leaf.path));
    if (found == incoming.end() || !leaf.cell) continue;
    state::write(leaf.cell, found->second.leaf->leaf());
    incoming.erase(found);
  }
  if (incoming.empty()) return;
  if (log_enabled("bridge"))
    log_line("bridge", "ToLinen: not in the module as built: " + joined(incoming));
  AttributeFiller filler(incoming);
  visit(filler);
  if (!incoming.empty()) {
    fail<ModuleError>(
        "ToLinen: the module has no variable for {}\n  hint: leave them out of the variables",
        joined(incoming));
  }
}

}  // namespace linnet::bridge::detail
