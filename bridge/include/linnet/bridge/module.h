// bridge::Module: the base of object modules that are used in init/apply style, and that may make
// their parameters and submodules when they run.
//
//   struct Dense : bridge::Module {
//     int64_t features = 1;
//     LINNET_FIELDS(features)
//     Tensor operator()(const Tensor& x) {
//       const bridge::Compact compact(*this);                    // names submodules after their
//       type Tensor w = param("w", init::lecun_normal(), {x.shape(-1), features}); return matmul(x,
//       w) + param("b", init::zeros(), {features}).value();
//     }
//   };
//   struct Mlp : bridge::Module {
//     int64_t hidden = 32;
//     nnx::Shared<Dense> down{};
//     LINNET_FIELDS(hidden, down)
//     void setup() { attach(down, Dense{{}, 10}); }      // runs when the module is bound
//     Tensor operator()(const Tensor& x) {
//       const bridge::Compact compact(*this);
//       Tensor h = relu((*submodule(Dense{{}, hidden}))(x));   // Dense_0
//       return (*down)(h);
//     }
//   };
//   linen::Variables vars = bridge::init(Mlp{}, 0, x);           // module_apply.h
//   Tensor y = bridge::apply(Mlp{}, vars, x);
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "linnet/bridge/attributes.h"
#include "linnet/bridge/module_attribute.h"
#include "linnet/fields.h"
#include "linnet/linen/scope.h"
#include "linnet/nnx/rngs.h"

#pragma GCC visibility push(default)

namespace linnet::bridge {

/// What a bound module knows of the call in progress: its streams, and which collections it may
/// change. A node of the module's graph.
class Scope {
 public:
  Scope(nnx::Shared<nnx::Rngs> rngs, linen::CollectionFilter mutate)
      : rngs_(std::move(rngs)), mutate_(std::move(mutate)) {}
  nnx::Rngs& rngs() const { return *rngs_; }
  const linen::CollectionFilter& mutable_collections() const { return mutate_; }
  /// Another scope on the same streams: their counts advance together.
  Scope copy() const { return *this; }

  LINNET_FIELDS(rngs_, mutate_)

 private:
  nnx::Shared<nnx::Rngs> rngs_;
  linen::CollectionFilter mutate_;
};

/// Attributes are visited by priority, then name; what is reached twice belongs to the first path.
enum class AttrPriority : int { kHigh = 0, kInitParent = 20, kDefault = 50, kLow = 100 };

class Module;

/// One call in progress on this thread.
struct ModuleContext {
  Module* module = nullptr;
  bool in_compact = false;
  std::map<std::string, int64_t> type_counter = {};  ///< submodules named so far, by type
  std::map<std::string, bool> names = {};            ///< submodules named in this call
};
/// The innermost call in progress on this thread; null outside of one.
ModuleContext* current_context();
/// Its module, or null.
Module* current_module();

namespace detail {

/// A declared field of a module.
struct ModuleField {
  std::string name;
  const void* address;
  std::function<void(tree::Visitor&)> visit;
};
/// What is known of a class of modules at run time.
struct ModuleType {
  const std::type_info* type;
  std::vector<ModuleField> (*fields)(Module&);
  void (*setup)(Module&);  ///< null if the class has none
};
template <class M>
const ModuleType& module_type();

/// Puts a call on this thread's stack while it lives.
class ModuleCall {
 public:
  ModuleCall(Module& module, bool in_compact);
  ~ModuleCall();
  ModuleCall(const ModuleCall&) = delete;
  ModuleCall& operator=(const ModuleCall&) = delete;
};

/// A variable of `type` with the value, or value and metadata, that an initialiser gave.
template <class R>
nnx::Variable made_variable(const nnx::VariableType& type, const R& made) {
  if constexpr (std::is_base_of_v<nnx::Variable, R>)
    return nnx::Variable(nnx::make_variable_cell(type, made.raw_value(), made.metadata()));
  else if constexpr (std::is_same_v<R, state::Value>)
    return nnx::Variable(type, made);
  else
    return nnx::Variable(type, state::Value(Tensor(made)));
}

struct ModuleAccess;

}  // namespace detail

/// Derive from it, list the members with LINNET_FIELDS, and give the class a call operator and, if
/// needed, `void setup()`, which runs once, when the module is bound. Classes without constructors
/// are aggregates: `Dense{{}, 3}`, where the first braces are those of this base, or by name,
/// `Dense{.features = 3}` (of which GCC warns under -Wextra). Copies are independent, and modules
/// are compared by nothing but their address.
class Module {
 public:
  Module() = default;
  Module(const Module& other);
  Module(Module&&) noexcept = default;
  Module& operator=(const Module& other);
  Module& operator=(Module&&) noexcept = default;

