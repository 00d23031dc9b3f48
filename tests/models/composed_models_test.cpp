// Models that are put together by transformations and wrappers, against the real Flax: a mixture of
// experts under vmap, LoRA fine-tuning, a weight- and spectrally normed GAN with two optimisers
// (reference/cases/composed_models.py).
#include "linnet/linen/layers_weight_norm.h"
#include "linnet/linnet.h"
#include "linnet/nnx/layers_lora.h"
#include "linnet/numpy.h"
#include "tests/models/model_golden.h"

namespace linnet::composed_models_test {
namespace {

using linen::Scope;
using testing::check_functional;
using testing::check_losses;
using testing::check_object;
using testing::check_output;
using testing::check_rows;
using testing::check_tree;
using testing::GoldenFile;
using testing::kGradient;
using testing::kInitial;
using testing::kOutput;
using testing::kUpdates;
using testing::ModelTask;
using testing::object_model;
using testing::training_steps;

constexpr int64_t kSteps = 50, kBatches = 4;

GoldenFile golden() { return GoldenFile("composed_models"); }

ModelTask classification(int64_t features, int64_t classes, optim::GradientTransformation tx) {
  return {2 * random::uniform(Key(100), {kBatches, 16, features}) - 1,
          random::randint(Key(101), {kBatches, 16}, 0, classes),
          [](const Tensor& logits, const Tensor& labels) { return cross_entropy(logits, labels); },
          std::move(tx)};
}

struct Expert {
  bool train;
  LINNET_FIELDS(train)
  Tensor operator()(Scope& s, const Tensor& x) const {
    const Tensor h = gelu(s("up", linen::Dense{.features = 12}, x));
    return s("down", linen::Dense{.features = 8}, s(linen::Dropout{.rate = 0.1}, h, !train));
  }
};

/// gates [n, experts], outs [experts, n, f] -> [n, f], weighted by the softmax of the best two.
Tensor mixed_by(const Tensor& gates, const Tensor& outs) {
  const Tensor second = slice_axis(top_k(gates, 2).values, 1, 2, 1);
  return einsum("ne,enf->nf", {softmax(where(gates >= second, gates, -1e9f)), outs});
}

template <bool kMixed>
struct Moe {
  Tensor operator()(Scope& s, const Tensor& x, bool train) const {
    const auto experts =
        linen::vmap(Expert{train}, {.variable_axes = {{"params", 0}},
                                    .split_rngs = {{"params", true}, {"dropout", true}},
                                    .in_axes = {nnx::kNone},
                                    .axis_size = 4});
    const Tensor h = x + mixed_by(gates(s, x), s("experts", experts, x));
    return s("head", linen::Dense{.features = 5}, h);
  }
  static Tensor gates(Scope& s, const Tensor& x) {
    if constexpr (kMixed) {
      const nnx::LinearOptions options{.use_bias = false};
      return s("gate", bridge::to_linen<nnx::Linear>(8, 4, options), x);
    } else {
      return s("gate", linen::Dense{.features = 4, .use_bias = false}, x);
    }
  }
};

struct ObjectExpert {
  nnx::Linear up;
  nnx::Dropout dropout;
  nnx::Linear down;
  explicit ObjectExpert(nnx::Rngs& rngs) : up(8, 12, rngs), dropout(0.1, rngs), down(12, 8, rngs) {}
  LINNET_FIELDS(up, dropout, down)
  Tensor operator()(const Tensor& x, bool train) { return down(dropout(gelu(up(x)), !train)); }
};

using FunctionalHead = bridge::ToNNX<linen::Dense>;
template <class Head>
Head head_of(nnx::Rngs& rngs) {
  if constexpr (std::is_same_v<Head, nnx::Linear>)
    return nnx::Linear(8, 5, rngs);
  else
    return Head(linen::Dense{.features = 5}, rngs);
}

template <class Head>
struct ObjectMoe {
  nnx::Linear gate;
  ObjectExpert experts;
  Head head;
  explicit ObjectMoe(nnx::Rngs& rngs)
      : gate(8, 4, {.use_bias = false}, rngs),
        experts(nnx::split_rngs(
            {.splits = 4}, nnx::vmap([](nnx::Rngs& each) { return ObjectExpert(each); }))(rngs)),
        head(head_of<Head>(rngs)) {}
  LINNET_FIELDS(gate, experts, head)
  Tensor operator()(const Tensor& x, bool train) {
    const auto outs =
        nnx::vmap([train](ObjectExpert& expert, const Tensor& h) { return expert(h, train); },
                  {.in_axes = {0, nnx::kNone}});
    return head(x + mixed_by(gate(x), outs(experts, x)));
  }
};

TEST(ReferenceModels, L_082_N_100_MixtureOfExperts) {
  const GoldenFile file = golden();
  const ModelTask task = classification(8, 5, optim::adam(1e-2));
  check_functional(file, "moe/linen", task, Moe<false>{});
  check_functional(file, "moe/linen_mixed", task, Moe<true>{});
  const Tensor x = task.x[0];
  check_object(file, "moe/nnx", task, [&] { return object_model<ObjectMoe<nnx::Linear>>(x); });
  check_object(file, "moe/nnx_mixed", task,
               [&] { return object_model<ObjectMoe<FunctionalHead>>(x); });
}

struct ObjectLora {
  nnx::LoRALinear up;
  nnx::LayerNorm norm;
  nnx::LoRA<nnx::Linear> head;
  explicit ObjectLora(nnx::Rngs& rngs)
      : up(8, 16, 2, rngs), norm(16, rngs), head(adapted(nnx::Linear(16, 4, rngs), rngs)) {}
  LINNET_FIELDS(up, norm, head)
  Tensor operator()(const Tensor& x) { return head(relu(norm(up(x)))); }

