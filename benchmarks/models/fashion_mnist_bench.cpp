// A training step of the demo's convolutional network (examples/fashion_mnist) on 64 images, in
// both module APIs, compiled, with the demo's optimiser.
#include <benchmark/benchmark.h>

#include <vector>

#include "benchmarks/support/inputs.h"
#include "examples/fashion_mnist/networks.h"
#include "linnet/parallel.h"

namespace {

using namespace linnet;

constexpr int64_t kSteps = 100'000;

demo::Batch make_batch() {
  const std::vector<float> values =
      workload::uniform(98, static_cast<size_t>(workload::kBatch * 28 * 28), 127.5f);
  std::vector<uint8_t> pixels;
  for (float value : values) pixels.push_back(static_cast<uint8_t>(value + 127.5f));
  std::vector<int32_t> labels;
  for (int64_t i = 0; i < workload::kBatch; ++i)
    labels.push_back(static_cast<int32_t>(workload::label(i)));
  demo::Batch batch;
  batch.image = from_vector(pixels, {workload::kBatch, 28, 28, 1});
  batch.label = from_vector(labels, {workload::kBatch});
  return batch;
}

void cnn_step(benchmark::State& state) {
  set_num_threads(static_cast<int>(state.range(0)));
  demo::StatefulNetwork network = demo::make_stateful(0);
  optim::Optimizer optimizer(network, demo::make_optimizer(kSteps));
  const demo::Batch batch = make_batch();
  const auto step = jit([](demo::StatefulNetwork& net, optim::Optimizer& opt,
                           const demo::Batch& b) { return demo::stateful_step(net, opt, b).loss; });
  for (int i = 0; i < 3; ++i) benchmark::DoNotOptimize(step(network, optimizer, batch).impl());
  for (auto _ : state) benchmark::DoNotOptimize(step(network, optimizer, batch).impl());
}

void cnn_step_functional(benchmark::State& state) {
  set_num_threads(static_cast<int>(state.range(0)));
  const auto tx = demo::make_optimizer(kSteps);
  demo::TrainState train = demo::make_functional(0, tx);
  const demo::Batch batch = make_batch();
  const auto step = jit([tx](demo::TrainState& s, const demo::Batch& b) {
    return demo::functional_step(tx, 0, s, b).loss;
  });
  for (int i = 0; i < 3; ++i) benchmark::DoNotOptimize(step(train, batch).impl());
  for (auto _ : state) benchmark::DoNotOptimize(step(train, batch).impl());
}

void threads(benchmark::internal::Benchmark* b) {
  b->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
}

BENCHMARK(cnn_step)->Apply(threads);
BENCHMARK(cnn_step_functional)->Apply(threads);

}  // namespace
