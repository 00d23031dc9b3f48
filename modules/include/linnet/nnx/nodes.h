// Walking over the modules of a model by their types: which there are, and changing them.
//
//   nnx::for_each_module(model, [](const tree::Path& path, auto& module) { … });   // inner ones
//   first for (const auto& [path, module] : nnx::iter_modules(model))
//     if (auto* dropout = module.as<nnx::Dropout>()) dropout->rate = 0.1;
//   Model other = nnx::recursive_map(model, [](const tree::Path&, auto& node) { … });
//
// A module is an object with LINNET_FIELDS. Shared ones are met once, under the first path.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include "linnet/nnx/rngs.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

namespace detail {

template <class T>
inline constexpr bool is_shared_node = false;
template <class T>
inline constexpr bool is_shared_node<Shared<T>> = true;
template <class T>
inline constexpr bool is_variable_slot = false;
template <class V>
inline constexpr bool is_variable_slot<std::optional<V>> = std::is_base_of_v<Variable, V>;
template <class T>
inline constexpr bool is_variable_map = false;
template <class K, class V>
inline constexpr bool is_variable_map<std::map<K, V>> = std::is_base_of_v<Variable, V>;
/// Random streams have fields and are no modules.
template <class T>
inline constexpr bool is_module =
    HasFields<T> && !tree::HasTraits<T> && !std::is_same_v<T, RngStream>;

/// Where a walk by types is.
class NodeWalk {
 public:
  /// @param name for errors.
  explicit NodeWalk(const char* name, bool refuse_circles = false)
      : name_(name), refuse_circles_(refuse_circles) {}
  const tree::Path& path() const { return path_; }
  void push(std::string_view name) { path_.push_back({std::string(name), -1}); }
  void push(int64_t index) {
    path_.push_back(index >= 0 ? tree::Key{"", index} : tree::Key{std::to_string(index), -1});
  }
  void pop() { path_.pop_back(); }
  /// False for a shared node met before. @throws ValueError for one that contains itself, if that
  /// is refused.
  bool enter(const void* shared);
  void leave(const void* shared) { open_[shared] = false; }

 private:
  const char* name_;
  bool refuse_circles_;
  tree::Path path_;
  std::map<const void*, bool> open_;
};

template <class Key>
void push_key(NodeWalk& walk, const Key& key) {
  if constexpr (std::is_convertible_v<const Key&, std::string_view>)
    walk.push(std::string_view(key));
  else
    walk.push(static_cast<int64_t>(key));
}

template <class T, class F>
void walk_nodes(T& object, NodeWalk& walk, F& f);

template <class Fields, class F, class Name>
void walk_members(const Fields& members, NodeWalk& walk, F& f, const Name& name) {
  size_t index = 0;
  members.apply([&](auto&... member) {
    ((walk.push(name(index++)), walk_nodes(member, walk, f), walk.pop()), ...);
  });
}

/// Calls f(path, node) for modules, variants, and members that may or may not hold a variable
/// (`std::optional<V>`, maps of variables), in this order: what is inside first.
template <class T, class F>
void walk_nodes(T& object, NodeWalk& walk, F& f) {
  using U = std::remove_const_t<T>;
  if constexpr (is_shared_node<U>) {
    if (!object || !walk.enter(&*object)) return;
    walk_nodes(*object, walk, f);
    walk.leave(&*object);
  } else if constexpr (is_module<U>) {
    walk_members(object.linnet_fields(), walk, f,
                 [](size_t i) { return field_name(U::linnet_field_names(), i); });
    f(std::as_const(walk).path(), object);
  } else if constexpr (is_variable_slot<U> || is_variable_map<U>) {
    f(std::as_const(walk).path(), object);
  } else if constexpr (tree::HasTraits<U> || HasFields<U> || std::is_same_v<U, Tensor>) {
    return;
  } else if constexpr (tree::detail::is_optional<U> || tree::detail::is_unique<U>) {
    if (object) walk_nodes(*object, walk, f);
  } else if constexpr (tree::detail::is_variant<U>) {
    std::visit([&](auto& alternative) { walk_nodes(alternative, walk, f); }, object);
    f(std::as_const(walk).path(), object);
  } else if constexpr (std::is_same_v<U, std::vector<bool>>) {
    return;
  } else if constexpr (tree::detail::is_vector<U> || tree::detail::is_array<U>) {
    int64_t index = 0;
    for (auto& element : object) {
      walk.push(index++);
      walk_nodes(element, walk, f);
      walk.pop();
    }
  } else if constexpr (tree::detail::is_map<U>) {
    for (auto& [key, value] : object) {
      push_key(walk, key);
      walk_nodes(value, walk, f);
      walk.pop();
    }
  } else if constexpr (tree::detail::is_tuple<U>) {
    std::apply(
        [&](auto&... element) {
          int64_t index = 0;
          ((walk.push(index++), walk_nodes(element, walk, f), walk.pop()), ...);
        },
        object);
  }
}

/// As walk_nodes, modules only.
template <class M, class F>
void walk_modules(M& model, NodeWalk& walk, F& f) {
  const auto of_modules = [&f](const tree::Path& path, auto& node) {
    if constexpr (is_module<std::remove_cvref_t<decltype(node)>>) f(path, node);
  };
  walk_nodes(model, walk, of_modules);
}

}  // namespace detail