 private:
  static nnx::LoRA<nnx::Linear> adapted(nnx::Linear base, nnx::Rngs& rngs) {
    return nnx::LoRA<nnx::Linear>(16, 2, 4, std::move(base), rngs);
  }
};

struct FunctionalLora {
  Tensor operator()(Scope& s, const Tensor& x) const {
    Tensor h = s("up", bridge::to_linen<nnx::LoRALinear>(8, 16, 2), x);
    h = relu(s("norm", linen::LayerNorm{}, h));
    return s("head", linen::Dense{.features = 4}, h);
  }
};

TEST(ReferenceModels, N_132_LoRAFineTuning) {
  const GoldenFile file = golden();
  const ModelTask task = classification(8, 4, optim::adam(3e-2));
  nnx::Rngs rngs{{"params", Key(0)}, {"dropout", Key(1)}};
  ObjectLora model(rngs);
  check_tree(file, "lora/nnx/initial", nnx::state(model), kInitial);
  check_output(file, "lora/nnx/evaluated", model(task.x[0]), kOutput);
  const Tensor base = model.up.kernel.value();

  optim::Optimizer optimizer(model, task.tx, nnx::of_type<nnx::LoRAParam>());
  const auto step =
      jit([&](ObjectLora& m, optim::Optimizer& opt, const Tensor& x, const Tensor& y) {
        auto [loss, grads] = nnx::value_and_grad<nnx::LoRAParam>(
            [&](ObjectLora& one) { return task.loss(one(x), y); }, m);
        opt.update(m, grads);
        return std::make_pair(loss, grads);
      });
  TensorList losses;
  for (int64_t t = 0; t < training_steps(kSteps); ++t) {
    const auto [loss, grads] =
        step(model, optimizer, task.x[t % kBatches], task.target[t % kBatches]);
    losses.push_back(loss);
    if (t == 1) check_tree(file, "lora/nnx/gradients", grads, kGradient);
  }
  check_losses(file, "lora/nnx/losses", losses);
  testing::expect_golden(model.up.kernel, base, 0, "the base stays");
}

TEST(ReferenceModels, N_132_LoRAOfAFunctionalModel) {
  const GoldenFile file = golden();
  const ModelTask task = classification(8, 4, optim::adam(3e-2));
  linen::Variables frozen = linen::init(FunctionalLora{}, Key(0), task.x[0]);
  check_tree(file, "lora/linen/initial", frozen, kInitial);
  check_output(file, "lora/linen/evaluated", linen::apply(FunctionalLora{}, frozen, task.x[0]),
               kOutput);
  linen::Variables factors = frozen["LoRAParam"];
  frozen.children().erase("LoRAParam");
  optim::TransformState state = task.tx.init(factors);
  const auto step =
      jit([&](linen::Variables& f, optim::TransformState& s, const Tensor& x, const Tensor& y) {
        auto result = value_and_grad([&](const linen::Variables& p) {
          const linen::Variables all = frozen | linen::Variables{{"LoRAParam", p}};
          return task.loss(linen::apply(FunctionalLora{}, all, x), y);
        })(f);
        optim::step(task.tx, f, result.second, s);
        return result;
      });
  TensorList losses;
  for (int64_t t = 0; t < training_steps(kSteps); ++t) {
    const auto [loss, grads] =
        step(factors, state, task.x[t % kBatches], task.target[t % kBatches]);
    losses.push_back(loss);
    if (t == 1) check_tree(file, "lora/linen/gradients", grads, kGradient);
  }
  check_losses(file, "lora/linen/losses", losses);
}

using Weighted = linen::WeightNorm<linen::Dense>;
using Spectral = linen::SpectralNorm<linen::Dense>;
Weighted weight_normed(int64_t features) { return {.layer_instance = {.features = features}}; }
Spectral spectrally_normed(int64_t features) { return {.layer_instance = {.features = features}}; }

struct Generator {
  Tensor operator()(Scope& s, const Tensor& z) const {
    return s("out", weight_normed(6), relu(s("hidden", weight_normed(12), z)));
  }
};
struct Discriminator {
  Tensor operator()(Scope& s, const Tensor& x, bool train) const {
    const Tensor h = leaky_relu(s("hidden", spectrally_normed(12), train, x), 0.2);
    return s("out", spectrally_normed(1), train, h);
  }
};

struct ObjectGenerator {
  bridge::ToNNX<Weighted> hidden, out;
  explicit ObjectGenerator(nnx::Rngs& rngs)
      : hidden(weight_normed(12), rngs), out(weight_normed(6), rngs) {}
  LINNET_FIELDS(hidden, out)
  Tensor operator()(const Tensor& z) { return out(relu(hidden(z))); }
};
struct ObjectDiscriminator {
  bridge::ToNNX<Spectral> hidden, out;
  explicit ObjectDiscriminator(nnx::Rngs& rngs)
      : hidden(spectrally_normed(12), rngs), out(spectrally_normed(1), rngs) {}
  LINNET_FIELDS(hidden, out)
  Tensor operator()(const Tensor& x, bool train) {
    const bridge::CallOptions call{.mutate = train ? bridge::Mutable("batch_stats")
                                                   : bridge::Mutable(false)};
    return out.call(call, train, leaky_relu(hidden.call(call, train, x), 0.2));
  }
};

Tensor noise(int64_t t) {
  return random::normal(random::fold_in(Key(7), static_cast<uint32_t>(t)), {16, 4});
}
Tensor judged(const Tensor& real, const Tensor& fake) {
  return mean(softplus(-real)) + mean(softplus(fake));
}
Tensor real_data() { return 2 * random::uniform(Key(100), {kBatches, 16, 6}) - 1; }

struct FunctionalGan {
  linen::Variables generator, params, stats;
  optim::TransformState of_generator, of_params;
  LINNET_FIELDS(generator, params, stats, of_generator, of_params)
};

/// {losses of discriminator and generator, gradients of both}.
auto functional_step(FunctionalGan& gan, const optim::GradientTransformation& tx_d,
                     const optim::GradientTransformation& tx_g, const Tensor& x, const Tensor& z) {
  const auto made = [&](const linen::Variables& params) {
    return linen::apply(Generator{}, linen::Variables{{"params", params}}, z);
  };
  const auto see = [](const linen::Variables& params, linen::Variables& stats,
                      const Tensor& input) {
    auto [out, changed] = linen::apply_with(
        {.mutate = {"batch_stats"}}, Discriminator{},
        linen::Variables{{"params", params}, {"batch_stats", stats}}, input, true);
    stats = changed["batch_stats"];
    return out;
  };
  auto [loss_d, stats, grads_d] = value_and_grad([&](const linen::Variables& params) {
    linen::Variables now = gan.stats;
    const Tensor real = see(params, now, x), fake = see(params, now, made(gan.generator));
    return std::make_pair(judged(real, fake), now);
  })(gan.params);
  gan.stats = stats;
  optim::step(tx_d, gan.params, grads_d, gan.of_params);
  auto [loss_g, grads_g] = value_and_grad([&](const linen::Variables& params) {
    const linen::Variables all{{"params", gan.params}, {"batch_stats", gan.stats}};
    return mean(softplus(-linen::apply(Discriminator{}, all, made(params), false)));
  })(gan.generator);
  optim::step(tx_g, gan.generator, grads_g, gan.of_generator);
  return std::make_tuple(loss_d, loss_g, grads_d, grads_g);
}

/// Losses of twice as many steps: those of discriminator and generator take turns.
TensorList of_steps(const std::function<std::pair<Tensor, Tensor>(int64_t)>& step) {
  TensorList losses;
  for (int64_t t = 0; 2 * t < training_steps(2 * kSteps); ++t) {
    const auto [d, g] = step(t);
    losses.push_back(d);
    if (static_cast<int64_t>(losses.size()) < training_steps(2 * kSteps)) losses.push_back(g);
  }
  return losses;
}

TEST(ReferenceModels, L_135_L_136_NormedGan) {
  const GoldenFile file = golden();
  const Tensor data = real_data();
  const auto tx_g = optim::adam(3e-3), tx_d = optim::adam(3e-3, {.b1 = 0.5});
  FunctionalGan gan;
  const linen::Variables of_g = linen::init(Generator{}, Key(0), noise(0));
  const linen::Variables of_d = linen::init(Discriminator{}, Key(1), data[0], false);
  check_tree(file, "gan/linen/generator", of_g, kInitial);
  check_tree(file, "gan/linen/discriminator", of_d, kInitial);
  check_output(file, "gan/linen/made", linen::apply(Generator{}, of_g, noise(0)), kOutput);
  check_output(file, "gan/linen/judged", linen::apply(Discriminator{}, of_d, data[0], false),
               kOutput);
  gan = {of_g["params"], of_d["params"], of_d["batch_stats"], tx_g.init(of_g["params"]),
         tx_d.init(of_d["params"])};
  const auto step = jit([&](FunctionalGan& g, const Tensor& x, const Tensor& z) {
    return functional_step(g, tx_d, tx_g, x, z);
  });
  const TensorList losses = of_steps([&](int64_t t) {
    const auto [d, g, grads_d, grads_g] = step(gan, data[t % kBatches], noise(t));
    if (t == 0) {
      check_rows(file, "gan/linen/gradients_d", grads_d, kGradient);
      check_rows(file, "gan/linen/gradients_g", grads_g, kGradient);
      check_rows(file, "gan/linen/updates", linen::Variables{{"batch_stats", gan.stats}}, kUpdates);
    }
    return std::make_pair(d, g);
  });
  check_losses(file, "gan/linen/losses", losses);
}

TEST(ReferenceModels, L_135_L_136_NormedGanOfObjects) {
  const GoldenFile file = golden();
  const Tensor data = real_data();
  nnx::Rngs key0(0), key1(1);
  ObjectGenerator generator(key0);
  ObjectDiscriminator judge(key1);
  bridge::lazy_init(generator, noise(0));
  bridge::lazy_init(judge, data[0], false);
  check_tree(file, "gan/nnx/generator", nnx::state(generator), kInitial);
  check_tree(file, "gan/nnx/discriminator", nnx::state(judge), kInitial);
  check_output(file, "gan/nnx/made", generator(noise(0)), kOutput);
  check_output(file, "gan/nnx/judged", judge(data[0], false), kOutput);
  optim::Optimizer of_g(generator, optim::adam(3e-3)), of_d(judge, optim::adam(3e-3, {.b1 = 0.5}));
  const auto step = jit([](ObjectGenerator& g, ObjectDiscriminator& d, optim::Optimizer& opt_g,
                           optim::Optimizer& opt_d, const Tensor& x, const Tensor& z) {
    const Tensor fake = g(z);
    auto [loss_d, grads_d] = nnx::value_and_grad(
        [&](ObjectDiscriminator& j) {
          const Tensor real = j(x, true);
          return judged(real, j(fake, true));
        },
        d);
    opt_d.update(d, grads_d);
    auto [loss_g, grads_g] =
        nnx::value_and_grad([&](ObjectGenerator& m) { return mean(softplus(-d(m(z), false))); }, g);
    opt_g.update(g, grads_g);
    return std::make_tuple(loss_d, loss_g, grads_d, grads_g);
  });
  const TensorList losses = of_steps([&](int64_t t) {
    const auto [d, g, grads_d, grads_g] =
        step(generator, judge, of_g, of_d, data[t % kBatches], noise(t));
    if (t == 0) {
      check_rows(file, "gan/nnx/gradients_d", grads_d, kGradient);
      check_rows(file, "gan/nnx/gradients_g", grads_g, kGradient);
      check_rows(file, "gan/nnx/updates", nnx::state(judge, nnx::of_type<nnx::BatchStat>()),
                 kUpdates);
    }
    return std::make_pair(d, g);
  });
  check_losses(file, "gan/nnx/losses", losses);
}

}  // namespace
}  // namespace linnet::composed_models_test
