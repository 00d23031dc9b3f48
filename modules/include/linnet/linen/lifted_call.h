// One call of a functional module under a lifted transformation, seen through its scopes and
// tensors. For people who write transformations; users need linen/transforms.h.
//
//   detail::ScopeCall<Module, A...> call(module, scope, args...);
//   TensorList out = engine(call.function());        // runs it in scopes of its own
//   return call.result(out);
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/linen/scope.h"
#include "linnet/traced_call.h"
#include "linnet/transforms.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

/// Lifted one way only: `{"cache", Out{0}}` stacks what comes out and shows nothing inside (L-102).
struct In {
  std::optional<int64_t> axis;
};
struct Out {
  std::optional<int64_t> axis;
};
/// In place of an axis of a scan: the same for all turns (L-102).
inline constexpr std::nullopt_t kBroadcast = std::nullopt;

/// How a collection goes through a transformation: stacked along an axis, or shared (kNone).
class VariableAxis {
 public:
  VariableAxis(int64_t axis) : axis_(axis) {}             // NOLINT(runtime/explicit)
  VariableAxis(std::nullopt_t) {}                         // NOLINT(runtime/explicit)
  VariableAxis(In in) : axis_(in.axis), out_(false) {}    // NOLINT(runtime/explicit)
  VariableAxis(Out out) : axis_(out.axis), in_(false) {}  // NOLINT(runtime/explicit)
  std::optional<int64_t> axis() const { return axis_; }
  bool in() const { return in_; }
  bool out() const { return out_; }
  LINNET_FIELDS(axis_, in_, out_)

 private:
  std::optional<int64_t> axis_;
  bool in_ = true, out_ = true;
};

struct CollectionAxis {
  CollectionFilter collections;
  VariableAxis axis;
  LINNET_FIELDS(collections, axis)
};
/// `{{"params", 0}, {"batch_stats", kNone}}`: a collection that no entry names is not seen inside.
using VariableAxes = std::vector<CollectionAxis>;

struct StreamSplit {
  CollectionFilter streams;
  bool split = true;
  LINNET_FIELDS(streams, split)
};
/// `{{"params", true}, {"dropout", false}}`: a key of its own for each element, or the same for
/// all. A stream that no entry names is not there inside.
using SplitRngs = std::vector<StreamSplit>;

/// What a transformation that changes neither variables nor keys lets through.
struct LiftOptions {
  CollectionFilter variables = true;
  CollectionFilter rngs = true;
  LINNET_FIELDS(variables, rngs)
};

namespace detail {

/// A function of scopes and trees, seen through its scopes and tensors.
struct ScopeFunction {
  using Run = std::function<TensorList(const std::vector<Scope>& scopes, const TensorList& inputs)>;
  std::vector<Scope> scopes;  ///< those among the arguments, in the module, then the one it runs in
  TensorList inputs;          ///< of all arguments
  std::vector<size_t> counts;  ///< of each argument
  Run run;                     ///< on other scopes and tensors; gives those of the result
  std::function<std::vector<size_t>()> result_counts;  ///< of each element of the last result
};

[[noreturn]] void fail_returned_scope(const std::string& module);

/// Calls f with every scope that `object` holds: directly, in containers, as that of a variable, or
/// in a struct with LINNET_FIELDS. f may exchange it.
template <class T, class F>
void for_each_scope(T& object, const F& f) {
  using namespace tree::detail;
  if constexpr (std::is_same_v<T, Scope>) {
    f(object);
  } else if constexpr (std::is_same_v<T, ScopeVariable>) {
    Scope scope = object.scope();
    f(scope);
    object = object.in(scope);
  } else if constexpr (is_tuple<T>) {
    std::apply([&](auto&... element) { (for_each_scope(element, f), ...); }, object);
  } else if constexpr (is_optional<T>) {
    if (object) for_each_scope(*object, f);
  } else if constexpr (is_map<T>) {
    for (auto& [key, value] : object) for_each_scope(value, f);
  } else if constexpr ((is_vector<T> && !std::is_same_v<T, std::vector<bool>>) || is_array<T>) {
    for (auto& element : object) for_each_scope(element, f);
  } else if constexpr (HasFields<T>) {
    object.linnet_fields().apply([&](auto&... field) { (for_each_scope(field, f), ...); });
  }
}

/// How a module gets an argument: scopes are entered, all else is read.
template <class T>
using Passed = std::conditional_t<std::is_same_v<T, Scope>, Scope&, const T&>;

/// A module as a function of its arguments alone, which runs in the scopes that were entered last.
template <class Module>
class Entered {
 public:
  explicit Entered(const Module& module) : module_(module) {}
  void enter(const std::vector<Scope>& scopes) { scopes_ = scopes; }

