// jit(f, {.memory_limit = …}): values are computed again until the arena fits, and keep their bits.
#include <cmath>
#include <string>
#include <vector>

#include "linnet/callback.h"
#include "tests/core/core_support.h"
#include "tests/core/graph_support.h"

namespace linnet::remat_limit_test {
namespace {

using test::expect_error;
using test::values;

constexpr int64_t kRows = 256, kWidth = 64;
constexpr size_t kActivation = kRows * kWidth * sizeof(float);

std::vector<Tensor> weights(int layers) {
  std::vector<Tensor> out;
  for (int i = 0; i < layers; ++i) out.push_back(sin(test::ramp({kWidth, kWidth}) * (i + 1)) * 0.3);
  return out;
}

Tensor input() { return sin(test::ramp({kRows, kWidth})); }

Tensor mlp_loss(const std::vector<Tensor>& w, const Tensor& x) {
  Tensor h = x;
  for (const Tensor& each : w) h = tanh(matmul(h, each)) + 0.1 * sin(h);
  return mean(square(h));
}

using Step = std::pair<Tensor, std::vector<Tensor>>;

Step mlp_step(const std::vector<Tensor>& w, const Tensor& x) {
  const auto [loss, gradients] = value_and_grad(mlp_loss)(w, x);
  std::vector<Tensor> updated;
  for (size_t i = 0; i < w.size(); ++i) updated.push_back(w[i] - 0.1 * gradients[i]);
  return {loss, updated};
}

/// Compiles `f` with less memory than it would take and expects that it fits and gives the same
/// bits.
template <class F, class... A>
void expect_fits(const F& f, double share, const A&... arguments) {
  const auto free = jit(f);
  const size_t needed = free.lower(arguments...).arena_bytes();
  const auto limit = static_cast<size_t>(static_cast<double>(needed) * share);
  const auto limited = jit(f, {.memory_limit = limit});
  EXPECT_LE(limited.lower(arguments...).arena_bytes(), limit) << "of " << needed;
  const auto plain = free(arguments...), again = limited(arguments...);
  const TensorList a = tree::leaves(plain), b = tree::leaves(again);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(same_bits(a[i], b[i])) << i;
}

TEST(MemoryLimit, a_chain_of_layers_fits_into_less) {
  for (const double share : {0.95, 0.75, 0.5}) expect_fits(mlp_step, share, weights(12), input());
}

TEST(MemoryLimit, what_fits_anyway_is_left_as_it_is) {
  const std::vector<Tensor> w = weights(3);
  const auto free = jit(mlp_step);
  const size_t needed = free.lower(w, input()).arena_bytes();
  const Lowered limited = jit(mlp_step, {.memory_limit = needed}).lower(w, input());
  EXPECT_EQ(limited.arena_bytes(), needed);
  EXPECT_EQ(limited.cost().work.size(), free.lower(w, input()).cost().work.size());
}

TEST(MemoryLimit, cheap_operations_are_repeated_before_products) {
  const std::vector<Tensor> w = weights(8);
  const Lowered free = jit(mlp_step).lower(w, input());
  const Lowered limited =
      jit(mlp_step, {.memory_limit = free.arena_bytes() * 9 / 10}).lower(w, input());
  EXPECT_GT(limited.cost().work.size(), free.cost().work.size());
  EXPECT_EQ(limited.cost().flops(), free.cost().flops()) << "no product";
}

TEST(MemoryLimit, a_limit_that_cannot_be_kept_is_refused_with_numbers_and_owners) {
  const std::vector<Tensor> w = weights(4);
  const auto step = jit(mlp_step, {.memory_limit = 4096});
  const size_t needed = jit(mlp_step).lower(w, input()).arena_bytes();
  const std::string beginning =
      "compiled program: " + std::to_string(needed) +
      " bytes of intermediate values cannot be brought within the memory limit of 4096 bytes; ";
  expect_error<DeviceError>([&] { step(w, input()); }, beginning);
  try {
    (void)step.lower(w, input()).arena_bytes();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const DeviceError& error) {
    const std::string text = error.what();
    const size_t reached = std::stoull(text.substr(beginning.size()));
    EXPECT_LT(reached, needed);
    EXPECT_GE(reached, kActivation) << "a product writes a whole activation";
    EXPECT_NE(text.find("the largest owners:\n  "), std::string::npos) << text;
  }
}

TEST(MemoryLimit, a_refused_step_leaves_its_state_as_it_was) {
  std::vector<Tensor> w = weights(4);
  const std::vector<float> before = values(w[1]);
  const auto step = jit(
      [](std::vector<Tensor>& p, const Tensor& x) {
        auto [loss, updated] = mlp_step(p, x);
        p = updated;
        return loss;
      },
      {.memory_limit = 4096});
  EXPECT_THROW(step(w, input()), DeviceError);
  EXPECT_EQ(values(w[1]), before);
}

TEST(MemoryLimit, donated_state_keeps_its_memory) {
  const auto update = [](std::vector<Tensor>& p, const Tensor& x) {
    auto [loss, updated] = mlp_step(p, x);
    p = updated;
    return loss;
  };
  std::vector<Tensor> w = weights(10);
  const auto free = jit(update);
  const Lowered plain = free.lower(w, input());
  const auto limited = jit(update, {.memory_limit = plain.arena_bytes() * 6 / 10});
  EXPECT_EQ(limited.lower(w, input()).cost().result_bytes, plain.cost().result_bytes);
  std::vector<Tensor> v = weights(10);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(same_bits(free(w, input()), limited(v, input()))) << i;
  for (size_t i = 0; i < w.size(); ++i) EXPECT_TRUE(same_bits(w[i], v[i])) << i;
}

TEST(MemoryLimit, dropout_draws_the_same_numbers_again) {
  const auto step = [](const std::vector<Tensor>& w, const Tensor& x, const Key& key) {
    const auto loss = [&](const std::vector<Tensor>& p) {
      Tensor h = x;
      Key next = key;
      for (const Tensor& each : p) {
        const auto [first, second] = random::split(next);
        next = first;
        const Tensor kept = random::bernoulli(second, 0.8, h.shape());
        h = where(kept, tanh(matmul(h, each)) / 0.8, zeros_like(h));
      }
      return mean(square(h));
    };
    return value_and_grad(loss)(w);
  };
  expect_fits(step, 0.6, weights(8), input(), Key(3));
}

TEST(MemoryLimit, loops_are_left_whole) {
  const auto step = [](const std::vector<Tensor>& w, const Tensor& x) {
    const auto loss = [&](const std::vector<Tensor>& p) {
      Tensor h = x;
      for (const Tensor& each : p) {
        h = tanh(matmul(h, each));
        h = fori_loop(
            0, 3, [](const Tensor&, const Tensor& y) { return y + 0.1 * cos(y); }, h);
      }
      return mean(square(h));
    };
    return value_and_grad(loss)(w);
  };
  const auto loops = [](const Lowered& program) {
    int count = 0;
    for (const WorkCost& work : program.cost().work) count += work.operation == "scan";
    return count;
  };
  const std::vector<Tensor> w = weights(6);
  const Lowered free = jit(step).lower(w, input());
  ASSERT_GT(loops(free), 0);
  const size_t limit = free.arena_bytes() * 9 / 10;
  const Lowered limited = jit(step, {.memory_limit = limit}).lower(w, input());
  EXPECT_LE(limited.arena_bytes(), limit);
  EXPECT_EQ(loops(limited), loops(free));
  expect_fits(step, 0.9, w, input());
}

TEST(MemoryLimit, second_derivatives) {
  const auto step = [](const std::vector<Tensor>& w, const Tensor& x) {
    const auto inner = [&](const Tensor& y) { return mlp_loss(w, y); };
    return grad([&](const Tensor& y) { return sum(square(grad(inner)(y))); })(x);
  };
  expect_fits(step, 0.7, weights(5), input());
}

TEST(MemoryLimit, results_and_what_is_read_late_may_be_among_the_values) {
  // Every layer is a result too, so that its memory is none of the arena's.
  const auto step = [](const std::vector<Tensor>& w, const Tensor& x) {
    std::vector<Tensor> layers;
    const auto loss = [&](const Tensor& y) {
      Tensor h = y;
      for (const Tensor& each : w) h = exp(-square(matmul(sin(h), each)));
      return sum(h);
    };
    layers.push_back(grad(loss)(x));
    Tensor h = x;
    for (const Tensor& each : w) layers.push_back(h = exp(-square(matmul(sin(h), each))));
    return layers;
  };
  expect_fits(step, 0.8, weights(6), input());
}

TEST(MemoryLimit, effects_happen_once) {
  int printed = 0;
  const auto step = [&](const std::vector<Tensor>& w, const Tensor& x) {
    const auto loss = [&](const std::vector<Tensor>& p) {
      Tensor h = x;
      for (const Tensor& each : p) h = tanh(matmul(sin(h), each));
      return mean(square(h));
    };
    const auto out = value_and_grad(loss)(w);
    io_callback([&](const Tensor&) { ++printed; }, sum(x));
    return out;
  };
  const std::vector<Tensor> w = weights(6);
  const size_t needed = jit(step).lower(w, input()).arena_bytes();
  const auto limited = jit(step, {.memory_limit = needed * 7 / 10});
  EXPECT_LE(limited.lower(w, input()).arena_bytes(), needed * 7 / 10);
  (void)limited(w, input());
  EXPECT_EQ(printed, 1);
}

TEST(MemoryLimit, the_log_says_what_it_costs) {
  const std::vector<Tensor> w = weights(6);
  const size_t needed = jit(mlp_step).lower(w, input()).arena_bytes();
  std::string text;
  set_log_sink([&](std::string_view topic, std::string_view line) {
    if (topic == "graph" && line.starts_with("memory limit")) text += line;
  });
  set_log_topics("graph");
  (void)jit(mlp_step, {.memory_limit = needed * 3 / 4}).lower(w, input()).arena_bytes();
  set_log_topics("");
  set_log_sink({});
  EXPECT_NE(text.find("instead of " + std::to_string(needed) + " bytes"), std::string::npos)
      << text;
}

}  // namespace
}  // namespace linnet::remat_limit_test
