#include "linnet/report/png.h"

#include <png.h>

#include <cmath>

#include "tests/io/io_test_utils.h"

namespace linnet::png_test {
namespace {

using testing::expect_error;
using testing::read_text;
using testing::TemporaryDirectory;

Image decode(std::span<const std::byte> bytes, int64_t channels) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  EXPECT_TRUE(png_image_begin_read_from_memory(&png, bytes.data(), bytes.size()));
  png.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  Image image{png.width, png.height, channels, std::vector<uint8_t>(PNG_IMAGE_SIZE(png))};
  EXPECT_TRUE(png_image_finish_read(&png, nullptr, image.pixels.data(), 0, nullptr));
  return image;
}

int64_t count_color(const Image& image, const Color& color) {
  int64_t count = 0;
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    count += std::equal(color.begin(), color.end(),
                        image.pixels.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return count;
}

Image white(int64_t width, int64_t height) {
  return {width, height, 3, std::vector<uint8_t>(static_cast<size_t>(width * height * 3), 255)};
}

TEST(Png, PixelsComeBack) {
  const TemporaryDirectory directory;
  for (int64_t channels : {1, 3}) {
    Image image{7, 5, channels, {}};
    for (int64_t i = 0; i < 35 * channels; ++i) image.pixels.push_back(static_cast<uint8_t>(i * 7));
    EXPECT_EQ(decode(encode_png(image), channels).pixels, image.pixels);
    write_png(directory / "a.png", image);
    const std::string file = read_text(directory / "a.png");
    EXPECT_EQ(decode(std::as_bytes(std::span(file)), channels).width, 7);
  }
}

TEST(Png, RefusesImagesThatAreNone) {
  expect_error<ValueError>([] { encode_png({0, 5, 1, {}}); }, {"0x5x1"});
  expect_error<ValueError>(
      [] {
        encode_png({40000, 1, 1, std::vector<uint8_t>(40000)});
      },
      {"40000x1x1"});
  expect_error<ValueError>([] { encode_png({2, 2, 4, std::vector<uint8_t>(16)}); }, {"2x2x4"});
  expect_error<ValueError>(
      [] {
        encode_png({2, 2, 3, std::vector<uint8_t>(11)});
      },
      {"12 values, got 11"});
  expect_error<IoError>([] { write_png("/nowhere/a.png", white(2, 2)); }, {"/nowhere/a.png"});
}

TEST(DrawText, EveryPrintableCharacterIsDifferentAndInItsCell) {
  std::vector<std::vector<uint8_t>> seen;
  for (char c = ' '; c <= '~'; ++c) {
    Image image = white(6, 8);
    draw_text(image, 0, 0, std::string(1, c), {0, 0, 0}, 1);
    for (const auto& other : seen) EXPECT_NE(image.pixels, other) << c;
    for (int64_t row = 0; row < 8; ++row)
      EXPECT_EQ(image.pixels[static_cast<size_t>((row * 6 + 5) * 3)], 255) << c;
    seen.push_back(image.pixels);
  }
}

TEST(DrawText, ScalesClipsAndDrawsABoxForTheRest) {
  Image small = white(12, 8), large = white(36, 24);
  draw_text(small, 0, 0, "Ab", {10, 20, 30}, 1);
  draw_text(large, 0, 0, "Ab", {10, 20, 30}, 3);
  EXPECT_GT(count_color(small, {10, 20, 30}), 20);
  EXPECT_EQ(count_color(large, {10, 20, 30}), 9 * count_color(small, {10, 20, 30}));
  Image clipped = white(3, 3);
  draw_text(clipped, -2, -2, "####", {0, 0, 0}, 2);
  draw_text(clipped, 1000, 1000, "#", {0, 0, 0}, 2);
  Image box = white(6, 8);
  draw_text(box, 0, 0, "\xff", {0, 0, 0}, 1);
  EXPECT_EQ(count_color(box, {0, 0, 0}), 20);
  Image grey{2, 2, 1, std::vector<uint8_t>(4)};
  expect_error<ValueError>([&] { draw_text(grey, 0, 0, "a", {0, 0, 0}, 1); }, {"2x2x1"});
  expect_error<ValueError>([&] { draw_text(box, 0, 0, "a", {0, 0, 0}, 0); }, {"scale 0"});
}

constexpr std::array<std::string_view, 3> kNames = {"Bag", "T-shirt/top",
                                                    "a name that is far too long to fit"};
constexpr Color kGreen = {0, 120, 50}, kRed = {190, 30, 20}, kGrey = {90, 90, 90};

HostArray pictures(int64_t count) {
  WritableHostArray images = allocate_host_array(DType::kU8, {count, 28, 28});
  for (size_t i = 0; i < images.array.byte_size(); ++i)
    images.data[i] = static_cast<std::byte>(i % 7);
  return images.array;
}

TEST(PredictionGrid, ColoursCaptionsByCorrectness) {
  const std::vector<int64_t> truth{0, 1, 2}, right{0, 1, 2}, wrong{0, 0, 0};
  const Image all_right = prediction_grid(pictures(3), right, truth, kNames, {.columns = 2});
  EXPECT_EQ(all_right.width, 2 * (28 * 5 + 8) + 8);
  EXPECT_EQ(count_color(all_right, kRed), 0);
  EXPECT_GT(count_color(all_right, kGreen), 0);
  const Image some_wrong = prediction_grid(pictures(3), wrong, truth, kNames);
  EXPECT_GT(count_color(some_wrong, kRed), 0);
  EXPECT_GT(count_color(some_wrong, kGreen), 0);
  EXPECT_GT(count_color(some_wrong, kGrey), 0);
  EXPECT_EQ(some_wrong.pixels.size(),
            static_cast<size_t>(some_wrong.width * some_wrong.height * 3));
}

TEST(PredictionGrid, MagnifiesPixels) {
  WritableHostArray images = allocate_host_array(DType::kU8, {1, 1, 2});
  images.data[0] = std::byte{17};
  images.data[1] = std::byte{99};
  const std::vector<int64_t> zero{0};
  const Image sheet = prediction_grid(images.array, zero, zero, kNames, {.scale = 4});
  EXPECT_EQ(count_color(sheet, {17, 17, 17}), 16);
  EXPECT_EQ(count_color(sheet, {99, 99, 99}), 16);
}

TEST(PredictionGrid, AcceptsFloatsAndClampsThem) {
  const HostArray images =
      host_array<float>({1, 1, 4, 1}, std::vector<float>{-3.0f, 0.2f, 7.0f, std::nanf("")});
  const std::vector<int64_t> zero{0};
  const Image sheet = prediction_grid(images, zero, zero, kNames, {.scale = 2});
  EXPECT_EQ(count_color(sheet, {0, 0, 0}), 8);
  EXPECT_EQ(count_color(sheet, {51, 51, 51}), 4);
}

TEST(PredictionGrid, RefusesWhatDoesNotFit) {
  const std::vector<int64_t> two{0, 1}, one{0}, bad{3}, negative{-1};
  const HostArray image = pictures(1);
  expect_error<ShapeError>([&] { prediction_grid(image, two, one, kNames); },
                           {"1 images but 2 predicted"});
  expect_error<ShapeError>([&] { prediction_grid(image, one, two, kNames); }, {"2 true"});
  expect_error<ValueError>([&] { prediction_grid(image, bad, one, kNames); },
                           {"predicted class 3 at position 0"});
  expect_error<ValueError>([&] { prediction_grid(image, one, negative, kNames); },
                           {"true class -1"});
  expect_error<ShapeError>(
      [&] { prediction_grid(host_array<float>({1}, std::vector<float>{1}), one, one, kNames); },
      {"f32[1]"});
  expect_error<DTypeError>(
      [&] {
        prediction_grid(allocate_host_array(DType::kI32, {1, 2, 2}).array, one, one, kNames);
      },
      {"i32[1,2,2]"});
  expect_error<ValueError>([&] { prediction_grid(image, one, one, kNames, {.columns = 0}); },
                           {"columns 0"});
  expect_error<ValueError>([&] { prediction_grid(image, one, one, kNames, {.scale = 5000}); },
                           {"32768"});
}

}  // namespace
}  // namespace linnet::png_test
