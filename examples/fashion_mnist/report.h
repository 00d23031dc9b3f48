// Curves and pictures written at the end of every epoch.
#pragma once

#include <string>
#include <vector>

#include "examples/fashion_mnist/dataset.h"
#include "examples/fashion_mnist/trainer.h"

namespace demo {

/// One finished epoch.
struct EpochRecord {
  double train_loss = 0, train_accuracy = 0, test_loss = 0, test_accuracy = 0, seconds = 0;
};

linnet::Json to_json(const std::vector<EpochRecord>& history);
std::vector<EpochRecord> history_from(const linnet::Json& json);

/// `curves.svg`: loss and accuracy over epochs.
void write_curves(const std::string& path, const std::vector<EpochRecord>& history);
/// `predictions.png`: the first test images with predicted and true classes.
void write_predictions(const std::string& path, const Dataset& data, Trainer& trainer,
                       int64_t count = 40);

}  // namespace demo
