// bridge::ToLinen: an object module as a functional one. Its variables go to the collections of
// their types, its random streams come from the scope.
//
//   auto model = bridge::to_linen<nnx::Linear>(32, 64);        // init makes Linear(32, 64, rngs)
//   auto [out, vars] = linen::init_with_output(model, Key(0), x);
//   vars["params"]["kernel"].shape();                          // (32, 64)
//   vars["nnx"]["graphdef"];                                   // the module's static GraphDef
//   linen::apply(model.method(&Embed::attend), vars, x);       // another method
//
// Inside another functional module:
//
//   Tensor y = s("stem", bridge::to_linen<ConvBlock>(1, 32), x, train);
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/bridge/to_nnx.h"
#include "linnet/jit.h"
#include "linnet/linen/module_identity.h"
#include "linnet/linen/scope.h"
#include "linnet/nnx/graph.h"
#include "linnet/nnx/rngs.h"

#pragma GCC visibility push(default)

namespace linnet::bridge {

struct ToLinenOptions {
  /// Keep the graph definition as static entry `nnx/graphdef` and rebuild the module from it;
  /// otherwise, and where the entry is missing, the constructor is called again at every apply.
  bool store_graphdef = true;
  /// Kind of the boxes that variables with metadata get.
  std::string metadata_type = "NNXMeta";
  /// Decides the leaf of every variable; empty: `to_linen_var`.
  std::function<linen::Variables(const nnx::Variable&)> metadata_fn = {};
  /// False: all leaves are bare, metadata are lost on purpose.
  bool keep_metadata = true;
  /// The constructor takes no streams, and no stream of the scope advances for it.
  bool skip_rng = false;
  /// The name of the submodule where the call gives none; empty: `ToLinen_0`, `ToLinen_1`, …
  std::string name = {};
};

/// Stands for the `Rngs&` among constructor arguments where it is not the last one.
struct RngsArgument {};
inline constexpr RngsArgument kRngs{};

namespace detail {

/// Marks the constructor of one class of modules in `kept_by_identity`.
template <class M>
inline constexpr char kConstructor = 0;
/// What a constructor gives, with streams, to the leaves at some paths; none for a path it does not
/// make.
using SeededValues =
    std::function<std::vector<TensorList>(nnx::Rngs&, const std::vector<std::string>&)>;
/// What `make` gave for this constructor and identity, now or before; an empty identity is never
/// the same. The last few are kept.
std::shared_ptr<const SeededValues> kept_by_identity(const void* constructor,
                                                     const std::string& identity,
                                                     const std::function<SeededValues()>& make);

using VisitFunction = std::function<void(tree::Visitor&)>;
/// One key per stream of the scope, `make_rng` each, as streams of an Rngs; none if they are
/// skipped.
nnx::Rngs scope_streams(linen::Scope& scope, bool add_default, const ToLinenOptions& options);
/// A module as it was before a call. Tensors that it holds directly are constants of its
/// constructor: no collection holds them, and a module with any is always built by its constructor.
struct BeforeCall {
  BeforeCall(const VisitFunction& visit, bool with_paths);
  TensorList plain;
  std::vector<std::string> paths;  ///< sorted, if they are wanted
};
/// Writes every variable (random state left out) to the collection of its type, where that is
/// mutable. `only_new`: those that the call has made. True if the graph definition is wanted too.
/// @throws ValueError naming a plain tensor that is not as it was before the call.
bool store_variables(linen::Scope& scope, const VisitFunction& visit, const BeforeCall& before,
                     const ToLinenOptions& options, bool only_new);
void store_graphdef(linen::Scope& scope, const nnx::GraphDef& graphdef);
/// Without a definition if there is no entry `nnx/graphdef`.
nnx::GraphDef stored_graphdef(const linen::Scope& scope);
/// Values of the scope's variables into a module made from its graph definition. Random state, and
/// intermediates that the scope does not hold, are as the constructor leaves them: Flax runs it at
/// every apply. A stream that the constructor does not make is seeded from `rngs` by name.
/// Intermediates that the definition lacks are made, since a call before this one sowed them.
/// @throws ModuleError for missing and unknown paths.
void load_exactly(const linen::Scope& scope, const VisitFunction& visit,
                  const SeededValues& constructed, nnx::Rngs& rngs);
/// The tensors of the leaves at some paths, in their order.
std::vector<TensorList> values_at(const VisitFunction& visit,
                                  const std::vector<std::string>& paths);
[[noreturn]] void fail_needs_streams(const char* type);
[[noreturn]] void fail_no_argument(const char* module, const char* type);

/// What a module is constructed from, by type.
class ConstructorArguments {
 public:
  virtual ~ConstructorArguments() = default;
  /// Null if none is of that type.
  virtual const void* find(const std::type_info& type) const = 0;
};
template <class... A>
class TypedArguments final : public ConstructorArguments {
 public:
  explicit TypedArguments(std::tuple<A...> arguments) : values(std::move(arguments)) {}
  const void* find(const std::type_info& type) const override {
    const void* out = nullptr;
    std::apply(
        [&](const A&... argument) {
          ((!out && typeid(A) == type ? void(out = &argument) : void()), ...);
        },
        values);
    return out;
  }
  std::tuple<A...> values;
};
/// The same into a module fresh from its constructor: what the scope lacks stays, and variables of
/// all kinds are made in members that can hold them.
void load_over(const linen::Scope& scope, const VisitFunction& visit);

inline nnx::Rngs& constructor_argument(RngsArgument, nnx::Rngs& rngs) { return rngs; }
template <class A>
const A& constructor_argument(const A& argument, nnx::Rngs&) {
  return argument;
}

template <class M, class... A>
M construct(const std::tuple<A...>& arguments, nnx::Rngs& rngs, bool skip_rng = false) {
  return std::apply(
      [&](const A&... argument) -> M {
        if (skip_rng) {
          if constexpr (std::is_constructible_v<M, const A&...>)
            return M(argument...);
          else
            fail_needs_streams(typeid(M).name());
        }
        if constexpr ((std::is_same_v<A, RngsArgument> || ...)) {
          return M(constructor_argument(argument, rngs)...);
        } else if constexpr (std::is_constructible_v<M, const A&..., nnx::Rngs&>) {
          return M(argument..., rngs);
        } else {
          static_assert(std::is_constructible_v<M, const A&...>,
                        "to_linen: the module has no constructor (arguments..., nnx::Rngs&) and "
                        "none without the Rngs&");
          return M(argument...);
        }
      },
      arguments);
}

}  // namespace detail

template <class M>
class ToLinen;

/// A ToLinen that runs another method than the call operator.
template <class M, class F>
struct ToLinenMethod {
  static constexpr const char* kClassName = "ToLinen";
  ToLinen<M> target;
  F function;

