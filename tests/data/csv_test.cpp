#include "linnet/data/csv.h"

#include <gtest/gtest.h>

#include <cmath>

#include "linnet/error.h"
#include "tests/io/io_test_utils.h"

namespace linnet::data::csv_test {
namespace {

using testing::expect_error;

TEST(Csv, columns_of_every_type) {
  const auto table = CsvTable::parse(
      "\xEF\xBB\xBFname,x, y ,flag,big\r\n"
      "ab,1, 2.5 ,true,-9223372036854775808\r\n"
      "\r\n"
      "\"c,\"\"d\"\"\ne\",-3,+1e-2,0,9223372036854775807");
  EXPECT_EQ(table.columns(), (std::vector<std::string>{"name", "x", " y ", "flag", "big"}));
  EXPECT_EQ(table.rows(), 2);
  EXPECT_EQ(table.texts("name"), (std::vector<std::string>{"ab", "c,\"d\"\ne"}));
  EXPECT_EQ(table.column("x").to_vector<float>(), (std::vector<float>{1, -3}));
  EXPECT_EQ(table.column("x").dtype(), DType::kF32);
  EXPECT_EQ(table.column(" y ", DType::kF64).data<double>()[1], 0.01);
  EXPECT_EQ(table.column(" y ", DType::kBF16).dtype(), DType::kBF16);
  EXPECT_EQ(table.column("x", DType::kI8).data<int8_t>()[1], -3);
  EXPECT_EQ(table.column("flag", DType::kBool).to_vector<bool>(), (std::vector<bool>{true, false}));
  EXPECT_EQ(table.column("big", DType::kI64).data<int64_t>()[0], INT64_MIN);
  const auto ones_and_zeros = CsvTable::parse("a,b\n1,0\n0,1\n");
  for (int i = 0; i < kRealDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    const Tensor all = ones_and_zeros.matrix({}, dtype);
    EXPECT_EQ(all.dtype(), dtype);
    EXPECT_EQ(all.to_vector<int>(), (std::vector<int>{1, 0, 0, 1})) << dtype;
  }
  const Tensor matrix = table.matrix({" y ", "x"});
  EXPECT_EQ(matrix.shape(), (Shape{2, 2}));
  EXPECT_EQ(matrix.to_vector<float>(), (std::vector<float>{2.5f, 1.f, 0.01f, -3.f}));
}

TEST(Csv, categories_options_and_missing_numbers) {
  const auto [codes, names] = CsvTable::parse("c\nb\na\nb\n").categories("c");
  EXPECT_EQ(codes.to_vector<int>(), (std::vector<int>{1, 0, 1}));
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b"}));

  const auto plain =
      CsvTable::parse("1;'2;3'\n4;5'\n", {.separator = ';', .quote = '\'', .header = false});
  EXPECT_EQ(plain.columns(), (std::vector<std::string>{"0", "1"}));
  EXPECT_EQ(plain.texts("1"), (std::vector<std::string>{"2;3", "5'"}));
  EXPECT_EQ(plain.matrix({"0"}, DType::kI32).to_vector<int>(), (std::vector<int>{1, 4}));

  const auto gaps = CsvTable::parse("a,b\n,1\n2,\n", {.missing = NAN});
  const std::vector<float> values = gaps.matrix().to_vector<float>();
  EXPECT_TRUE(std::isnan(values[0]) && std::isnan(values[3]));
  EXPECT_EQ(values[2], 2.f);
  expect_error([&] { gaps.column("a", DType::kI32); }, {"line 2", "\"a\"", "i32"});
  EXPECT_EQ(CsvTable::parse("").rows(), 0);
  EXPECT_EQ(CsvTable::parse("a,b").column("b").shape(), Shape{0});
}

TEST(Csv, errors_carry_path_line_and_column) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory / "t.csv";
  const auto refuse = [&](std::string_view text, std::initializer_list<std::string_view> parts) {
    testing::write_text(path, text);
    expect_error([&] { CsvTable::read(path); }, parts);
    expect_error([&] { CsvTable::read(path); }, {path});
  };
  refuse("a,b\n\"1\n\",2\n3\n", {"line 4", "1 fields", "expected 2"});
  refuse("a\n\n\"1\n2", {"line 3", "no end"});
  refuse("a\n\"1\"2\n", {"line 2", "closing quote"});
  refuse("a,a\n", {"two columns", "\"a\""});
  testing::write_text(path, "a,b\n1,x\n300,nan\n");
  const auto table = CsvTable::read(path);
  expect_error([&] { table.column("b"); }, {path, "line 2", "\"b\"", "\"x\"", "f32"});
  expect_error([&] { table.column("a", DType::kU8); }, {path, "line 3", "\"300\"", "u8"});
  expect_error<ValueError>([&] { table.column("c"); }, {"\"c\"", "\"a\", \"b\""});
  expect_error<ValueError>([&] { table.cell(2, 0); }, {"(2, 0)"});
  expect_error([&] { CsvTable::read(path, {.byte_limit = 3}); }, {path, "3"});
  expect_error<ValueError>([] { CsvTable::parse("", {.separator = '"'}); }, {"both"});
}

}  // namespace
}  // namespace linnet::data::csv_test
