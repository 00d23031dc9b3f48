// The pieces of docs/tutorial.md about recurrent layers.
#include <linnet/linnet.h>

#include <iostream>

#include "tests/docs/documents.h"

using namespace linnet;

namespace {

class TutorialRecurrent : public docs::Snippet {};

TEST_F(TutorialRecurrent, recurrent_lstm) {
  // [recurrent-lstm]
  nnx::Rngs rngs(0);
  nnx::RNN lstm(nnx::OptimizedLSTMCell(8, 16, rngs));          // features in and out
  Tensor x = random::normal(Key(1), {3, 10, 8});               // [batch, time, features]
  Tensor y = lstm(x);
  Tensor lengths = tensor({10, 4, 7});                         // the rest is padding
  auto [carry, z] = lstm(x, nnx::return_carry, {.seq_lengths = lengths});
  std::cout << to_string(y.type()) << " " << to_string(carry.h.type()) << "\n";
  Tensor last = index_axis(index_axis(z, 1, 0), 3, 0);         // step 4 of sequence 1
  std::cout << sum(abs(index_axis(carry.h, 1, 0) - last)) << "\n";
  // [recurrent-lstm]
}

TEST_F(TutorialRecurrent, recurrent_bidirectional) {
  // [recurrent-bidirectional]
  linen::RNN gru{linen::GRUCell{.features = 16}};
  linen::Bidirectional both{gru, gru};                         // parameters for each direction
  Tensor x = random::normal(Key(1), {3, 10, 8});
  linen::Variables vars = linen::init(both, Key(0), x);
  linen::RNNCall<decltype(both)::Carry> call{.seq_lengths = tensor({10, 4, 7})};
  Tensor y = linen::apply(both, vars, x, call);
  std::cout << to_string(y.type()) << "\n";
  std::cout << to_string(vars["params"]["backward_rnn"]["cell"]["hn"]);
  // [recurrent-bidirectional]
}

// [recurrent-cell]
/// Follows its input, each feature at a rate of its own.
struct LeakyCell {
  int64_t num_feature_axes() const { return 1; }               // of an input: [batch..., features]
  Tensor initialize_carry(const Key&, const Shape& input) const { return zeros(input); }

  std::pair<Tensor, Tensor> operator()(linen::Scope& s, const Tensor& h, const Tensor& x) const {
    Tensor rate = sigmoid(s.param("rate", init::zeros(), {x.shape(-1)}));
    Tensor next = h + rate * (x - h);
    return {next, next};                                       // the new carry, and the output
  }
};
// [recurrent-cell]

TEST_F(TutorialRecurrent, recurrent_own) {
  // [recurrent-own]
  linen::RNN smooth{LeakyCell{}, {.reverse = true, .keep_order = true}};
  Tensor x = tensor({0.f, 0.f, 8.f}).reshape({1, 3, 1});
  auto [y, vars] = linen::init_with_output(smooth, Key(0), x);
  std::cout << ravel(y) << "\n" << to_string(vars);
  // [recurrent-own]
}

}  // namespace