  template <class... A>
  auto operator()(linen::Scope& scope, A&&... args) const {
    return target.run(scope, function, std::forward<A>(args)...);
  }
};

/// The functional form of the object module M (B-079 … B-117). `init` builds it, stores its
/// variables as they are before the run, and runs it; `apply` builds it from the variables, runs
/// it, and stores what is mutable. Writes to immutable collections are dropped.
template <class M>
class ToLinen {
 public:
  static constexpr const char* kClassName = "ToLinen";
  using Factory = std::function<M(nnx::Rngs&)>;

  /// @param identity tells factories apart in cache keys; empty: equal to copies only.
  explicit ToLinen(Factory make, ToLinenOptions options = {}, std::string identity = {},
                   std::shared_ptr<const detail::ConstructorArguments> arguments = nullptr)
      : make_(std::move(make)),
        options_(std::move(options)),
        identity_(std::move(identity)),
        arguments_(std::move(arguments)),
        values_(jitted_constructor(make_, identity_)) {}

  /// @throws ModuleError if a stream is missing that the constructor or the run asks for, or if the
  /// variables do not fit; ValueError if the call changes a tensor that is no variable.
  template <class... A>
  auto operator()(linen::Scope& scope, A&&... args) const {
    return run(scope, detail::CallOperator{}, std::forward<A>(args)...);
  }

