#include "bridge/random_layers.h"

#include "linnet/linen/layers_weight_norm.h"
#include "linnet/nnx/layers_activation.h"
#include "linnet/nnx/layers_lora.h"

namespace linnet::bridge_tests {
namespace {

/// Of the vectors that layers over sequences and channels see in a row.
constexpr int64_t kChannels = 4;

/// What a kind need not say.
struct OnRows {
  static constexpr bool kOwnWidth = false;
  static Tensor before(const Tensor& x) { return x; }
  static Tensor after(const Tensor&, const Tensor& y) { return y; }
  template <class F>
  static Tensor call_functional(const TreeSpec&, const F& f, const Tensor& x, bool) {
    return f(x);
  }
  template <class F>
  static Tensor call_object(const TreeSpec&, const F& f, const Tensor& x, bool) {
    return f(x);
  }
};
/// Rows as sequences of vectors.
struct OnSequences : OnRows {
  static Tensor before(const Tensor& x) { return x.reshape({x.shape(0), -1, kChannels}); }
  static Tensor after(const Tensor& x, const Tensor& y) { return y.reshape({x.shape(0), -1}); }
};

struct EinsumKind : OnRows {
  static constexpr const char* kName = "Einsum";
  static constexpr bool kOwnWidth = true;
  using Object = nnx::Einsum;
  static auto functional(const TreeSpec& n) {
    return linen::Einsum{.shape = Shape{n.in, n.out}, .equation = "bi,io->bo"};
  }
  static auto arguments(const TreeSpec& n) {
    return std::tuple(std::string("bi,io->bo"), Shape{n.in, n.out},
                      std::optional<Shape>(Shape{n.out}));
  }
};

struct DenseGeneralKind : OnSequences {
  static constexpr const char* kName = "DenseGeneral";
  static constexpr bool kOwnWidth = true;
  using Object = nnx::LinearGeneral;
  static auto functional(const TreeSpec& n) {
    return linen::DenseGeneral{.features = Shape{n.out / kChannels, kChannels}, .axis = {-2, -1}};
  }
  static auto arguments(const TreeSpec& n) {
    return std::tuple(Shape{n.in / kChannels, kChannels}, Shape{n.out / kChannels, kChannels},
                      nnx::LinearGeneralOptions{.axis = {-2, -1}});
  }
};

/// Adds the vector of the largest element.
struct EmbedKind : OnRows {
  static constexpr const char* kName = "Embed";
  using Object = nnx::Embed;
  static Tensor before(const Tensor& x) { return argmax(x, -1); }
  static Tensor after(const Tensor& x, const Tensor& y) { return x + y; }
  static auto functional(const TreeSpec& n) {
    return linen::Embed{.num_embeddings = n.in, .features = n.in};
  }
  static auto arguments(const TreeSpec& n) { return std::tuple(n.in, n.in); }
};

struct ConvKind : OnSequences {
  static constexpr const char* kName = "Conv";
  using Object = nnx::Conv;
  static auto functional(const TreeSpec&) {
    return linen::Conv{.features = kChannels, .kernel = 3, .feature_group_count = 2};
  }
  static auto arguments(const TreeSpec&) {
    return std::tuple(kChannels, kChannels, nnx::PerDimension(3),
                      nnx::ConvOptions{.feature_group_count = 2});
  }
};

struct ConvTransposeKind : OnSequences {
  static constexpr const char* kName = "ConvTranspose";
  using Object = nnx::ConvTranspose;
  static auto functional(const TreeSpec&) {
    return linen::ConvTranspose{.features = kChannels, .kernel = 2};
  }
  static auto arguments(const TreeSpec&) {
    return std::tuple(kChannels, kChannels, nnx::PerDimension(2));
  }
};

struct GroupNormKind : OnSequences {
  static constexpr const char* kName = "GroupNorm";
  using Object = nnx::GroupNorm;
  static auto functional(const TreeSpec&) { return linen::GroupNorm{.num_groups = 2}; }
  static auto arguments(const TreeSpec&) {
    return std::tuple(kChannels, nnx::GroupNormOptions{.num_groups = 2});
  }
};

struct InstanceNormKind : OnSequences {
  static constexpr const char* kName = "InstanceNorm";
  using Object = nnx::InstanceNorm;
  static auto functional(const TreeSpec&) { return linen::InstanceNorm{}; }
  static auto arguments(const TreeSpec&) { return std::tuple(kChannels); }
};

struct RMSNormKind : OnRows {
  static constexpr const char* kName = "RMSNorm";
  using Object = nnx::RMSNorm;
  static auto functional(const TreeSpec&) { return linen::RMSNorm{}; }
  static auto arguments(const TreeSpec& n) { return std::tuple(n.in); }
};

struct PReLUKind : OnRows {
  static constexpr const char* kName = "PReLU";
  using Object = nnx::PReLU;
  static auto functional(const TreeSpec&) { return linen::PReLU{}; }
  static auto arguments(const TreeSpec&) { return std::tuple<>(); }
};

struct AttentionKind : OnSequences {
  static constexpr const char* kName = "SelfAttention";
  using Object = nnx::SelfAttention;
  static auto functional(const TreeSpec& n) {
    return linen::SelfAttention{.heads = 2, .causal = true, .dropout_rate = n.rate};
  }
  static auto arguments(const TreeSpec& n) {
    return std::tuple(kChannels, int64_t{2},
                      nnx::AttentionOptions{.causal = true, .dropout_rate = n.rate});
  }
  template <class F>
  static Tensor call_functional(const TreeSpec&, const F& f, const Tensor& x, bool train) {
    return f(x, linen::AttentionCall{.deterministic = !train});
  }
  template <class F>
  static Tensor call_object(const TreeSpec&, const F& f, const Tensor& x, bool train) {
    return f(x, nnx::AttentionCall{.deterministic = !train});
  }
};

/// Dropout with a key of the layer's number: it is the same in whatever style, and at every call.
struct KeyedDropoutKind : OnRows {
  static constexpr const char* kName = "KeyedDropout";
  static constexpr double kRate = 0.25;
  using Object = nnx::Dropout;
  static auto functional(const TreeSpec&) { return linen::Dropout{.rate = kRate}; }
  static auto arguments(const TreeSpec&) { return std::tuple(kRate); }
  template <class F>
  static Tensor call_functional(const TreeSpec& n, const F& f, const Tensor& x, bool train) {
    return f(x, std::optional<bool>(!train), std::optional<Key>(Key(n.number)));
  }
  template <class F>
  static Tensor call_object(const TreeSpec& n, const F& f, const Tensor& x, bool train) {
    return f(x, Key(n.number), std::optional<bool>(!train));
  }
};

/// Its scales have other places in the object API.
struct WeightNormKind : OnRows {
  static constexpr const char* kName = "WeightNorm";
  static constexpr bool kOwnWidth = true;
  static auto functional(const TreeSpec& n) {
    return linen::WeightNorm{linen::Dense{.features = n.out}};
  }
};
/// So have its estimates.
struct SpectralNormKind : OnRows {
  static constexpr const char* kName = "SpectralNorm";
  static constexpr bool kOwnWidth = true;
  static auto functional(const TreeSpec& n) {
    return linen::SpectralNorm{linen::Dense{.features = n.out}};
  }
  template <class F>
  static Tensor call_functional(const TreeSpec&, const F& f, const Tensor& x, bool train) {
    return f(train, x);
  }
};

/// Cells of the two APIs name their layers differently: each is a kind of its own.
struct FunctionalRNNKind : OnSequences {
  static constexpr const char* kName = "FunctionalRNN";
  static auto functional(const TreeSpec&) {
    return linen::Bidirectional{linen::RNN{linen::OptimizedLSTMCell{.features = kChannels / 2}},
                                linen::RNN{linen::GRUCell{.features = kChannels / 2}}};
  }
};
struct ObjectRNN {
  nnx::RNN<nnx::SimpleCell> rnn;
  explicit ObjectRNN(nnx::Rngs& rngs) : rnn(nnx::SimpleCell(kChannels, kChannels, rngs)) {}
  LINNET_FIELDS(rnn)
  Tensor operator()(const Tensor& x) { return rnn(x); }
};
struct ObjectRNNKind : OnSequences {
  static constexpr const char* kName = "ObjectRNN";
  using Object = ObjectRNN;
  static auto arguments(const TreeSpec&) { return std::tuple<>(); }
};

struct LoRAKind : OnRows {
  static constexpr const char* kName = "LoRALinear";
  static constexpr bool kOwnWidth = true;
  using Object = nnx::LoRALinear;
  static auto arguments(const TreeSpec& n) { return std::tuple(n.in, n.out, int64_t{2}); }
};

template <class Kind>
concept HasFunctional = requires(const TreeSpec& node) { Kind::functional(node); };
template <class Kind>
concept HasObject = requires { typename Kind::Object; };

template <class Kind>
auto object_as_functional(const TreeSpec& node) {
  return std::apply(
      [](const auto&... argument) { return bridge::to_linen<typename Kind::Object>(argument...); },
      Kind::arguments(node));
}

template <class T>
constexpr bool is_wrapper = false;
template <class M>
constexpr bool is_wrapper<bridge::ToNNX<M>> = true;

/// @tparam Functional: called as the functional layer is.
template <class Kind, class Layer, bool kFunctional>
class HeldLayer final : public ObjectLayer {
 public:
  HeldLayer(TreeSpecPtr node, Layer layer) : node_(std::move(node)), layer_(std::move(layer)) {}
  std::unique_ptr<ObjectLayer> copy() const override { return std::make_unique<HeldLayer>(*this); }
  void visit(tree::Visitor& visitor) override { tree::visit(layer_, visitor); }
  Tensor operator()(const Tensor& x, bool train) override {
    const auto f = [&](const auto&... a) -> Tensor {
      if constexpr (is_wrapper<Layer>)
        return layer_.call({.mutate = {"batch_stats"}}, a...);
      else
        return layer_(a...);
    };
    if constexpr (kFunctional)
      return Kind::after(x, Kind::call_functional(*node_, f, Kind::before(x), train));
    else
      return Kind::after(x, Kind::call_object(*node_, f, Kind::before(x), train));
  }

