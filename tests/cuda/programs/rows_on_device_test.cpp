// Softmax, losses, normalisations, random numbers and optimiser steps on `cuda:0` against the CPU:
// sizes for which other kernels are chosen, views at odd offsets, who serves what.
#include <gtest/gtest.h>

#include "core/ops/nn.h"
#include "core/ops/random.h"
#include "linnet/core.h"
#include "linnet/cuda.h"
#include "linnet/detail/optim.h"
#include "linnet/random.h"
#include "ops/op_checks.h"

namespace linnet::testing::rows_on_device_test {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0};

TensorList moved(const TensorList& tensors, Device device) {
  TensorList out;
  for (const Tensor& t : tensors) out.push_back(t.to(device));
  return out;
}

Tensor numbers(const Shape& shape, DType dtype, uint32_t seed = 1) {
  return random::normal(random::Key(seed), shape, dtype);
}

/// `function` on both devices; on the GPU by kernels of its own.
template <class F>
void expect_same(const F& function, const TensorList& operands, double tolerance) {
  const TensorList moved_operands = moved(operands, kGpu);
  const uint64_t on_host = cuda::statistics().host_kernels;
  const TensorList there = function(moved_operands);
  for (const Tensor& t : there) EXPECT_EQ(t.device(), kGpu);
  const TensorList results = moved(there, kCpu);
  EXPECT_EQ(cuda::statistics().host_kernels, on_host);
  EXPECT_EQ(difference(results, function(operands), tolerance), "");
}

/// One element beyond an aligned address.
Tensor skewed(const Tensor& x) {
  const int64_t size = element_count(x.shape());
  const Tensor flat = concatenate({zeros({1}, x.dtype()).to(x.device()), reshape(x, {size})}, 0);
  return reshape(slice_axis(flat, 1, size + 1, 0), x.shape());
}

constexpr DType kTypes[] = {DType::kF32, DType::kBF16, DType::kF16, DType::kF64};
double tolerance(DType dtype) { return tolerance_in(dtype, 4e-14); }

TEST(RowsOnDevice, softmax_of_any_length) {
  for (const DType dtype : kTypes) {
    for (const Shape& shape : {Shape{3, 0},
                               {0, 4},
                               {2, 1},
                               {3, 31},
                               {2, 256},
                               {2, 1000},
                               {1, 8192},
                               {1, 8200},
                               {2, 3, 40}}) {
      SCOPED_TRACE(to_string(shape) + " " + std::string(name_of(dtype)));
      const Tensor x = numbers(shape, dtype), dy = numbers(shape, dtype, 2);
      const auto all = [](const TensorList& o) {
        const Tensor y = emit_one(softmax_primitive(), {o[0]}, AxisParams{1});
        const Tensor l = emit_one(log_softmax_primitive(), {o[0]}, AxisParams{1});
        return TensorList{y, l, emit_one(softmax_backward_primitive(), {y, o[1]}, AxisParams{1}),
                          emit_one(log_softmax_backward_primitive(), {l, o[1]}, AxisParams{1})};
      };
      expect_same(all, {x, dy}, 4 * tolerance(dtype));
      if (shape[1] > 0) {
        expect_same([](const TensorList& o) { return TensorList{logsumexp(o[0], Axes{1})}; }, {x},
                    tolerance(dtype));
      }
      if (shape[0] > 0 && shape[1] > 0) {
        expect_same(
            [&](const TensorList& o) {
              return all({skewed(o[0]), skewed(o[1])});
            },
            {x, dy}, 4 * tolerance(dtype));
      }
    }
  }
}

TEST(RowsOnDevice, cross_entropy_of_every_label_type) {
  for (const DType labels : {DType::kI8, DType::kU8, DType::kI16, DType::kU16, DType::kI32,
                             DType::kU32, DType::kI64, DType::kU64}) {
    SCOPED_TRACE(std::string(name_of(labels)));
    const Tensor x = numbers({4, 37}, DType::kBF16);
    const Tensor label = astype(from_vector(std::vector<int32_t>{0, 36, 7, 37}, {4}), labels);
    expect_same(
        [](const TensorList& o) {
          const TensorList y = emit(integer_cross_entropy_primitive(), o);
          const Tensor dx = emit_one(integer_cross_entropy_backward_primitive(),
                                     {o[0], o[1], y[1], ones_like(y[0])});
          return TensorList{y[0], y[1], dx};
        },
        {x, label}, tolerance(DType::kBF16));
  }
}

