// Recurrent layers of both module APIs against Flax: a cell over time, in both directions, with
// lengths; parameters from the seed, outputs, carries and gradients.
#include <functional>

#include "linnet/jit.h"
#include "linnet/log.h"
#include "tests/modules/recurrent_support.h"

namespace linnet::recurrent_test {
namespace {

using testing::expect_golden;
using testing::expect_state_of;
using testing::expect_tree;
using testing::expect_variables_of;
using testing::recurrent_file;
using testing::recurrent_golden;
using testing::weighted_sum;

const Initializer& normal_init() {
  static const Initializer initializer = init::normal(1);
  return initializer;
}

/// A layer on the golden input: parameters, both forms of the call, and gradients.
template <class Layer>
void check_linen(const std::string& name, const Layer& layer, typename Layer::Call call = {},
                 double tolerance = 3e-6) {
  const std::string prefix = "linen/rnn/" + name + "/";
  SCOPED_TRACE(prefix);
  const Tensor x = recurrent_golden(prefix + "x");
  if (recurrent_file().contains(prefix + "seq_lengths"))
    call.seq_lengths = recurrent_golden(prefix + "seq_lengths");
  const linen::Variables variables = linen::init(layer, Key(0), x, call);
  expect_variables_of(variables, prefix + "variables/", 3e-6);
  if (::testing::Test::HasFatalFailure()) return;

  const auto [carry, y] = linen::apply(layer, variables, x, linen::return_carry, call);
  expect_tree(carry, prefix + "carry", tolerance);
  expect_golden(y, recurrent_golden(prefix + "out"), tolerance, "outputs");
  expect_golden(linen::apply(layer, variables, x, call), y, 0, "outputs without carry");

  if (!recurrent_file().contains(prefix + "grad/x")) return;
  const std::function<std::tuple<linen::Variables, Tensor>(const linen::Variables&, const Tensor&)>
      first = grad<0, 1>([&](const linen::Variables& params, const Tensor& input) {
        const linen::Variables all{{"params", params}};
        return weighted_sum(linen::apply(layer, all, input, linen::return_carry, call));
      });
  const auto check = [&](const auto& got, const std::string& which) {
    expect_variables_of(std::get<0>(got), prefix + which + "/params/", 10 * tolerance);
    expect_golden(std::get<1>(got), recurrent_golden(prefix + which + "/x"), 10 * tolerance,
                  which + " of x");
  };
  check(first(variables["params"], x), "grad");
  if (!testing::has_second(prefix)) return;
  const auto second = grad<0, 1>([&](const linen::Variables& params, const Tensor& input) {
    return testing::along_direction(first(params, input));
  });
  check(second(variables["params"], x), "second");
  const auto compiled = jit(
      [&](const linen::Variables& params, const Tensor& input) { return second(params, input); });
  check(compiled(variables["params"], x), "second");
}

const linen::GRUCell kGru{.features = 4};
const linen::OptimizedLSTMCell kLstm{.features = 4};

TEST(Recurrent, L_154_CellsOverTime) {
  check_linen("simple", linen::RNN{linen::SimpleCell{.features = 4}});
  check_linen("lstm", linen::RNN{linen::LSTMCell{.features = 4}});
  check_linen("optimized_lstm", linen::RNN{kLstm});
  check_linen("gru", linen::RNN{kGru});
  check_linen("mgu", linen::RNN{linen::MGUCell{.features = 4}});
  check_linen("conv_lstm", linen::RNN{linen::ConvLSTMCell{.features = 2, .kernel = {3, 3}}});
  check_linen("bf16", linen::RNN{linen::OptimizedLSTMCell{.features = 4, .dtype = DType::kBF16}},
              {}, 3e-2);
}

TEST(Recurrent, L_154_ReversedSequences) {
  check_linen("reverse", linen::RNN{kGru, {.reverse = true}});
  check_linen("reverse_keep_order", linen::RNN{kGru, {.reverse = true, .keep_order = true}});
  check_linen("reverse_keep_order", linen::RNN{kGru}, {.reverse = true, .keep_order = true});
  check_linen("keep_order_only", linen::RNN{kGru, {.keep_order = true}});
}

TEST(Recurrent, L_154_WhereTimeIs) {
  check_linen("time_major", linen::RNN{kGru, {.time_major = true}});
  check_linen("time_major_of_call", linen::RNN{kGru}, {.time_major = true, .reverse = true});
  check_linen("no_batch", linen::RNN{kGru});
  check_linen("two_batch_dims", linen::RNN{kLstm});
  check_linen("unroll", linen::RNN{kGru, {.unroll = 2}});
}

TEST(Recurrent, L_154_Lengths) {
  check_linen("lengths", linen::RNN{kLstm});
  check_linen("lengths_reverse", linen::RNN{kLstm, {.reverse = true}});
  check_linen("lengths_reverse_keep_order", linen::RNN{kLstm},
              {.reverse = true, .keep_order = true});
  check_linen("lengths_beyond_time", linen::RNN{kLstm, {.reverse = true}});
  check_linen("lengths_time_major", linen::RNN{kLstm, {.time_major = true, .reverse = true}});
}

TEST(Recurrent, L_154_FirstCarry) {
  const std::string given = "linen/rnn/initial_carry/initial_carry/";
  check_linen("initial_carry", linen::RNN{kLstm},
              {.initial_carry =
                   linen::LSTMCarry{recurrent_golden(given + "0"), recurrent_golden(given + "1")}});
  check_linen("init_key", linen::RNN{linen::LSTMCell{.features = 4, .carry_init = normal_init()}},
              {.init_key = Key(7)});
  check_linen("init_key_missing",
              linen::RNN{linen::GRUCell{.features = 4, .carry_init = normal_init()}});
}

TEST(Recurrent, L_155_Bidirectional) {
  check_linen("bidirectional", linen::Bidirectional{linen::RNN{kGru}, linen::RNN{kLstm}});
  check_linen("bidirectional_lengths",
              linen::Bidirectional{linen::RNN{kLstm}, linen::RNN{linen::LSTMCell{.features = 4}}});
  const linen::GRUCell random{.features = 4, .carry_init = normal_init()};
  check_linen("bidirectional_init_key",
              linen::Bidirectional{linen::RNN{random}, linen::RNN{random}}, {.init_key = Key(7)});
  check_linen("bidirectional_sum",
              linen::Bidirectional{
                  linen::RNN{kGru}, linen::RNN{kGru}, {.merge_fn = add, .time_major = true}});
}

TEST(Recurrent, L_155_BidirectionalCarriesCanBeGiven) {
  const linen::Bidirectional layer{linen::RNN{kGru}, linen::RNN{kLstm}};
  const Tensor x = random::normal(Key(1), {2, 3, 3});
  const linen::Variables variables = linen::init(layer, Key(0), x);
  const auto [carry, y] = linen::apply(layer, variables, x, linen::return_carry);
  const auto [next, z] = linen::apply(layer, variables, x, linen::return_carry,
                                      decltype(layer)::Call{.initial_carry = carry});
  const Tensor forward =
      linen::apply(linen::RNN{kGru}, {{"params", variables["params"]["forward_rnn"]}}, x,
                   linen::RNNCall<Tensor>{.initial_carry = carry.first});
  expect_golden(slice_axis(z, 0, 4, -1), forward, 0, "forward outputs");
  EXPECT_NE(sum(abs(z - y)).item<float>(), 0);
}

TEST(Recurrent, L_156_FlipSequences) {
  const Tensor lengths = tensor({1, 2, 3, 0});
  const auto golden = [](const std::string& name) { return recurrent_golden("flip/" + name); };
  const auto check = [&](const std::string& name, const Tensor& got) {
    expect_golden(got, golden(name + "/out"), 0, name);
  };
  check("plain", linen::flip_sequences(golden("plain/x"), {}, 1));
  check("lengths", linen::flip_sequences(golden("lengths/x"), lengths, 1));
  check("time_major", nnx::flip_sequences(golden("time_major/x"), lengths, 1, true));
  check("no_features", linen::flip_sequences(golden("no_features/x"), lengths, 1));
  check("two_batch_dims",
        linen::flip_sequences(golden("two_batch_dims/x"), reshape(lengths, {2, 2}), 2));
  EXPECT_THROW(linen::flip_sequences(golden("plain/x"), tensor({1, 2}), 1), ShapeError);
  EXPECT_THROW(linen::flip_sequences(golden("plain/x"), ones({4}), 1), DTypeError);
  EXPECT_THROW(linen::flip_sequences(ones({4}), {}, 1), ShapeError);
}

TEST(Recurrent, L_154_CarriesAfterTheLastStepOfSeveralBatchDimensions) {
  const linen::RNN layer{kGru};
  const Tensor x = random::normal(Key(1), {2, 3, 4, 3});
  const Tensor lengths = reshape(tensor({1, 2, 3, 4, 3, 2}), {2, 3});
  const linen::Variables variables = linen::init(layer, Key(0), x);
  const auto [carry, y] = linen::apply(layer, variables, x, linen::return_carry,
                                       linen::RNNCall<Tensor>{.seq_lengths = lengths});
  for (int64_t i = 0; i < 6; ++i) {
    const int64_t steps = index_axis(ravel(lengths), i, 0).item<int64_t>();
    const Tensor row = index_axis(reshape(y, {6, 4, 4}), i, 0);
    expect_golden(index_axis(reshape(carry, {6, 4}), i, 0), index_axis(row, steps - 1, 0), 0,
                  "sequence " + std::to_string(i));
  }
}

TEST(Recurrent, L_154_Errors) {
  const linen::RNN layer{kGru};
  EXPECT_THROW(linen::init(layer, Key(0), ones({3})), ShapeError);
  const linen::Variables variables = linen::init(layer, Key(0), ones({2, 5, 3}));
  const auto with_lengths = [&](const Tensor& lengths) {
    return linen::apply(layer, variables, ones({2, 5, 3}),
                        linen::RNNCall<Tensor>{.seq_lengths = lengths});
  };
  EXPECT_THROW(with_lengths(tensor({1, 2, 3})), ShapeError);
  EXPECT_THROW(with_lengths(ones({2})), DTypeError);
  EXPECT_EQ(with_lengths(tensor({1, 2})).shape(), (Shape{2, 5, 4}));
}

/// Makes a parameter that no other step makes, asks for a random number, and keeps what it sees.
struct CuriousCell {
  bool draws = false, counts = false;
  Tensor initialize_carry(const Key&, const Shape& shape) const { return zeros(shape); }
  int64_t num_feature_axes() const { return 1; }
  std::pair<Tensor, Tensor> operator()(linen::Scope& s, const Tensor& h, const Tensor& x) const {
    const Tensor w = s.param("w", init::normal(1), {x.shape(-1)});
    s.sow("intermediates", "h", h);
    if (draws) s.make_rng("dropout");
    if (counts) s.variable("counts", "n", [] { return Tensor(0.0); });
    const Tensor next = tanh(h + w * x);
    return {next, next};
  }
};

TEST(Recurrent, L_154_StepsSeeParametersOnly) {
  const Tensor x = random::normal(Key(1), {2, 5, 3});
  const linen::Variables variables = linen::init(linen::RNN{CuriousCell{}}, Key(0), x);
  EXPECT_EQ(linen::flat_leaves(variables).size(), 1u);
  const auto [y, updates] =
      linen::apply_with({.mutate = "intermediates"}, linen::RNN{CuriousCell{}}, variables, x);
  EXPECT_TRUE(updates.empty());
  EXPECT_THROW(linen::apply_with({.rngs = {{"dropout", Key(1)}}},
                                 linen::RNN{CuriousCell{.draws = true}}, variables, x),
               ModuleError);
  EXPECT_THROW(linen::apply_with({.mutate = "counts"}, linen::RNN{CuriousCell{.counts = true}},
                                 variables, x),
               ModuleError);
}

/// A GRU whose inputs are dropped.
struct LinenDroppedGru {
  Tensor initialize_carry(const Key&, const Shape& shape) const {
    return linen::GRUCell{.features = 4}.initialize_carry(Key(0), shape);
  }
  int64_t num_feature_axes() const { return 1; }
  std::pair<Tensor, Tensor> operator()(linen::Scope& s, const Tensor& h, const Tensor& x) const {
    return s("gru", kGru, h, s("drop", linen::Dropout{.rate = 0.5, .deterministic = false}, x));
  }
};

TEST(Recurrent, L_154_KeysOfStepsAreSplitOrShared) {
  for (const bool split : {true, false}) {
    const std::string prefix =
        std::string("linen/lifted/dropout_") + (split ? "split/" : "shared/");
    SCOPED_TRACE(prefix);
    const linen::RNN layer{LinenDroppedGru{},
                           {.split_rngs = {{"params", false}, {"dropout", split}}}};
    const Tensor x = recurrent_golden(prefix + "x");
    const linen::Variables variables =
        linen::init(layer, {{"params", Key(0)}, {"dropout", Key(5)}}, x);
    expect_variables_of(variables, prefix + "variables/", 3e-6);
    const auto [y, updates] =
        linen::apply_with({.rngs = {{"dropout", Key(5)}}}, layer, variables, x);
    expect_golden(y, recurrent_golden(prefix + "out"), 3e-6, "outputs");
  }
}

/// A GRU that counts its steps and keeps what it gives.
struct CountingGru {
  Tensor initialize_carry(const Key& key, const Shape& shape) const {
    return kGru.initialize_carry(key, shape);
  }
  int64_t num_feature_axes() const { return 1; }
  std::pair<Tensor, Tensor> operator()(linen::Scope& s, const Tensor& h, const Tensor& x) const {
    const linen::ScopeVariable count = s.variable("counts", "steps", [] { return zeros({}); });
    const auto [next, y] = s("gru", kGru, h, x * (1 + count.value()));
    count.set(count.value() + 1);
    s.sow("intermediates", "y", y);
    return {next, y};
  }
};

TEST(Recurrent, L_154_CollectionsAreCarriedAndStacked) {
  const std::string prefix = "linen/lifted/counting/";
  const linen::RNN layer{
      CountingGru{},
      {.reverse = true, .variable_axes = {{"intermediates", 1}}, .variable_carry = "counts"}};
  const Tensor x = recurrent_golden(prefix + "x");
  // Carried variables must be there before.
  const linen::Variables inside =
      linen::init(CountingGru{}, Key(0), zeros({2, 4}), index_axis(x, 0, 1));
  EXPECT_THROW(linen::init(layer, Key(0), x), ValueError);
  linen::Variables variables;
  for (const char* name : {"params", "counts"}) variables.at_path({name, "cell"}) = inside[name];
  expect_variables_of(variables, prefix + "variables/", 3e-6);
  const auto [y, updates] =
      linen::apply_with({.mutate = {"counts", "intermediates"}}, layer, variables, x);
  expect_golden(y, recurrent_golden(prefix + "out"), 3e-6, "outputs");
  expect_golden(updates["counts"]["cell"]["steps"].value(),
                recurrent_golden(prefix + "updates/counts/cell/steps"), 0, "count");
  expect_golden(updates["intermediates"]["cell"]["y"].leaf().tensors.at(0),
                recurrent_golden(prefix + "updates/intermediates/cell/y"), 3e-6, "kept outputs");
}

/// Pairs as outputs of a cell.
struct TwoOutputs {
  Tensor initialize_carry(const Key&, const Shape& shape) const { return zeros(shape); }
  int64_t num_feature_axes() const { return 1; }
  auto operator()(linen::Scope&, const Tensor& h, const Tensor& x) const {
    const Tensor next = h + x;
    return std::pair(next, std::pair(next, sum(x, -1)));
  }
};

TEST(Recurrent, L_154_OutputsAreTrees) {
  const Tensor x = random::normal(Key(1), {2, 5, 3});
  const auto [sums, totals] = linen::apply(linen::RNN{TwoOutputs{}}, {}, x);
  expect_golden(sums, cumsum(x, 1), 1e-6, "sums");
  expect_golden(totals, sum(x, -1), 1e-6, "totals");
}

TEST(Recurrent, L_154_UnderOtherTransformations) {
  const linen::RNN layer{kLstm};
  const Tensor x = random::normal(Key(1), {2, 5, 3});
  const linen::Variables variables = linen::init(layer, Key(0), x);
  const auto f = [&](const Tensor& v) { return linen::apply(layer, variables, v); };
  const Tensor y = f(x);
  expect_golden(jit(f)(x), y, 1e-6, "jit");
  const Tensor batch = stack({x, 2 * x, -x});
  const Tensor rows = vmap(f)(batch);
  expect_golden(index_axis(rows, 0, 0), y, 1e-6, "vmap");
  expect_golden(index_axis(rows, 2, 0), f(-x), 1e-6, "vmap");
  const auto loss = [&](const Tensor& v) { return sum(square(f(v))); };
  const auto gradient = [&](const Tensor& v) { return grad(loss)(v); };
  expect_golden(jit(gradient)(x), gradient(x), 1e-6, "jit of grad");
}

/// In double precision, so that differences are exact to many digits.
struct DoubleLstm {
  linen::RNN<linen::OptimizedLSTMCell> layer{
      linen::OptimizedLSTMCell{.features = 3, .param_dtype = DType::kF64}};
  Tensor x = random::normal(Key(1), {2, 4, 3}, DType::kF64);
  linen::Variables params = linen::init(layer, Key(0), x)["params"];

