// Threads: shared tensors, one jitted function called by all, and traces that do not meet.
#include <deque>
#include <latch>
#include <stdexcept>
#include <thread>

#include "linnet/kernel.h"
#include "linnet/random.h"
#include "tests/core/core_support.h"

namespace linnet::threads_test {
namespace {

using test::Box;
using test::values;

/// Runs `body(t)` on many threads that start together; exceptions become failures.
void on_threads(int count, const std::function<void(int)>& body) {
  std::latch start(count);
  std::vector<std::thread> threads;
  for (int t = 0; t < count; ++t) {
    threads.emplace_back([&, t] {
      start.arrive_and_wait();
      try {
        body(t);
      } catch (const std::exception& error) {
        ADD_FAILURE() << "thread " << t << ": " << error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

constexpr int kThreads = 8;

TEST(Threads, R_051_one_function_traced_once_by_racing_callers) {
  for (int repeat = 0; repeat < 5; ++repeat) {
    std::atomic<int> traced{0};
    const auto f = jit([&](const Tensor& x, const Tensor& y) {
      ++traced;
      std::this_thread::yield();
      return std::make_pair(tanh(matmul(x, y)), sum(x));
    });
    const Tensor x = test::ramp({16, 16}), y = test::ramp({16, 16});
    const std::vector<float> expected = values(tanh(matmul(x, y)));
    std::atomic<int> wrong{0};
    on_threads(kThreads, [&](int) {
      for (int i = 0; i < 50; ++i) wrong += values(f(x, y).first) != expected;
    });
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(traced, 1);
    EXPECT_EQ(f.trace_count(), 1u);
  }
}

TEST(Threads, R_051_one_function_with_many_shapes) {
  const auto f = jit([](const Tensor& x) { return sum(x * x, Axes{0}); });
  std::atomic<int> wrong{0};
  on_threads(kThreads, [&](int t) {
    for (int i = 0; i < 30; ++i) {
      const int64_t n = 1 + (i * 7 + t) % 10;
      wrong += values(f(ones({n, 3}))) != std::vector<float>(3, static_cast<float>(n));
    }
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(f.trace_count(), 10u);
}

TEST(Threads, R_051_a_function_that_throws_while_others_wait) {
  std::atomic<int> attempts{0}, failures{0}, good{0};
  const auto f = jit([&](const Tensor& x) {
    if (++attempts <= 3) throw std::runtime_error("not yet");
    return x + 1;
  });
  on_threads(kThreads, [&](int) {
    try {
      good += values(f(ones({4}))) == std::vector<float>(4, 2.f);
    } catch (const std::runtime_error&) {
      ++failures;
    }
  });
  EXPECT_EQ(failures, 3);
  EXPECT_EQ(good, kThreads - 3);
}

TEST(Threads, state_arguments_of_their_own) {
  const auto step = jit([](std::vector<Tensor>& w, Box& steps, const Tensor& x) {
    w = tree::map(w, [&](const Tensor& t) { return t * 0.5 + x; });
    steps = steps.value() + 1;
    return sum(w[0]);
  });
  const auto train = [&](int t) {
    std::vector<Tensor> w{zeros({32}), ones({32})};
    Box steps(Tensor(0));
    Tensor loss;
    for (int i = 0; i < 40; ++i) loss = step(w, steps, full({32}, Tensor(static_cast<float>(t))));
    EXPECT_EQ(steps.value().item<int>(), 40);
    return loss.item<float>();
  };
  std::vector<float> expected, got(kThreads);
  for (int t = 0; t < kThreads; ++t) expected.push_back(train(t));
  on_threads(kThreads, [&](int t) { got[t] = train(t); });
  EXPECT_EQ(got, expected);
}

TEST(Threads, R_052_traces_state_and_random_streams_do_not_meet) {
  const auto work = [](int t) {
    Box box(scalar(t, DType::kF64));
    const auto f = [&](const Tensor& x) {
      box = box.value() + 1.0;
      return sum(sin(x) * x);
    };
    const Tensor noise = random::normal(random::Key(t), {4});
    const Tensor x = astype(noise, DType::kF64) + box.value();
    const Tensor g = grad(f)(x);
    const Tensor h = hessian([](const Tensor& y) { return sum(y * y * y); })(x);
    const Tensor v = vmap([](const Tensor& y) { return exp(-y * y); })(x);
    const Tensor p = jit(
        [](const Tensor& y) { return grad([](const Tensor& z) { return sum(tanh(z)); })(y); })(x);
    EXPECT_EQ(box.value().item<double>(), t + 1.0);
    return concatenate({g, ravel(h), v, p}).to_vector<double>();
  };
  std::vector<std::vector<double>> expected, got(kThreads);
  for (int t = 0; t < kThreads; ++t) expected.push_back(work(t));
  on_threads(kThreads, [&](int t) {
    for (int i = 0; i < 5; ++i) got[t] = work(t);
  });
  EXPECT_EQ(got, expected);
}

TEST(Threads, R_053_tensors_are_shared_copied_and_dropped) {
  const size_t live = memory_stats().live_bytes;
  {
    const Tensor shared = test::ramp({64, 64});
    const double expected = sum(astype(shared, DType::kF64)).item<double>();
    std::vector<Tensor> views(kThreads);
    on_threads(kThreads, [&](int t) {
      for (int i = 0; i < 200; ++i) {
        Tensor copy = shared;
        views[t] = copy[i % 64].reshape({8, 8}).transpose();
        copy = Tensor();
      }
      EXPECT_NEAR(sum(astype(shared, DType::kF64)).item<double>(), expected, 1e-6);
    });
    on_threads(kThreads, [&](int t) { views[(t + 1) % kThreads] = Tensor(); });
  }
  EXPECT_EQ(memory_stats().live_bytes, live);
}

TEST(Threads, one_program_differentiated_and_batched_by_all) {
  const auto f = jit([](const Tensor& x) { return sum(sin(x) * x); });
  const Tensor x = test::ramp({3, 5});
  const std::vector<float> expected =
      values(vmap(grad([](const Tensor& y) { return sum(sin(y) * y); }))(x));
  std::atomic<int> wrong{0};
  on_threads(kThreads, [&](int) {
    for (int i = 0; i < 10; ++i) {
      const std::vector<float> got = values(vmap(grad([&](const Tensor& y) { return f(y); }))(x));
      for (size_t k = 0; k < got.size(); ++k) wrong += std::abs(got[k] - expected[k]) > 1e-6f;
    }
  });
  EXPECT_EQ(wrong, 0);
}

TEST(Threads, R_051_primitives_and_kernels_are_added_while_others_look_them_up) {
  constexpr int kAdded = 300;
  static std::deque<std::string> names;
  const auto define_another = [] {
    names.push_back("test_added_" + std::to_string(names.size()));
    return std::cref(define(Opaque<NoParams>{
        .name = names.back().c_str(),
        .infer = [](const NoParams&, Inputs x) { return TypeList{x[0].type()}; }}));
  };
  const Primitive& listed = define_another();
  KernelTable table;
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  on_threads(kThreads, [&](int t) {
    if (t == 0) {
      for (int i = 0; i < kAdded; ++i) table.add(listed, {.name = "listed"});
      for (int i = 0; i < kAdded; ++i) table.add(define_another(), {.name = "alone"});
      done = true;
      return;
    }
    size_t kernels = 0, primitives = 0;
    do {
      const std::span<const KernelImplementation> list = table.implementations(listed);
      const std::span<const Primitive* const> all = all_primitives();
      wrong += list.size() < kernels || all.size() < primitives;
      kernels = list.size();
      primitives = all.size();
      for (const KernelImplementation& kernel : list) wrong += std::string(kernel.name) != "listed";
      for (size_t k = 0; k < all.size(); ++k) {
        wrong += static_cast<size_t>(all[k]->id) != k;
        for (const KernelImplementation& kernel : table.implementations(*all[k]))
          wrong += std::string(kernel.name) != (all[k] == &listed ? "listed" : "alone");
      }
    } while (!done);
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(table.implementations(listed).size(), static_cast<size_t>(kAdded));
}

TEST(Threads, R_055_jitted_functions_that_call_each_other) {
  const auto g = jit([](const Tensor& x) { return tanh(x); });
  const auto f = jit([&](const Tensor& x) { return g(x) + g(x * 2); });
  const auto h = jit([&](const Tensor& x) { return g(f(x)); });
  const Tensor x = test::ramp({10});
  const std::vector<float> expected = values(tanh(tanh(x) + tanh(x * 2)));
  on_threads(kThreads, [&](int t) {
    for (int i = 0; i < 5; ++i) {
      if (t % 2) {
        (void)g(x);
        (void)f(x);
      }
      const std::vector<float> got = values(h(x));
      for (size_t k = 0; k < got.size(); ++k) EXPECT_NEAR(got[k], expected[k], 1e-6f);
    }
  });
  EXPECT_EQ(h.trace_count(), 1u);
  EXPECT_EQ(f.trace_count(), 1u);
  EXPECT_EQ(g.trace_count(), 1u);
}

}  // namespace
}  // namespace linnet::threads_test
