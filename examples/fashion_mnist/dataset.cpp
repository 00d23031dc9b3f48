#include "examples/fashion_mnist/dataset.h"

#include <cstdio>

#include "linnet/data/fashion_mnist.h"
#include "linnet/io/checkpoint.h"
#include "linnet/io/checksum.h"

namespace demo {

using linnet::DType;
using linnet::Tensor;

namespace {

Batch to_batch(const linnet::HostArray& images, const linnet::HostArray& labels) {
  const Tensor image = linnet::to_tensor(images);
  return {linnet::expand_dims(image, -1), linnet::to_tensor(labels).astype(DType::kI32)};
}

std::string fingerprint_of(const linnet::FashionMnist& data) {
  uint32_t sum = 0;
  for (const linnet::HostArray* array :
       {&data.train_images, &data.train_labels, &data.test_images, &data.test_labels})
    sum = linnet::crc32(array->bytes(), sum);
  char text[80];
  std::snprintf(text, sizeof text, "%lld + %lld images, crc32 %08x",
                static_cast<long long>(data.train_images.shape[0]),
                static_cast<long long>(data.test_images.shape[0]), sum);
  return text;
}

}  // namespace

Dataset::Dataset(const std::string& directory) {
  const linnet::FashionMnist data = linnet::load_fashion_mnist(directory);
  train_ = to_batch(data.train_images, data.train_labels);
  test_ = to_batch(data.test_images, data.test_labels);
  fingerprint_ = fingerprint_of(data);
}

Tensor Dataset::order(int64_t seed, int64_t epoch) const {
  return linnet::random::permutation(
      linnet::random::fold_in(linnet::Key(seed), static_cast<uint32_t>(epoch)), train_size());
}

Batch Dataset::train_batch(const Tensor& order, int64_t first, int64_t count) const {
  const Tensor rows = linnet::slice_axis(order, first, first + count, 0);
  return {linnet::take(train_.image, rows, 0, linnet::GatherMode::kPromiseInBounds),
          linnet::take(train_.label, rows, 0, linnet::GatherMode::kPromiseInBounds)};
}

Batch Dataset::test_batch(int64_t first, int64_t count) const {
  return {linnet::slice_axis(test_.image, first, first + count, 0),
          linnet::slice_axis(test_.label, first, first + count, 0)};
}

}  // namespace demo