  Tensor loss(const linen::Variables& p, const Tensor& v) const {
    const auto [carry, y] = linen::apply(
        layer, {{"params", p}}, v, linen::return_carry,
        linen::RNNCall<linen::LSTMCarry>{.seq_lengths = tensor({4, 2}), .reverse = true});
    return sum(square(y)) + sum(carry.c * carry.h);
  }
};

TEST(Recurrent, L_154_DerivativesAgainstDifferences) {
  const DoubleLstm lstm;
  const Tensor direction = random::normal(Key(2), lstm.x.shape(), DType::kF64);
  const auto loss = [&](const Tensor& v) { return lstm.loss(lstm.params, v); };
  const auto slope = [&](const Tensor& v) { return sum(grad(loss)(v) * direction); };
  const double h = 1e-5;
  const auto difference = [&](const auto& f) {
    return (f(lstm.x + h * direction) - f(lstm.x - h * direction)) / (2 * h);
  };
  expect_golden(slope(lstm.x), difference(loss), 1e-8, "first derivative");
  const auto forward = jvp(loss, std::make_tuple(lstm.x), std::make_tuple(direction)).second;
  expect_golden(forward, slope(lstm.x), 1e-12, "forward mode");
  const Tensor second = sum(grad(slope)(lstm.x) * direction);
  expect_golden(second, difference(slope), 1e-8, "second derivative");
}

TEST(Recurrent, L_154_UnderRematAndWithParametersStacked) {
  const DoubleLstm lstm;
  const auto loss = [&](const linen::Variables& p) { return lstm.loss(p, lstm.x); };
  const linen::Variables gradients = grad(loss)(lstm.params);
  const linen::Variables recomputed = grad(checkpoint(loss))(lstm.params);
  const linen::Variables twice = tree::map(lstm.params, [](const Tensor& t) {
    return stack({t, 0.5 * t});
  });
  const linen::Variables each = vmap(grad(loss))(twice);
  for (const auto& [path, leaf] : linen::flat_leaves(gradients)) {
    const std::string name = tree::to_string(path);
    expect_golden(recomputed.find_path(path)->value(), leaf->value(), 1e-12, name);
    expect_golden(index_axis(each.find_path(path)->value(), 0, 0), leaf->value(), 1e-12, name);
  }
}

/// A layer made from Rngs(0) on the golden input.
template <class Layer>
void check_nnx(const std::string& name, Layer layer, typename Layer::Call call = {}) {
  const std::string prefix = "nnx/rnn/" + name + "/";
  SCOPED_TRACE(prefix);
  const Tensor x = recurrent_golden(prefix + "x");
  if (recurrent_file().contains(prefix + "seq_lengths"))
    call.seq_lengths = recurrent_golden(prefix + "seq_lengths");
  expect_state_of(nnx::state(layer, nnx::of_type<nnx::Param>()), prefix + "params/", 3e-6);
  if (::testing::Test::HasFatalFailure()) return;

  const auto [carry, y] = layer(x, nnx::return_carry, call);
  expect_tree(carry, prefix + "carry", 3e-6);
  expect_golden(y, recurrent_golden(prefix + "out"), 3e-6, "outputs");
  const Layer& constant = layer;
  expect_golden(constant(x, call), y, 0, "outputs of a const layer");

  const auto of_params =
      nnx::grad([&](Layer& l) { return weighted_sum(l(x, nnx::return_carry, call)); }, layer);
  expect_state_of(of_params, prefix + "grad/params/", 3e-5);
  const Tensor of_x =
      grad([&](const Tensor& v) { return weighted_sum(layer(v, nnx::return_carry, call)); })(x);
  expect_golden(of_x, recurrent_golden(prefix + "grad/x"), 3e-5, "gradient of x");
}

TEST(Recurrent, N_139_CellsOverTime) {
  nnx::Rngs a(0), b(0), c(0), d(0);
  check_nnx("simple", nnx::RNN(nnx::SimpleCell(3, 4, a)));
  check_nnx("lstm", nnx::RNN(nnx::LSTMCell(3, 4, b)));
  check_nnx("optimized_lstm", nnx::RNN(nnx::OptimizedLSTMCell(3, 4, c)));
  check_nnx("gru", nnx::RNN(nnx::GRUCell(3, 4, d)));
}

TEST(Recurrent, N_139_DirectionsAndLengths) {
  nnx::Rngs a(0), b(0), c(0);
  check_nnx("reverse", nnx::RNN(nnx::GRUCell(3, 4, a), {.reverse = true}));
  check_nnx("lengths_reverse_keep_order",
            nnx::RNN(nnx::OptimizedLSTMCell(3, 4, b), {.reverse = true, .keep_order = true}));
  check_nnx("lengths_time_major", nnx::RNN(nnx::OptimizedLSTMCell(3, 4, c)), {.time_major = true});
}

TEST(Recurrent, N_140_Bidirectional) {
  nnx::Rngs a(0), b(0);
  const auto gru = [](nnx::Rngs& r) { return nnx::RNN(nnx::GRUCell(3, 4, r)); };
  nnx::RNN forward = gru(a);
  check_nnx("bidirectional",
            nnx::Bidirectional(std::move(forward), nnx::RNN(nnx::OptimizedLSTMCell(3, 4, a))));
  nnx::RNN first = gru(b);
  check_nnx("bidirectional_lengths", nnx::Bidirectional(std::move(first), gru(b)));
}

TEST(Recurrent, N_140_OneLayerInBothDirections) {
  using Gru = nnx::RNN<nnx::GRUCell>;
  nnx::Rngs rngs(0);
  const auto layer = nnx::Shared<Gru>::make(nnx::GRUCell(3, 4, rngs));
  nnx::Bidirectional both(layer, layer);
  std::string logged;
  set_log_sink([&](std::string_view topic, std::string_view text) {
    logged = std::string(topic) + ": " + std::string(text);
  });
  const Tensor x = random::normal(Key(1), {2, 5, 3});
  const Tensor y = both(x);
  set_log_sink({});
  EXPECT_NE(logged.find("forward_rnn and backward_rnn are the same object"), std::string::npos)
      << logged;
  EXPECT_EQ(nnx::state(both, nnx::of_type<nnx::Param>()).size(), 3u);
  expect_golden(slice_axis(y, 0, 4, -1), (*layer)(x), 1e-6, "forward");
  expect_golden(slice_axis(y, 4, 8, -1), (*layer)(x, {.reverse = true, .keep_order = true}), 1e-6,
                "backward");
}

/// Outputs of two calls, against those of Flax.
template <class Layer>
void check_twice(const std::string& name, Layer layer, const typename Layer::Call& call = {}) {
  const std::string prefix = "nnx/twice/" + name + "/";
  const Tensor x = recurrent_golden(prefix + "x");
  expect_golden(layer(x, call), recurrent_golden(prefix + "first"), 3e-6, name + ", first");
  expect_golden(layer(x, call), recurrent_golden(prefix + "second"), 3e-6, name + ", second");
}

nnx::GRUCell random_gru(nnx::Rngs& rngs) {
  return nnx::GRUCell(3, 4, {.carry_init = normal_init()}, rngs);
}

TEST(Recurrent, N_139_N_140_CarriesComeFromStreams) {
  nnx::Rngs a(0), b(0), c(0), d(0), of_call(5);
  check_twice("carry_stream", nnx::RNN(random_gru(a)));
  nnx::GRUCell cell = random_gru(b);
  check_twice("carry_of_rngs", nnx::RNN(std::move(cell), {}, b));
  check_twice("carry_of_call", nnx::RNN(random_gru(c)), {.rngs = &of_call});
  nnx::RNN forward(random_gru(d));
  check_twice("bidirectional_carry",
              nnx::Bidirectional(std::move(forward), nnx::RNN(nnx::OptimizedLSTMCell(
                                                         3, 4, {.carry_init = normal_init()}, d))));
}

TEST(Recurrent, N_139_CarriesOfConstLayersAreTheSameAtEveryCall) {
  nnx::Rngs rngs(0);
  const nnx::RNN layer(random_gru(rngs));
  const Tensor x = recurrent_golden("nnx/twice/carry_stream/x");
  const Tensor first = recurrent_golden("nnx/twice/carry_stream/first");
  expect_golden(layer(x), first, 3e-6, "first call");
  expect_golden(layer(x), first, 3e-6, "second call");
  EXPECT_EQ(layer.rngs->count().item<int>(), 0);
}

TEST(Recurrent, N_139_WithoutAStream) {
  nnx::Rngs rngs(0);
  nnx::RNN layer(nnx::GRUCell(3, 4, rngs), {.keep_rngs = false});
  const Tensor x = ones({2, 5, 3});
  EXPECT_THROW(layer(x), ValueError);
  EXPECT_EQ(layer(x, {.initial_carry = zeros({2, 4})}).shape(), (Shape{2, 5, 4}));
  nnx::RNN with_cell(nnx::GRUCell(3, 4, {.keep_rngs = true}, rngs), {.keep_rngs = false});
  EXPECT_EQ(with_cell(x).shape(), (Shape{2, 5, 4}));
  EXPECT_EQ(with_cell.cell.rngs->count().item<int>(), 1);
}

/// A GRU whose inputs are dropped.
struct DroppedGru {
  nnx::GRUCell cell;
  nnx::Dropout drop;
  explicit DroppedGru(nnx::Rngs& rngs) : cell(3, 4, rngs), drop(0.5, rngs) {}
  LINNET_FIELDS(cell, drop)
  std::pair<Tensor, Tensor> operator()(const Tensor& h, const Tensor& x) {
    return cell(h, drop(x));
  }
  Tensor initialize_carry(const Shape& shape, nnx::RngStream& stream) const {
    return cell.initialize_carry(shape, stream);
  }
  int64_t num_feature_axes() const { return 1; }
};

TEST(Recurrent, N_139_DropoutDiffersFromStepToStepAndCallToCall) {
  nnx::Rngs rngs(0);
  check_twice("dropout", nnx::RNN(DroppedGru(rngs)));
}

TEST(Recurrent, N_139_BroadcastStreamsDifferFromCallToCallOnly) {
  nnx::Rngs rngs(0);
  check_twice("dropout_broadcast",
              nnx::RNN(DroppedGru(rngs), {.broadcast_rngs = nnx::with_tag("dropout")}));
}

/// Keeps what it gives in a variable.
struct KeepingCell {
  nnx::Param weight;
  nnx::Intermediate kept;
  explicit KeepingCell(int64_t steps) : weight(ones({3})), kept(zeros({steps, 2, 3})) {}
  LINNET_FIELDS(weight, kept)
  std::pair<Tensor, Tensor> operator()(const Tensor& h, const Tensor& x) {
    const Tensor next = h + weight.value() * x;
    kept = next;
    return {next, next};
  }
  Tensor initialize_carry(const Shape& shape, nnx::RngStream&) const { return zeros(shape); }
  int64_t num_feature_axes() const { return 1; }
};

TEST(Recurrent, N_139_VariablesOfTheCellByAxes) {
  nnx::RNN layer(KeepingCell(5), {.state_axes = {{nnx::of_type<nnx::Param>(), nnx::kNone},
                                                 {nnx::everything(), 0}}});
  const Tensor x = random::normal(Key(1), {2, 5, 3});
  const Tensor y = layer(x);
  expect_golden(y, cumsum(x, 1), 1e-6, "outputs");
  expect_golden(layer.cell.kept.value(), moveaxis(y, 1, 0), 0, "kept");
}

}  // namespace
}  // namespace linnet::recurrent_test
