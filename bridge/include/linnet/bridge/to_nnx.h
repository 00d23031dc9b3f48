// bridge::ToNNX: a functional module as an object with variables and random streams of its own.
//
//   bridge::ToNNX mlp(linen_models::Mlp{.hidden = 256}, rngs);  // forks rngs
//   mlp.lazy_init(x);                                           // one run; keeps what it makes
//   Tensor y = mlp(x);
//   Tensor z = mlp.call({.mutate = {"batch_stats"}}, x, true);  // running averages move
//   Tensor t = mlp.method(&Mlp::encode)(x);                     // (const M&, Scope&, args...)
//   bridge::lazy_init(model, x);                                // every wrapper inside `model`
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/bridge/attributes.h"
#include "linnet/linen/module_identity.h"
#include "linnet/linen/scope.h"
#include "linnet/nnx/rngs.h"

#pragma GCC visibility push(default)

namespace linnet::bridge {

/// Which collections a call may change: a filter, or (by default) what the call of a bridge::Module
/// around it allows, else the functional call around it, and nothing outside of both (B-069).
/// Inside `nnx::capture` also what that collects.
class Mutable {
 public:
  Mutable() = default;
  Mutable(bool all) : filter_(all) {}           // NOLINT(runtime/explicit)
  Mutable(const char* name) : filter_(name) {}  // NOLINT(runtime/explicit)
  Mutable(std::initializer_list<const char*> names) : filter_(names) {}
  Mutable(linen::CollectionFilter filter)
      : filter_(std::move(filter)) {}  // NOLINT(runtime/explicit)
  linen::CollectionFilter filter() const;

 private:
  std::optional<linen::CollectionFilter> filter_;
};

/// Random streams for one call instead of the wrapper's: an Rngs (whose streams advance) or the key
/// to pass as `params`.
class CallRngs {
 public:
  CallRngs() = default;
  CallRngs(nnx::Rngs& rngs) : rngs_(&rngs) {}  // NOLINT(runtime/explicit)
  CallRngs(nnx::Rngs&& rngs)
      : owned_(std::make_shared<nnx::Rngs>(std::move(rngs))), rngs_(owned_.get()) {}  // NOLINT
  CallRngs(const Key& key) : key_(key) {}  // NOLINT(runtime/explicit)
  nnx::Rngs* rngs() const { return rngs_; }
  const std::optional<Key>& key() const { return key_; }

 private:
  std::shared_ptr<nnx::Rngs> owned_;
  nnx::Rngs* rngs_ = nullptr;
  std::optional<Key> key_;
};

struct CallOptions {
  Mutable mutate = {};
  CallRngs rngs = {};
};

namespace detail {

/// Member name of the flag; visitors set it by this name.
inline constexpr const char* kInitializing = "to_nnx__initializing";
/// The same of a wrapper that has variables already.
inline constexpr const char* kInitializingAgain = "to_nnx__initializing_again";

/// The counts of random streams as they were, unless the call that draws from them succeeds.
class StreamCounts {
 public:
  StreamCounts() = default;
  StreamCounts(const StreamCounts&) = delete;
  StreamCounts& operator=(const StreamCounts&) = delete;
  ~StreamCounts();
  void note(nnx::Rngs& rngs);
  void keep() { before_.clear(); }

 private:
  std::vector<std::pair<state::CellPtr, state::Value>> before_;
};

/// The part of a wrapper that does not depend on the module's type.
class NnxWrapper {
 public:
  NnxWrapper() = default;
  explicit NnxWrapper(nnx::Rngs rngs) : rngs_(std::move(rngs)) {}

  /// Variables by scope and name: `model["dense"]["kernel"]`.
  AttributeTree& operator[](std::string_view name) { return attributes_[name]; }
  const AttributeTree& operator[](std::string_view name) const { return attributes_[name]; }
  AttributeTree& attributes() { return attributes_; }
  const AttributeTree& attributes() const { return attributes_; }
  /// The wrapper's own streams; empty if it was made without any.
  nnx::Rngs& rngs() { return rngs_; }
  bool initializing() const { return initializing_; }

  void visit(tree::Visitor& visitor, const std::type_info& type, std::string_view identity);

 protected:
  /// One key of every stream, by the names that functional modules use (B-059 … B-061).
  linen::RngStreams draw_keys(const CallRngs& given, StreamCounts& counts);
  linen::Variables variables() const;
  /// Takes over what a call made or changed, or throws and changes nothing; existing variables are
  /// written in place (B-070 … B-074).
  void write_back(const linen::Variables& updates);

 private:
  nnx::Rngs rngs_;
  bool initializing_ = false;
  AttributeTree attributes_;
};

class FlagVisitor;

/// Puts every wrapper that a visit reaches, or those without variables, into initialising mode
/// while it lives.
class InitializingScope {
 public:
  enum Which { kAllWrappers, kNewWrappers };
  explicit InitializingScope(std::function<void(tree::Visitor&)> visit, Which which = kAllWrappers);
  ~InitializingScope();
  InitializingScope(const InitializingScope&) = delete;
  InitializingScope& operator=(const InitializingScope&) = delete;

