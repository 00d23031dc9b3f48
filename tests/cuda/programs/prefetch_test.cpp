// Batches are on the device before they are wanted, and nobody waits for them.
#include "linnet/data/prefetch.h"

#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/cuda.h"

namespace linnet::prefetch_test {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0};

struct Batch {
  Tensor image, label;
  LINNET_FIELDS(image, label)
};

/// Gives `count` batches that hold their number.
auto numbered(int& given, int count) {
  return [&given, count]() -> std::optional<Batch> {
    if (given == count) return std::nullopt;
    const int number = given++;
    return Batch{full({64, 32}, static_cast<float>(number)),
                 full({64}, number).astype(DType::kI32)};
  };
}

TEST(Prefetch, hands_out_all_batches_in_order_on_the_device) {
  int given = 0;
  data::Prefetch batches(numbered(given, 5), kGpu);
  for (int number = 0; number < 5; ++number) {
    const std::optional<Batch> batch = batches.next();
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->image.device(), kGpu);
    EXPECT_EQ(batch->image[0][0].item<float>(), static_cast<float>(number));
    EXPECT_EQ(batch->label[63].item<int32_t>(), number);
    EXPECT_EQ(given, std::min(5, number + 3));
  }
  EXPECT_FALSE(batches.next());
  EXPECT_FALSE(batches.next());
}

TEST(Prefetch, copies_go_on_beside_steps_that_are_not_waited_for) {
  int given = 0;
  data::Prefetch batches(numbered(given, 14), kGpu, {.ahead = 3});
  const auto step = jit([](Tensor& sum_of_all, const Batch& batch) {
    sum_of_all = sum_of_all + sum(batch.image * 2.f) + sum(batch.label.astype(DType::kF32));
  });
  Tensor total = full({}, 0.f).to(kGpu);
  for (int turn = 0; turn < 3; ++turn) step(total, *batches.next());  // compiles
  synchronize(kGpu);
  const cuda::Statistics before = cuda::statistics();
  for (int turn = 1; turn < 8; ++turn) {
    step(total, *batches.next());
    EXPECT_EQ(given, turn + 6) << "batches ahead are on their way";
    EXPECT_EQ(cuda::statistics().uploads - before.uploads, 2u * static_cast<unsigned>(turn));
  }
  while (const std::optional<Batch> batch = batches.next()) step(total, *batch);
  const cuda::Statistics after = cuda::statistics();
  EXPECT_EQ(after.waits, before.waits) << "of the host for the device";
  EXPECT_EQ(after.downloads, before.downloads);
  EXPECT_EQ(total.item<float>(), 91.f * (64 * 32 * 2 + 64));
}

TEST(Prefetch, an_error_comes_after_the_batches_before_it) {
  int given = 0;
  data::Prefetch batches(
      [&]() -> std::optional<Tensor> {
        if (given == 2) throw IoError("shard 2: damaged");
        return full({4}, static_cast<float>(given++));
      },
      kGpu, {.ahead = 4});
  EXPECT_EQ(batches.next()->device(), kGpu);
  EXPECT_TRUE(batches.next());
  EXPECT_THROW(batches.next(), IoError);
  EXPECT_FALSE(batches.next()) << "it is said once";
}

}  // namespace
}  // namespace linnet::prefetch_test
