#include "linnet/io/safetensors.h"

#include <unistd.h>

#include <cstring>
#include <fstream>

#include "tests/io/io_test_utils.h"

namespace linnet::safetensors_test {
namespace {

using testing::bytes_of;
using testing::expect_error;
using testing::little_endian;
using testing::read_text;
using testing::TemporaryDirectory;
using testing::write_text;

std::string file_of(const std::string& header, const std::string& values = "") {
  return little_endian(header.size(), 8) + header + values;
}

SafetensorsFile parse(const std::string& content) {
  return parse_safetensors(bytes_of(content), "f");
}

void refuse(const std::string& header, const std::string& values,
            std::initializer_list<std::string_view> parts) {
  SCOPED_TRACE(header.substr(0, 200));
  expect_error([&] { parse(file_of(header, values)); }, parts);
}

// A tensor of bytes; the rest of a header is made around it.
std::string entry(const std::string& shape, const std::string& offsets,
                  const std::string& dtype = "U8") {
  return "{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape + "],\"data_offsets\":[" + offsets +
         "]}";
}

TEST(Safetensors, WritesTheDocumentedBytes) {
  const TemporaryDirectory directory;
  write_safetensors(directory / "a",
                    {{"b", host_array<float>({2}, std::vector<float>{1.0f, -2.0f})},
                     {"a", host_array<float>({}, std::vector<float>{0.5f})},
                     {"n", host_array<int64_t>({1}, std::vector<int64_t>{-1})},
                     {"u", host_array<uint8_t>({3, 0}, std::vector<uint8_t>{})}},
                    {{"k\n", "v"}});
  std::string header = R"({"__metadata__":{"k\n":"v"},)"
                       R"("n":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
                       R"("a":{"dtype":"F32","shape":[],"data_offsets":[8,12]},)"
                       R"("b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]},)"
                       R"("u":{"dtype":"U8","shape":[3,0],"data_offsets":[20,20]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const std::string values = little_endian(UINT64_MAX, 8) + little_endian(0x3F000000, 4) +
                             little_endian(0x3F800000, 4) + little_endian(0xC0000000, 4);
  EXPECT_EQ(read_text(directory / "a"), file_of(header, values));
  EXPECT_EQ(directory.count(), 1u);
}

