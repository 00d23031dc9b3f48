// The Fashion-MNIST data set: 28x28 grey pictures of clothes in ten classes.
//
//   FashionMnist data = load_fashion_mnist();
//   std::string_view name = kFashionMnistClasses[data.train_labels.values<uint8_t>()[0]];
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "linnet/io/host_array.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Class names by label.
inline constexpr std::array<std::string_view, 10> kFashionMnistClasses = {
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};

/// Pixels are 0 (background) to 255, labels 0 to 9.
struct FashionMnist {
  HostArray train_images;  ///< u8 [examples,28,28], 60000 examples in the published set
  HostArray train_labels;  ///< u8 [examples]
  HostArray test_images;   ///< u8 [examples,28,28], 10000 examples in the published set
  HostArray test_labels;   ///< u8 [examples]
};

/// Where Debian's package `dataset-fashion-mnist` puts the files.
inline constexpr const char* kFashionMnistDirectory = "/usr/share/datasets/fashion-mnist";

/// Reads the four IDX files, compressed (`.gz`) or plain.
/// @throws IoError, one sentence with the file and the package to install, if a file is missing,
/// damaged, or not what its name says.
FashionMnist load_fashion_mnist(const std::string& directory = kFashionMnistDirectory);

}  // namespace linnet

#pragma GCC visibility pop
