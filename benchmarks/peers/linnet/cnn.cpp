// Training steps of convolutional networks, as objects (nnx).
#include <optional>
#include <stdexcept>

#include "benchmarks/peers/linnet/side.h"
#include "examples/fashion_mnist/networks.h"

namespace peers {
namespace {

struct ConvOptions {
  int64_t size = 3, stride = 1, padding = 1;
  bool bias = false;
};
nnx::Conv conv(int64_t in, int64_t out, const ConvOptions& o, uint64_t seed, nnx::Rngs& rngs) {
  nnx::Conv layer(in, out, {o.size, o.size},
                  {.strides = o.stride, .padding = o.padding, .use_bias = o.bias}, rngs);
  layer.kernel = he_uniform(seed, {o.size, o.size, in, out}, o.size * o.size * in);
  return layer;
}
nnx::Linear linear(int64_t in, int64_t out, uint64_t seed, nnx::Rngs& rngs) {
  nnx::Linear layer(in, out, rngs);
  layer.kernel = he_uniform(seed, {in, out}, in);
  return layer;
}
nnx::BatchNorm norm(int64_t features, nnx::Rngs& rngs) {
  return nnx::BatchNorm(features, {.momentum = 0.9}, rngs);
}

/// conv 32, conv 64, each with relu and 2x2 pooling, then 128 and 10 units.
struct Cnn {
  nnx::Conv c1, c2;
  nnx::Linear dense, head;

  explicit Cnn(nnx::Rngs& rngs)
      : c1(conv(1, 32, {.bias = true}, 11, rngs)),
        c2(conv(32, 64, {.bias = true}, 12, rngs)),
        dense(linear(3136, 128, 13, rngs)),
        head(linear(128, 10, 14, rngs)) {}
  LINNET_FIELDS(c1, c2, dense, head)

  Tensor operator()(const Tensor& x) {
    Tensor h = nnx::max_pool(relu(c1(x)), {2, 2}, {2, 2});
    h = nnx::max_pool(relu(c2(h)), {2, 2}, {2, 2});
    return head(relu(dense(reshape(h, {h.shape(0), -1}))));
  }
};

struct Block {
  nnx::Conv c1;
  nnx::BatchNorm n1;
  nnx::Conv c2;
  nnx::BatchNorm n2;
  std::optional<nnx::Conv> shortcut;
  std::optional<nnx::BatchNorm> shortcut_norm;

  /// Takes the seeds of its kernels from `seed` on.
  Block(int64_t in, int64_t out, int64_t stride, uint64_t& seed, nnx::Rngs& rngs)
      : c1(conv(in, out, {.stride = stride}, seed, rngs)),
        n1(norm(out, rngs)),
        c2(conv(out, out, {}, seed + 1, rngs)),
        n2(norm(out, rngs)) {
    seed += 2;
    if (in == out && stride == 1) return;
    shortcut.emplace(conv(in, out, {.size = 1, .stride = stride, .padding = 0}, seed++, rngs));
    shortcut_norm.emplace(norm(out, rngs));
  }
  LINNET_FIELDS(c1, n1, c2, n2, shortcut, shortcut_norm)

  Tensor operator()(const Tensor& x) {
    const Tensor y = n2(c2(relu(n1(c1(x)))));
    return relu(y + (shortcut ? (*shortcut_norm)((*shortcut)(x)) : x));
  }
};

/// ResNet-18; with the stem of ImageNet if `large`, else that of CIFAR.
struct Resnet {
  nnx::Conv stem;
  nnx::BatchNorm stem_norm;
  std::vector<Block> blocks;
  nnx::Linear head;
  bool large;

  Resnet(bool large, nnx::Rngs& rngs)
      : stem(conv(3, 64, large ? ConvOptions{7, 2, 3} : ConvOptions{}, 3000, rngs)),
        stem_norm(norm(64, rngs)),
        head(linear(512, large ? 1000 : 10, 2999, rngs)),
        large(large) {
    uint64_t seed = 3001;
    int64_t in = 64;
    for (const int64_t width : {64, 128, 256, 512})
      for (int j = 0; j < 2; ++j) {
        blocks.emplace_back(in, width, j == 0 && width != 64 ? 2 : 1, seed, rngs);
        in = width;
      }
  }
  LINNET_FIELDS(stem, stem_norm, blocks, head, large)

