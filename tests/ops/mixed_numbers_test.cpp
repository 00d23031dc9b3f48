// Numbers of mixed kinds: integers with floats, literals with narrow types, NaN and infinities.
// Values are those of NumPy and JAX; where Linnet differs on purpose, docs/numerics.md says why.
#include <limits>

#include "elementwise_support.h"
#include "linnet/jit.h"
#include "linnet/random.h"

namespace linnet::mixed_numbers_test {
namespace {

using testing::expect_error;
using testing::expect_tensor;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Tensor numbers(std::initializer_list<double> values, DType dtype = DType::kF32) {
  return astype(tensor(values), dtype);
}

TEST(MixedNumbers, J_017_floor_division_of_floats_at_infinities_and_zero) {
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32, DType::kF64}) {
    const Tensor a = numbers({-1, 1, 5, -5, 0, kInfinity, 1, -1, 1}, dtype);
    const Tensor b =
        numbers({kInfinity, -kInfinity, 0, 0, 0, 2, kNan, -kInfinity, kInfinity}, dtype);
    expect_tensor(floor_divide(a, b), {dtype, {9}},
                  {-1, -1, kInfinity, -kInfinity, kNan, kNan, kNan, 0, 0});
    expect_tensor(mod(a, b), {dtype, {9}},
                  {kInfinity, -kInfinity, kNan, kNan, kNan, kNan, kNan, -1, 1});
  }
}

TEST(MixedNumbers, J_017_floor_division_near_a_whole_quotient) {
  const auto in = [](DType d, double a, double b) {
    return floor_divide(numbers({a}, d), numbers({b}, d)).item<double>();
  };
  EXPECT_EQ(in(DType::kF16, 2047, -3), -683);
  EXPECT_EQ(in(DType::kF16, 2047, 3), 682);
  EXPECT_EQ(in(DType::kBF16, 70.5, -0.6875), -103);
  EXPECT_EQ(in(DType::kF32, 6, 0.1), 59);
  EXPECT_EQ(in(DType::kF64, 1, 0.1), 9);
  // The quotient of whole floats is exact whatever their signs.
  for (double a : {-9.0, -6.0, 6.0, 7.0, 8.0}) {
    for (double b : {-3.0, -2.0, 2.0, 3.0}) EXPECT_EQ(in(DType::kF32, a, b), std::floor(a / b));
  }
}

TEST(MixedNumbers, J_017_integers_divided_by_zero) {
  for (DType dtype : {DType::kI8, DType::kI16, DType::kI32, DType::kI64}) {
    const Tensor a = numbers({5, 0, -5, 7, -7}, dtype), b = numbers({0, 0, 0, 2, 2}, dtype);
    expect_tensor(floor_divide(a, b), {dtype, {5}}, {-2, -1, -2, 3, -4});
    expect_tensor(mod(a, b), {dtype, {5}}, {0, 0, 0, 1, 1});
    expect_tensor(rem(a, b), {dtype, {5}}, {5, 0, -5, 1, -1});
  }
  for (DType dtype : {DType::kU8, DType::kU16, DType::kU32}) {
    const Tensor a = numbers({5, 0, 7}, dtype), b = numbers({0, 0, 2}, dtype);
    const double most = static_cast<double>(iinfo(dtype).max);
    expect_tensor(floor_divide(a, b), {dtype, {3}}, {most, most, 3});
    expect_tensor(mod(a, b), {dtype, {3}}, {0, 0, 1});
  }
  const Tensor least = tensor({std::numeric_limits<int32_t>::min()});
  expect_tensor(floor_divide(least, -1), {DType::kI32, {1}}, {-2147483648.0});
  expect_tensor(mod(least, -1), {DType::kI32, {1}}, {0});
  expect_tensor(floor_divide(tensor({true}), tensor({true})), {DType::kI32, {1}}, {1});
  expect_tensor(mod(tensor({true}), 2), {DType::kI32, {1}}, {1});
}

TEST(MixedNumbers, J_002_literals_compare_as_the_numbers_they_are) {
  const Tensor i = tensor({5}), u = astype(i, DType::kU8);
  const auto holds = [](const Tensor& t) { return t.item<bool>(); };
  EXPECT_TRUE(holds(i < 3000000000));
  EXPECT_TRUE(holds(i <= 3000000000));
  EXPECT_FALSE(holds(i > 3000000000));
  EXPECT_FALSE(holds(i >= 3000000000));
  EXPECT_FALSE(holds(i == 4294967301));
  EXPECT_TRUE(holds(i != 4294967301));
  EXPECT_TRUE(holds(u > -1));
  EXPECT_TRUE(holds(u >= -1));
  EXPECT_FALSE(holds(u < -1));
  EXPECT_FALSE(holds(u == 261));
  EXPECT_TRUE(holds(Tensor(3000000000) > i));
  EXPECT_FALSE(holds(Tensor(-1) > u));
  EXPECT_TRUE(holds(Tensor(-1) < u));
  EXPECT_TRUE(holds(scalar_integer(-1, DType::kU64) > -1));
  EXPECT_TRUE(holds(scalar_integer(-1, DType::kI64) < ~uint64_t{0}));
  expect_tensor(jit([](const Tensor& x) { return x < 3000000000; })(tensor({{1, 2}, {3, 4}})),
                {DType::kBool, {2, 2}}, {1, 1, 1, 1});
}

