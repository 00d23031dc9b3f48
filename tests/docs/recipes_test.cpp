// The pieces of docs/recipes.md.
#include <filesystem>
#include <iostream>
#include <thread>

#include "tests/docs/documents.h"

// [recipes-headers]
#include <linnet/linnet.h>

#include <linnet/io/checkpoint.h>
#include <linnet/io/safetensors.h>
#include <linnet/optim/wrappers.h>
#include <linnet/training/callbacks.h>
#include <linnet/training/checkpoints.h>
#include <linnet/training/learning_rate.h>
#include <linnet/training/logs.h>
#include <linnet/training/mixed_precision.h>

using namespace linnet;
// [recipes-headers]

namespace {

// [recipes-model]
struct Mlp {
  nnx::Linear body, head;
  explicit Mlp(nnx::Rngs& rngs) : body(4, 16, rngs), head(16, 1, rngs) {}
  LINNET_FIELDS(body, head)

  Tensor operator()(const Tensor& x) const { return head(tanh(body(x))); }
};

struct Batch {
  Tensor x, y;
};

Batch make_batch(int64_t number) {
  Tensor x = random::normal(fold_in(Key(7), number), {32, 4});
  return {x, sum(x, -1, true)};
}

Tensor loss_of(Mlp& model, const Batch& batch) { return mean(square(model(batch.x) - batch.y)); }
// [recipes-model]

class Recipes : public docs::Snippet {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(folder);
    Snippet::SetUp();
  }
  void TearDown() override {
    Snippet::TearDown();
    std::filesystem::remove_all(folder);
  }
  const std::string folder = ::testing::TempDir() + "linnet_recipes";
};

TEST_F(Recipes, recipes_freezing) {
  // [recipes-freezing]
  nnx::Rngs rngs(0);
  Mlp model(rngs);
  const nnx::Filter trained = nnx::all_of({nnx::of_type<nnx::Param>(), nnx::path_contains("head")});
  optim::Optimizer optimizer(model, optim::adam(1e-2), trained);      // states for the head only
  Tensor body = *model.body.kernel, head = *model.head.kernel;
  auto [loss, grads] = nnx::value_and_grad(
      [&](Mlp& m) { return loss_of(m, make_batch(0)); }, model, trained);
  optimizer.update(model, grads);
  std::cout << "body moved by " << max(abs(*model.body.kernel - body)).item<float>()
            << ", head moved: " << any(*model.head.kernel != head).item<bool>() << "\n";
  // [recipes-freezing]
}

TEST_F(Recipes, recipes_decay) {
  // [recipes-decay]
  auto no_bias = [](const tree::Path& path, const Tensor&) { return path.back().name != "bias"; };
  auto tx = optim::chain(optim::clip_by_global_norm(1.0),
                         optim::adamw(1e-3, {.weight_decay = 0.1, .mask = no_bias}));
  // Another rate for a part: each parameter by the label that its path gets.
  tx = optim::partition({{"body", optim::sgd(1e-4)}, {"head", tx}},
                        [](const tree::Path& path, const Tensor&) { return path.front().name; });
  nnx::Rngs rngs(0);
  Mlp model(rngs);
  optim::Optimizer optimizer(model, tx);
  auto [loss, grads] = nnx::value_and_grad([&](Mlp& m) { return loss_of(m, make_batch(0)); }, model);
  optimizer.update(model, grads);
  std::cout << optimizer.step().item<int>() << " step\n";
  // [recipes-decay]
}

TEST_F(Recipes, recipes_schedules) {
  // [recipes-schedules]
  optim::Schedule rate = optim::warmup_cosine_decay_schedule(0, 1e-2, 100, 1000);
  for (int step : {0, 50, 100, 550, 1000}) std::cout << rate(Tensor(step)).item<float>() << " ";
  optim::Schedule own = [](const Tensor& step) { return 1e-2 / sqrt(1.0 + astype(step, DType::kF32)); };
  std::cout << own(Tensor(3)).item<float>() << "\n";
  auto tx = optim::adam(rate);                                        // counts its own steps
  // [recipes-schedules]
}

