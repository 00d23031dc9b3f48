// Recurrent cells of both module APIs against Flax: carries and parameters from the seed, one step,
// and its gradients.
#include "linnet/jit.h"
#include "tests/modules/recurrent_support.h"

namespace linnet::recurrent_cells_test {
namespace {

using testing::along_direction;
using testing::expect_golden;
using testing::expect_state_of;
using testing::expect_tree;
using testing::expect_variables_of;
using testing::has_second;
using testing::recurrent_golden;
using testing::weighted_sum;

const Initializer& normal_init() {
  static const Initializer initializer = init::normal(1);
  return initializer;
}

template <class Cell>
void check_linen_cell(const std::string& name, Cell cell, double tolerance = 3e-6) {
  const std::string prefix = "linen/cell/" + name + "/";
  SCOPED_TRACE(prefix);
  cell.carry_init = normal_init();
  const Tensor x = recurrent_golden(prefix + "x");
  const auto carry = cell.initialize_carry(Key(3), x.shape());
  expect_tree(carry, prefix + "carry", 1e-6);
  const linen::Variables variables = linen::init(cell, Key(0), carry, x);
  expect_variables_of(variables, prefix + "variables/", 3e-6);
  if (::testing::Test::HasFatalFailure()) return;

  const auto [new_carry, y] = linen::apply(cell, variables, carry, x);
  expect_tree(new_carry, prefix + "new_carry", tolerance);
  expect_golden(y, recurrent_golden(prefix + "out"), tolerance, "output");

  using Carry = std::decay_t<decltype(carry)>;
  const auto first =
      grad<0, 1, 2>([&](const linen::Variables& params, const Carry& c, const Tensor& input) {
        return weighted_sum(linen::apply(cell, linen::Variables{{"params", params}}, c, input));
      });
  const auto second =
      grad<0, 1, 2>([&](const auto&... arguments) { return along_direction(first(arguments...)); });
  const auto check = [&](const auto& got, const std::string& which) {
    expect_variables_of(std::get<0>(got), prefix + which + "/params/", 10 * tolerance);
    expect_tree(std::get<1>(got), prefix + which + "/carry", 10 * tolerance);
    expect_golden(std::get<2>(got), recurrent_golden(prefix + which + "/x"), 10 * tolerance,
                  which + " of x");
  };
  const linen::Variables& params = variables["params"];
  check(first(params, carry, x), "grad");
  if (!has_second(prefix)) return;
  check(second(params, carry, x), "second");
  const auto compiled = jit([&](const linen::Variables& p, const Carry& c, const Tensor& input) {
    return second(p, c, input);
  });
  check(compiled(params, carry, x), "second");
}

TEST(RecurrentCells, L_150_SimpleCell) {
  check_linen_cell("simple", linen::SimpleCell{.features = 4});
  check_linen_cell("simple_residual",
                   linen::SimpleCell{.features = 4, .activation_fn = relu, .residual = true});
}

TEST(RecurrentCells, L_146_LSTMCell) {
  check_linen_cell("lstm", linen::LSTMCell{.features = 4});
  check_linen_cell("lstm_functions", linen::LSTMCell{.features = 4,
                                                     .gate_fn = hard_sigmoid,
                                                     .activation_fn = relu,
                                                     .bias_init = normal_init()});
  check_linen_cell("lstm_bf16", linen::LSTMCell{.features = 4, .dtype = DType::kBF16}, 1.6e-2);
  check_linen_cell("lstm_param_bf16",
                   linen::LSTMCell{.features = 4,
                                   .recurrent_kernel_init = init::lecun_normal(),
                                   .param_dtype = DType::kBF16},
                   1.6e-2);
}

TEST(RecurrentCells, L_147_OptimizedLSTMCell) {
  check_linen_cell("optimized_lstm", linen::OptimizedLSTMCell{.features = 4});
  check_linen_cell("optimized_lstm_functions",
                   linen::OptimizedLSTMCell{.features = 4,
                                            .gate_fn = hard_sigmoid,
                                            .activation_fn = relu,
                                            .bias_init = normal_init()});
  check_linen_cell("optimized_lstm_bf16",
                   linen::OptimizedLSTMCell{.features = 4, .dtype = DType::kBF16}, 1.6e-2);
  check_linen_cell("optimized_lstm_param_bf16",
                   linen::OptimizedLSTMCell{.features = 4,
                                            .recurrent_kernel_init = init::lecun_normal(),
                                            .param_dtype = DType::kBF16},
                   1.6e-2);
}

TEST(RecurrentCells, L_147_OptimizedCellTakesTheParametersOfTheOther) {
  const linen::LSTMCell plain{.features = 5};
  const linen::OptimizedLSTMCell optimized{.features = 5};
  const Tensor x = random::normal(Key(1), {2, 3});
  const linen::LSTMCarry carry{random::normal(Key(2), {2, 5}), random::normal(Key(3), {2, 5})};
  const linen::Variables variables = linen::init(plain, Key(0), carry, x);
  EXPECT_EQ(to_string(variables), to_string(linen::init(optimized, Key(0), carry, x)));
  const auto a = linen::apply(plain, variables, carry, x).first;
  const auto b = linen::apply(optimized, variables, carry, x).first;
  expect_golden(b.c, a.c, 1e-6, "memory");
  expect_golden(b.h, a.h, 1e-6, "output");
}

TEST(RecurrentCells, L_148_GRUCell) {
  check_linen_cell("gru", linen::GRUCell{.features = 4, .bias_init = normal_init()});
  check_linen_cell("gru_bf16", linen::GRUCell{.features = 4, .dtype = DType::kBF16}, 1.6e-2);
}

TEST(RecurrentCells, L_149_MGUCell) {
  check_linen_cell("mgu", linen::MGUCell{.features = 4});
  check_linen_cell("mgu_no_reset_gate", linen::MGUCell{.features = 4, .reset_gate = false});
  const auto zero = zeros({1, 4});
  const linen::Variables variables = linen::init(linen::MGUCell{.features = 4}, Key(0), zero, zero);
  EXPECT_EQ(variables["params"]["if"]["bias"].value().to_vector<float>(),
            (std::vector<float>{1, 1, 1, 1}));
}

TEST(RecurrentCells, L_151_ConvLSTMCell) {
  check_linen_cell("conv_lstm", linen::ConvLSTMCell{.features = 2, .kernel = {3, 2}});
  check_linen_cell("conv_lstm_1d",
                   linen::ConvLSTMCell{.features = 2, .kernel = {3}, .use_bias = false});
  EXPECT_EQ((linen::ConvLSTMCell{.features = 2, .kernel = {3, 2}}.num_feature_axes()), 3);
}

TEST(RecurrentCells, L_153_CarriesHaveTheDtypeOfParametersAndTheFeaturesOfTheCell) {
  const linen::LSTMCell cell{.features = 4, .param_dtype = DType::kF64};
  const linen::LSTMCarry carry = cell.initialize_carry(Key(0), {2, 5, 3});
  EXPECT_EQ(to_string(carry.c.type()), "f64[2,5,4]");
  EXPECT_EQ(to_string(carry.h.type()), "f64[2,5,4]");
  EXPECT_EQ(sum(carry.c + carry.h).item<double>(), 0);
  EXPECT_EQ(to_string(linen::GRUCell{.features = 4}.initialize_carry(Key(0), {3}).type()),
            "f32[4]");
  EXPECT_THROW(cell.initialize_carry(Key(0), {}), ShapeError);
}

struct NoCarry {
  int64_t num_feature_axes() const { return 1; }
  std::pair<Tensor, Tensor> operator()(linen::Scope&, const Tensor& h, const Tensor&) const {
    return {h, h};
  }
};
struct OutputOnly {
  int64_t num_feature_axes() const { return 1; }
  Tensor initialize_carry(const Key&, const Shape& shape) const { return zeros(shape); }
  Tensor operator()(linen::Scope&, const Tensor& h, const Tensor&) const { return h; }
};

TEST(RecurrentCells, L_152_N_138_WhatACellMustHave) {
  static_assert(linen::RNNCellBase<linen::LSTMCell> && linen::RNNCellBase<linen::ConvLSTMCell>);
  static_assert(!linen::RNNCellBase<NoCarry> && !linen::RNNCellBase<OutputOnly>);
  static_assert(nnx::RNNCellBase<nnx::LSTMCell> && nnx::RNNCellBase<nnx::GRUCell>);
  static_assert(!linen::RNNCellBase<nnx::GRUCell> && !nnx::RNNCellBase<linen::GRUCell>);
  EXPECT_EQ(linen::MGUCell{}.num_feature_axes(), 1);
}

template <class Cell>
void check_nnx_cell(const std::string& name, Cell cell, double tolerance = 3e-6) {
  const std::string prefix = "nnx/cell/" + name + "/";
  SCOPED_TRACE(prefix);
  const Tensor x = recurrent_golden(prefix + "x");
  nnx::Rngs streams(3);
  const auto carry = cell.initialize_carry(x.shape(), streams, normal_init());
  expect_tree(carry, prefix + "carry", 1e-6);
  expect_state_of(nnx::state(cell, nnx::of_type<nnx::Param>()), prefix + "params/", 3e-6);
  if (::testing::Test::HasFatalFailure()) return;

  const auto [new_carry, y] = cell(carry, x);
  expect_tree(new_carry, prefix + "new_carry", tolerance);
  expect_golden(y, recurrent_golden(prefix + "out"), tolerance, "output");

  // A carry of two tensors is an object, which would be differentiated as a module is.
  const TensorList of_carry = tree::leaves(carry);
  const auto first = nnx::grad<0, 1, 2>([&](Cell& c, const TensorList& at, const Tensor& input) {
    return weighted_sum(c(tree::unflatten(carry, at), input));
  });
  const auto second = nnx::grad<0, 1, 2>([&](Cell& c, const TensorList& at, const Tensor& input) {
    return along_direction(first(c, at, input));
  });
  const auto check = [&](const auto& got, const std::string& which) {
    expect_state_of(std::get<0>(got), prefix + which + "/params/", 10 * tolerance);
    expect_tree(tree::unflatten(carry, std::get<1>(got)), prefix + which + "/carry",
                10 * tolerance);
    expect_golden(std::get<2>(got), recurrent_golden(prefix + which + "/x"), 10 * tolerance,
                  which + " of x");
  };
  check(first(cell, of_carry, x), "grad");
  if (!has_second(prefix)) return;
  check(second(cell, of_carry, x), "second");
  const auto compiled =
      jit([&](Cell& c, const TensorList& at, const Tensor& input) { return second(c, at, input); });
  check(compiled(cell, of_carry, x), "second");
}

TEST(RecurrentCells, N_138_LSTMCells) {
  nnx::Rngs a(0), b(0), c(0), d(0), e(0);
  check_nnx_cell("lstm", nnx::LSTMCell(3, 4, a));
  check_nnx_cell("lstm_param_bf16", nnx::LSTMCell(3, 4, {.param_dtype = DType::kBF16}, b), 1.6e-2);
  check_nnx_cell(
      "lstm_functions",
      nnx::LSTMCell(
          3, 4, {.gate_fn = hard_sigmoid, .activation_fn = relu, .bias_init = normal_init()}, c));
  check_nnx_cell("optimized_lstm", nnx::OptimizedLSTMCell(3, 4, d));
  check_nnx_cell("optimized_lstm_bf16", nnx::OptimizedLSTMCell(3, 4, {.dtype = DType::kBF16}, e),
                 1.6e-2);
}

TEST(RecurrentCells, N_138_SimpleCellComputesInF32UnlessTold) {
  nnx::Rngs a(0), b(0), c(0);
  check_nnx_cell("simple", nnx::SimpleCell(3, 4, a));
  check_nnx_cell("simple_residual", nnx::SimpleCell(3, 4, {.residual = true}, b));
  check_nnx_cell("simple_bf16", nnx::SimpleCell(3, 4, c));
}

TEST(RecurrentCells, N_138_GRUCell) {
  nnx::Rngs rngs(0);
  check_nnx_cell("gru", nnx::GRUCell(3, 4, {.bias_init = normal_init()}, rngs));
}

/// An object with the variables of the golden functional cell gives what that gives.
template <class Cell>
void check_as_functional(const std::string& name, Cell cell) {
  const std::string prefix = "linen/cell/" + name + "/";
  SCOPED_TRACE(prefix);
  const nnx::State state = nnx::state(cell, nnx::of_type<nnx::Param>());
  EXPECT_EQ(state.size(), testing::count_golden_below(prefix + "variables/"));
  for (const auto& [path, leaf] : state.entries()) {
    std::string at = tree::to_string(path);
    if (at.rfind("if_/", 0) == 0) at.erase(2, 1);
    leaf.cell->set_raw(recurrent_golden(prefix + "variables/params/" + at));
  }
  const Tensor x = recurrent_golden(prefix + "x");
  nnx::Rngs rngs(0);
  auto carry = cell.initialize_carry(x.shape(), rngs);
  TensorList given;
  for (Tensor& leaf : tree::leaves(carry)) {
    const std::string part = given.empty() ? "carry/0" : "carry/1";
    given.push_back(recurrent_golden(
        prefix + (testing::recurrent_file().contains(prefix + part) ? part : "carry")));
    EXPECT_EQ(leaf.shape(), given.back().shape());
  }
  const auto [new_carry, y] = cell(tree::unflatten(carry, given), x);
  expect_tree(new_carry, prefix + "new_carry", 3e-6);
  expect_golden(y, recurrent_golden(prefix + "out"), 3e-6, "output");
}

TEST(RecurrentCells, L_149_L_151_CellsOfOneApiInFlaxAreInBothHere) {
  nnx::Rngs a(0), b(0), c(0), d(0);
  check_as_functional("mgu", nnx::MGUCell(3, 4, a));
  check_as_functional("mgu_no_reset_gate", nnx::MGUCell(3, 4, {.reset_gate = false}, b));
  check_as_functional("conv_lstm", nnx::ConvLSTMCell(2, 2, {3, 2}, c));
  check_as_functional("conv_lstm_1d", nnx::ConvLSTMCell(3, 2, 3, {.use_bias = false}, d));
  const nnx::MGUCell fresh(3, 4, a);
  EXPECT_EQ(fresh.if_.bias->value().to_vector<float>(), (std::vector<float>{1, 1, 1, 1}));
  EXPECT_EQ(fresh.in.bias->value().to_vector<float>(), (std::vector<float>{0, 0, 0, 0}));
}

TEST(RecurrentCells, N_138_CarriesNeedAStream) {
  nnx::Rngs rngs{{"params", 0}, {"carry", 1}};
  nnx::LSTMCell bare(3, 4, rngs);
  EXPECT_THROW(bare.initialize_carry({2, 3}), ValueError);
  EXPECT_EQ(rngs.stream("carry").count().item<int>(), 0);

  nnx::LSTMCell cell(3, 4, {.carry_init = normal_init(), .keep_rngs = true}, rngs);
  EXPECT_EQ(rngs.stream("carry").count().item<int>(), 1);
  nnx::RngStream same = *cell.rngs;
  const nnx::LSTMCarry own = cell.initialize_carry({2, 3});
  EXPECT_EQ(cell.rngs->count().item<int>(), 2);
  const nnx::LSTMCarry of_copy = cell.initialize_carry({2, 3}, same);
  expect_golden(own.c, of_copy.c, 0, "memory");
  expect_golden(own.h, of_copy.h, 0, "output");
}

TEST(RecurrentCells, N_138_MetadataOfKernels) {
  nnx::Rngs rngs(0);
  const nnx::LSTMCell cell(
      3, 4,
      {.kernel_metadata = {{"out_sharding", AxisNames{"in", "gate"}}},
       .recurrent_kernel_metadata = {{"out_sharding", AxisNames{"gate", "gate"}}},
       .bias_metadata = {{"nickname", std::string("b")}}},
      rngs);
  const auto names = [](const nnx::Param& p) {
    return *p.metadata().get<AxisNames>("out_sharding");
  };
  EXPECT_EQ(names(cell.if_.kernel), (AxisNames{"in", "gate"}));
  EXPECT_EQ(names(cell.hg.kernel), (AxisNames{"gate", "gate"}));
  EXPECT_EQ(*cell.ho.bias->metadata().get<std::string>("nickname"), "b");
}

}  // namespace
}  // namespace linnet::recurrent_cells_test
