// Recurrent modules of each API inside the other.
#include "bridge/bridge_modules.h"
#include "modules/recurrent_support.h"

namespace linnet::bridge_tests::recurrent_test {
namespace {

using bridge::to_linen;
using bridge::ToNNX;
using linnet::testing::expect_golden;
using linnet::testing::expect_state_of;
using linnet::testing::expect_tree;
using linnet::testing::expect_variables_of;
using linnet::testing::recurrent_golden;

template <class Module>
void check_to_nnx(const std::string& name, const Module& module) {
  const std::string prefix = "bridge/" + name + "/";
  const Tensor x = recurrent_golden(prefix + "x");
  auto model = ToNNX(module, nnx::Rngs(0)).lazy_init(x);
  expect_state_of(nnx::state(model, nnx::of_type<nnx::Param>()), prefix + "params/", 3e-6);
  expect_golden(model(x), recurrent_golden(prefix + "out"), 3e-6, name);
}

TEST(BridgeRecurrent, B_045_L_154_L_155_FunctionalLayersAsObjects) {
  const linen::RNN gru{linen::GRUCell{.features = 4}};
  check_to_nnx("to_nnx_rnn", linen::RNN{linen::LSTMCell{.features = 4}});
  check_to_nnx("to_nnx_bidirectional", linen::Bidirectional{gru, gru});
}

TEST(BridgeRecurrent, B_045_L_154_CarriesAndLengthsPassThroughTheWrapper) {
  const linen::RNN lstm{linen::OptimizedLSTMCell{.features = 4}};
  const Tensor x = normal({2, 5, 3}), lengths = tensor({2, 4});
  auto model = ToNNX(lstm, Key(0)).lazy_init(x);
  const linen::RNNCall<linen::LSTMCarry> call{.seq_lengths = lengths};
  const auto [carry, y] = model(x, linen::return_carry, call);
  const linen::Variables variables = bridge::nnx_attrs_to_linen_vars(model.attributes());
  const auto [expected_carry, expected] =
      linen::apply(lstm, variables, x, linen::return_carry, call);
  expect_equal(y, expected);
  expect_equal(carry.h, expected_carry.h);
  EXPECT_EQ(model["cell"]["if"]["kernel"].shape(), (Shape{3, 4}));
}

TEST(BridgeRecurrent, B_097_N_138_ObjectCellAsFunction) {
  const std::string prefix = "bridge/to_linen_lstm_cell/";
  const linen::LSTMCarry carry{recurrent_golden(prefix + "carry/0"),
                               recurrent_golden(prefix + "carry/1")};
  const Tensor x = recurrent_golden(prefix + "x");
  const auto cell = to_linen<nnx::LSTMCell>(3, 4);
  const linen::Variables variables = linen::init(cell, Key(0), carry, x);
  expect_variables_of(variables["params"], prefix + "params/", 3e-6);
  const auto [new_carry, y] = linen::apply(cell, variables, carry, x);
  expect_tree(new_carry, prefix + "new_carry", 3e-6);
  expect_golden(y, recurrent_golden(prefix + "out"), 3e-6, "output");
}

/// An LSTM over time with its last output.
struct Encoder {
  nnx::RNN<nnx::OptimizedLSTMCell> rnn;
  explicit Encoder(nnx::Rngs& rngs) : rnn(nnx::OptimizedLSTMCell(3, 4, rngs)) {}
  LINNET_FIELDS(rnn)
  Tensor operator()(const Tensor& x) {
    const auto [carry, y] = rnn(x, nnx::return_carry);
    return y + expand_dims(carry.h, 1);
  }
};

TEST(BridgeRecurrent, B_097_N_139_ObjectLayerAsFunction) {
  const std::string prefix = "bridge/to_linen_encoder/";
  const Tensor x = recurrent_golden(prefix + "x");
  const auto encoder = to_linen<Encoder>();
  const linen::Variables variables = linen::init(encoder, Key(0), x);
  expect_variables_of(variables["params"], prefix + "params/", 3e-6);
  expect_golden(linen::apply(encoder, variables, x), recurrent_golden(prefix + "out"), 3e-6,
                "outputs");
}

}  // namespace
}  // namespace linnet::bridge_tests::recurrent_test
