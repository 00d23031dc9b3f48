// scan and remat_scan of functional modules, against Flax.
#include "linnet/linen/partitioning.h"
#include "tests/modules/linen_transforms_support.h"

namespace linnet::linen_transforms_loop_test {
namespace {

using namespace linnet::testing::lifted;

using Nothing = std::tuple<>;

/// A block as a layer of a stack.
struct Layer {
  LINNET_FIELDS()
  std::pair<Tensor, Tensor> operator()(Scope& s, const Tensor& x) const {
    return {s(Block{}, x), sum(x)};
  }
};

linen::ScanOptions layers_of(int64_t length) {
  return {.variable_axes = stacked(), .split_rngs = split(), .length = length};
}

TEST(LinenScan, L_085_L_090_layers) {
  const auto layers = linen::scan(Layer{}, layers_of(3));
  expect_case(
      "scan_layers", [&](Scope& s, const Tensor& x) { return s(layers, x); }, normal({2, 4}));
}

TEST(LinenScan, L_080_L_085_of_remat) {
  const auto layers = linen::scan(linen::remat(Layer{}), layers_of(3));
  expect_case(
      "scan_remat", [&](Scope& s, const Tensor& x) { return s(layers, x); }, normal({2, 4}));
}

TEST(LinenScan, L_085_under_jit) {
  const auto layers = linen::scan(Layer{}, layers_of(3));
  const auto outer = [&](Scope& s, const Tensor& x) { return s(layers, x); };
  const Tensor x = normal({2, 4});
  const Variables variables = expect_case_values("scan_layers", outer, x);
  const auto step = jit([&](const Variables& v, const Tensor& y) {
    return linen::apply_with(apply_options(), outer, v, y);
  });
  const auto [out, updates] = step(variables, x);
  expect_tree(out, "scan_layers/out");
  expect_variables(updates, "scan_layers/updates");
}

/// One step over time: state, input and a scale that is the same for all steps.
struct Cell {
  LINNET_FIELDS()
  std::pair<Tensor, std::pair<Tensor, Tensor>> operator()(Scope& s, const Tensor& h,
                                                          const Tensor& x,
                                                          const Tensor& scale) const {
    const Tensor from_state = s(linen::Dense{.features = 4}, h);
    const Tensor from_input = s(linen::Dense{.features = 4, .use_bias = false}, x);
    const Tensor next = s(linen::Dropout{.rate = 0.5, .deterministic = false},
                          tanh(from_state + from_input * scale));
    const auto count = s.variable("state", "count", [] { return scalar(0, DType::kF32); });
    count.set(count.value() + 1);
    return {next, {next, mean(next)}};
  }
};

linen::ScanOptions over_time(bool split_dropout) {
  return {.variable_axes = {{"state", 0}},
          .variable_broadcast = "params",
          .split_rngs = {{"params", false}, {"dropout", split_dropout}},
          .in_axes = {0, linen::kBroadcast}};
}

TEST(LinenScan, L_085_L_087_L_102_shared_parameters) {
  const auto cell = linen::scan(Cell{}, over_time(true));
  expect_case(
      "scan_rnn", [&](Scope& s, const Tensor& h, const Tensor& xs) { return s(cell, h, xs, 0.5); },
      normal({2, 4}), normal({3, 2, 4}));
}

TEST(LinenScan, L_085_reverse_and_unrolled) {
  linen::ScanOptions options = over_time(false);
  options.reverse = true;
  options.unroll = 2;
  const auto cell = linen::scan(Cell{}, options);
  expect_case(
      "scan_reverse",
      [&](Scope& s, const Tensor& h, const Tensor& xs) { return s(cell, h, xs, 0.5); },
      normal({2, 4}), normal({3, 2, 4}));
}

linen::ScanOptions carried() {
  return {.variable_broadcast = "params",
          .variable_carry = "state",
          .split_rngs = {{"params", false}, {"dropout", true}},
          .in_axes = {1, linen::kBroadcast},
          .out_axes = {-1, 0}};
}

TEST(LinenScan, L_088_L_089_carried_variables) {
  const auto cell = linen::scan(Cell{}, carried());
  const auto outer = [&](Scope& s, const Tensor& h, const Tensor& xs) {
    if (s.is_initializing())
      s.put_leaf("state", {"cell", "count"}, Variables(scalar(0, DType::kF32)));
    return s("cell", cell, h, xs, 0.5);
  };
  expect_case("scan_carry", outer, normal({2, 4}), normal({2, 3, 4}));
}

TEST(LinenScan, L_088_carried_variables_are_there_before) {
  const auto cell = linen::scan(Cell{}, carried());
  const auto run = [&] {
    linen::init(cell, init_streams(), normal({2, 4}), normal({2, 3, 4}), 0.5);
  };
  EXPECT_NE(error_of(run).find("carried change their structure"), std::string::npos);
}

TEST(LinenScan, L_088_immutable_carried_variables_stay) {
  const auto reads = [](Scope& s, const Tensor& h) {
    return std::make_pair(h + s.get_variable("state", "v"), Nothing());
  };
  const auto loop = linen::scan(reads, {.variable_carry = "state", .length = 3});
  const Variables variables{{"state", Variables{{"v", ones({2})}}}};
  EXPECT_EQ(linen::apply(loop, variables, zeros({2})).first.to_vector<float>(),
            (std::vector<float>{3, 3}));
}

/// Parameters of a step along their last axis, a limit that all steps share.
struct Limited {
  static constexpr const char* kClassName = "Axes";
  LINNET_FIELDS()
  std::pair<Tensor, std::pair<Tensor, Tensor>> operator()(Scope& s, const Tensor& h,
                                                          const Tensor& x) const {
    const Tensor w = s.param("w", init::normal(0.01), {4, 4});
    const auto limit = s.variable("state", "limit", [] { return scalar(2, DType::kF32); });
    return {tanh(matmul(h, w) + x), {h, limit.value() * 3}};
  }
};

linen::ScanOptions along_last(linen::ScanOptions options = {}) {
  options.variable_axes = {{"params", -1}};
  options.variable_broadcast = "state";
  options.split_rngs = {{"params", true}};
  options.in_axes = {-1};
  options.out_axes = {1, linen::kBroadcast};
  return options;
}

TEST(LinenScan, L_087_L_089_negative_axes_and_broadcast_results) {
  const auto steps = linen::scan(Limited{}, along_last());
  expect_case(
      "scan_axes", [&](Scope& s, const Tensor& h, const Tensor& xs) { return s(steps, h, xs); },
      normal({2, 4}), normal({2, 4, 3}));
}

TEST(LinenScan, L_087_what_is_broadcast_does_not_depend_on_the_loop) {
  const auto depends = [](Scope& s, const Tensor& h, const Tensor& x) {
    s.variable("shared", "v", [&] { return x; });
    return std::make_pair(h, h);
  };
  const Tensor h = ones({2}), xs = ones({3, 2});
  const auto variable = linen::scan(depends, {.variable_broadcast = "shared"});
  EXPECT_NE(error_of([&] { linen::init(variable, Key(0), h, xs); }).find("depends on the carry"),
            std::string::npos);
  const auto pass = [](Scope&, const Tensor& c, const Tensor& x) { return std::make_pair(c, x); };
  const auto result = linen::scan(pass, {.out_axes = {linen::kBroadcast}});
  EXPECT_NE(error_of([&] { linen::init(result, Key(0), h, xs); }).find("depends on the carry"),
            std::string::npos);
  const auto key = [](Scope& s, const Tensor& c) {
    s.variable("shared", "k", [&] { return s.make_rng().data(); });
    return std::make_pair(c, Nothing());
  };
  const auto split = linen::scan(
      key, {.variable_broadcast = "shared", .split_rngs = {{"params", true}}, .length = 3});
  EXPECT_NE(error_of([&] { linen::init(split, Key(0), h); }).find("split keys"), std::string::npos);
}

TEST(LinenScan, L_087_without_the_check) {
  linen::ScanOptions options = layers_of(3);
  options.check_constancy_invariants = false;
  const auto layers = linen::scan(Layer{}, options);
  expect_case(
      "scan_once", [&](Scope& s, const Tensor& x) { return s(layers, x); }, normal({2, 4}));
  const auto steps = linen::scan(Limited{}, along_last({.check_constancy_invariants = false}));
  const auto run = [&] { linen::init(steps, Key(0), normal({2, 4}), normal({2, 4, 3})); };
  EXPECT_NE(error_of(run).find("needs check_constancy_invariants"), std::string::npos);
}

TEST(LinenScan, L_090_nested) {
  const auto inner = [](Scope& s, const Tensor& x) {
    return s(linen::scan(Layer{}, layers_of(2)), x);
  };
  struct Nested {
    decltype(inner) body;
    std::pair<Tensor, Tensor> operator()(Scope& s, const Tensor& x) const { return body(s, x); }
  };
  const auto nested = linen::scan(Nested{inner}, layers_of(3));
  expect_case(
      "scan_nested", [&](Scope& s, const Tensor& x) { return s(nested, x); }, normal({2, 4}));
}

TEST(LinenScan, L_082_L_085_under_vmap) {
  const auto both =
      linen::vmap(linen::scan(Layer{}, layers_of(3)),
                  {.variable_axes = stacked(), .split_rngs = split(), .in_axes = {0}});
  expect_case(
      "scan_vmap", [&](Scope& s, const Tensor& x) { return s(both, x); }, normal({2, 2, 4}));
}

TEST(LinenScan, L_090_a_function_of_the_scope_goes_on_with_its_names) {
  const auto method = [](Scope& s, const Tensor& x) {
    const Tensor y = s(linen::Dense{.features = 4}, x);
    const auto body = [](Scope& t, const Tensor& c) {
      return std::make_pair(tanh(t(linen::Dense{.features = 4}, c)), Nothing());
    };
    const auto loop = linen::scan(
        body, {.variable_broadcast = "params", .split_rngs = {{"params", false}}, .length = 3});
    const Tensor z = loop(s, y).first;
    return s(linen::Dense{.features = 2}, z);
  };
  expect_case("scan_method", method, normal({2, 4}));
}

TEST(LinenScan, L_090_keys) {
  const auto step = [](Scope& s, const Tensor& c) { return std::make_pair(c, s(Draw{}, c).first); };
  const auto with = [&](bool split) {
    return linen::scan(step, {.split_rngs = {{"noise", split}}, .length = 3});
  };
  const auto outer = [&](Scope& s, const Tensor& x) {
    const Tensor split = s("ScanStep_0", with(true), x).second;
    return std::make_pair(split, s("ScanStep_1", with(false), x).second);
  };
  expect_case_values("scan_keys", outer, normal({2, 4}));
}

TEST(LinenScan, L_086_lengths) {
  const auto pass = [](Scope&, const Tensor& c, const Tensor& a, const Tensor& b) {
    return std::make_pair(c, a + b);
  };
  const auto run = [&](linen::ScanOptions options) {
    return error_of([&] {
      linen::init(linen::scan(pass, std::move(options)), Key(0), 0.f, ones({3}), ones({4}));
    });
  };
  EXPECT_NE(run({}).find("inconsistent scan lengths: 3, 4"), std::string::npos);
  EXPECT_NE(run({.in_axes = {linen::kBroadcast, linen::kBroadcast}}).find("give the length"),
            std::string::npos);
  EXPECT_NE(run({.in_axes = {0, 0, 0}}).find("in_axes has 3 entries for 2 arguments"),
            std::string::npos);
  EXPECT_NE(run({.variable_axes = {{"params", kNone}}}).find("must be numbers"), std::string::npos);
}

TEST(LinenScan, L_102_out_only) {
  linen::ScanOptions options = layers_of(3);
  options.variable_axes = {{"params", 0}, {"state", 0}, {"intermediates", linen::Out{0}}};
  const auto layers = linen::scan(Layer{}, options);
  expect_case(
      "scan_layers", [&](Scope& s, const Tensor& x) { return s("ScanLayer_0", layers, x); },
      normal({2, 4}));
}

TEST(LinenScan, L_085_of_no_turns) {
  const auto layers = linen::scan(Layer{}, layers_of(0));
  const auto [out, variables] = linen::init_with_output(layers, init_streams(), normal({2, 4}));
  EXPECT_EQ(out.first.to_vector<float>(), normal({2, 4}).to_vector<float>());
  EXPECT_EQ(variables["params"]["Block_0"]["Dense_0"]["kernel"].shape(), (Shape{0, 4, 4}));
}

TEST(LinenScan, L_101_boxes_get_the_axis) {
  const auto step = [](Scope& s, const Tensor& c) {
    const linen::Dense dense{
        .features = 4,
        .kernel_init = linen::with_partitioning(init::lecun_normal(), {"in", "out"})};
    return std::make_pair(s("dense", dense, c), Nothing());
  };
  const auto layers =
      linen::scan(step, {.variable_axes = {{"params", 1}},
                         .split_rngs = {{"params", true}},
                         .length = 3,
                         .metadata_params = {{"partition_name", std::string("layers")}}});
  const Variables variables = linen::init(layers, Key(0), normal({2, 4}));
  EXPECT_EQ(linen::get_partition_spec(variables).at("params/dense/kernel"),
            P("in", "layers", "out"));
  EXPECT_EQ(variables["params"]["dense"]["kernel"].shape(), (Shape{4, 3, 4}));
  EXPECT_EQ(linen::apply(layers, variables, normal({2, 4})).first.shape(), (Shape{2, 4}));
}

/// A recurrent cell with dropout, a sown mean and a count of steps.
struct NoisyCell {
  int64_t features = 4;
  LINNET_FIELDS(features)

