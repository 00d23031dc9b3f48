// A physics-informed network: it solves u_t + u u_x = nu u_xx, Burgers' equation, from nothing but
// the equation and the values on the border, and is compared with the exact solution.
//
//   burgers [steps]
//
// Raissi, Perdikaris and Karniadakis, Physics-informed neural networks, 2019.
#include <cstdio>
#include <cstdlib>

#include "linnet/linnet.h"

using namespace linnet;

constexpr double kViscosity = 0.05;
constexpr int64_t kInside = 256, kBorder = 64;

struct Network {
  nnx::Linear first, second, third;

  explicit Network(nnx::Rngs& rngs)
      : first(2, 24, rngs), second(24, 24, rngs), third(24, 1, rngs) {}
  LINNET_FIELDS(first, second, third)

  /// u at one point: t and x are scalars, and so is the result.
  Tensor operator()(const Tensor& t, const Tensor& x) const {
    return third(tanh(second(tanh(first(stack({t, x}))))))[0];
  }
};

/// A wave that travels to the right with half the height that it falls by.
Tensor exact(const Tensor& t, const Tensor& x) {
  return 0.5 * (1 - tanh((x - 0.5 * t) / (4 * kViscosity)));
}

/// What is left of the equation at one point. Derivatives are functions like any other, so the
/// second one is the derivative of the first.
Tensor residual(const Network& u, const Tensor& t, const Tensor& x) {
  const auto u_t = grad<0>(u);
  const auto u_x = grad<1>(u);
  const auto u_xx = grad<1>(u_x);
  return u_t(t, x) + u(t, x) * u_x(t, x) - kViscosity * u_xx(t, x);
}

Tensor train(Network& network, optim::Optimizer& optimizer, const Key& key) {
  // Other points in every step: 0 < t < 1, -1 < x < 1.
  const Key keys = random::split(key, 4);
  const auto uniform = [&](int64_t which, int64_t count, double low) {
    return random::uniform(keys[which], {count}, low, 1);
  };
  const Tensor t = uniform(0, kInside, 0), x = uniform(1, kInside, -1);
  // A third of the points of the border is at t = 0, a third on each side.
  const Tensor part = arange(3 * kBorder) / kBorder;
  const Tensor border_t = where(part < 1, 0, uniform(2, 3 * kBorder, 0));
  const Tensor border_x = where(part < 1, uniform(3, 3 * kBorder, -1), where(part < 2, -1.f, 1.f));

  const auto [loss, gradients] = nnx::value_and_grad(
      [&](Network& u) {
        const Tensor inside =
            vmap([&](const Tensor& a, const Tensor& b) { return residual(u, a, b); })(t, x);
        const Tensor border =
            vmap(std::as_const(u))(border_t, border_x) - exact(border_t, border_x);
        return mean(square(inside)) + 10 * mean(square(border));
      },
      network);
  optimizer.update(network, gradients);
  return loss;
}

int main(int argc, char** argv) {
  const int steps = argc > 1 ? std::atoi(argv[1]) : 3000;
  nnx::Rngs rngs(0);
  Network network(rngs);
  optim::Optimizer optimizer(network, optim::adam(optim::cosine_decay_schedule(5e-3, steps)));
  const auto step = jit(train);
  for (int i = 1; i <= steps; ++i) {
    const Tensor loss = step(network, optimizer, random::fold_in(Key(1), i));
    if (i % 500 == 0) {
      std::printf("step %5d  loss %.2e\n", i, loss.item<double>());
    }
  }

  std::printf("   x   network     exact, at t = 1\n");
  const Tensor t = ones({9}), x = linspace(-1, 1, 9);
  const Tensor u = vmap(network)(t, x), wanted = exact(t, x);
  for (int64_t i = 0; i < 9; ++i) {
    std::printf("%5.2f  %8.4f  %8.4f\n", x[i].item<double>(), u[i].item<double>(),
                wanted[i].item<double>());
  }
  const double error = max(abs(u - wanted)).item<double>();
  std::printf("largest error %.1e\n", error);
  return error < 0.05 ? 0 : 1;
}