  /// The functional module that runs `function(module, args...)`; a member function works too
  /// (B-114).
  template <class F>
    requires std::is_member_function_pointer_v<F> || std::is_class_v<F> ||
             std::is_function_v<std::remove_pointer_t<F>>
  ToLinenMethod<M, F> method(F function) const {
    return {*this, std::move(function)};
  }

  /// The constructor argument of type T, such as the layer's options: the first if there are
  /// several. @throws ModuleError if there is none, or M is made by a factory.
  template <class T>
  const T& argument() const {
    const void* found = arguments_ ? arguments_->find(typeid(T)) : nullptr;
    if (!found) detail::fail_no_argument(typeid(M).name(), typeid(T).name());
    return *static_cast<const T*>(found);
  }

  template <class F, class... A>
  auto run(linen::Scope& scope, const F& function, A&&... args) const {
    using Result = std::invoke_result_t<const F&, M&, A...>;
    static_assert(!std::is_void_v<Result>, "to_linen: the method must return something");
    if (scope.is_initializing()) return first_run(scope, function, std::forward<A>(args)...);
    M module = rebuilt(scope);
    const detail::BeforeCall before(nnx::detail::visitor_of(module), false);
    auto output = std::invoke(function, module, std::forward<A>(args)...);
    finish(scope, module, before, false);
    return output;
  }

  const ToLinenOptions& options() const { return options_; }
  /// What a scope calls this module where the call gives no name; may be empty.
  const std::string& scope_name() const { return options_.name; }
  void identify(linen::detail::ModuleIdentity& out) const {
    out.text += identity_;
    out.opaque |= identity_.empty() || options_.metadata_fn != nullptr;
    out.text += options_.metadata_type + (options_.store_graphdef ? "g" : "") +
                (options_.keep_metadata ? "m" : "");
  }

 private:
  template <class F, class... A>
  auto first_run(linen::Scope& scope, const F& function, A&&... args) const {
    nnx::Rngs rngs = detail::scope_streams(scope, false, options_);
    M module = make_(rngs);
    const detail::BeforeCall before(nnx::detail::visitor_of(module), true);
    finish(scope, module, before, false);
    auto output = [&] {
      // Functional modules wrapped inside make their variables now, unless the constructor has.
      const detail::InitializingScope initializing(nnx::detail::visitor_of(module),
                                                   detail::InitializingScope::kNewWrappers);
      return std::invoke(function, module, std::forward<A>(args)...);
    }();
    finish(scope, module, before, true);
    return output;
  }

  M rebuilt(linen::Scope& scope) const {
    nnx::Rngs rngs = detail::scope_streams(scope, true, options_);
    if (const nnx::GraphDef graphdef = detail::stored_graphdef(scope); graphdef.definition()) {
      M module = nnx::detail::copy_prototype<M>(graphdef);
      detail::load_exactly(scope, nnx::detail::visitor_of(module), *values_, rngs);
      return module;
    }
    M module = make_(rngs);
    detail::load_over(scope, nnx::detail::visitor_of(module));
    return module;
  }

  /// Stores variables and, if the module can be rebuilt from it, the graph definition.
  void finish(linen::Scope& scope, M& module, const detail::BeforeCall& before,
              bool only_new) const {
    if (detail::store_variables(scope, nnx::detail::visitor_of(module), before, options_, only_new))
      detail::store_graphdef(scope, nnx::graphdef(module));
  }

