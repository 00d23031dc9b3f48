// Random trees of layers, written in every style and wrapped into each other at random places.
#pragma once

#include <random>
#include <variant>

#include "bridge/bridge_modules.h"
#include "linnet/bridge/interop.h"

namespace linnet::bridge_tests {

class LayerKind;

/// What a tree is made of, whatever style it is written in.
struct TreeSpec {
  enum Kind : uint8_t { kDense, kLayerNorm, kBatchNorm, kDropout, kTree, kOther };
  Kind kind = kTree;
  int64_t in = 1, out = 1;
  double rate = 0;  ///< of dropout; above 0 wrapped trees make their variables when constructed
  bool residual = false;   ///< of a tree of equal width
  bool other_api = false;  ///< written in the other style, where wrapping is on
  std::vector<std::shared_ptr<const TreeSpec>> children;
  const LayerKind* layer = nullptr;  ///< of kOther
  int64_t number = 0;                ///< of a layer of kOther, for what is its own

  std::string name_of(size_t child) const { return "c" + std::to_string(child); }
};
using TreeSpecPtr = std::shared_ptr<const TreeSpec>;

/// A layer of an object tree whose type the tree does not know.
class ObjectLayer {
 public:
  virtual ~ObjectLayer() = default;
  virtual std::unique_ptr<ObjectLayer> copy() const = 0;
  virtual void visit(tree::Visitor& visitor) = 0;
  virtual Tensor operator()(const Tensor& x, bool train) = 0;
};

/// Copied with its layer, as a member would be.
class AnyLayer {
 public:
  explicit AnyLayer(std::unique_ptr<ObjectLayer> layer) : layer_(std::move(layer)) {}
  AnyLayer(const AnyLayer& other) : layer_(other.layer_->copy()) {}
  AnyLayer(AnyLayer&&) = default;
  AnyLayer& operator=(AnyLayer&&) = default;
  void visit(tree::Visitor& visitor) { layer_->visit(visitor); }
  Tensor operator()(const Tensor& x, bool train) { return (*layer_)(x, train); }

 private:
  std::unique_ptr<ObjectLayer> layer_;
};

/// A kind of layer besides the four that every tree may have (random_layers.h).
class LayerKind {
 public:
  virtual ~LayerKind() = default;
  virtual std::string name() const = 0;
  /// Whether its results may be of another width than its input.
  virtual bool has_own_width() const = 0;
  /// Calls it in a functional tree; `other`: as an object layer.
  virtual Tensor call(linen::Scope& s, const std::string& name, const TreeSpecPtr& node,
                      const Tensor& x, bool train, bool other) const = 0;
  /// For an object tree; `other`: a functional layer.
  virtual AnyLayer make(const TreeSpecPtr& node, bool other, nnx::Rngs& rngs) const = 0;
};

struct TreeOptions {
  double rate = 0;
  int64_t unit = 1;                          ///< of the widths of layers
  std::vector<const LayerKind*> kinds = {};  ///< further ones
};

/// A layer of a tree, which is dense if `dense`.
inline TreeSpecPtr random_layer(std::mt19937& random, int64_t width, bool dense,
                                const TreeOptions& options) {
  const auto below = [&](size_t n) { return static_cast<int64_t>(random() % n); };
  auto layer = std::make_shared<TreeSpec>();
  const int64_t kind = dense ? TreeSpec::kDense : below(4 + options.kinds.size());
  layer->kind = kind < 4 ? static_cast<TreeSpec::Kind>(kind) : TreeSpec::kOther;
  if (kind >= 4) {
    layer->layer = options.kinds.at(static_cast<size_t>(kind - 4));
    layer->number = below(1 << 20);
  }
  layer->in = width;
  layer->rate = options.rate;
  const bool own_width = layer->layer ? layer->layer->has_own_width() : kind == TreeSpec::kDense;
  layer->out = own_width ? options.unit * (2 + below(4)) : width;
  layer->other_api = below(layer->layer ? 2 : 3) == 0;
  return layer;
}

/// The same tree for the same numbers; one that `has_dense` begins with a dense layer. (In Python,
/// without further kinds: reference/cases/random_models.py.)
inline TreeSpecPtr random_tree(std::mt19937& random, int64_t width, int depth,
                               bool has_dense = false, const TreeOptions& options = {}) {
  const auto below = [&](uint32_t n) { return static_cast<int64_t>(random() % n); };
  auto out = std::make_shared<TreeSpec>();
  out->in = width;
  out->rate = options.rate;
  out->other_api = below(2) == 1;
  int64_t now = width;
  const int64_t count = 2 + below(3);
  for (int64_t i = 0; i < count; ++i) {
    const bool dense = has_dense && i == 0;
    if (depth > 0 && !dense && below(3) == 0) {
      out->children.push_back(random_tree(random, now, depth - 1, false, options));
    } else {
      out->children.push_back(random_layer(random, now, dense, options));
    }
    now = out->children.back()->out;
  }
  out->out = now;
  out->residual = now == width && below(2) == 1;
  return out;
}

struct ObjectTree;

/// In the functional style; `wraps`: nodes of the other style are object modules.
struct FunctionalTree {
  TreeSpecPtr spec;
  bool wraps = false;
  LINNET_FIELDS(spec, wraps)

