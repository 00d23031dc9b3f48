// Files of arrays as data sets: npz, npy and IDX.
//
//   auto train = data::read_npz_set("train.npz");            // batches: arrays by name
//   Tensor images = train.gather(rows).at("image");
//   auto digits = data::read_idx_set({{"image", "train-images-idx3-ubyte.gz"},
//                                     {"label", "train-labels-idx1-ubyte.gz"}});
#pragma once

#include <map>
#include <string>

#include "linnet/data/data_set.h"

#pragma GCC visibility push(default)

namespace linnet::data {

using NamedTensors = std::map<std::string, Tensor>;

/// The arrays of one file, which must have a common leading axis.
/// @throws IoError as `read_npz`; ShapeError naming the arrays whose leading axes differ.
InMemory<NamedTensors> read_npz_set(const std::string& path);
/// One array, whose leading axis counts examples. @throws IoError as `read_npy`; ShapeError for a
/// single number.
InMemory<Tensor> read_npy_set(const std::string& path);
/// A file for each name. @throws IoError as `read_idx`; ShapeError naming the arrays whose leading
/// axes differ.
InMemory<NamedTensors> read_idx_set(const std::map<std::string, std::string>& paths);

}  // namespace linnet::data

#pragma GCC visibility pop
