#include "linnet/io/json.h"

#include <cmath>
#include <limits>
#include <random>

#include "tests/io/comma_locale.h"
#include "tests/io/io_test_utils.h"

namespace linnet::json_test {
namespace {

using testing::expect_error;
using testing::TemporaryDirectory;
using testing::write_text;

TEST(Json, BuildsAndPrintsSortedAndIndented) {
  Json value;
  value["step"] = 1200;
  value["loss"] = 0.25;
  value["shape"].push_back(3);
  value["shape"].push_back(4);
  value["nested"]["empty"] = Json::object();
  value["name"] = "a\"b\\\n\x01";
  value["done"] = true;
  value["nothing"] = Json();
  EXPECT_EQ(value.to_text(), R"({
  "done": true,
  "loss": 0.25,
  "name": "a\"b\\\n\u0001",
  "nested": {
    "empty": {}
  },
  "nothing": null,
  "shape": [3, 4],
  "step": 1200
})");
  EXPECT_EQ(value.to_text(0),
            R"({"done":true,"loss":0.25,"name":"a\"b\\\n\u0001","nested":{"empty":{}},)"
            R"("nothing":null,"shape":[3,4],"step":1200})");
  EXPECT_EQ(Json::parse(value.to_text()), value);
}

TEST(Json, NumbersComeBackBitForBit) {
  std::mt19937_64 random(7);
  const auto check = [](double number) {
    const Json back = Json::parse(Json(number).to_text());
    EXPECT_FALSE(back.is_integer()) << number;
    EXPECT_EQ(std::bit_cast<uint64_t>(back.as_double()), std::bit_cast<uint64_t>(number)) << number;
  };
  for (double number :
       {0.0, -0.0, 1.0, 1e22, 1e-320, 0.1, -1.5e300, 123456789012345680.0,
        std::numeric_limits<double>::max(), std::numeric_limits<double>::denorm_min()}) {
    check(number);
  }
  for (int i = 0; i < 2000; ++i) {
    const double number = std::bit_cast<double>(random());
    if (std::isfinite(number)) check(number);
  }
  for (int64_t number : {INT64_MIN, INT64_MAX, int64_t{0}, int64_t{-1}, (int64_t{1} << 53) + 1}) {
    EXPECT_EQ(Json::parse(Json(number).to_text()).as_integer(), number);
  }
}

TEST(Json, RefusesValuesThatTheFormatCannotExpress) {
  expect_error<ValueError>([] { Json(uint64_t{1} << 63); }, {"9223372036854775808"});
  for (const char* text : {"\xff", "a\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82",
                           "\xE0\x80\x80", "\xF0\x80\x80\x80", "\xC3("}) {
    expect_error<ValueError>([&] { Json(text).to_text(); }, {"not UTF-8"});
  }
  EXPECT_EQ(Json("é€😀").to_text(), "\"é€😀\"");
}

TEST(Json, NumbersThatAreNotFiniteBecomeTexts) {
  EXPECT_EQ(Json(std::nan("")).to_text(), "\"NaN\"");
  EXPECT_EQ(Json(INFINITY).to_text(), "\"Infinity\"");
  EXPECT_EQ(Json(-INFINITY).to_text(), "\"-Infinity\"");
  EXPECT_TRUE(std::isnan(Json::parse("\"NaN\"").as_double()));
  EXPECT_EQ(Json::parse("\"Infinity\"").as_double(), INFINITY);
  EXPECT_EQ(Json::parse("\"-Infinity\"").as_double(), -INFINITY);
  expect_error([] { Json("nan").as_double(); }, {"expected a number, found a string"});
  expect_error([] { Json("Infinity").as_integer(); }, {"expected an integer, found a string"});
}

TEST(Json, ADecimalCommaOfTheLocaleChangesNothing) {
  const testing::CommaLocale comma;
  if (!comma.is_set()) GTEST_SKIP() << "no localedef here";
  const std::pair<const char*, double> numbers[] = {
      {"0.5", 0.5}, {"1.25e3", 1250.0}, {"-2.75", -2.75}, {"1e-320", 1e-320}, {"12345.5", 12345.5}};
  for (const auto& [text, value] : numbers) EXPECT_EQ(Json::parse(text).as_double(), value) << text;
  EXPECT_EQ(Json(12345.5).to_text(), "12345.5");
  EXPECT_EQ(Json(1234567).to_text(), "1234567");
  expect_error([] { Json::parse("0,5"); }, {"malformed"});
}

