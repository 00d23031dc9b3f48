// nnx::scan, while_loop, fori_loop, cond and switch_case over modules.
#include "linnet/error.h"
#include "linnet/jit.h"
#include "tests/modules/nnx_transforms_support.h"

namespace linnet::nnx_transforms_loops_test {
namespace {

using nnx::kCarry;
using nnx::kNone;
using testing::Counter;
using testing::expect_transformed;
using testing::expect_transformed_state;
using testing::floats;
using testing::Noisy;
using testing::transforms_golden;

Noisy layers(int64_t axis) {
  nnx::Rngs rngs = testing::noisy_rngs();
  return nnx::split_rngs(
      {.splits = 3}, nnx::vmap([](nnx::Rngs& r) { return Noisy(r); }, {.out_axes = {axis}}))(rngs);
}

/// x through the blocks one after the other.
Tensor through(Noisy& blocks, const Tensor& x, int64_t axis) {
  return nnx::scan([](const Tensor& h, Noisy& block) { return block(h); },
                   {.in_axes = {kCarry, axis}, .out_axes = {kCarry}})(x, blocks);
}

TEST(NnxTransforms, N_104_N_106_N_162_layers_stacked_by_scan) {
  for (const auto& [name, axis] :
       {std::pair("scan/layers", 0), std::pair("scan/layers_last", -1)}) {
    const std::string prefix = name;
    const Tensor x = transforms_golden(prefix + "/x");
    Noisy blocks = layers(axis);
    expect_transformed_state(nnx::state(blocks, nnx::of_type<nnx::Param>()), prefix + "/params");
    Noisy compiled = nnx::clone(blocks), differentiated = nnx::clone(blocks);
    expect_transformed(through(blocks, x, axis), prefix + "/out");
    expect_transformed_state(testing::without_keys(blocks), prefix + "/after");
    const auto run =
        jit([axis = axis](Noisy& m, const Tensor& input) { return through(m, input, axis); });
    expect_transformed(run(compiled, x), prefix + "/out");
    expect_transformed_state(testing::without_keys(compiled), prefix + "/after");
    const auto loss = [axis = axis](Noisy& m, const Tensor& input) {
      return mean(square(through(m, input, axis)));
    };
    const auto [dm, dx] = nnx::grad<0, 1>(loss)(differentiated, x);
    expect_transformed_state(dm, prefix + "/grad", 1e-5);
    expect_transformed(dx, prefix + "/dx", 1e-5);
    expect_transformed_state(testing::without_keys(differentiated), prefix + "/after");
  }
}

TEST(NnxTransforms, N_099_N_162_scan_of_remat) {
  Noisy blocks = layers(0);
  const Tensor x = transforms_golden("scan/layers/x");
  const auto block = nnx::remat([](const Tensor& h, Noisy& m) { return m(h); });
  const auto forward = nnx::scan(block, {.in_axes = {kCarry, 0}, .out_axes = {kCarry}});
  const auto [value, gradients] =
      nnx::value_and_grad([&](Noisy& m) { return mean(square(forward(x, m))); }, blocks);
  expect_transformed(value, "scan/remat/value");
  expect_transformed_state(gradients, "scan/remat/grad", 1e-5);
  expect_transformed_state(testing::without_keys(blocks), "scan/remat/after");
}

TEST(NnxTransforms, N_101_N_104_one_block_for_all_steps_with_carried_state) {
  nnx::Rngs rngs(0), noise(5);
  Counter model(rngs);
  const nnx::StateAxes axes{{nnx::of_type<nnx::BatchStat>(), kCarry}, {nnx::everything(), kNone}};
  const nnx::StateAxes streams{{nnx::everything(), kCarry}};
  const auto step = nnx::scan(
      [](const Tensor& h, Counter& m, nnx::Rngs& r, const Tensor& x) {
        const Tensor next = m(h + x + r.normal({3}));
        return std::pair(next, 2 * next);
      },
      {.in_axes = {kCarry, axes, streams, 0}});
  const auto [h, ys] = step(zeros({3}), model, noise, transforms_golden("scan/carried/xs"));
  expect_transformed(h, "scan/carried/h");
  expect_transformed(ys, "scan/carried/ys");
  expect_transformed(model.steps.value(), "scan/carried/steps");
  expect_transformed(noise["default"].count(), "scan/carried/count", 0);
}

TEST(NnxTransforms, N_104_broadcast_streams_begin_anew) {
  nnx::Rngs shared(5);
  const auto draw =
      nnx::scan([](const Tensor& c, nnx::Rngs& r) { return std::pair(c + 1, r.uniform({2})); },
                {.in_axes = {kCarry, kNone}, .length = 3});
  const auto [c, values] = draw(scalar(0, DType::kF32), shared);
  EXPECT_EQ(c.item<float>(), 3.f);
  expect_transformed(values, "scan/broadcast_stream/values");
  expect_transformed(shared["default"].count(), "scan/broadcast_stream/count", 0);
}

TEST(NnxTransforms, N_104_broadcast_variables_are_constant) {
  nnx::BatchStat total(zeros({3}));
  nnx::Rngs rngs(0);
  Counter model(rngs);
  try {
    nnx::scan([](const Tensor& h, Counter& m, const Tensor& x) { return std::pair(m(h), x); },
              {.in_axes = {kCarry, kNone, 0}})(zeros({3}), model, ones({2, 3}));
    ADD_FAILURE();
  } catch (const ValueError& e) {
    EXPECT_NE(
        std::string(e.what()).find("'steps' of argument 1 (BatchStat) is broadcast and written"),
        std::string::npos)
        << e.what();
  }
  EXPECT_EQ(model.steps.value().item<float>(), 0.f);
  // Reading one is what broadcasting is for.
  const Tensor out =
      nnx::scan([](const nnx::BatchStat& shared, const Tensor& x) { return shared.value() + x; },
                {.in_axes = {kNone, 0}, .out_axes = {0}})(total, ones({2, 3}));
  EXPECT_EQ(out.shape(), (Shape{2, 3}));
}

TEST(NnxTransforms, N_104_only_a_carry_and_no_carry) {
  nnx::Param weights(iota(DType::kF32, {4}));
  const Tensor last =
      nnx::scan([](const Tensor& c) { return c * 2; },
                {.in_axes = {kCarry}, .out_axes = {kCarry}, .length = 3})(ones({2}));
  EXPECT_EQ(floats(last), (std::vector<float>{8, 8}));
  const Tensor squares = nnx::scan(
      [](nnx::Param& w) {
        w = w.value() + 1;
        return w.value() * w.value();
      },
      {.in_axes = {0}, .out_axes = {0}})(weights);
  EXPECT_EQ(floats(squares), (std::vector<float>{1, 4, 9, 16}));
  EXPECT_EQ(floats(weights), (std::vector<float>{1, 2, 3, 4}));
}

TEST(NnxTransforms, N_106_reverse_and_axes_of_their_own) {
  nnx::Param w(iota(DType::kF32, {2, 3}, 1));
  const auto [c, ys] = nnx::scan(
      [](const Tensor& carry, nnx::Param& each) {
        EXPECT_EQ(each.shape(), Shape{2});
        const Tensor next = carry * 10 + each.value();
        each = each.value() * 2;
        return std::pair(next, next);
      },
      {.in_axes = {kCarry, 1}, .out_axes = {kCarry, -1}, .reverse = true})(zeros({2}), w);
  EXPECT_EQ(floats(c), (std::vector<float>{210, 210}));
  EXPECT_EQ(ys.shape(), (Shape{2, 3}));
  EXPECT_EQ(floats(ys), (std::vector<float>{210, 21, 2, 210, 21, 2}));
  EXPECT_EQ(floats(w), (std::vector<float>{0, 2, 4, 0, 2, 4}));
}

struct Sowing {
  nnx::Linear linear;
  nnx::Intermediate seen{state::Value::tuple_of({})};
  explicit Sowing(nnx::Rngs& rngs) : linear(2, 2, rngs) {}
  LINNET_FIELDS(linear, seen)
  Tensor operator()(const Tensor& x) {
    const Tensor y = linear(x);
    seen.set_raw_value(state::Value::tuple_of({y}));
    return y;
  }
};

TEST(NnxTransforms, N_106_intermediates_are_stacked) {
  nnx::Rngs rngs(0);
  Sowing blocks =
      nnx::split_rngs({.splits = 3}, nnx::vmap([](nnx::Rngs& r) { return Sowing(r); }))(rngs);
  const Tensor y = nnx::scan([](const Tensor& h, Sowing& m) { return m(h); },
                             {.in_axes = {kCarry, 0}, .out_axes = {kCarry}})(ones({2}), blocks);
  const state::Value seen = blocks.seen.raw_value();
  ASSERT_EQ(seen.tensors.size(), 1u);
  EXPECT_EQ(seen.tensors[0].shape(), (Shape{3, 2}));
  EXPECT_EQ(floats(slice(seen.tensors[0], {2, 0}, {3, 2})), floats(y));
}

TEST(NnxTransforms, N_107_N_102_S_186_metadata_in_a_scan) {
  const Metadata layer_axis{{"partition_name", "layers"}};
  nnx::Param w(ones({3, 2}), {{"out_sharding", AxisNames{"layers", "in"}}});
  const auto names = [](const nnx::Param& p) {
    return *p.metadata().get<AxisNames>("out_sharding");
  };
  nnx::scan(
      [&](const Tensor& x, nnx::Param& each) {
        EXPECT_EQ(names(each), (AxisNames{"in"}));
        return x + each.value();
      },
      {.in_axes = {kCarry, 0}, .out_axes = {kCarry}, .transform_metadata = layer_axis})(zeros({2}),
                                                                                        w);
  EXPECT_EQ(names(w), (AxisNames{"layers", "in"}));
}

TEST(NnxTransforms, N_104_axes_that_make_no_sense) {
  const auto f = [](const Tensor& a, const Tensor& b) { return std::pair(a + b, b); };
  const Tensor x = ones({3});
  EXPECT_THROW(nnx::scan(f, {.in_axes = {kCarry, kCarry}})(x, x), ValueError);
  EXPECT_THROW(nnx::scan(f, {.out_axes = {kCarry, kCarry}})(x, x), ValueError);
  EXPECT_THROW(nnx::scan(f, {.in_axes = {0, 0}})(x, x), ValueError);
  EXPECT_THROW(nnx::scan(f, {.out_axes = {0, 0}})(x, x), ValueError);
  EXPECT_THROW(nnx::scan(f, {.out_axes = {kCarry, kNone}})(x, x), ValueError);
  EXPECT_THROW(nnx::scan(f, {.in_axes = {kCarry}, .out_axes = {kCarry}})(x, x), ValueError);
  const nnx::StateAxes none{{nnx::everything(), kNone}};
  EXPECT_THROW(nnx::scan(f, {.out_axes = {kCarry, none}})(x, x), ValueError);
  nnx::Param w(ones({3}));
  EXPECT_THROW(nnx::scan([](const Tensor& c, nnx::Param&, nnx::Param&) { return std::pair(c, c); },
                         {.in_axes = {kCarry, 0, kNone}})(x, w, w),
               ValueError);
}

using Model = nnx::Shared<Counter>;

Model model() {
  nnx::Rngs rngs(0);
  return Model::make(rngs);
}

TEST(NnxTransforms, N_105_the_carry_keeps_its_objects) {
  Model m = model();
  const auto step = [](std::pair<Model, Tensor>& carry, const Tensor& x) {
    const Tensor next = (*carry.first)(carry.second + x);
    return std::pair(std::pair(carry.first, next), x);
  };
  const auto [carry, xs] = nnx::scan(step)(std::pair(m, zeros({3})), ones({4, 3}));
  EXPECT_EQ(&*carry.first, &*m);
  EXPECT_EQ(m->steps.value().item<float>(), 4.f);
  const auto other = [](std::pair<Model, Tensor>& at, const Tensor& x) {
    return std::pair(std::pair(model(), at.second), x);
  };
  try {
    nnx::scan(other)(std::pair(m, zeros({3})), ones({4, 3}));
    ADD_FAILURE();
  } catch (const ValueError& e) {
    EXPECT_NE(std::string(e.what()).find("must be the same between iterations"), std::string::npos)
        << e.what();
  }
}

TEST(NnxTransforms, N_108_while_loop_with_a_module) {
  Model m = model();
  const auto more = [](const std::tuple<Model, Tensor, Tensor>& at) { return std::get<2>(at) > 0; };
  const auto next = [](std::tuple<Model, Tensor, Tensor>& at) {
    auto& [one, x, left] = at;
    return std::tuple(one, (*one)(x), left - 1);
  };
  const Tensor x = transforms_golden("while/x"), count = scalar_integer(3, DType::kI32);
  const auto [same, y, left] = nnx::while_loop(more, next, std::tuple(m, x, count));
  EXPECT_EQ(&*same, &*m);
  expect_transformed(y, "while/y");
  expect_transformed(m->steps.value(), "while/steps");
  EXPECT_EQ(left.item<int32_t>(), 0);
  const auto replaced = [](std::tuple<Model, Tensor, Tensor>& at) {
    return std::tuple(model(), std::get<1>(at), std::get<2>(at) - 1);
  };
  EXPECT_THROW(nnx::while_loop(more, replaced, std::tuple(m, x, count)), ValueError);
}

TEST(NnxTransforms, N_108_loops_over_references) {
  nnx::Rngs rngs(0);
  Counter m(rngs);
  using At = std::tuple<Counter&, Tensor>;
  const auto body = [](const Tensor& i, At& at) {
    auto& [one, x] = at;
    one.linear.bias = one.linear.bias->value() + i.astype(DType::kF32);
    return At(one, one(x));
  };
  const auto run = [&](Counter& one) {
    return std::get<1>(nnx::fori_loop(2, 5, body, At(one, transforms_golden("while/x"))));
  };
  expect_transformed(run(m), "fori/y");
  expect_transformed(m.steps.value(), "fori/steps");
  expect_transformed(m.linear.bias->value(), "fori/bias");
  nnx::Rngs again(0);
  Counter compiled(again);
  expect_transformed(jit([&](Counter& one) { return run(one); })(compiled), "fori/y");
  expect_transformed(compiled.steps.value(), "fori/steps");
  // Plain values, numbers included.
  EXPECT_EQ(nnx::fori_loop(
                0, 4, [](const Tensor&, const Tensor& x) { return x * 2; }, 1.0)
                .item<float>(),
            16.f);
  EXPECT_EQ(nnx::while_loop([](const Tensor& x) { return x < 100; },
                            [](const Tensor& x) { return x * 2; }, 1.0)
                .item<float>(),
            128.f);
}

TEST(NnxTransforms, N_108_modules_that_are_captured_take_part_too) {
  nnx::Rngs rngs(0);
  Counter m(rngs);
  const Tensor y = nnx::fori_loop(
      0, 3, [&](const Tensor&, const Tensor& x) { return m(x); }, transforms_golden("while/x"));
  expect_transformed(y, "while/y");
  expect_transformed(m.steps.value(), "while/steps");
}

TEST(NnxTransforms, N_109_cond_and_switch_with_operands) {
  nnx::Rngs rngs(0);
  Counter m(rngs);
  const Tensor x = transforms_golden("while/x");
  const auto call = [](Counter& one, const Tensor& input) { return one(input); };
  const auto skip = [](Counter&, const Tensor& input) { return input; };
  const auto twice = [](Counter& one, const Tensor& input) { return one(one(input)); };
  expect_transformed(nnx::cond(Tensor(true), call, skip, m, x), "cond/taken");
  expect_transformed(nnx::cond(Tensor(false), call, skip, m, x), "cond/skipped");
  expect_transformed(nnx::switch_case(Tensor(2), std::tuple(skip, call, twice), m, x),
                     "cond/third");
  expect_transformed(m.steps.value(), "cond/steps");
  // In a compiled program both branches are there, and one runs.
  nnx::Rngs again(0);
  Counter compiled(again);
  const auto choose = jit([&](Counter& one, const Tensor& which, const Tensor& input) {
    return nnx::cond(which, call, skip, one, input);
  });
  expect_transformed(choose(compiled, Tensor(true), x), "cond/taken");
  expect_transformed(choose(compiled, Tensor(false), x), "cond/skipped");
  EXPECT_EQ(compiled.steps.value().item<float>(), 1.f);
  // One module as two operands; nothing to return.
  nnx::cond(
      Tensor(true), [](Counter& a, Counter& b) { a.steps = b.steps.value() + 5; },
      [](Counter&, Counter&) {}, m, m);
  EXPECT_EQ(m.steps.value().item<float>(), 8.f);
  EXPECT_THROW(nnx::cond(
                   Tensor(true), [](Counter&) { return std::vector<Tensor>{ones({1})}; },
                   [](Counter&) { return std::vector<Tensor>{}; }, compiled),
               Error);
}

/// What is drawn from one stream inside of loops and branches, one after the other.
std::vector<Tensor> draws(nnx::Rngs& rngs) {
  using Loop = std::tuple<nnx::Rngs&, Tensor>;
  const auto draw = [](const Tensor& i, Loop& at) {
    auto& [stream, out] = at;
    const Tensor row = reshape(stream.uniform({2}), {1, 2});
    return Loop(stream, dynamic_update_slice(out, row, {i, Tensor(0)}));
  };
  const Tensor looped = std::get<1>(nnx::fori_loop(0, 3, draw, Loop(rngs, zeros({3, 2}))));
  using Until = std::tuple<nnx::Rngs&, Tensor, Tensor>;
  const auto more = [](const Until& at) { return std::get<1>(at)[0] < 0.8; };
  const auto again = [](Until& at) {
    auto& [stream, unused, turns] = at;
    return Until(stream, stream.uniform({2}), turns + 1);
  };
  const Until last =
      nnx::while_loop(more, again, Until(rngs, zeros({2}), scalar_integer(0, DType::kI32)));
  const auto one = [](nnx::Rngs& r) { return r.uniform({2}); };
  const auto none = [](nnx::Rngs&) { return zeros({2}); };
  const auto ones_of = [](nnx::Rngs&) { return ones({2}); };
  const auto two = [](nnx::Rngs& r) {
    const Tensor first = r.uniform({2});
    return first + r.uniform({2});
  };
  const Tensor taken = nnx::cond(Tensor(true), one, none, rngs);
  const Tensor skipped = nnx::cond(Tensor(false), one, none, rngs);
  const Tensor chosen = nnx::switch_case(Tensor(2), std::tuple(one, ones_of, two), rngs);
  return {looped, std::get<1>(last),      std::get<2>(last), taken, skipped,
          chosen, rngs["default"].count()};
}

TEST(NnxTransforms, N_108_N_109_keys_inside_loops_and_branches) {
  const std::vector<std::string> names{"looped",  "drawn",  "turns", "taken",
                                       "skipped", "chosen", "count"};
  nnx::Rngs eager(5), compiled(5);
  const std::vector<Tensor> results[] = {draws(eager), jit(draws)(compiled)};
  for (const std::vector<Tensor>& got : results) {
    for (size_t i = 0; i < names.size(); ++i) expect_transformed(got[i], "keys/" + names[i]);
  }
}

}  // namespace
}  // namespace linnet::nnx_transforms_loops_test
