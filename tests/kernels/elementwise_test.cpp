// The strided driver: types, strides, broadcasting, empty and zero-dimensional shapes, threads.
// Values are compared with loops written here.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "kernels/cpu/elementwise/elementwise.h"
#include "kernels/scalar/host.h"
#include "linnet/error.h"
#include "linnet/parallel.h"
#include "linnet/shape.h"
#include "tests/kernels/strided_test_data.h"

namespace linnet::cpu::elementwise_test {
namespace {

/// Runs a function over dense vectors.
template <class Out, class T>
std::vector<Out> apply(ScalarOp op, const std::vector<T>& a, const std::vector<T>& b = {},
                       double param = 0) {
  const Dims shape{static_cast<int64_t>(a.size())};
  const Dims strides{1};
  std::vector<Out> out(a.size());
  const Operand in[] = {{a.data(), strides.data()}, {b.data(), strides.data()}};
  const ScalarOpInfo& info = scalar_op_info(op);
  elementwise(op, dtype_of<T>(), {&param, static_cast<size_t>(info.param_count)}, shape,
              {in, static_cast<size_t>(info.arity)}, {out.data(), strides.data()});
  return out;
}

TEST(ScalarTable, NamesAreUniqueAndFound) {
  for (int i = 0; i < kScalarOpCount; ++i) {
    const auto op = static_cast<ScalarOp>(i);
    EXPECT_EQ(find_scalar_op(scalar_op_info(op).name), op);
  }
  EXPECT_EQ(find_scalar_op("no_such_function"), std::nullopt);
}

TEST(Elementwise, SupportedTypesFollowTheKind) {
  for (int i = 0; i < kScalarOpCount; ++i) {
    const auto op = static_cast<ScalarOp>(i);
    for (int t = 0; t < kRealDTypeCount; ++t) {
      const auto dtype = static_cast<DType>(t);
      bool expected = false;
      switch (scalar_op_info(op).kind) {
        case ScalarKind::kNumber:
          expected = dtype != DType::kBool;
          break;
        case ScalarKind::kFloat:
        case ScalarKind::kPredicate:
          expected = is_floating(dtype);
          break;
        case ScalarKind::kBits:
          expected = !is_floating(dtype);
          break;
        case ScalarKind::kInteger:
          expected = is_integer(dtype);
          break;
        default:
          expected = true;
      }
      EXPECT_EQ(supports(op, dtype), expected) << scalar_op_info(op).name << " " << name_of(dtype);
    }
  }
}

TEST(Elementwise, Errors) {
  const float x = 1;
  float y = 0;
  const Operand in[] = {{&x, nullptr}, {&x, nullptr}};
  EXPECT_THROW(elementwise(ScalarOp::kAnd, DType::kF32, {}, {}, in, {&y, nullptr}), DTypeError);
  EXPECT_THROW(elementwise(ScalarOp::kNeg, DType::kF32, {}, {}, in, {&y, nullptr}), ValueError);
  EXPECT_THROW(elementwise(ScalarOp::kElu, DType::kF32, {}, {}, {in, 1}, {&y, nullptr}),
               ValueError);
}

/// Every shape of strides in one place: the same function over views must give what the dense one
/// does.
template <class T>
void check_views(const Dims& shape, const Dims& a_strides, const Dims& b_strides,
                 const Dims& out_strides) {
  const auto extent = [&](const Dims& strides, int64_t& low) {
    int64_t high = 0;
    low = 0;
    for (size_t d = 0; d < shape.size(); ++d) {
      const int64_t reach = (shape[d] - 1) * strides[d];
      (reach < 0 ? low : high) += reach;
    }
    return static_cast<size_t>(high - low + 1);
  };
  int64_t a_low, b_low, out_low;
  std::vector<T> a(extent(a_strides, a_low)), b(extent(b_strides, b_low));
  std::vector<T> out(extent(out_strides, out_low), T(99));
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<T>(static_cast<float>(i % 23));
  for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<T>(static_cast<float>(i % 7));
  const Operand in[] = {{a.data() - a_low, a_strides.data()}, {b.data() - b_low, b_strides.data()}};
  elementwise(ScalarOp::kAdd, dtype_of<T>(), {}, shape, in,
              {out.data() - out_low, out_strides.data()});
  for (int64_t i = 0; i < count_of(shape); ++i) {
    const float expected =
        static_cast<float>(a[static_cast<size_t>(offset_of(shape, a_strides, i) - a_low)]) +
        static_cast<float>(b[static_cast<size_t>(offset_of(shape, b_strides, i) - b_low)]);
    const float got =
        static_cast<float>(out[static_cast<size_t>(offset_of(shape, out_strides, i) - out_low)]);
    ASSERT_EQ(got, expected) << "element " << i << " of " << to_string(shape);
  }
}

template <class T>
void check_all_views() {
  check_views<T>({}, {}, {}, {});
  check_views<T>({1}, {5}, {0}, {3});
  check_views<T>({7}, {1}, {0}, {1});
  check_views<T>({100}, {2}, {-1}, {1});
  check_views<T>({100}, {1}, {1}, {3});
  check_views<T>({3, 5}, {5, 1}, {0, 1}, {5, 1});
  check_views<T>({3, 5}, {1, 3}, {1, 0}, {5, 1});
  check_views<T>({70, 90}, {1, 70}, {0, 1}, {90, 1});
  check_views<T>({70, 90}, {90, 1}, {1, 0}, {90, 1});
  check_views<T>({70, 90}, {90, 1}, {-90, 1}, {1, 70});
  check_views<T>({4, 1, 6, 5}, {30, 7, 5, 1}, {0, 0, 1, 0}, {30, 30, 5, 1});
  check_views<T>({4, 6, 130}, {780, 130, 1}, {0, 130, 1}, {780, 130, 1});
  check_views<T>({2, 2, 2, 2, 2, 2, 2, 3}, {192, 96, 48, 24, 12, 6, 3, 1},
                 {1, 2, 4, 8, 16, 32, 64, 128}, {192, 96, 48, 24, 12, 6, 3, 1});
  check_views<T>({300, 7}, {14, 2}, {7, 1}, {7, 1});
  check_views<T>({2000, 3}, {0, 1}, {3, 1}, {3, 1});
}

TEST(Elementwise, Views) {
  check_all_views<float>();
  check_all_views<double>();
  check_all_views<float16>();
  check_all_views<bfloat16>();
  check_all_views<int8_t>();
  check_all_views<int16_t>();
  check_all_views<uint32_t>();
  check_all_views<int64_t>();
}

TEST(Elementwise, EmptyShapesTouchNothing) {
  const Dims shape{3, 0, 2};
  const Dims strides{0, 2, 1};
  const Operand in[] = {{nullptr, strides.data()}, {nullptr, strides.data()}};
  elementwise(ScalarOp::kAdd, DType::kF32, {}, shape, in, {nullptr, strides.data()});
  cast(DType::kF32, DType::kI8, shape, in[0], {nullptr, strides.data()});
  copy_strided(4, shape, in[0], {nullptr, strides.data()});
  fill(DType::kF32, 1.0, shape, {nullptr, strides.data()});
}

TEST(Elementwise, NothingIsWrittenBehindTheEnd) {
  for (size_t n = 0; n < 70; ++n) {
    const std::vector<float> a(n + 1, 2.0f);
    std::vector<float> out(n + 1, -1.0f);
    const Dims shape{static_cast<int64_t>(n)}, one{1}, zero{0};
    const Operand in[] = {{a.data(), one.data()}, {a.data(), zero.data()}};
    elementwise(ScalarOp::kMul, DType::kF32, {}, shape, in, {out.data(), one.data()});
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(out[i], 4.0f);
    EXPECT_EQ(out[n], -1.0f);
  }
}

TEST(Elementwise, InPlace) {
  std::vector<float> x(1000);
  std::iota(x.begin(), x.end(), 0.0f);
  const Dims shape{1000}, one{1};
  const Operand in[] = {{x.data(), one.data()}, {x.data(), one.data()}};
  elementwise(ScalarOp::kMul, DType::kF32, {}, shape, in, {x.data(), one.data()});
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(x[i], static_cast<float>(i * i));
}

TEST(Elementwise, PositionDoesNotMatter) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> x(333);
  for (float& v : x) v = 3 * normal(random);
  for (const ScalarOp op : {ScalarOp::kExp, ScalarOp::kTanh, ScalarOp::kGeluErf, ScalarOp::kSin}) {
    const std::vector<float> all = apply<float>(op, x);
    for (size_t i = 0; i < x.size(); i += 7)
      EXPECT_EQ(apply<float>(op, std::vector<float>{x[i]})[0], all[i]);
  }
}

template <class T>
void check_integers() {
  using Limits = std::numeric_limits<T>;
  std::mt19937_64 random(sizeof(T));
  std::vector<T> a{0,
                   1,
                   2,
                   3,
                   Limits::max(),
                   Limits::min(),
                   static_cast<T>(Limits::max() - 1),
                   static_cast<T>(-1)};
  std::vector<T> b{0, 3, 0, 2, static_cast<T>(-1), static_cast<T>(-1), 1, 7};
  for (int i = 0; i < 300; ++i) {
    a.push_back(static_cast<T>(random()));
    b.push_back(static_cast<T>(i % 3 == 0 ? random() % 70 : random()));
  }
  using U = std::make_unsigned_t<T>;
  const auto check = [&](ScalarOp op, auto reference) {
    const std::vector<T> out = apply<T>(op, a, b);
    for (size_t i = 0; i < a.size(); ++i) {
      ASSERT_EQ(out[i], static_cast<T>(reference(a[i], b[i])))
          << scalar_op_info(op).name << " " << +a[i] << " " << +b[i];
    }
  };
  const auto compare = [&](ScalarOp op, auto reference) {
    const std::vector<uint8_t> out = [&] {
      const Dims shape{static_cast<int64_t>(a.size())}, one{1};
      std::vector<uint8_t> result(a.size());
      const Operand in[] = {{a.data(), one.data()}, {b.data(), one.data()}};
      elementwise(op, dtype_of<T>(), {}, shape, in, {result.data(), one.data()});
      return result;
    }();
    for (size_t i = 0; i < a.size(); ++i) ASSERT_EQ(out[i], reference(a[i], b[i]) ? 1 : 0);
  };
  const auto wide = [](T x) { return static_cast<uint64_t>(x); };
  constexpr int kBits = 8 * sizeof(T);
  check(ScalarOp::kAdd, [&](T x, T y) { return wide(x) + wide(y); });
  check(ScalarOp::kSub, [&](T x, T y) { return wide(x) - wide(y); });
  check(ScalarOp::kMul, [&](T x, T y) { return wide(x) * wide(y); });
  check(ScalarOp::kNeg, [&](T x, T) { return 0 - wide(x); });
  check(ScalarOp::kAbs, [&](T x, T) { return x < 0 ? 0 - wide(x) : wide(x); });
  check(ScalarOp::kSign, [](T x, T) { return x > 0 ? 1 : x < 0 ? -1 : 0; });
  check(ScalarOp::kSquare, [&](T x, T) { return wide(x) * wide(x); });
  check(ScalarOp::kDiv, [&](T x, T y) {
    return y == 0                            ? static_cast<T>(-1)
           : y == T(-1) && Limits::is_signed ? static_cast<T>(0 - wide(x))
                                             : static_cast<T>(x / y);
  });
  check(ScalarOp::kRem, [](T x, T y) {
    return y == 0 ? x : y == T(-1) && Limits::is_signed ? T(0) : static_cast<T>(x % y);
  });
  check(ScalarOp::kMax, [](T x, T y) { return std::max(x, y); });
  check(ScalarOp::kMin, [](T x, T y) { return std::min(x, y); });
  check(ScalarOp::kRelu, [](T x, T) { return std::max(x, T(0)); });
  check(ScalarOp::kAnd, [](T x, T y) { return x & y; });
  check(ScalarOp::kOr, [](T x, T y) { return x | y; });
  check(ScalarOp::kXor, [](T x, T y) { return x ^ y; });
  check(ScalarOp::kNot, [](T x, T) { return ~x; });
  check(ScalarOp::kPopcount, [](T x, T) { return std::popcount(static_cast<U>(x)); });
  const auto in_range = [](T y) { return static_cast<U>(y) < kBits; };
  check(ScalarOp::kShiftLeft,
        [&](T x, T y) { return in_range(y) ? static_cast<uint64_t>(static_cast<U>(x)) << y : 0; });
  check(ScalarOp::kShiftRightLogical,
        [&](T x, T y) { return in_range(y) ? static_cast<uint64_t>(static_cast<U>(x)) >> y : 0; });
  check(ScalarOp::kShiftRightArithmetic, [&](T x, T y) {
    const auto s = static_cast<int64_t>(static_cast<std::make_signed_t<T>>(x));
    return s >> (in_range(y) ? y : kBits - 1);
  });
  check(ScalarOp::kPow, [&](T x, T y) {
    if (y < 0) return x == 1 ? T(1) : x == T(-1) ? ((y & 1) != 0 ? T(-1) : T(1)) : T(0);
    uint64_t result = 1, base = wide(x);
    for (auto n = static_cast<uint64_t>(y); n != 0; n >>= 1, base *= base) {
      if ((n & 1) != 0) result *= base;
    }
    return static_cast<T>(result);
  });
  compare(ScalarOp::kEq, [](T x, T y) { return x == y; });
  compare(ScalarOp::kNe, [](T x, T y) { return x != y; });
  compare(ScalarOp::kLt, [](T x, T y) { return x < y; });
  compare(ScalarOp::kLe, [](T x, T y) { return x <= y; });
  compare(ScalarOp::kGt, [](T x, T y) { return x > y; });
  compare(ScalarOp::kGe, [](T x, T y) { return x >= y; });
  const std::vector<T> cubes = apply<T>(ScalarOp::kIntegerPow, a, {}, 3);
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_EQ(cubes[i], static_cast<T>(wide(a[i]) * wide(a[i]) * wide(a[i])));
}

TEST(Elementwise, Integers) {
  check_integers<int8_t>();
  check_integers<int16_t>();
  check_integers<int32_t>();
  check_integers<int64_t>();
  check_integers<uint8_t>();
  check_integers<uint16_t>();
  check_integers<uint32_t>();
  check_integers<uint64_t>();
}

TEST(Elementwise, Bool) {
  const uint8_t a[] = {0, 0, 1, 1}, b[] = {0, 1, 0, 1};
  const Dims shape{4}, one{1};
  const auto check = [&](ScalarOp op, std::vector<uint8_t> expected) {
    std::vector<uint8_t> out(4, 9);
    const Operand in[] = {{a, one.data()}, {b, one.data()}};
    elementwise(op, DType::kBool, {}, shape, {in, static_cast<size_t>(scalar_op_info(op).arity)},
                {out.data(), one.data()});
    EXPECT_EQ(out, expected) << scalar_op_info(op).name;
  };
  check(ScalarOp::kAdd, {0, 1, 1, 1});
  check(ScalarOp::kMul, {0, 0, 0, 1});
  check(ScalarOp::kMax, {0, 1, 1, 1});
  check(ScalarOp::kMin, {0, 0, 0, 1});
  check(ScalarOp::kAnd, {0, 0, 0, 1});
  check(ScalarOp::kOr, {0, 1, 1, 1});
  check(ScalarOp::kXor, {0, 1, 1, 0});
  check(ScalarOp::kNot, {1, 1, 0, 0});
  check(ScalarOp::kEq, {1, 0, 0, 1});
  check(ScalarOp::kLt, {0, 1, 0, 0});
}

template <class T>
void check_select() {
  for (const size_t n : {size_t{1}, size_t{5}, size_t{700}}) {
    std::vector<uint8_t> condition(n);
    std::vector<T> yes(n), no(n), out(n);
    for (size_t i = 0; i < n; ++i) {
      condition[i] = i % 3 == 0;
      yes[i] = static_cast<T>(static_cast<float>(i % 100));
      no[i] = static_cast<T>(static_cast<float>(100 + i % 20));
    }
    const Dims shape{static_cast<int64_t>(n)}, one{1}, zero{0};
    const Operand in[] = {
        {condition.data(), one.data()}, {yes.data(), one.data()}, {no.data(), zero.data()}};
    elementwise(ScalarOp::kSelect, dtype_of<T>(), {}, shape, in, {out.data(), one.data()});
    for (size_t i = 0; i < n; ++i) {
      EXPECT_EQ(static_cast<float>(out[i]), static_cast<float>(condition[i] ? yes[i] : no[0]));
    }
  }
}

TEST(Elementwise, Select) {
  check_select<float>();
  check_select<double>();
  check_select<float16>();
  check_select<bfloat16>();
  check_select<int8_t>();
  check_select<uint16_t>();
  check_select<int64_t>();
}

TEST(Elementwise, FloatComparisonsWithNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> a{nan, 1, nan, inf, -0.0f}, b{1, nan, nan, inf, 0.0f};
  const auto check = [&](ScalarOp op, std::vector<uint8_t> expected) {
    const Dims shape{5}, one{1};
    std::vector<uint8_t> out(5);
    const Operand in[] = {{a.data(), one.data()}, {b.data(), one.data()}};
    elementwise(op, DType::kF32, {}, shape, {in, static_cast<size_t>(scalar_op_info(op).arity)},
                {out.data(), one.data()});
    EXPECT_EQ(out, expected) << scalar_op_info(op).name;
  };
  check(ScalarOp::kEq, {0, 0, 0, 1, 1});
  check(ScalarOp::kNe, {1, 1, 1, 0, 0});
  check(ScalarOp::kLt, {0, 0, 0, 0, 0});
  check(ScalarOp::kGe, {0, 0, 0, 1, 1});
  check(ScalarOp::kIsNan, {1, 0, 1, 0, 0});
  check(ScalarOp::kIsInf, {0, 0, 0, 1, 0});
  check(ScalarOp::kIsFinite, {0, 1, 0, 0, 1});
}

/// All 65536 arguments: the result must be a neighbour of the exact one at most, and nearly always
/// the nearest, since f32 is so much finer.
template <class T>
void check_halves() {
  struct Row {
    ScalarOp op;
    long double (*f)(long double);
  };
  const Row rows[] = {{ScalarOp::kExp, std::exp},     {ScalarOp::kLog, std::log},
                      {ScalarOp::kTanh, std::tanh},   {ScalarOp::kErf, std::erf},
                      {ScalarOp::kSqrt, std::sqrt},   {ScalarOp::kSin, std::sin},
                      {ScalarOp::kCos, std::cos},     {ScalarOp::kExpm1, std::expm1},
                      {ScalarOp::kLog1p, std::log1p}, {ScalarOp::kFloor, std::floor},
                      {ScalarOp::kAbs, std::fabs}};
  const std::vector<T> x = all_halves<T>();
  for (const Row& row : rows) {
    const std::vector<T> y = apply<T>(row.op, x);
    int not_nearest = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const T expected(
          static_cast<float>(row.f(static_cast<long double>(static_cast<float>(x[i])))));
      if (same_half(y[i], expected)) continue;
      ++not_nearest;
      ASSERT_LE(std::abs((y[i].bits & 0x7FFF) - (expected.bits & 0x7FFF)), 1)
          << scalar_op_info(row.op).name << " " << static_cast<float>(x[i]) << " "
          << static_cast<float>(y[i]) << " " << static_cast<float>(expected);
    }
    EXPECT_LE(not_nearest, 60) << scalar_op_info(row.op).name;
  }
}