// A file with a hole takes no room on the disk, and a map of it none in memory.
TEST(Safetensors, R_025_values_behind_more_than_32_bits_of_others) {
  const TemporaryDirectory directory;
  constexpr uint64_t kHole = 5'000'000'000;
  const std::string header = "{\"a\":" + entry("5000000000", "0,5000000000") +
                             ",\"b\":" + entry("2", "5000000000,5000000008", "F32") + "}";
  const std::string values = little_endian(0x3F800000, 4) + little_endian(0xC0000000, 4);
  write_text(directory / "a", file_of(header));
  const auto begin = static_cast<off_t>(8 + header.size());
  ASSERT_EQ(::truncate((directory / "a").c_str(), begin + static_cast<off_t>(kHole)), 0);
  std::ofstream(directory / "a", std::ios::binary | std::ios::app) << values;
  for (const FileAccess access : {FileAccess::kRead, FileAccess::kMemoryMap}) {
    const SafetensorsFile file = read_safetensors(directory / "a", access);
    EXPECT_EQ(file.entry("a").shape, (Shape{5'000'000'000}));
    const HostArray b = file.array("b");
    const auto read = b.values<float>();
    EXPECT_EQ(std::vector<float>(read.begin(), read.end()), (std::vector<float>{1, -2}));
  }
  const HostArray mapped = read_safetensors(directory / "a", FileAccess::kMemoryMap).array("a");
  EXPECT_EQ(mapped.byte_size(), kHole);
  EXPECT_EQ(mapped.bytes()[kHole - 1], std::byte{0});
}

TEST(Safetensors, EveryElementTypeComesBackInBothWaysOfReading) {
  const TemporaryDirectory directory;
  std::map<std::string, HostArray> arrays;
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (dtype == DType::kC128) continue;  // the format has no name for it
    WritableHostArray array = allocate_host_array(dtype, {3, 5});
    for (size_t k = 0; k < array.array.byte_size(); ++k) {
      array.data[k] = static_cast<std::byte>(dtype == DType::kBool ? k % 2 : k * 37 + 11);
    }
    arrays[std::string(name_of(dtype))] = array.array;
  }
  write_safetensors(directory / "a", arrays);
  for (FileAccess access : {FileAccess::kMemoryMap, FileAccess::kRead}) {
    const SafetensorsFile file = read_safetensors(directory / "a", access);
    EXPECT_EQ(file.names().size(), arrays.size());
    EXPECT_TRUE(file.metadata().empty());
    for (const auto& [name, expected] : arrays) {
      const HostArray array = file.array(name);
      EXPECT_EQ(array.dtype, expected.dtype);
      EXPECT_EQ(array.shape, expected.shape);
      EXPECT_EQ(std::memcmp(array.data, expected.data, expected.byte_size()), 0) << name;
    }
  }
}

TEST(Safetensors, MappedArraysOutliveTheFileObjectAndItsReplacement) {
  const TemporaryDirectory directory;
  write_safetensors(directory / "a", {{"x", host_array<int32_t>({2}, std::vector<int32_t>{1, 2})}});
  const HostArray array = read_safetensors(directory / "a", FileAccess::kMemoryMap).array("x");
  write_safetensors(directory / "a", {{"x", host_array<int32_t>({2}, std::vector<int32_t>{3, 4})}});
  EXPECT_EQ(array.values<int32_t>()[1], 2);
  EXPECT_EQ(
      read_safetensors(directory / "a", FileAccess::kMemoryMap).array("x").values<int32_t>()[1], 4);
}

TEST(Safetensors, MisalignedValuesAreCopiedAndAlignedOnesAreNot) {
  const TemporaryDirectory directory;
  // The u8 between them puts one of the two f32 at an address that is no multiple of four.
  std::string header = "{\"a\":" + entry("1", "0,4", "F32") + ",\"b\":" + entry("1", "4,5") +
                       ",\"c\":" + entry("1", "5,9", "F32") + "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const std::string one = little_endian(0x3F800000, 4);
  write_text(directory / "a", file_of(header, one + "x" + one));
  const SafetensorsFile file = read_safetensors(directory / "a", FileAccess::kMemoryMap);
  EXPECT_EQ(file.array("c").values<float>()[0], 1.0f);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file.array("c").data) % 4, 0u);
  const HostArray copied = file.array("c"), copied_again = file.array("c");
  EXPECT_NE(copied.data, copied_again.data);
  const HostArray in_place = file.array("a"), in_place_again = file.array("a");
  EXPECT_EQ(in_place.data, in_place_again.data);
}

TEST(Safetensors, UnknownNamesListTheKnownOnes) {
  const SafetensorsFile file = parse(file_of("{\"weight\":" + entry("1", "0,1") + "}", "x"));
  EXPECT_TRUE(file.contains("weight"));
  EXPECT_FALSE(file.contains("bias"));
  expect_error([&] { file.array("bias"); }, {"f: no tensor \"bias\"", "present: weight"});
  expect_error([&] { parse(file_of("{}")).entry("x"); }, {"holds no tensors"});
  std::map<std::string, HostArray> many;
  const TemporaryDirectory directory;
  for (int i = 0; i < 15; ++i) many["t" + std::to_string(i)] = HostArray{};
  write_safetensors(directory / "a", many);
  expect_error([&] { read_safetensors(directory / "a").array("x"); },
               {"t0, t1, t10", "and 5 more"});
}

