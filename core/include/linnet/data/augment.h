// Random changes of batches of pictures, as functions of a key: the same key gives the same result,
// and they may be part of a step under jit and vmap.
//
//   auto keys = random::split(loader.batch_key(), 3);                    // loader.h
//   Tensor x = data::random_crop(keys[0], batch.image, 32, 32, {.padding = 4});
//   x = data::random_flip(keys[1], x).astype(DType::kF32) / 255;
//   x = data::color_jitter(keys[2], x, {.brightness = 0.2, .contrast = 0.2});
//
// Pictures are [batch,height,width,channels], on any device. Each one of a batch gets random
// numbers of its own, except where it says otherwise.
#pragma once

#include <cstdint>

#include "linnet/random.h"

#pragma GCC visibility push(default)

namespace linnet::data {

struct CropOptions {
  int64_t padding = 0;  ///< pixels added on each of the four sides before a part is chosen
  double value = 0;     ///< of the added pixels
};

/// A part of `height` x `width` of each picture -> [batch,height,width,channels], of the same
/// dtype. With (k_y, k_x) = split(key) its upper left corner is at randint(k_y, {batch}, 0, H -
/// height + 1) and randint(k_x, {batch}, 0, W - width + 1), where H and W are the padded sizes.
/// @throws ShapeError if pictures are not of rank 4, or smaller than the part.
Tensor random_crop(const Key& key, const Tensor& images, int64_t height, int64_t width,
                   const CropOptions& options = {});

/// Exchanges left and right where bernoulli(key, probability, {batch}) is true.
/// @throws ShapeError if pictures are not of rank 4.
Tensor random_flip(const Key& key, const Tensor& images, double probability = 0.5);

struct ColorJitter {
  /// Greatest change of each factor: brightness 0.2 means factors in [0.8, 1.2).
  double brightness = 0, contrast = 0, saturation = 0;
  /// Values are clipped to this range afterwards.
  double low = 0, high = 1;
};

/// With factors b, c, s from the three keys of split(key, 3), uniform around 1 and not below 0:
/// x b, then c x + (1 - c) mean of its grey picture, then s x + (1 - s) grey picture. Grey is
/// 0.299 R + 0.587 G + 0.114 B of three channels; of other numbers of channels it is their mean.
/// @throws ShapeError if pictures are not of rank 4; DTypeError unless they are of floats.
Tensor color_jitter(const Key& key, const Tensor& images, const ColorJitter& options);

/// Sets a square of `size` pixels to `value`. With (k_y, k_x) = split(key) its middle is at
/// randint(k_y, {batch}, 0, H) and randint(k_x, {batch}, 0, W): the pixels from middle - size / 2
/// to middle - size / 2 + size - 1, as far as they are in the picture (DeVries and Taylor,
/// arXiv:1708.04552).
/// @throws ShapeError if pictures are not of rank 4; ValueError if size is negative.
Tensor cutout(const Key& key, const Tensor& images, int64_t size, double value = 0);

struct Mixed {
  Tensor images, labels;
  LINNET_FIELDS(images, labels)
};

/// l x + (1 - l) x[p] of pictures and labels alike, with (k_l, k_p) = split(key), one l =
/// beta(k_l, alpha, alpha) for the whole batch, and p = permutation(k_p, batch) (Zhang et al.,
/// arXiv:1710.09412). Labels are probabilities of classes, [batch,classes]: `one_hot` of integers.
/// `images` may be any array of floats with a leading axis.
/// @throws DTypeError unless both are of floats; ShapeError if their leading axes differ;
/// ValueError unless alpha is above 0.
Mixed mixup(const Key& key, const Tensor& images, const Tensor& labels, double alpha = 0.2);

}  // namespace linnet::data

#pragma GCC visibility pop
