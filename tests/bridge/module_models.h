// The bridge modules of tests/reference/cases/bridge_module.py.
#pragma once

#include "bridge/bridge_modules.h"
#include "linnet/bridge/interop.h"

namespace linnet::bridge_tests {

using bridge::Compact;
using bridge::Module;

struct BridgeDense : Module {
  static constexpr const char* kClassName = "Dense";
  int64_t features = 1;
  LINNET_FIELDS(features)

  Tensor operator()(const Tensor& x) {
    const Compact compact(*this);
    const Tensor w = param("w", init::lecun_normal(), {x.shape(-1), features});
    const Tensor b = param("b", init::normal(0.1), {features});
    return matmul(x, w) + b;
  }
};

struct CompactNet : Module {
  int64_t hidden = 1;
  nnx::Shared<BridgeDense> alias{};
  LINNET_FIELDS(hidden, alias)

  Tensor operator()(const Tensor& x) {
    const Compact compact(*this);
    const nnx::Shared<BridgeDense> first = submodule(BridgeDense{{}, hidden});
    attach(alias, first);
    const nnx::Shared<BridgeDense> named = submodule("named", BridgeDense{{}, 3});
    const Tensor h = (*named)((*first)(x));
    const Tensor scale = param("scale", [](const Key& key) { return random::normal(key, {}); });
    return (*submodule(BridgeDense{{}, 2}))(h)*scale;
  }
};

struct Leaf : Module {
  LINNET_FIELDS()
  void setup() {
    param("w", [](const Key& key) { return random::normal(key, {2}); });
  }
  Tensor operator()(const Tensor& x) { return x * attribute<nnx::Variable>("w").value(); }
};

struct ParentModule : Module {
  Leaf child{};
  nnx::Shared<Leaf> made{};
  std::vector<nnx::Shared<Leaf>> layers{};
  LINNET_FIELDS(child, made, layers)

  void setup() {
    const auto normal_pair = [](const Key& key) { return random::normal(key, {2}); };
    param("before", normal_pair);
    attach(made, Leaf{});
    attach(layers, {submodule("layer_0", Leaf{}), nnx::Shared<Leaf>::make()});
    param("after", normal_pair);
  }
  Tensor operator()(const Tensor& x) {
    const Tensor shift =
        attribute<nnx::Variable>("before").value() * attribute<nnx::Variable>("after").value();
    return (*layers[1])((*layers[0])((*made)(child(x)) + shift));
  }
};

struct CounterModule : Module {
  Tensor operator()(const Tensor& x) {
    const Compact compact(*this);
    nnx::Variable count = variable("counter", "count", [] { return zeros({}, DType::kI32); });
    count = count.value() + scalar_integer(1, DType::kI32);
    const Tensor bias = param("bias", init::normal(0.01), {2});
    return x + bias * count.value().astype(DType::kF32);
  }
};

/// A plain object layer that counts its calls.
struct CountingLayer {
  static constexpr const char* kClassName = "Layer";
  nnx::Linear linear;
  nnx::Dropout dropout;
  nnx::Intermediate count;
  CountingLayer(int64_t size, double rate, nnx::Rngs& rngs)
      : linear(size, size, {.use_bias = false}, rngs), dropout(rate, rngs), count(zeros({1})) {}
  LINNET_FIELDS(linear, dropout, count)

  Tensor operator()(const Tensor& x) {
    if (!bridge::current_module()->is_initializing()) count = count.value() + 1;
    return dropout(linear(x));
  }
};
inline CountingLayer make_layer(nnx::Rngs& rngs) { return CountingLayer(4, 0.5, rngs); }

struct CompactLayers : Module {
  Tensor operator()(const Tensor& x) {
    const Compact compact(*this);
    const Tensor h = (*bridge::nnx_in_bridge_mdl(make_layer))(x);
    return (*bridge::nnx_in_bridge_mdl(make_layer, "second"))(h);
  }
};

struct SetupLayers : Module {
  nnx::Shared<CountingLayer> first{}, second{};
  LINNET_FIELDS(first, second)
  void setup() {
    attach(first, bridge::nnx_in_bridge_mdl(make_layer));
    attach(second, bridge::nnx_in_bridge_mdl(make_layer));
  }
  Tensor operator()(const Tensor& x) { return (*second)((*first)(x)); }
};

struct FunctionalLayer {
  Tensor operator()(linen::Scope& s, const Tensor& x) const {
    s.sow("intermediates", "seen", sum(x));
    const Tensor h = s("linear", linen::Dense{.features = 3}, x);
    return s(linen::Dropout{.rate = 0.5, .deterministic = false}, h);
  }
};

struct CompactFunctional : Module {
  Tensor operator()(const Tensor& x) {
    const Compact compact(*this);
    const Tensor h = (*bridge::linen_in_bridge_mdl(FunctionalLayer{}))(x);
    return (*bridge::linen_in_bridge_mdl(FunctionalLayer{}, "second"))(h);
  }
};

struct HolderModule : Module {
  nnx::Shared<Leaf> dense{};
  LINNET_FIELDS(dense)
  Tensor operator()(const Tensor& x) { return (*dense)(x); }
};

struct SharedModules : Module {
  bool first = false;
  nnx::Shared<Leaf> zzz{}, dense{};
  nnx::Shared<HolderModule> aaa{};
  LINNET_FIELDS(first, zzz, dense, aaa)
  void setup() {
    attach(zzz, Leaf{});
    attach(aaa, HolderModule{{}, zzz});
    attach(dense, zzz);
    if (first) set_attr_priority("zzz", bridge::AttrPriority::kHigh);
  }
  Tensor operator()(const Tensor& x) { return (*aaa)(x) + (*dense)(x); }
};

struct AnnotatedModule : Module {
  Tensor operator()(const Tensor& x) {
    const Compact compact(*this);
    const auto annotated = bridge::with_partitioning(init::lecun_normal(), {"in", "out"});
    const Tensor w = param("w", annotated, {2, 6});
    return matmul(x, w) + param("b", init::ones(), {6}).value();
  }
};

/// The names of all variables, collection first.
inline std::vector<std::string> paths_of(const linen::Variables& variables) {
  std::vector<std::string> out;
  for (const auto& [path, leaf] : linen::flat_leaves(variables))
    out.push_back(tree::to_string(path));
  return out;
}
using Paths = std::vector<std::string>;

}  // namespace linnet::bridge_tests
