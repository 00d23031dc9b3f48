// A diffusion model of small pictures: a convolutional network learns to take noise out of
// pictures, and makes new ones out of nothing but noise: diffusion.png.
//
//   diffusion [steps]
//
// A picture x and noise e are mixed to cos(a) x + sin(a) e, for an angle a between 0 and pi / 2.
// The network predicts v = cos(a) e - sin(a) x, which is the derivative of the mixture in a: taking
// away noise is turning back by small angles (Salimans and Ho, Progressive Distillation, 2022; Song
// et al., Denoising Diffusion Implicit Models, 2021).
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numbers>

#include "examples/pictures.h"

using namespace linnet;

constexpr int64_t kSide = 14, kBatch = 64, kTurns = 40, kRows = 8;
constexpr double kRight = std::numbers::pi / 2;

struct Denoiser {
  nnx::Linear angle_in, angle_out;
  nnx::Conv in, down, middle;
  nnx::ConvTranspose up;
  nnx::Conv out;

  explicit Denoiser(nnx::Rngs& rngs)
      : angle_in(12, 64, rngs),
        angle_out(64, 64, rngs),
        in(1, 32, {3, 3}, rngs),
        down(32, 64, {3, 3}, {.strides = 2}, rngs),
        middle(64, 64, {7, 7}, rngs),
        up(64, 32, {3, 3}, {.strides = {2, 2}}, rngs),
        out(64, 1, {3, 3}, rngs) {}
  LINNET_FIELDS(angle_in, angle_out, in, down, middle, up, out)

  /// mixed: [batch, 14, 14, 1], angle: [batch] -> v like mixed.
  Tensor operator()(const Tensor& mixed, const Tensor& angle) const {
    const Tensor waves = expand_dims(angle, 1) * exp2(arange(6, DType::kF32));
    const Tensor level = angle_out(silu(angle_in(concatenate({sin(waves), cos(waves)}, 1))));
    const Tensor fine = silu(in(mixed));
    Tensor coarse = silu(down(fine) + expand_dims(level, {1, 2}));
    coarse = coarse + silu(middle(coarse));
    return out(concatenate({silu(up(coarse)), fine}, -1));
  }
};

Tensor train(Denoiser& model, optim::Optimizer& optimizer, const Tensor& pictures, const Key& key) {
  const auto [row_key, noise_key, angle_key] = random::split<3>(key);
  const Tensor x = take(pictures, random::randint(row_key, {kBatch}, 0, pictures.shape(0)));
  const Tensor noise = random::normal(noise_key, x.shape());
  const Tensor angle = random::uniform(angle_key, {kBatch}, 0, kRight);
  const Tensor c = cos(angle).reshape(-1, 1, 1, 1), s = sin(angle).reshape(-1, 1, 1, 1);
  const auto [loss, gradients] = nnx::value_and_grad(
      [&](Denoiser& m) { return mean(square(m(c * x + s * noise, angle) - (c * noise - s * x))); },
      model);
  optimizer.update(model, gradients);
  return loss;
}

/// New pictures [count, 14, 14, 1].
Tensor sample(const Denoiser& model, const Key& key) {
  const Tensor noise = random::normal(key, {kRows * kRows, kSide, kSide, 1});
  const double turn = kRight / kTurns;
  return fori_loop(
      0, kTurns,
      [&](const Tensor& i, const Tensor& mixed) {
        const Tensor angle = full({mixed.shape(0)}, kRight - turn * i);
        return std::cos(turn) * mixed - std::sin(turn) * model(mixed, angle);
      },
      noise);
}

int main(int argc, char** argv) {
  const int steps = argc > 1 ? std::atoi(argv[1]) : 2000;
  // Half as wide, and with values from -1 to 1.
  const Tensor pictures =
      2 * nnx::avg_pool(expand_dims(pictures::load(10000), -1), {2, 2}, {2, 2}) - 1;

  nnx::Rngs rngs(0);
  Denoiser model(rngs);
  optim::Optimizer optimizer(model, optim::adam(optim::cosine_decay_schedule(2e-3, steps)));
  const auto step = jit(train);
  double loss = 1;  // what a prediction of zero has
  for (int i = 1; i <= steps; ++i) {
    const Tensor now = step(model, optimizer, pictures, random::fold_in(Key(1), i));
    loss += 0.1 * (now.item<double>() - loss);
    if (i % 100 == 0) std::printf("step %5d  loss %.3f\n", i, loss);
  }

  const Tensor made = jit(sample)(model, Key(2));
  pictures::write_sheet("diffusion.png", (made.reshape(kRows, kRows, kSide, kSide) + 1) / 2);
  const double brightness = mean(made).item<double>(), wanted = mean(pictures).item<double>();
  std::printf("mean of the new pictures %.2f, of the old ones %.2f\n", brightness, wanted);
  return loss < 0.6 && std::abs(brightness - wanted) < 0.3 ? 0 : 1;
}
