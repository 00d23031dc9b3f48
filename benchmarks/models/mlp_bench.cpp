// A training step of a multilayer perceptron, 784-256-128-10 with relu, batch 64: forward, cross
// entropy, backward and update, compiled. The `loss` counter is the loss after twenty steps; the
// other sides of benchmarks/peers get the same.
#include <benchmark/benchmark.h>

#include <cmath>
#include <vector>

#include "benchmarks/support/inputs.h"
#include "linnet/jit.h"
#include "linnet/ops.h"
#include "linnet/optim.h"
#include "linnet/parallel.h"
#include "linnet/transforms.h"

namespace {

using namespace linnet;

struct Layer {
  Tensor weight, bias;  // [in, out], [out]
  LINNET_FIELDS(weight, bias)
};
using Mlp = std::vector<Layer>;

Mlp make_mlp() {
  Mlp layers;
  for (size_t i = 0; i + 1 < std::size(workload::kLayers); ++i) {
    const int64_t in = workload::kLayers[i], out = workload::kLayers[i + 1];
    const float bound = std::sqrt(6.f / static_cast<float>(in));
    layers.push_back(
        {from_vector(workload::uniform(i + 1, static_cast<size_t>(in * out), bound), {in, out}),
         zeros({out}).contiguous()});
  }
  return layers;
}

Tensor forward(const Mlp& layers, Tensor x) {
  for (size_t i = 0; i < layers.size(); ++i) {
    x = matmul(x, layers[i].weight) + layers[i].bias;
    if (i + 1 < layers.size()) x = relu(x);
  }
  return x;
}

struct Batch {
  Tensor x, label;
  LINNET_FIELDS(x, label)
};

Batch make_batch() {
  std::vector<int32_t> labels;
  for (int64_t i = 0; i < workload::kBatch; ++i)
    labels.push_back(static_cast<int32_t>(workload::label(i)));
  return {from_vector(workload::uniform(
                          99, static_cast<size_t>(workload::kBatch * workload::kLayers[0]), 1),
                      {workload::kBatch, workload::kLayers[0]}),
          from_vector(labels, {workload::kBatch})};
}

Tensor loss_of(const Mlp& layers, const Batch& batch) {
  return cross_entropy(forward(layers, batch.x), batch.label);
}

void train(benchmark::State& state, const optim::GradientTransformation& tx, bool compiled) {
  set_num_threads(static_cast<int>(state.range(0)));
  Mlp layers = make_mlp();
  optim::TransformState memory = tx.init(layers);
  const Batch batch = make_batch();
  const auto step = [tx](Mlp& model, optim::TransformState& s, const Batch& b) {
    const auto [loss, gradients] =
        value_and_grad([&](const Mlp& m) { return loss_of(m, b); })(model);
    optim::step(tx, model, gradients, s);
    return loss;
  };
  const auto jitted = jit(step);
  const auto run = [&] {
    return compiled ? jitted(layers, memory, batch) : step(layers, memory, batch);
  };
  Tensor loss;
  for (int i = 0; i < workload::kGateSteps; ++i) loss = run();
  state.counters["loss"] = loss.item<double>();
  const uint64_t allocations = memory_stats().allocations;
  for (auto _ : state) benchmark::DoNotOptimize(run().impl());
  state.counters["allocations"] = static_cast<double>(memory_stats().allocations - allocations) /
                                  static_cast<double>(state.iterations());
}

void mlp_sgd_step(benchmark::State& state) { train(state, optim::sgd(0.01, 0.9), true); }
void mlp_adamw_step(benchmark::State& state) {
  train(state, optim::adamw(1e-3, {.weight_decay = 1e-2}), true);
}
void mlp_sgd_step_eager(benchmark::State& state) { train(state, optim::sgd(0.01, 0.9), false); }

void mlp_forward(benchmark::State& state) {
  set_num_threads(static_cast<int>(state.range(0)));
  const Mlp layers = make_mlp();
  const Batch batch = make_batch();
  const auto compiled = jit([](const Mlp& model, const Tensor& x) { return forward(model, x); });
  for (auto _ : state) benchmark::DoNotOptimize(compiled(layers, batch.x).impl());
}

/// From an uncompiled function to the end of its first call, with kernels that were prepared
/// before.
void mlp_compile(benchmark::State& state) {
  set_num_threads(static_cast<int>(state.range(0)));
  const Batch batch = make_batch();
  const auto tx = optim::adamw(1e-3);
  for (auto _ : state) {
    state.PauseTiming();
    Mlp layers = make_mlp();
    optim::TransformState memory = tx.init(layers);
    state.ResumeTiming();
    const auto step = jit([tx](Mlp& model, optim::TransformState& s, const Batch& b) {
      const auto [loss, gradients] =
          value_and_grad([&](const Mlp& m) { return loss_of(m, b); })(model);
      optim::step(tx, model, gradients, s);
      return loss;
    });
    benchmark::DoNotOptimize(step(layers, memory, batch).impl());
  }
}

void threads(benchmark::internal::Benchmark* b) {
  b->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
}

BENCHMARK(mlp_sgd_step)->Apply(threads);
BENCHMARK(mlp_adamw_step)->Apply(threads);
BENCHMARK(mlp_sgd_step_eager)->Apply(threads);
BENCHMARK(mlp_forward)->Apply(threads);
BENCHMARK(mlp_compile)->Apply(threads);

}  // namespace
