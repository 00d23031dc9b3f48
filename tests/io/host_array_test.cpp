#include "linnet/io/host_array.h"

#include "tests/io/io_test_utils.h"

namespace linnet::host_array_test {
namespace {

using testing::expect_error;

TEST(HostArray, CopiesValuesAndSharesStorage) {
  std::vector<float> values{1, 2, 3, 4, 5, 6};
  const HostArray array = host_array<float>({2, 3}, values);
  values[0] = 9;
  EXPECT_EQ(array.size(), 6);
  EXPECT_EQ(array.byte_size(), 24u);
  EXPECT_EQ(array.values<float>()[0], 1.0f);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(array.data) % 64, 0u);
  const HostArray copy = array;
  EXPECT_EQ(copy.data, array.data);
}

TEST(HostArray, AnEmptyArrayHasNoValuesAndAScalarHasOne) {
  EXPECT_EQ(HostArray{}.byte_size(), 0u);
  EXPECT_EQ(host_array<double>({3, 0}, std::vector<double>{}).size(), 0);
  EXPECT_EQ(host_array<double>({}, std::vector<double>{2.5}).values<double>()[0], 2.5);
}

TEST(HostArray, RefusesWrongCountsAndTypes) {
  expect_error<ShapeError>(
      [] {
        host_array<float>({2, 2}, std::vector<float>{1});
      },
      {"f32[2,2]", "4 bytes"});
  expect_error<ShapeError>([] { allocate_host_array(DType::kF32, {-1}); }, {"negative"});
  const HostArray array = host_array<float>({1}, std::vector<float>{1});
  expect_error<DTypeError>([&] { array.values<int32_t>(); }, {"f32[1]", "i32"});
}

TEST(HostArray, CheckedByteSizeFindsEveryOverflow) {
  EXPECT_EQ(checked_byte_size(Shape{2, 3}, 4), 24);
  EXPECT_EQ(checked_byte_size(Shape{}, 8), 8);
  EXPECT_EQ(checked_byte_size(Shape{5, 0, 7}, 8), 0);
  const int64_t big = int64_t{1} << 32;
  EXPECT_EQ(checked_byte_size(Shape{big, big}, 1), std::nullopt);
  EXPECT_EQ(checked_byte_size(Shape{big, big, 0}, 1), std::nullopt);
  EXPECT_EQ(checked_byte_size(Shape{0, big, big}, 1), std::nullopt);
  EXPECT_EQ(checked_byte_size(Shape{INT64_MAX}, 2), std::nullopt);
  EXPECT_EQ(checked_byte_size(Shape{INT64_MAX}, 1), INT64_MAX);
  EXPECT_EQ(checked_byte_size(Shape{-1, -1}, 4), std::nullopt);
}

}  // namespace
}  // namespace linnet::host_array_test
