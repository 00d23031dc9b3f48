#include "linnet/data/augment.h"

#include <algorithm>

#include "linnet/detail/format.h"
#include "linnet/transforms.h"

namespace linnet::data {
namespace {

void require_pictures(const char* operation, const Tensor& images) {
  if (images.defined() && images.rank() == 4) return;
  fail<ShapeError>("{}: expected pictures [batch,height,width,channels], got {}", operation,
                   type_of(images));
}

void require_floats(const char* operation, const Tensor& x) {
  if (is_floating(x.dtype())) return;
  fail<DTypeError>("{}: expected floats, got {}\n  hint: images.astype(DType::kF32) / 255",
                   operation, type_of(x));
}

// [batch] -> [batch,1,1,1]
Tensor each_picture(const Tensor& x) { return reshape(x, {x.shape(0), 1, 1, 1}); }

Tensor grey_of(const Tensor& images) {
  if (images.shape(3) != 3) return mean(images, 3, true);
  const auto channel = [&](int64_t i) { return slice_axis(images, i, i + 1, 3); };
  return 0.299 * channel(0) + 0.587 * channel(1) + 0.114 * channel(2);
}

// One factor around 1 for each picture.
Tensor factors(const Key& key, const Tensor& images, double change) {
  return each_picture(random::uniform(key, {images.shape(0)}, images.dtype(),
                                      std::max(0.0, 1 - change), 1 + change));
}

// i32 [batch,count]: whether a place is in the part of `size` that begins at `first`.
Tensor covers(const Tensor& first, int64_t count, int64_t size) {
  const Tensor place = reshape(arange(count), {1, count});
  const Tensor begin = reshape(first, {first.shape(0), 1});
  return (place >= begin) & (place < begin + size);
}

}  // namespace

Tensor random_crop(const Key& key, const Tensor& images, int64_t height, int64_t width,
                   const CropOptions& options) {
  require_pictures("data::random_crop", images);
  if (options.padding < 0)
    fail<ValueError>("data::random_crop: padding must not be negative, got {}", options.padding);
  const int64_t h = images.shape(1) + 2 * options.padding,
                w = images.shape(2) + 2 * options.padding;
  if (height < 1 || width < 1 || height > h || width > w) {
    fail<ShapeError>("data::random_crop: no part of {} x {} in {} with {} pixels around it", height,
                     width, type_of(images), options.padding);
  }
  const int64_t batch = images.shape(0), channels = images.shape(3);
  const PadDim none{}, around{options.padding, options.padding};
  const Tensor padded =
      pad(images, {none, around, around, none}, scalar(options.value, images.dtype()));
  const Key keys = random::split(key);
  const Tensor y = random::randint(keys[0], {batch}, 0, h - height + 1);
  const Tensor x = random::randint(keys[1], {batch}, 0, w - width + 1);
  return vmap([&](const Tensor& image, const Tensor& top, const Tensor& left) {
    return dynamic_slice(image, {top, left, 0}, {height, width, channels});
  })(padded, y, x);
}

Tensor random_flip(const Key& key, const Tensor& images, double probability) {
  require_pictures("data::random_flip", images);
  const Tensor flipped = random::bernoulli(key, probability, Shape{images.shape(0)});
  return where(each_picture(flipped), flip(images, {2}), images);
}

Tensor color_jitter(const Key& key, const Tensor& images, const ColorJitter& options) {
  require_pictures("data::color_jitter", images);
  require_floats("data::color_jitter", images);
  const Key keys = random::split(key, 3);
  Tensor x = images;
  if (options.brightness > 0) x = x * factors(keys[0], images, options.brightness);
  const auto blend = [&x](const Tensor& factor, const Tensor& other) {
    x = factor * x + (1 - factor) * other;
  };
  if (options.contrast > 0)
    blend(factors(keys[1], images, options.contrast), mean(grey_of(x), {1, 2, 3}, true));
  if (options.saturation > 0) blend(factors(keys[2], images, options.saturation), grey_of(x));
  return clip(x, options.low, options.high);
}

Tensor cutout(const Key& key, const Tensor& images, int64_t size, double value) {
  require_pictures("data::cutout", images);
  if (size < 0) fail<ValueError>("data::cutout: size must not be negative, got {}", size);
  const int64_t batch = images.shape(0), h = images.shape(1), w = images.shape(2);
  const Key keys = random::split(key);
  const Tensor y = random::randint(keys[0], {batch}, 0, h) - size / 2;
  const Tensor x = random::randint(keys[1], {batch}, 0, w) - size / 2;
  const Tensor inside =
      reshape(covers(y, h, size), {batch, h, 1, 1}) & reshape(covers(x, w, size), {batch, 1, w, 1});
  return where(inside, scalar(value, images.dtype()), images);
}

Mixed mixup(const Key& key, const Tensor& images, const Tensor& labels, double alpha) {
  require_floats("data::mixup: images", images);
  require_floats("data::mixup: labels", labels);
  if (images.rank() == 0 || labels.rank() == 0 || images.shape(0) != labels.shape(0)) {
    fail<ShapeError>("data::mixup: expected images and labels of one batch, got {} and {}",
                     type_of(images), type_of(labels));
  }
  if (!(alpha > 0)) fail<ValueError>("data::mixup: alpha must be above 0, got {}", alpha);
  const Key keys = random::split(key);
  const Tensor weight = random::beta(keys[0], alpha, alpha);
  const Tensor order = random::permutation(keys[1], images.shape(0));
  const auto mixed = [&](const Tensor& x) {
    const Tensor l = weight.astype(x.dtype());
    return l * x + (1 - l) * take(x, order, 0);
  };
  return {mixed(images), mixed(labels)};
}

}  // namespace linnet::data