  /// What the constructor makes at some paths, one function for all modules of equal identity:
  /// functional code makes wrappers anew at every call. Compiled, so that only what is asked for is
  /// computed: streams are cheap, initial parameters are not.
  static std::shared_ptr<const detail::SeededValues> jitted_constructor(
      const Factory& make, const std::string& identity) {
    const auto fresh = [&]() -> detail::SeededValues {
      return jit([make](nnx::Rngs& rngs, const std::vector<std::string>& paths) {
        M module = make(rngs);
        return detail::values_at(nnx::detail::visitor_of(module), paths);
      });
    };
    return detail::kept_by_identity(&detail::kConstructor<M>, identity, fresh);
  }

  Factory make_;
  ToLinenOptions options_;
  std::string identity_;
  std::shared_ptr<const detail::ConstructorArguments> arguments_;
  std::shared_ptr<const detail::SeededValues> values_;
};

/// The functional form of `M(args..., rngs)`; `kRngs` among the arguments marks another place for
/// the streams. If M has no such constructor it is made without them.
template <class M, class... A>
ToLinen<M> to_linen_with(ToLinenOptions options, A&&... args) {
  using Arguments = detail::TypedArguments<std::decay_t<A>...>;
  const auto arguments =
      std::make_shared<const Arguments>(std::tuple<std::decay_t<A>...>(std::forward<A>(args)...));
  linen::detail::ModuleIdentity identity;
  linen::detail::identify(identity, arguments->values);
  identity.text += typeid(M).name();
  identity.text += options.skip_rng ? "-" : "";
  auto make = [arguments, skip_rng = options.skip_rng](nnx::Rngs& rngs) {
    return detail::construct<M>(arguments->values, rngs, skip_rng);
  };
  return ToLinen<M>(std::move(make), std::move(options),
                    identity.opaque ? std::string() : std::move(identity.text), arguments);
}
template <class M, class... A>
ToLinen<M> to_linen(A&&... args) {
  return to_linen_with<M>({}, std::forward<A>(args)...);
}

/// A class of functional modules made of the object module M, with its own options and defaults for
/// the last constructor arguments (B-118).
///
///   const auto norm = bridge::to_linen_class<nnx::BatchNorm>({}, nnx::BatchNormOptions{.momentum =
///   0.9}); norm(3)                               // BatchNorm(3, {.momentum = 0.9}, rngs) norm(3,
///   nnx::BatchNormOptions{})      // what is given takes the place of a default of its type
template <class M, class... Defaults>
class ToLinenClass {
 public:
  explicit ToLinenClass(ToLinenOptions options, std::tuple<Defaults...> defaults)
      : options_(std::move(options)), defaults_(std::move(defaults)) {}

  template <class... A>
  ToLinen<M> operator()(A&&... args) const {
    return with(options_, std::forward<A>(args)...);
  }
  /// With other options than those of the class.
  template <class... A>
  ToLinen<M> with(ToLinenOptions options, A&&... args) const {
    auto given = std::make_tuple(std::decay_t<A>(std::forward<A>(args))...);
    auto all = std::apply(
        [&](const Defaults&... each) {
          return std::tuple_cat(std::move(given), unless_given<Defaults, A...>(each)...);
        },
        defaults_);
    return std::apply(
        [&](auto&... each) { return to_linen_with<M>(std::move(options), std::move(each)...); },
        all);
  }

 private:
  template <class D, class... A>
  static auto unless_given(const D& value) {
    if constexpr ((std::is_same_v<D, std::decay_t<A>> || ...))
      return std::tuple<>();
    else
      return std::make_tuple(value);
  }
  ToLinenOptions options_;
  std::tuple<Defaults...> defaults_;
};

template <class M, class... Defaults>
ToLinenClass<M, std::decay_t<Defaults>...> to_linen_class(ToLinenOptions options,
                                                          Defaults&&... defaults) {
  return ToLinenClass<M, std::decay_t<Defaults>...>(
      std::move(options),
      std::make_tuple(std::decay_t<Defaults>(std::forward<Defaults>(defaults))...));
}

}  // namespace linnet::bridge

#pragma GCC visibility pop