TEST(MixedNumbers, J_002_literals_that_do_not_fit_are_refused) {
  const Tensor i = tensor({1}), u = astype(i, DType::kU8), narrow = astype(i, DType::kI8);
  expect_error<ValueError>([&] { i + 3000000000; },
                           "add: the literal 3000000000 is out of range of i32[1]");
  expect_error<ValueError>([&] { -3000000000 * i; }, "mul: the literal -3000000000");
  expect_error<ValueError>([&] { maximum(u, -5); }, "max: the literal -5 is out of range of u8[1]");
  expect_error<ValueError>([&] { u + 256; }, "add: the literal 256");
  expect_error<ValueError>([&] { narrow - 128; }, "sub: the literal 128 is out of range of i8[1]");
  expect_error<ValueError>([&] { where(i > 0, u, -1); }, "where: the literal -1");
  expect_error<ValueError>([&] { astype(i, DType::kU32) + (-1); }, "the literal -1");
  expect_error<ValueError>([&] { astype(i, DType::kI64) + ~uint64_t{0}; },
                           "the literal 18446744073709551615 is out of range of i64[1]");
  expect_error<ValueError>([&] { mod(u, -3); }, "mod: the literal -3");
  expect_error<ValueError>([&] { floor_divide(u, 300); }, "floor_divide: the literal 300");
  // What fits, and what is to wrap, is computed.
  expect_tensor(u + 254, {DType::kU8, {1}}, {255});
  expect_tensor(narrow - 127, {DType::kI8, {1}}, {-126});
  expect_tensor(u - 2, {DType::kU8, {1}}, {255});
  expect_tensor(u + scalar_integer(-1, DType::kU8), {DType::kU8, {1}}, {0});
  expect_tensor(astype(i, DType::kI64) + 3000000000, {DType::kI64, {1}}, {3000000001.0});
  expect_tensor(ones({1}) + 3000000000, {DType::kF32, {1}}, {3000000000.0});
}

TEST(MixedNumbers, J_002_division_of_bools_and_integers) {
  expect_tensor(tensor({true, false}) / 2, {DType::kF32, {2}, true}, {0.5, 0});
  expect_tensor(astype(tensor({1}), DType::kI8) / 2, {DType::kF32, {1}}, {0.5});
  const Tensor bf16 = ones({1}, DType::kBF16);
  EXPECT_EQ((bf16 + tensor({true}) / 2).dtype(), DType::kBF16);
  EXPECT_EQ((bf16 + tensor({1}) / 2).dtype(), DType::kF32);
}

TEST(MixedNumbers, J_017_integers_have_no_negative_powers) {
  expect_error<ValueError>(
      [] {
        pow(tensor({2, 1}), -1);
      },
      "pow: integers have no negative powers");
  expect_error<ValueError>([] { integer_pow(tensor({2}), -2); }, "integer_pow: integers have no");
  expect_error<ValueError>([] { pow(tensor({true}), -1); }, "no negative powers");
  // Powers known only at run time are truncated.
  expect_tensor(pow(tensor({2, 1, -1, 0}), tensor({-1, -2, -3, -1})), {DType::kI32, {4}},
                {0, 1, -1, 0});
  expect_tensor(pow(tensor({2.f}), -1), {DType::kF32, {1}}, {0.5});
}

TEST(MixedNumbers, R_008_neither_operand_is_larger_than_nan) {
  const Tensor a = numbers({kNan, 1, kNan, 1, 2}), b = numbers({1, kNan, kNan, 1, 1});
  const auto gradients = [&](auto f) {
    return grad<0, 1>([&](const Tensor& x, const Tensor& y) { return sum(f(x, y)); })(a, b);
  };
  const auto [max_a, max_b] = gradients(maximum);
  expect_tensor(max_a, {DType::kF32, {5}}, {0, 0, 0, 0.5, 1});
  expect_tensor(max_b, {DType::kF32, {5}}, {0, 0, 0, 0.5, 0});
  const auto [min_a, min_b] = gradients(minimum);
  expect_tensor(min_a, {DType::kF32, {5}}, {0, 0, 0, 0.5, 0});
  expect_tensor(min_b, {DType::kF32, {5}}, {0, 0, 0, 0.5, 1});
  expect_tensor(testing::derivative([](const Tensor& x) { return clip(x, -1, 1); },
                                    numbers({-2, -1, 0, 1, kNan})),
                {DType::kF32, {5}}, {0, 0.5, 1, 0.5, 0});
}