  Tensor operator()(linen::Scope& s, const Tensor& x, bool train) const;
  Tensor child(linen::Scope& s, const std::string& name, const TreeSpecPtr& node, const Tensor& x,
               bool train) const;
  /// The same of a node in the other style.
  Tensor wrapped(linen::Scope& s, const std::string& name, const TreeSpecPtr& node, const Tensor& x,
                 bool train) const;
};

/// In the object style; `wraps`: nodes of the other style are functional modules.
using ObjectNode = std::variant<nnx::Linear, nnx::LayerNorm, nnx::BatchNorm, nnx::Dropout, AnyLayer,
                                nnx::Shared<ObjectTree>, bridge::ToNNX<FunctionalTree>>;
struct ObjectTree {
  std::map<std::string, ObjectNode> children;
  bool residual = false;

  ObjectTree(const TreeSpecPtr& spec, bool wraps, nnx::Rngs& rngs);
  Tensor operator()(const Tensor& x, bool train);
};

}  // namespace linnet::bridge_tests

namespace linnet::tree {
template <>
struct Traits<bridge_tests::AnyLayer> {
  static void visit(bridge_tests::AnyLayer& layer, Visitor& visitor) { layer.visit(visitor); }
};

/// Children directly under the tree, as submodules of a functional one are.
template <>
struct Traits<bridge_tests::ObjectTree> {
  static void visit(bridge_tests::ObjectTree& object, Visitor& visitor) {
    visitor.enter(typeid(object), object.children.size() + 1);
    visitor.child(std::string_view("residual"));
    visitor.fixed(typeid(bool), object.residual ? "1" : "0");
    for (auto& [name, node] : object.children) {
      visitor.child(std::string_view(name));
      tree::visit(node, visitor);
    }
    visitor.leave();
  }
};
}  // namespace linnet::tree

