// Checkpoints of a Trainer: the latest and the best stay, and a run that was interrupted goes on
// exactly where it was.
//
//   struct State { Model model; optim::Optimizer optimizer; LINNET_FIELDS(model, optimizer) };
//   auto& saved = trainer.add(training::Checkpoints(
//       "out/checkpoints", state, {.keep = 3, .keep_best = 1, .metric = "eval/loss"}));
//   saved.restore_latest(trainer);            // after all callbacks were added
//   trainer.fit(batches, step);
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "linnet/io/checkpoint.h"
#include "linnet/training/trainer.h"

#pragma GCC visibility push(default)

namespace linnet::training {

struct CheckpointOptions {
  int64_t every_steps = 0;  ///< 0: at the end of each epoch
  int64_t keep = 3;         ///< latest ones that stay, at least one
  int64_t keep_best = 0;  ///< besides, those with the best values of `metric` when they were saved
  std::string metric = {};  ///< such as `eval/loss`
  bool higher_is_better = false;
};

/// Writes `directory`/step_N by save_checkpoint (linnet/io/checkpoint.h) and removes what need not
/// stay. Also saves when the loop ends or is stopped. Beside the state of the user, a checkpoint
/// has the trainer's position, running means and callbacks.
class Checkpoints : public Callback {
 public:
  /// @param state the tree of all that steps change: model, optimizer, random streams, the place in
  /// the data. It must outlive this.
  /// @throws ValueError for numbers that make no sense.
  template <class T>
  Checkpoints(std::string directory, T& state, CheckpointOptions options = {})
      : Checkpoints(
            std::move(directory), std::move(options),
            [&state](const std::string& path, Json manifest) {
              save_checkpoint(path, state, std::move(manifest));
            },
            [&state](const std::string& path) { return load_checkpoint(path, state); }) {}

  std::string name() const override { return "Checkpoints"; }
  /// @throws ValueError if the directory has later checkpoints than the trainer's step.
  void on_start(Trainer& trainer) override;
  void on_step(Trainer& trainer) override;
  void on_epoch_end(Trainer& trainer) override;
  void on_end(Trainer& trainer) override;

  /// Fills the state and moves the trainer to the latest checkpoint; false if there is none.
  /// @throws IoError as load_checkpoint and Trainer::restore; neither has changed then.
  bool restore_latest(Trainer& trainer);
  /// The same for one step, or for the best. Later checkpoints go when training goes on.
  /// @throws ValueError if there is none.
  void restore_step(Trainer& trainer, int64_t step);
  /// The state alone of the best checkpoint, as at the end of a training.
  void load_best();

  void save(Trainer& trainer);
  /// Steps of which there are checkpoints, ascending.
  std::vector<int64_t> steps();
  /// The step with the best value. @throws ValueError if no checkpoint has one.
  int64_t best_step();
  std::string path_of(int64_t step) const;

 private:
  using Save = std::function<void(const std::string& path, Json manifest)>;
  using Load = std::function<Json(const std::string& path)>;
  Checkpoints(std::string directory, CheckpointOptions options, Save save, Load load);

  std::map<int64_t, std::optional<double>>& values();
  std::vector<int64_t> by_value();
  void remove(int64_t step);
  void fill_from(Trainer& trainer, const std::string& path);

  std::string directory_;
  CheckpointOptions options_;
  Save save_;
  Load load_;
  /// What there is, with the value of the metric; read from the directory when first needed.
  std::optional<std::map<int64_t, std::optional<double>>> values_;
  std::pair<int64_t, int64_t> saved_at_ = {-1, -1};  ///< step and epoch
  bool drops_later_ = false;
};

}  // namespace linnet::training

#pragma GCC visibility pop
