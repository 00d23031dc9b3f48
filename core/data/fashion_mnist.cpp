#include "linnet/data/fashion_mnist.h"

#include <algorithm>
#include <cerrno>

#include "linnet/data/idx.h"
#include "linnet/error.h"
#include "linnet/io/file_system.h"

namespace linnet {
namespace {

constexpr const char* kRemedy =
    "install the Debian package dataset-fashion-mnist, or name the directory "
    "with the four IDX files";

bool exists(const std::string& path) {
  FileStatus status;
  if (FileSystem::system().status(path.c_str(), status) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR) throw_file_error("Fashion-MNIST: inspect", path, errno);
  return false;
}

HostArray read_file(const std::string& directory, const std::string& file) {
  const std::string plain = directory + "/" + file;
  const std::string compressed = plain + ".gz";
  const bool has_compressed = exists(compressed);
  if (!has_compressed && !exists(plain)) {
    throw IoError("Fashion-MNIST: " + compressed + " does not exist; " + kRemedy);
  }
  try {
    return read_idx(has_compressed ? compressed : plain);
  } catch (const IoError& error) {
    throw IoError(std::string("Fashion-MNIST: ") + error.what() + "; " + kRemedy);
  }
}

void check_pair(const HostArray& images, const HostArray& labels, const std::string& what) {
  const auto fail = [&](const std::string& reason) {
    throw IoError("Fashion-MNIST: " + what + " " + reason + "; " + kRemedy);
  };
  constexpr int64_t kSide = 28;
  if (images.dtype != DType::kU8 || images.shape.size() != 3 || images.shape[1] != kSide ||
      images.shape[2] != kSide) {
    fail("images are " + type_string(images.dtype, images.shape) + ", expected u8[examples,28,28]");
  }
  if (labels.dtype != DType::kU8 || labels.shape.size() != 1) {
    fail("labels are " + type_string(labels.dtype, labels.shape) + ", expected u8[examples]");
  }
  if (images.shape[0] != labels.shape[0]) {
    fail("set has " + std::to_string(images.shape[0]) + " images but " +
         std::to_string(labels.shape[0]) + " labels");
  }
  const auto values = labels.values<uint8_t>();
  const auto wrong = std::find_if(values.begin(), values.end(), [](uint8_t label) {
    return label >= kFashionMnistClasses.size();
  });
  if (wrong != values.end()) {
    fail("label " + std::to_string(*wrong) + " at position " +
         std::to_string(wrong - values.begin()) + ", classes are 0 to 9");
  }
}

}  // namespace

FashionMnist load_fashion_mnist(const std::string& directory) {
  FashionMnist data;
  data.train_images = read_file(directory, "train-images-idx3-ubyte");
  data.train_labels = read_file(directory, "train-labels-idx1-ubyte");
  data.test_images = read_file(directory, "t10k-images-idx3-ubyte");
  data.test_labels = read_file(directory, "t10k-labels-idx1-ubyte");
  check_pair(data.train_images, data.train_labels, "training");
  check_pair(data.test_images, data.test_labels, "test");
  return data;
}

}  // namespace linnet
