#include "linnet/data/idx.h"

#include <zlib.h>

#include "linnet/data/fashion_mnist.h"
#include "tests/io/io_test_utils.h"

namespace linnet::idx_test {
namespace {

using testing::bytes_of;
using testing::expect_error;
using testing::TemporaryDirectory;
using testing::write_text;

std::string big_endian(uint32_t value) {
  std::string result;
  for (int shift = 24; shift >= 0; shift -= 8) result += static_cast<char>(value >> shift & 0xFF);
  return result;
}

std::string idx(int code, const std::vector<uint32_t>& shape, const std::string& values) {
  std::string result{'\0', '\0', static_cast<char>(code), static_cast<char>(shape.size())};
  for (uint32_t size : shape) result += big_endian(size);
  return result + values;
}

std::string gzip(const std::string& content) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string result(deflateBound(&stream, content.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

HostArray parse(const std::string& content) { return parse_idx(bytes_of(content), "f"); }

void refuse(const std::string& content, std::initializer_list<std::string_view> parts) {
  expect_error([&] { parse(content); }, parts);
}

TEST(Idx, ReadsAllElementTypesPlainAndCompressed) {
  const std::string u8 = idx(0x08, {2, 1, 3}, "abcdef");
  for (const std::string& content : {u8, gzip(u8)}) {
    const HostArray array = parse(content);
    EXPECT_EQ(array.shape, (Shape{2, 1, 3}));
    EXPECT_EQ(array.values<uint8_t>()[5], 'f');
  }
  EXPECT_EQ(parse(idx(0x09, {1}, "\xff")).values<int8_t>()[0], -1);
  EXPECT_EQ(parse(idx(0x0B, {1}, std::string("\1\2", 2))).values<int16_t>()[0], 258);
  EXPECT_EQ(parse(idx(0x0C, {1}, big_endian(0xFFFFFFFE))).values<int32_t>()[0], -2);
  EXPECT_EQ(parse(idx(0x0D, {2}, big_endian(0x3FC00000) + big_endian(0))).values<float>()[0], 1.5f);
  EXPECT_EQ(parse(idx(0x0E, {1}, big_endian(0x3FF80000) + big_endian(0))).values<double>()[0], 1.5);
  EXPECT_EQ(parse(idx(0x08, {0, 28, 28}, "")).size(), 0);
}

TEST(Idx, RefusesWrongHeaders) {
  refuse("", {"f: truncated"});
  refuse(std::string("\0\0\x08", 3), {"truncated"});
  refuse("PNG\x01", {"not an IDX file", "magic number"});
  refuse(idx(0x0A, {1}, "a"), {"type code 10"});
  refuse(idx(0x08, {}, ""), {"rank 0"});
  refuse(std::string("\0\0\x08\xff", 4) + std::string(2000, '\0'), {"rank 255"});
  refuse(idx(0x08, {1, 2}, "").substr(0, 10), {"truncated inside the IDX header"});
  refuse(idx(0x0E, {0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, ""), {"overflows"});
  refuse(idx(0x0E, {0, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, ""), {"overflows"});
}

TEST(Idx, RefusesMissingAndSuperfluousBytes) {
  refuse(idx(0x08, {60000, 28, 28}, "abc"), {"f: truncated", "u8[60000,28,28]", "47040000 bytes"});
  refuse(idx(0x08, {4}, "abc"), {"truncated", "u8[4]"});
  refuse(idx(0x08, {2}, "abc"), {"bytes left over after u8[2]"});
  refuse(gzip(idx(0x08, {5}, "abc")), {"truncated", "5 bytes, the file has 3"});
  refuse(gzip(idx(0x08, {2}, "abc")), {"left over"});
  expect_error([] { parse_idx(bytes_of(idx(0x08, {3}, "abc")), "f", 2); }, {"at most 2"});
  expect_error(
      [] { parse_idx(bytes_of(gzip(idx(0x08, {2000}, std::string(2000, 'a')))), "f", 1999); },
      {"at most 1999"});
}

TEST(Idx, AFalseClaimIsRefusedBeforeMemoryIsRequested) {
  refuse(gzip(idx(0x08, {0xF0000000}, "abc")), {"truncated", "more than the file can hold"});
}

TEST(Idx, R_040_truncation_and_bit_flips_give_errors_or_arrays_that_fit) {
  const std::string plain = idx(0x0C, {2, 3}, std::string(24, 'a'));
  for (const std::string& content : {plain, gzip(plain)}) {
    for (size_t n = 0; n < content.size(); ++n)
      EXPECT_THROW(parse(content.substr(0, n)), IoError) << n;
    for (size_t bit = 0; bit < content.size() * 8; ++bit) {
      std::string changed = content;
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
      try {
        EXPECT_EQ(parse(changed).byte_size(), 24u);
      } catch (const IoError&) {
        continue;
      }
    }
  }
}

TEST(Idx, RefusesDamagedCompression) {
  const std::string good = gzip(idx(0x08, {300}, std::string(300, 'a')));
  ASSERT_EQ(parse(good).size(), 300);
  for (size_t n = 0; n < good.size(); ++n) EXPECT_THROW(parse(good.substr(0, n)), IoError) << n;
  refuse(good + "x", {"left over after the end of the gzip data"});
  refuse(good + good, {"left over"});
  std::string wrong_checksum = good;
  wrong_checksum[good.size() - 8] ^= 1;
  refuse(wrong_checksum, {"damaged gzip data", "check"});
  std::string wrong_method = good;
  wrong_method[2] = 7;
  refuse(wrong_method, {"damaged gzip data"});
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string changed = good;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    try {
      EXPECT_EQ(parse(changed).size(), 300);  // flips in the time stamp and the like change nothing
    } catch (const IoError&) {
      continue;
    }
  }
}

class FashionMnistFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    write("train-images-idx3-ubyte", gzip(idx(0x08, {3, 28, 28}, std::string(3 * 784, 'a'))),
          ".gz");
    write("train-labels-idx1-ubyte", gzip(idx(0x08, {3}, std::string("\0\5\x09", 3))), ".gz");
    write("t10k-images-idx3-ubyte", idx(0x08, {2, 28, 28}, std::string(2 * 784, 'b')), "");
    write("t10k-labels-idx1-ubyte", idx(0x08, {2}, std::string("\1\2", 2)), "");
  }
  void write(const std::string& name, const std::string& content, const std::string& end) {
    write_text(directory_ / (name + end), content);
  }
  void refuse(std::initializer_list<std::string_view> parts) {
    expect_error([&] { load_fashion_mnist(directory_.path()); }, parts);
    expect_error([&] { load_fashion_mnist(directory_.path()); },
                 {"Fashion-MNIST: ", "dataset-fashion-mnist"});
  }
  TemporaryDirectory directory_;
};

TEST_F(FashionMnistFiles, CompressedAndPlainFilesAreRead) {
  const FashionMnist data = load_fashion_mnist(directory_.path());
  EXPECT_EQ(data.train_images.shape, (Shape{3, 28, 28}));
  EXPECT_EQ(data.test_images.values<uint8_t>()[1000], 'b');
  EXPECT_EQ(data.train_labels.values<uint8_t>()[1], 5);
  EXPECT_EQ(kFashionMnistClasses[data.train_labels.values<uint8_t>()[2]], "Ankle boot");
  EXPECT_EQ(data.test_labels.shape, (Shape{2}));
}

TEST_F(FashionMnistFiles, OneSentenceSaysWhatIsWrong) {
  write("train-labels-idx1-ubyte", idx(0x08, {3, 28, 28}, std::string(3 * 784, 'a')), ".gz");
  refuse({"training labels are u8[3,28,28], expected u8[examples]"});
  write("train-labels-idx1-ubyte", idx(0x08, {2}, "\1\1"), ".gz");
  refuse({"training set has 3 images but 2 labels"});
  write("train-labels-idx1-ubyte", idx(0x08, {3}, std::string("\0\x0a\0", 3)), ".gz");
  refuse({"label 10 at position 1, classes are 0 to 9"});
  write("train-images-idx3-ubyte", idx(0x08, {3}, "abc"), ".gz");
  refuse({"training images are u8[3], expected u8[examples,28,28]"});
  write("train-images-idx3-ubyte",
        gzip(idx(0x08, {3, 28, 28}, std::string(3 * 784, 'a'))).substr(0, 30), ".gz");
  refuse({"train-images-idx3-ubyte.gz: truncated"});
  std::filesystem::remove(directory_ / "t10k-labels-idx1-ubyte");
  write("train-images-idx3-ubyte", idx(0x08, {3, 28, 28}, std::string(3 * 784, 'a')), ".gz");
  refuse({"t10k-labels-idx1-ubyte.gz does not exist"});
  expect_error([] { load_fashion_mnist("/nowhere"); },
               {"/nowhere/train-images", "dataset-fashion-mnist"});
}

TEST(FashionMnist, ThePublishedSetHasItsKnownSizesAndFirstLabels) {
  if (!std::filesystem::exists(kFashionMnistDirectory))
    GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  const FashionMnist data = load_fashion_mnist();
  EXPECT_EQ(data.train_images.shape, (Shape{60000, 28, 28}));
  EXPECT_EQ(data.test_images.shape, (Shape{10000, 28, 28}));
  // The first training picture is an ankle boot; every class has 1000 test pictures.
  EXPECT_EQ(data.train_labels.values<uint8_t>()[0], 9);
  std::array<int, 10> counts{};
  for (uint8_t label : data.test_labels.values<uint8_t>()) ++counts[label];
  for (int count : counts) EXPECT_EQ(count, 1000);
}

}  // namespace
}  // namespace linnet::idx_test
