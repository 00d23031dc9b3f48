// Variables, modules and streams that a function captures instead of taking as arguments.
#include "linnet/error.h"
#include "linnet/jit.h"
#include "tests/modules/nnx_transforms_support.h"

namespace linnet::nnx_transforms_captured_test {
namespace {

using nnx::kCarry;
using nnx::kNone;
using testing::Counter;
using testing::floats;

TEST(NnxTransforms, N_015_captured_variables_are_written_where_the_value_can_leave) {
  nnx::BatchStat total(zeros({}));
  const auto add = [&](const Tensor& x) {
    total = total.value() + x;
    return x * 2;
  };
  jit([&](const Tensor& x) { return add(x); })(ones({}));
  EXPECT_EQ(total.value().item<float>(), 1.f);
  nnx::grad([&](nnx::Param& w) { return add(w.value()) * w.value(); })(
      *std::make_unique<nnx::Param>(ones({})));
  EXPECT_EQ(total.value().item<float>(), 2.f);
  // Steps of a loop see what those before them wrote.
  const Tensor seen = nnx::scan(
      [&](const Tensor& x) {
        add(x);
        return total.value() * 1;
      },
      {.in_axes = {0}, .out_axes = {0}})(from_vector(std::vector<float>{1, 2, 3}, {3}));
  EXPECT_EQ(floats(seen), (std::vector<float>{3, 5, 8}));
  EXPECT_EQ(total.value().item<float>(), 8.f);
  nnx::remat(add)(ones({}));
  nnx::cond(
      Tensor(true), add, [](const Tensor& x) { return x; }, ones({}));
  EXPECT_EQ(total.value().item<float>(), 10.f);
}

TEST(NnxTransforms, N_015_and_refused_where_it_cannot) {
  nnx::Rngs rngs(0);
  Counter model(rngs);
  nnx::state(model);  // a walk tells variables their paths
  try {
    nnx::vmap([&](const Tensor& x) {
      model.steps = sum(x);
      return x;
    })(ones({2, 3}));
    ADD_FAILURE();
  } catch (const TraceError& e) {
    EXPECT_NE(std::string(e.what()).find("variable steps"), std::string::npos) << e.what();
  }
  EXPECT_EQ(model.steps.value().item<float>(), 0.f);
  // What is the same for all elements may be written.
  nnx::vmap([&](const Tensor& x) { return model(x); })(ones({2, 3}));
  EXPECT_EQ(model.steps.value().item<float>(), 1.f);
}

template <class T>
concept GivesKeys = requires(T& stream) { stream.next(); };

TEST(NnxTransforms, N_084_drawing_from_a_captured_stream_is_a_mutation) {
  static_assert(GivesKeys<nnx::RngStream> && !GivesKeys<const nnx::RngStream>);
  nnx::Rngs alone(0), looped(0), batched(0);
  const auto draw = [](nnx::Rngs& rngs) { return rngs.uniform({2}); };
  std::vector<float> expected;
  for (int i = 0; i < 3; ++i) {
    for (float v : floats(draw(alone))) expected.push_back(v);
  }
  const Tensor values = nnx::scan([&](const Tensor& x) { return draw(looped) + x; },
                                  {.in_axes = {0}, .out_axes = {0}})(zeros({3}));
  EXPECT_EQ(floats(values), expected);
  EXPECT_EQ(looped["default"].count().item<uint32_t>(), 3u);
  // One stream for a batch is one key for all; keys of their own come from split_rngs.
  const Tensor same = nnx::vmap([&](const Tensor& x) { return draw(batched) + x; })(zeros({2}));
  EXPECT_EQ(floats(same), (std::vector<float>{expected[0], expected[1], expected[0], expected[1]}));
  EXPECT_EQ(batched["default"].count().item<uint32_t>(), 1u);
}

TEST(NnxTransforms, N_085_modules_made_for_the_call_alone_leave_no_trace) {
  nnx::Rngs rngs(0);
  nnx::Param w(ones({2, 3}));
  const Tensor y = nnx::vmap(
      [](nnx::Param& each, nnx::Rngs& stream) {
        nnx::Linear local(3, 1, stream);  // ends with the call
        return sum(local(each.value())) * 0 + sum(each.value());
      },
      {.in_axes = {0, kNone}})(w, rngs);
  EXPECT_EQ(floats(y), (std::vector<float>{3, 3}));
  EXPECT_EQ(rngs["default"].count().item<uint32_t>(), 2u) << "kernel and bias";
}

/// Holds a tensor that is no variable.
struct WithTensor {
  nnx::Param w{ones({2})};
  Tensor t = zeros({2});
  LINNET_FIELDS(w, t)
};

Tensor count_up(WithTensor& m) {
  m.t = m.t + m.w.value();
  return sum(m.t);
}

TEST(NnxTransforms, N_024_tensors_of_modules_are_updated_in_every_transformation) {
  const auto stay = [](WithTensor& m) { return sum(m.t) * 0 - 1; };
  WithTensor m;
  EXPECT_EQ(nnx::cond(Tensor(true), count_up, stay, m).item<float>(), 2.f);
  EXPECT_EQ(nnx::cond(Tensor(false), count_up, stay, m).item<float>(), -1.f);
  EXPECT_EQ(floats(m.t), (std::vector<float>{1, 1}));
  nnx::remat(count_up)(m);
  nnx::grad(count_up, m);
  EXPECT_EQ(floats(m.t), (std::vector<float>{3, 3}));
  const auto choose = jit(
      [&](WithTensor& one, const Tensor& which) { return nnx::cond(which, count_up, stay, one); });
  choose(m, Tensor(true));
  choose(m, Tensor(false));
  EXPECT_EQ(floats(m.t), (std::vector<float>{4, 4}));
  // Carried from step to step.
  const nnx::StateAxes carried{{nnx::everything(), kCarry}};
  const Tensor sums = nnx::scan(count_up, {.in_axes = {carried}, .out_axes = {0}, .length = 3})(m);
  EXPECT_EQ(floats(sums), (std::vector<float>{10, 12, 14}));
  EXPECT_EQ(floats(m.t), (std::vector<float>{7, 7}));
  EXPECT_THROW(nnx::scan(count_up, {.in_axes = {kNone}, .out_axes = {0}, .length = 3})(m),
               ValueError);
  EXPECT_EQ(floats(m.t), (std::vector<float>{7, 7}));
  // Taken apart and stacked again.
  EXPECT_EQ(floats(nnx::scan(
                [](WithTensor& one) {
                  one.t = one.t * 2;
                  return one.w.value() + one.t;
                },
                {.in_axes = {0}, .out_axes = {0}})(m)),
            (std::vector<float>{15, 15}));
  EXPECT_EQ(floats(m.t), (std::vector<float>{14, 14}));
  using At = std::tuple<WithTensor&, Tensor>;
  nnx::fori_loop(
      0, 2,
      [](const Tensor&, At& at) {
        auto& [one, x] = at;
        one.t = one.t + x;
        return At(one, x + 1);
      },
      At(m, ones({})));
  EXPECT_EQ(floats(m.t), (std::vector<float>{17, 17}));
}

TEST(NnxTransforms, N_024_constant_modules_are_left_alone) {
  const WithTensor m{.w = nnx::Param(iota(DType::kF32, {2})), .t = ones({2, 3})};
  const auto total = [](const WithTensor& one, const Tensor& x) {
    return sum(one.t) * one.w.value() + x;
  };
  EXPECT_EQ(floats(nnx::vmap(total)(m, ones({2}))), (std::vector<float>{1, 4}));
  EXPECT_EQ(floats(jit([&](const Tensor& x) { return nnx::vmap(total)(m, x); })(ones({2}))),
            (std::vector<float>{1, 4}));
  EXPECT_EQ(m.t.shape(), (Shape{2, 3}));
}

}  // namespace
}  // namespace linnet::nnx_transforms_captured_test
