// Training steps in libtorch of the networks of linnet_bench_models, under the same names.
#include <benchmark/benchmark.h>
#include <torch/torch.h>

#include <cmath>
#include <vector>

#include "benchmarks/support/inputs.h"

namespace {

using torch::Tensor;
namespace F = torch::nn::functional;

Tensor from(const std::vector<float>& values, at::IntArrayRef shape) {
  return torch::from_blob(const_cast<float*>(values.data()), shape).clone();
}

Tensor make_labels() {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < workload::kBatch; ++i) labels.push_back(workload::label(i));
  return torch::tensor(labels);
}

struct Mlp : torch::nn::Module {
  Mlp() {
    for (size_t i = 0; i + 1 < std::size(workload::kLayers); ++i) {
      const int64_t in = workload::kLayers[i], out = workload::kLayers[i + 1];
      torch::nn::Linear linear(in, out);
      const float bound = std::sqrt(6.f / static_cast<float>(in));
      const torch::NoGradGuard guard;
      // The numbers fill [in, out] row by row; libtorch stores the transpose.
      linear->weight.copy_(
          from(workload::uniform(i + 1, static_cast<size_t>(in * out), bound), {in, out}).t());
      linear->bias.zero_();
      layers.push_back(register_module("layer" + std::to_string(i), linear));
    }
  }
  Tensor forward(Tensor x) {
    for (size_t i = 0; i < layers.size(); ++i) {
      x = layers[i]->forward(x);
      if (i + 1 < layers.size()) x = relu(x);
    }
    return x;
  }
  std::vector<torch::nn::Linear> layers;
};

Tensor make_mlp_batch() {
  return from(
      workload::uniform(99, static_cast<size_t>(workload::kBatch * workload::kLayers[0]), 1),
      {workload::kBatch, workload::kLayers[0]});
}

template <class MakeOptimizer>
void train_mlp(benchmark::State& state, MakeOptimizer make_optimizer) {
  at::set_num_threads(static_cast<int>(state.range(0)));
  Mlp model;
  auto optimizer = make_optimizer(model.parameters());
  const Tensor x = make_mlp_batch(), labels = make_labels();
  const auto run = [&] {
    optimizer.zero_grad();
    Tensor loss = F::cross_entropy(model.forward(x), labels);
    loss.backward();
    optimizer.step();
    return loss.detach();
  };
  Tensor loss;
  for (int i = 0; i < workload::kGateSteps; ++i) loss = run();
  state.counters["loss"] = loss.item<double>();
  for (auto _ : state) benchmark::DoNotOptimize(run().unsafeGetTensorImpl());
}

void mlp_sgd_step(benchmark::State& state) {
  train_mlp(state, [](auto parameters) {
    return torch::optim::SGD(parameters, torch::optim::SGDOptions(0.01).momentum(0.9));
  });
}
void mlp_adamw_step(benchmark::State& state) {
  train_mlp(state, [](auto parameters) {
    return torch::optim::AdamW(parameters, torch::optim::AdamWOptions(1e-3).weight_decay(1e-2));
  });
}
void mlp_forward(benchmark::State& state) {
  at::set_num_threads(static_cast<int>(state.range(0)));
  const torch::NoGradGuard guard;
  Mlp model;
  const Tensor x = make_mlp_batch();
  for (auto _ : state) benchmark::DoNotOptimize(model.forward(x).unsafeGetTensorImpl());
}

/// 3x3 convolution without bias, 2x2 max pooling, batch normalisation, relu.
struct ConvBlock : torch::nn::Module {
  ConvBlock(int64_t in, int64_t out)
      : conv(register_module(
            "conv",
            torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).padding(1).bias(false)))),
        norm(register_module("norm", torch::nn::BatchNorm2d(out))) {}
  Tensor forward(const Tensor& x) { return relu(norm(max_pool2d(conv(x), 2))); }
  torch::nn::Conv2d conv;
  torch::nn::BatchNorm2d norm;
};

struct Network : torch::nn::Module {
  Network()
      : stem(register_module("stem", std::make_shared<ConvBlock>(1, 32))),
        body(register_module("body", std::make_shared<ConvBlock>(32, 64))),
        dense(register_module("dense", torch::nn::Linear(3136, 128))),
        dropout(register_module("dropout", torch::nn::Dropout(0.4))),
        head(register_module("head", torch::nn::Linear(128, 10))) {}
  Tensor forward(const Tensor& x) {
    const Tensor h = body->forward(stem->forward(x));
    return head(dropout(relu(dense(h.reshape({h.size(0), -1})))));
  }
  std::shared_ptr<ConvBlock> stem, body;
  torch::nn::Linear dense{nullptr};
  torch::nn::Dropout dropout;
  torch::nn::Linear head{nullptr};
};

void cnn_step(benchmark::State& state) {
  at::set_num_threads(static_cast<int>(state.range(0)));
  Network model;
  model.to(torch::kFloat32);
  torch::optim::AdamW optimizer(model.parameters(),
                                torch::optim::AdamWOptions(3e-3).weight_decay(0.05));
  const std::vector<float> values =
      workload::uniform(98, static_cast<size_t>(workload::kBatch * 28 * 28), 127.5f);
  const Tensor pixels = (from(values, {workload::kBatch, 1, 28, 28}) + 127.5f).to(torch::kUInt8);
  const Tensor labels = make_labels();
  const auto run = [&] {
    const Tensor x = (pixels.to(torch::kFloat32) / 255 - 0.2860) / 0.3530;
    optimizer.zero_grad();
    Tensor loss = F::cross_entropy(model.forward(x), labels);
    loss.backward();
    torch::nn::utils::clip_grad_norm_(model.parameters(), 1.0);
    optimizer.step();
    return loss.detach();
  };
  for (int i = 0; i < 3; ++i) benchmark::DoNotOptimize(run().unsafeGetTensorImpl());
  for (auto _ : state) benchmark::DoNotOptimize(run().unsafeGetTensorImpl());
}

void threads(benchmark::internal::Benchmark* b) {
  b->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);
}

BENCHMARK(mlp_sgd_step)->Apply(threads);
BENCHMARK(mlp_adamw_step)->Apply(threads);
BENCHMARK(mlp_forward)->Apply(threads);
BENCHMARK(cnn_step)->Apply(threads);

}  // namespace
