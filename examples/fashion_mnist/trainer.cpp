#include "examples/fashion_mnist/trainer.h"

#include <functional>

#include "examples/fashion_mnist/networks.h"
#include "linnet/io/checkpoint.h"

namespace demo {
namespace {

int64_t count_elements(const linnet::TensorList& tensors) {
  int64_t count = 0;
  for (const Tensor& tensor : tensors) count += tensor.size();
  return count;
}

template <class State>
bool all_finite(const State& state) {
  for (const Tensor& leaf : linnet::tree::leaves(state)) {
    if (linnet::is_floating(leaf.dtype()) && !all(is_finite(leaf)).item<bool>()) return false;
  }
  return true;
}

Trainer::Step to_host(const StepResult& result) {
  return {result.loss.item<double>(), result.correct.item<int64_t>()};
}

class StatefulTrainer final : public Trainer {
 public:
  StatefulTrainer(int64_t seed, int64_t steps, double learning_rate)
      : state_{make_stateful(seed), make_optimizer(steps, kWarmupSteps, learning_rate)},
        step_(linnet::jit(stateful_step)),
        logits_(linnet::jit([](StatefulNetwork& network, const Tensor& image) {
          return network(normalized(image), false);
        })) {}

  Step train(const Batch& batch) override {
    return to_host(step_(state_.network, state_.optimizer, batch));
  }
  Tensor logits(const Tensor& image) override { return logits_(state_.network, image); }
  void save(const std::string& directory, const linnet::Json& manifest) const override {
    linnet::save_checkpoint(directory, state_, manifest);
  }
  void load(const std::string& directory) override { linnet::load_checkpoint(directory, state_); }
  bool is_finite() const override { return all_finite(state_); }
  int64_t parameter_count() const override {
    return count_elements(
        linnet::tree::leaves(nnx::state(state_.network, nnx::of_type<nnx::Param>())));
  }

 private:
  struct State {
    StatefulNetwork network;
    linnet::optim::Optimizer optimizer;
    State(StatefulNetwork net, linnet::optim::GradientTransformation tx)
        : network(std::move(net)), optimizer(network, std::move(tx)) {}
    LINNET_FIELDS(network, optimizer)
  };
  mutable State state_;
  std::function<StepResult(StatefulNetwork&, linnet::optim::Optimizer&, const Batch&)> step_;
  std::function<Tensor(StatefulNetwork&, const Tensor&)> logits_;
};

class FunctionalTrainer final : public Trainer {
 public:
  FunctionalTrainer(int64_t seed, int64_t steps, double learning_rate)
      : tx_(make_optimizer(steps, kWarmupSteps, learning_rate)),
        state_(make_functional(seed, tx_)),
        step_(linnet::jit([tx = tx_, seed](TrainState& state, const Batch& batch) {
          return functional_step(tx, seed, state, batch);
        })),
        logits_(linnet::jit([](const TrainState& state, const Tensor& image) {
          linen::Variables all = state.rest;
          all.children()["params"] = state.params;
          return linen::apply(FunctionalNetwork{}, all, normalized(image), false);
        })) {}

  Step train(const Batch& batch) override { return to_host(step_(state_, batch)); }
  Tensor logits(const Tensor& image) override { return logits_(state_, image); }
  void save(const std::string& directory, const linnet::Json& manifest) const override {
    linnet::save_checkpoint(directory, state_, manifest);
  }
  void load(const std::string& directory) override { linnet::load_checkpoint(directory, state_); }
  bool is_finite() const override { return all_finite(state_); }
  int64_t parameter_count() const override {
    return count_elements(linnet::tree::leaves(state_.params));
  }

 private:
  linnet::optim::GradientTransformation tx_;
  TrainState state_;
  std::function<StepResult(TrainState&, const Batch&)> step_;
  std::function<Tensor(const TrainState&, const Tensor&)> logits_;
};

}  // namespace

std::unique_ptr<Trainer> make_trainer(Api api, int64_t seed, int64_t steps, double learning_rate) {
  if (api == Api::kNnx) return std::make_unique<StatefulTrainer>(seed, steps, learning_rate);
  return std::make_unique<FunctionalTrainer>(seed, steps, learning_rate);
}

}  // namespace demo
