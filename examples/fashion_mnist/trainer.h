// What the training loop needs of a network, whichever API it is written in.
#pragma once

#include <memory>
#include <string>

#include "examples/fashion_mnist/dataset.h"
#include "examples/fashion_mnist/options.h"
#include "linnet/io/json.h"

namespace demo {

class Trainer {
 public:
  virtual ~Trainer() = default;
  struct Step {
    double loss;
    int64_t correct;
  };
  /// One jitted training step.
  virtual Step train(const Batch& batch) = 0;
  /// Logits in evaluation mode, f32 [batch, 10].
  virtual linnet::Tensor logits(const linnet::Tensor& image) = 0;
  /// Parameters, batch statistics, optimiser and random streams, with the manifest.
  virtual void save(const std::string& directory, const linnet::Json& manifest) const = 0;
  virtual void load(const std::string& directory) = 0;
  virtual int64_t parameter_count() const = 0;
  /// False once a number of what `save` writes is infinite or NaN.
  virtual bool is_finite() const = 0;
};

/// @param steps of the whole run, for the schedule, whose peak is `learning_rate`.
std::unique_ptr<Trainer> make_trainer(Api api, int64_t seed, int64_t steps, double learning_rate);

}  // namespace demo
