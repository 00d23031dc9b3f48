// Private: what all lifted transformations share. The variables and streams of scopes go into a
// transformation as trees, scopes on them are made inside, and what those write comes out as trees.
//
//   const Pack pack("vmap", f.scopes, {.in = {"params"}, .out = {"params"}, .streams = {true}});
//   Pack::Run ran = pack.run(f.run, variables, streams, inputs);          // inside
//   pack.publish(updated);                                                // outside again
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "linnet/linen/lifted_call.h"
#include "modules/linen/scope_node.h"

namespace linnet::linen {

/// For each filter the variables that it takes, for each lifted scope: collections by name. A
/// collection belongs to the first filter that it fits.
using VariableGroups = std::vector<std::vector<Variables>>;
using StreamGroups = std::vector<std::vector<Streams>>;

/// One lifted call (L-074). A scope below another is seen through it (L-075).
class Pack {
 public:
  struct Filters {
    std::vector<CollectionFilter> in, out, streams;
  };
  Pack(const char* name, const std::vector<Scope>& scopes, Filters filters);

  VariableGroups variables() const;
  StreamGroups streams() const;
  size_t scope_count() const { return roots_.size(); }
  const std::vector<std::string>& path(size_t root) const { return roots_[root]->path; }
  bool is_root(size_t root, const Scope& scope) const;
  /// Whether anything in `collections` is mutable outside.
  bool may_write(const CollectionFilter& collections) const;
  /// A text of what may be written, and whether this is an init.
  std::string mutability() const;
  const char* name() const { return name_; }

  struct Run {
    TensorList results;
    VariableGroups updated;  ///< the mutable ones, by the filters of `out`
  };
  /// Calls `f` in scopes on these variables and streams. Random counts go on, names begin as they
  /// were when the call began.
  /// @param mutate what may be written, of that which `out` and the scope outside allow.
  Run run(const detail::ScopeFunction::Run& f, const VariableGroups& variables,
          const StreamGroups& streams, const TensorList& inputs,
          const CollectionFilter& mutate = true) const;
  /// Writes what came out to the scopes outside.
  void publish(const VariableGroups& updated) const;

  /// What a run changes of the scopes outside besides variables: random counts of each lifted
  /// scope, automatic names of each given one.
  struct Counters {
    std::vector<RngCounts::Flat> keys;
    std::vector<std::map<std::string, int64_t>> names;
  };
  Counters counters() const;
  void set_counters(const Counters& counters) const;

 private:
  struct Inside;
  /// A given scope: below which root, and the automatic names that it had given out.
  struct Place {
    size_t root;
    std::vector<std::string> path;
    std::map<std::string, int64_t> names;
    std::shared_ptr<ScopeNode> outside;
  };
  std::shared_ptr<ScopeRoot> inner_root(size_t root, const VariableGroups& variables,
                                        const StreamGroups& streams,
                                        const CollectionFilter& mutate) const;
  VariableGroups repack(const Inside& inside) const;

  const char* name_;
  Filters filters_;
  std::vector<std::shared_ptr<ScopeNode>> roots_;
  std::vector<Place> places_;
};

/// Takes trees out of a list of tensors, one after the other.
class LeafReader {
 public:
  explicit LeafReader(std::span<const Tensor> tensors) : rest_(tensors) {}
  template <class T>
  T take(const T& prototype) {
    return tree::unflatten(prototype, next(tree::leaves(prototype).size()));
  }
  TensorList take_tensors(size_t count) {
    const std::span<const Tensor> part = next(count);
    return TensorList(part.begin(), part.end());
  }
  TensorList rest() { return take_tensors(rest_.size()); }

 private:
  std::span<const Tensor> next(size_t count) {
    const std::span<const Tensor> part = rest_.first(count);
    rest_ = rest_.subspan(count);
    return part;
  }
  std::span<const Tensor> rest_;
};

/// The tensors of a tree behind those of a list.
template <class T>
void append_leaves(TensorList& to, const T& object) {
  for (Tensor& tensor : tree::leaves(object)) to.push_back(std::move(tensor));
}
inline void append(TensorList& to, const TensorList& from) {
  to.insert(to.end(), from.begin(), from.end());
}

/// The inside of a call as a function of tensors: those of variables, of streams, then of
/// arguments. It gives the results, then the updated variables.
class PackedCall {
 public:
  /// Refers to `pack`.
  PackedCall(const Pack& pack, VariableGroups variables, StreamGroups streams)
      : pack_(pack), variables_(std::move(variables)), streams_(std::move(streams)) {}

  /// Called on the updated variables of each run, whose arrays are still as inside.
  std::function<void(VariableGroups&)> on_the_way_out;

  TensorList inputs(const TensorList& arguments) const;
  TensorList run(const detail::ScopeFunction::Run& f, const TensorList& lifted);
  /// How many results the last run gave, and the structure of what it updated.
  size_t results() const { return results_; }
  const VariableGroups& updated() const { return updated_; }
  /// Outside again: publishes the variables, gives the results.
  TensorList finish(const TensorList& outputs) const;

 private:
  const Pack& pack_;
  VariableGroups variables_, updated_;
  StreamGroups streams_;
  size_t results_ = 0;
};

/// Groups by their axes: which variables are mapped along which axis on the way in and out.
struct AxisGroups {
  explicit AxisGroups(const VariableAxes& axes);
  std::vector<CollectionFilter> in, out;
  std::vector<std::optional<int64_t>> in_axes, out_axes;
};
std::vector<CollectionFilter> stream_filters(const SplitRngs& splits);
/// Streams of the groups that are split have `count` keys in place of one.
StreamGroups split_streams(StreamGroups groups, const SplitRngs& splits, int64_t count);

/// Boxes lose or get the axis that the arrays below lose or get in the same transformation.
void remove_box_axis(std::vector<Variables>& group, int64_t axis, const Metadata& parameters);
void add_box_axis(std::vector<Variables>& group, int64_t axis, const Metadata& parameters);

/// Whether the body of a scan is evaluated for what does not depend on its data. Transformations
/// that stage their function run it as it is meanwhile: a program's results all depend on all of
/// its operands.
bool evaluating_known();
class KnownEvaluation {
 public:
  KnownEvaluation();
  ~KnownEvaluation();
  KnownEvaluation(const KnownEvaluation&) = delete;
  KnownEvaluation& operator=(const KnownEvaluation&) = delete;

 private:
  bool previous_;
};

}  // namespace linnet::linen