TEST(Elementwise, R_016_AllHalfValues) {
  check_halves<float16>();
  check_halves<bfloat16>();
}

template <class T>
void check_half_neighbours() {
  const std::vector<T> x = all_halves<T>();
  const std::vector<T> infinity(x.size(), T(std::numeric_limits<float>::infinity()));
  const std::vector<T> y = apply<T>(ScalarOp::kNextafter, x, infinity);
  for (size_t i = 0; i < x.size(); ++i) {
    const float from = static_cast<float>(x[i]), to = static_cast<float>(y[i]);
    if (std::isnan(from)) {
      EXPECT_TRUE(std::isnan(to));
    } else if (std::isinf(from) && from > 0) {
      EXPECT_EQ(to, from);
    } else {
      EXPECT_GT(to, from);
      const int from_rank = (x[i].bits & 0x8000) ? -(x[i].bits & 0x7FFF) : x[i].bits;
      const int to_rank = (y[i].bits & 0x8000) ? -(y[i].bits & 0x7FFF) : y[i].bits;
      EXPECT_EQ(to_rank - from_rank, 1);
    }
  }
}

TEST(Elementwise, HalfNeighbours) {
  check_half_neighbours<float16>();
  check_half_neighbours<bfloat16>();
}

class Threads : public testing::Test {
 protected:
  void SetUp() override { before_ = num_threads(); }
  void TearDown() override { set_num_threads(before_); }
  int before_ = 1;
};

