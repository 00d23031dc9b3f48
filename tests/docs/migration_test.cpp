// The pieces of docs/migration.md: a functional model becomes an object model, step by step.
#include <filesystem>
#include <iostream>

#include "tests/docs/documents.h"

// [migration-headers]
#include <linnet/bridge/checkpoint.h>
#include <linnet/bridge/compare.h>
#include <linnet/bridge/interop.h>
#include <linnet/linnet.h>

using namespace linnet;
// [migration-headers]

namespace {

// [migration-legacy]
struct Encoder {                                               // the model that is there
  int64_t width = 8;

  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const {
    Tensor h = s("dense", linen::Dense{.features = width}, x);
    h = s("norm", linen::BatchNorm{.momentum = 0.9}, h, !train);
    h = s("drop", linen::Dropout{.rate = 0.1}, tanh(h), !train);
    linen::ScopeVariable calls = s.variable("counter", "calls", [] { return zeros({}); });
    if (train) calls.set(calls.value() + 1);
    return s("out", linen::Dense{.features = 4}, h);
  }
};

linen::Variables legacy_variables() {                          // and its trained variables
  return linen::init(Encoder{}, {{"params", Key(0)}, {"dropout", Key(1)}}, ones({1, 3}), false);
}
// [migration-legacy]

class Migration : public docs::Snippet {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(folder);
    Snippet::SetUp();
  }
  void TearDown() override {
    Snippet::TearDown();
    std::filesystem::remove_all(folder);
  }
  const std::string folder = ::testing::TempDir() + "linnet_migration";
};

// [migration-inside]
struct Classifier {
  bridge::ToNNX<Encoder> encoder;                              // legacy, untouched
  nnx::Linear head;

  explicit Classifier(nnx::Rngs& rngs) : encoder(Encoder{}, rngs), head(4, 2, rngs) {}
  LINNET_FIELDS(encoder, head)

  Tensor operator()(const Tensor& x, bool train) {
    return head(encoder.call({.mutate = train}, x, train));    // counters and averages move
  }
};
// [migration-inside]

TEST_F(Migration, migration_inside_use) {
  // [migration-inside-use]
  nnx::Rngs rngs{{"params", Key(2)}, {"dropout", Key(3)}};
  Classifier model(rngs);
  bridge::lazy_init(model, ones({1, 3}), false);               // the encoder makes its variables
  model.encoder.attributes() = bridge::linen_vars_to_nnx_attrs(legacy_variables());
  nnx::State state = nnx::state(model, nnx::not_(nnx::of_type<nnx::RngState>()));
  for (const auto& [path, leaf] : state.entries()) {
    std::cout << tree::to_string(path) << " " << nnx::variable_name_from_type(*leaf.type()) << "\n";
  }
  model(ones({2, 3}), true);
  std::cout << "calls " << model.encoder["calls"].value().item<float>() << "\n";
  // [migration-inside-use]
}

// [migration-object]
struct Calls : nnx::VariableOf<Calls> {                        // the collection `counter`
  using VariableOf::VariableOf;
  using VariableOf::operator=;
};

struct ObjectEncoder {                                         // the same, written anew
  nnx::Linear dense;
  nnx::BatchNorm norm;
  nnx::Dropout drop;
  nnx::Linear out;
  Calls calls{zeros({})};

  explicit ObjectEncoder(nnx::Rngs& rngs)
      : dense(3, 8, rngs), norm(8, {.momentum = 0.9}, rngs), drop(0.1, rngs), out(8, 4, rngs) {}
  LINNET_FIELDS(dense, norm, drop, out, calls)

  Tensor operator()(const Tensor& x, bool train) {
    Tensor h = drop(tanh(norm(dense(x), !train)), !train);
    if (train) calls = calls.value() + 1;
    return out(h);
  }
};
// [migration-object]

void name_collections() { nnx::register_variable_name("counter", Calls::static_type(), true); }

TEST_F(Migration, migration_weights) {
  // [migration-weights]
  nnx::register_variable_name("counter", Calls::static_type(), true);
  nnx::Rngs rngs(0);
  ObjectEncoder object(rngs);
  linen::Variables legacy = legacy_variables();
  bridge::update(object, legacy);                              // by collection and path
  Tensor x = random::normal(Key(5), {4, 3});
  bridge::Comparison found = bridge::compare(object, legacy);
  std::cout << to_string(found);
  std::cout << max(abs(object(x, false) - linen::apply(Encoder{}, legacy, x, false))) << "\n";
  // [migration-weights]
}

