#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "kernels/cpu/reduce/arg_reduce.h"
#include "kernels/cpu/reduce/reduce.h"
#include "kernels/cpu/reduce/scan.h"
#include "kernels/cpu/reduce/sort.h"
#include "linnet/error.h"
#include "linnet/shape.h"
#include "tests/kernels/kernel_test_data.h"
#include "tests/kernels/onednn_test_util.h"
#include "tests/kernels/tile_program_data.h"

namespace linnet::cpu::reduce_test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// The functions with workspaces of their own.
void reduce(ReduceKind kind, DType dtype, const void* data, const Shape& shape,
            const Strides& strides, uint64_t mask, void* out) {
  OwnWorkspace workspace(reduce_workspace(kind, dtype, shape, strides, mask));
  cpu::reduce(kind, dtype, data, shape, strides, mask, out, workspace);
}
double sum_of_squares(DType dtype, int64_t count, const void* data) {
  OwnWorkspace workspace(sum_of_squares_workspace(count));
  return cpu::sum_of_squares(dtype, count, data, workspace);
}
void sort(DType dtype, int64_t rows, int64_t length, const void* data, bool descending, void* out) {
  OwnWorkspace workspace(sort_workspace(dtype, rows, length));
  cpu::sort(dtype, rows, length, data, descending, out, workspace);
}
void argsort(DType dtype, int64_t rows, int64_t length, const void* data, bool descending,
             DType index_dtype, void* out) {
  OwnWorkspace workspace(sort_workspace(dtype, rows, length));
  cpu::argsort(dtype, rows, length, data, descending, index_dtype, out, workspace);
}

// The value of element `position` (row-major) of the strided view, and where it goes in the result.
template <class Visit>
void for_elements(const Shape& shape, const Strides& strides, uint64_t mask, Visit&& visit) {
  for (int64_t i = 0; i < element_count(shape); ++i) {
    int64_t rest = i, offset = 0, out = 0, out_stride = 1;
    for (size_t d = shape.size(); d-- > 0;) {
      const int64_t at = rest % shape[d];
      rest /= shape[d];
      offset += at * strides[d];
      if (!((mask >> d) & 1)) {
        out += at * out_stride;
        out_stride *= shape[d];
      }
    }
    visit(offset, out);
  }
}

int64_t kept_count(const Shape& shape, uint64_t mask) {
  int64_t count = 1;
  for (size_t d = 0; d < shape.size(); ++d) count *= (mask >> d) & 1 ? 1 : shape[d];
  return count;
}

template <class T>
std::vector<double> naive_reduce(ReduceKind kind, const T* data, const Shape& shape,
                                 const Strides& strides, uint64_t mask) {
  const double starts[] = {0, 1, -INFINITY, INFINITY, 0, 1};
  std::vector<double> out(static_cast<size_t>(kept_count(shape, mask)),
                          starts[static_cast<int>(kind)]);
  for_elements(shape, strides, mask, [&](int64_t from, int64_t to) {
    const double value = static_cast<double>(widen(data[from]));
    double& total = out[static_cast<size_t>(to)];
    switch (kind) {
      case ReduceKind::kSum:
        total += value;
        break;
      case ReduceKind::kProd:
        total *= value;
        break;
      case ReduceKind::kMax:
        total = std::max(total, value);
        break;
      case ReduceKind::kMin:
        total = std::min(total, value);
        break;
      case ReduceKind::kAny:
        total = total != 0 || value != 0;
        break;
      case ReduceKind::kAll:
        total = total != 0 && value != 0;
        break;
    }
  });
  return out;
}