 private:
  TreeSpecPtr node_;
  Layer layer_;
};

template <class Kind>
class KindOf final : public LayerKind {
 public:
  std::string name() const override { return Kind::kName; }
  bool has_own_width() const override { return Kind::kOwnWidth; }

  Tensor call(linen::Scope& s, const std::string& name, const TreeSpecPtr& node, const Tensor& x,
              bool train, bool other) const override {
    const Tensor h = Kind::before(x);
    const auto in_scope = [&](const auto& module) {
      return [&](const auto&... a) -> Tensor { return s(name, module, a...); };
    };
    if constexpr (HasObject<Kind>) {
      if (other || !HasFunctional<Kind>) {
        const auto module = object_as_functional<Kind>(*node);
        return Kind::after(x, Kind::call_object(*node, in_scope(module), h, train));
      }
    }
    if constexpr (HasFunctional<Kind>) {
      const auto module = Kind::functional(*node);
      using Wrapped = bridge::ToNNX<std::decay_t<decltype(module)>>;
      if (other) {
        const auto there_and_back = bridge::to_linen<Wrapped>(module);
        return Kind::after(x, Kind::call_functional(*node, in_scope(there_and_back), h, train));
      }
      return Kind::after(x, Kind::call_functional(*node, in_scope(module), h, train));
    }
  }