TEST_F(Migration, migration_compare) {
  name_collections();
  // [migration-compare]
  nnx::Rngs rngs(0);
  ObjectEncoder object(rngs);
  linen::Variables legacy = legacy_variables();
  bridge::update(object, legacy);
  object.out.bias = object.out.bias.value() + 0.25;            // something went wrong
  Tensor x = random::normal(Key(5), {4, 3});
  bridge::Comparison found = bridge::compare_calls(
      [&] { return object(x, false); },
      [&] { return linen::apply(Encoder{}, legacy, x, false); }, {.tolerance = 1e-6});
  std::cout << to_string(bridge::compare(object, legacy)) << to_string(found);
  // [migration-compare]
}

TEST_F(Migration, migration_checkpoint) {
  name_collections();
  // [migration-checkpoint]
  save_checkpoint(folder, legacy_variables(), Json::Object{{"epoch", 12}});   // by the old program
  nnx::Rngs rngs(0);
  ObjectEncoder object(rngs);
  Json manifest = bridge::load_checkpoint(folder, object);     // by the new one
  std::cout << "epoch " << manifest.at("epoch").as_integer() << ", equal: "
            << (bridge::compare(object, legacy_variables()).equal() ? "yes" : "no") << "\n";
  save_checkpoint(folder, object);                             // and the way back
  linen::Variables legacy = legacy_variables();
  bridge::load_checkpoint(folder, legacy);
  // [migration-checkpoint]
}

// [migration-part]
struct HalfWay {
  Tensor operator()(linen::Scope& s, const Tensor& x) const {
    Tensor h = tanh(s("dense", bridge::to_linen<nnx::Linear>(3, 8), x));   // an object layer
    return s("out", linen::Dense{.features = 4}, h);
  }
};
// [migration-part]

TEST_F(Migration, migration_part_use) {
  // [migration-part-use]
  linen::Variables legacy = legacy_variables();
  linen::Variables params{{"params", {{"dense", legacy["params"]["dense"]},
                                      {"out", legacy["params"]["out"]}}}};
  Tensor y = linen::apply(HalfWay{}, params, ones({2, 3}));    // variables of the old layers fit
  std::cout << to_string(y.type()) << "\n";
  linen::Variables fresh = linen::init(HalfWay{}, Key(0), ones({2, 3}));
  std::cout << fresh["nnx"]["dense"].keys()[0] << "\n";        // what the object layer adds
  // [migration-part-use]
}

TEST_F(Migration, migration_modes) {
  // [migration-modes]
  nnx::Rngs rngs(0);
  ObjectEncoder object(rngs);
  Tensor x = random::normal(Key(5), {16, 3});
  // Before: what changes is named, comes back beside the output, and is merged by hand.
  linen::Variables vars = legacy_variables();
  linen::ApplyOptions options{.mutate = {"batch_stats", "counter"}, .rngs = {{"dropout", Key(1)}}};
  auto [y, updates] = linen::apply_with(options, Encoder{}, vars, x, true);
  vars = vars | updates;
  // Now: the object has changed.
  object(x, true);
  std::cout << vars["counter"]["calls"].value() << " " << Tensor(object.calls) << "\n";
  // [migration-modes]
}

TEST_F(Migration, migration_training) {
  // [migration-training]
  Tensor x = random::normal(Key(5), {16, 3}), target = zeros({16, 4});
  // Before: gradients and updates of a dictionary.
  linen::Variables vars = legacy_variables();
  linen::Variables params{{"params", vars["params"]}};
  auto tx = optim::adam(0.01);
  auto state = tx.init(params);
  auto [loss, gradient] = value_and_grad([&](const linen::Variables& p) {
    return mean(square(linen::apply(Encoder{}, vars | p, x, false) - target));
  })(params);
  optim::step(tx, params, gradient, state);
  // Now: of the object's parameters.
  nnx::Rngs rngs(0);
  ObjectEncoder object(rngs);
  bridge::update(object, vars);
  optim::Optimizer optimizer(object, optim::adam(0.01));
  auto [same_loss, gradients] = nnx::value_and_grad(
      [&](ObjectEncoder& m) { return mean(square(m(x, false) - target)); }, object);
  optimizer.update(object, gradients);
  Tensor before = params["params"]["out"]["bias"], now = *object.out.bias;
  std::cout << "the same step: " << (all(abs(before - now) < 1e-6).item<bool>() ? "yes" : "no")
            << ", from the same loss: " << (abs(loss - same_loss).item<float>() < 1e-6f ? "yes" : "no")
            << "\n";
  // [migration-training]
}