  template <class... A>
  auto operator()(A&... args) const
      -> std::decay_t<std::invoke_result_t<const Module&, Scope&, Passed<A>...>> {
    size_t next = 0;
    const auto exchange = [&](Scope& scope) { scope = scopes_.at(next++); };
    (for_each_scope(args, exchange), ...);
    Module module = module_;
    for_each_scope(module, exchange);
    Scope scope = scopes_.at(next);
    auto result = std::as_const(module)(scope, static_cast<Passed<A>>(args)...);
    for_each_scope(result, [&](Scope&) { fail_returned_scope(class_name_of(module_)); });
    return result;
  }
  const Module& module() const { return module_; }

 private:
  Module module_;
  std::vector<Scope> scopes_;
};

/// A call in progress.
/// @tparam Call how the arguments are seen: CallOf, or DifferentiatedCall for numbers as tensors.
template <class Module, class Call>
class BasicScopeCall {
 public:
  using Result = typename Call::Result;

  template <class... A>
  BasicScopeCall(const Module& module, const Scope& scope, const A&... args)
      : entered_(module), call_(args...) {
    const auto collect = [this](Scope& each) { scopes_.push_back(each); };
    (collect_scopes(args, collect), ...);
    collect_scopes(module, collect);
    scopes_.push_back(scope);
  }
  BasicScopeCall(const BasicScopeCall&) = delete;
  BasicScopeCall& operator=(const BasicScopeCall&) = delete;

  /// Refers to this object.
  ScopeFunction function() {
    return {scopes_, call_.inputs(), call_.counts(),
            [this](const std::vector<Scope>& scopes, const TensorList& inputs) {
              entered_.enter(scopes);
              return call_.run(entered_, inputs);
            },
            [this] { return linnet::detail::leaf_counts(call_.traced()); }};
  }
  const Call& call() const { return call_; }
  /// The result with other tensors.
  Result result(std::span<const Tensor> tensors) const { return call_.result(tensors); }

 private:
  template <class T, class F>
  static void collect_scopes(const T& object, const F& collect) {
    std::decay_t<const T&> copy = object;
    for_each_scope(copy, collect);
  }
  Entered<Module> entered_;
  Call call_;
  std::vector<Scope> scopes_;
};

template <class Module, class... A>
using ScopeCall =
    BasicScopeCall<Module,
                   linnet::detail::CallOf<const Entered<Module>, std::decay_t<const A&>...>>;
template <class Module, class... A>
using DifferentiatedScopeCall = BasicScopeCall<
    Module, linnet::detail::DifferentiatedCall<const Entered<Module>, std::index_sequence_for<A...>,
                                               std::decay_t<const A&>...>>;

}  // namespace detail

/// A module under a transformation, which is a module too. Called directly on a scope it transforms
/// what happens there; as a submodule it is named after both: `VmapDense_0`.
template <class Transform, class Module>
class Lifted {
 public:
  Lifted(Transform transform, Module module)
      : transform_(std::move(transform)), module_(std::move(module)) {}

  template <class... A>
  auto operator()(Scope& scope, const A&... args) const {
    static_assert(sizeof(detail::ModuleCheck<Module, detail::Passed<std::decay_t<const A&>>...>) >
                  0);
    return transform_.apply(module_, scope, args...);
  }
  std::string class_name() const { return Transform::kPrefix + class_name_of(module_); }
  const std::string& scope_name() const
    requires requires(const Module& module) { module.scope_name(); }
  {
    return module_.scope_name();
  }
  const Module& module() const { return module_; }
  const Transform& transform() const { return transform_; }
  LINNET_FIELDS(transform_, module_)

 private:
  Transform transform_;
  Module module_;
};

}  // namespace linnet::linen

namespace linnet::tree {
/// Scopes and variables among the arguments of a lifted call hold no tensors of their own.
template <>
struct Traits<linen::Scope> {
  static void visit(linen::Scope& scope, Visitor& visitor) {
    visitor.fixed(typeid(linen::Scope), to_string(scope.path()));
  }
};
template <>
struct Traits<linen::ScopeVariable> {
  static void visit(linen::ScopeVariable& variable, Visitor& visitor) {
    visitor.fixed(typeid(linen::ScopeVariable), to_string(variable.scope().path()));
  }
};
}  // namespace linnet::tree

#pragma GCC visibility pop
