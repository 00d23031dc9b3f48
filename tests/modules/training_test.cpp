// The training loop: what it counts, when it calls, how it ends and goes on.
#include "linnet/training/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "linnet/core.h"
#include "linnet/data/loader.h"
#include "linnet/nnx.h"
#include "linnet/optim.h"
#include "linnet/training/callbacks.h"
#include "linnet/training/checkpoints.h"
#include "linnet/training/learning_rate.h"
#include "linnet/training/logs.h"
#include "tests/io/io_test_utils.h"
#include "tests/modules/error_message.h"

namespace linnet::training::training_test {
namespace {

using Strings = std::vector<std::string>;

class Training : public ::testing::Test {
 protected:
  const testing::TemporaryDirectory directory;
  const std::string folder = directory.path();
};

/// Writes down what it is called for.
class Diary : public Callback {
 public:
  explicit Diary(Strings& lines) : lines_(lines) {}
  std::string name() const override { return "Diary"; }
  void on_start(Trainer& t) override { add("start", t); }
  void on_epoch_start(Trainer& t) override { add("epoch", t); }
  void on_step(Trainer& t) override { add("step", t); }
  void on_epoch_end(Trainer& t) override { add("epoch end", t); }
  void on_end(Trainer& t) override { add("end", t); }
  void on_record(Trainer& t, const Record& record) override {
    std::ostringstream text;
    text << record.group;
    for (const auto& [name, value] : record.values) text << " " << name << "=" << value;
    add(text.str(), t);
  }