template <class T>
std::vector<double> kernel_reduce(ReduceKind kind, const T* data, const Shape& shape,
                                  const Strides& strides, uint64_t mask) {
  const size_t count = static_cast<size_t>(kept_count(shape, mask));
  std::vector<char> bytes(count * 8);
  reduce(kind, dtype_of<T>(), data, shape, strides, mask, bytes.data());
  std::vector<double> out;
  const bool logical = kind == ReduceKind::kAny || kind == ReduceKind::kAll;
  for (size_t i = 0; i < count; ++i) {
    if (logical)
      out.push_back(reinterpret_cast<const bool*>(bytes.data())[i]);
    else
      out.push_back(static_cast<double>(widen(reinterpret_cast<const T*>(bytes.data())[i])));
  }
  return out;
}

constexpr ReduceKind kKinds[] = {ReduceKind::kSum, ReduceKind::kProd, ReduceKind::kMax,
                                 ReduceKind::kMin, ReduceKind::kAny,  ReduceKind::kAll};

/// Elements that are copied from memory when they are asked for, or lie there already.
class CopiedElements final : public ElementSource {
 public:
  CopiedElements(const Buffer& data, bool has_memory)
      : data_(data.bytes),
        size_(size_of(data.dtype)),
        has_memory_(has_memory),
        asked_(data_.size() / size_) {}

  const void* elements(int64_t begin, int64_t count, void* scratch) const override {
    const auto first = static_cast<size_t>(begin);
    EXPECT_LE(first + static_cast<size_t>(count), asked_.size());
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) ++asked_[first + i];
    EXPECT_EQ(reinterpret_cast<uintptr_t>(scratch) % size_, 0u);
    if (has_memory_) return data_.data() + first * size_;
    std::memcpy(scratch, data_.data() + first * size_, static_cast<size_t>(count) * size_);
    return scratch;
  }
  bool has_memory() const override { return has_memory_; }
  bool each_once() const {
    return std::all_of(asked_.begin(), asked_.end(), [](const auto& times) { return times == 1; });
  }

 private:
  const std::vector<char>& data_;
  size_t size_;
  bool has_memory_;
  mutable std::vector<std::atomic<int>> asked_;
};

// Zeros of both signs, numbers that are rounded at every sum, and perhaps a few NaN.
Buffer uneven_elements(DType dtype, int64_t count, bool has_nan) {
  std::vector<double> values = random_values<double>(count, 5);
  for (size_t i = 0; i < values.size(); ++i) {
    if (i % 3 == 0) values[i] = i % 2 == 0 ? 0.0 : -0.0;
    if (has_nan && i % 97 == 13) values[i] = std::nan("");
    if (dtype == DType::kBool) values[i] = i % 5 != 0;
    if (is_integer(dtype)) values[i] = std::floor(std::abs(values[i]) * 4);
  }
  Buffer buffer(dtype, count);
  const int64_t one = 1;
  cast(DType::kF64, dtype, {&count, 1}, {values.data(), &one}, {buffer.bytes.data(), &one});
  return buffer;
}

TEST(Reduce, ElementsComputedOnTheWayGiveTheSameBits) {
  const Shape shapes[] = {
      {},           {1},         {7},       {5000},     {70000},     {150000},     {3, 2049},
      {300, 40},    {300, 7},    {40, 300}, {513, 130}, {3, 5000},   {2, 3, 4100}, {131, 17, 9},
      {5, 200, 33}, {140, 2100}, {1, 300},  {0, 5},     {64, 5, 31}, {7, 64, 31},  {600, 300}};
  int compared = 0;
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kBF16, DType::kF16, DType::kI32,
                            DType::kU8, DType::kBool}) {
    for (const Shape& shape : shapes) {
      const Buffer data = uneven_elements(dtype, element_count(shape), shape.size() % 2 == 0);
      for (uint64_t mask = 0; mask < uint64_t{1} << shape.size(); ++mask) {
        for (const ReduceKind kind : kKinds) {
          const PlannedReduction planned(kind, dtype, shape, dense_strides(shape), mask);
          if (!planned.takes_source()) continue;
          ++compared;
          OwnWorkspace workspace(planned.workspace_bytes());
          const bool is_logical = kind == ReduceKind::kAny || kind == ReduceKind::kAll;
          const DType result = is_logical ? DType::kBool : dtype;
          Buffer wanted(result, kept_count(shape, mask)), got = wanted;
          planned.run(data.bytes.data(), wanted.bytes.data(), workspace);
          for (const bool has_memory : {false, true}) {
            const CopiedElements source(data, has_memory);
            std::fill(got.bytes.begin(), got.bytes.end(), char{1});
            planned.run(source, got.bytes.data(), workspace);
            EXPECT_TRUE(same(got, wanted)) << name_of(dtype) << to_string(shape) << " axes " << mask
                                           << " kind " << static_cast<int>(kind);
            EXPECT_TRUE(source.each_once()) << to_string(shape) << " axes " << mask;
          }
        }
      }
    }
  }
  EXPECT_GT(compared, 2000);
}

