// The pieces of docs/tutorial.md that use modules, optimisers, the bridge and checkpoints.
#include <filesystem>
#include <iostream>
#include <thread>

#include "tests/docs/documents.h"

// [namespaces]
#include <linnet/io/checkpoint.h>
#include <linnet/linnet.h>         // everything but files

using namespace linnet;            // linen, nnx, bridge, optim and random are inside
// [namespaces]

namespace {

class TutorialModules : public docs::Snippet {};

// [data]
/// Points in the plane, and whether they lie outside the unit circle.
struct Batch {
  Tensor x, label;
};

Batch make_batch(const Key& key, int64_t count) {
  Tensor x = random::uniform(key, {count, 2}, DType::kF32, -1.5, 1.5);
  Tensor label = (sum(square(x), Axes{1}) > 1).astype(DType::kI32);
  return {x, label};
}

Tensor accuracy(const Tensor& logits, const Tensor& label) {
  return mean((argmax(logits, -1) == label).astype(DType::kF32));
}
// [data]

// [linen-model]
struct Classifier {
  int64_t hidden = 32;
  int64_t classes = 2;

  Tensor operator()(linen::Scope& s, const Tensor& x) const {
    Tensor h = tanh(s("up", linen::Dense{.features = hidden}, x));
    return s("down", linen::Dense{.features = classes}, h);
  }
};
// [linen-model]

TEST_F(TutorialModules, linen_init) {
  // [linen-init]
  Classifier model{.hidden = 4};
  Batch batch = make_batch(Key(1), 8);
  linen::Variables vars = linen::init(model, Key(0), batch.x);
  for (const auto& [path, leaf] : tree::leaves_with_path(vars)) {
    std::cout << path << " " << to_string(leaf.type()) << "\n";
  }
  Tensor logits = linen::apply(model, vars, batch.x);
  Tensor bias = vars["params"]["down"]["bias"];
  std::cout << to_string(logits.type()) << " " << bias << "\n";
  // [linen-init]
}

// [linen-state]
struct Normalised {
  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    Tensor h = s("norm", linen::BatchNorm{.use_running_average = !train, .momentum = 0.5}, x);
    return s("drop", linen::Dropout{.rate = 0.5, .deterministic = !train}, h);
  }
};
// [linen-state]

TEST_F(TutorialModules, linen_updates) {
  // [linen-updates]
  Tensor x = tensor({{1.f, 10.f}, {3.f, 30.f}});
  linen::Variables vars = linen::init(Normalised{}, Key(0), x, false);
  auto [y, updates] = linen::apply_with(
      {.mutate = {"batch_stats"}, .rngs = {{"dropout", Key(1)}}}, Normalised{}, vars, x, true);
  vars = vars | updates;                                       // the later entries win
  Tensor running = vars["batch_stats"]["norm"]["mean"];
  std::cout << running << "\n";
  // [linen-updates]
}

TEST_F(TutorialModules, linen_training) {
  // [linen-training]
  struct TrainState {
    linen::Variables vars;
    optim::TransformState optimizer;
  };
  Classifier model;
  auto tx = optim::chain(optim::clip_by_global_norm(1.0), optim::adam(0.02));
  auto step = jit([=](TrainState& state, const Batch& batch) {
    auto [loss, gradient] = value_and_grad([&](const linen::Variables& vars) {
      return cross_entropy(linen::apply(model, vars, batch.x), batch.label);
    })(state.vars);
    optim::step(tx, state.vars, gradient, state.optimizer);
    return loss;
  });

  TrainState state;
  state.vars = linen::init(model, Key(0), zeros({1, 2}));
  state.optimizer = tx.init(state.vars);
  Key data(7);
  for (int i = 0; i < 200; ++i) {
    step(state, make_batch(random::fold_in(data, static_cast<uint32_t>(i)), 64));
  }
  Batch test = make_batch(Key(99), 1000);
  Tensor share = accuracy(linen::apply(model, state.vars, test.x), test.label);
  std::cout << "traced " << step.trace_count() << " time, better than 9 of 10: "
            << (share.item<float>() > 0.9f ? "yes" : "no") << "\n";
  // [linen-training]
}

