#include "linnet/io/npy.h"

#include <cstring>

#include "tests/io/io_test_utils.h"

namespace linnet::npy_test {
namespace {

using testing::bytes_of;
using testing::expect_error;
using testing::little_endian;
using testing::read_text;
using testing::TemporaryDirectory;

const std::string kMagic = "\x93NUMPY";

std::string file_of(const std::string& header, const std::string& values = "", int version = 1) {
  return kMagic + static_cast<char>(version) + '\0' +
         little_endian(header.size(), version == 1 ? 2 : 4) + header + values;
}

std::string header_of(const std::string& descr, const std::string& shape,
                      const std::string& order = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
}

HostArray parse(const std::string& content) { return parse_npy(bytes_of(content), "f"); }

void refuse(const std::string& content, std::initializer_list<std::string_view> parts) {
  SCOPED_TRACE(content.substr(0, 200));
  expect_error([&] { parse(content); }, parts);
}

TEST(Npy, WritesTheDocumentedBytes) {
  const TemporaryDirectory directory;
  write_npy(directory / "a.npy", host_array<int16_t>({1, 2}, std::vector<int16_t>{1, -2}));
  const std::string content = read_text(directory / "a.npy");
  ASSERT_EQ(content.size(), 128u + 4u);
  std::string header = "{'descr': '<i2', 'fortran_order': False, 'shape': (1, 2), }";
  header.resize(117, ' ');
  EXPECT_EQ(content, kMagic + std::string("\1\0", 2) + little_endian(118, 2) + header + "\n" +
                         little_endian(1, 2) + little_endian(0xFFFE, 2));
}

TEST(Npy, EveryElementTypeAndRankComesBack) {
  const TemporaryDirectory directory;
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (dtype == DType::kBF16) continue;
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{0, 4}, Shape{2, 3, 4}}) {
      WritableHostArray array = allocate_host_array(dtype, shape);
      for (size_t k = 0; k < array.array.byte_size(); ++k)
        array.data[k] = static_cast<std::byte>(k % 2);
      write_npy(directory / "a.npy", array.array);
      const HostArray back = read_npy(directory / "a.npy");
      EXPECT_EQ(back.dtype, dtype);
      EXPECT_EQ(back.shape, shape);
      EXPECT_EQ(std::memcmp(back.data, array.data, array.array.byte_size()), 0);
    }
  }
}

TEST(Npy, RefusesToWriteWhatTheFormatCannotName) {
  expect_error<DTypeError>([] { npy_bytes(allocate_host_array(DType::kBF16, {0}).array); },
                           {"bf16", "f32"});
  expect_error<ShapeError>([] { npy_bytes(allocate_host_array(DType::kU8, Shape(65, 1)).array); },
                           {"65", "64"});
}

TEST(Npy, ReadsAllVersionsOrdersAndSpellings) {
  const std::string value = little_endian(0x3FC00000, 4);
  for (int version : {1, 2, 3}) {
    EXPECT_EQ(parse(file_of(header_of("<f4", "(1,)"), value, version)).values<float>()[0], 1.5f);
  }
  EXPECT_EQ(parse(file_of(header_of("=f4", "()"), value)).values<float>()[0], 1.5f);
  EXPECT_EQ(
      parse(file_of(header_of(">f4", "()"), std::string("\x3F\xC0\0\0", 4))).values<float>()[0],
      1.5f);
  EXPECT_EQ(parse(file_of(header_of("<u1", "(1L,)"), "x")).values<uint8_t>()[0], 'x');
  EXPECT_EQ(
      parse(file_of("{\"shape\":(1,1),\"descr\":\"|u1\",\"fortran_order\":False}\n", "x")).shape,
      (Shape{1, 1}));
  std::string ones = "(";
  for (int i = 0; i < 64; ++i) ones += "1,";
  EXPECT_EQ(parse(file_of(header_of("|u1", ones + ")"), "x")).shape.size(), 64u);
}

TEST(Npy, ColumnMajorValuesAreRearranged) {
  // Column-major [2,3] of 0..5 has columns (0,3), (1,4), (2,5).
  const HostArray array =
      parse(file_of(header_of("|u1", "(2, 3)", "True"), std::string("\0\3\1\4\2\5", 6)));
  for (uint8_t i = 0; i < 6; ++i) EXPECT_EQ(array.values<uint8_t>()[i], i);
  std::string values;
  for (int k = 0; k < 4; ++k)
    for (int j = 0; j < 3; ++j)
      for (int i = 0; i < 2; ++i)
        values += little_endian(static_cast<uint64_t>((i * 3 + j) * 4 + k), 2);
  const HostArray cube = parse(file_of(header_of("<i2", "(2, 3, 4)", "True"), values));
  for (int16_t i = 0; i < 24; ++i) EXPECT_EQ(cube.values<int16_t>()[static_cast<size_t>(i)], i);
  EXPECT_EQ(parse(file_of(header_of("|u1", "(0, 3)", "True"))).size(), 0);
}

