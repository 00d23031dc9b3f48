// A training loop that may be used or ignored: it counts steps and epochs, averages what steps
// give, evaluates, and calls what was added to it. The step itself is the user's function.
//
//   training::Trainer trainer({.epochs = 10});
//   trainer.set_evaluation([&] { return training::Metrics{{"loss", test_loss(model)}}; });
//   trainer.add(training::ProgressLog(stderr));                  // callbacks.h, logs.h
//   auto& saved = trainer.add(training::Checkpoints("out/checkpoints", state, {.keep = 3}));
//   saved.restore_latest(trainer);                               // false at the very first start
//   trainer.fit(batches, [&](const Batch& batch) {               // gives a Tensor or Metrics
//     return step(state.model, state.optimizer, batch);          // usually jitted
//   });
//
// The library prints nothing and keeps no files but through what is added.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/io/json.h"
#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet::training {

/// Scalars of a step or an evaluation by name. They may still be computed on a device: a step's are
/// read when they are needed, not at once.
using Metrics = std::vector<std::pair<std::string, Tensor>>;

/// What was measured up to a step.
struct Record {
  std::string group;  ///< `train`: means over the steps since the last such record; or `eval`
  int64_t step = 0;   ///< steps done
  int64_t epoch = 0;  ///< counted from 0
  std::vector<std::pair<std::string, double>> values = {};

  std::optional<double> value(std::string_view name) const;
};

struct TrainerOptions {
  int64_t epochs = 1;          ///< altogether, including those before a resumption
  int64_t steps = 0;           ///< the most steps; 0: no limit
  int64_t log_every = 50;      ///< steps of a `train` record; 0: one at the end of each epoch
  int64_t evaluate_every = 0;  ///< steps between evaluations; 0: at the end of each epoch
  /// Asked after every step; the loop ends cleanly when it is true. May read a flag that a signal
  /// handler or another thread sets.
  std::function<bool()> stop_when = {};
  /// Whether a mean that is infinite or NaN is an error (`train` records and checkpoints).
  bool require_finite = false;
};

class Trainer;

/// Something that follows a training. Within a step the order is: `on_record` of all for what was
/// measured, then `on_step` of all in the order in which they were added; so what is saved in
/// `on_step` has seen the records of the step.
class Callback {
 public:
  virtual ~Callback() = default;
  virtual std::string name() const = 0;
  /// Before the first step of a `fit`, also of a resumed one.
  virtual void on_start(Trainer&) {}
  virtual void on_epoch_start(Trainer&) {}
  virtual void on_record(Trainer&, const Record&) {}
  virtual void on_step(Trainer&) {}
  /// After evaluation at the end of an epoch; the position is that of the next one.
  virtual void on_epoch_end(Trainer&) {}
  /// After the last step, whether the loop is complete or was stopped; not if something was thrown.
  virtual void on_end(Trainer&) {}

  /// What a checkpoint keeps of it; null: nothing.
  virtual Json state() const { return {}; }
  /// Takes what `state` gave, maybe in an earlier process. If it throws, here or in a callback
  /// behind this one, it is given its own state of before again.
  virtual void restore(const Json&) {}
};

namespace detail {

/// Makes a step with the next batch and gives its metrics; false if there is no batch. Without a
/// place for metrics it passes over the batch.
using NextStep = std::function<bool(Metrics*)>;
/// Begins an epoch at a batch.
using Epochs = std::function<NextStep(int64_t epoch, int64_t first)>;

template <class Step, class Batch>
Metrics metrics_of(Step& step, Batch&& batch) {
  if constexpr (std::is_convertible_v<std::invoke_result_t<Step&, Batch>, Tensor>)
    return {{"loss", step(std::forward<Batch>(batch))}};
  else
    return step(std::forward<Batch>(batch));
}

template <class T>
concept HasNext = requires(T& stream) { *stream.next(); };
template <class T>
concept Stream = HasNext<T> || requires(T& stream) { *stream(); };

/// Of data::Loader: where it stands can be asked and changed.
template <class T>
concept Seekable = HasNext<T> && requires(T& loader, int64_t number) {
  loader.seek(number, number);
  loader.epoch() == number;
  loader.position() == number;
};
template <class Loader>
Loader* at_place(Loader& loader, int64_t epoch, int64_t first) {
  if (loader.epoch() != epoch || loader.position() != first) loader.seek(epoch, first);
  return &loader;
}

/// @param source pointer-like: of a range, or of a stream that gives optional batches.
template <class Pointer, class Step>
NextStep steps_over(Pointer source, Step& step) {
  if constexpr (HasNext<std::decay_t<decltype(*source)>>) {
    return [source, &step](Metrics* out) {
      auto batch = source->next();
      if (batch && out) *out = metrics_of(step, *batch);
      return static_cast<bool>(batch);
    };
  } else if constexpr (Stream<std::decay_t<decltype(*source)>>) {
    return [source, &step](Metrics* out) {
      auto batch = (*source)();
      if (batch && out) *out = metrics_of(step, *batch);
      return static_cast<bool>(batch);
    };
  } else {
    return [source, &step, at = std::begin(*source)](Metrics* out) mutable {
      if (at == std::end(*source)) return false;
      if (out) *out = metrics_of(step, *at);
      ++at;
      return true;
    };
  }
}

template <class Source, class Step>
NextStep steps_over_made(Source source, Step& step) {
  return steps_over(std::make_shared<Source>(std::move(source)), step);
}

NextStep passed_over(NextStep next, int64_t batches);

template <class Batches, class Step>
Epochs epochs_of(Batches& batches, Step& step) {
  return [&batches, &step](int64_t epoch, int64_t first) -> NextStep {
    if constexpr (std::is_invocable_v<Batches&, int64_t, int64_t>)
      return steps_over_made(batches(epoch, first), step);
    else if constexpr (std::is_invocable_v<Batches&, int64_t>)
      return passed_over(steps_over_made(batches(epoch), step), first);
    else if constexpr (Seekable<Batches>)
      return steps_over(at_place(batches, epoch, first), step);
    else if constexpr (Stream<Batches>)
      return steps_over(&batches, step);
    else
      return passed_over(steps_over(&batches, step), first);
  };
}

}  // namespace detail