// [linen-layer]
struct Layer {
  std::pair<Tensor, std::tuple<>> operator()(linen::Scope& s, const Tensor& h) const {
    Tensor change = tanh(s("dense", linen::Dense{.features = h.shape(-1)}, h));
    return {h + change, {}};                                 // the new carry, and nothing to stack
  }
};
// [linen-layer]

// [linen-vmap]
struct Experts {
  Tensor operator()(linen::Scope& s, const Tensor& x) const {
    auto side_by_side = linen::vmap(linen::Dense{.features = 3},
                                    {.variable_axes = {{"params", 0}},
                                     .split_rngs = {{"params", true}},
                                     .in_axes = {kNone},     // all see the same x
                                     .axis_size = 4});
    Tensor each = s("experts", side_by_side, x);             // f32[4, batch, 3]
    const auto sharper = [](linen::Scope&, const Tensor& y) { return square(y); };
    const auto plain = [](linen::Scope&, const Tensor& y) { return y; };
    return linen::cond(mean(each) > 1, plain, sharper, s, mean(each, Axes{0}));
  }
};
// [linen-vmap]

TEST_F(TutorialModules, linen_scan) {
  // [linen-scan]
  auto deep = linen::scan(linen::remat(Layer{}),               // recomputed in the backward pass
                          {.variable_axes = {{"params", 0}},   // a slice for each layer
                           .split_rngs = {{"params", true}},   // and a key
                           .length = 12});
  Tensor x = ones({2, 8});
  linen::Variables vars = linen::init(deep, Key(0), x);
  std::cout << to_string(vars);
  auto [h, nothing] = linen::apply(deep, vars, x);
  std::cout << to_string(h.type()) << "\n";
  // [linen-scan]
}

TEST_F(TutorialModules, linen_experts) {
  // [linen-experts]
  Tensor x = ones({2, 8});
  linen::Variables vars = linen::init(Experts{}, Key(0), x);
  std::cout << to_string(vars) << to_string(linen::apply(Experts{}, vars, x).type()) << "\n";
  // [linen-experts]
}

// [nnx-model]
struct Net {
  nnx::Linear up, down;
  nnx::Dropout drop;

  Net(int64_t hidden, int64_t classes, nnx::Rngs& rngs)
      : up(2, hidden, rngs), down(hidden, classes, rngs), drop(0.1, rngs) {}
  LINNET_FIELDS(up, down, drop)

  Tensor operator()(const Tensor& x) { return down(drop(tanh(up(x)))); }
};
// [nnx-model]

TEST_F(TutorialModules, nnx_use) {
  // [nnx-use]
  nnx::Rngs rngs(0);
  Net net(4, 2, rngs);
  Tensor y = net(ones({1, 2}));
  net.down.bias = tensor({1.f, 2.f});                          // writes the variable
  Net copy = net;                                              // an independent model
  copy.down.bias = zeros({2});
  std::cout << Tensor(*net.down.bias) << " " << Tensor(*copy.down.bias) << "\n";
  nnx::State params = nnx::state(net, nnx::of_type<nnx::Param>());
  for (const auto& [path, leaf] : params.entries()) {
    std::cout << tree::to_string(path) << " " << to_string(leaf.value().type()) << "\n";
  }
  // [nnx-use]
}

TEST_F(TutorialModules, nnx_printing) {
  // [nnx-printing]
  nnx::Rngs rngs(0);
  Net net(4, 2, rngs);
  std::cout << linen::Dense{.features = 4} << "\n" << net << "\n";
  // [nnx-printing]
}

