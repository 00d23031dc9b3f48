// Const layers serve: evaluation reads and does not write, from any number of threads; what would
// write is refused.
#include <thread>

#include "linnet/jit.h"
#include "tests/modules/layers_support.h"
#include "tests/ops/random_support.h"

namespace linnet::layers_serving_test {
namespace {

using testing::expect_identical;

/// The message of the ModuleError that `f` throws; empty if it throws none.
template <class F>
std::string refused(F&& f) {
  try {
    f();
  } catch (const ModuleError& error) {
    return error.what();
  }
  return {};
}

TEST(Serving, N_123_a_const_batch_norm_uses_running_averages) {
  nnx::Rngs rngs(0);
  nnx::BatchNorm norm(3, rngs);
  const Tensor x = random::normal(Key(1), {4, 3});
  norm(x);
  const nnx::BatchNorm& served = norm;
  EXPECT_NE(refused([&] { served(x); }).find("BatchNorm: batch statistics would move"),
            std::string::npos);
  expect_identical(served(x, true), norm(x, true), "asked for in the call");
  nnx::eval(norm);
  expect_identical(served(x), norm(x), "asked for in the layer");
  EXPECT_NE(refused([&] { served(x, false); }), "") << "the call goes before the layer";
}

TEST(Serving, N_129_a_const_dropout_draws_no_numbers_of_its_own) {
  nnx::Rngs rngs(0);
  nnx::Dropout drop(0.5, rngs);
  const nnx::Dropout& served = drop;
  const Tensor x = ones({8});
  EXPECT_NE(refused([&] { served(x); }).find("cannot advance its random stream"),
            std::string::npos);
  expect_identical(served(x, true), x, "deterministic");
  nnx::Rngs other(3), same(3);
  expect_identical(served(x, other), drop(x, same), "numbers of the caller");
  nnx::eval(drop);
  expect_identical(served(x), x, "evaluation");
  const nnx::Dropout never(0.0, nnx::Dropout::Options{});
  expect_identical(never(x), x, "rate 0");
}

TEST(Serving, N_133_a_const_attention_attends_and_writes_nothing) {
  nnx::Rngs rngs(0);
  nnx::MultiHeadAttention layer(2, 4, {.dropout_rate = 0.5}, rngs);
  const nnx::MultiHeadAttention& served = layer;
  const Tensor x = random::normal(Key(1), {2, 3, 4});
  EXPECT_NE(refused([&] { served(x); }).find("dropout writes variables"), std::string::npos);
  expect_identical(served(x, {.deterministic = true}), layer(x, {.deterministic = true}), "eval");
  nnx::Rngs other(3), same(3);
  expect_identical(served(x, {.rngs = &other}), layer(x, {.rngs = &same}), "numbers of the caller");
  EXPECT_NE(refused([&] { served(x, {.deterministic = true, .sow_weights = true}); }), "");
  EXPECT_NE(refused([&] { served(x, {.deterministic = true, .decode = true}); }), "");
  const nnx::SelfAttention self(4, 2, rngs);
  EXPECT_EQ(self(x).shape(), x.shape());
}

struct Model {
  nnx::Conv conv;
  nnx::BatchNorm norm;
  nnx::Dropout drop;
  nnx::SelfAttention attention;
  nnx::Linear head;
  explicit Model(nnx::Rngs& rngs)
      : conv(1, 4, {3}, rngs),
        norm(4, rngs),
        drop(0.5, rngs),
        attention(4, 2, rngs),
        head(4, 2, rngs) {}
  LINNET_FIELDS(conv, norm, drop, attention, head)
  Tensor operator()(const Tensor& x) const { return head(attention(drop(norm(conv(x))))); }
};

TEST(Serving, many_threads_call_one_const_model) {
  nnx::Rngs rngs(0);
  Model model(rngs);
  nnx::eval(model);
  const Model& served = model;
  const auto compiled = jit([](const Model& m, const Tensor& x) { return m(x); });
  constexpr int kThreads = 4, kCalls = 20;
  std::vector<Tensor> inputs, expected;
  for (int i = 0; i < kThreads; ++i) {
    inputs.push_back(random::normal(Key(i), {2, 6, 1}));
    expected.push_back(served(inputs[i]));
  }
  std::vector<int> wrong(kThreads, 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int call = 0; call < kCalls; ++call) {
        wrong[i] += !all(equal(served(inputs[i]), expected[i])).item<bool>();
        const Tensor difference = abs(compiled(served, inputs[i]) - expected[i]);
        wrong[i] += max(difference).item<float>() > 1e-5f;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(kThreads, 0));
}

struct FunctionalModel {
  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    Tensor h = s("conv", linen::Conv{.features = 4, .kernel = 3}, x);
    h = s("norm", linen::BatchNorm{}, h, !train);
    h = s("drop", linen::Dropout{.rate = 0.5}, h, !train);
    return s("attention", linen::SelfAttention{.heads = 2}, h);
  }
};

TEST(Serving, many_threads_apply_one_functional_model) {
  const Tensor x = random::normal(Key(1), {2, 6, 1});
  const linen::Variables variables =
      linen::init(FunctionalModel{}, {{"params", Key(0)}, {"dropout", Key(1)}}, x, false);
  const Tensor expected = linen::apply(FunctionalModel{}, variables, x, false);
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (int& count : wrong) {
    threads.emplace_back([&] {
      for (int call = 0; call < 20; ++call) {
        const Tensor y = linen::apply(FunctionalModel{}, variables, x, false);
        count += !all(equal(y, expected)).item<bool>();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

}  // namespace
}  // namespace linnet::layers_serving_test
