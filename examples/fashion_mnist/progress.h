// Position and history of a run, and the manifest that keeps them between two runs.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "examples/fashion_mnist/dataset.h"
#include "examples/fashion_mnist/options.h"
#include "linnet/io/json.h"

namespace demo {

/// A bad combination of arguments and files: one sentence and exit code 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// One finished epoch.
struct EpochRecord {
  double train_loss = 0, train_accuracy = 0, test_loss = 0, test_accuracy = 0, seconds = 0;
};

/// Position and history of a run; saved with every checkpoint.
struct Progress {
  int64_t epoch = 0, batch = 0;  ///< next to be done
  double loss_sum = 0;           ///< over the batches of the present epoch
  int64_t correct = 0;
  double seconds = 0;  ///< of the present epoch, before this process
  std::vector<EpochRecord> history;
};

/// Settings, data and progress.
linnet::Json to_manifest(const Options& options, const Dataset& data, const Progress& progress);

/// The progress in a manifest.
/// @throws UsageError naming the setting that differs, or the number that no run could have saved.
Progress progress_from(const linnet::Json& manifest, const Options& options, const Dataset& data);

}  // namespace demo
