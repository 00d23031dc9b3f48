// Training steps of a perceptron 784-256-128-10 with relu: functions of a tree of parameters.
#include "benchmarks/peers/linnet/side.h"

namespace peers {
namespace {

struct Layer {
  Tensor weight, bias;  // [in, out], [out]
  LINNET_FIELDS(weight, bias)
};
using Mlp = std::vector<Layer>;
struct Batch {
  Tensor x, label;
  LINNET_FIELDS(x, label)
};

Mlp make_mlp() {
  Mlp layers;
  for (size_t i = 0; i + 1 < std::size(workload::kLayers); ++i) {
    const int64_t in = workload::kLayers[i], out = workload::kLayers[i + 1];
    layers.push_back({he_uniform(i + 1, {in, out}, in), filled({out}, 0)});
  }
  return layers;
}

Tensor forward(const Mlp& layers, Tensor x, DType dtype) {
  for (size_t i = 0; i < layers.size(); ++i) {
    const Layer& layer = layers[i];
    x = matmul(x.astype(dtype), layer.weight.astype(dtype)) + layer.bias.astype(dtype);
    if (i + 1 < layers.size()) x = relu(x);
  }
  return x.astype(DType::kF32);
}

struct Options {
  int64_t batch;
  optim::GradientTransformation tx;
  bool compiled = true;
  DType dtype = DType::kF32;
};

Work train(const Options& o) {
  struct All {
    Mlp model;
    optim::TransformState memory;
    Batch batch;
  };
  const Mlp model = make_mlp();
  const auto all = std::make_shared<All>(model, o.tx.init(model),
                                         Batch{uniform(99, {o.batch, 784}, 1), labels(o.batch)});
  const auto step = [tx = o.tx, dtype = o.dtype](Mlp& m, optim::TransformState& s, const Batch& b) {
    const auto [loss, gradients] = value_and_grad(
        [&](const Mlp& p) { return cross_entropy(forward(p, b.x, dtype), b.label); })(m);
    optim::step(tx, m, gradients, s);
    return loss;
  };
  const int gate = o.dtype == DType::kF32 ? workload::kGateSteps : 5;
  if (!o.compiled)
    return training([all, step] { return step(all->model, all->memory, all->batch); }, gate);
  return training(
      [all, compiled = jit(step)] { return compiled(all->model, all->memory, all->batch); }, gate);
}

}  // namespace

void add_mlp(Cases& cases) {
  const auto sgd = [] { return optim::sgd(0.01, 0.9); };
  const auto adamw = [] { return optim::adamw(1e-3, {.weight_decay = 1e-2}); };
  for (const bool compiled : {true, false}) {
    const char* variant = compiled ? "jit" : "eager";
    cases.add("mlp", "mlp64_sgd", variant, [=] { return train({64, sgd(), compiled}); });
    cases.add("mlp", "mlp64_adamw", variant, [=] { return train({64, adamw(), compiled}); });
  }
  cases.add("mlp", "mlp1024_sgd", "jit", [=] { return train({1024, sgd()}); });
  cases.add("mlp", "mlp1024_adamw", "jit", [=] { return train({1024, adamw()}); });
  cases.add("mlp", "mlp1024_adamw_bf16", "jit", [=] {
    return train({1024, adamw(), true, DType::kBF16});
  });
}

}  // namespace peers