TEST(RowsOnDevice, normalisations_of_any_length) {
  for (const DType dtype : kTypes) {
    for (const DType parameters : {wide_dtype(dtype), dtype}) {
      for (const Shape& shape : {Shape{5, 1},
                                 {3, 33},
                                 {70, 64},
                                 {3, 512},
                                 {2, 1000},
                                 {2, 4096},
                                 {2, 8200},
                                 {600, 512}}) {
        if (shape[0] == 600 && dtype != DType::kBF16) continue;
        SCOPED_TRACE(to_string(shape) + " " + std::string(name_of(dtype)));
        const Shape row{shape[1]};
        const auto all = [](const TensorList& o) {
          const NormParams layer{1e-5, 1, true, true}, rms{1e-5, 1, true, false};
          TensorList out = emit(layer_norm_primitive(), {o[0], o[1], o[2]}, layer);
          for (const Tensor& t :
               emit(layer_norm_backward_primitive(), {o[0], out[1], out[2], o[3], o[1]}, layer))
            out.push_back(t);
          const TensorList second = emit(rms_norm_primitive(), {o[0], o[1]}, rms);
          for (const Tensor& t :
               emit(rms_norm_backward_primitive(), {o[0], second[1], o[3], o[1]}, rms))
            out.push_back(t);
          out.insert(out.end(), second.begin(), second.end());
          return out;
        };
        expect_same(all,
                    {numbers(shape, dtype), numbers(row, parameters, 2),
                     numbers(row, parameters, 3), numbers(shape, dtype, 4)},
                    16 * tolerance(dtype));
      }
    }
  }
}

TEST(RowsOnDevice, batch_norm_of_any_shape) {
  for (const DType dtype : kTypes) {
    for (const Shape& shape : {Shape{2, 1}, {7, 5, 33}, {2000, 64}, {300, 320}}) {
      SCOPED_TRACE(to_string(shape) + " " + std::string(name_of(dtype)));
      const Shape row{shape.back()};
      const DType wide = wide_dtype(dtype);
      const auto all = [](const TensorList& o) {
        const BatchNormParams p{1e-3, true, true};
        TensorList out = emit(batch_norm_train_primitive(), {o[0], o[1], o[2]}, p);
        for (const Tensor& t :
             emit(batch_norm_backward_primitive(), {o[0], out[1], out[2], o[3], o[1]}, p))
          out.push_back(t);
        out.push_back(
            emit_one(batch_norm_inference_primitive(), {o[0], out[1], out[2], o[1], o[2]}, p));
        return out;
      };
      expect_same(all,
                  {numbers(shape, dtype) + 3, numbers(row, wide, 2), numbers(row, wide, 3),
                   numbers(shape, dtype, 4)},
                  16 * tolerance(dtype));
    }
  }
}

/// What an array of three keys and one key give.
template <class F>
void expect_same_draws(const F& function) {
  const Tensor key = random::Key(42).data(), keys = random::split(random::Key(7), 3).data();
  expect_same(
      [&](const TensorList& o) {
        return TensorList{function(random::Key(o[0])), function(random::Key(o[1]))};
      },
      {key, keys}, 0);
}

TEST(RowsOnDevice, random_bits_and_keys_are_the_same) {
  for (const DType dtype : {DType::kU8, DType::kU16, DType::kU32, DType::kU64}) {
    for (const int64_t count : {0, 1, 5, 3000})
      expect_same_draws([&](const random::Key& key) { return random::bits(key, {count}, dtype); });
  }
  expect_same_draws([](const random::Key& key) { return random::split(key, 5).data(); });
  const Tensor key = random::Key(42).data(), keys = random::split(random::Key(7), 3).data();
  expect_same(
      [](const TensorList& o) {
        return TensorList{emit_one(random_fold_in_primitive(), {o[0], o[1]}),
                          emit_one(random_fold_in_primitive(), {o[2], o[3]})};
      },
      {key, full({}, 9, DType::kU32), keys, astype(arange(3), DType::kU32)}, 0);
}