TEST(Reduce, EverySetOfAxesAndStrides) {
  const std::vector<float> data = random_floats(4 * 5 * 70 * 3, 1);
  const Shape shape{4, 5, 70, 3};
  const Strides dense{1050, 210, 3, 1};
  const Strides permuted_strides{1, 4, 20, 1400};
  const Strides reversed{-1050, 210, -3, 1};
  const int64_t reversed_start = 3 * 1050 + 69 * 3;
  const Strides repeated{0, 210, 3, 1};
  for (uint64_t mask = 0; mask < 16; ++mask) {
    for (ReduceKind kind : kKinds) {
      for (const Strides& strides : {dense, permuted_strides, reversed, repeated}) {
        const float* from = data.data() + (strides == reversed ? reversed_start : 0);
        const auto expected = naive_reduce(kind, from, shape, strides, mask);
        EXPECT_LT(largest_error(kernel_reduce(kind, from, shape, strides, mask), expected), 1e-5)
            << "mask " << mask << " kind " << static_cast<int>(kind) << " strides "
            << to_string(strides);
      }
    }
  }
}

template <class T>
class ReduceTyped : public testing::Test {};
using ElementTypes = testing::Types<bool, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t,
                                    uint32_t, uint64_t, float16, bfloat16, float, double>;
TYPED_TEST_SUITE(ReduceTyped, ElementTypes);

/// Of 24 numbers below 2: one unit of the last place in 16 bits, where the wide result is rounded
/// once; some in f32 and f64, where the order of the sum shows.
template <class T>
double tolerance() {
  if constexpr (std::is_same_v<T, bfloat16>) return 0x1p-7;
  if constexpr (std::is_same_v<T, float16>) return 0x1p-10;
  if constexpr (std::is_same_v<T, float>) return 8 * 0x1p-23;
  if constexpr (std::is_same_v<T, double>) return 8 * 0x1p-52;
  return 0;
}

TYPED_TEST(ReduceTyped, MatchesTheNaiveLoop) {
  using T = TypeParam;
  const std::vector<T> values = random_values<T>(6 * 4, 7);
  std::unique_ptr<T[]> data(new T[values.size()]);
  std::copy(values.begin(), values.end(), data.get());
  const Shape shape{6, 4};
  for (uint64_t mask : {1u, 2u, 3u}) {
    for (ReduceKind kind : kKinds) {
      std::vector<double> expected = naive_reduce(kind, data.get(), shape, Strides{4, 1}, mask);
      // Sums and products of narrow types wrap, those of bool are logical, those of halves are
      // rounded.
      for (double& value : expected) {
        const bool arithmetic = kind == ReduceKind::kSum || kind == ReduceKind::kProd;
        if (std::is_same_v<T, bool>)
          value = value != 0;
        else if constexpr (std::is_integral_v<T>)
          value = arithmetic && std::abs(value) > 4e18
                      ? NAN
                      : static_cast<double>(static_cast<T>(static_cast<int64_t>(value)));
        else if (arithmetic)
          value = static_cast<double>(widen(narrow<T>(value)));
      }
      const std::vector<double> got = kernel_reduce(kind, data.get(), shape, Strides{4, 1}, mask);
      ASSERT_EQ(got.size(), expected.size());
      for (size_t i = 0; i < got.size(); ++i) {
        if (!std::isnan(expected[i])) {
          EXPECT_NEAR(got[i], expected[i], tolerance<T>() * std::max(1.0, std::abs(expected[i])))
              << "mask " << mask << " kind " << static_cast<int>(kind);
        }
      }
    }
  }
}

