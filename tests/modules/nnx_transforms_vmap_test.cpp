// nnx::vmap, axes of states, and random streams for it.
#include "linnet/error.h"
#include "linnet/jit.h"
#include "linnet/optim.h"
#include "tests/modules/nnx_transforms_support.h"

namespace linnet::nnx_transforms_vmap_test {
namespace {

using nnx::kNone;
using testing::expect_streams;
using testing::expect_transformed;
using testing::expect_transformed_state;
using testing::floats;
using testing::Noisy;
using testing::SmallMlp;
using testing::transforms_golden;

TEST(NnxTransforms, N_081_N_082_split_rngs_as_flax) {
  nnx::Rngs rngs{{"params", 0}, {"dropout", 1}};
  const nnx::RngBackups backups = nnx::split_rngs(rngs, {.splits = 5});
  expect_streams(rngs, "rngs/split/split");
  nnx::restore_rngs(backups);
  expect_streams(rngs, "rngs/split/restored");

  nnx::Rngs some{{"params", 0}, {"dropout", 1}};
  {
    const nnx::RestoreRngs after(
        nnx::split_rngs(some, {.splits = {2, 3}, .only = nnx::with_tag("params")}));
    expect_streams(some, "rngs/split_only/split");
    EXPECT_THROW(nnx::split_rngs(some, {.splits = 2}), ValueError);
  }
  EXPECT_EQ(some["params"].key().data().shape(), Shape{2});

  nnx::Rngs one{{"params", 0}, {"dropout", 1}};
  nnx::split_rngs(one, {.splits = 1, .squeeze = true});
  expect_streams(one, "rngs/squeeze/split");
  EXPECT_THROW(nnx::split_rngs(one, {.splits = 2, .squeeze = true}), ValueError);
}

TEST(NnxTransforms, N_082_fork_rngs_as_flax) {
  nnx::Rngs rngs{{"params", 0}, {"dropout", 1}};
  const nnx::RngBackups backups = nnx::fork_rngs(
      rngs, {{nnx::with_tag("params"), 3}, {nnx::with_tag("dropout"), std::nullopt}});
  expect_streams(rngs, "rngs/fork/forked");
  nnx::restore_rngs(backups);
  expect_streams(rngs, "rngs/fork/restored");
  // As a decorator: the streams are back afterwards, one key further.
  const Tensor inside = nnx::fork_rngs({{nnx::everything(), std::nullopt}},
                                       [](nnx::Rngs& r) { return r["params"].count(); })(rngs);
  EXPECT_EQ(inside.item<uint32_t>(), 0u);
  EXPECT_EQ(rngs["params"].count().item<uint32_t>(), 2u);
}

TEST(NnxTransforms, N_080_N_082_copies_with_other_streams) {
  using nnx::everything;
  using nnx::with_tag;
  nnx::Rngs rngs{{"params", 0}, {"dropout", 1}, {"noise", 2}};
  nnx::Rngs split = nnx::with_rngs(
      rngs,
      {.split = {{with_tag("params"), 5}, {with_tag("dropout"), kNone}, {everything(), {{2, 3}}}}});
  expect_streams(split, "rngs/split_copy/copy");
  expect_streams(rngs, "rngs/split_copy/after");

  nnx::Rngs two{{"params", 0}, {"dropout", 1}};
  nnx::Rngs repeated = nnx::with_rngs(two, {.broadcast = {{everything(), 3}}});
  expect_streams(repeated, "rngs/broadcast/copy");
  expect_streams(two, "rngs/broadcast/after");

  nnx::Rngs three{{"params", 0}, {"dropout", 1}, {"noise", 2}};
  nnx::Rngs mixed = nnx::with_rngs(three, {.split = {{with_tag("params"), 4}},
                                           .broadcast = {{with_tag("dropout"), 2}},
                                           .fork = {everything()}});
  expect_streams(mixed, "rngs/with_rngs/copy");
  expect_streams(three, "rngs/with_rngs/after");
  EXPECT_THROW(nnx::with_rngs(three, {.split = {{with_tag("params"), 4}},
                                      .broadcast = {{with_tag("params"), 2}}}),
               ValueError);
  // Streams before the one that is refused have drawn nothing.
  nnx::Rngs untouched{{"dropout", 1}, {"params", 0}};
  const auto counts = [&] {
    return std::pair(untouched["dropout"].count().item<uint32_t>(),
                     untouched["params"].count().item<uint32_t>());
  };
  const auto counted = counts();
  EXPECT_THROW(nnx::with_rngs(untouched, {.split = {{with_tag("params"), 4}, {everything(), 2}},
                                          .broadcast = {{with_tag("params"), 2}}}),
               ValueError);
  EXPECT_EQ(counts(), counted);
  // Of a module: everything but the streams is shared.
  nnx::Rngs more = testing::noisy_rngs();
  Noisy block(more);
  Noisy batch = nnx::with_rngs(block, {.split = {{everything(), 4}}});
  EXPECT_EQ(batch.linear.kernel.cell(), block.linear.kernel.cell());
  EXPECT_EQ(batch.dropout.rngs->count().shape(), Shape{4});
  EXPECT_EQ(block.dropout.rngs->count().item<uint32_t>(), 1u);
}

TEST(NnxTransforms, N_081_streams_inside_modules_are_split_once) {
  nnx::Rngs rngs = testing::noisy_rngs();
  Noisy block(rngs);
  struct Twice {
    nnx::Shared<Noisy> a, b;
    LINNET_FIELDS(a, b)
  };
  Twice twice{nnx::Shared<Noisy>::make(block), nnx::Shared<Noisy>()};
  twice.b = twice.a;
  const nnx::RngBackups backups = nnx::split_rngs(twice, {.splits = 4});
  EXPECT_EQ(backups.entries.size(), 1u);
  EXPECT_EQ(twice.b->dropout.rngs->key().data().shape(), (Shape{4, 2}));
}

TEST(NnxTransforms, N_100_N_162_a_deep_ensemble_in_three_lines) {
  nnx::Rngs rngs(0);
  const Tensor x = transforms_golden("ensemble/x");

  const auto make = nnx::vmap([](nnx::Rngs& r) { return SmallMlp(r); });
  SmallMlp models = nnx::split_rngs({.splits = 3}, make)(rngs);
  const auto forward =
      nnx::vmap([](SmallMlp& m, const Tensor& input) { return m(input); }, {.in_axes = {0, kNone}});

  expect_transformed_state(nnx::state(models), "ensemble/params");
  expect_transformed(rngs["default"].count(), "ensemble/count");
  expect_transformed(forward(models, x), "ensemble/out");
  const nnx::State gradients =
      nnx::grad([&](SmallMlp& m) { return mean(square(forward(m, x))); }, models);
  expect_transformed_state(gradients, "ensemble/grad");
  // Gradients of each member, as a state whose leaves are stacked.
  const nnx::State members = nnx::vmap(
      [](SmallMlp& m, const Tensor& input) {
        return nnx::grad([&](SmallMlp& one) { return mean(square(one(input))); }, m);
      },
      {.in_axes = {0, kNone}})(models, x);
  expect_transformed_state(members, "ensemble/member");
}

TEST(NnxTransforms, N_085_N_100_state_of_every_kind_is_stacked_again) {
  nnx::Rngs rngs = testing::noisy_rngs();
  Noisy models =
      nnx::split_rngs({.splits = 2}, nnx::vmap([](nnx::Rngs& r) { return Noisy(r); }))(rngs);
  expect_transformed_state(nnx::state(models), "vmap_state/before");
  const Tensor x = transforms_golden("vmap_state/x");
  const auto run = [](Noisy& m, const Tensor& input) { return m(input); };
  Noisy compiled_models = nnx::clone(models);
  expect_transformed(nnx::vmap(run)(models, x), "vmap_state/out");
  expect_transformed_state(testing::without_keys(models), "vmap_state/after");
  // The same inside a compiled program.
  const auto compiled =
      jit([&](Noisy& m, const Tensor& input) { return nnx::vmap(run)(m, input); });
  expect_transformed(compiled(compiled_models, x), "vmap_state/out");
  expect_transformed_state(testing::without_keys(compiled_models), "vmap_state/after");
}

TEST(NnxTransforms, N_101_state_axes_choose_by_filter) {
  testing::TwoParams m{.a = nnx::Param(iota(DType::kF32, {4})),
                       .b = nnx::Param(ones({2})),
                       .c = nnx::BatchStat(iota(DType::kF32, {3}))};
  const nnx::StateAxes axes{{nnx::path_contains("a"), 0}, {nnx::everything(), kNone}};
  const Tensor products = nnx::vmap(
      [](testing::TwoParams& each) {
        EXPECT_EQ(each.a.shape(), Shape{});
        EXPECT_EQ(each.b.shape(), Shape{2});
        return each.a.value() * each.c.value();
      },
      {.in_axes = {axes}})(m);
  EXPECT_EQ(floats(products), (std::vector<float>{0, 0, 0, 0, 1, 2, 0, 2, 4, 0, 3, 6}));
  EXPECT_EQ(axes, (nnx::StateAxes{{nnx::path_contains("a"), 0}, {nnx::everything(), kNone}}));
  const nnx::StateAxes some{{nnx::of_type<nnx::BatchStat>(), 0}};
  const auto total = [](testing::TwoParams& each) { return sum(each.a.value()); };
  try {
    nnx::vmap(total, {.in_axes = {some}})(m);
    ADD_FAILURE();
  } catch (const ValueError& e) {
    EXPECT_NE(std::string(e.what()).find("no axis for 'a' (Param)"), std::string::npos) << e.what();
  }
}

TEST(NnxTransforms, N_101_axes_from_a_state_of_axes) {
  testing::TwoParams m{.a = nnx::Param(ones({2, 4})), .b = nnx::Param(ones({4, 2}))};
  nnx::State which;
  which.insert({{"a"}}, {nullptr, scalar_integer(1, DType::kI32)});
  which.insert({{"b"}}, {nullptr, scalar_integer(-2, DType::kI32)});
  std::vector<nnx::StateAxes::Entry> entries = nnx::StateAxes(which).entries();
  entries.emplace_back(nnx::everything(), kNone);
  const Tensor out =
      nnx::vmap([](testing::TwoParams& each) { return each.a.value() + each.b.value(); },
                {.in_axes = {nnx::StateAxes(entries)}, .out_axes = {1}})(m);
  EXPECT_EQ(out.shape(), (Shape{2, 4}));
}

TEST(NnxTransforms, N_100_shared_variables_are_one_for_all) {
  nnx::Rngs rngs(0);
  nnx::Linear m(2, 3, rngs);
  nnx::BatchStat count(scalar(0, DType::kF32)), last(zeros({2}));
  const Tensor x = ones({5, 2});
  const Tensor y = nnx::vmap(
      [](nnx::Linear& layer, nnx::BatchStat& counted, const Tensor& input) {
        counted = counted.value() + 1;
        return layer(input);
      },
      {.in_axes = {kNone, kNone, 0}})(m, count, x);
  EXPECT_EQ(y.shape(), (Shape{5, 3}));
  EXPECT_EQ(count.value().item<float>(), 1.f);
  EXPECT_THROW(nnx::vmap(
                   [](nnx::BatchStat& v, const Tensor& input) {
                     v = input;
                     return input;
                   },
                   {.in_axes = {kNone, 0}})(last, x),
               TraceError);
  EXPECT_EQ(floats(last), (std::vector<float>{0, 0}));
  // A captured one likewise.
  EXPECT_THROW(nnx::vmap([&](const Tensor& input) {
                 last = input;
                 return input;
               })(x),
               TraceError);
}

TEST(NnxTransforms, N_100_states_are_arguments_too) {
  nnx::Rngs rngs(0);
  SmallMlp models =
      nnx::split_rngs({.splits = 3}, nnx::vmap([](nnx::Rngs& r) { return SmallMlp(r); }))(rngs);
  const Tensor x = transforms_golden("ensemble/x");
  auto [graphdef, stacked] = nnx::split(models);
  const Tensor out = nnx::vmap(
      [&graphdef = graphdef](nnx::State& one, const Tensor& input) {
        return nnx::merge<SmallMlp>(graphdef, one)(input);
      },
      {.in_axes = {0, kNone}})(stacked, x);
  expect_transformed(out, "ensemble/out");
}

TEST(NnxTransforms, N_085_members_of_an_ensemble_train_as_alone) {
  const Tensor x = random::normal(Key(3), {6, 2}), y = sum(x, Axes{1}, true);
  const auto build = [](const Key& key) {
    nnx::Rngs rngs(key);
    return SmallMlp(rngs);
  };
  const auto step = [&](SmallMlp& m, optim::Optimizer& optimizer) {
    const auto [loss, gradients] =
        nnx::value_and_grad([&](SmallMlp& one) { return mean(square(one(x) - y)); }, m);
    optimizer.update(m, gradients);
    return loss;
  };
  const auto start = [](SmallMlp& m) { return optim::Optimizer(m, optim::adam(0.05)); };
  const Key keys = random::split(Key(1), 2);
  SmallMlp models = nnx::vmap(build)(keys);
  optim::Optimizer optimizers = nnx::vmap(start)(models);
  std::vector<Tensor> losses;
  for (int i = 0; i < 5; ++i) losses.push_back(nnx::vmap(step)(models, optimizers));
  for (int64_t member = 0; member < 2; ++member) {
    SmallMlp alone = build(keys[member]);
    optim::Optimizer optimizer = start(alone);
    for (int i = 0; i < 5; ++i)
      EXPECT_NEAR(step(alone, optimizer).item<float>(), floats(losses[i])[member], 1e-5) << i;
  }
  EXPECT_EQ(optimizers.step().shape(), Shape{2});
}

TEST(NnxTransforms, N_064_N_087_one_variable_has_one_axis) {
  nnx::Param square(ones({4, 4}));
  const auto total = [](const nnx::Param& a, const nnx::Param& b) {
    return sum(a.value() * b.value());
  };
  try {
    nnx::vmap(total, {.in_axes = {0, 1}})(square, square);
    ADD_FAILURE();
  } catch (const ValueError& e) {
    EXPECT_NE(std::string(e.what()).find(
                  "inconsistent aliasing: one variable (Param) is reached in two ways\n"
                  "  as argument 0: axis 0\n  as argument 1: axis 1"),
              std::string::npos)
        << e.what();
  }
  EXPECT_EQ(floats(nnx::vmap(total)(square, square)), (std::vector<float>(4, 4)));
  // An argument that is also a result.
  using One = nnx::Shared<nnx::Param>;
  One shared = One::make(ones({4, 4}));
  EXPECT_THROW(nnx::vmap([](One& v) { return v; }, {.out_axes = {1}})(shared), ValueError);
  // New ones too.
  EXPECT_THROW(nnx::vmap(
                   [](const Tensor& x) {
                     One made = One::make(x);
                     return std::pair(made, made);
                   },
                   {.out_axes = {0, 1}})(ones({4, 4})),
               ValueError);
  // Names of the variables of a module.
  nnx::Rngs rngs(0);
  SmallMlp m(rngs);
  try {
    nnx::vmap([](SmallMlp&, nnx::Linear& up) { return sum(up.kernel.value()); },
              {.in_axes = {kNone, 0}})(m, m.up);
    ADD_FAILURE();
  } catch (const ValueError& e) {
    EXPECT_NE(std::string(e.what()).find("as 'up/kernel' of argument 0: none"), std::string::npos)
        << e.what();
    EXPECT_NE(std::string(e.what()).find("as 'kernel' of argument 1: axis 0"), std::string::npos);
  }
}

TEST(NnxTransforms, N_086_results_that_are_arguments_are_the_same_objects) {
  using One = nnx::Shared<nnx::Param>;
  One v = One::make(ones({3}));
  auto [same, twice] = nnx::vmap([](One& one) {
    *one = one->value() + 1;
    return std::pair(one, one->value() * 2);
  })(v);
  EXPECT_EQ(&*same, &*v);
  EXPECT_EQ(floats(*v), (std::vector<float>{2, 2, 2}));
  EXPECT_EQ(floats(twice), (std::vector<float>{4, 4, 4}));
  nnx::Param p(ones({3}));
  nnx::Param& reference = nnx::vmap([](nnx::Param& one) -> nnx::Param& { return one; })(p);
  EXPECT_EQ(&reference, &p);
  // One from outside that is no argument.
  EXPECT_THROW(nnx::vmap([&](const Tensor&) { return v; })(ones({3})), ValueError);
}

struct Growing {
  nnx::Param w;
  std::optional<nnx::Param> extra;
  Tensor plain;
  LINNET_FIELDS(w, extra, plain)
};

TEST(NnxTransforms, N_063_N_085_structure_that_grows_inside) {
  Growing g{nnx::Param(iota(DType::kF32, {3})), {}, zeros({3, 2})};
  nnx::vmap([](Growing& one) {
    one.extra.emplace(one.w.value() * 10);
    one.plain = one.plain + one.w.value();
  })(g);
  EXPECT_EQ(floats(*g.extra), (std::vector<float>{0, 10, 20}));
  EXPECT_EQ(floats(g.plain), (std::vector<float>{0, 0, 1, 1, 2, 2}));
  EXPECT_EQ(floats(nnx::vmap([](Growing& one) { return one.extra->value() + 1; })(g)),
            (std::vector<float>{1, 11, 21}));
}

TEST(NnxTransforms, a_call_that_throws_changes_nothing) {
  Growing g{nnx::Param(ones({3})), {}, ones({3, 2})};
  EXPECT_THROW(nnx::vmap([](Growing& one) -> Tensor {
                 one.w = one.w.value() * 2;
                 one.plain = one.plain * 2;
                 throw ValueError("stop");
               })(g),
               ValueError);
  EXPECT_EQ(floats(g.w), (std::vector<float>{1, 1, 1}));
  EXPECT_EQ(floats(g.plain), (std::vector<float>(6, 1)));
}

TEST(NnxTransforms, N_088_N_100_wrong_axes_are_errors) {
  nnx::Param w(ones({3}));
  const auto f = [](const nnx::Param& v, const Tensor& x) { return v.value() * x; };
  EXPECT_THROW(nnx::vmap(f, {.in_axes = {0}})(w, ones({3})), ValueError);
  EXPECT_THROW(nnx::vmap(f, {.in_axes = {1, 0}})(w, ones({3})), ShapeError);
  EXPECT_THROW(nnx::vmap(f)(w, ones({4})), ShapeError);
  EXPECT_THROW(nnx::vmap(f, {.in_axes = {kNone, kNone}})(w, ones({3})), ValueError);
  EXPECT_THROW(nnx::vmap(f, {.in_axes = {nnx::kCarry, 0}})(w, ones({3})), ValueError);
  EXPECT_THROW(nnx::vmap(f, {.out_axes = {0, 0}})(w, ones({3})), ValueError);
}

TEST(NnxTransforms, N_089_methods_by_pointer) {
  nnx::Rngs rngs(0);
  SmallMlp models =
      nnx::split_rngs({.splits = 3}, nnx::vmap([](nnx::Rngs& r) { return SmallMlp(r); }))(rngs);
  EXPECT_EQ(nnx::vmap(&SmallMlp::operator(), {.in_axes = {0, kNone}})(models, ones({5, 2})).shape(),
            (Shape{3, 5, 1}));
}

TEST(NnxTransforms, N_102_N_155_S_186_metadata_follow_the_arrays) {
  const Metadata layers{{"partition_name", "layers"}};
  const auto make = [&](const Metadata& transform, int64_t axis) {
    nnx::Rngs rngs(0);
    return nnx::split_rngs(
        {.splits = 4}, nnx::vmap(
                           [](nnx::Rngs& r) {
                             return nnx::Param(random::normal(r(), {2, 3}),
                                               Metadata{{"out_sharding", AxisNames{"in", "out"}}});
                           },
                           {.out_axes = {axis}, .transform_metadata = transform}))(rngs);
  };
  nnx::Param w = make(layers, 0);
  const auto names = [](const nnx::Param& p) {
    return *p.metadata().get<AxisNames>("out_sharding");
  };
  EXPECT_EQ(names(w), (AxisNames{"layers", "in", "out"}));
  EXPECT_EQ(names(make(layers, -1)), (AxisNames{"in", "out", "layers"}));
  EXPECT_EQ(names(make({}, 0)), (AxisNames{"in", "out"})) << "no work without partition_name";
  nnx::vmap(
      [&](nnx::Param& each) {
        EXPECT_EQ(names(each), (AxisNames{"in", "out"}));
        each = each.value() * 2;
      },
      {.transform_metadata = layers})(w);
  EXPECT_EQ(names(w), (AxisNames{"layers", "in", "out"}));
  const auto other = [](nnx::Param& each) { return sum(each.value()); };
  EXPECT_THROW(nnx::vmap(other, {.transform_metadata = {{"partition_name", "blocks"}}})(w),
               ValueError);
  EXPECT_EQ(names(w), (AxisNames{"layers", "in", "out"}));
}

TEST(NnxTransforms, N_114_metadata_without_arrays) {
  const auto names = [](const nnx::Param& p) {
    return *p.metadata().get<AxisNames>("out_sharding");
  };
  const auto make = [](nnx::Rngs& r) {
    return nnx::Param(random::normal(r(), {2, 3}),
                      Metadata{{"out_sharding", AxisNames{"in", "out"}}});
  };
  nnx::Rngs rngs(0);
  nnx::Param w = nnx::split_rngs(
      {.splits = 4}, nnx::vmap(nnx::transform_metadata(make, {.partition = "layers"})))(rngs);
  EXPECT_EQ(w.shape(), (Shape{4, 2, 3}));
  EXPECT_EQ(names(w), (AxisNames{"layers", "in", "out"}));
  EXPECT_EQ(w.metadata().axes_beside_array(), 0);
  const auto use = [&](nnx::Param& each) {
    EXPECT_EQ(names(each), (AxisNames{"in", "out"}));
    return sum(each.value());
  };
  nnx::vmap(nnx::transform_metadata(use, {.partition = "layers"}))(w);
  EXPECT_EQ(names(w), (AxisNames{"layers", "in", "out"}));
  EXPECT_THROW(nnx::transform_metadata(use, {.partition = "blocks"})(w), ValueError);
  EXPECT_EQ(names(w), (AxisNames{"layers", "in", "out"}));
  const auto fails = [](nnx::Param&) -> Tensor { throw ValueError("stop"); };
  EXPECT_THROW(nnx::transform_metadata(fails, {.partition = "layers"})(w), ValueError);
  EXPECT_EQ(names(w), (AxisNames{"layers", "in", "out"}));
}

TEST(NnxTransforms, N_110_eval_shape_of_constructors_and_calls) {
  nnx::Rngs rngs(0);
  const SmallMlp shapes = nnx::eval_shape([](nnx::Rngs& r) { return SmallMlp(r); }, rngs);
  EXPECT_EQ(shapes.up.kernel.shape(), (Shape{2, 4}));
  EXPECT_THROW(shapes.up.kernel.value().item<float>(), Error);
  EXPECT_EQ(rngs["default"].count().item<uint32_t>(), 0u);
  nnx::Rngs more = testing::noisy_rngs();
  Noisy block(more);
  EXPECT_EQ(
      nnx::eval_shape([](Noisy& m, const Tensor& x) { return m(x); }, block, ones({4, 3})).shape(),
      (Shape{4, 3}));
  EXPECT_EQ(block.dropout.rngs->count().item<uint32_t>(), 0u);
}

}  // namespace
}  // namespace linnet::nnx_transforms_vmap_test