TEST_F(Recipes, recipes_precision) {
  // [recipes-precision]
  nnx::Rngs rngs(0);
  Mlp model(rngs);                                                    // parameters stay f32
  optim::Optimizer optimizer(model, optim::adam(1e-2));
  training::MixedPrecision precision(Policy{.compute = DType::kBF16});
  auto step = jit([](Mlp& m, optim::Optimizer& o, training::MixedPrecision& p, const Tensor& x, const Tensor& y) {
    return p.step(m, o, [&](Mlp& half) {
      return mean(square(astype(half(p.cast(x)), DType::kF32) - y));
    });
  });
  Tensor loss;
  for (int i = 0; i < 30; ++i) {
    Batch batch = make_batch(i);
    loss = step(model, optimizer, precision, batch.x, batch.y);
  }
  std::cout << (loss.item<float>() < 2 ? "falls" : "does not fall") << ", "
            << name_of(model.body.kernel.dtype()) << "\n";
  // [recipes-precision]
}

TEST_F(Recipes, recipes_float8) {
  // [recipes-float8]
  nnx::Rngs rngs(0);
  nnx::WithPolicy<Mlp> model(Policy::parse("compute=bf16,products=float8"), rngs);
  std::cout << to_string(model(make_batch(0).x).type()) << ", under " << to_string(model.policy) << "\n";
  // [recipes-float8]
}

TEST_F(Recipes, recipes_ensemble) {
  // [recipes-ensemble]
  auto make = nnx::vmap([](nnx::Rngs& r) { return Mlp(r); });
  nnx::Rngs rngs(0);
  Mlp models = nnx::split_rngs({.splits = 5}, make)(rngs);            // kernels f32[5,4,16]
  auto run = nnx::vmap([](Mlp& m, const Tensor& x) { return m(x); }, {.in_axes = {0, nnx::kNone}});
  Tensor y = run(models, make_batch(0).x);
  std::cout << to_string(y.shape()) << ", mean " << to_string(mean(y, 0).shape()) << "\n";
  // [recipes-ensemble]
}

TEST_F(Recipes, recipes_serving) {
  // [recipes-serving]
  nnx::Rngs rngs(0);
  Mlp model(rngs);
  nnx::eval(model);                                                   // no dropout, running averages
  const Mlp& served = model;                                          // const: nothing can write
  auto predict = jit([](const Mlp& m, const Tensor& x) { return m(x); });
  predict(served, zeros({8, 4}));                                     // compiles before the first user comes
  std::vector<std::thread> threads;
  std::vector<Tensor> answers(4);
  for (size_t i = 0; i < 4; ++i)
    threads.emplace_back([&, i] { answers[i] = predict(served, full({8, 4}, 0.5)); });
  for (std::thread& thread : threads) thread.join();
  std::cout << all(answers[0] == answers[3]).item<bool>() << " " << to_string(answers[0].shape()) << "\n";
  // [recipes-serving]
}

TEST_F(Recipes, recipes_saving) {
  // [recipes-saving]
  nnx::Rngs rngs(0);
  Mlp model(rngs);
  save_checkpoint(folder, model, Json::Object{{"epoch", 3}});         // values, checksums, manifest
  nnx::Rngs others(1);
  Mlp again(others);
  Json manifest = load_checkpoint(folder, again);                     // same structure, or IoError
  std::cout << manifest.at("epoch").as_integer() << ", equal: "
            << all(*again.body.kernel == *model.body.kernel).item<bool>() << "\n";
  std::map<std::string, HostArray> arrays;                            // for other programs
  for (const auto& [path, tensor] : tree::leaves_with_path(model)) arrays[path] = to_host_array(tensor);
  write_safetensors(folder + "/model.safetensors", arrays);
  for (const auto& [path, array] : arrays) std::cout << path << " ";
  std::cout << "\n";
  // [recipes-saving]
}