TYPED_TEST(ReduceTyped, LongRunsOfIntegersAreExact) {
  using T = TypeParam;
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    for (int64_t count : {3, 17, 64, 333}) {
      for (int64_t stride : {1, 3}) {
        const std::vector<T> data = random_values<T>(count * stride, 8);
        uint64_t expected = 0;
        for (int64_t i = 0; i < count; ++i)
          expected += static_cast<uint64_t>(data[static_cast<size_t>(i * stride)]);
        T total = 0;
        reduce(ReduceKind::kSum, dtype_of<T>(), data.data(), Shape{count}, Strides{stride}, 1,
               &total);
        EXPECT_EQ(total, static_cast<T>(expected)) << count << " " << stride;
      }
    }
  }
}

TEST(Reduce, LargeShapesMatchAndDoNotDependOnThreads) {
  const std::vector<float> data = random_floats(300 * 1000, 2);
  struct Case {
    Shape shape;
    uint64_t mask;
  };
  for (const Case& c :
       {Case{{300000}, 1}, Case{{300, 1000}, 1}, Case{{300, 1000}, 2}, Case{{100000, 3}, 1},
        Case{{30000, 10}, 1}, Case{{100000, 3}, 2}, Case{{10, 100, 300}, 2}, Case{{3, 100000}, 1},
        Case{{2, 30, 50, 100}, 0b0110}}) {
    const Strides strides = dense_strides(c.shape);
    for (ReduceKind kind : {ReduceKind::kSum, ReduceKind::kMax}) {
      EXPECT_TRUE(same_for_all_thread_counts(
          [&] { return kernel_reduce(kind, data.data(), c.shape, strides, c.mask); }));
      const auto expected = naive_reduce(kind, data.data(), c.shape, strides, c.mask);
      EXPECT_LT(
          largest_error(kernel_reduce(kind, data.data(), c.shape, strides, c.mask), expected, 100),
          1e-6)
          << to_string(c.shape) << " mask " << c.mask;
    }
  }
}

TEST(Reduce, R_017_LongSumsStayAccurate) {
  const std::vector<float> ones(1 << 22, 0.1f);
  float total = 0;
  reduce(ReduceKind::kSum, DType::kF32, ones.data(), Shape{1 << 22}, Strides{1}, 1, &total);
  EXPECT_NEAR(total, 0.1f * static_cast<double>(1 << 22), 0.1);
  EXPECT_NEAR(sum_of_squares(DType::kF32, 1 << 22, ones.data()),
              static_cast<double>(0.1f) * 0.1f * (1 << 22), 0.02);
}

TEST(Reduce, NanWinsAndInfinityIsKept) {
  for (int64_t count : {1, 5, 33, 100}) {
    for (int64_t at = 0; at < count; at += 7) {
      std::vector<float> data = random_floats(count, 3);
      data[static_cast<size_t>(at)] = kNan;
      float result[2];
      reduce(ReduceKind::kMax, DType::kF32, data.data(), Shape{count}, Strides{1}, 1, result);
      reduce(ReduceKind::kMin, DType::kF32, data.data(), Shape{count}, Strides{1}, 1, result + 1);
      EXPECT_TRUE(std::isnan(result[0]) && std::isnan(result[1])) << count << " " << at;
      std::vector<float> column(static_cast<size_t>(count));
      reduce(ReduceKind::kMax, DType::kF32, data.data(), Shape{1, count}, Strides{count, 1}, 1,
             column.data());
      EXPECT_TRUE(std::isnan(column[static_cast<size_t>(at)]));
      EXPECT_TRUE(at + 1 >= count ||
                  column[static_cast<size_t>(at + 1)] == data[static_cast<size_t>(at + 1)]);
    }
  }
  const float infinite[] = {1, -kInf, 2};
  float result;
  reduce(ReduceKind::kMin, DType::kF32, infinite, Shape{3}, Strides{1}, 1, &result);
  EXPECT_EQ(result, -kInf);
}

