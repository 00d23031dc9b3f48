// A functional (linen) encoder that was trained long ago, inside a new object (nnx) model: it comes
// from its old checkpoint, stays fixed while a head is trained, is trained a little with it, and
// goes back into the code that it came from.
//
//   legacy_encoder
#include <cstdio>
#include <numbers>

#include "linnet/bridge/checkpoint.h"
#include "linnet/linnet.h"

using namespace linnet;

constexpr int64_t kSamples = 32, kCode = 8, kClasses = 3;
constexpr const char* kCheckpoint = "legacy_encoder.checkpoint";

struct Batch {
  Tensor x;      ///< f32 [batch, samples]
  Tensor label;  ///< i32 [batch]
};

/// Sine, square and triangle waves of any phase, with noise.
Batch waves(const Key& key, int64_t count) {
  const auto [label_key, phase_key, noise_key] = random::split<3>(key);
  const Tensor label = random::randint(label_key, {count}, 0, kClasses);
  const Tensor phase = random::uniform(phase_key, {count, 1}, 0, 2 * std::numbers::pi);
  const Tensor sine = sin(2 * std::numbers::pi * arange(kSamples) / kSamples + phase);
  const Tensor kind = expand_dims(label, 1);
  const Tensor clean =
      where(kind == 0, sine, where(kind == 1, sign(sine), 2 / std::numbers::pi * asin(sine)));
  return {clean + 0.1 * random::normal(noise_key, clean.shape()), label};
}

// The old code: functional modules, whose variables are a dictionary.

struct Encoder {
  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    Tensor h = s("in", linen::Dense{.features = 64}, x);
    h = relu(s("norm", linen::BatchNorm{.use_running_average = !train, .momentum = 0.9}, h));
    return s("out", linen::Dense{.features = kCode}, h);
  }
};

struct Autoencoder {
  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    const Tensor code = tanh(s("encoder", Encoder{}, x, train));
    return s("decoder", linen::Dense{.features = kSamples},
             relu(s("middle", linen::Dense{.features = 64}, code)));
  }
};

/// Trains without labels and leaves the encoder's variables in a checkpoint.
void train_long_ago() {
  const Batch unlabelled = waves(Key(1), 4000);
  linen::Variables all = linen::init(Autoencoder{}, Key(0), unlabelled.x, false);
  linen::Variables params = all["params"], statistics = all["batch_stats"];
  const optim::GradientTransformation tx = optim::adam(3e-3);
  optim::TransformState state = tx.init(params);
  const auto step = jit(
      [&](linen::Variables& p, linen::Variables& stats, optim::TransformState& s, const Tensor& x) {
        const auto [loss, updates, gradients] = value_and_grad([&](const linen::Variables& wanted) {
          const linen::Variables given{{"params", wanted}, {"batch_stats", stats}};
          const auto [y, changed] =
              linen::apply_with({.mutate = {"batch_stats"}}, Autoencoder{}, given, x, true);
          return std::pair(mean(square(y - x)), changed);
        })(p);
        optim::step(tx, p, gradients, s);
        stats = updates["batch_stats"];
        return loss;
      });
  Tensor loss;
  for (int64_t i = 0; i < 1500; ++i) {
    const Tensor rows = random::randint(random::fold_in(Key(2), i), {128}, 0, 4000);
    loss = step(params, statistics, state, take(unlabelled.x, rows));
  }
  std::printf("long ago: autoencoder with a loss of %.3f\n", loss.item<double>());
  save_checkpoint(kCheckpoint, linen::Variables{{"params", params["encoder"]},
                                                {"batch_stats", statistics["encoder"]}});
}

// The new code.

struct Classifier {
  bridge::ToNNX<Encoder> encoder;
  nnx::Linear hidden, head;

  explicit Classifier(nnx::Rngs& rngs)
      : encoder(Encoder{}, rngs), hidden(kCode, 32, rngs), head(32, kClasses, rngs) {
    encoder.lazy_init(zeros(1, kSamples), false);  // makes variables to be filled
  }
  LINNET_FIELDS(encoder, hidden, head)

  Tensor operator()(const Tensor& x, bool train) {
    const bridge::Mutable changes = train ? bridge::Mutable("batch_stats") : bridge::Mutable(false);
    return head(tanh(hidden(encoder.call({.mutate = changes}, x, train))));
  }
};

/// Trains what `wrt` chooses; the encoder's statistics move if `train_encoder`.
void train(Classifier& model, const nnx::Filter& wrt, bool train_encoder, const Batch& batch) {
  optim::Optimizer optimizer(model, optim::adam(3e-3), wrt);
  const auto step =
      jit([&](Classifier& m, optim::Optimizer& opt, const Tensor& x, const Tensor& y) {
        const auto [loss, gradients] = nnx::value_and_grad(
            [&](Classifier& c) { return cross_entropy(c(x, train_encoder), y); }, m, wrt);
        opt.update(m, gradients);
        return loss;
      });
  for (int64_t i = 0; i < 200; ++i) step(model, optimizer, batch.x, batch.label);
}

double accuracy(Classifier& model, const Batch& batch) {
  return mean((argmax(model(batch.x, false), -1) == batch.label).astype(DType::kF32))
      .item<double>();
}

int main() {
  train_long_ago();

  nnx::Rngs rngs(0);
  Classifier model(rngs);
  bridge::load_checkpoint(kCheckpoint, model.encoder);
  const Batch labelled = waves(Key(3), 200), test = waves(Key(4), 2000);
  const Tensor kernel = model.encoder["in"]["kernel"];

  train(model, nnx::not_(nnx::path_contains("encoder")), false, labelled);
  const double head_only = accuracy(model, test);
  const bool untouched = all(kernel == model.encoder["in"]["kernel"]).item<bool>();
  std::printf("head alone, %s encoder: %.1f %% right\n", untouched ? "untouched" : "changed",
              100 * head_only);
  train(model, nnx::of_type<nnx::Param>(), true, labelled);
  const double both = accuracy(model, test);
  std::printf("both: %.1f %% right\n", 100 * both);

  // Back into the functional world, for whoever still calls it there.
  const linen::Variables variables = bridge::variables(model.encoder);
  const Tensor there = linen::apply(Encoder{}, variables, test.x, false);
  const Tensor here = model.encoder(test.x, false);
  const double difference = max(abs(there - here)).item<double>();
  std::printf("difference between the two: %.1e\n", difference);
  return untouched && both > 0.8 && difference == 0 ? 0 : 1;
}