TEST(Safetensors, AcceptsWhatTheFormatAllows) {
  EXPECT_TRUE(parse(file_of("{}")).names().empty());
  EXPECT_TRUE(parse(file_of("{}       ")).names().empty());
  EXPECT_EQ(parse(file_of("{\"__metadata__\":{\"a\":\"b\",\"c\":\"\"}}")).metadata().at("a"), "b");
  // Offsets need not come in the order of the header; an empty tensor fits between others.
  const SafetensorsFile file =
      parse(file_of("{\"b\":" + entry("2", "1,3") + ",\"e\":" + entry("0,7", "1,1") +
                        ",\"a\":" + entry("1", "0,1") + "}",
                    "xyz"));
  EXPECT_EQ(file.array("b").values<uint8_t>()[0], 'y');
  EXPECT_EQ(file.array("e").shape, (Shape{0, 7}));
  EXPECT_EQ(parse(file_of("{\"a\":" + entry("", "0,1") + "}", "x")).array("a").size(), 1);
  for (const char* name : {"", "a/../b", "\\u0000", "\\n", "é"}) {
    EXPECT_EQ(parse(file_of("{\"" + std::string(name) + "\":" + entry("1", "0,1") + "}", "x"))
                  .names()
                  .size(),
              1u);
  }
  const std::string long_name(1'000'000, 'n');
  EXPECT_EQ(parse(file_of("{\"" + long_name + "\":" + entry("0", "0,0") + "}")).names()[0],
            long_name);
}

TEST(Safetensors, KnowsTypesThatItCannotLoad) {
  const SafetensorsFile file = parse(file_of("{\"f8\":" + entry("2", "0,2", "F8_E4M3") +
                                                 ",\"f4\":" + entry("2", "2,3", "F4") +
                                                 ",\"f6\":" + entry("4", "3,6", "F6_E2M3") + "}",
                                             std::string(6, 'x')));
  EXPECT_EQ(file.entry("f8").dtype, "F8_E4M3");
  for (const char* name : {"f8", "f4", "f6"}) {
    expect_error([&] { file.array(name); }, {"f: tensor", name, "not supported"});
  }
  refuse("{\"a\":" + entry("3", "0,2", "F4") + "}", "xx", {"whole bytes"});
}

TEST(Safetensors, BoolsMustBeZeroOrOne) {
  const SafetensorsFile file =
      parse(file_of("{\"a\":" + entry("2", "0,2", "BOOL") + "}", std::string("\1\2")));
  expect_error([&] { file.array("a"); }, {"tensor \"a\"", "byte 2", "bool"});
}

TEST(Safetensors, RefusesWrongLengths) {
  const auto refuse_file = [](const std::string& content,
                              std::initializer_list<std::string_view> parts) {
    expect_error([&] { parse(content); }, parts);
  };
  for (size_t n = 0; n < 8; ++n)
    refuse_file(std::string(n, '\0'), {std::to_string(n) + " bytes, too short"});
  refuse_file(little_endian(0, 8), {"begin with {"});
  refuse_file(little_endian(9007199254740993u, 8) + std::string(1016, ' '),
              {"f: header length 9007199254740993 at byte 0 exceeds file size 1024"});
  refuse_file(little_endian(uint64_t{1} << 63, 8), {"9223372036854775808", "exceeds file size 8"});
  refuse_file(little_endian(UINT64_MAX, 8), {"exceeds file size"});
  refuse_file(file_of("{}", "x"), {"describes 0 bytes", "the file has 1"});
}

TEST(Safetensors, RefusesAHeaderAboveTheLimit) {
  // A sparse file: only its length is large.
  const TemporaryDirectory directory;
  write_text(directory / "a", little_endian(100'000'001, 8) + "{");
  ASSERT_EQ(::truncate((directory / "a").c_str(), 100'000'100), 0);
  expect_error([&] { read_safetensors(directory / "a"); }, {"100000001", "limit of 100000000"});
}