 private:
  void add(const std::string& what, const Trainer& t) {
    lines_.push_back(what + " @" + std::to_string(t.epoch()) + "." + std::to_string(t.batch()) +
                     "/" + std::to_string(t.step()));
  }
  Strings& lines_;
};

TEST_F(Training, order_of_calls_and_means_over_the_steps_since_the_last_record) {
  Strings lines;
  Trainer trainer({.epochs = 2, .log_every = 2});
  trainer.set_evaluation([&] { return Metrics{{"loss", Tensor(100)}}; });
  trainer.add(Diary(lines));
  const std::vector<int> batches{1, 2, 6};
  EXPECT_TRUE(trainer.fit(batches, [](int batch) {
    return Metrics{{"loss", Tensor(batch)}, {"twice", Tensor(2.0f * static_cast<float>(batch))}};
  }));
  const Strings expected{"start @0.0/0",
                         "epoch @0.0/0",
                         "step @0.1/1",
                         "train loss=1.5 twice=3 @0.2/2",
                         "step @0.2/2",
                         "step @0.3/3",
                         "train loss=6 twice=12 @0.3/3",
                         "eval loss=100 @0.3/3",
                         "epoch end @1.0/3",
                         "epoch @1.0/3",
                         "train loss=1 twice=2 @1.1/4",
                         "step @1.1/4",
                         "step @1.2/5",
                         "train loss=4 twice=8 @1.3/6",
                         "step @1.3/6",
                         "eval loss=100 @1.3/6",
                         "epoch end @2.0/6",
                         "end @2.0/6"};
  EXPECT_EQ(lines, expected);
  EXPECT_EQ(trainer.value("train/loss"), 4);
  EXPECT_EQ(trainer.value("eval/loss"), 100);
  EXPECT_EQ(trainer.value("eval/other"), std::nullopt);
}

struct Counting {
  int at = 0, of = 3;
  std::optional<int> next() { return at < of ? std::optional(++at) : (at = 0, std::nullopt); }
};

TEST_F(Training, batches_come_from_ranges_functions_and_streams) {
  std::vector<int> seen;
  const auto step = [&](int batch) {
    seen.push_back(batch);
    return Tensor(batch);
  };
  Counting object;
  const auto run = [&](auto&& batches) {
    seen.clear();
    Trainer trainer({.epochs = 2});
    EXPECT_TRUE(trainer.fit(batches, step));
    return seen;
  };
  const std::vector<int> twice{1, 2, 3, 1, 2, 3};
  EXPECT_EQ(run(std::vector<int>{1, 2, 3}), twice);
  EXPECT_EQ(run(object), twice);
  EXPECT_EQ(run([&] { return object.next(); }), twice);
  EXPECT_EQ(run([](int64_t epoch) {
              return std::vector<int>{1, static_cast<int>(epoch)};
            }),
            (std::vector<int>{1, 0, 1, 1}));
  EXPECT_EQ(run([](int64_t, int64_t first) { return Counting{static_cast<int>(first)}; }), twice);
  // A loader goes to where the trainer is.
  data::Loader loader(data::InMemory(arange(6)), {.batch_size = 2});
  std::vector<std::string> rows;
  const auto note = [&](const Tensor& batch) {
    std::string text;
    for (const int v : batch.to_vector<int>()) text += std::to_string(v);
    rows.push_back(text);
    return Tensor(0);
  };
  Trainer first({.epochs = 2, .steps = 4}), second({.epochs = 2});
  first.fit(loader, note);
  loader.seek(7);
  second.restore(first.state());
  second.fit(loader, note);
  EXPECT_EQ(rows, (std::vector<std::string>{"01", "23", "45", "01", "23", "45"}));
  EXPECT_EQ(run([](int64_t) { return [c = Counting{}]() mutable { return c.next(); }; }), twice);
}

TEST_F(Training, a_stop_ends_behind_the_step_and_goes_on_there) {
  std::vector<int> seen;
  bool interrupted = false;
  Trainer trainer({.epochs = 2, .stop_when = [&] { return interrupted; }});
  const auto step = [&](int batch) {
    seen.push_back(batch);
    interrupted = seen.size() == 2;
    return Tensor(batch);
  };
  const std::vector<int> batches{1, 2, 3};
  EXPECT_FALSE(trainer.fit(batches, step));
  EXPECT_EQ(trainer.stop_reason(), "asked from outside");
  EXPECT_EQ(seen, (std::vector<int>{1, 2}));
  EXPECT_TRUE(trainer.fit(batches, step));
  EXPECT_EQ(trainer.stop_reason(), "");
  EXPECT_EQ(seen, (std::vector<int>{1, 2, 3, 1, 2, 3}));
  EXPECT_EQ(trainer.value("train/loss"), 2);
}

TEST_F(Training, a_limit_of_steps_ends_with_a_record_and_an_evaluation) {
  Strings lines;
  int evaluations = 0;
  Trainer trainer({.epochs = 9, .steps = 5, .evaluate_every = 2});
  trainer.set_evaluation([&] { return ++evaluations, Metrics{{"n", Tensor(evaluations)}}; });
  std::vector<int64_t> every;
  trainer.add(Every(2, [&](Trainer& t) { every.push_back(t.step()); }));
  EXPECT_TRUE(trainer.fit(std::vector<int>{1, 2, 3}, [](int b) { return Tensor(b); }));
  EXPECT_EQ(trainer.step(), 5);
  EXPECT_EQ(evaluations, 3) << "after steps 2, 4 and 5";
  EXPECT_EQ(trainer.value("train/loss"), 1.5) << "of steps 4 and 5";
  EXPECT_EQ(every, (std::vector<int64_t>{2, 4}));
}

TEST_F(Training, what_goes_wrong_is_said) {
  const std::vector<int> batches{1, 2};
  const auto loss = [](int b) { return Tensor(b); };
  const auto fit = [&](Trainer& trainer, const auto& step) {
    return [&] { trainer.fit(batches, step); };
  };
  Trainer plain;
  EXPECT_EQ(message<ShapeError>(fit(plain, [](int) { return zeros({3}); })),
            "Trainer: metric 'loss': expected a scalar, got f32[3]\n  hint: give its mean");
  Trainer strict({.require_finite = true});
  EXPECT_HAS(message<ValueError>(fit(strict, [](int) { return Tensor(NAN); })),
             "Trainer: 'loss' is nan within the steps up to 2");
  Trainer empty;
  EXPECT_HAS(message<ValueError>([&] { empty.fit(std::vector<int>{}, loss); }), "has no batches");
  Trainer no_evaluation;
  no_evaluation.add(EarlyStop("eval/loss"));
  EXPECT_HAS(message<ValueError>(fit(no_evaluation, loss)), "the trainer has no evaluation");
  Trainer other_name;
  other_name.add(EarlyStop("train/accuracy"));
  EXPECT_EQ(message<ValueError>(fit(other_name, loss)),
            "EarlyStop(train/accuracy): there is no metric 'train/accuracy', only train/loss");
  EXPECT_THROW(Trainer({.epochs = -1}), ValueError);
  EXPECT_THROW(Every(0, [](Trainer&) {}), ValueError);
  int state = 0;
  EXPECT_THROW(Checkpoints(folder, state, {.keep = 0}), ValueError);
  EXPECT_THROW(Checkpoints(folder, state, {.keep_best = 1}), ValueError);
}

TEST_F(Training, early_stop_and_plateau_follow_a_metric) {
  const std::vector<double> losses{4, 3, 3, 3, 2.9, 3, 3, 3, 3, 3};
  size_t at = 0;
  Trainer trainer({.epochs = 100});
  trainer.set_evaluation([&] { return Metrics{{"loss", Tensor(losses[at++])}}; });
  double rate = 1;
  auto& plateau = trainer.add(ReduceOnPlateau("eval/loss", [&](double factor) { rate *= factor; },
                                              {.factor = 0.5, .patience = 2}));
  trainer.add(EarlyStop("eval/loss", {.patience = 2}));
  EXPECT_FALSE(trainer.fit(std::vector<int>{0}, [](int b) { return Tensor(b); }));
  EXPECT_EQ(trainer.stop_reason(), "eval/loss has not improved 3 times");
  EXPECT_EQ(at, 8u) << "2.9 is the best, three that are not better follow";
  EXPECT_EQ(rate, 0.25) << "after 3, 3 and again behind 2.9";
  EXPECT_EQ(plateau.scale(), 0.25);

  Trainer accuracy({.epochs = 100});
  accuracy.add(EarlyStop("train/loss", {.higher_is_better = true}));
  accuracy.fit(std::vector<int>{0}, [n = 0](int) mutable { return Tensor(n < 3 ? n++ : 1); });
  EXPECT_EQ(accuracy.step(), 4);
}

// ---- a model, checkpoints, resumption

optim::GradientTransformation adam_with_rate() {
  return optim::inject_hyperparams(
      [](const optim::Hyperparameters& h) { return optim::adam(h.at("learning_rate")); },
      {{"learning_rate", 0.1}});
}

struct State {
  nnx::Linear model;
  optim::Optimizer optimizer;
  explicit State(nnx::Rngs& rngs) : model(2, 1, rngs), optimizer(model, adam_with_rate()) {}
  LINNET_FIELDS(model, optimizer)
};

Tensor train_step(State& state, const Tensor& x) {
  auto [loss, grads] = nnx::value_and_grad(
      [&](nnx::Linear& m) { return mean(square(m(x) - sum(x, -1, true) - 3)); }, state.model);
  state.optimizer.update(state.model, grads);
  return loss;
}

/// A program that trains for three epochs of four batches with everything there is, and stops after
/// a step. Gives the numbers of the state.
std::vector<float> run_program(const std::string& folder, int64_t stop_after) {
  nnx::Rngs rngs(0);
  State state(rngs);
  Trainer trainer({.epochs = 3, .log_every = 3});
  trainer.set_evaluation([&] {
    return Metrics{{"loss", mean(square(state.model(ones({1, 2}))))}};
  });
  trainer.add(CsvLog(folder + "/log.csv"));
  trainer.add(SvgCurves(folder + "/curves.svg"));
  trainer.add(ReduceOnPlateau("eval/loss", state.optimizer, {.factor = 0.5, .patience = 1}));
  trainer.add(EarlyStop("eval/loss", {.patience = 5}));
  auto& saved = trainer.add(Checkpoints(folder + "/saved", state, {.keep = 2}));
  trainer.add(Every(1, [&](Trainer& t) {
    if (t.step() == stop_after) t.request_stop("the test");
  }));
  saved.restore_latest(trainer);
  trainer.fit(
      [](int64_t epoch) {
        TensorList batches;
        for (int64_t i = 0; i < 4; ++i)
          batches.push_back(random::normal(fold_in(Key(static_cast<uint32_t>(epoch)), i), {8, 2}));
        return batches;
      },
      [&](const Tensor& x) { return train_step(state, x); });
  std::vector<float> numbers{static_cast<float>(learning_rate(state.optimizer))};
  for (const Tensor& leaf : tree::leaves(state))
    for (const float v : leaf.to_vector<float>()) numbers.push_back(v);
  return numbers;
}

TEST_F(Training, a_resumed_run_is_the_run_that_was_not_interrupted) {
  const std::vector<float> whole = run_program(folder + "/whole", -1);
  for (const int64_t stop : {2, 4, 7}) {
    SCOPED_TRACE(stop);
    const std::string parts = folder + "/parts" + std::to_string(stop);
    EXPECT_NE(run_program(parts, stop), whole);
    // What a process wrote that was killed later than its last checkpoint.
    std::ofstream(parts + "/log.csv", std::ios::app) << "99,9,train/loss,1\n";
    EXPECT_EQ(run_program(parts, -1), whole);
    EXPECT_EQ(testing::read_text(parts + "/log.csv"),
              testing::read_text(folder + "/whole/log.csv"));
    EXPECT_EQ(testing::read_text(parts + "/curves.svg"),
              testing::read_text(folder + "/whole/curves.svg"));
    EXPECT_EQ(run_program(parts, -1), whole) << "nothing is left to do";
  }
}

TEST_F(Training, checkpoints_keep_the_latest_and_the_best) {
  const std::vector<double> losses{5, 1, 4, 0.5, 3, 2};
  Tensor state(0);
  const CheckpointOptions options{.keep = 2, .keep_best = 2, .metric = "eval/loss"};
  Trainer trainer({.epochs = 6});
  trainer.set_evaluation([&] {
    return Metrics{{"loss", Tensor(losses[static_cast<size_t>(trainer.epoch())])}};
  });
  auto& saved = trainer.add(Checkpoints(folder, state, options));
  EXPECT_FALSE(saved.restore_latest(trainer));
  const auto step = [&](int) { return state = state + 1, Tensor(0); };
  trainer.fit(std::vector<int>{0}, step);
  EXPECT_EQ(saved.steps(), (std::vector<int64_t>{2, 4, 5, 6}));
  EXPECT_EQ(saved.best_step(), 4);
  saved.load_best();
  EXPECT_EQ(state.item<int>(), 4);

  // Another process: it must say that it means to go on, and from where.
  Trainer next({.epochs = 6});
  next.set_evaluation([&] { return Metrics{{"loss", Tensor(9)}}; });
  auto& there = next.add(Checkpoints(folder, state, options));
  EXPECT_HAS(message<ValueError>([&] { next.fit(std::vector<int>{0}, step); }),
             "has one of step 6, but the training is at step 0");
  EXPECT_HAS(message<ValueError>([&] { there.restore_step(next, 3); }), "no checkpoint of step 3");
  there.restore_step(next, 4);
  EXPECT_EQ(state.item<int>(), 4);
  EXPECT_EQ(next.epoch(), 4);
  next.fit(std::vector<int>{0}, step);
  EXPECT_EQ(state.item<int>(), 6);
  EXPECT_EQ(there.steps(), (std::vector<int64_t>{2, 4, 5, 6}));
  EXPECT_EQ(checkpoint_manifest(there.path_of(5)).at("metric").as_double(), 9);

  // What a crash leaves: a folder that was being written, one that was being removed.
  std::filesystem::create_directories(folder + "/step_7");
  std::filesystem::rename(there.path_of(5), folder + "/removed_step_5");
  EXPECT_EQ(Checkpoints(folder, state, options).steps(), (std::vector<int64_t>{2, 4, 6}));
  EXPECT_FALSE(std::filesystem::exists(folder + "/removed_step_5"));
}

TEST_F(Training, a_restoration_that_fails_changes_nothing) {
  Tensor state(0);
  const auto step = [&](int) { return state = state + 1, Tensor(0); };
  Trainer first({.epochs = 2});
  auto& saved = first.add(Checkpoints(folder, state));
  first.add(EarlyStop("train/loss", {.patience = 9}));
  first.fit(std::vector<int>{0}, step);
  const Json whole = checkpoint_manifest(saved.path_of(2)).at("trainer");

  // The last of its texts is no state of a callback; the ones before are good.
  struct Refuses final : Callback {
    std::string name() const override { return "Refuses"; }
    Json state() const override { return 1; }
    void restore(const Json&) override { throw ValueError("refused"); }
  };
  Trainer other;
  auto& stop = other.add(EarlyStop("train/loss", {.patience = 9}));
  other.add(Refuses());
  const std::string before = other.state().to_text(0);
  const std::string own = stop.state().to_text(0);
  Json with_both = whole;
  with_both["callbacks"].push_back(Json::Object{{"name", "Refuses"}, {"state", 1}});
  EXPECT_NE(with_both.at("callbacks").as_array()[1].at("state").to_text(0), own);
  EXPECT_THROW(other.restore(with_both), ValueError);
  EXPECT_EQ(other.state().to_text(0), before);
  EXPECT_EQ(stop.state().to_text(0), own) << "although it comes before the one that refuses";
  for (const char* key : {"step", "latest", "sums", "callbacks"}) {
    Json broken = whole;
    broken[key] = "no such thing";
    EXPECT_THROW(other.restore(broken), Error) << key;
    EXPECT_EQ(other.state().to_text(0), before) << key;
  }

  // A trainer that cannot follow keeps the state from being filled, and the other way round.
  Trainer refusing({.epochs = 3});
  refusing.add(Refuses());
  auto& there = refusing.add(Checkpoints(folder, state));
  Json manifest = Json::Object{{"trainer", with_both}, {"metric", Json()}};
  save_checkpoint(there.path_of(2), Tensor(7), manifest);
  EXPECT_THROW(there.restore_latest(refusing), ValueError);
  EXPECT_EQ(state.item<int>(), 2);
  Tensor of_another_shape = zeros({3});
  Trainer last({.epochs = 3});
  auto& unfit = last.add(Checkpoints(folder, of_another_shape));
  EXPECT_THROW(unfit.restore_latest(last), IoError);
  EXPECT_EQ(last.step(), 0);
}

TEST_F(Training, learning_rate_of_an_optimizer_and_the_search_for_one) {
  nnx::Rngs rngs(0);
  State state(rngs);
  set_learning_rate(state.optimizer, 0.25);
  EXPECT_EQ(learning_rate(state.optimizer), 0.25);
  optim::Optimizer plain(state.model, optim::sgd(0.1));
  EXPECT_THROW(learning_rate(plain), TreeError);

  // Expected from numpy.gradient of the same running means.
  double index = 0;
  const RateCurve curve = find_learning_rate(
      [&](double) {
        const double i = index++;
        return 2 / (1 + std::exp((i - 50) / 5)) + 1e-6 * std::exp(i / 5);
      },
      {.lowest = 1e-5});
  EXPECT_EQ(curve.losses.size(), 80u);
  EXPECT_NEAR(*curve.suggested, 0.01873817422860383, 1e-9);
  EXPECT_NEAR(curve.losses[54], 1.2753255234373155, 1e-9);

  const std::vector<float> before = state.model.kernel.value().to_vector<float>();
  const RateCurve real =
      find_learning_rate(state,
                         [&](double rate) {
                           set_learning_rate(state.optimizer, rate);
                           return train_step(state, ones({4, 2})).item<double>();
                         },
                         {.lowest = 1e-4, .highest = 100, .steps = 30, .skip_begin = 2});
  EXPECT_EQ(state.model.kernel.value().to_vector<float>(), before);
  EXPECT_EQ(learning_rate(state.optimizer), 0.25);
  ASSERT_TRUE(real.suggested);
  EXPECT_LT(real.losses.size(), 30u) << "it ends when the loss explodes";
  EXPECT_EQ(find_learning_rate([](double) { return NAN; }).suggested, std::nullopt);
  EXPECT_THROW(find_learning_rate([](double) { return 0; }, {.lowest = 0}), ValueError);
}

}  // namespace
}  // namespace linnet::training::training_test