  /// Null outside of calls.
  const Scope* scope() const { return scope_ ? &*scope_ : nullptr; }
  bool is_initializing() const { return initializing_; }
  const std::map<std::string, AttrPriority>& attr_priorities() const { return priorities_; }
  void set_attr_priority(std::string name, AttrPriority priority) {
    priorities_[std::move(name)] = priority;
  }

  /// The next key of a stream, or of `default` if there is no stream of that name.
  /// @throws ValueError if the module is not bound; ModuleError without such a stream.
  Key make_rng(std::string_view name = "default");

  /// The parameter `name`: a handle to it, which writes change. If it is neither there nor among
  /// the variables given it is `init(key, shape, dtype)`, with the next `params` key; an
  /// initialiser that returns a variable gives its metadata too.
  /// @throws ValueError if the module is not bound, or `name` is another kind of variable;
  /// linen::ScopeParamShapeError if a value that was given has another shape.
  template <class Init>
    requires std::is_invocable_v<const Init&, const Key&, const Shape&, DType>
  nnx::Variable param(std::string_view name, const Init& init, const Shape& shape,
                      DType dtype = DType::kF32) {
    return param_from(name, [&](const Key& key) {
      return detail::made_variable(nnx::Param::static_type(), init(key, shape, dtype));
    });
  }
  /// The same for `init(key)`.
  template <class Init>
    requires std::is_invocable_v<const Init&, const Key&>
  nnx::Variable param(std::string_view name, const Init& init) {
    return param_from(name, [&](const Key& key) {
      return detail::made_variable(nnx::Param::static_type(), init(key));
    });
  }

  /// The variable `name` of the kind registered for `collection`, made by `init()` if need be.
  /// @throws ValueError if the module is not bound; linen::ScopeParamShapeError as `param`.
  template <class Init>
    requires std::is_invocable_v<const Init&>
  nnx::Variable variable(const std::string& collection, std::string_view name, const Init& init) {
    const nnx::VariableType& type = nnx::variable_type_from_name(collection, nullptr, true);
    return variable_from(type, name, [&] { return detail::made_variable(type, init()); });
  }
  /// One that is there. @throws ValueError if it is not.
  nnx::Variable variable(const std::string& collection, std::string_view name) {
    return variable_from(nnx::variable_type_from_name(collection, nullptr, true), name, {});
  }

  /// A submodule that is bound at once, named after its type: `Dense_0`, `Dense_1`, …, anew in each
  /// call of a compact method. The same method run again finds the submodules of the first run.
  /// @throws ValueError outside of a compact method of this module.
  template <class M>
  nnx::Shared<M> submodule(M module) {
    return submodule(automatic_name(linen::class_name_of(module)), std::move(module));
  }
  /// The same under a name of its own; in `setup` too.
  /// @throws ValueError if the module is not bound, if another module's compact method runs, or if
  /// the name is empty; linen::NameInUseError if it is taken.
  template <class M>
  nnx::Shared<M> submodule(std::string_view name, M module) {
    return shared_submodule(name, [&] { return nnx::Shared<M>::make(std::move(module)); });
  }
  /// The same for one that `make` gives unless an earlier run of a compact method has it.
  template <class Make>
    requires std::is_invocable_v<Make&>
  auto shared_submodule(std::string_view name, Make make) {
    using Made = std::invoke_result_t<Make&>;
    if (begin_submodule(name)) {
      if (Made* earlier = find_attribute<Made>(name)) return *earlier;
      fail_taken(name);
    }
    Made made = make();
    set_attr_priority(std::string(name), AttrPriority::kInitParent);
    return set_attribute(name, std::move(made));
  }

  /// Sets a declared field as `set_attribute` does under the field's name.
  template <class T>
  void attach(T& field, std::type_identity_t<T> value) {
    field = std::move(value);
    bind_field(&field);
  }
  template <class M>
  void attach(nnx::Shared<M>& field, M module) {
    attach(field, nnx::Shared<M>::make(std::move(module)));
  }

  /// Sets an attribute that is no declared field. In a bound module it takes over the variables
  /// given under its name, and modules inside are bound: they and all below get a copy of the
  /// scope, then those with a `setup` run it, deepest first.
  /// @throws ValueError if it is a declared field.
  template <class T>
  T& set_attribute(std::string_view name, T value) {
    auto attribute = std::make_unique<detail::ModuleAttributeOf<T>>(std::move(value));
    T& out = attribute->value;
    put_attribute(name, std::move(attribute));
    return out;
  }
  template <class T>
  T* find_attribute(std::string_view name) {
    const auto found = attributes_.find(name);
    if (found == attributes_.end()) return nullptr;
    return dynamic_cast<detail::ModuleAttributeOf<T>*>(found->second.get())
               ? &static_cast<detail::ModuleAttributeOf<T>&>(*found->second).value
               : nullptr;
  }
  /// @throws ModuleError if there is no such attribute of this type, as for one of which only the
  /// variables are known.
  template <class T>
  T& attribute(std::string_view name) {
    if (T* found = find_attribute<T>(name)) return *found;
    fail_no_attribute(name);
  }
  bool has_attribute(std::string_view name) const {
    return attributes_.find(name) != attributes_.end();
  }