TEST_F(Recipes, recipes_debugging) {
  // [recipes-debugging]
  nnx::Rngs rngs(0);
  Mlp model(rngs);
  model.head.bias = log(full({1}, -1));
  std::cout << loss_of(model, make_batch(0)) << "\n";
  nnx::State values = nnx::state(model);                              // the same for gradients
  for (const auto& [path, leaf] : values.entries())
    if (!all(is_finite(leaf.value())).item<bool>()) std::cout << tree::to_string(path) << "\n";
  try {
    model(zeros({2, 3}));
  } catch (const ShapeError& error) {
    std::cout << error.what() << "\n";                                // operation, types, path of the module
  }
  auto forward = jit([](const Mlp& m, const Tensor& x) { return m(x); });
  std::string program = forward.lower(model, zeros({2, 4})).text();   // what is run
  std::cout << (program.find("tanh") != std::string::npos) << "\n";
  // [recipes-debugging]
}

// [recipes-trainer-state]
struct Learner {                                                      // all that a step changes
  Mlp model;
  optim::Optimizer optimizer;
  explicit Learner(nnx::Rngs& rngs)
      : model(rngs),
        optimizer(model, optim::inject_hyperparams(
                             [](const optim::Hyperparameters& h) { return optim::adam(h.at("learning_rate")); },
                             {{"learning_rate", 1e-2}})) {}
  LINNET_FIELDS(model, optimizer)
};
// [recipes-trainer-state]

TEST_F(Recipes, recipes_trainer) {
  // [recipes-trainer]
  nnx::Rngs rngs(0);
  Learner learner(rngs);
  auto step = jit([](Mlp& m, optim::Optimizer& o, const Tensor& x, const Tensor& y) {
    auto [loss, grads] = nnx::value_and_grad([&](Mlp& net) { return loss_of(net, {x, y}); }, m);
    o.update(m, grads);
    return loss;
  });
  training::Trainer trainer({.epochs = 4, .log_every = 10});
  trainer.set_evaluation([&] { return training::Metrics{{"loss", loss_of(learner.model, make_batch(1000))}}; });
  trainer.add(training::CsvLog(folder + "/log.csv"));
  trainer.add(training::TensorBoard(folder + "/events"));
  trainer.add(training::SvgCurves(folder + "/curves.svg"));
  trainer.add(training::ReduceOnPlateau("eval/loss", learner.optimizer, {.factor = 0.5, .patience = 1}));
  trainer.add(training::EarlyStop("eval/loss", {.patience = 3}));
  auto& saved = trainer.add(training::Checkpoints(
      folder + "/saved", learner, {.keep = 2, .keep_best = 1, .metric = "eval/loss"}));
  saved.restore_latest(trainer);                                      // goes on if it was interrupted
  trainer.fit(
      [](int64_t epoch) {                                             // or a data::Loader
        std::vector<Batch> batches;
        for (int64_t i = 0; i < 20; ++i) batches.push_back(make_batch(20 * epoch + i));
        return batches;
      },
      [&](const Batch& batch) { return step(learner.model, learner.optimizer, batch.x, batch.y); });
  saved.load_best();
  std::cout << trainer.step() << " steps, checkpoints";
  for (int64_t at : saved.steps()) std::cout << " " << at;
  std::cout << "\n";
  // [recipes-trainer]
}

TEST_F(Recipes, recipes_rate) {
  // [recipes-rate]
  nnx::Rngs rngs(0);
  Learner learner(rngs);
  int64_t number = 0;
  training::RateCurve curve = training::find_learning_rate(
      learner,                                                         // is as before at the end
      [&](double rate) {
        training::set_learning_rate(learner.optimizer, rate);
        auto [loss, grads] = nnx::value_and_grad(
            [&](Mlp& m) { return loss_of(m, make_batch(number)); }, learner.model);
        ++number;
        learner.optimizer.update(learner.model, grads);
        return loss.item<double>();
      },
      {.lowest = 1e-4, .highest = 1, .steps = 60});
  if (curve.suggested) training::set_learning_rate(learner.optimizer, *curve.suggested);
  std::cout << (curve.suggested.has_value() ? "found" : "not found") << "\n";
  // [recipes-rate]
}

}  // namespace
