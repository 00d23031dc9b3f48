// Arguments with names: an aggregate is one argument of every transformation.
#include <gtest/gtest.h>

#include "linnet/core.h"
#include "linnet/error.h"
#include "linnet/nnx.h"

namespace linnet::nnx_named_arguments_test {
namespace {

/// What a Python function would take as keyword arguments, with defaults.
struct Call {
  Tensor x;
  std::optional<Tensor> mask = {};
  double scale = 1;
  bool negate = false;
};

struct Scaled {
  nnx::Linear layer;
  nnx::Variable calls;
  explicit Scaled(nnx::Rngs& rngs) : layer(3, 2, rngs), calls(scalar(0, DType::kF32)) {}
  LINNET_FIELDS(layer, calls)
  Tensor operator()(const Call& call) {
    calls = calls.value() + 1;
    Tensor y = layer(call.mask ? call.x * *call.mask : call.x) * call.scale;
    return call.negate ? -y : y;
  }
};

Scaled make() {
  nnx::Rngs rngs(0);
  return Scaled(rngs);
}
std::vector<float> floats(const Tensor& t) { return t.to_vector<float>(); }
void expect_near(const Tensor& got, const Tensor& expected) {
  ASSERT_EQ(got.shape(), expected.shape());
  const auto a = floats(got), b = floats(expected);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-6f);
}

const auto forward = [](Scaled& m, const Call& call) { return m(call); };

TEST(NnxNamedArguments, N_090_given_in_any_number_and_left_at_their_defaults) {
  Scaled model = make();
  const Tensor x = random::normal(Key(1), {4, 3}), mask = tensor({1.f, 0.f, 1.f});
  const Tensor plain = model.layer(x), masked = model.layer(x * mask);
  const auto compiled = jit(forward);
  expect_near(compiled(model, Call{.x = x}), plain);
  expect_near(compiled(model, Call{.x = x, .scale = 2}), plain * 2);
  expect_near(compiled(model, Call{.x = x, .mask = mask, .negate = true}), -masked);
  EXPECT_EQ(compiled.trace_count(), 3u) << "what is no tensor is static";
  expect_near(compiled(model, Call{.x = x * 3}), model.layer(x * 3));
  EXPECT_EQ(compiled.trace_count(), 3u);
  EXPECT_EQ(model.calls.value().item<float>(), 4);
}

TEST(NnxNamedArguments, N_090_are_positions_of_gradients_and_axes) {
  Scaled model = make();
  const Tensor x = random::normal(Key(1), {4, 3}), mask = tensor({1.f, 0.f, 1.f});
  const auto loss = [](Scaled& m, const Call& call) { return sum(m(call)); };
  const auto grads = nnx::grad<0>(loss)(model, Call{.x = x, .mask = mask});
  expect_near(grads["layer"]["kernel"], matmul(transpose(x * mask), ones({4, 2})));
  const Call of_call = grad([&](const Call& call) { return sum(model(call)); })(
      Call{.x = x, .mask = mask, .scale = 2});
  expect_near(of_call.x, matmul(ones({4, 2}), transpose(model.layer.kernel.value())) * 2 * mask);
  EXPECT_EQ(of_call.scale, 2);
  // One entry of in_axes for the aggregate, as for any other argument.
  expect_near(nnx::vmap([](Scaled& m, const Call& call) { return m.layer(call.x) * call.scale; },
                        {.in_axes = {kNone, 0}})(model, Call{.x = x, .scale = 3}),
              model.layer(x) * 3);
  const auto step = [&](const Tensor& carry, const Call& call) {
    const Tensor next = carry + sum(model.layer(call.x)) * call.scale;
    return std::make_pair(next, next);
  };
  const auto [total, steps] = nnx::scan(step)(Tensor(0.f), Call{.x = x, .scale = 2});
  expect_near(total, sum(model.layer(x)) * 2);
  EXPECT_EQ(steps.shape(), (Shape{4}));
  expect_near(nnx::remat(forward)(model, Call{.x = x, .negate = true}), -model.layer(x));
}

TEST(NnxNamedArguments, N_090_opaque_callables_take_them_too) {
  // A std::function has no names of parameters; the aggregate has.
  Scaled model = make();
  const Function<Tensor(const Call&)> opaque = [&](const Call& call) { return model(call); };
  const Tensor x = random::normal(Key(1), {4, 3});
  expect_near(jit(opaque)(Call{.x = x, .scale = 2}), model.layer(x) * 2);
}

}  // namespace
}  // namespace linnet::nnx_named_arguments_test
