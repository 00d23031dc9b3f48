// Training steps.
#include "benchmarks/peers/libtorch/side.h"

namespace peers {
namespace {

namespace nn = torch::nn;
namespace F = torch::nn::functional;

Tensor labels(int64_t count) {
  std::vector<int64_t> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(workload::label(i));
  return torch::tensor(values);
}

/// `weight` is [in, out]; libtorch stores the transpose.
nn::Linear dense(const Tensor& weight) {
  nn::Linear layer(weight.size(0), weight.size(1));
  const torch::NoGradGuard guard;
  layer->weight.copy_(weight.t());
  layer->bias.zero_();
  return layer;
}

struct Mlp : nn::Module {
  Mlp() {
    for (size_t i = 0; i + 1 < std::size(workload::kLayers); ++i) {
      const int64_t in = workload::kLayers[i], out = workload::kLayers[i + 1];
      layers.push_back(
          register_module("layer" + std::to_string(i), dense(he_uniform(i + 1, {in, out}, in))));
    }
  }
  Tensor forward(Tensor x) {
    for (size_t i = 0; i < layers.size(); ++i) {
      x = layers[i]->forward(x);
      if (i + 1 < layers.size()) x = relu(x);
    }
    return x;
  }
  std::vector<nn::Linear> layers;
};

template <class Optimizer, class Options>
Work train_mlp(int64_t batch, const Options& options) {
  const auto model = std::make_shared<Mlp>();
  const auto optimizer = std::make_shared<Optimizer>(model->parameters(), options);
  const Tensor x = uniform(99, {batch, 784}, 1), y = labels(batch);
  return training(
      [=] {
        optimizer->zero_grad();
        const Tensor loss = F::cross_entropy(model->forward(x), y);
        loss.backward();
        optimizer->step();
        return loss.detach();
      },
      workload::kGateSteps);
}

nn::Conv2d conv(int64_t in, int64_t out, uint64_t seed) {
  nn::Conv2d layer(nn::Conv2dOptions(in, out, 3).padding(1).bias(false));
  const torch::NoGradGuard guard;
  layer->weight.copy_(he_uniform(seed, {3, 3, in, out}, 9 * in).permute({3, 2, 0, 1}));
  return layer;
}

/// Linnet's demo model: 3x3 convolution, 2x2 max pooling, batch normalisation, relu, twice; two
/// dense layers with dropout in between.
struct Demo : nn::Module {
  explicit Demo(double dropout_rate)
      : c1(register_module("c1", conv(1, 32, 21))),
        c2(register_module("c2", conv(32, 64, 22))),
        n1(register_module("n1", nn::BatchNorm2d(32))),
        n2(register_module("n2", nn::BatchNorm2d(64))),
        // Rows come channels first here and last in the common numbers.
        hidden(register_module(
            "hidden",
            dense(
                he_uniform(23, {7, 7, 64, 128}, 3136).permute({2, 0, 1, 3}).reshape({3136, 128})))),
        head(register_module("head", dense(he_uniform(24, {128, 10}, 128)))),
        rate(dropout_rate) {}
  Tensor forward(Tensor x) {
    x = relu(n1(max_pool2d(c1(x), 2)));
    x = relu(n2(max_pool2d(c2(x), 2)));
    x = relu(hidden(x.flatten(1)));
    return head(dropout(x, rate, true));
  }
  nn::Conv2d c1, c2;
  nn::BatchNorm2d n1, n2;
  nn::Linear hidden, head;
  double rate;
};

Work train_demo(double dropout_rate) {
  const auto model = std::make_shared<Demo>(dropout_rate);
  const auto optimizer = std::make_shared<torch::optim::AdamW>(
      model->parameters(), torch::optim::AdamWOptions(3e-3).weight_decay(0.05));
  const Tensor pixels = (uniform(98, {64, 1, 28, 28}, 127.5) + 127.5).to(torch::kUInt8);
  const Tensor y = labels(64);
  return training(
      [=] {
        const Tensor x = (pixels.to(torch::kFloat32) / 255 - 0.2860) / 0.3530;
        optimizer->zero_grad();
        const Tensor loss = F::cross_entropy(model->forward(x), y);
        loss.backward();
        nn::utils::clip_grad_norm_(model->parameters(), 1.0);
        optimizer->step();
        return loss.detach();
      },
      5);
}

/// Dropout draws other numbers on each side, so the losses compared are those without it.
Work checked_demo() {
  const double check = train_demo(0).check;
  Work work = train_demo(0.4);
  work.check = check;
  return work;
}

Work lstm_gradient() {
  constexpr int64_t kTime = 64, kBatch = 32, kSize = 256;
  const nn::LSTM layer(nn::LSTMOptions(kSize, kSize));
  const std::vector<Tensor> parameters = layer->parameters();  // kernel, recurrent, two biases
  {
    const torch::NoGradGuard guard;
    parameters[0].copy_(uniform(4000, {kSize, 4 * kSize}, 0.0625).t());
    parameters[1].copy_(uniform(4001, {kSize, 4 * kSize}, 0.0625).t());
    parameters[2].copy_(uniform(4002, {4 * kSize}, 0.0625));
    parameters[3].zero_();
  }
  const Tensor x = uniform(4003, {kTime, kBatch, kSize}, 1);
  const auto step = [=, module = layer.ptr()] {
    const Tensor loss = std::get<0>(module->forward(x)).square().mean();
    return std::pair(loss, torch::autograd::grad({loss}, parameters));
  };
  return training(
      step, 1,
      [](const auto& result) {
        return result.first.template item<double>() + 1e3 * mean_abs(result.second[1]);
      },
      [](const auto& result) { keep(result.first); });
}

}  // namespace

void add_models(Cases& cases) {
  using torch::optim::AdamW;
  using torch::optim::AdamWOptions;
  using torch::optim::SGD;
  using torch::optim::SGDOptions;
  for (const int64_t batch : {64, 1024}) {
    const std::string name = "mlp" + std::to_string(batch);
    cases.add("mlp", name + "_sgd", "eager",
              [=] { return train_mlp<SGD>(batch, SGDOptions(0.01).momentum(0.9)); });
    cases.add("mlp", name + "_adamw", "eager",
              [=] { return train_mlp<AdamW>(batch, AdamWOptions(1e-3).weight_decay(1e-2)); });
  }
  cases.add("cnn", "demo_cnn64", "eager", checked_demo);
  cases.add("lstm", "lstm_64x32x256", "eager", lstm_gradient);
}

}  // namespace peers