/// `f(path, module)` for the model and every module in it, inner ones first, members in their order
/// (N-039). f takes any module: `const auto&` or `auto&`.
template <class M, class F>
void for_each_module(M& model, F&& f) {
  detail::NodeWalk walk("for_each_module");
  detail::walk_modules(model, walk, f);
}

/// A module found in a model, of a type known at run time.
class ModuleRef {
 public:
  ModuleRef(const std::type_info& type, void* address) : type_(&type), address_(address) {}
  /// Null if it is of another type.
  template <class T>
  T* as() const {
    return *type_ == typeid(T) ? static_cast<T*>(address_) : nullptr;
  }
  /// `Linear`.
  std::string type_name() const { return short_type_name(*type_); }
  bool operator==(const ModuleRef& other) const {
    return address_ == other.address_ && *type_ == *other.type_;
  }

 private:
  const std::type_info* type_;
  void* address_;
};
using ModuleList = std::vector<std::pair<tree::Path, ModuleRef>>;

/// The model and every module in it, inner ones first, each once (N-039). The references are good
/// as long as the model is not moved or changed in size.
template <class M>
ModuleList iter_modules(M& model) {
  ModuleList out;
  for_each_module(model, [&](const tree::Path& path, auto& module) {
    out.emplace_back(path, ModuleRef(typeid(module), &module));
  });
  return out;
}

/// The modules that the model holds directly or in containers, not those inside them (N-039).
template <class M>
ModuleList iter_module_children(M& model) {
  ModuleList out;
  for (auto& [path, module] : iter_modules(model)) {
    if (path.empty()) continue;
    // Inner ones come first: what is below this one is none of the model's own.
    std::erase_if(out, [&path = path](const auto& found) {
      return found.first.size() > path.size() &&
             std::equal(path.begin(), path.end(), found.first.begin());
    });
    out.emplace_back(path, module);
  }
  return out;
}

/// While one is alive, copies of variables are further handles to the same cells, so that a copy of
/// a module is another object on the same variables.
class SharedCopyScope {
 public:
  SharedCopyScope();
  ~SharedCopyScope();
  SharedCopyScope(const SharedCopyScope&) = delete;
  SharedCopyScope& operator=(const SharedCopyScope&) = delete;
};

/// Another module on the same variables: its settings and submodules are its own (N-054).
template <class M>
M share(const M& module) {
  const SharedCopyScope same_variables;
  return tree::copy(module);
}

/// A copy of the model, on the same variables, in which `f(path, node)` has seen every module and
/// every std::variant, inner ones first; what it changes or puts in their place is in the copy only
/// (N-056).
/// @throws ValueError for a module that contains itself.
template <class M, class F>
M recursive_map(const M& model, F&& f) {
  // Before the copy, whose circle would outlive the error.
  detail::NodeWalk check("recursive_map", true);
  const auto nothing = [](const tree::Path&, const auto&) {};
  detail::walk_nodes(model, check, nothing);
  M out = share(model);
  detail::NodeWalk walk("recursive_map");
  const auto of_nodes = [&f](const tree::Path& path, auto& node) {
    using Node = std::remove_cvref_t<decltype(node)>;
    if constexpr (detail::is_module<Node> || tree::detail::is_variant<Node>) f(path, node);
  };
  detail::walk_nodes(out, walk, of_nodes);
  return out;
}

namespace detail {
/// Takes leaves out of members that can be without one.
struct Removal {
  std::map<const state::Cell*, bool> wanted;  ///< whether a member was found that can give it up
  bool erase = false;

  template <class T>
  void operator()(const tree::Path&, T& member) {
    const auto chosen = [this](const Variable& variable) {
      const auto found = wanted.find(variable.cell().get());
      if (found == wanted.end()) return false;
      found->second = true;
      return erase;
    };
    if constexpr (is_variable_slot<T>) {
      if (member && chosen(*member)) member.reset();
    } else if constexpr (is_variable_map<T>) {
      std::erase_if(member, [&](const auto& entry) { return chosen(entry.second); });
    }
  }
};
/// @throws ValueError naming leaves that the model cannot be without.
void require_removable(const State& chosen, const Removal& removal);
}  // namespace detail

/// Takes the variables that a filter chooses out of the model, and gives them: of members of the
/// type std::optional and of maps (N-053). A variable that several members show is gone from all of
/// them and given once.
/// @throws ValueError for a variable that is a plain member or an element of an array, without
/// which its module cannot be; nothing is removed then.
template <class M>
State pop(M& model, const Filter& filter) {
  State out = state(model, filter);
  detail::Removal removal;
  for (const auto& [path, leaf] : out.entries()) removal.wanted[leaf.cell.get()] = false;
  for (const bool erase : {false, true}) {
    removal.erase = erase;
    detail::NodeWalk walk("pop");
    detail::walk_nodes(model, walk, removal);
    if (!erase) detail::require_removable(out, removal);
  }
  return out;
}
/// One state per filter; a variable goes to the first that chooses it.
template <class M, class... F>
  requires(sizeof...(F) > 0)
auto pop(M& model, const Filter& first, const F&... filters) {
  std::vector<State> parts =
      filter_state(nnx::pop(model, any_of({first, filters...})), {first, filters...});
  return [&]<size_t... I>(std::index_sequence<I...>) {
    return std::make_tuple(std::move(parts[I])...);
  }(std::make_index_sequence<1 + sizeof...(F)>{});
}

}  // namespace linnet::nnx

#pragma GCC visibility pop