TEST(RowsOnDevice, uniform_and_normal_numbers_have_the_same_bits) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    SCOPED_TRACE(std::string(name_of(dtype)));
    expect_same_draws([&](const random::Key& key) { return random::uniform(key, {5000}, dtype); });
    expect_same_draws([&](const random::Key& key) { return random::normal(key, {5000}, dtype); });
    expect_same_draws([&](const random::Key& key) {
      const RandomRangeParams p{.shape = {700}, .dtype = dtype, .low = -0.5, .high = 2};
      return emit_one(random_truncated_normal_primitive(), {key.data()}, p);
    });
  }
}

TEST(RowsOnDevice, numbers_in_f64) {
  const Tensor key = random::Key(42).data();
  expect_same(
      [](const TensorList& o) {
        return TensorList{random::uniform(random::Key(o[0]), {3001}, DType::kF64)};
      },
      {key}, 0);
  // Steps inside the inverse error function may be fused.
  expect_same(
      [](const TensorList& o) {
        return TensorList{random::normal(random::Key(o[0]), {3001}, DType::kF64)};
      },
      {key}, 1e-14);
}

TEST(RowsOnDevice, dropout_is_the_same) {
  for (const DType dtype : kTypes) {
    for (const int64_t count : {0, 1, 7, 3000}) {
      expect_same(
          [](const TensorList& o) {
            const TensorList out = emit(dropout_primitive(), {o[0], o[1]},
                                        DropoutParams{.rate = 0.3, .mask_shape = o[0].shape()});
            return TensorList{out[0], out[1]};
          },
          {numbers({count}, dtype), random::Key(3).data()}, 0);
    }
  }
}

struct AdamWCase {
  TensorList operands;
  AdamWParams params;
  explicit AdamWCase(size_t count)
      : operands{scalar(0.01, DType::kF32), scalar(0.1, DType::kF32), scalar(0.001, DType::kF32)},
        params{.count = static_cast<int64_t>(count), .weight_decay = 0.1} {
    for (uint32_t list = 0; list < 4; ++list) {
      for (size_t i = 0; i < count; ++i) {
        const Shape shape{static_cast<int64_t>(i % 5) * 3, static_cast<int64_t>(i % 7)};
        const Tensor x = numbers(shape, DType::kF32, list * 1000 + static_cast<uint32_t>(i));
        operands.push_back(list == 3 ? square(x) : x);
      }
    }
  }
  TensorList operator()(const TensorList& o) const {
    return emit(adamw_update_primitive(), o, params);
  }
};

TEST(RowsOnDevice, adamw_over_many_tensors) {
  for (const size_t count : {size_t{2}, size_t{21}, size_t{450}}) {
    const AdamWCase step(count);
    expect_same(step, step.operands, 2e-6);
  }
}

// The first run goes through the launches, later ones are graphs.
TEST(RowsOnDevice, adamw_over_many_tensors_in_a_program) {
  const AdamWCase step(450);
  const TensorList here = step(step.operands), operands = moved(step.operands, kGpu);
  const auto compiled = jit([&](const TensorList& o) { return step(o); });
  for (int run = 0; run < 3; ++run) {
    SCOPED_TRACE(run);
    EXPECT_EQ(difference(moved(compiled(operands), kCpu), here, 2e-6), "");
  }
}

TEST(RowsOnDevice, sums_of_squares_over_lists_of_types) {
  TensorList operands;
  for (uint32_t i = 0; i < 40; ++i)
    operands.push_back(numbers({i % 3, 1000 * i}, i % 9 < 6 ? DType::kF32 : DType::kBF16, i));
  const auto sum = [](const TensorList& o) { return TensorList{sum_of_squares(o)}; };
  expect_same(sum, operands, 1e-6);
  operands.push_back(numbers({5}, DType::kF64));
  expect_same(sum, operands, 1e-6);
  expect_same(sum, {numbers({3000}, DType::kF64)}, 1e-14);
}

}  // namespace
}  // namespace linnet::testing::rows_on_device_test