TEST_F(Threads, ResultsDoNotDependOnTheirNumber) {
  const int64_t n = 300'001;
  std::vector<float> x(static_cast<size_t>(n)), one_thread(x.size()), many(x.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) * 1e-4f - 15;
  const Dims shape{n}, one{1};
  const Operand in[] = {{x.data(), one.data()}};
  set_num_threads(1);
  elementwise(ScalarOp::kGeluErf, DType::kF32, {}, shape, in, {one_thread.data(), one.data()});
  set_num_threads(3);
  elementwise(ScalarOp::kGeluErf, DType::kF32, {}, shape, in, {many.data(), one.data()});
  EXPECT_EQ(one_thread, many);

  const Dims matrix{1000, 300}, transposed{1, 1000}, dense{300, 1};
  const Operand view[] = {{x.data(), transposed.data()}};
  std::vector<float> copied(300'000), mapped(300'000);
  copy_strided(4, matrix, view[0], {copied.data(), dense.data()});
  elementwise(ScalarOp::kNeg, DType::kF32, {}, matrix, view, {mapped.data(), dense.data()});
  for (size_t i = 0; i < copied.size(); ++i) {
    ASSERT_EQ(copied[i], x[i % 300 * 1000 + i / 300]);
    ASSERT_EQ(mapped[i], -copied[i]);
  }
}

