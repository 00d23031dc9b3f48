// linen::Scope: what a functional module sees while it runs: its parameters, variables, random
// streams and submodules. A functional module is any copyable struct with `operator()(Scope&,
// args...) const`.
//
//   struct Mlp {
//     int64_t hidden = 256, classes = 10;
//     Tensor operator()(linen::Scope& s, const Tensor& x) const {
//       Tensor h = gelu(s("up", linen::Dense{.features = hidden}, x));
//       return s("down", linen::Dense{.features = classes}, h);
//     }
//   };
//   linen::Variables vars = linen::init(Mlp{}, Key(0), x);
//   Tensor y = linen::apply(Mlp{}, vars, x);
//   auto [out, updates] = linen::apply_with({.mutate = {"batch_stats"}}, model, vars, x, true);
//
// Use at most one automatic name (`s(Dense{...}, x)`, named Dense_0, Dense_1, …) in an expression:
// C++ leaves the order in which operands are evaluated open.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/linen/variables.h"
#include "linnet/module_path.h"
#include "linnet/random.h"
#include "linnet/summary.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

/// Which collections: none, all, some, or all but some (L-010).
class CollectionFilter {
 public:
  CollectionFilter(bool all = false) : deny_(all) {}               // NOLINT(runtime/explicit)
  CollectionFilter(const char* name) : names_{name} {}             // NOLINT(runtime/explicit)
  CollectionFilter(std::string name) : names_{std::move(name)} {}  // NOLINT(runtime/explicit)
  CollectionFilter(std::initializer_list<const char*> names)
      : CollectionFilter(std::vector<std::string>(names.begin(), names.end())) {}
  CollectionFilter(std::vector<std::string> names);  // NOLINT(runtime/explicit)
  /// Everything but `filter`.
  static CollectionFilter deny(const CollectionFilter& filter);

  bool contains(const std::string& collection) const;
  bool empty() const { return !deny_ && names_.empty(); }
  /// `{a, b}`, or `all but {a, b}`.
  std::string text() const;
  friend CollectionFilter operator|(const CollectionFilter& a, const CollectionFilter& b);
  friend CollectionFilter operator&(const CollectionFilter& a, const CollectionFilter& b);
  friend CollectionFilter operator-(const CollectionFilter& a, const CollectionFilter& b);
  bool operator==(const CollectionFilter&) const = default;

  LINNET_FIELDS(names_, deny_)

 private:
  std::vector<std::string> names_;  ///< sorted, without repetition
  bool deny_ = false;
};

/// Named random streams of a call; one key means {"params": key}.
class RngStreams {
 public:
  RngStreams() = default;
  RngStreams(Key key) : keys_{{"params", std::move(key)}} {}  // NOLINT(runtime/explicit)
  RngStreams(std::initializer_list<std::pair<const std::string, Key>> keys) : keys_(keys) {}
  RngStreams(std::map<std::string, Key> keys)
      : keys_(std::move(keys)) {}  // NOLINT(runtime/explicit)
  const std::map<std::string, Key>& keys() const { return keys_; }

 private:
  std::map<std::string, Key> keys_;
};

/// One call of a module, as `capture_intermediates` chooses by it.
struct ModuleCall {
  std::vector<std::string> path;  ///< of the module's scope
  std::string class_name;
  std::string method;  ///< `__call__` unless the module is a method (linen/method.h)
};

/// Which outputs of modules a call keeps (L-051): none, those of all calls of modules (not of other
/// methods), or those that a predicate chooses.
class CaptureFilter {
 public:
  CaptureFilter(bool all = false) : all_(all) {}  // NOLINT(runtime/explicit)
  template <class F>
    requires(std::is_invocable_r_v<bool, const F&, const ModuleCall&>)
  CaptureFilter(F predicate)  // NOLINT(runtime/explicit)
      : CaptureFilter(std::function<bool(const ModuleCall&)>(std::move(predicate)), Predicate{}) {}
  bool empty() const { return !all_ && !predicate_; }
  bool contains(const ModuleCall& call) const;
  /// Equal texts choose the same: that of a predicate is shared by its copies only.
  const std::string& text() const { return text_; }

 private:
  struct Predicate {};
  CaptureFilter(std::function<bool(const ModuleCall&)> predicate, Predicate);
  bool all_ = false;
  std::function<bool(const ModuleCall&)> predicate_;
  std::string text_;
};

/// Makes a parameter from a key, a shape and a dtype (init.h).
using Initializer = std::function<Tensor(const Key&, const Shape&, DType)>;