  std::pair<Tensor, Tensor> operator()(Scope& s, const Tensor& h, const Tensor& x) const {
    const Tensor of_x = s("i", linen::Dense{.features = features}, x);
    const Tensor of_h = s("h", linen::Dense{.features = features, .use_bias = false}, h);
    const Tensor y = s(linen::Dropout{.rate = 0.5, .deterministic = false}, tanh(of_x + of_h));
    s.sow("intermediates", "mean", mean(y));
    const auto count = s.variable("state", "count", [] { return scalar(0, DType::kF32); });
    count.set(count.value() + 1);
    return {y, y};
  }
  Tensor initialize_carry(const Key&, const Shape& input) const {
    Shape shape = input;
    shape.back() = features;
    return zeros(shape);
  }
  int64_t num_feature_axes() const { return 1; }
};

TEST(LinenRNN, L_154_variables_and_streams_of_the_cell) {
  const linen::RNN rnn{NoisyCell{},
                       {.variable_axes = {{"state", 0}, {"intermediates", 0}},
                        .split_rngs = {{"params", false}, {"dropout", true}}}};
  expect_case("rnn_variables", rnn, normal({2, 3, 5}));
}

TEST(LinenScan, L_081_nested_loops_of_checkpoints) {
  const auto deep = linen::remat_scan(Block{}, {.lengths = {2, 3}});
  expect_case(
      "remat_scan", [&](Scope& s, const Tensor& x) { return s(deep, x); }, normal({2, 4}));
  EXPECT_NE(error_of([] {
              linen::init(linen::remat_scan(Block{}, {}), Key(0), ones({2, 4}));
            }).find("lengths"),
            std::string::npos);
}

}  // namespace
}  // namespace linnet::linen_transforms_loop_test