class Trainer {
 public:
  /// @throws ValueError for negative numbers.
  explicit Trainer(TrainerOptions options = {});
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Takes a callback and gives it as it is kept; it lives as long as the trainer.
  template <std::derived_from<Callback> C>
  C& add(C callback) {
    auto kept = std::make_shared<C>(std::move(callback));
    callbacks_.push_back(kept);
    return *kept;
  }
  /// What is measured in evaluations: the records of group `eval`.
  void set_evaluation(std::function<Metrics()> evaluation) { evaluation_ = std::move(evaluation); }
  bool has_evaluation() const { return static_cast<bool>(evaluation_); }

  /// Trains until all epochs or steps are done, or until it is stopped; true if they are done. May
  /// be called again: it goes on where it stands.
  ///
  /// @param batches one of
  ///   - a range of batches, gone through in each epoch;
  ///   - a function of the epoch, or of the epoch and the number of the first batch, that gives a
  ///     range or a stream;
  ///   - a data::Loader, or what has its members `next`, `seek`, `epoch` and `position`;
  ///   - a stream: a function without arguments, or an object with a member `next`, that gives an
  ///     optional batch, none at the end of each epoch.
  /// In an epoch that is resumed, batches that were done are passed over; a loader, and a function
  /// that knows the first batch, begin behind them, and a stream must be at its place already.
  /// @param step what is done with a batch; gives its loss, a scalar, or Metrics.
  /// @throws ValueError if an epoch has no batches, or `require_finite` is broken; ShapeError for a
  /// metric that is no scalar; what `step`, `batches` and callbacks throw. The trainer then stands
  /// behind the last step that was whole.
  template <class Batches, class Step>
  bool fit(Batches&& batches, Step&& step) {
    return run(detail::epochs_of(batches, step));
  }

  /// Ends the loop behind the present step; callbacks may ask for it.
  void request_stop(std::string reason);
  /// Why the loop was stopped; empty if it was not.
  const std::string& stop_reason() const { return stop_reason_; }

  int64_t step() const { return step_; }    ///< steps done
  int64_t epoch() const { return epoch_; }  ///< the present one, from 0
  int64_t batch() const { return batch_; }  ///< batches done of the present epoch
  const TrainerOptions& options() const { return options_; }
  /// The latest value by group and name, such as `eval/loss`.
  std::optional<double> value(std::string_view name) const;

  /// Position, running means and states of the callbacks, for a checkpoint.
  /// @throws ValueError if `require_finite` is broken.
  Json state();
  /// Goes to where `state` was taken. Callbacks are recognised by name and order; one that the
  /// state does not know begins anew.
  /// @param load fills what the steps change, or throws and leaves it: called when all else is
  /// known to fit.
  /// @throws IoError for what is no such state, and what callbacks and `load` throw; nothing has
  /// changed then.
  void restore(const Json& state, const std::function<void()>& load = {});

 private:
  struct Sum {
    std::string name;
    double sum = 0;
    int64_t count = 0;
  };

  bool run(const detail::Epochs& epochs);
  bool complete() const;
  void run_epoch(const detail::Epochs& epochs);
  void after_step();
  void end_epoch();
  void gather();
  void log();
  void evaluate();
  void publish(Record record);
  void restore_callbacks(const Json& state, const std::function<void()>& load);

  TrainerOptions options_;
  std::vector<std::shared_ptr<Callback>> callbacks_;
  std::function<Metrics()> evaluation_;
  int64_t step_ = 0, epoch_ = 0, batch_ = 0;
  int64_t evaluated_at_ = -1;    ///< step of the last evaluation
  std::vector<Metrics> unread_;  ///< of steps whose values were not needed yet
  std::vector<Sum> sums_;        ///< over the steps since the last `train` record
  std::vector<std::pair<std::string, double>> latest_;
  std::string stop_reason_;
};

}  // namespace linnet::training

#pragma GCC visibility pop