 private:
  std::function<void(tree::Visitor&)> visit_;
  std::unique_ptr<FlagVisitor> flags_;  // the last walk needs the memory of the first
};

/// The method that a module is called by without a name.
struct CallOperator {
  template <class M, class... A>
  auto operator()(M& module, A&&... args) const {
    return module(std::forward<A>(args)...);
  }
};

template <class M>
struct HeldModule {
  explicit HeldModule(M m) : module(std::move(m)), identity(linen::detail::identity_of(module)) {}
  M module;
  std::string identity;
};

}  // namespace detail

/// A functional module with its variables inside. Copies are independent; assigning writes into the
/// existing variables, as everywhere in the object API.
template <class M>
class ToNNX : public detail::NnxWrapper {
 public:
  /// For modules that need no random keys.
  explicit ToNNX(M module) : held_(hold(std::move(module))) {}
  /// Forks the streams: each advances by one, and the wrapper owns new ones of the same names
  /// (B-043).
  ToNNX(M module, nnx::Rngs& rngs) : NnxWrapper(rngs.fork()), held_(hold(std::move(module))) {}
  ToNNX(M module, nnx::Rngs&& rngs) : NnxWrapper(rngs.fork()), held_(hold(std::move(module))) {}
  /// The key becomes the stream `params`, without a fork.
  ToNNX(M module, const Key& key)
      : NnxWrapper(nnx::Rngs{{"params", key}}), held_(hold(std::move(module))) {}

  /// Runs the module on the wrapper's variables. In initialising mode it makes them.
  /// @throws ModuleError as `linen::apply` does: missing variables, writes to immutable
  /// collections.
  template <class... A>
  auto operator()(A&&... args) {
    return call({}, std::forward<A>(args)...);
  }
  template <class... A>
  auto call(const CallOptions& options, A&&... args) {
    return call_method(options, detail::CallOperator{}, std::forward<A>(args)...);
  }
  /// Runs `method(module, scope, args...)` instead of the call operator; member functions work too
  /// (B-067).
  template <class F, class... A>
  auto call_method(const CallOptions& options, F&& method, A&&... args) {
    const bool first = initializing();
    const linen::CollectionFilter mutate =
        first ? linen::detail::default_init_filter() : options.mutate.filter();
    linen::Variables given = first ? linen::Variables() : variables();
    detail::StreamCounts counts;
    linen::detail::RootCall root(std::move(given), draw_keys(options.rngs, counts), mutate, first);
    auto output =
        std::invoke(std::forward<F>(method), held_->module, root.scope(), std::forward<A>(args)...);
    if (!mutate.empty()) write_back(root.updates());
    counts.keep();
    return output;
  }

  /// Another method as a function of its arguments: `model.method(&Mlp::encode)(x)`. It holds a
  /// reference to the wrapper.
  template <class F>
  auto method(F f) {
    return [this, f = std::move(f)](auto&&... args) {
      return call_method({}, f, std::forward<decltype(args)>(args)...);
    };
  }

  /// Runs the module once in initialising mode: makes its variables (B-044 … B-047).
  template <class... A>
  ToNNX& lazy_init(A&&... args) & {
    return lazy_init_method(detail::CallOperator{}, std::forward<A>(args)...);
  }
  template <class... A>
  ToNNX lazy_init(A&&... args) && {
    lazy_init(std::forward<A>(args)...);
    return std::move(*this);
  }
  /// Only what `method` touches is made (B-049).
  template <class F, class... A>
  ToNNX& lazy_init_method(F&& method, A&&... args) {
    const detail::InitializingScope scope([this](tree::Visitor& visitor) { visit(visitor); });
    call_method({}, std::forward<F>(method), std::forward<A>(args)...);
    return *this;
  }

  const M& module() const { return held_->module; }
  void visit(tree::Visitor& visitor) { NnxWrapper::visit(visitor, typeid(ToNNX), held_->identity); }

 private:
  static std::shared_ptr<const detail::HeldModule<M>> hold(M module) {
    return std::make_shared<const detail::HeldModule<M>>(std::move(module));
  }
  std::shared_ptr<const detail::HeldModule<M>> held_;
};

}  // namespace linnet::bridge

namespace linnet::tree {
template <class M>
struct Traits<bridge::ToNNX<M>> {
  static void visit(bridge::ToNNX<M>& wrapper, Visitor& visitor) { wrapper.visit(visitor); }
};
}  // namespace linnet::tree

namespace linnet::bridge {

/// What can be searched for wrappers: an object with members, not a function.
template <class M>
concept ObjectModule = tree::HasTraits<M> || HasFields<M> || std::is_aggregate_v<M>;

/// Runs `method(model, args...)` with every wrapper reachable from `model` in initialising mode,
/// which ends also if the run throws (B-054 … B-058). The run is a full forward pass: counters and
/// running averages of object modules move. Gives the model.
template <ObjectModule M, class F, class... A>
M& lazy_init_method(M& model, F&& method, A&&... args) {
  const detail::InitializingScope scope(
      [&model](tree::Visitor& visitor) { tree::visit(model, visitor); });
  std::invoke(std::forward<F>(method), model, std::forward<A>(args)...);
  return model;
}

/// The same for the call operator.
template <ObjectModule M, class... A>
  requires std::is_invocable_v<M&, A...>
M& lazy_init(M& model, A&&... args) {
  return lazy_init_method(model, detail::CallOperator{}, std::forward<A>(args)...);
}

}  // namespace linnet::bridge

#pragma GCC visibility pop
