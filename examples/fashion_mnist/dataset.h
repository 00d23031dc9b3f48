// Fashion-MNIST as tensors, in the order of the demo.
#pragma once

#include <string>

#include "linnet/core.h"

namespace demo {

/// image: u8 [batch, 28, 28, 1]; label: i32 [batch].
struct Batch {
  linnet::Tensor image, label;
};

class Dataset {
 public:
  /// @throws linnet::IoError, one sentence, if files are missing or damaged.
  explicit Dataset(const std::string& directory);

  /// Sizes and checksum of everything, to tell data sets apart.
  const std::string& fingerprint() const { return fingerprint_; }
  int64_t train_size() const { return train_.image.shape(0); }
  int64_t test_size() const { return test_.image.shape(0); }
  /// The order of one epoch: permutation(fold_in(key(seed), epoch), images).
  linnet::Tensor order(int64_t seed, int64_t epoch) const;
  /// The images at positions [first, first + count) of an order.
  Batch train_batch(const linnet::Tensor& order, int64_t first, int64_t count) const;
  Batch test_batch(int64_t first, int64_t count) const;

 private:
  Batch train_, test_;
  std::string fingerprint_;
};

}  // namespace demo
