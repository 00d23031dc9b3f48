// A variational autoencoder with two latent numbers, so that everything it can draw fits on one
// sheet: vae.png shows the pictures of a grid of latent points.
//
//   variational_autoencoder [steps]
//
// Kingma and Welling, Auto-Encoding Variational Bayes, 2014.
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "examples/pictures.h"
#include "linnet/numpy.h"

using namespace linnet;

constexpr int64_t kPixels = 28 * 28, kHidden = 256, kLatent = 2, kBatch = 128;

struct Vae {
  nnx::Linear encoder, mean, log_variance, decoder, pixels;
  nnx::RngStream noise;  // a member, so that jit and checkpoints carry its count

  explicit Vae(nnx::Rngs& rngs)
      : encoder(kPixels, kHidden, rngs),
        mean(kHidden, kLatent, rngs),
        log_variance(kHidden, kLatent, rngs),
        decoder(kLatent, kHidden, rngs),
        pixels(kHidden, kPixels, rngs),
        noise(rngs["noise"].fork()) {}
  LINNET_FIELDS(encoder, mean, log_variance, decoder, pixels, noise)

  /// Logits of the pixels: [batch, latent] -> [batch, pixels].
  Tensor decode(const Tensor& z) const { return pixels(relu(decoder(z))); }

  /// The negative evidence lower bound per picture, in nats; x: [batch, pixels].
  Tensor loss(const Tensor& x) {
    const Tensor h = relu(encoder(x));
    const Tensor mu = mean(h), log_var = log_variance(h);
    // A sample as a function of the parameters, so that gradients pass through it.
    const Tensor z = mu + exp(0.5 * log_var) * random::normal(noise(), mu.shape());
    const Tensor reconstruction = sum(loss::sigmoid_binary_cross_entropy(decode(z), x), -1);
    const Tensor divergence = 0.5 * sum(square(mu) + exp(log_var) - 1 - log_var, -1);
    return linnet::mean(reconstruction + divergence);
  }
};

/// The pictures of n x n latent points, each of which stands for as much of the prior as the
/// others: [n, n, 28, 28].
Tensor latent_grid(const Vae& model, int64_t n) {
  const Tensor share = linspace(0.5 / n, 1 - 0.5 / n, n);
  const Tensor quantile = std::sqrt(2.0) * erf_inv(2 * share - 1);
  const Tensor z = stack(meshgrid({quantile, quantile}), -1);
  return sigmoid(model.decode(z)).reshape(n, n, 28, 28);
}

int main(int argc, char** argv) {
  const int steps = argc > 1 ? std::atoi(argv[1]) : 2000;
  const Tensor pictures = pictures::load(10000).reshape(-1, kPixels);

  nnx::Rngs rngs(0);
  Vae model(rngs);
  optim::Optimizer optimizer(model, optim::adam(1e-3));
  const auto step = jit([](Vae& m, optim::Optimizer& opt, const Tensor& data, const Key& key) {
    const Tensor batch = take(data, random::randint(key, {kBatch}, 0, data.shape(0)));
    const auto [loss, gradients] =
        nnx::value_and_grad([&](Vae& vae) { return vae.loss(batch); }, m);
    opt.update(m, gradients);
    return loss;
  });

  double first = 0, last = 0;
  for (int i = 1; i <= steps; ++i) {
    last = step(model, optimizer, pictures, random::fold_in(Key(1), i)).item<double>();
    if (i == 1) first = last;
    if (i % 200 == 0) std::printf("step %5d  loss %.1f\n", i, last);
  }
  pictures::write_sheet("vae.png", latent_grid(model, 12));
  return last < 0.7 * first ? 0 : 1;
}