 private:
  friend struct detail::ModuleAccess;
  using Attributes = std::map<std::string, std::unique_ptr<detail::ModuleAttribute>, std::less<>>;

  nnx::Variable param_from(std::string_view name,
                           const std::function<nnx::Variable(const Key&)>& make);
  nnx::Variable variable_from(const nnx::VariableType& type, std::string_view name,
                              const std::function<nnx::Variable()>& make);
  /// The variable of that name, unless it has to be made: a given one if `make` gives its shape.
  std::optional<nnx::Variable> held_variable(std::string_view name, const nnx::VariableType& type,
                                             const std::function<nnx::Variable()>& make);
  void require_bound(const char* what, std::string_view name) const;
  std::string automatic_name(const std::string& type);
  /// True if there is an attribute of that name already.
  bool begin_submodule(std::string_view name);
  void put_attribute(std::string_view name, std::unique_ptr<detail::ModuleAttribute> attribute);
  void bind_field(const void* address);
  /// Variables given under the name go into the value; modules inside are bound.
  void bind_value(const std::string& name, const std::function<void(tree::Visitor&)>& visit);
  [[noreturn]] void fail_taken(std::string_view name) const;
  [[noreturn]] void fail_no_attribute(std::string_view name) const;
  std::string text(std::string_view name = {}) const;

  const detail::ModuleType* type_ = nullptr;  ///< known once bound
  Attributes attributes_;
  std::map<std::string, AttributeTree, std::less<>>
      pending_;  ///< given, and asked for by nobody yet
  std::map<std::string, AttrPriority> priorities_;
  std::optional<Scope> scope_;
  std::string path_;  ///< for error texts
  bool initializing_ = false, is_setup_ = false;
};

/// While one is alive, the compact method of a module runs: submodules are named by their types.
class Compact {
 public:
  explicit Compact(Module& module) : call_(module, true) {}

 private:
  detail::ModuleCall call_;
};

template <class T>
concept IsModule = std::is_base_of_v<Module, T>;

namespace detail {

/// Visits declared fields and attributes in their order.
void visit_module(Module& module, const ModuleType& type, tree::Visitor& visitor);

template <class M>
std::vector<ModuleField> fields_of(Module& module) {
  std::vector<ModuleField> out;
  if constexpr (HasFields<M>) {
    static_assert(lists_own_fields<M>() && lists_base_fields<M>(),
                  "this module has members of its own, or of a base, that no list names: use "
                  "LINNET_FIELDS_AND_BASE(Base, members...)");
    M& object = static_cast<M&>(module);
    static const bool checked = [&] {
      std::vector<tree::FieldExtent> extents = tree::detail::field_extents(object);
      extents.push_back({0, sizeof(Module), alignof(Module)});
      tree::check_fields(typeid(M).name(), sizeof(M), alignof(M), false, M::linnet_field_names(),
                         std::move(extents));
      return true;
    }();
    (void)checked;
    size_t index = 0;
    object.linnet_fields().apply([&](auto&... field) {
      (out.push_back({std::string(field_name(M::linnet_field_names(), index++)), &field,
                      [&field](tree::Visitor& visitor) { tree::visit(field, visitor); }}),
       ...);
    });
  } else {
    static_assert(sizeof(M) == sizeof(Module),
                  "this module has members: list them with LINNET_FIELDS(members...)");
  }
  return out;
}

template <class M>
const ModuleType& module_type() {
  static const ModuleType type{&typeid(M), &fields_of<M>, [] {
                                 void (*setup)(Module&) = nullptr;
                                 if constexpr (requires(M& m) { m.setup(); })
                                   setup = [](Module& m) { static_cast<M&>(m).setup(); };
                                 return setup;
                               }()};
  return type;
}

}  // namespace detail
}  // namespace linnet::bridge

namespace linnet::tree {
template <class T>
  requires std::is_base_of_v<bridge::Module, T>
struct Traits<T> {
  static void visit(T& module, Visitor& visitor) {
    bridge::detail::visit_module(module, bridge::detail::module_type<T>(), visitor);
  }
};
}  // namespace linnet::tree

#pragma GCC visibility pop