TEST(Reduce, EmptyShapes) {
  float out[3] = {7, 7, 7};
  reduce(ReduceKind::kSum, DType::kF32, nullptr, Shape{3, 0}, Strides{0, 1}, 2, out);
  EXPECT_EQ(std::vector<float>(out, out + 3), (std::vector<float>{0, 0, 0}));
  reduce(ReduceKind::kMax, DType::kF32, nullptr, Shape{0, 3}, Strides{3, 1}, 1, out);
  EXPECT_EQ(out[2], -kInf);
  reduce(ReduceKind::kSum, DType::kF32, nullptr, Shape{0, 3}, Strides{3, 1}, 2, nullptr);
  const float scalar = 4;
  reduce(ReduceKind::kSum, DType::kF32, &scalar, Shape{}, Strides{}, 0, out);
  EXPECT_EQ(out[0], 4);
}

TEST(Reduce, SumOfSquaresOfEveryType) {
  const std::vector<float> values = random_floats(200000, 4);
  double expected = 0;
  for (float value : values) expected += static_cast<double>(value) * value;
  EXPECT_NEAR(sum_of_squares(DType::kF32, 200000, values.data()), expected, 1e-3);
  EXPECT_NEAR(sum_of_squares(DType::kBF16, 200000, converted<bfloat16>(values).data()), expected,
              expected * 1e-2);
  EXPECT_TRUE(same_for_all_thread_counts(
      [&] { return sum_of_squares(DType::kF32, 200000, values.data()); }));
  EXPECT_EQ(sum_of_squares(DType::kF64, 0, nullptr), 0);
}

TEST(ArgReduce, FirstWinsAndNanWins) {
  const float data[] = {1, 5, 5, 2, kNan, 9, kNan, 0};
  int32_t at[2];
  arg_reduce(ArgReduceKind::kMax, DType::kF32, data, Shape{2, 4}, Strides{4, 1}, 1, DType::kI32,
             at);
  EXPECT_EQ(at[0], 1);
  EXPECT_EQ(at[1], 0);
  int64_t down[4];
  arg_reduce(ArgReduceKind::kMin, DType::kF32, data, Shape{2, 4}, Strides{4, 1}, 0, DType::kI64,
             down);
  EXPECT_EQ(std::vector<int64_t>(down, down + 4), (std::vector<int64_t>{1, 0, 1, 1}));
  EXPECT_THROW(
      arg_reduce(ArgReduceKind::kMin, DType::kF32, data, Shape{0}, Strides{1}, 0, DType::kI32, at),
      ShapeError);
  EXPECT_THROW(
      arg_reduce(ArgReduceKind::kMin, DType::kF32, data, Shape{1}, Strides{1}, 0, DType::kI8, at),
      DTypeError);
}