  AnyLayer make(const TreeSpecPtr& node, bool other, nnx::Rngs& rngs) const override {
    if constexpr (HasFunctional<Kind>) {
      if (other || !HasObject<Kind>) {
        using Wrapped = bridge::ToNNX<std::decay_t<decltype(Kind::functional(*node))>>;
        return initialised(node, held<Wrapped, true>(node, Wrapped(Kind::functional(*node), rngs)));
      }
    }
    if constexpr (HasObject<Kind>) {
      if (other) {
        using Wrapped = bridge::ToNNX<bridge::ToLinen<typename Kind::Object>>;
        return initialised(
            node, held<Wrapped, false>(node, Wrapped(object_as_functional<Kind>(*node), rngs)));
      }
      return held<typename Kind::Object, false>(
          node, bridge::detail::construct<typename Kind::Object>(Kind::arguments(*node), rngs));
    }
  }

 private:
  template <class Layer, bool kFunctional>
  static AnyLayer held(const TreeSpecPtr& node, Layer layer) {
    return AnyLayer(std::make_unique<HeldLayer<Kind, Layer, kFunctional>>(node, std::move(layer)));
  }
  /// As a tree in the other style is.
  static AnyLayer initialised(const TreeSpecPtr& node, AnyLayer layer) {
    if (node->rate > 0) bridge::lazy_init(layer, zeros({1, node->in}), false);
    return layer;
  }
};

template <class... Kind>
std::vector<const LayerKind*> instances() {
  static const std::tuple<KindOf<Kind>...> all;
  return std::apply([](const auto&... kind) { return std::vector<const LayerKind*>{&kind...}; },
                    all);
}

}  // namespace

const std::vector<const LayerKind*>& further_kinds() {
  static const std::vector<const LayerKind*> kinds =
      instances<EinsumKind, DenseGeneralKind, EmbedKind, ConvKind, ConvTransposeKind, GroupNormKind,
                InstanceNormKind, RMSNormKind, PReLUKind, AttentionKind, KeyedDropoutKind,
                WeightNormKind, SpectralNormKind, FunctionalRNNKind, ObjectRNNKind, LoRAKind>();
  return kinds;
}

}  // namespace linnet::bridge_tests