TEST_F(TutorialModules, nnx_serving) {
  // [nnx-serving]
  nnx::Rngs rngs(0);
  Net net(4, 2, rngs);
  nnx::eval(net);
  auto serve = [](const Net& model, const Tensor& x) {
    return model.down(model.drop(tanh(model.up(x))));          // const: nothing can be written
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { serve(net, ones({1, 2})); });
  for (std::thread& thread : threads) thread.join();
  std::cout << to_string(serve(net, ones({1, 2})).type()) << "\n";
  // [nnx-serving]
}

TEST_F(TutorialModules, nnx_training) {
  // [nnx-training]
  nnx::Rngs rngs(0);
  Net net(32, 2, rngs);
  optim::Optimizer optimizer(net, optim::adam(0.02));
  auto step = jit([](Net& model, optim::Optimizer& opt, const Batch& batch) {
    auto [loss, gradients] = nnx::value_and_grad(
        [&](Net& m) { return cross_entropy(m(batch.x), batch.label); }, model);
    opt.update(model, gradients);
    return loss;
  });

  Key data(7);
  for (int i = 0; i < 200; ++i) {
    step(net, optimizer, make_batch(random::fold_in(data, static_cast<uint32_t>(i)), 64));
  }
  nnx::eval(net);                                              // dropout off
  Batch test = make_batch(Key(99), 1000);
  Tensor share = accuracy(net(test.x), test.label);
  std::cout << "step " << optimizer.step().item<int>() << ", better than 9 of 10: "
            << (share.item<float>() > 0.9f ? "yes" : "no") << "\n";
  // [nnx-training]
}

TEST_F(TutorialModules, nnx_split) {
  // [nnx-split]
  nnx::Rngs rngs(0);
  Net net(4, 2, rngs);
  auto [graphdef, params, rest] = nnx::split(net, nnx::of_type<nnx::Param>(), nnx::everything());
  std::cout << params.size() << " parameters, " << rest.size() << " others\n";
  Net same = nnx::merge<Net>(graphdef, params, rest);          // on the variables of `net`
  same.down.bias = ones({2});
  std::cout << Tensor(*net.down.bias) << "\n";
  nnx::State zero = tree::map(params, [](const Tensor& t) { return zeros_like(t); });
  nnx::update(net, zero);                                      // by path
  std::cout << sum(net.up.kernel.value()) << "\n";
  // [nnx-split]
}

// [nnx-block]
struct Block {
  nnx::Linear linear;
  nnx::Dropout drop;

  explicit Block(nnx::Rngs& rngs) : linear(16, 16, rngs), drop(0.1, rngs) {}
  LINNET_FIELDS(linear, drop)

  Tensor operator()(const Tensor& x) { return x + drop(tanh(linear(x))); }
};
// [nnx-block]

TEST_F(TutorialModules, nnx_ensemble) {
  // [nnx-ensemble]
  nnx::Rngs rngs(0);
  auto make = nnx::vmap([](nnx::Rngs& r) { return Net(4, 2, r); });
  Net nets = nnx::split_rngs({.splits = 5}, make)(rngs);       // five networks
  auto forward = nnx::vmap([](Net& net, const Tensor& x) { return net(x); },
                           {.in_axes = {0, nnx::kNone}});
  Tensor logits = forward(nets, ones({8, 2}));
  std::cout << to_string(nets.up.kernel.value().type()) << " " << to_string(logits.type()) << "\n";
  // [nnx-ensemble]
}

TEST_F(TutorialModules, nnx_layers) {
  // [nnx-layers]
  nnx::Rngs rngs(0);
  auto make = nnx::vmap([](nnx::Rngs& r) { return Block(r); });
  Block blocks = nnx::split_rngs({.splits = 12}, make)(rngs);  // twelve layers
  auto layers = nnx::scan(nnx::remat([](const Tensor& x, Block& block) { return block(x); }),
                          {.in_axes = {nnx::kCarry, 0}, .out_axes = {nnx::kCarry}});
  auto [loss, gradients] = nnx::value_and_grad(
      [&](Block& b) { return mean(square(layers(ones({4, 16}), b))); }, blocks);
  std::cout << to_string(gradients["linear"]["kernel"].value().type()) << "\n";
  std::cout << sum(blocks.drop.rngs->count()) << " keys drawn\n";
  // [nnx-layers]
}

