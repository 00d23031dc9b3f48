// What the examples about pictures share: the pictures, and sheets of them as PNG files.
#pragma once

#include <cstdio>
#include <string>

#include "linnet/data/fashion_mnist.h"
#include "linnet/error.h"
#include "linnet/io/checkpoint.h"
#include "linnet/linnet.h"
#include "linnet/report/png.h"

namespace pictures {

using linnet::Tensor;

/// `count` ellipses, diamonds and boxes of random place, size and brightness: |dx|^p + |dy|^p < 1.
inline Tensor draw(const linnet::Key& key, int64_t count) {
  const linnet::Key keys = linnet::random::split(key, 6);
  const auto number = [&](int64_t which, double low, double high) {
    return linnet::random::uniform(keys[which], {count, 1, 1}, low, high);
  };
  const Tensor position = linnet::arange(28, linnet::DType::kF32);
  const Tensor dx = abs(position.reshape(1, 1, 28) - number(0, 11, 17)) / number(1, 4, 11);
  const Tensor dy = abs(position.reshape(1, 28, 1) - number(2, 11, 17)) / number(3, 4, 11);
  const Tensor p = number(4, 1, 6);
  return number(5, 0.5, 1) * sigmoid(10 * (1 - pow(dx, p) - pow(dy, p)));
}

/// f32 [count, 28, 28] from 0 to 1: the first of Fashion-MNIST if it is installed (Debian:
/// dataset-fashion-mnist), else drawn.
inline Tensor load(int64_t count) {
  try {
    const Tensor all = linnet::to_tensor(linnet::load_fashion_mnist().train_images);
    std::printf("%lld pictures of Fashion-MNIST\n", static_cast<long long>(count));
    return slice_axis(all, 0, count, 0).astype(linnet::DType::kF32) / 255;
  } catch (const linnet::IoError&) {
    std::printf("%lld drawn pictures, since Fashion-MNIST is not installed\n",
                static_cast<long long>(count));
    return draw(linnet::Key(0), count);
  }
}

/// Writes f32 [rows, columns, height, width], cut to 0 to 1, as one grey picture.
inline void write_sheet(const std::string& path, const Tensor& sheet) {
  const int64_t height = sheet.shape(0) * sheet.shape(2), width = sheet.shape(1) * sheet.shape(3);
  const Tensor pixels = transpose(clip(sheet, 0, 1) * 255, {0, 2, 1, 3});
  linnet::write_png(path, {.width = width,
                           .height = height,
                           .channels = 1,
                           .pixels = pixels.astype(linnet::DType::kU8).to_vector<uint8_t>()});
  std::printf("wrote %s, %lld x %lld\n", path.c_str(), static_cast<long long>(width),
              static_cast<long long>(height));
}

}  // namespace pictures