TEST(Safetensors, RefusesMalformedHeaders) {
  const std::string one = "{\"a\":" + entry("1", "0,1");
  refuse(" {}", "", {"byte 8", "begin with {"});
  refuse("[]", "", {"begin with {"});
  refuse("\xEF\xBB\xBF{}", "", {"begin with {"});
  refuse("{}\n", "", {"byte 10", "end with }"});
  refuse("{}x", "", {"end with }"});
  refuse("{} }", "", {"byte", "malformed"});
  refuse(std::string("{}\0}", 4), "", {"byte 10", "zero byte"});
  refuse(one, "x", {"malformed"});
  refuse("{\"a\":\"\xff\"}", "x", {"malformed"});
  refuse("{\"\\ud800\":" + entry("1", "0,1") + "}", "x", {"malformed"});
  refuse("{\"\\x\":" + entry("1", "0,1") + "}", "x", {"malformed"});
  refuse("{\"a\":" + std::string(10'000, '[') + std::string(10'000, ']') + "}", "",
         {"expected an object, found an array"});
  refuse(one + ",\"a\":" + entry("0", "1,1") + "}", "x", {"duplicate tensor name \"a\""});
  refuse("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", "",
         {"tensor \"a\"", "duplicate key \"dtype\""});
  refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[]}}", "", {"all needed"});
  refuse("{\"a\":{\"shape\":[],\"data_offsets\":[0,1]}}", "x", {"all needed"});
  refuse("{\"a\":{}}", "", {"all needed"});
  refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],\"x\":1}}", "x",
         {"unknown key \"x\""});
  refuse("{\"a\":" + entry("1", "0,1", "F16X") + "}", "x", {"unknown element type \"F16X\""});
  refuse("{\"a\":1}", "", {"tensor \"a\"", "expected an object"});
  refuse("{\"a\":null}", "", {"found null"});
  refuse("{\"a\":{\"dtype\":true}}", "", {"expected a string, found a boolean"});
  refuse("{\"a\":{\"shape\":{}}}", "", {"expected an array, found an object"});
  refuse("{\"a\":{\"shape\":[\"1\"]}}", "", {"expected a dimension, found a string"});
  refuse("{\"a\":{\"shape\":[[1]]}}", "", {"expected a dimension, found an array"});
  refuse("{\"a\":" + entry("1", "0") + "}", "x", {"two numbers"});
  refuse("{\"a\":" + entry("1", "0,1,2") + "}", "x", {"two offsets"});
  refuse("{\"__metadata__\":[]}", "", {"__metadata__", "expected an object"});
  refuse("{\"__metadata__\":{\"a\":1}}", "", {"__metadata__", "expected a string"});
  refuse("{\"__metadata__\":{\"a\":{}}}", "", {"expected a string"});
  refuse("{\"__metadata__\":{\"a\":\"b\",\"a\":\"c\"}}", "", {"duplicate key \"a\""});
  refuse("{\"__metadata__\":{},\"__metadata__\":{}}", "", {"duplicate key __metadata__"});
  std::string ones = "1";
  for (int i = 0; i < 64; ++i) ones += ",1";
  refuse("{\"a\":" + entry(ones, "0,1") + "}", "x", {"more than 64 dimensions"});
}

TEST(Safetensors, RefusesNumbersThatAreNotUnsignedIntegers) {
  for (const char* number :
       {"1e0", "1.0", "-0", "-1", "18446744073709551616", "123456789012345678901234567890"}) {
    refuse("{\"a\":" + entry("1", std::string("0,") + number) + "}", "x",
           {"tensor \"a\"", "expected two offsets"});
    refuse("{\"a\":" + entry(number, "0,1") + "}", "x", {"expected a dimension"});
  }
  refuse("{\"a\":" + entry("1", "0,1e999") + "}", "x", {"too large"});
  refuse("{\"a\":" + entry("9223372036854775808", "0,1") + "}", "x", {"above 2^63"});
}