TEST_F(TutorialModules, nnx_state_axes) {
  // [nnx-state-axes]
  nnx::Rngs rngs(0);
  Net net(32, 2, rngs);
  nnx::StateAxes axes{{nnx::of_type<nnx::RngState>(), 0}, {nnx::everything(), nnx::kNone}};
  const nnx::RestoreRngs after(nnx::split_rngs(net, {.splits = 100}));
  auto sample = nnx::vmap([](Net& n, const Tensor& x) { return n(x); },
                          {.in_axes = {axes, nnx::kNone}});
  Tensor samples = sample(net, ones({1, 2}));
  std::cout << to_string(samples.type()) << ", all the same: "
            << (sum(var(samples, Axes{0})).item<float>() > 0 ? "no" : "yes") << "\n";
  // [nnx-state-axes]
}

TEST_F(TutorialModules, to_nnx) {
  // [to-nnx]
  nnx::Rngs rngs(0);
  bridge::ToNNX model(Classifier{.hidden = 4}, rngs);          // functional model, used as an object
  model.lazy_init(zeros({1, 2}));                              // makes its variables
  Tensor y = model(ones({3, 2}));
  std::cout << to_string(y.type()) << " " << to_string(model["up"]["kernel"].shape()) << "\n";
  nnx::State params = nnx::state(model, nnx::of_type<nnx::Param>());
  for (const auto& [path, leaf] : params.entries()) {
    std::cout << tree::to_string(path) << "\n";
  }
  // [to-nnx]
}

TEST_F(TutorialModules, to_linen) {
  // [to-linen]
  auto model = bridge::to_linen<Net>(4, 2);                    // Net(4, 2, rngs), built by init
  auto [y, vars] = linen::init_with_output(model, {{"params", Key(0)}, {"dropout", Key(1)}},
                                           ones({3, 2}));
  Tensor kernel = vars["params"]["up"]["kernel"];
  std::cout << to_string(y.type()) << " " << to_string(kernel.type()) << "\n";
  Tensor z = linen::apply(model.method([](Net& net, const Tensor& x) { return net.up(x); }), vars,
                          ones({3, 2}));
  std::cout << to_string(z.type()) << "\n";
  // [to-linen]
}

// [mixed]
struct Mixed {
  Tensor operator()(linen::Scope& s, const Tensor& x) const {
    Tensor h = tanh(s("object", bridge::to_linen<nnx::Linear>(2, 8), x));
    return s("head", linen::Dense{.features = 2}, h);
  }
};
// [mixed]

TEST_F(TutorialModules, mixed_use) {
  // [mixed-use]
  linen::Variables vars = linen::init(Mixed{}, Key(0), ones({1, 2}));
  for (const auto& [path, leaf] : tree::leaves_with_path(linen::Variables(vars["params"]))) {
    std::cout << path << " " << to_string(leaf.type()) << "\n";
  }
  // [mixed-use]
}

TEST_F(TutorialModules, checkpoint) {
  const std::string folder =
      (std::filesystem::temp_directory_path() / "linnet_tutorial_checkpoint").string();
  std::filesystem::remove_all(folder);
  // [checkpoint]
  nnx::Rngs rngs(0);
  Net net(4, 2, rngs);
  net.down.bias = tensor({1.f, 2.f});
  save_checkpoint(folder, net, Json::Object{{"epoch", 3}});

  nnx::Rngs others(5);
  Net restored(4, 2, others);
  Json manifest = load_checkpoint(folder, restored);
  std::cout << "epoch " << manifest.at("epoch").as_integer() << " " << Tensor(*restored.down.bias) << "\n";
  // [checkpoint]
  std::filesystem::remove_all(folder);
}

}  // namespace