class Scope;
struct ScopeNode;
struct ScopeAccess;
class ScopeRoot;
class CurrentCall;

namespace detail {

class RootCall;
/// The calls of one run, in the order in which they begin; kept by linen/tabulate.cpp.
class CallLog;

/// Whether an output is made of tensors, so that it can be kept in `intermediates`.
template <class T>
struct IsKept : std::bool_constant<HasFields<T>> {};
template <>
struct IsKept<Tensor> : std::true_type {};
template <class... T>
struct IsKept<std::tuple<T...>> : std::conjunction<IsKept<T>...> {};
template <class A, class B>
struct IsKept<std::pair<A, B>> : std::conjunction<IsKept<A>, IsKept<B>> {};
template <class T>
struct IsKept<std::vector<T>> : IsKept<T> {};
template <class K, class T, class C>
struct IsKept<std::map<K, T, C>> : IsKept<T> {};
template <class T>
struct IsKept<std::optional<T>> : IsKept<T> {};

/// Types of tensors: `(f32[2,3], f32[2])`, of one without brackets.
std::string types_text(const TensorList& tensors);
/// Of what holds tensors, or the text of a number.
template <class T>
std::string value_text(const T& value) {
  if constexpr (IsKept<T>::value)
    return types_text(tree::leaves(value));
  else
    return linnet::detail::setting_text(value);
}

/// Says what is wrong with a module that cannot be called, before the compiler says where. (A
/// class, so that it is looked at before what follows in the function.)
template <class Module, class... A>
struct ModuleCheck {
  static constexpr bool kCallable = std::is_invocable_v<const Module&, Scope&, A...>;
  static constexpr bool kOnlyIfNotConst = !kCallable && std::is_invocable_v<Module&, Scope&, A...>;
  static_assert(!kOnlyIfNotConst,
                "operator() of a functional module must be const: write "
                "'Tensor operator()(linen::Scope& s, const Tensor& x) const'");
  static_assert(kCallable || kOnlyIfNotConst,
                "this functional module cannot be called with these arguments: operator() takes "
                "a linen::Scope& first, then what is given here");
};

}  // namespace detail

/// A handle to one variable of a collection (L-009).
class ScopeVariable {
 public:
  Tensor value() const;
  /// @throws ModuleError if the collection is immutable.
  void set(Tensor value) const;
  bool is_mutable() const;
  operator Tensor() const { return value(); }  // NOLINT(runtime/explicit)
  /// Where the variable is.
  Scope scope() const;
  /// The variable of that collection and name in another scope.
  ScopeVariable in(const Scope& scope) const;

 private:
  friend class Scope;
  ScopeVariable(std::shared_ptr<ScopeNode> node, std::string collection, std::string name)
      : node_(std::move(node)), collection_(std::move(collection)), name_(std::move(name)) {}
  std::shared_ptr<ScopeNode> node_;
  std::string collection_, name_;
};

/// Text of `T` as Flax would name the class: no namespaces, no template arguments, no trailing `_`.
std::string class_name(const std::type_info& type);
/// What a scope names a module after: `class_name()` or `kClassName` of the module, or its type.
template <class Module>
std::string class_name_of(const Module& module) {
  if constexpr (requires { module.class_name(); })
    return module.class_name();
  else if constexpr (requires { Module::kClassName; })
    return Module::kClassName;
  else
    return class_name(typeid(Module));
}

class Scope {
 public:
  /// Runs a submodule under `name` with its own variables: `s("up", Dense{...}, x)`.
  /// @throws ModuleError if the name is taken.
  template <class Module, class... A>
    requires(!std::is_convertible_v<const Module&, std::string_view>)
  auto operator()(std::string_view name, const Module& module, A&&... args) {
    static_assert(sizeof(detail::ModuleCheck<Module, A...>) > 0);
    Scope child = push(name);
    const ModulePathScope path(name);
    return child.run(module, std::forward<A>(args)...);
  }
  /// The same, named after its type: `Dense_0`, `Dense_1`, … in the order of calls.
  template <class Module, class... A>
    requires(!std::is_convertible_v<const Module&, std::string_view>)
  auto operator()(const Module& module, A&&... args) {
    if constexpr (requires { module.scope_name(); }) {
      if (!module.scope_name().empty())
        return (*this)(std::string_view(module.scope_name()), module, std::forward<A>(args)...);
    }
    return (*this)(automatic_name(class_name_of(module)), module, std::forward<A>(args)...);
  }
  /// A child scope that may be entered again under the same name: shared submodules.
  Scope child(std::string_view name) { return push(name); }
  /// The child scope of that name, whether the name is in use or not: for looking at what a module
  /// has made.
  Scope reopened(const std::string& name) const;
  /// Calls `module` in an already opened child scope, again and again: names are free again at each
  /// call, random counters go on (L-016).
  template <class Module, class... A>
  static auto call(Scope& scope, const Module& module, A&&... args) {
    static_assert(sizeof(detail::ModuleCheck<Module, A...>) > 0);
    scope.rewind();
    return scope.run(module, std::forward<A>(args)...);
  }

