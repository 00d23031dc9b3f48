// State dicts in files of other programs: what Flax users keep their variables in.
//
//   #include <linnet/io/state_dict_file.h>              // linnet.h does not include it
//   StateDict saved = read_state_dict("flax_model.msgpack");    // flax.serialization.to_bytes
//   StateDict same = read_state_dict("model.safetensors");      // "params/dense/kernel": ...
//   bridge::convert(saved, model);                      // into a model of either API, by path
#pragma once

#include <string>

#include "linnet/io/file_system.h"
#include "linnet/io/state_dict.h"

#pragma GCC visibility push(default)

namespace linnet {

struct StateDictFileOptions {
  /// Between the parts of a name in a safetensors file: as in flatten_dict(tree, sep="/").
  char separator = '/';
};

/// A file whose name ends in `.safetensors` holds arrays by flattened names, every other one a
/// MessagePack value.
/// @throws IoError with path and reason if it cannot be read or is not of its format, or if the
/// name of one array is the beginning of another's.
StateDict read_state_dict(const std::string& path, const StateDictFileOptions& options = {},
                          FileSystem& file_system = FileSystem::system());

}  // namespace linnet

#pragma GCC visibility pop