TEST(ArgReduce, MatchesTheNaiveLoopOnEveryAxis) {
  const std::vector<int16_t> data = random_values<int16_t>(7 * 90 * 11, 5);
  const Shape shape{7, 90, 11};
  for (const Strides& strides : {Strides{990, 11, 1}, Strides{1, 7, 630}}) {
    for (int64_t axis = 0; axis < 3; ++axis) {
      const uint64_t mask = uint64_t(1) << axis;
      const size_t count = static_cast<size_t>(kept_count(shape, mask));
      std::vector<int64_t> got(count), best(count, -1000), seen(count, 0), expected(count);
      arg_reduce(ArgReduceKind::kMax, DType::kI16, data.data(), shape, strides, axis, DType::kI64,
                 got.data());
      for_elements(shape, strides, mask, [&](int64_t from, int64_t to) {
        const size_t i = static_cast<size_t>(to);
        if (data[static_cast<size_t>(from)] > best[i])
          best[i] = data[static_cast<size_t>(from)], expected[i] = seen[i];
        ++seen[i];
      });
      EXPECT_EQ(got, expected) << axis;
    }
  }
}

TEST(Scan, KindsDirectionsAndAxes) {
  const int32_t data[] = {1, 2, 3, 4, 5, 6};
  int32_t out[6];
  const auto result = [&] { return std::vector<int32_t>(out, out + 6); };
  scan(ScanKind::kSum, DType::kI32, data, Shape{2, 3}, Strides{3, 1}, 1, false, out);
  EXPECT_EQ(result(), (std::vector<int32_t>{1, 3, 6, 4, 9, 15}));
  scan(ScanKind::kSum, DType::kI32, data, Shape{2, 3}, Strides{3, 1}, 1, true, out);
  EXPECT_EQ(result(), (std::vector<int32_t>{6, 5, 3, 15, 11, 6}));
  scan(ScanKind::kProd, DType::kI32, data, Shape{2, 3}, Strides{3, 1}, 0, false, out);
  EXPECT_EQ(result(), (std::vector<int32_t>{1, 2, 3, 4, 10, 18}));
  scan(ScanKind::kMin, DType::kI32, data, Shape{3, 2}, Strides{1, 3}, 0, true, out);
  EXPECT_EQ(result(), (std::vector<int32_t>{1, 4, 2, 5, 3, 6}));
  EXPECT_THROW(scan(ScanKind::kLogSumExp, DType::kI32, data, Shape{6}, Strides{1}, 0, false, out),
               DTypeError);
}

std::vector<float> running_sums(const std::vector<float>& x, bool reverse) {
  std::vector<float> out(x.size());
  const int64_t n = static_cast<int64_t>(x.size());
  scan(ScanKind::kSum, DType::kF32, x.data(), Shape{n}, Strides{1}, 0, reverse, out.data());
  return out;
}

TEST(Scan, AdjacentFloatsAreSummedInDouble) {
  for (const int64_t length : {2, 7, 8, 9, 1000, 8192, 16391, 40000}) {
    std::vector<float> x(static_cast<size_t>(length));
    // Neighbours of opposite sign: what rounding to f32 on the way would lose is all there is.
    for (int64_t i = 0; i < length; ++i)
      x[static_cast<size_t>(i)] = (i % 2 ? -1.0f : 1.0f) * (1e6f + static_cast<float>(i % 97));
    for (const bool reverse : {false, true}) {
      SCOPED_TRACE(testing::Message() << length << (reverse ? " backwards" : ""));
      const std::vector<float> got = running_sums(x, reverse);
      double sum = 0;
      for (int64_t k = 0; k < length; ++k) {
        const auto i = static_cast<size_t>(reverse ? length - 1 - k : k);
        sum += static_cast<double>(x[i]);
        ASSERT_EQ(got[i], static_cast<float>(sum)) << k;
      }
    }
  }
}

TEST(Scan, RunningSumsOfFloatsKeepSignsNanAndInfinity) {
  for (const bool reverse : {false, true}) {
    for (const float zero : running_sums(std::vector<float>(21, -0.0f), reverse))
      EXPECT_TRUE(zero == 0 && std::signbit(zero));
  }
  std::vector<float> x(30, 1.0f);
  x[12] = kInf, x[20] = -kInf;
  const std::vector<float> got = running_sums(x, false);
  EXPECT_EQ(got[11], 12);
  EXPECT_EQ(got[19], kInf);
  EXPECT_TRUE(std::isnan(got[20]) && std::isnan(got[29]));
}