TEST_F(Threads, ParallelFor) {
  set_num_threads(3);
  EXPECT_EQ(num_threads(), 3);
  EXPECT_THROW(set_num_threads(0), ValueError);
  std::vector<int> hits(10'000, 0);
  parallel_for(10'000, 100, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
    // Inside a region there is one call for everything.
    int calls = 0;
    parallel_for(1000, 1, [&](int64_t b, int64_t e) {
      ++calls;
      EXPECT_EQ(e - b, 1000);
    });
    EXPECT_EQ(calls, 1);
  });
  for (const int hit : hits) EXPECT_EQ(hit, 1);
  EXPECT_THROW(parallel_for(1000, 1,
                            [](int64_t begin, int64_t) {
                              if (begin > 0) throw ValueError("late");
                            }),
               ValueError);
  int calls = 0;
  parallel_for(99, 100, [&](int64_t, int64_t) { ++calls; });
  parallel_for(0, 1, [&](int64_t, int64_t) { calls += 100; });
  EXPECT_EQ(calls, 1);
}

TEST_F(Threads, ConcurrentCallers) {
  std::vector<std::thread> callers;
  std::vector<double> sums(4);
  for (size_t t = 0; t < sums.size(); ++t) {
    callers.emplace_back([t, &sums] {
      std::vector<float> x(50'000, static_cast<float>(t)), y(x.size());
      const Dims shape{50'000}, one{1};
      const Operand in[] = {{x.data(), one.data()}, {x.data(), one.data()}};
      for (int i = 0; i < 5; ++i) {
        elementwise(ScalarOp::kAdd, DType::kF32, {}, shape, in, {y.data(), one.data()});
      }
      sums[t] = std::accumulate(y.begin(), y.end(), 0.0);
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (size_t t = 0; t < sums.size(); ++t) EXPECT_EQ(sums[t], 100'000.0 * static_cast<double>(t));
}

}  // namespace
}  // namespace linnet::cpu::elementwise_test
