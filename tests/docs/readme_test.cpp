// The program of README.md.
#include <iostream>

#include "linnet/linnet.h"
#include "tests/docs/documents.h"

namespace readme {

// clang-format off
// [readme]
#include <iostream>
#include <linnet/linnet.h>

using namespace linnet;

struct Mlp {                                    // a module is a plain struct
  nnx::Linear up, down;
  explicit Mlp(nnx::Rngs& rngs) : up(1, 32, rngs), down(32, 1, rngs) {}
  LINNET_FIELDS(up, down)

  Tensor operator()(const Tensor& x) const { return down(tanh(up(x))); }
};

int main() {
  nnx::Rngs rngs(0);
  Mlp model(rngs);
  optim::Optimizer optimizer(model, optim::adam(1e-2));
  Tensor x = linspace(-3, 3, 64).reshape({64, 1});
  Tensor y = sin(x);

  // Model and optimiser are state, read and updated; everything else is input.
  auto step = jit([](Mlp& net, optim::Optimizer& opt, const Tensor& in, const Tensor& wanted) {
    auto [loss, gradients] = nnx::value_and_grad(
        [&](Mlp& m) { return mean(square(m(in) - wanted)); }, net);
    opt.update(net, gradients);
    return loss;
  });

  Tensor loss;
  for (int i = 0; i < 500; ++i) loss = step(model, optimizer, x, y);
  const bool learned = loss.item<float>() < 1e-3f;
  std::cout << (learned ? "learned the sine" : "did not learn") << "\n";
  return learned ? 0 : 1;
}
// [readme]
// clang-format on

}  // namespace readme

namespace {

class Readme : public linnet::docs::Snippet {};

TEST_F(Readme, readme) { EXPECT_EQ(readme::main(), 0); }

}  // namespace
