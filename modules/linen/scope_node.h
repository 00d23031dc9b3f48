// Private: what is behind a scope. A call has one root; each path below it is a node.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "linnet/linen/scope.h"
#include "linnet/state.h"

namespace linnet::linen {

/// A random stream as a call has it: the first `skip` names of a path are not folded into its keys.
struct Stream {
  Key key;
  size_t skip = 0;
  LINNET_FIELDS(key, skip)
};
using Streams = std::map<std::string, Stream>;

/// How many keys were drawn in a scope and in those below it. The scopes of a lifted call count on
/// with those outside.
struct RngCounts {
  std::map<std::string, int64_t> drawn;
  std::map<std::string, std::shared_ptr<RngCounts>> children;

  /// By path and stream, without zeros.
  using Flat = std::map<std::pair<std::vector<std::string>, std::string>, int64_t>;
  Flat flat() const;
  void set(const Flat& counts);
};

/// What all scopes of one call share. An entry that is written inside a transformation (checkpoint,
/// jit, grad around a submodule) is kept in a cell of the call, so that it leaves the
/// transformation like any other variable.
class ScopeRoot {
 public:
  using Path = std::vector<std::string>;

  Streams streams;
  CollectionFilter mutate;
  bool initializing = false;
  bool alive = true;
  /// Of outputs of modules.
  CaptureFilter capture;
  detail::CallLog* log = nullptr;
  /// The lifted transformation whose inside this is; empty for a call from outside.
  std::string transformation;

  explicit ScopeRoot(Variables variables);

  /// The entry at `path` as the present transformation sees it; null if absent.
  const Variables* find(const Path& path);
  /// The whole dictionary.
  const Variables& all();
  void put(const Path& path, Variables leaf);

 private:
  state::CellPtr make_cell(const Path& path) const;
  /// Brings the entries at and below `path` up to date; those that a transformation made and did
  /// not hand out are gone.
  void refresh(const Path& path);
  void remove(const Path& path);

  Variables variables_;
  const state::Scope* scope_;  // in which the call was made
  uint64_t home_;
  std::map<Path, state::CellPtr> cells_;
};

/// One scope: a path, its random counters, and the names it has given out.
struct ScopeNode {
  std::shared_ptr<ScopeRoot> root;
  std::vector<std::string> path;
  /// The path with the transformations that are around: `{"vmap(layer)", "Dense_0"}`.
  std::vector<std::string> shown_path;
  std::shared_ptr<RngCounts> rng_counts = std::make_shared<RngCounts>();
  std::map<std::string, int64_t> automatic_names;
  /// Name -> collections that use it; "" stands for a submodule.
  std::map<std::string, std::set<std::string>> reserved;
  std::map<std::string, std::shared_ptr<ScopeNode>> children;

  std::vector<std::string> full_path(const std::string& collection, const std::string& name) const;
  std::string text() const;
  void check_alive() const;
};

/// Takes `name` for a variable of `collection`, or for a submodule if that is empty.
/// @throws NameInUseError
void reserve(ScopeNode& node, const std::string& name, const std::string& collection,
             const char* kind);
/// @throws ModifyScopeVariableError naming the variable, its scope and collection.
void require_mutable(const ScopeNode& node, const std::string& collection, const std::string& name);
/// @throws ScopeCollectionNotFound or ScopeParamNotFoundError
[[noreturn]] void parameter_missing(const ScopeNode& node, const std::string& name);

struct ScopeAccess {
  static const std::shared_ptr<ScopeNode>& node(const Scope& scope) { return scope.node_; }
  /// The child of that name, whether the name is in use or not.
  static Scope child(const Scope& scope, const std::string& name);
};

/// While one is alive, `scope` is the innermost functional call of this thread.
class CurrentCall {
 public:
  explicit CurrentCall(const Scope* scope);
  ~CurrentCall();
  CurrentCall(const CurrentCall&) = delete;
  CurrentCall& operator=(const CurrentCall&) = delete;

 private:
  const Scope* previous_;
};

}  // namespace linnet::linen
