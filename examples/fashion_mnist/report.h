// Curves and pictures written at the end of every epoch.
#pragma once

#include <string>
#include <vector>

#include "examples/fashion_mnist/dataset.h"
#include "examples/fashion_mnist/progress.h"
#include "examples/fashion_mnist/trainer.h"

namespace demo {

/// `curves.svg`: loss and accuracy over epochs.
void write_curves(const std::string& path, const std::vector<EpochRecord>& history);
/// `predictions.png`: the first test images with predicted and true classes.
void write_predictions(const std::string& path, const Dataset& data, Trainer& trainer,
                       int64_t count = 40);

}  // namespace demo