// [migration-stack]
struct Layer {
  std::pair<Tensor, std::tuple<>> operator()(linen::Scope& s, const Tensor& h) const {
    return {h + tanh(s("dense", linen::Dense{.features = 4}, h)), {}};
  }
};
struct ObjectLayer {
  nnx::Linear dense;
  explicit ObjectLayer(nnx::Rngs& rngs) : dense(4, 4, rngs) {}
  LINNET_FIELDS(dense)
  Tensor operator()(const Tensor& h) { return h + tanh(dense(h)); }
};
// [migration-stack]

TEST_F(Migration, migration_stack_use) {
  // [migration-stack-use]
  auto deep = linen::scan(Layer{}, {.variable_axes = {{"params", 0}},
                                    .split_rngs = {{"params", true}}, .length = 6});
  Tensor x = ones({2, 4});
  linen::Variables vars = linen::init(deep, Key(0), x);        // kernel f32[6,4,4]

  auto make = nnx::vmap([](nnx::Rngs& r) { return ObjectLayer(r); });
  nnx::Rngs rngs(0);
  ObjectLayer layers = nnx::split_rngs({.splits = 6}, make)(rngs);
  bridge::update(layers, vars);                                // stacked as well
  auto forward = nnx::scan([](const Tensor& h, ObjectLayer& layer) { return layer(h); },
                           {.in_axes = {nnx::kCarry, 0}, .out_axes = {nnx::kCarry}});
  Tensor y = forward(x, layers);
  bool same = all(abs(y - linen::apply(deep, vars, x).first) < 1e-6).item<bool>();
  std::cout << to_string(vars["params"]["dense"]["kernel"].shape()) << ", equal: "
            << (same ? "yes" : "no") << "\n";
  // [migration-stack-use]
}

TEST_F(Migration, migration_metadata) {
  // [migration-metadata]
  linen::Variables legacy;
  legacy.at_path({"params", "kernel"}) = linen::partitioned(ones({3, 8}), {"in", "out"});
  nnx::Variable kernel = bridge::to_nnx_var("params", legacy["params"]["kernel"]);
  std::cout << to_string(kernel.metadata()) << "\n";
  linen::Variables back = bridge::to_linen_var(kernel);
  std::cout << back.box()->kind << "\n";
  // [migration-metadata]
}

// [migration-module]
struct ModuleEncoder : bridge::Module {
  int64_t width = 8;
  LINNET_FIELDS(width)

  Tensor operator()(const Tensor& x, bool train) {
    const bridge::Compact compact(*this);                      // as a functional module, but the
    auto dense = bridge::linen_in_bridge_mdl(linen::Dense{.features = width}, "dense");
    auto norm = bridge::nnx_in_bridge_mdl(                     // parts are objects of either API
        [&](nnx::Rngs& r) { return nnx::BatchNorm(width, {.momentum = 0.9}, r); }, "norm");
    nnx::Variable calls = variable("counter", "calls", [] { return zeros({}); });
    if (train) calls = calls.value() + 1;
    auto out = bridge::linen_in_bridge_mdl(linen::Dense{.features = 4}, "out");
    return (*out)(tanh((*norm)((*dense)(x), !train)));
  }
};
// [migration-module]

TEST_F(Migration, migration_module_use) {
  // [migration-module-use]
  Tensor x = random::normal(Key(5), {4, 3});
  auto [y, all] = bridge::apply_with({.mutate = true, .rngs = 0}, ModuleEncoder{},
                                     legacy_variables(), x, true);
  std::cout << all["counter"]["calls"].value() << "\n";
  auto [z, nothing] = bridge::apply_with({.rngs = 0}, ModuleEncoder{}, legacy_variables(), x, false);
  std::cout << max(abs(z - linen::apply(Encoder{}, legacy_variables(), x, false))) << "\n";
  // [migration-module-use]
}

}  // namespace