  /// The parameter `name`: read if it exists (its shape must fit), made with the next `params` key
  /// if `params` is mutable.
  /// @throws ModuleError (ScopeParamShapeError, ScopeParamNotFoundError, ScopeCollectionNotFound,
  /// NameInUseError texts).
  Tensor param(const std::string& name, const Initializer& init, const Shape& shape,
               DType dtype = DType::kF32);
  /// The same with an initialiser that returns a (boxed) leaf: `with_partitioning`.
  Tensor param(const std::string& name, const std::function<Variables(const Key&)>& init);
  /// A parameter that is a dictionary of leaves (L-042), as `init` makes it; without `unboxed`,
  /// with its boxes. What exists must have the paths and shapes that `init` would give.
  /// @throws ModuleError as param.
  Variables param_tree(const std::string& name, const std::function<Variables(const Key&)>& init,
                       bool unboxed = true);
  /// The variable `name` of a collection; made from `init` if absent and the collection is mutable.
  ScopeVariable variable(const std::string& collection, const std::string& name,
                         const std::function<Tensor()>& init);
  bool has_variable(const std::string& collection, const std::string& name) const;
  /// Undefined if absent.
  Tensor get_variable(const std::string& collection, const std::string& name) const;
  void put_variable(const std::string& collection, const std::string& name, state::Value value);
  /// Merges a dictionary below `name`, entry by entry: scopes below see the new values (L-005).
  void put_variables(const std::string& collection, const std::string& name,
                     const Variables& entries);
  /// Raw leaves with their boxes, for bridges.
  const Variables* find_leaf(const std::string& collection,
                             const std::vector<std::string>& path) const;
  void put_leaf(const std::string& collection, const std::vector<std::string>& path,
                Variables leaf);
  /// All collections as seen below this scope.
  Variables variables() const;

  /// Appends to a tuple stored under `name`; false (and nothing done) if the collection is
  /// immutable (L-049).
  bool sow(const std::string& collection, const std::string& name, const Tensor& value);
  /// The same with a tensor in place of the tuple: `reduce(entry, value)`, from `first()` on.
  bool sow(const std::string& collection, const std::string& name, const Tensor& value,
           const std::function<Tensor(const Tensor& entry, const Tensor& value)>& reduce,
           const std::function<Tensor()>& first);
  /// Adds a stored zero that can be differentiated with respect to (L-050).
  Tensor perturb(const std::string& name, const Tensor& value,
                 const std::string& collection = "perturbations");

  /// The next key of a stream (docs/rng.md section 8). Unknown streams fall back to `params`.
  Key make_rng(const std::string& stream = "params");
  /// True only for streams that were given.
  bool has_rng(const std::string& stream) const;
  /// Names of the streams given to this call.
  std::vector<std::string> rng_streams() const;
  bool is_mutable_collection(const std::string& collection) const;
  const CollectionFilter& mutable_collections() const;
  bool is_initializing() const;
  std::vector<std::string> path() const;

  /// The innermost functional call in progress on this thread, or null.
  static const Scope* current();

  explicit Scope(std::shared_ptr<ScopeNode> node) : node_(std::move(node)) {}

 private:
  friend struct ScopeAccess;
  friend class detail::RootCall;
  /// Calls `module` in this scope, and keeps its output if it is to be captured.
  template <class Module, class... A>
  auto run(const Module& module, A&&... args) {
    using Output = std::decay_t<std::invoke_result_t<const Module&, Scope&, A...>>;
    if constexpr (detail::IsKept<Output>::value) {
      if (observed()) {
        ModuleCall call{path(), class_name_of(module), "__call__"};
        if constexpr (requires { module.method_name(); }) call.method = module.method_name();
        const size_t entry = begin_call(call, {detail::value_text(args)...});
        Output output = module(*this, std::forward<A>(args)...);
        end_call(call, entry, tree::leaves_with_path(output));
        return output;
      }
    }
    return module(*this, std::forward<A>(args)...);
  }
  /// Whether somebody wants to know of calls of modules.
  bool observed() const;
  size_t begin_call(const ModuleCall& call, std::vector<std::string> inputs);
  void end_call(const ModuleCall& call, size_t entry,
                const std::vector<std::pair<std::string, Tensor>>& leaves);
  void rewind();
  Scope push(std::string_view name);
  std::string automatic_name(const std::string& base);
  std::shared_ptr<ScopeNode> node_;
};