  Tensor operator()(const Tensor& image) {
    Tensor x = relu(stem_norm(stem(image)));
    if (large) x = nnx::max_pool(x, {3, 3}, {2, 2}, 1);
    for (Block& block : blocks) x = block(x);
    return head(mean(x, Axes{1, 2}));
  }
};

struct Batch {
  Tensor x, label;
  LINNET_FIELDS(x, label)
};

template <class Net>
Work train(std::shared_ptr<Net> net, const Batch& batch, int gate) {
  const auto optimizer = std::make_shared<optim::Optimizer>(*net, optim::sgd(0.01, 0.9));
  const auto step = jit([](Net& model, optim::Optimizer& o, const Batch& b) {
    auto [loss, gradients] =
        nnx::value_and_grad([&](Net& m) { return cross_entropy(m(b.x), b.label); }, model);
    o.update(model, gradients);
    return loss;
  });
  return training([net, optimizer, step, batch] { return step(*net, *optimizer, batch); }, gate);
}

Work train_cnn() {
  nnx::Rngs rngs(0);
  return train(std::make_shared<Cnn>(rngs), {uniform(98, {64, 28, 28, 1}, 1), labels(64)}, 5);
}

Work train_resnet(bool large) {
  nnx::Rngs rngs(0);
  const int64_t batch = large ? 8 : 32, size = large ? 224 : 32;
  return train(std::make_shared<Resnet>(large, rngs),
               {uniform(97, {batch, size, size, 3}, 1), labels(batch)}, 2);
}

/// Replaces the demo's parameters by the common numbers.
void set_kernels(demo::StatefulNetwork& net) {
  nnx::State parameters = nnx::state(net, nnx::of_type<nnx::Param>());
  for (const auto& [path, leaf] : parameters.entries()) {
    const std::string name = tree::to_string(path);
    if (name.find("kernel") == std::string::npos) continue;
    nnx::Variable variable(leaf.cell);
    const Shape shape = leaf.value().shape();
    if (name == "stem/conv/kernel")
      variable = he_uniform(21, shape, 9);
    else if (name == "body/conv/kernel")
      variable = he_uniform(22, shape, 288);
    else if (name == "dense/kernel")
      variable = he_uniform(23, shape, 3136);
    else if (name == "head/kernel")
      variable = he_uniform(24, shape, 128);
    else
      throw std::runtime_error("no numbers for " + name);
  }
}

demo::Batch demo_batch() {
  std::vector<uint8_t> pixels;
  for (const float value : workload::uniform(98, 64 * 28 * 28, 127.5f))
    pixels.push_back(static_cast<uint8_t>(value + 127.5f));
  demo::Batch batch;
  batch.image = from_vector(pixels, {64, 28, 28, 1});
  batch.label = labels(64);
  return batch;
}

/// The demo's own network and step, with its optimiser at a constant rate.
Work train_demo(double dropout_rate) {
  const auto net = std::make_shared<demo::StatefulNetwork>(demo::make_stateful(0));
  net->dropout.rate = dropout_rate;
  set_kernels(*net);
  const auto optimizer = std::make_shared<optim::Optimizer>(
      *net,
      optim::chain(optim::clip_by_global_norm(1.0), optim::adamw(3e-3, {.weight_decay = 0.05})));
  const auto step = jit([](demo::StatefulNetwork& n, optim::Optimizer& o, const demo::Batch& b) {
    return demo::stateful_step(n, o, b).loss;
  });
  return training(
      [net, optimizer, step, batch = demo_batch()] { return step(*net, *optimizer, batch); }, 5);
}

/// Dropout draws other numbers in each framework, so the losses compared are those without it.
Work checked_demo() {
  const double check = train_demo(0).check;
  Work work = train_demo(demo::kDropoutRate);
  work.check = check;
  return work;
}

}  // namespace

void add_cnn(Cases& cases) {
  cases.add("cnn", "cnn64_sgd", "jit", train_cnn);
  cases.add("cnn", "demo_cnn64", "jit", checked_demo);
  cases.add("resnet_small", "resnet18_cifar", "jit", [] { return train_resnet(false); });
  cases.add("resnet_large", "resnet18_224", "jit", [] { return train_resnet(true); });
}

}  // namespace peers
