#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/cpu/index/gather.h"
#include "kernels/cpu/index/strided_copy.h"
#include "linnet/error.h"
#include "linnet/shape.h"
#include "tests/kernels/kernel_test_data.h"

namespace linnet::cpu::index_test {
namespace {

// The functions with workspaces of their own.
void gather(const GatherOperands& g, const GatherDimensions& dims, const Shape& slice_sizes,
            IndexMode mode, const void* fill, void* out) {
  OwnWorkspace workspace(index_workspace(g.indices_shape));
  cpu::gather(g, dims, slice_sizes, mode, fill, out, workspace);
}
void take_rows(DType dtype, const void* table, int64_t rows, int64_t width, DType index_dtype,
               const void* indices, int64_t count, IndexMode mode, const void* fill, void* out) {
  OwnWorkspace workspace(index_workspace(Shape{count}));
  cpu::take_rows(dtype, table, rows, width, index_dtype, indices, count, mode, fill, out,
                 workspace);
}
void scatter(const ScatterOperands& s, const ScatterDimensions& dims, IndexMode mode) {
  OwnWorkspace workspace(index_workspace(s.indices_shape));
  cpu::scatter(s, dims, mode, workspace);
}
void scatter_rows(ScatterKind kind, DType dtype, void* out, int64_t rows, int64_t width,
                  DType index_dtype, const void* indices, int64_t count, const void* updates,
                  IndexMode mode) {
  OwnWorkspace workspace(index_workspace(Shape{count, 1}));
  cpu::scatter_rows(kind, dtype, out, rows, width, index_dtype, indices, count, updates, mode,
                    workspace);
}

std::vector<float> counting(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

TEST(StridedCopy, TransposesReversesAndRepeats) {
  const int64_t rows = 67, columns = 130;
  const std::vector<float> data = counting(rows * columns);
  std::vector<float> out(data.size());
  strided_copy(4, Shape{columns, rows}, data.data(), Strides{1, columns}, out.data(),
               Strides{rows, 1});
  for (int64_t i = 0; i < columns; ++i) {
    for (int64_t j = 0; j < rows; ++j)
      ASSERT_EQ(out[static_cast<size_t>(i * rows + j)], data[static_cast<size_t>(j * columns + i)]);
  }
  strided_copy(4, Shape{rows * columns}, data.data() + rows * columns - 1, Strides{-1}, out.data(),
               Strides{1});
  EXPECT_EQ(out[0], data.back());
  EXPECT_EQ(out.back(), data[0]);
  std::vector<float> repeated(6);
  strided_copy(4, Shape{2, 3}, data.data() + 1, Strides{0, 1}, repeated.data(), Strides{3, 1});
  EXPECT_EQ(repeated, (std::vector<float>{1, 2, 3, 1, 2, 3}));
  EXPECT_THROW(strided_copy(3, Shape{1}, data.data(), Strides{1}, out.data(), Strides{1}),
               ValueError);
}

TEST(StridedCopy, EveryElementSizeAndManyDimensions) {
  const std::vector<uint16_t> data = random_values<uint16_t>(2 * 3 * 4 * 5, 1);
  std::vector<uint16_t> out(data.size());
  strided_copy(2, Shape{5, 3, 2, 4}, data.data(), Strides{1, 20, 60, 5}, out.data(),
               Strides{24, 8, 4, 1});
  for (size_t a = 0; a < 5; ++a) {
    for (size_t b = 0; b < 3; ++b) {
      for (size_t c = 0; c < 2; ++c) {
        for (size_t d = 0; d < 4; ++d)
          ASSERT_EQ(out[a * 24 + b * 8 + c * 4 + d], data[a + b * 20 + c * 60 + d * 5]);
      }
    }
  }
}

TEST(StridedCopy, LargeFills) {
  std::vector<uint16_t> out((5 << 20) + 3, 7);
  const uint16_t value = 513;
  strided_fill(2, Shape{5, 1 << 20}, &value, out.data() + 1, Strides{1 << 20, 1});
  EXPECT_EQ(out[0], 7);
  EXPECT_EQ(std::count(out.begin() + 1, out.end() - 2, value), 5 << 20);
  EXPECT_EQ(out.back(), 7);
}

TEST(Slice, StartsAreMovedInside) {
  const std::vector<float> data = counting(12);
  float out[4];
  dynamic_slice(DType::kF32, data.data(), Shape{3, 4}, Strides{4, 1}, Shape{5, -2}, Shape{2, 2},
                out);
  EXPECT_EQ(std::vector<float>(out, out + 4), (std::vector<float>{4, 5, 8, 9}));
  std::vector<float> target = data;
  const float update[] = {-1, -2};
  dynamic_update_slice(DType::kF32, target.data(), Shape{3, 4}, update, Shape{1, 2}, Strides{2, 1},
                       Shape{1, 9});
  EXPECT_EQ(target[6], -1);
  EXPECT_EQ(target[7], -2);
  EXPECT_EQ(target[8], 8);
  EXPECT_THROW(dynamic_slice(DType::kF32, data.data(), Shape{3, 4}, Strides{4, 1}, Shape{0, 0},
                             Shape{4, 2}, out),
               ShapeError);
}

std::vector<float> padded(const std::vector<float>& data, const Shape& shape,
                          std::vector<PadDimension> padding, int64_t size) {
  std::vector<float> out(static_cast<size_t>(size), 99);
  const float value = -1;
  pad(DType::kF32, data.data(), shape, dense_strides(shape), padding, &value, out.data());
  return out;
}

TEST(Pad, LowHighInteriorAndNegative) {
  const std::vector<float> data{1, 2, 3};
  EXPECT_EQ(padded(data, {3}, {{1, 2, 0}}, 6), (std::vector<float>{-1, 1, 2, 3, -1, -1}));
  EXPECT_EQ(padded(data, {3}, {{0, 0, 2}}, 7), (std::vector<float>{1, -1, -1, 2, -1, -1, 3}));
  EXPECT_EQ(padded(data, {3}, {{-1, 1, 0}}, 3), (std::vector<float>{2, 3, -1}));
  EXPECT_EQ(padded(data, {3}, {{-1, -1, 1}}, 3), (std::vector<float>{-1, 2, -1}));
  EXPECT_EQ(padded(data, {3}, {{-2, -2, 0}}, 0), std::vector<float>{});
  EXPECT_EQ(padded(data, {3}, {{-4, 3, 0}}, 2), (std::vector<float>{-1, -1}));
  EXPECT_EQ(padded({}, {0}, {{1, 1, 3}}, 2), (std::vector<float>{-1, -1}));
  EXPECT_EQ(padded({1, 2, 3, 4}, {2, 2}, {{0, 1, 0}, {1, 0, 1}}, 12),
            (std::vector<float>{-1, 1, -1, 2, -1, 3, -1, 4, -1, -1, -1, -1}));
}

TEST(Concatenate, PartsAlongAnAxis) {
  const float a[] = {1, 2}, b[] = {3, 4, 5, 6};
  float out[6];
  concatenate_part(DType::kF32, a, Strides{1, 1}, 1, Shape{2, 3}, 1, 0, out);
  concatenate_part(DType::kF32, b, Strides{2, 1}, 2, Shape{2, 3}, 1, 1, out);
  EXPECT_EQ(std::vector<float>(out, out + 6), (std::vector<float>{1, 3, 4, 2, 5, 6}));
}

TEST(Iota, AlongAnAxis) {
  int32_t out[6];
  iota(DType::kI32, Shape{2, 3}, 0, out);
  EXPECT_EQ(std::vector<int32_t>(out, out + 6), (std::vector<int32_t>{0, 0, 0, 1, 1, 1}));
  iota(DType::kI32, Shape{2, 3}, 1, out);
  EXPECT_EQ(std::vector<int32_t>(out, out + 6), (std::vector<int32_t>{0, 1, 2, 0, 1, 2}));
}

constexpr float kFill = -7;

TEST(TakeRows, Modes) {
  const std::vector<float> table = counting(6);
  const int32_t ids[] = {2, -1, 0, 3};
  float out[8];
  take_rows(DType::kF32, table.data(), 3, 2, DType::kI32, ids, 4, IndexMode::kClip, nullptr, out);
  EXPECT_EQ(std::vector<float>(out, out + 8), (std::vector<float>{4, 5, 0, 1, 0, 1, 4, 5}));
  take_rows(DType::kF32, table.data(), 3, 2, DType::kI32, ids, 4, IndexMode::kFill, &kFill, out);
  EXPECT_EQ(std::vector<float>(out, out + 8), (std::vector<float>{4, 5, -7, -7, 0, 1, -7, -7}));
  EXPECT_THROW(take_rows(DType::kF32, table.data(), 3, 2, DType::kF32, ids, 4, IndexMode::kClip,
                         nullptr, out),
               DTypeError);
  EXPECT_THROW(take_rows(DType::kF32, table.data(), 0, 2, DType::kI32, ids, 4, IndexMode::kClip,
                         nullptr, out),
               ShapeError);
}

TEST(Gather, RowsAgreeWithTheFastPath) {
  const std::vector<float> table = random_floats(50 * 17, 3);
  const std::vector<int64_t> ids = random_values<int64_t>(60, 4);
  const GatherDimensions dims{Axes{2}, Axes{0}, Axes{0}, Axes{}, Axes{}};
  for (IndexMode mode : {IndexMode::kClip, IndexMode::kFill}) {
    const GatherOperands operands{DType::kF32, table.data(), Shape{50, 17},   Strides{17, 1},
                                  DType::kI64, ids.data(),   Shape{6, 10, 1}, Strides{10, 1, 1}};
    EXPECT_EQ(gather_shape(dims, operands.indices_shape, Shape{1, 17}), (Shape{6, 10, 17}));
    std::vector<float> general(60 * 17), rows(60 * 17);
    gather(operands, dims, Shape{1, 17}, mode, &kFill, general.data());
    take_rows(DType::kF32, table.data(), 50, 17, DType::kI64, ids.data(), 60, mode, &kFill,
              rows.data());
    EXPECT_EQ(general, rows);
  }
}

TEST(Gather, WindowsWithTwoComponentsAndLeadingOffsets) {
  const std::vector<float> data = counting(12);  // [3, 4]
  const int32_t starts[] = {0, 1, 2, 2, 1, 3};   // three index vectors (row, column)
  const GatherDimensions dims{Axes{0, 1}, Axes{}, Axes{0, 1}, Axes{}, Axes{}};
  const GatherOperands operands{DType::kF32, data.data(), Shape{3, 4}, Strides{4, 1},
                                DType::kI32, starts,      Shape{3, 2}, Strides{2, 1}};
  std::vector<float> out(2 * 2 * 3);
  gather(operands, dims, Shape{2, 2}, IndexMode::kClip, nullptr, out.data());  // result [2, 2, 3]
  const float rows[] = {0, 1, 1}, columns[] = {1, 2, 2};  // starts after moving inside
  for (size_t i = 0; i < 2; ++i) {
    for (size_t j = 0; j < 2; ++j) {
      for (size_t n = 0; n < 3; ++n) {
        EXPECT_EQ(out[i * 6 + j * 3 + n],
                  (rows[n] + static_cast<float>(i)) * 4 + columns[n] + static_cast<float>(j));
      }
    }
  }
  gather(operands, dims, Shape{2, 2}, IndexMode::kFill, &kFill, out.data());
  EXPECT_EQ(out[0], 1);
  EXPECT_EQ(out[1], kFill);
  EXPECT_EQ(out[2], kFill);
}

TEST(Gather, BatchingDimensions) {
  const std::vector<float> data = counting(2 * 3 * 4);
  const int32_t starts[] = {2, 0, 1, 3};  // [2, 2, 1]
  const GatherDimensions dims{Axes{2}, Axes{}, Axes{2}, Axes{0}, Axes{0}};
  const GatherOperands operands{DType::kF32, data.data(), Shape{2, 3, 4}, Strides{12, 4, 1},
                                DType::kI32, starts,      Shape{2, 2, 1}, Strides{2, 1, 1}};
  GatherDimensions full = dims;
  full.offset_dims = Axes{2, 3};
  std::vector<float> out(2 * 2 * 3 * 1);
  gather(operands, full, Shape{1, 3, 1}, IndexMode::kClip, nullptr, out.data());  // [2, 2, 3, 1]
  for (size_t b = 0; b < 2; ++b) {
    for (size_t n = 0; n < 2; ++n) {
      for (size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(out[b * 6 + n * 3 + i],
                  static_cast<float>(b * 12 + i * 4) + static_cast<float>(starts[b * 2 + n]));
      }
    }
  }
  EXPECT_THROW(gather(operands, dims, Shape{1, 3, 1}, IndexMode::kClip, nullptr, out.data()),
               ShapeError);
  EXPECT_THROW(gather(operands, full, Shape{1, 3, 9}, IndexMode::kClip, nullptr, out.data()),
               ShapeError);
}

std::vector<float> scattered(ScatterKind kind, IndexMode mode) {
  std::vector<float> out{1, 2, 3, 4, 5, 6};  // [3, 2]
  const int32_t ids[] = {2, 0, 2, 5};
  const float updates[] = {10, 20, -1, -2, 3, 50, 7, 8};
  scatter_rows(kind, DType::kF32, out.data(), 3, 2, DType::kI32, ids, 4, updates, mode);
  return out;
}

TEST(Scatter, KindsAndModes) {
  EXPECT_EQ(scattered(ScatterKind::kAdd, IndexMode::kFill),
            (std::vector<float>{0, 0, 3, 4, 18, 76}));
  EXPECT_EQ(scattered(ScatterKind::kAdd, IndexMode::kClip),
            (std::vector<float>{0, 0, 3, 4, 25, 84}));
  EXPECT_EQ(scattered(ScatterKind::kUpdate, IndexMode::kFill),
            (std::vector<float>{-1, -2, 3, 4, 3, 50}));
  EXPECT_EQ(scattered(ScatterKind::kMul, IndexMode::kFill),
            (std::vector<float>{-1, -4, 3, 4, 150, 6000}));
  EXPECT_EQ(scattered(ScatterKind::kMin, IndexMode::kFill),
            (std::vector<float>{-1, -2, 3, 4, 3, 6}));
  EXPECT_EQ(scattered(ScatterKind::kMax, IndexMode::kFill),
            (std::vector<float>{1, 2, 3, 4, 10, 50}));
}

TEST(Scatter, NanWinsInMinAndMax) {
  float out[] = {1, std::numeric_limits<float>::quiet_NaN()};
  const int32_t ids[] = {0, 1};
  const float updates[] = {std::numeric_limits<float>::quiet_NaN(), 3};
  scatter_rows(ScatterKind::kMax, DType::kF32, out, 2, 1, DType::kI32, ids, 2, updates,
               IndexMode::kFill);
  EXPECT_TRUE(std::isnan(out[0]) && std::isnan(out[1]));
}

TEST(Scatter, RepeatedRowsDoNotDependOnThreads) {
  const std::vector<float> updates = random_floats(2000 * 40, 8);
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 2000; ++i) ids.push_back(i * i % 13);
  const auto run = [&] {
    std::vector<float> out(13 * 40, 0.25f);
    scatter_rows(ScatterKind::kAdd, DType::kF32, out.data(), 13, 40, DType::kI32, ids.data(), 2000,
                 updates.data(), IndexMode::kFill);
    return out;
  };
  EXPECT_TRUE(same_for_all_thread_counts(run));
  std::vector<double> expected(13 * 40, 0.25);
  for (size_t i = 0; i < 2000; ++i) {
    for (size_t c = 0; c < 40; ++c)
      expected[static_cast<size_t>(ids[i]) * 40 + c] += updates[i * 40 + c];
  }
  EXPECT_LT(largest_error(run(), expected), 1e-5);
}

TEST(Scatter, IsTheTransposeOfGather) {
  // <gather(x), y> = <x, scatter_add(0, y)> for windows, clipped starts and transposed updates.
  const std::vector<double> x = random_values<double>(5 * 6, 9),
                            y = random_values<double>(4 * 2 * 3, 10);
  const std::vector<int32_t> starts{0, 0, 3, 4, -2, 1, 2, 2};
  const GatherDimensions take{Axes{1, 2}, Axes{}, Axes{0, 1}, Axes{}, Axes{}};
  const GatherOperands from{DType::kF64, x.data(),      Shape{5, 6}, Strides{6, 1},
                            DType::kI32, starts.data(), Shape{4, 2}, Strides{2, 1}};
  std::vector<double> gathered(24), added(30, 0.0);
  gather(from, take, Shape{2, 3}, IndexMode::kClip, nullptr, gathered.data());
  const ScatterDimensions put{Axes{1, 2}, Axes{}, Axes{0, 1}, Axes{}, Axes{}};
  scatter({ScatterKind::kAdd, DType::kF64, added.data(), Shape{5, 6}, DType::kI32, starts.data(),
           Shape{4, 2}, Strides{2, 1}, y.data(), Shape{4, 2, 3}, Strides{6, 3, 1}},
          put, IndexMode::kClip);
  EXPECT_NEAR(std::inner_product(gathered.begin(), gathered.end(), y.begin(), 0.0),
              std::inner_product(added.begin(), added.end(), x.begin(), 0.0), 1e-12);
}

TEST(Scatter, ScalarsIntoAHistogram) {
  std::vector<int32_t> out(4, 0);
  const uint8_t ids[] = {1, 3, 1, 200, 1};
  const int32_t one[] = {1};
  scatter({ScatterKind::kAdd, DType::kI32, out.data(), Shape{4}, DType::kU8, ids, Shape{5, 1},
           Strides{1, 1}, one, Shape{5}, Strides{0}},
          {Axes{}, Axes{0}, Axes{0}, Axes{}, Axes{}}, IndexMode::kFill);
  EXPECT_EQ(out, (std::vector<int32_t>{0, 3, 0, 1}));
}

}  // namespace
}  // namespace linnet::cpu::index_test