TEST(MixedNumbers, J_019_logaddexp_at_infinities) {
  const Tensor a = numbers({kInfinity, 1, kInfinity, -kInfinity, -kInfinity, 1, kNan});
  const Tensor b = numbers({1, kInfinity, kInfinity, -kInfinity, 1, -kInfinity, 1});
  expect_tensor(logaddexp(a, b), {DType::kF32, {7}},
                {kInfinity, kInfinity, kInfinity, -kInfinity, 1, 1, kNan});
  const auto [da, db] =
      grad<0, 1>([](const Tensor& x, const Tensor& y) { return sum(logaddexp(x, y)); })(a, b);
  expect_tensor(da, {DType::kF32, {7}}, {1, 0, 0.5, 0.5, 0, 1, kNan});
  expect_tensor(db, {DType::kF32, {7}}, {0, 1, 0.5, 0.5, 1, 0, kNan});
}

TEST(MixedNumbers, J_106_norm_of_16_bit_trees_is_taken_in_f32) {
  expect_tensor(global_norm({full({4}, 300, DType::kF16)}), {DType::kF32, {}}, {600});
  expect_tensor(global_norm({full({4}, 3, DType::kBF16), ones({1})}), {DType::kF32, {}},
                {std::sqrt(37.0)}, 1e-6);
  expect_tensor(global_norm({full({1000}, 1.1, DType::kBF16)}), {DType::kF32, {}},
                {std::sqrt(1000.0) * 1.1015625}, 1e-6);
}

TEST(MixedNumbers, J_023_einsum_repeats_sizes_of_one) {
  const Tensor row = ones({1, 3}), both = ones({2, 3});
  expect_tensor(einsum("ij,ij->ij", {row, both}), {DType::kF32, {2, 3}}, {1, 1, 1, 1, 1, 1});
  expect_tensor(einsum("ij,ij->", {row, both}), {DType::kF32, {}}, {6});
  expect_tensor(einsum("ij,jk->ik", {ones({2, 1}), ones({3, 4})}), {DType::kF32, {2, 4}},
                {3, 3, 3, 3, 3, 3, 3, 3});
  expect_tensor(einsum("i,i,i->i", {ones({1}), 2 * ones({2}), ones({1})}), {DType::kF32, {2}},
                {2, 2});
  expect_tensor(grad([&](const Tensor& x) {
                  return einsum("ij,ij->", {x, both});
                })(row),
                {DType::kF32, {1, 3}}, {2, 2, 2});
  expect_error<ShapeError>([&] { einsum("ii->i", {row}); }, "sizes of 'i' differ");
  expect_error<ShapeError>(
      [&] {
        einsum("ij,ij->ij", {ones({2, 3}), ones({3, 3})});
      },
      "sizes of 'i' differ");
}

TEST(MixedNumbers, counts_beyond_the_dtype_are_its_largest_number) {
  const Tensor rates = tensor({1e20f, 3e9f, -1.f, float(kNan), float(kInfinity), 0.f});
  expect_tensor(random::poisson(Key(0), rates), {DType::kI32, {6}},
                {2147483647, 2147483647, -1, -1, -1, 0});
  expect_tensor(random::poisson(Key(0), tensor({1e6f}), {}, DType::kI16), {DType::kI16, {1}},
                {32767});
}

TEST(MixedNumbers, J_025_padding_beyond_the_size_is_refused) {
  const auto padded = [](int64_t low, int64_t high) {
    return conv_general_dilated(ones({1, 3, 1}), ones({1, 1, 1}), {.padding = {{low, high}}});
  };
  expect_error<ShapeError>([&] { padded(-5, 1); }, "conv_general_dilated: padding (-5, 1)");
  expect_error<ShapeError>([&] { padded(-2, -2); }, "conv_general_dilated: padding (-2, -2)");
  EXPECT_EQ(padded(-2, 1).shape(), (Shape{1, 2, 1}));
  EXPECT_EQ(padded(-2, -1).shape(), (Shape{1, 0, 1}));
  // A kernel larger than the padded input has no position: not an error.
  EXPECT_EQ(conv_general_dilated(ones({1, 3, 1}), ones({5, 1, 1})).shape(), (Shape{1, 0, 1}));
}

}  // namespace
}  // namespace linnet::mixed_numbers_test