/// Whether names of a path are told apart where random keys come from them (docs/rng.md section
/// 8.1). Off by default: keys are those of Flax, and the scopes `a/bc` and `ab/c` have the same. On
/// (as `flax_fix_rng_separator`): no two paths share keys. Set it before variables are made.
bool rng_separator();
void set_rng_separator(bool on);

/// Options of one `apply`.
struct ApplyOptions {
  CollectionFilter mutate = false;  ///< collections that may change and are returned
  RngStreams rngs = {};
  /// Outputs of modules to keep in `intermediates`, which is then mutable: each under the name of
  /// the method, at the path of its module, as a tuple with an entry for each call. An output of
  /// several tensors is a dictionary of such tuples, named as in `tree::leaves_with_path`.
  CaptureFilter capture_intermediates = {};
};

namespace detail {

/// A call from outside: owns the variables while the module runs.
class RootCall {
 public:
  RootCall(Variables variables, const RngStreams& rngs, CollectionFilter mutate, bool initializing,
           const CaptureFilter& capture = {}, bool entered = true);
  ~RootCall();
  Scope& scope() { return scope_; }
  template <class Module, class... A>
  auto run(const Module& module, A&&... args) {
    return scope_.run(module, std::forward<A>(args)...);
  }
  /// While what it gives is alive, this is the thread's innermost call; one that is `entered` is it
  /// from the beginning.
  std::shared_ptr<void> enter() const;
  /// The mutable collections after the call.
  Variables updates() const;
  Variables all() const;
  /// Notes calls of modules from now on in `log`, which outlives the call.
  void note_calls(CallLog* log);

 private:
  std::shared_ptr<ScopeRoot> root_;
  Scope scope_;
  std::shared_ptr<void> current_;
};

/// What `init` may write by default: everything but `intermediates`.
CollectionFilter default_init_filter();

}  // namespace detail

/// Options of one `init`.
struct InitOptions {
  CollectionFilter mutate = detail::default_init_filter();  ///< collections that are made
  CaptureFilter capture_intermediates = {};                 ///< as of ApplyOptions
};

/// Runs `module` on empty variables; gives its output and the variables it made.
template <class Module, class... A>
auto init_with(const InitOptions& options, const Module& module, const RngStreams& rngs,
               A&&... args) {
  static_assert(sizeof(detail::ModuleCheck<Module, A...>) > 0);
  detail::RootCall call({}, rngs, options.mutate, true, options.capture_intermediates);
  auto output = call.run(module, std::forward<A>(args)...);
  return std::make_pair(std::move(output), call.updates());
}

template <class Module, class... A>
auto init_with_output(const Module& module, const RngStreams& rngs, A&&... args) {
  return init_with({}, module, rngs, std::forward<A>(args)...);
}

/// The variables alone.
template <class Module, class... A>
Variables init(const Module& module, const RngStreams& rngs, A&&... args) {
  return init_with({}, module, rngs, std::forward<A>(args)...).second;
}

/// Runs `module` on `variables`, which do not change.
/// @throws ModuleError if it writes a variable: nothing is mutable.
template <class Module, class... A>
auto apply(const Module& module, const Variables& variables, A&&... args) {
  static_assert(sizeof(detail::ModuleCheck<Module, A...>) > 0);
  detail::RootCall call(variables, {}, false, false);
  return call.run(module, std::forward<A>(args)...);
}

/// The same with random streams and mutable collections: gives `{output, updated collections}`.
template <class Module, class... A>
auto apply_with(const ApplyOptions& options, const Module& module, const Variables& variables,
                A&&... args) {
  static_assert(sizeof(detail::ModuleCheck<Module, A...>) > 0);
  detail::RootCall call(variables, options.rngs, options.mutate, false,
                        options.capture_intermediates);
  auto output = call.run(module, std::forward<A>(args)...);
  return std::make_pair(std::move(output), call.updates());
}

}  // namespace linnet::linen

#pragma GCC visibility pop