TEST(Scan, RunningSumsOfFloatsAreThoseOfEveryInstructionSet) {
  std::vector<float> x(20000);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = std::ldexp(std::sin(static_cast<float>(i)), static_cast<int>(i * 7919 % 120) - 60);
  for (const bool reverse : {false, true}) {
    const std::vector<float> expected = running_sums(x, reverse);
    for (const int64_t target : test::InstructionSet::all()) {
      const test::InstructionSet only(target);
      EXPECT_EQ(running_sums(x, reverse), expected) << hwy::TargetName(target);
    }
  }
}

TEST(Scan, FloatsNanAndLogSumExp) {
  const float data[] = {1, kNan, 3, -kInf, 0.5f, 2};
  float out[6];
  scan(ScanKind::kMax, DType::kF32, data, Shape{2, 3}, Strides{3, 1}, 1, false, out);
  EXPECT_EQ(out[0], 1);
  EXPECT_TRUE(std::isnan(out[1]) && std::isnan(out[2]));
  scan(ScanKind::kLogSumExp, DType::kF32, data + 3, Shape{3}, Strides{1}, 0, false, out);
  EXPECT_EQ(out[0], -kInf);
  EXPECT_FLOAT_EQ(out[1], 0.5f);
  EXPECT_FLOAT_EQ(out[2], std::log(std::exp(0.5f) + std::exp(2.0f)));
  scan(ScanKind::kSum, DType::kF32, nullptr, Shape{0, 3}, Strides{3, 1}, 0, false, nullptr);
}

TEST(Sort, StableWithNanLast) {
  const float data[] = {2, kNan, -1, 2, -kInf, -0.0f, 0.0f, kInf};
  int32_t order[8];
  argsort(DType::kF32, 1, 8, data, false, DType::kI32, order);
  EXPECT_EQ(std::vector<int32_t>(order, order + 8), (std::vector<int32_t>{4, 2, 5, 6, 0, 3, 7, 1}));
  argsort(DType::kF32, 1, 8, data, true, DType::kI32, order);
  EXPECT_EQ(std::vector<int32_t>(order, order + 8), (std::vector<int32_t>{1, 7, 0, 3, 5, 6, 2, 4}));
  float sorted[8];
  sort(DType::kF32, 1, 8, data, false, sorted);
  EXPECT_EQ(sorted[0], -kInf);
  EXPECT_TRUE(std::isnan(sorted[7]));
  EXPECT_THROW(argsort(DType::kF32, 1, 8, data, false, DType::kF32, order), DTypeError);
}

template <class T>
void check_sort(int64_t rows, int64_t length) {
  const std::vector<T> data = random_values<T>(rows * length, 6);
  std::vector<int64_t> order(static_cast<size_t>(rows * length));
  argsort(dtype_of<T>(), rows, length, data.data(), false, DType::kI64, order.data());
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<int64_t> expected(static_cast<size_t>(length));
    for (int64_t i = 0; i < length; ++i) expected[static_cast<size_t>(i)] = i;
    std::stable_sort(expected.begin(), expected.end(), [&](int64_t a, int64_t b) {
      return widen(data[static_cast<size_t>(row * length + a)]) <
             widen(data[static_cast<size_t>(row * length + b)]);
    });
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), order.begin() + row * length));
  }
}

TEST(Sort, MatchesTheStandardLibrary) {
  check_sort<float>(3, 5000);
  check_sort<double>(2, 3000);
  check_sort<bfloat16>(2, 2000);
  check_sort<int8_t>(5, 700);
  check_sort<int64_t>(4, 100);
  check_sort<uint16_t>(1, 513);
}

}  // namespace
}  // namespace linnet::cpu::reduce_test
