// checkpoint: the same numbers with less memory (J-086).
#include "tests/core/core_support.h"

namespace linnet::checkpoint_remat_test {
namespace {

using test::values;

constexpr int64_t kWidth = 128;

/// A layer with many intermediate values.
Tensor layer(const Tensor& x, const Tensor& w) {
  const Tensor h = matmul(x, w);
  return x + tanh(sin(h) * exp(-h * h)) * log1p(exp(h));
}

std::vector<Tensor> weights(int layers) {
  std::vector<Tensor> out;
  for (int i = 0; i < layers; ++i) {
    out.push_back(sin(test::ramp({kWidth, kWidth}) * (i + 1)) * 0.1);
  }
  return out;
}

template <class Layer>
auto loss_of(Layer one_layer) {
  return [one_layer](const std::vector<Tensor>& w, const Tensor& x) {
    Tensor h = x;
    for (const Tensor& each : w) h = one_layer(h, each);
    return mean(square(h));
  };
}

/// Bytes that the tape holds between the forward and the backward pass.
template <class Loss>
size_t saved_bytes(const Loss& loss, const std::vector<Tensor>& w, const Tensor& x) {
  const size_t before = memory_stats().live_bytes;
  const auto kept = vjp(loss, w, x);
  return memory_stats().live_bytes - before;
}

TEST(Checkpoint, J_086_same_values_and_gradients) {
  const std::vector<Tensor> w = weights(3);
  const Tensor x = sin(test::ramp({32, kWidth}));
  const auto plain = loss_of(layer);
  const auto saving = loss_of(checkpoint(layer));
  const auto [value, g] = value_and_grad(plain)(w, x);
  const auto [value2, g2] = value_and_grad(saving)(w, x);
  EXPECT_EQ(value.item<float>(), value2.item<float>());
  for (size_t i = 0; i < w.size(); ++i) EXPECT_EQ(values(g[i]), values(g2[i])) << i;
  const auto jitted = jit(
      [&](const std::vector<Tensor>& p, const Tensor& y) { return value_and_grad(saving)(p, y); });
  const auto [value3, g3] = jitted(w, x);
  EXPECT_FLOAT_EQ(value.item<float>(), value3.item<float>());
  for (size_t i = 0; i < w.size(); ++i) {
    const std::vector<float> a = values(g[i]), b = values(g3[i]);
    for (size_t k = 0; k < a.size(); ++k) ASSERT_NEAR(a[k], b[k], 1e-5f) << i;
  }
}

TEST(Checkpoint, J_086_keeps_only_the_inputs_of_each_layer) {
  const std::vector<Tensor> w = weights(4);
  const Tensor x = sin(test::ramp({256, kWidth}));
  const size_t activation = 256 * kWidth * sizeof(float);
  const size_t plain = saved_bytes(loss_of(layer), w, x),
               saving = saved_bytes(loss_of(checkpoint(layer)), w, x);
  EXPECT_GT(plain, 4 * 5 * activation) << "five values or more of every layer";
  EXPECT_LE(saving, 6 * activation) << "one of every layer";
}

TEST(Checkpoint, J_086_a_jitted_step_needs_less_memory) {
  const std::vector<Tensor> w = weights(8);
  const Tensor x = sin(test::ramp({256, kWidth}));
  const auto arena = [&](auto loss) {
    return jit([loss](const std::vector<Tensor>& p, const Tensor& y) { return grad(loss)(p, y); })
        .lower(w, x)
        .arena_bytes();
  };
  EXPECT_LT(arena(loss_of(checkpoint(layer))), arena(loss_of(layer)) * 2 / 3);
}

TEST(Checkpoint, runs_again_in_the_backward_pass_only_if_it_is_needed) {
  int traced = 0;
  const auto f = checkpoint([&](const Tensor& x) {
    ++traced;
    return sum(sin(x));
  });
  EXPECT_NEAR(f(ones({3})).item<float>(), 3 * std::sin(1.f), 1e-6);
  EXPECT_EQ(traced, 1) << "traced once; the second run is a program";
  (void)grad(f)(ones({3}));
  EXPECT_EQ(traced, 2);
}

TEST(Checkpoint, trees_integers_and_captured_values) {
  struct In {
    Tensor x, index;
    int factor = 3;
  };
  const Tensor table = test::ramp({10});
  const auto f = checkpoint([&](const In& in) {
    return std::make_pair(sum(take(table, in.index) * in.x) * in.factor, in.index + 1);
  });
  const In in{ones({2}), tensor({4, 7})};
  const auto [y, next] = f(in);
  EXPECT_FLOAT_EQ(y.item<float>(), 3 * 1.1f);
  EXPECT_EQ(next.to_vector<int>(), (std::vector<int>{5, 8}));
  const Tensor g = grad([&](const Tensor& x) { return f(In{x, in.index}).first; })(in.x);
  EXPECT_FLOAT_EQ(g[0].item<float>(), 1.2f);
  EXPECT_FLOAT_EQ(g[1].item<float>(), 2.1f);
  const Tensor captured = grad([](const Tensor& w) {
    return checkpoint([&](const Tensor& x) { return sum(x * w * w); })(ones({2}));
  })(tensor({3.f, 4.f}));
  EXPECT_EQ(values(captured), test::floats({6, 8})) << "gradients reach captured tensors";
}

TEST(Checkpoint, J_086_nests) {
  const auto inner = checkpoint([](const Tensor& x) { return sin(x) * x; });
  const auto f = checkpoint([&](const Tensor& x) { return sum(inner(inner(x))); });
  const auto plain = [](const Tensor& x) {
    const Tensor y = sin(x) * x;
    return sum(sin(y) * y);
  };
  const Tensor x = from_vector<double>({0.3, 1.2, -2}, {3});
  const auto near = [](const Tensor& a, const Tensor& b) {
    const auto p = a.to_vector<double>(), q = b.to_vector<double>();
    for (size_t i = 0; i < p.size(); ++i) EXPECT_NEAR(p[i], q[i], 1e-13);
  };
  near(grad(f)(x), grad(plain)(x));
  near(hessian(f)(x), hessian(plain)(x));
  near(vmap(grad(f))(stack({x, x * 2})), vmap(grad(plain))(stack({x, x * 2})));
}

TEST(Checkpoint, undefined_leaves_are_named) {
  test::expect_error<ValueError>("checkpoint: a leaf of the arguments is an undefined tensor",
                                 [] { checkpoint([](const Tensor& x) { return x; })(Tensor()); });
  test::expect_error<ValueError>("checkpoint: a result is an undefined tensor", [] {
    checkpoint([](const Tensor&) { return Tensor(); })(Tensor(1.f));
  });
}

}  // namespace
}  // namespace linnet::checkpoint_remat_test
