#include "linnet/data/augment.h"

#include <gtest/gtest.h>

#include <functional>

#include "linnet/error.h"
#include "linnet/jit.h"
#include "linnet/transforms.h"

namespace linnet::data::augment_test {
namespace {

constexpr int64_t kBatch = 5, kHeight = 4, kWidth = 6;

// Every value is different.
Tensor pictures(int64_t channels = 3) {
  const Shape shape{kBatch, kHeight, kWidth, channels};
  return reshape(arange(element_count(shape)), shape).astype(DType::kF32) / element_count(shape);
}

std::vector<float> values(const Tensor& x) { return x.to_vector<float>(); }

TEST(Augment, parts_lie_where_the_key_says) {
  const Key key(3);
  const Key keys = random::split(key);
  const Tensor images = pictures();
  const Tensor crops = random_crop(key, images, 3, 4, {.padding = 1, .value = 9});
  ASSERT_EQ(crops.shape(), (Shape{kBatch, 3, 4, 3}));
  const std::vector<int> y =
      random::randint(keys[0], {kBatch}, 0, kHeight + 2 - 3 + 1).to_vector<int>();
  const std::vector<int> x =
      random::randint(keys[1], {kBatch}, 0, kWidth + 2 - 4 + 1).to_vector<int>();
  const std::vector<float> from = values(images), got = values(crops);
  size_t at = 0;
  for (size_t b = 0; b < kBatch; ++b) {
    for (int row = y[b] - 1; row < y[b] + 2; ++row) {
      for (int column = x[b] - 1; column < x[b] + 3; ++column) {
        const bool inside = row >= 0 && row < kHeight && column >= 0 && column < kWidth;
        for (size_t c = 0; c < 3; ++c) {
          const size_t pixel =
              (b * kHeight + static_cast<size_t>(row)) * kWidth + static_cast<size_t>(column);
          EXPECT_EQ(got[at++], inside ? from[pixel * 3 + c] : 9.f);
        }
      }
    }
  }
  EXPECT_GT(*std::max_element(y.begin(), y.end()), *std::min_element(y.begin(), y.end()));
  // The whole picture is its only part, and bytes stay bytes.
  const Tensor bytes = (images * 255).astype(DType::kU8);
  EXPECT_EQ(random_crop(key, bytes, kHeight, kWidth).to_vector<int>(), bytes.to_vector<int>());
  EXPECT_EQ(random_crop(key, bytes, 2, 2, {.padding = 1}).dtype(), DType::kU8);
}

TEST(Augment, flips_and_cutouts_change_only_what_they_say) {
  const Key key(1);
  const Tensor images = pictures();
  const std::vector<bool> flipped = random::bernoulli(key, 0.5, Shape{kBatch}).to_vector<bool>();
  const Tensor flips = random_flip(key, images);
  for (int64_t b = 0; b < kBatch; ++b) {
    EXPECT_EQ(values(flips[b]),
              values(flipped[static_cast<size_t>(b)] ? flip(images[b], {1}) : images[b]));
  }
  EXPECT_EQ(values(random_flip(key, images, 1)), values(flip(images, {2})));
  EXPECT_EQ(values(random_flip(key, images, 0)), values(images));

  const Key keys = random::split(key);
  const std::vector<int> y = random::randint(keys[0], {kBatch}, 0, kHeight).to_vector<int>();
  const std::vector<int> x = random::randint(keys[1], {kBatch}, 0, kWidth).to_vector<int>();
  const std::vector<float> from = values(images), got = values(cutout(key, images, 3, 7));
  for (size_t i = 0; i < got.size(); ++i) {
    const int column = static_cast<int>(i / 3 % kWidth),
              row = static_cast<int>(i / 3 / kWidth % kHeight);
    const size_t b = i / (3 * kWidth * kHeight);
    const bool inside = std::abs(row - y[b]) <= 1 && std::abs(column - x[b]) <= 1;
    EXPECT_EQ(got[i], inside ? 7.f : from[i]) << i;
  }
  EXPECT_EQ(values(cutout(key, images, 0)), values(images));
}

TEST(Augment, colours_change_by_one_factor_a_picture) {
  const Key key(2);
  const Key keys = random::split(key, 3);
  const Tensor images = pictures() * 0.5;
  const auto factor = [&](int64_t i, double change) {
    return values(random::uniform(keys[i], {kBatch}, DType::kF32, 1 - change, 1 + change));
  };
  const ColorJitter all{.brightness = 0.2, .contrast = 0.3, .saturation = 0.4};
  const std::vector<float> got = values(color_jitter(key, images, all)), from = values(images);
  const std::vector<float> b = factor(0, 0.2), c = factor(1, 0.3), s = factor(2, 0.4);
  const auto grey = [](const float* p) { return 0.299f * p[0] + 0.587f * p[1] + 0.114f * p[2]; };
  constexpr size_t kPixels = kHeight * kWidth;
  for (size_t n = 0; n < kBatch; ++n) {
    std::vector<float> x(from.begin() + static_cast<int64_t>(n * kPixels * 3),
                         from.begin() + static_cast<int64_t>((n + 1) * kPixels * 3));
    float mean_grey = 0;
    for (float& value : x) value *= b[n];
    for (size_t i = 0; i < kPixels; ++i) mean_grey += grey(&x[3 * i]) / kPixels;
    for (float& value : x) value = c[n] * value + (1 - c[n]) * mean_grey;
    for (size_t i = 0; i < kPixels; ++i) {
      const float g = grey(&x[3 * i]);
      for (size_t k = 0; k < 3; ++k) {
        const float value = s[n] * x[3 * i + k] + (1 - s[n]) * g;
        EXPECT_NEAR(got[(n * kPixels + i) * 3 + k], std::clamp(value, 0.f, 1.f), 1e-6);
      }
    }
  }
  EXPECT_EQ(values(color_jitter(key, images, {})), from);
  EXPECT_EQ(values(color_jitter(key, images, {.high = 0.25})), values(minimum(images, 0.25)));
  EXPECT_EQ(color_jitter(key, pictures(1), all).shape(), (Shape{kBatch, kHeight, kWidth, 1}));
}

TEST(Augment, mixup_mixes_pictures_and_labels_alike) {
  const Key key(4);
  const Key keys = random::split(key);
  const Tensor images = pictures(), labels = eye(kBatch);
  const auto [x, y] = mixup(key, images, labels, 0.4);
  const float l = random::beta(keys[0], 0.4, 0.4).item<float>();
  const Tensor p = random::permutation(keys[1], kBatch);
  const auto expect_near = [](const Tensor& a, const Tensor& b) {
    EXPECT_LT(max(abs(a - b)).item<float>(), 1e-6f);
  };
  expect_near(x, l * images + (1 - l) * take(images, p));
  expect_near(y, l * labels + (1 - l) * take(labels, p));
  expect_near(y.sum(1), ones({kBatch}));
}

TEST(Augment, jit_and_vmap_give_the_same_numbers) {
  const auto all = [](const Key& key, const Tensor& images) {
    const Key k = random::split(key, 5);
    Tensor x = random_crop(k[0], images, 3, 5, {.padding = 1});
    x = cutout(k[2], random_flip(k[1], x), 2);
    x = color_jitter(k[3], x, {.brightness = 0.1, .contrast = 0.1, .saturation = 0.1});
    return mixup(k[4], x, eye(kBatch)).images;
  };
  const Tensor images = pictures();
  const Key keys = random::split(Key(9), 3);
  std::vector<Tensor> apart;
  for (int64_t i = 0; i < 3; ++i) apart.push_back(all(keys[i], images));
  const Tensor expected = stack(apart);
  const auto expect_near = [](const Tensor& a, const Tensor& b) {
    ASSERT_EQ(a.shape(), b.shape());
    EXPECT_LT(max(abs(a - b)).item<float>(), 1e-6f);
  };
  expect_near(jit(all)(keys[1], images), expected[1]);
  expect_near(vmap([&](const Key& key) { return all(key, images); })(keys), expected);
}

TEST(Augment, what_does_not_fit_is_refused_with_its_type) {
  const Key key(0);
  const auto refuse = [](const std::function<void()>& f, const std::vector<std::string>& parts) {
    try {
      f();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      for (const std::string& part : parts)
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  const Tensor images = pictures(), bytes = images.astype(DType::kU8);
  refuse([&] { random_crop(key, images[0], 2, 2); }, {"random_crop", "f32[4,6,3]"});
  refuse([&] { random_crop(key, images, 7, 2, {.padding = 1}); }, {"7 x 2", "f32[5,4,6,3]"});
  refuse([&] { random_flip(key, zeros({2, 2})); }, {"random_flip", "f32[2,2]"});
  refuse([&] { color_jitter(key, bytes, {.contrast = 1}); }, {"u8[5,4,6,3]", "hint"});
  refuse([&] { cutout(key, images, -1); }, {"cutout", "-1"});
  refuse([&] { mixup(key, images, zeros({4, 2})); }, {"f32[5,4,6,3]", "f32[4,2]"});
  refuse([&] { mixup(key, images, arange(kBatch)); }, {"labels", "i32[5]"});
  refuse([&] { mixup(key, images, eye(kBatch), 0); }, {"alpha"});
}

}  // namespace
}  // namespace linnet::data::augment_test