namespace linnet::bridge_tests {

inline ObjectNode object_node(const TreeSpecPtr& node, bool wraps, nnx::Rngs& rngs) {
  switch (node->kind) {
    case TreeSpec::kDense:
      return nnx::Linear(node->in, node->out, rngs);
    case TreeSpec::kLayerNorm:
      return nnx::LayerNorm(node->in, rngs);
    case TreeSpec::kBatchNorm:
      return nnx::BatchNorm(node->in, {.momentum = 0.9}, rngs);
    case TreeSpec::kDropout:
      return nnx::Dropout(node->rate, rngs);
    case TreeSpec::kOther:
      return node->layer->make(node, wraps && node->other_api, rngs);
    case TreeSpec::kTree:
      break;
  }
  if (wraps && node->other_api) {
    bridge::ToNNX<FunctionalTree> tree(FunctionalTree{node, true}, rngs);
    if (node->rate > 0) bridge::lazy_init(tree, zeros({1, node->in}), false);
    return tree;
  }
  return nnx::Shared<ObjectTree>::make(node, wraps, rngs);
}

inline ObjectTree::ObjectTree(const TreeSpecPtr& spec, bool wraps, nnx::Rngs& rngs)
    : residual(spec->residual) {
  for (size_t i = 0; i < spec->children.size(); ++i)
    children.emplace(spec->name_of(i), object_node(spec->children[i], wraps, rngs));
}

inline Tensor call_node(ObjectNode& node, const Tensor& x, bool train) {
  struct Call {
    const Tensor& x;
    bool train;
    Tensor operator()(nnx::Linear& layer) const { return layer(x); }
    Tensor operator()(nnx::LayerNorm& layer) const { return layer(x); }
    Tensor operator()(nnx::BatchNorm& layer) const { return layer(x, !train); }
    Tensor operator()(nnx::Dropout& layer) const { return layer(x, !train); }
    Tensor operator()(AnyLayer& layer) const { return layer(x, train); }
    Tensor operator()(nnx::Shared<ObjectTree>& tree) const { return (*tree)(x, train); }
    Tensor operator()(bridge::ToNNX<FunctionalTree>& tree) const {
      return tree.call({.mutate = {"batch_stats"}}, x, train);
    }
  };
  return std::visit(Call{x, train}, node);
}

inline Tensor ObjectTree::operator()(const Tensor& x, bool train) {
  Tensor h = x;
  for (auto& [name, node] : children) h = call_node(node, h, train);
  return residual ? x + h : h;
}

inline Tensor FunctionalTree::wrapped(linen::Scope& s, const std::string& name,
                                      const TreeSpecPtr& node, const Tensor& x, bool train) const {
  switch (node->kind) {
    case TreeSpec::kDense:
      return s(name, bridge::to_linen<nnx::Linear>(node->in, node->out), x);
    case TreeSpec::kLayerNorm:
      return s(name, bridge::to_linen<nnx::LayerNorm>(node->in), x);
    case TreeSpec::kBatchNorm:
      return s(name,
               bridge::to_linen<nnx::BatchNorm>(node->in, nnx::BatchNormOptions{.momentum = 0.9}),
               x, !train);
    case TreeSpec::kDropout:
      return s(name, bridge::to_linen<nnx::Dropout>(node->rate), x, !train);
    case TreeSpec::kOther:
      return node->layer->call(s, name, node, x, train, true);
    case TreeSpec::kTree:
      break;
  }
  return s(name, bridge::to_linen<ObjectTree>(node, true), x, train);
}

inline Tensor FunctionalTree::child(linen::Scope& s, const std::string& name,
                                    const TreeSpecPtr& node, const Tensor& x, bool train) const {
  if (wraps && node->other_api) return wrapped(s, name, node, x, train);
  switch (node->kind) {
    case TreeSpec::kDense:
      return s(name, linen::Dense{.features = node->out}, x);
    case TreeSpec::kLayerNorm:
      return s(name, linen::LayerNorm{}, x);
    case TreeSpec::kBatchNorm:
      return s(name, linen::BatchNorm{.momentum = 0.9}, x, !train);
    case TreeSpec::kDropout:
      return s(name, linen::Dropout{.rate = node->rate}, x, !train);
    case TreeSpec::kOther:
      return node->layer->call(s, name, node, x, train, false);
    case TreeSpec::kTree:
      break;
  }
  return s(name, FunctionalTree{node, wraps}, x, train);
}

inline Tensor FunctionalTree::operator()(linen::Scope& s, const Tensor& x, bool train) const {
  Tensor h = x;
  for (size_t i = 0; i < spec->children.size(); ++i)
    h = child(s, spec->name_of(i), spec->children[i], h, train);
  return spec->residual ? x + h : h;
}

/// In the style of bridge modules: layers of one API, trees of either or of their own kind.
struct BridgeTree : bridge::Module {
  TreeSpecPtr spec{};
  LINNET_FIELDS(spec)

  Tensor operator()(const Tensor& x, bool train) {
    const bridge::Compact compact(*this);
    Tensor h = x;
    for (size_t i = 0; i < spec->children.size(); ++i) {
      const TreeSpecPtr node = spec->children[i];
      const std::string name = spec->name_of(i);
      if (node->kind != TreeSpec::kTree || node->other_api) {
        h = node->kind == TreeSpec::kTree && node->residual ? functional(name, node, h, train)
                                                            : object(name, node, h, train);
      } else {
        h = (*submodule(name, BridgeTree{{}, node}))(h, train);
      }
    }
    return spec->residual ? x + h : h;
  }

 private:
  Tensor functional(const std::string& name, const TreeSpecPtr& node, const Tensor& x, bool train) {
    return (*bridge::linen_in_bridge_mdl(FunctionalTree{node, true}, name))(x, train);
  }
  Tensor object(const std::string& name, const TreeSpecPtr& node, const Tensor& x, bool train) {
    const auto make = [&](nnx::Rngs& rngs) { return object_node(node, true, rngs); };
    return call_node(*bridge::nnx_in_bridge_mdl(make, name), x, train);
  }
};

}  // namespace linnet::bridge_tests
