#include "linnet/data/image.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>

#include "linnet/data/loader.h"
#include "linnet/error.h"
#include "tests/io/io_test_utils.h"

namespace linnet::data::image_test {
namespace {

using testing::expect_error;

// Written by Pillow: 8 x 6 pixels (30 x, 40 y, 7 x y) in several forms.
const std::string kFiles = LINNET_TEST_DATA "/fuzz/corpus/image/";

bool can_read(const std::string& file) {
  return file.ends_with("png") ? can_read_png() : can_read_jpeg();
}

int64_t sum_of(const Tensor& image) {
  const std::vector<int> values = image.to_vector<int>();
  return std::accumulate(values.begin(), values.end(), int64_t{0});
}

// The first pixels and the sums are those that Pillow reads.
TEST(Image, pixels_are_those_of_another_reader) {
  struct Case {
    std::string file;
    std::vector<int> first;  // the first two pixels
    int64_t sum, grey_sum, tolerance;
  };
  for (const Case& c : {Case{"rgb.png", {0, 0, 0, 30, 0, 0}, 12780, 4659, 0},
                        Case{"rgba.png", {0, 0, 0, 30, 0, 0}, 12780, 4659, 0},
                        Case{"palette.png", {30, 0, 0, 30, 0, 0}, 12779, 4663, 0},
                        Case{"colour.jpg", {0, 4, 0, 18, 10, 0}, 12843, 4664, 150},
                        Case{"progressive.jpg", {0, 6, 0, 16, 10, 0}, 12935, 4678, 150},
                        Case{"grey.jpg", {1, 1, 1, 30, 30, 30}, 15174, 5058, 50}}) {
    SCOPED_TRACE(c.file);
    if (!can_read(c.file)) {
      expect_error([&] { read_image(kFiles + c.file); }, {c.file, "built without", "hint"});
      continue;
    }
    const Tensor image = read_image(kFiles + c.file);
    EXPECT_EQ(image.type(), (TensorType{DType::kU8, {6, 8, 3}}));
    const std::vector<int> values = image.to_vector<int>();
    for (size_t i = 0; i < c.first.size(); ++i)
      EXPECT_NEAR(values[i], c.first[i], c.tolerance > 0 ? 2 : 0) << i;
    EXPECT_NEAR(sum_of(image), c.sum, c.tolerance);
    const Tensor grey = read_image(kFiles + c.file, {.channels = 1});
    EXPECT_EQ(grey.shape(), (Shape{6, 8, 1}));
    EXPECT_NEAR(sum_of(grey), c.grey_sum, c.tolerance);
  }
  if (!can_read_png()) return;
  const Tensor with_alpha = read_image(kFiles + "rgba.png", {.channels = 4});
  EXPECT_EQ((with_alpha[{0, 3}].to_vector<int>()), (std::vector<int>{90, 0, 0, 195}));
  // 16 bits: the upper eight, rounded (35000 / 257 = 136.2).
  EXPECT_EQ((read_image(kFiles + "grey16.png", {.channels = 1})[{0, 7, 0}].item<int>()), 136);
}

TEST(Image, damaged_files_are_refused_before_memory_is_requested) {
  const auto refuse = [](const std::string& file, std::string_view reason) {
    SCOPED_TRACE(file);
    if (can_read(file)) expect_error([&] { read_image(kFiles + file); }, {kFiles + file, reason});
  };
  refuse("cut.png", "damaged PNG");
  refuse("cut.jpg", "damaged JPEG");
  refuse("huge.png", "524288 x 524288");
  refuse("cmyk.jpg", "CMYK");
  expect_error([] { read_image(kFiles + "gif"); }, {"gif", "neither"});
  expect_error([] { read_image(kFiles + "none.png"); }, {"none.png"});
  expect_error<ValueError>([] { read_image(kFiles + "rgb.png", {.channels = 2}); },
                           {"channels", "2"});
  if (can_read_png())
    expect_error([] { read_image(kFiles + "rgb.png", {.pixel_limit = 47}); }, {"at most 47"});
}

// Values of Pillow's Image.resize((width, height), BILINEAR).
TEST(Image, resized_like_another_program) {
  std::vector<uint8_t> pixels;
  for (int y = 0; y < 6; ++y) {
    for (int x = 0; x < 8; ++x)
      for (int value : {30 * x, 40 * y, 7 * x * y}) pixels.push_back(static_cast<uint8_t>(value));
  }
  const Tensor image = from_vector(pixels, {6, 8, 3});
  const auto expect = [](const Tensor& got, const std::vector<int>& expected) {
    const std::vector<int> values = got.to_vector<int>();
    ASSERT_EQ(values.size(), expected.size());
    for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], 1) << i;
  };
  expect(resize_image(image, 4, 3),
         {33, 15,  3,  105, 15,  9,  177, 15,  15,  33, 71,  14, 105, 71,  44,  177, 71,  74,
          33, 129, 25, 105, 129, 79, 177, 129, 133, 33, 185, 36, 105, 185, 114, 177, 185, 191});
  expect(resize_image(image, 8, 10)[3],
         {0,   85, 0,  21,  85, 11, 45,  85, 22, 69,  85, 34, 93,  85, 46,
          117, 85, 58, 141, 85, 70, 165, 85, 82, 189, 85, 94, 210, 85, 104});
  EXPECT_EQ(resize_image(image, 6, 8).to_vector<uint8_t>(), pixels);
  EXPECT_THROW(resize_image(image, 0, 1), ValueError);
  EXPECT_THROW(resize_image(zeros({2, 2, 3}), 1, 1), DTypeError);
  EXPECT_THROW(resize_image(image[0], 1, 1), ShapeError);
}

