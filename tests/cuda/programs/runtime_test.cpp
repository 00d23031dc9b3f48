// Memory, copies, waiting and errors of the CUDA back end on the emulated driver.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <thread>

#include "linnet/core.h"
#include "linnet/cuda.h"
#include "linnet/io/checkpoint.h"
#include "linnet/linnet.h"
#include "linnet/precision.h"

namespace linnet::runtime_test {
namespace {

constexpr Device kGpu{DeviceType::kCuda, 0}, kOther{DeviceType::kCuda, 1};

std::vector<float> floats(const Tensor& x) { return x.to_vector<float>(); }

template <class F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(CudaRuntime, tensors_of_every_size_come_back_as_they_went) {
  for (const int64_t size : {0, 1, 7, 1000, 1 << 14, (1 << 20) + 1, (3 << 20) + 5}) {
    const Tensor x = arange(size).astype(DType::kF32) * 0.5f;
    const Tensor there = x.to(kGpu);
    EXPECT_EQ(there.device(), kGpu);
    EXPECT_EQ(floats(there), floats(x)) << size;
  }
}

TEST(CudaRuntime, host_memory_may_change_once_it_was_given_to_an_upload) {
  for (const size_t size : {size_t{16}, size_t{1} << 20}) {
    std::vector<float> values(size, 1.f);
    const ScopedDevice here(kGpu);
    const Tensor x = from_vector(values, {static_cast<int64_t>(size)});
    const Tensor y = x + 1.f;
    std::fill(values.begin(), values.end(), 7.f);
    EXPECT_EQ(floats(y), std::vector<float>(size, 2.f));
  }
}

TEST(CudaRuntime, devices_copy_to_each_other_in_order) {
  ASSERT_EQ(device_count(DeviceType::kCuda), 2);
  Tensor x = arange(0., 1000.).to(kGpu);
  for (int hop = 0; hop < 6; ++hop) x = (x + 1.f).to(hop % 2 ? kGpu : kOther);
  EXPECT_EQ(floats(x), floats(arange(0., 1000.) + 6.f));
}

TEST(CudaRuntime, what_does_not_exist_is_named) {
  EXPECT_NE(message_of([] {
              zeros({2}).to({DeviceType::kCuda, 5});
            }).find("cuda:5"),
            std::string::npos);
  const std::string text = message_of([] { add(ones({2}).to(kGpu), ones({2})); });
  EXPECT_NE(text.find("cuda:0"), std::string::npos) << text;
  EXPECT_NE(text.find("cpu:0"), std::string::npos) << text;
}

TEST(CudaRuntime, memory_is_counted_and_used_again) {
  const size_t before = memory_stats(kGpu).live_bytes;
  {
    const Tensor x = ones({1 << 20}).to(kGpu);
    EXPECT_GE(memory_stats(kGpu).live_bytes, before + (size_t{4} << 20));
  }
  EXPECT_EQ(memory_stats(kGpu).live_bytes, before);
  // A thousand results of one size need the memory of a few.
  Tensor x = ones({1 << 12}).to(kGpu);
  synchronize(kGpu);
  const size_t reserved = memory_stats(kGpu).reserved_bytes;
  for (int i = 0; i < 1000; ++i) x = x + 1.f;
  EXPECT_EQ(x[0].item<float>(), 1001);
  EXPECT_LE(memory_stats(kGpu).reserved_bytes, reserved + (size_t{1} << 20));
}

TEST(CudaRuntime, memory_that_cannot_be_had_is_an_error_that_says_how_much) {
  const Tensor x = ones({3}).to(kGpu);
  const std::string text = message_of([] {
    const ScopedDevice here(kGpu);
    zeros({int64_t{1} << 38});
  });
  EXPECT_NE(text.find("cuda:0: 1099511627776 bytes could not be allocated"), std::string::npos)
      << text;
  EXPECT_NE(text.find("bytes are in use"), std::string::npos) << text;
  EXPECT_EQ(floats(x + 1.f), std::vector<float>(3, 2.f));
}

struct Model {
  nnx::Linear first, second;
  explicit Model(nnx::Rngs& rngs) : first(8, 16, rngs), second(16, 1, rngs) {}
  Tensor operator()(const Tensor& x) { return second(relu(first(x))); }
  LINNET_FIELDS(first, second)
};

TEST(CudaRuntime, a_training_step_waits_for_nothing) {
  const ScopedDevice here(kGpu);
  nnx::Rngs rngs(0);
  Model model(rngs);
  optim::Optimizer optimizer(model, optim::adamw(1e-2));
  const auto step = jit([](Model& m, optim::Optimizer& o, const Tensor& x, const Tensor& y) {
    auto [loss, grads] = nnx::value_and_grad([&](Model& n) { return mean(square(n(x) - y)); })(m);
    o.update(m, grads);
    return loss;
  });
  const Tensor x = random::normal(Key(1), {32, 8}), y = sum(x, 1, true);
  const float first = step(model, optimizer, x, y).item<float>();
  const cuda::Statistics before = cuda::statistics();
  Tensor loss;
  for (int t = 0; t < 20; ++t) loss = step(model, optimizer, x, y);
  const cuda::Statistics after = cuda::statistics();
  EXPECT_EQ(after.waits, before.waits);
  EXPECT_EQ(after.downloads, before.downloads);
  EXPECT_LT(loss.item<float>(), first);
}

TEST(CudaRuntime, models_and_checkpoints_move_between_devices) {
  const Precision before = matmul_precision();
  set_matmul_precision(Precision::kHighest);
  nnx::Rngs rngs(0);
  Model model(rngs);
  const Tensor x = random::normal(Key(1), {4, 8});
  const std::vector<float> expected = floats(model(x));
  move_to(model, kGpu);
  EXPECT_EQ(model.first.kernel.value().device(), kGpu);
  const std::vector<float> there = floats(model(x.to(kGpu)));
  for (size_t i = 0; i < there.size(); ++i) EXPECT_NEAR(there[i], expected[i], 1e-5);

  const std::string folder = ::testing::TempDir() + "cuda_checkpoint";
  save_checkpoint(folder, model);
  nnx::Rngs others(7);
  Model host(others), device(others);
  load_checkpoint(folder, host);
  EXPECT_EQ(floats(host(x)), expected);
  move_to(device, kGpu);
  load_checkpoint(folder, device);
  EXPECT_EQ(floats(device(x.to(kGpu))), there);
  set_matmul_precision(before);
  std::filesystem::remove_all(folder);
}

TEST(CudaRuntime, loops_and_branches_run_on_the_device) {
  const auto program = [](const Tensor& x) {
    const auto turns = scan(
        [](const Tensor& carry, const Tensor& row) {
          const Tensor next = tanh(carry * 0.5f + row);
          return std::pair(next, sum(next));
        },
        zeros_like(x[0]), x);
    const Tensor halved = while_loop([](const Tensor& c) { return max(abs(c)) > 0.1f; },
                                     [](const Tensor& c) { return c * 0.5f; }, turns.first);
    const Tensor chosen = cond(
        sum(halved) > 0.f, [](const Tensor& a) { return a * 2.f; },
        [](const Tensor& a) { return a - 1.f; }, halved);
    return sum(chosen * turns.first) + sum(turns.second);
  };
  const Tensor x = random::normal(Key(3), {5, 6});
  const Tensor expected = program(x);
  const Tensor there = x.to(kGpu);
  EXPECT_NEAR(program(there).item<float>(), expected.item<float>(), 1e-5);
  EXPECT_NEAR(jit(program)(there).item<float>(), expected.item<float>(), 1e-5);
  const auto rows = [](const Tensor& t) {
    return sum(scan([](const Tensor& c, const Tensor& r) { return std::pair(tanh(c + r), c * r); },
                    zeros_like(t[0]), t)
                   .second);
  };
  const std::vector<float> gradient = floats(grad(rows)(x)),
                           got = floats(jit([&](const Tensor& t) { return grad(rows)(t); })(there));
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], gradient[i], 1e-5);
}

TEST(CudaRuntime, threads_share_a_device) {
  std::vector<std::thread> threads;
  std::vector<float> sums(4);
  const auto f = jit([](const Tensor& x) { return sum(tanh(x) * 2.f + 1.f); });
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&sums, &f, t] {
      const ScopedDevice here(kGpu);
      float total = 0;
      for (int i = 0; i < 20; ++i) total += f(full({64}, Tensor(0.f)) + float(t)).item<float>();
      sums[static_cast<size_t>(t)] = total;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < 4; ++t)
    EXPECT_NEAR(sums[static_cast<size_t>(t)], 20 * 64 * (2 * std::tanh(double(t)) + 1), 1e-2) << t;
}

TEST(CudaRuntime, what_was_found_is_told) {
  const std::string text = cuda::report();
  EXPECT_NE(text.find("built with toolkit"), std::string::npos) << text;
  EXPECT_NE(text.find("driver: "), std::string::npos) << text;
  EXPECT_NE(text.find("cuda:0: "), std::string::npos) << text;
}

}  // namespace
}  // namespace linnet::runtime_test
