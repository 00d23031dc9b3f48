#include "linnet/io/npz.h"

#include "tests/io/io_test_utils.h"

namespace linnet::npz_test {
namespace {

using testing::bytes_of;
using testing::expect_error;
using testing::TemporaryDirectory;

// Made by numpy.savez, numpy.savez_compressed and zipfile of Python; see the names.
const std::string kFiles = LINNET_TEST_DATA "/fuzz/corpus/npz/";

TEST(Npz, reads_what_numpy_writes) {
  for (const char* file : {"savez", "streamed", "large_fields"}) {
    const NamedArrays arrays = read_npz(kFiles + file);
    const auto x = arrays.at("x").values<float>();
    EXPECT_EQ(arrays.at("x").shape, (Shape{2, 3}));
    EXPECT_EQ(std::vector<float>(x.begin(), x.end()), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  }
  const NamedArrays arrays = read_npz(kFiles + "savez");
  EXPECT_EQ(arrays.size(), 3u);
  EXPECT_EQ(arrays.at("label").values<int64_t>()[1], -2);
  EXPECT_EQ(arrays.at("s").shape, Shape{});
  EXPECT_TRUE(arrays.at("s").values<bool>()[0]);

  const NamedArrays compressed = read_npz(kFiles + "compressed");
  EXPECT_EQ(compressed.at("x").shape, Shape{500});
  EXPECT_EQ(compressed.at("y").values<float>()[1], 1.f);  // was column-major
  EXPECT_EQ(read_npz(kFiles + "comment").at("ä").values<int64_t>()[0], 1);
  EXPECT_TRUE(read_npz(kFiles + "empty").empty());
}

TEST(Npz, what_is_written_is_read_and_equal_arrays_give_equal_bytes) {
  const TemporaryDirectory directory;
  const NamedArrays arrays = {{"a/b", host_array<float>({2}, std::vector<float>{1, 2})},
                              {"zeros", host_array<uint8_t>({1000}, std::vector<uint8_t>(1000))},
                              {"ö", host_array<int16_t>({0, 3}, std::vector<int16_t>{})}};
  for (const NpzCompression compression : {NpzCompression::kNone, NpzCompression::kDeflate}) {
    write_npz(directory / "a.npz", arrays, compression);
    const std::string content = testing::read_text(directory / "a.npz");
    EXPECT_EQ(bytes_of(content), npz_bytes(arrays, compression));
    EXPECT_EQ(content.size() < 1000, compression == NpzCompression::kDeflate);
    const NamedArrays back = read_npz(directory / "a.npz");
    EXPECT_EQ(back.size(), 3u);
    EXPECT_EQ(back.at("a/b").values<float>()[1], 2.f);
    EXPECT_EQ(back.at("zeros").byte_size(), 1000u);
    EXPECT_EQ(back.at("ö").shape, (Shape{0, 3}));
  }
}

// As many as need 64-bit numbers in the end record.
TEST(Npz, more_members_than_sixteen_bits_count) {
  NamedArrays arrays;
  const HostArray one = host_array<uint8_t>({1}, std::vector<uint8_t>{1});
  for (int i = 0; i < 0x10001; ++i) arrays.emplace(std::to_string(i), one);
  const NamedArrays back = parse_npz(npz_bytes(arrays));
  EXPECT_EQ(back.size(), arrays.size());
  EXPECT_EQ(back.at("65536").values<uint8_t>()[0], 1);
}

TEST(Npz, damaged_files_are_refused_with_member_and_reason) {
  struct Case {
    std::string file, part, reason;
  };
  for (const auto& [file, part, reason] :
       {Case{"cut", "zip", "its end is missing"}, Case{"large_lost", "64-bit", "damaged"},
        Case{"damaged", "x.npy", "checksum"}, Case{"claims_more", "x.npy", "2147483648"},
        Case{"encrypted", "x.npy", "encrypted"}, Case{"outside", "x.npy", "outside"},
        Case{"bzip2", "x.npy", "method 12"}, Case{"text", "x.txt", "no .npy"},
        Case{"twice", "x.npy", "twice"}, Case{"object", "o.npy", "Python objects"}}) {
    const std::string path = kFiles + file;
    expect_error([&] { read_npz(path); }, {path, part, reason});
  }
  expect_error([] { read_npz(kFiles + "savez", 300); }, {"at most 300"});
}

TEST(Npz, R_040_truncations_and_flipped_bits_give_an_error_or_equal_values) {
  const std::string content = testing::read_text(kFiles + "compressed");
  const NamedArrays arrays = parse_npz(bytes_of(content));
  for (size_t i = 0; i < content.size(); ++i) {
    expect_error([&] { parse_npz(bytes_of(content.substr(0, i))); }, {"npz"});
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = content;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      try {
        const NamedArrays got = parse_npz(bytes_of(flipped), "npz", 1 << 20);
        for (const auto& [name, array] : arrays) {
          ASSERT_TRUE(got.contains(name)) << i << " " << bit;
          EXPECT_TRUE(std::ranges::equal(got.at(name).bytes(), array.bytes())) << i << " " << bit;
        }
      } catch (const IoError&) {
      }
    }
  }
}

}  // namespace
}  // namespace linnet::npz_test