TEST(ImageFolder, classes_sizes_and_errors) {
  if (!can_read_png()) GTEST_SKIP() << "needs libpng";
  const testing::TemporaryDirectory directory;
  namespace fs = std::filesystem;
  const auto put = [&](const std::string& from, const std::string& to) {
    fs::create_directories(fs::path(directory / to).parent_path());
    fs::copy_file(kFiles + from, directory / to);
  };
  expect_error([&] { ImageFolder(directory.path()); }, {directory.path(), "no classes"});
  expect_error([&] { ImageFolder(directory / "none"); }, {"none"});
  put("rgb.png", "dog/b.PNG");
  put("rgba.png", "dog/a.png");
  put("grey.png", "cat/1.png");
  put("gif", "cat/notes.txt");
  put("gif", "cat/.hidden.png");
  put("gif", "list.txt");

  const ImageFolder set(directory.path());
  EXPECT_EQ(set.classes(), (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(set.size(), 3);
  EXPECT_EQ(set.file(1), directory / "dog/a.png");
  Loader loader(set, {.batch_size = 2, .workers = 2});
  const ImageBatch batch = *loader.next();
  EXPECT_EQ(batch.image.type(), (TensorType{DType::kU8, {2, 6, 8, 3}}));
  EXPECT_EQ(batch.label.to_vector<int>(), (std::vector<int>{0, 1}));
  EXPECT_EQ(batch.image[1].to_vector<uint8_t>(),
            read_image(kFiles + "rgba.png").to_vector<uint8_t>());
  EXPECT_EQ(loader.next()->label.to_vector<int>(), (std::vector<int>{1}));

  // 8 x 6 pixels cover 3 x 3 as 4 x 3, of which the left three columns are the middle.
  const ImageFolder small(directory.path(), {.height = 3, .width = 3});
  const Tensor covered = resize_image(read_image(kFiles + "rgba.png"), 3, 4);
  EXPECT_EQ((small.gather(std::vector<int64_t>{1}).image[{0, 1, 2}].to_vector<int>()),
            (covered[{1, 2}].to_vector<int>()));
  const ImageFolder stretched(directory.path(), {.height = 3, .width = 3, .fit = Fit::kStretch});
  EXPECT_EQ(stretched.gather(std::vector<int64_t>{1}).image[0].to_vector<int>(),
            resize_image(read_image(kFiles + "rgba.png"), 3, 3).to_vector<int>());
  const ImageFolder exact(directory.path(), {.height = 3, .width = 3, .fit = Fit::kExact});
  expect_error([&] { exact.gather(std::vector<int64_t>{2}); }, {"dog/b.PNG", "u8[6,8,3]", "3 x 3"});
  EXPECT_THROW(set.gather(std::vector<int64_t>{3}), ValueError);

  put("gif", "cat/2.png");
  const ImageFolder damaged(directory.path());
  expect_error([&] { damaged.gather(std::vector<int64_t>{1}); }, {"cat/2.png", "neither"});
  fs::create_directories(directory / "empty");
  expect_error([&] { ImageFolder(directory.path()); }, {"empty", "no pictures"});
}

}  // namespace
}  // namespace linnet::data::image_test