TEST(Json, WritesNothingDeeperThanItReads) {
  Json value = Json::array();
  for (int i = 1; i < 64; ++i) value = Json(Json::Array{value});
  EXPECT_EQ(Json::parse(value.to_text()), value);
  value = Json(Json::Array{value});
  expect_error<ValueError>([&] { value.to_text(); }, {"64 levels"});
}

TEST(Json, RefusesMalformedTextWithTheByteOffset) {
  const auto refuse = [](std::string_view text, std::initializer_list<std::string_view> parts) {
    SCOPED_TRACE(std::string(text));
    expect_error([&] { Json::parse(text, "m.json"); }, parts);
  };
  refuse("", {"m.json", "byte 0"});
  refuse("[1,2", {"m.json: byte 4", "malformed"});
  refuse("[1,]", {"byte"});
  refuse("{\"a\":1} x", {"byte 9"});
  refuse("{\"a\":1,\"b\":{\"c\":1,\"c\":2}}", {"byte 21", "duplicate key \"c\""});
  refuse("[1] // comment", {"byte"});
  refuse("[01]", {"malformed"});
  refuse("[NaN]", {"malformed"});
  refuse("\"\\ud800\"", {"malformed"});
  refuse("\"\xff\"", {"malformed"});
  refuse("'a'", {"malformed"});
  refuse("[18446744073709551615]", {"above 2^63"});
  refuse("[9223372036854775808]", {"above 2^63"});
  refuse("[18446744073709551616]", {"beyond 64 bits"});
  refuse("[-9223372036854775809]", {"beyond 64 bits"});
  refuse("[1e999]", {"too large"});
  refuse(std::string_view("{}\0{}", 5), {"byte 2", "zero byte"});
}

TEST(Json, LimitsTheDepth) {
  EXPECT_EQ(Json::parse(std::string(64, '[') + std::string(64, ']')).as_array().size(), 1u);
  expect_error([] { Json::parse(std::string(65, '[') + std::string(65, ']')); }, {"64 levels"});
  expect_error([] { Json::parse(std::string(1'000'000, '[')); }, {"byte 65", "64 levels"});
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  expect_error([&] { Json::parse(objects); }, {"64 levels"});
  expect_error([] { Json::parse("[[1]]", "x", {.depth = 1}); }, {"1 levels"});
}

TEST(Json, AccessorsNameWhatTheyFound) {
  const Json value = Json::parse(R"({"a": 1, "b": "x", "c": [true, null, 2.5]})");
  EXPECT_EQ(value.at("a").as_integer(), 1);
  EXPECT_EQ(value.at("a").as_double(), 1.0);
  EXPECT_EQ(value.at("b").as_string(), "x");
  EXPECT_TRUE(value.at("c").as_array()[0].as_bool());
  EXPECT_TRUE(value.at("c").as_array()[1].is_null());
  EXPECT_EQ(value.find("d"), nullptr);
  expect_error([&] { value.at("d"); }, {"no key \"d\"", "\"a\"", "\"b\"", "\"c\""});
  expect_error([&] { value.at("b").as_integer(); }, {"expected an integer, found a string"});
  expect_error([&] { value.at("c").as_array()[2].as_integer(); }, {"found a real number"});
  expect_error([&] { value.as_array(); }, {"expected an array, found an object"});
  expect_error([&] { value.at("a").at("x"); }, {"expected an object, found an integer"});
  expect_error([&] { value.at("c").as_string(); }, {"found an array"});
  expect_error([&] { value.at("c").as_array()[1].as_bool(); }, {"found null"});
  expect_error([&] { value.at("b").as_double(); }, {"expected a number"});
}

TEST(Json, ManyKeysAreCheckedInReasonableTime) {
  std::string text = "{";
  for (int i = 0; i < 100'000; ++i) text += "\"" + std::to_string(i) + "\":0,";
  text.back() = '}';
  EXPECT_EQ(Json::parse(text).as_object().size(), 100'000u);
}

TEST(Json, FilesAreWrittenReadAndLimited) {
  const TemporaryDirectory directory;
  Json value;
  value["x"] = 1.5;
  write_json(directory / "a.json", value);
  EXPECT_EQ(testing::read_text(directory / "a.json"), "{\n  \"x\": 1.5\n}\n");
  EXPECT_EQ(read_json(directory / "a.json"), value);
  expect_error([&] { read_json(directory / "a.json", 5); }, {"a.json", "at most 5"});
  write_text(directory / "bad.json", "{\"x\": }");
  expect_error([&] { read_json(directory / "bad.json"); }, {"bad.json: byte"});
  expect_error([&] { read_json(directory / "none.json"); }, {"none.json"});
}

}  // namespace
}  // namespace linnet::json_test
