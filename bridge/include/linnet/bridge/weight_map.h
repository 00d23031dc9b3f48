// Weights under the names of another framework fill a model of either API: a list of rules says
// where each goes and how it is laid out there (docs/weights.md has whole maps).
//
//   #include <linnet/bridge/weight_map.h>           // linnet.h does not include it
//   using enum bridge::WeightStep;
//   const bridge::WeightMap map{
//       {"layer{l}.{b}.conv1.weight", {"layer{l}/{b}/conv1/kernel"}, {kConvolution}},
//       {"fc.weight", {"fc/kernel"}, {kTranspose}},
//       {"fc.bias", {"fc/bias"}},
//       {"*.num_batches_tracked"},                  // goes nowhere: ignored
//   };
//   bridge::load_weights(read_safetensors("resnet.safetensors"), map, model);
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "linnet/bridge/checkpoint.h"
#include "linnet/io/safetensors.h"

#pragma GCC visibility push(default)

namespace linnet::bridge {

/// How the layout of an array changes on its way.
enum class WeightStep {
  kTranspose,    ///< [out, in] -> [in, out]: linear layers of PyTorch (its Conv1D needs none)
  kConvolution,  ///< [out, in, spatial...] -> [spatial..., in, out]: OIHW -> HWIO
  kSqueeze,      ///< axes of size 1 go
  /// Neighbouring axes are split or merged so that the shape is the model's: [in, heads * dim] ->
  /// [in, heads, dim]. Anything else, such as [8, 4] -> [4, 8], is an error. Always the last step.
  kReshape,
};

/// Where the arrays of one name go.
struct WeightRule {
  /// Their name: `{n}` (any name in the braces) stands for a number, `*`, in names that are
  /// ignored, for any text. The first rule that matches counts.
  std::string from;
  /// Paths in the model, with or without the level of collections (`params/fc/kernel`,
  /// `fc/kernel`), with the numbers of the name. None: the array is ignored. Several: after the
  /// steps the last axis is cut into as many equal parts (queries, keys and values in one matrix).
  /// If one number of the name is in none of them, arrays 0, 1, … are stacked along a new first
  /// axis, as a model whose layers are scanned has them.
  std::vector<std::string> to = {};
  /// In this order, before cutting and stacking; kReshape after both.
  std::vector<WeightStep> steps = {};
};
using WeightMap = std::vector<WeightRule>;

struct WeightOptions {
  /// Convert to the element types of the model; otherwise another one is an error.
  bool cast = false;
};

namespace detail {

struct WeightSource {
  std::vector<std::string> names;  ///< sorted
  std::function<HostArray(const std::string&)> array;
};
/// Values in the order of the leaves; undefined for random streams, which stay.
TensorList mapped_weights(const WeightSource& source, const WeightMap& map,
                          const std::vector<StoredLeaf>& leaves, const WeightOptions& options);

}  // namespace detail

/// Fills all variables of `target`, an object module or a functional dictionary of the wanted
/// structure. Names without a rule, names whose place the model does not have, variables without a
/// name, and arrays that do not fit are errors, which give both sides; `target` is then unchanged.
/// @throws ValueError for names and patterns, ShapeError, DTypeError, IoError from reading.
template <class T>
void load_weights(const SafetensorsFile& file, const WeightMap& map, T& target,
                  const WeightOptions& options = {}) {
  const detail::WeightSource source{file.names(),
                                    [&](const std::string& name) { return file.array(name); }};
  detail::fill_stored(target, [&](const std::vector<detail::StoredLeaf>& leaves) {
    return detail::mapped_weights(source, map, leaves, options);
  });
}
/// The same from arrays in memory.
template <class T>
void load_weights(const std::map<std::string, HostArray>& arrays, const WeightMap& map, T& target,
                  const WeightOptions& options = {}) {
  detail::WeightSource source{{}, [&](const std::string& name) { return arrays.at(name); }};
  for (const auto& [name, array] : arrays) source.names.push_back(name);
  detail::fill_stored(target, [&](const std::vector<detail::StoredLeaf>& leaves) {
    return detail::mapped_weights(source, map, leaves, options);
  });
}

}  // namespace linnet::bridge

#pragma GCC visibility pop
