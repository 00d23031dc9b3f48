// Functions of dictionaries of variables: split by collection, by path, edited without changing
// what was given.
//
//   auto [params, rest] = linen::pop(variables, "params");
//   auto groups = linen::group_collections(variables, {"params", "batch_stats", true});
//   for (auto& [path, entry] : linen::flatten_dict(params, "/")) ...      // "dense/kernel"
//   auto decayed = linen::path_aware_map(params, [](const linen::FlatPath& path, const Tensor& t) {
//     return path.back() == "kernel" ? t * 0.9 : t;
//   });
//
// linen::Variables is Flax's FrozenDict as a value: a copy is independent of its original, keys are
// sorted, and what is const cannot be written.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "linnet/linen/scope.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

/// The collections of each filter: the first that contains a collection gets it, and what none
/// contains is left out (L-011).
std::vector<Variables> group_collections(const Variables& variables,
                                         const std::vector<CollectionFilter>& filters);

/// Everything but the entry `name`, and that entry (L-165).
/// @throws ModuleError if there is none.
std::pair<Variables, Variables> pop(const Variables& variables, std::string_view name);
/// With the entries of `updates` in place of those of the same name; `a | b` merges recursively
/// instead.
Variables copy(const Variables& variables, const Variables& updates);
/// Whether both hold the same paths with the same boxes, types and bytes.
/// @throws TraceError for tensors without values.
bool same_content(const Variables& a, const Variables& b);
/// Equal for dictionaries of the same content.
size_t hash_of(const Variables& variables);

using FlatPath = std::vector<std::string>;

struct FlattenOptions {
  bool keep_empty_nodes = false;  ///< empty dictionaries are entries too
  /// Dictionaries that are entries as they are.
  std::function<bool(const FlatPath& path, const Variables& entry)> is_leaf = {};
};
/// Every leaf by its path (L-166); an empty dictionary gives an empty map.
std::map<FlatPath, Variables> flatten_dict(const Variables& variables,
                                           const FlattenOptions& options = {});
/// The same with the names of a path joined by `separator`.
std::map<std::string, Variables> flatten_dict(const Variables& variables,
                                              std::string_view separator,
                                              const FlattenOptions& options = {});
/// The nested dictionary again.
/// @throws TreeError if one path leads through another's leaf.
Variables unflatten_dict(const std::map<FlatPath, Variables>& flat);
Variables unflatten_dict(const std::map<std::string, Variables>& flat, std::string_view separator);
/// `function(path, leaf)` in place of each tensor; boxes stay.
Variables path_aware_map(
    const Variables& variables,
    const std::function<Tensor(const FlatPath& path, const Tensor& leaf)>& function);

/// `updates` in the boxes of `variables`: leaves without a box are replaced (L-105).
/// @throws TreeError with the path of the first difference.
Variables replace_boxed(const Variables& variables, const Variables& updates);

}  // namespace linnet::linen

#pragma GCC visibility pop