TEST(Safetensors, RefusesValuesThatDoNotTileTheFile) {
  const auto two = [](const std::string& a, const std::string& b) {
    return "{\"a\":" + a + ",\"b\":" + b + "}";
  };
  refuse("{\"a\":" + entry("1", "1,0") + "}", "x", {"run backwards"});
  refuse("{\"a\":" + entry("2", "0,2") + "}", "x", {"describes 2 bytes", "has 1"});
  refuse("{\"a\":" + entry("1", "0,1") + "}", "xy", {"describes 1 bytes", "has 2"});
  refuse("{\"a\":" + entry("1", "1,2") + "}", "xy", {"\"a\"", "begin at 1, expected 0 (gap)"});
  refuse(two(entry("1", "0,1"), entry("1", "2,3")), "xyz",
         {"\"b\"", "begin at 2, expected 1 (gap)"});
  refuse(two(entry("2", "0,2"), entry("2", "1,3")), "xyz",
         {"\"b\"", "begin at 1, expected 2 (overlap)"});
  refuse(two(entry("1", "0,1"), entry("1", "0,1")), "x", {"overlap"});
  refuse("{\"a\":" + entry("2", "0,1") + "}", "x", {"U8[2] needs 2 bytes, data_offsets give 1"});
  refuse("{\"a\":" + entry("4294967296,4294967296", "0,1") + "}", "x", {"overflows"});
  refuse("{\"a\":" + entry("0,4294967296,4294967296", "0,0") + "}", "", {"overflows"});
  refuse("{\"a\":" + entry("9223372036854775807", "0,8", "U64") + "}", "12345678", {"overflows"});
}

TEST(Safetensors, R_040_TruncationAndBitFlipsGiveErrorsOrValidFiles) {
  const TemporaryDirectory directory;
  write_safetensors(directory / "a",
                    {{"x", host_array<float>({2, 2}, std::vector<float>{1, 2, 3, 4})},
                     {"y", host_array<uint8_t>({3}, std::vector<uint8_t>{1, 2, 3})}},
                    {{"k", "v"}});
  const std::string content = read_text(directory / "a");
  for (size_t n = 0; n < content.size(); ++n) {
    EXPECT_THROW(parse(content.substr(0, n)), IoError) << n;
  }
  EXPECT_THROW(parse(content + "x"), IoError);
  for (size_t bit = 0; bit < content.size() * 8; ++bit) {
    std::string changed = content;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    try {
      const SafetensorsFile file = parse(changed);
      for (const std::string& name : file.names()) EXPECT_LE(file.array(name).byte_size(), 19u);
    } catch (const IoError&) {
      continue;
    }
  }
}

TEST(Safetensors, RefusesNamesThatCannotBeWritten) {
  const TemporaryDirectory directory;
  const HostArray x = host_array<float>({1}, std::vector<float>{1});
  expect_error<ValueError>(
      [&] {
        write_safetensors(directory / "a", {{"__metadata__", x}});
      },
      {"__metadata__"});
  expect_error<ValueError>([&] { write_safetensors(directory / "a", {{"\xff", x}}); }, {"UTF-8"});
  expect_error<ValueError>(
      [&] {
        write_safetensors(directory / "a", {}, {{"k", "\xff"}});
      },
      {"UTF-8"});
  EXPECT_EQ(directory.count(), 0u);
}

// Written by the reference implementation from an independent program.
TEST(Safetensors, ReadsAFileOfTheReferenceImplementation) {
  const SafetensorsFile file =
      read_safetensors(LINNET_TEST_DATA "/fuzz/corpus/safetensors/reference.safetensors");
  EXPECT_EQ(file.names(),
            (std::vector<std::string>{"bias", "empty", "ids", "kernel", "mask", "step"}));
  EXPECT_EQ(file.metadata().at("format"), "np");
  const auto kernel = file.array("kernel");
  EXPECT_EQ(kernel.shape, (Shape{2, 3}));
  for (size_t i = 0; i < 6; ++i)
    EXPECT_EQ(kernel.values<float>()[i], 0.25f * static_cast<float>(i));
  EXPECT_EQ(static_cast<float>(file.array("bias").values<float16>()[1]), -1.5f);
  EXPECT_EQ(file.array("ids").values<int64_t>()[2], -3);
  EXPECT_EQ(file.array("mask").values<bool>()[0], true);
  EXPECT_EQ(file.array("mask").values<bool>()[1], false);
  EXPECT_EQ(file.array("step").values<int32_t>()[0], 1200);
  EXPECT_EQ(file.array("empty").size(), 0);
}

}  // namespace
}  // namespace linnet::safetensors_test
