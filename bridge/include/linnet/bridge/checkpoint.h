// Checkpoints that either API reads: values saved from a functional model fill an object model, and
// the other way round.
//
//   #include <linnet/bridge/checkpoint.h>           // linnet.h does not include it
//   save_checkpoint("out", linen_variables);        // linnet/io/checkpoint.h: names as
//   params/up/kernel bridge::load_checkpoint("out", object_model);   // fills up/kernel
//   save_checkpoint("back", object_model);
//   bridge::load_checkpoint("back", linen_variables);
//   bridge::convert(state_dict, object_model);      // what msgpack_restore read from a Flax file
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/bridge/variables.h"
#include "linnet/io/checkpoint.h"
#include "linnet/io/state_dict.h"

#pragma GCC visibility push(default)

namespace linnet::bridge {

namespace detail {

/// A value to be filled: where it is in a functional dictionary and where in an object.
struct StoredLeaf {
  std::string collection;  ///< empty for random state and tensors that are no variables
  std::string path;        ///< below the collection
  Tensor value;
};
std::vector<StoredLeaf> stored_leaves(const std::vector<nnx::detail::NodeLeaf>& leaves);
std::vector<StoredLeaf> stored_leaves(const linen::Variables& variables);
/// Names under which the leaves are stored, all with collections or all without, whichever more of
/// them have; none for those that are not stored and need not be.
std::vector<std::optional<std::string>> stored_names(
    const std::vector<StoredLeaf>& leaves, const std::function<bool(const std::string&)>& stored);
/// Values in the order of the leaves; undefined for those that stay.
std::pair<TensorList, Json> load_converted(const std::string& directory,
                                           const std::vector<StoredLeaf>& leaves,
                                           FileSystem& file_system);
TensorList converted(const StateDict& saved, const std::vector<StoredLeaf>& leaves);
void write_leaves(const std::vector<nnx::detail::NodeLeaf>& leaves, const TensorList& values);
void write_leaves(linen::Variables& variables, const TensorList& values);

/// Calls `values(leaves)` with those of the target, and writes what it gives.
template <class T, class F>
void fill_stored(T& target, const F& values) {
  if constexpr (std::is_same_v<T, linen::Variables>) {
    write_leaves(target, values(stored_leaves(target)));
  } else {
    const std::vector<nnx::detail::NodeLeaf> leaves =
        nnx::detail::walk(nnx::detail::visitor_of(target));
    write_leaves(leaves, values(stored_leaves(leaves)));
  }
}

}  // namespace detail

/// Fills `target`, an object module or a functional dictionary of the wanted structure, from a
/// checkpoint of either; metadata stay as they are. Random streams of an object are filled if the
/// checkpoint has them and stay otherwise; a dictionary has none. Gives the manifest.
/// @throws IoError as linnet::load_checkpoint, naming leaves in the way they are saved; `target` is
/// then unchanged.
template <class T>
Json load_checkpoint(const std::string& directory, T& target,
                     FileSystem& file_system = FileSystem::system()) {
  Json manifest;
  detail::fill_stored(target, [&](const std::vector<detail::StoredLeaf>& leaves) {
    auto [values, read] = detail::load_converted(directory, leaves, file_system);
    manifest = std::move(read);
    return std::move(values);
  });
  return manifest;
}

/// The same from a state dict, such as `msgpack_restore` reads from a file of Flax: that of linen
/// variables, with or without the level of collections, or of the pure state of an nnx module.
/// @throws ValueError naming leaves that are missing or left over, ShapeError and DTypeError.
template <class T>
void convert(const StateDict& saved, T& target) {
  detail::fill_stored(target, [&](const std::vector<detail::StoredLeaf>& leaves) {
    return detail::converted(saved, leaves);
  });
}

}  // namespace linnet::bridge

#pragma GCC visibility pop