TEST(Npy, RefusesWrongFrames) {
  refuse("", {"not a npy file"});
  refuse("\x93NUMPX12345", {"not a npy file"});
  refuse(kMagic, {"not a npy file"});
  refuse(kMagic + std::string("\4\0\0\0\0\0", 6), {"version 4.0"});
  refuse(kMagic + std::string("\0\0\0\0\0\0", 6), {"version 0.0"});
  refuse(kMagic + std::string("\1\1\0\0\0\0", 6), {"version 1.1"});
  refuse(kMagic + std::string("\1\0\0\0", 4), {"newline"});
  refuse(kMagic + std::string("\1\0\xff\xff", 4), {"65535", "does not fit"});
  refuse(kMagic + std::string("\2\0\0\0", 4), {"does not fit"});
  refuse(kMagic + std::string("\2\0\xff\xff\xff\xff", 6), {"4294967295"});
  refuse(file_of(std::string(70'000, ' ') + "\n", "", 2), {"70001", "at most 65536"});
  std::string header = header_of("<f4", "(1,)");
  header.back() = ' ';
  refuse(file_of(header, "abcd"), {"newline"});
}

TEST(Npy, RefusesHeadersThatAreNotTheLiteral) {
  const std::string rest = ", 'fortran_order': False, 'shape': (1,)}\n";
  refuse(file_of("\n"), {"character", "expected {"});
  refuse(file_of("{}\n"), {"all needed"});
  refuse(file_of("{'descr': '<f4', 'shape': (1,)}\n"), {"all needed"});
  refuse(file_of("{'descr': '<f4', 'descr': '<f4'" + rest), {"duplicate key descr"});
  refuse(file_of("{'x': 1, 'descr': '<f4'" + rest), {"unknown key"});
  refuse(file_of("{'descr': exit()" + rest), {"expected a string"});
  refuse(file_of("{'descr': '<f4"), {"newline"});
  refuse(file_of("{'descr': '<f4\n"), {"unfinished string"});
  refuse(file_of("{'descr': '<\\x664'" + rest), {"escape"});
  refuse(file_of("{'descr': [('a', '<f4')]" + rest), {"structured"});
  refuse(file_of("{'descr': '<f4'" + rest.substr(0, rest.size() - 1) + " + {}\n"),
         {"after the dictionary"});
  refuse(file_of(header_of("<f4", "(1,)", "1")), {"True or False"});
  for (const char* shape : {"(3)", "[3]", "3", "(1 2)", "(-1,)", "(+1,)", "(1.0,)", "(,)", "(1,,)",
                            "(1*2,)", "((1,),)", "(0x1,)", "(1", "(99999999999999999999,)"}) {
    refuse(file_of(header_of("<f4", shape), "abcd"), {"npy header"});
  }
  std::string ones = "(";
  for (int i = 0; i < 65; ++i) ones += "1,";
  refuse(file_of(header_of("|u1", ones + ")"), "x"), {"more than 64 dimensions"});
}

TEST(Npy, RefusesOtherTypes) {
  const std::pair<const char*, const char*> cases[] = {
      {"|O", "Python objects, which are never loaded"},
      {"<c32", "complex"},
      {"<U2", "text"},
      {"|S2", "text"},
      {"<M8[D]", "dates"},
      {"<m8[s]", "dates"},
      {"|V2", "void"},
      {"<f3", "unknown type"},
      {"", "unknown type"},
      {"<", "unknown type"},
      {"<g16", "unknown type"},
      {"|f4", "byte order"},
      {"<<f4", "unknown type"}};
  for (const auto& [descr, reason] : cases)
    refuse(file_of(header_of(descr, "(1,)"), "abcd"), {"f: npy type", reason});
}

TEST(Npy, RefusesSizesThatDisagree) {
  refuse(file_of(header_of("<f4", "(2,)"), "abcd"), {"f32[2] needs 8 bytes", "has 4 (truncated)"});
  refuse(file_of(header_of("<f4", "(1,)"), "abcde"), {"has 5 (bytes left over)"});
  refuse(file_of(header_of("<f4", "(0,)"), "a"), {"left over"});
  refuse(file_of(header_of("<f4", "(4294967296, 4294967296)")), {"overflows"});
  refuse(file_of(header_of("<f4", "(0, 4611686018427387904)")), {"overflows"});
  refuse(file_of(header_of("|b1", "(1,)"), "\x02"), {"bool"});
}

TEST(Npy, R_040_TruncationAndBitFlipsGiveErrorsOrValidArrays) {
  const std::string content = file_of(header_of("<f4", "(2, 2)", "True"), std::string(16, 'a'));
  for (size_t n = 0; n < content.size(); ++n)
    EXPECT_THROW(parse(content.substr(0, n)), IoError) << n;
  for (size_t bit = 0; bit < content.size() * 8; ++bit) {
    std::string changed = content;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    try {
      EXPECT_EQ(parse(changed).byte_size(), 16u);
    } catch (const IoError&) {
      continue;
    }
  }
}

// Files written by NumPy.
TEST(Npy, ReadsFilesOfNumPy) {
  const std::string folder = LINNET_TEST_DATA "/fuzz/corpus/npy/";
  const HostArray f4 = read_npy(folder + "f4.npy");
  EXPECT_EQ(f4.shape, (Shape{2, 3}));
  EXPECT_EQ(f4.values<float>()[5], 5.0f);
  EXPECT_EQ(read_npy(folder + "big.npy").values<int32_t>()[3], 3);
  EXPECT_EQ(read_npy(folder + "fortran.npy").values<int16_t>()[4], 4);
  EXPECT_EQ(read_npy(folder + "scalar.npy").values<double>()[0], 2.5);
  EXPECT_TRUE(read_npy(folder + "bool.npy").values<bool>()[0]);
  EXPECT_EQ(static_cast<float>(read_npy(folder + "f2.npy").values<float16>()[0]), 1.5f);
  EXPECT_EQ(read_npy(folder + "v2.npy").values<uint64_t>()[2], 2u);
  EXPECT_EQ(read_npy(folder + "v3.npy").values<uint64_t>()[2], 2u);
  EXPECT_EQ(read_npy(folder + "complex.npy").dtype, DType::kC128);
  for (const char* name : {"object.npy", "text.npy", "structured.npy", "date.npy"}) {
    EXPECT_THROW(read_npy(folder + name), IoError) << name;
  }
}

}  // namespace
}  // namespace linnet::npy_test
