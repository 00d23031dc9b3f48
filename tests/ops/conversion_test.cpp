#include <complex>
#include <fstream>
#include <limits>
#include <sstream>

#include "elementwise_support.h"

namespace linnet::conversion_test {
namespace {

using testing::expect_error;
using testing::expect_tensor;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<DType> all_dtypes() {
  std::vector<DType> out;
  for (int i = 0; i < kRealDTypeCount; ++i) out.push_back(static_cast<DType>(i));
  return out;
}

bool is_literal(const std::string& name) {
  return name == "int" || name == "float" || name == "complex";
}

/// The operand that a row of the table names: a strong scalar, or a literal for `int`, `float` and
/// `complex`.
Tensor operand_named(const std::string& name, const Shape& shape) {
  if (name == "int") return Tensor(1);
  if (name == "float") return Tensor(1.0);
  if (name == "complex") return Tensor(std::complex<double>(1));
  for (int i = 0; i < kDTypeCount; ++i) {
    if (name_of(static_cast<DType>(i)) == name) return ones(shape, static_cast<DType>(i));
  }
  throw ValueError("no such dtype: " + name);
}

/// The default types are f32, i32 and c64 in Linnet, which always has the 64-bit types; the table's
/// defaults depend on them.
std::string with_default_types(std::string expected) {
  if (expected == "f64*") return "f32*";
  if (expected == "i64*") return "i32*";
  if (expected == "c128*") return "c64*";
  return expected;
}

/// Without 64-bit types the table has i32 for what only i64 can hold.
bool mixes_u32_with_signed(const std::string& a, const std::string& b) {
  const auto is_signed = [](const std::string& name) { return name[0] == 'i' && name != "int"; };
  return (a == "u32" && is_signed(b)) || (b == "u32" && is_signed(a));
}

void check_promotion_table(const std::string& file) {
  std::ifstream in(std::string(LINNET_TEST_DATA) + "/reference/golden/" + file);
  ASSERT_TRUE(in) << file;
  std::string line, a, b, expected;
  int rows = 0;
  while (std::getline(in, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream(line) >> a >> b >> expected;
    expected = with_default_types(expected);
    if (file == "promotion_x32.txt" && mixes_u32_with_signed(a, b)) expected = "i64";
    const bool weak = expected.back() == '*';
    if (weak) expected.pop_back();
    const Tensor result = operand_named(a, {2}) * operand_named(b, {2});
    EXPECT_EQ(name_of(result.dtype()), expected) << line;
    // Two strong operands give a strong result even where no type of theirs can hold it.
    if (is_literal(a) || is_literal(b))
      EXPECT_EQ(result.weak(), weak) << line;
    else
      EXPECT_FALSE(result.weak()) << line;
    ++rows;
  }
  EXPECT_GT(rows, 100);
}

TEST(Conversion, J_002_promotion_as_in_the_table) {
  check_promotion_table("promotion_x64.txt");
  check_promotion_table("promotion_x32.txt");
}

TEST(Conversion, J_003_defaults_have_32_bits_and_64_bits_need_no_switch) {
  EXPECT_EQ(Tensor(1.5).dtype(), DType::kF32);
  EXPECT_EQ(Tensor(7).dtype(), DType::kI32);
  EXPECT_EQ((Tensor(7) / 2).dtype(), DType::kF32);
  EXPECT_EQ(zeros({2}).dtype(), DType::kF32);
  EXPECT_EQ(arange(3).dtype(), DType::kI32);
  EXPECT_EQ(linspace(0, 1, 3).dtype(), DType::kF32);
  EXPECT_EQ(argmax(ones({3})).dtype(), DType::kI32);
  EXPECT_EQ(sum(ones({3}, DType::kBool)).dtype(), DType::kI32);
  // What is asked for in 64 bits is computed in them, and literals follow.
  const Tensor x = full({2}, 0.1, DType::kF64), n = full({2}, int64_t{1} << 40, DType::kI64);
  EXPECT_EQ((x * 3 + 0.1).dtype(), DType::kF64);
  EXPECT_EQ((x * 3)[0].item<double>(), 0.1 * 3);
  EXPECT_EQ((n + 1)[0].item<int64_t>(), (int64_t{1} << 40) + 1);
  EXPECT_EQ(sum(n).item<int64_t>(), int64_t{1} << 41);
}

TEST(Conversion, J_002_literals_adopt_the_dtype) {
  EXPECT_EQ((ones({2}, DType::kBF16) + 1.0).dtype(), DType::kBF16);
  EXPECT_EQ((ones({2}, DType::kI32) + 1.0).dtype(), DType::kF32);
  EXPECT_EQ((ones({2}, DType::kU8) + 1).dtype(), DType::kU8);
  EXPECT_EQ((ones({2}, DType::kBool) + 1).dtype(), DType::kI32);
  EXPECT_EQ((Tensor(1) + 2.0).weak(), true);
  expect_tensor(ones({1}, DType::kF64) * 0.1, {DType::kF64, {1}},
                {0.1});  // not the f32 nearest to 0.1
  expect_tensor(ones({2}, DType::kF16) * ones({2}, DType::kBF16), {DType::kF32, {2}}, {1, 1});
}

TEST(Conversion, J_001_J_005_every_pair_of_dtypes_converts) {
  for (DType from : all_dtypes()) {
    for (DType to : all_dtypes()) {
      expect_tensor(ones({3}, from).astype(to), {to, {3}}, {1, 1, 1});
      expect_tensor(scalar(1, from).astype(to), {to, {}}, {1});
    }
  }
}

TEST(Conversion, J_005_rounding_and_truncation) {
  const Tensor x = tensor({2.7f, -2.7f, 0.f, -0.5f});
  expect_tensor(x.astype(DType::kI32), {DType::kI32, {4}}, {2, -2, 0, 0});
  expect_tensor(x.astype(DType::kBool), {DType::kBool, {4}}, {1, 1, 0, 1});
  expect_tensor(tensor({true, false}).astype(DType::kF32), {DType::kF32, {2}}, {1, 0});
  // Halfway cases go to the even neighbour.
  const Tensor ties = tensor({1.f + 0x1p-8f, 1.f + 0x3p-8f});
  expect_tensor(ties.astype(DType::kBF16), {DType::kBF16, {2}}, {1, 1 + 0x1p-6});
  expect_tensor(tensor({2049.f, 2051.f}).astype(DType::kF16), {DType::kF16, {2}}, {2048, 2052});
}

TEST(Conversion, J_005_scalars_convert_like_arrays) {
  for (double value :
       {0.0, 1.5, -1.5, 2.5e9, -2.5e9, 1e20, -1e20, 70000.0, 0.1, kInfinity, -kInfinity, kNan}) {
    for (DType from : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16}) {
      for (DType to : all_dtypes()) {
        const Tensor one = scalar(value, from);
        const Tensor many = broadcast_to(reshape(one, {1}), {5});
        EXPECT_EQ(to_string(one.astype(to)), to_string(many.astype(to)[0]))
            << value << " to " << name_of(to);
      }
    }
  }
  for (int64_t value : {int64_t{0}, int64_t{-1}, int64_t{300}, int64_t{16777217},
                        int64_t{-2147483649}, (int64_t{1} << 53) + 1}) {
    for (DType from : {DType::kI64, DType::kU64, DType::kI32, DType::kU8}) {
      for (DType to : all_dtypes()) {
        const Tensor one = scalar_integer(value, from);
        const Tensor many = broadcast_to(reshape(one, {1}), {5});
        EXPECT_EQ(to_string(one.astype(to)), to_string(many.astype(to)[0]))
            << value << ' ' << name_of(from) << " to " << name_of(to);
      }
    }
  }
}

TEST(Conversion, J_005_derivative_of_a_conversion_converts_back) {
  const Tensor x = tensor({1.f, 2.f});
  expect_tensor(testing::derivative([](const Tensor& z) { return z.astype(DType::kF64) * 3; }, x),
                {DType::kF32, {2}}, {3, 3});
  expect_tensor(
      testing::derivative(
          [](const Tensor& z) { return z.astype(DType::kI32).astype(DType::kF32) + z; }, x),
      {DType::kF32, {2}}, {1, 1});
}

TEST(Conversion, astype_makes_weak_values_strong) {
  EXPECT_FALSE(astype(Tensor(1.0), DType::kF32).weak());
  EXPECT_FALSE(astype(full({3}, 1.0), DType::kF32).weak());
}

TEST(Conversion, J_032_bitcast_keeps_the_bits) {
  expect_tensor(bitcast(tensor({1.f, -0.f}), DType::kU32), {DType::kU32, {2}},
                {0x3F800000, 0x80000000});
  expect_tensor(bitcast(bitcast(tensor({2.5, 3.5}), DType::kI64), DType::kF64), {DType::kF64, {2}},
                {2.5, 3.5});
  expect_tensor(bitcast(transpose(tensor<float>({{1, 2}, {3, 4}})), DType::kI32)[1],
                {DType::kI32, {2}}, {0x40000000, 0x40800000});
  expect_error<DTypeError>([] { bitcast(ones({2}), DType::kF64); },
                           "bitcast: expected a dtype of 4 bytes for f32[2]");
}

TEST(Conversion, broadcasting_follows_numpy) {
  EXPECT_EQ(broadcast_shapes("add", {3, 1}, {4}), (Shape{3, 4}));
  EXPECT_EQ(broadcast_shapes("add", {}, {2, 0}), (Shape{2, 0}));
  expect_tensor(tensor<float>({{1}, {2}}) + tensor({10.f, 20.f}), {DType::kF32, {2, 2}},
                {11, 21, 12, 22});
  expect_error<ShapeError>(
      [] {
        ones({2, 3}) + ones({4});
      },
      "add: shapes do not broadcast: f32[2,3] and f32[4]");
  expect_error<ShapeError>([] { broadcast_shapes("where", {3}, {2}); },
                           "where: shapes [3] and [2] do not broadcast");
}

TEST(Conversion, gradients_sum_over_broadcast_axes) {
  const Tensor a = ones({2, 3});
  const Tensor b = tensor({1.f, 2.f, 3.f});
  const auto [da, db] =
      grad<0, 1>([](const Tensor& x, const Tensor& y) { return sum(x * y); })(a, b);
  expect_tensor(da, {DType::kF32, {2, 3}}, {1, 2, 3, 1, 2, 3});
  expect_tensor(db, {DType::kF32, {3}}, {2, 2, 2});
}

TEST(Conversion, J_004_limits_of_types) {
  const FloatInfo bf16 = finfo(DType::kBF16);
  EXPECT_EQ(bf16.eps, 0x1p-7);
  EXPECT_NEAR(bf16.max, 3.3895e38, 1e34);
  EXPECT_EQ(bf16.tiny, 0x1p-126);
  EXPECT_EQ(finfo(DType::kF16).max, 65504);
  EXPECT_EQ(iinfo(DType::kU64).max, std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(iinfo(DType::kI8).min, -128);
  expect_error<DTypeError>([] { finfo(DType::kI32); }, "finfo: expected a floating dtype, got i32");
}

}  // namespace
}  // namespace linnet::conversion_test
