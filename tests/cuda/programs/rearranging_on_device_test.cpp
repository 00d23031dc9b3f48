// Operations that move elements, on `cuda:0` against the CPU: equal bit for bit.
#include <gtest/gtest.h>

#include "core/ops/creation.h"
#include "linnet/core.h"
#include "linnet/cuda.h"
#include "ops/op_checks.h"

namespace linnet::testing::rearranging_on_device_test {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0};
constexpr DType kSizes[] = {DType::kU8, DType::kBF16, DType::kF32, DType::kF64};

Tensor numbered(DType dtype, const Shape& shape) {
  return astype(reshape(arange(element_count(shape)), shape), dtype);
}

/// Runs `f` on both devices; on the GPU no kernel of the host may be asked. `kernels` is the least
/// number of launches and copies that must be seen.
template <class F>
void expect_same(const TensorList& operands, const F& f) {
  TensorList there;
  for (const Tensor& x : operands) there.push_back(x.to(kGpu));
  const uint64_t hosted = cuda::statistics().host_kernels;
  const Tensor got = f(there);
  EXPECT_EQ(cuda::statistics().host_kernels, hosted);
  EXPECT_EQ(got.device(), kGpu);
  EXPECT_EQ(difference({got.to(kCpu)}, {f(operands)}, 0), "");
}

Tensor dense(const Tensor& x) { return emit_one(copy_primitive(), {x}); }

TEST(RearrangingOnDevice, transposes_of_all_sizes_of_elements) {
  for (const DType dtype : kSizes) {
    SCOPED_TRACE(name_of(dtype));
    for (const Shape& shape : {Shape{64, 64}, Shape{100, 70}, Shape{17, 33}, Shape{5, 9}}) {
      expect_same({numbered(dtype, shape)},
                  [](const TensorList& x) { return dense(transpose(x[0])); });
    }
    expect_same({numbered(dtype, {3, 40, 5, 20})}, [](const TensorList& x) {
      return dense(transpose(x[0], {0, 3, 2, 1}));
    });
    expect_same({numbered(dtype, {4, 24, 6})}, [](const TensorList& x) {
      return dense(transpose(x[0], {1, 0, 2}));
    });
  }
}

TEST(RearrangingOnDevice, broadcasts) {
  for (const DType dtype : kSizes) {
    SCOPED_TRACE(name_of(dtype));
    for (const int64_t count : {1, 5, 64, 1000, 5003}) {
      expect_same({numbered(dtype, {})},
                  [&](const TensorList& x) { return dense(broadcast_to(x[0], {count})); });
    }
    expect_same({numbered(dtype, {48})}, [](const TensorList& x) {
      return dense(broadcast_to(x[0], {7, 48}));
    });
    expect_same({numbered(dtype, {7, 1})}, [](const TensorList& x) {
      return dense(broadcast_to(x[0], {7, 48}));
    });
  }
}

TEST(RearrangingOnDevice, slices_and_reversals) {
  for (const DType dtype : kSizes) {
    SCOPED_TRACE(name_of(dtype));
    const Tensor x = numbered(dtype, {6, 10, 32});
    expect_same({x}, [](const TensorList& t) { return dense(slice(t[0], {1, 2, 0}, {5, 9, 32})); });
    expect_same({x}, [](const TensorList& t) { return dense(slice(t[0], {1, 2, 3}, {5, 9, 30})); });
    expect_same({x}, [](const TensorList& t) {
      return dense(slice(t[0], {0, 1, 3}, {6, 10, 31}, {2, 3, 5}));
    });
    expect_same({x}, [](const TensorList& t) { return flip(t[0], {0, 2}); });
    expect_same({x}, [](const TensorList& t) { return dense(flip(t[0], {1})); });
  }
}

TEST(RearrangingOnDevice, concatenations) {
  for (const DType dtype : kSizes) {
    SCOPED_TRACE(name_of(dtype));
    for (const int64_t axis : {0, 1, 2}) {
      const Tensor a = numbered(dtype, {3, 4, 16});
      Shape longer{3, 4, 16};
      longer[static_cast<size_t>(axis)] = 5;
      expect_same({a, numbered(dtype, longer), a}, [&](const TensorList& x) {
        return concatenate({x[0], x[1], x[2]}, axis);
      });
    }
    expect_same({numbered(dtype, {20, 30})}, [](const TensorList& x) {
      return concatenate({transpose(x[0]), transpose(x[0])}, 1);
    });
  }
}

TEST(RearrangingOnDevice, padding_at_the_ends_between_elements_and_negative) {
  for (const DType dtype : kSizes) {
    SCOPED_TRACE(name_of(dtype));
    const Tensor x = numbered(dtype, {5, 9}), value = numbered(dtype, {1});
    for (const std::vector<PadDim>& padding :
         std::vector<std::vector<PadDim>>{{{1, 2, 0}, {3, 0, 0}},
                                          {{0, 0, 2}, {1, 1, 1}},
                                          {{-1, -2, 0}, {-3, 4, 0}},
                                          {{-2, 1, 1}, {-1, -5, 2}},
                                          {{-5, 3, 0}, {0, 0, 0}},
                                          {{0, 0, 0}, {0, 0, 0}},
                                          {{-3, -2, 0}, {0, 0, 0}}}) {
      expect_same({x}, [&](const TensorList& t) { return pad(t[0], padding); });
      expect_same({x, value}, [&](const TensorList& t) {
        return pad(t[0], padding, reshape(t[1], {}) + t[1].item<double>() * 0);
      });
    }
  }
}

TEST(RearrangingOnDevice, slices_and_updates_at_computed_places_are_moved_inside) {
  const Tensor x = numbered(DType::kF32, {6, 8, 16}), update = numbered(DType::kF32, {2, 3, 16});
  for (const DType index : {DType::kI8, DType::kU8, DType::kI32, DType::kI64}) {
    SCOPED_TRACE(name_of(index));
    for (const int first : {0, 1, 4, 5, 100}) {
      const Tensor a = astype(Tensor(first), index), b = astype(Tensor(first / 2), index);
      const Tensor zero = astype(Tensor(0), index);
      expect_same({x, a, b, zero}, [](const TensorList& t) {
        return dynamic_slice(t[0], {t[1], t[2], t[3]}, {2, 3, 16});
      });
      expect_same({x, a, b, b}, [](const TensorList& t) {
        return dynamic_slice(t[0], {t[1], t[2], t[3]}, {2, 3, 5});
      });
      expect_same({x, update, a, b, zero}, [](const TensorList& t) {
        return dynamic_update_slice(t[0], t[1], {t[2], t[3], t[4]});
      });
    }
  }
  expect_same({x, Tensor(-3), Tensor(2), Tensor(1)}, [](const TensorList& t) {
    return dynamic_slice(transpose(t[0]), {t[1], t[2], t[3]}, {5, 4, 3});
  });
}

TEST(RearrangingOnDevice, dense_results_of_views_are_copied_once) {
  const Tensor x = numbered(DType::kF32, {64, 64}).to(kGpu);
  const cuda::Statistics before = cuda::statistics();
  const Tensor y = dense(transpose(x));
  EXPECT_EQ(cuda::statistics().launches - before.launches, 1);
  EXPECT_EQ(cuda::statistics().copies, before.copies);
}

}  // namespace
}  // namespace linnet::testing::rearranging_on_device_test
