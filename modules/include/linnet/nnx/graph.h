// Taking modules apart and putting them together: GraphDef, split, merge, update, state, clone.
//
//   auto [graphdef, state] = nnx::split(model);
//   Mlp copy = nnx::merge<Mlp>(graphdef, state);        // shares its variables with `model`
//   nnx::update(model, new_state);
//
// A module is any type with LINNET_FIELDS. nnx::Shared<T> makes sharing (tied weights, cycles)
// explicit.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <tuple>
#include <typeinfo>
#include <utility>
#include <vector>

#include "linnet/error.h"
#include "linnet/nnx/state.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

/// A counted reference to a module or variable: copies refer to the same object, and `split`,
/// `merge` and gradients treat it as one node however often it is reached. A node may refer to
/// itself, also through others; as with any counted reference, such a circle is freed when one of
/// its references is reset.
template <class T>
class Shared {
 public:
  template <class... A>
  static Shared make(A&&... args) {
    return Shared(std::make_shared<T>(std::forward<A>(args)...));
  }
  explicit Shared(std::shared_ptr<T> object = nullptr) : object_(std::move(object)) {}
  Shared(const Shared& other) : object_(copied(other.object_)) {}
  Shared(Shared&&) noexcept = default;
  Shared& operator=(const Shared& other) {
    object_ = copied(other.object_);
    return *this;
  }
  Shared& operator=(Shared&&) noexcept = default;
  T& operator*() const { return *object_; }
  T* operator->() const { return object_.get(); }
  explicit operator bool() const { return object_ != nullptr; }
  std::shared_ptr<T>& pointer() { return object_; }
  bool operator==(const Shared&) const = default;

 private:
  /// Memory for a T that is registered as the copy before the T is constructed, so that cycles end.
  struct Holder {
    alignas(T) std::byte storage[sizeof(T)];
    bool constructed = false;
    ~Holder() { end(this); }
    static void end(void* memory) noexcept {
      Holder& holder = *static_cast<Holder*>(memory);
      if (std::exchange(holder.constructed, false))
        std::launder(reinterpret_cast<T*>(holder.storage))->~T();
    }
  };
  static std::shared_ptr<T> copied(const std::shared_ptr<T>& object) {
    tree::CopyScope* scope = tree::CopyScope::current();
    if (!scope || !object) return object;
    std::shared_ptr<void>& slot = scope->copies[object.get()];
    if (!slot) {
      auto holder = std::make_shared<Holder>();
      T* place = reinterpret_cast<T*>(holder->storage);
      slot = std::shared_ptr<T>(holder, place);
      new (place) T(*object);
      holder->constructed = true;
      scope->nodes.push_back({std::move(holder), Holder::end});
    }
    return std::static_pointer_cast<T>(slot);
  }
  std::shared_ptr<T> object_;
};

/// The static part of a module: types, names, static members, sharing, and of variables kinds,
/// metadata, dtypes and shapes. Comparable, holds no arrays.
class GraphDef {
 public:
  class Definition : public StaticEntry {
   public:
    bool equals(const StaticEntry& other) const override;
    std::string text() const override;
    const std::type_info* type = nullptr;
    std::shared_ptr<const void> prototype;  ///< the module with types in place of values
    std::string structure;                  ///< of the tree, with the types of its leaves
    std::vector<tree::Path> paths;
  };

  GraphDef() = default;
  explicit GraphDef(std::shared_ptr<const Definition> definition)
      : definition_(std::move(definition)) {}
  const std::shared_ptr<const Definition>& definition() const { return definition_; }
  bool operator==(const GraphDef& other) const;
  size_t hash() const;
  /// The module's type and the paths of its variables.
  std::string text() const;

 private:
  std::shared_ptr<const Definition> definition_;
};

namespace graph {
/// The name older code knows a graph definition by.
using NodeDef = GraphDef;
}  // namespace graph

namespace detail {

/// Every leaf of a module with its path, in order; shared ones once, where first met.
struct NodeLeaf {
  tree::Path path;
  Tensor* tensor = nullptr;
  state::CellPtr cell;
};
std::vector<NodeLeaf> walk(const std::function<void(tree::Visitor&)>& visit,
                           std::string* structure = nullptr);
State state_of(const std::vector<NodeLeaf>& leaves);
/// @throws ValueError that names the filter and the leaves it could have chosen.
[[noreturn]] void fail_nothing_chosen(const char* operation, const std::vector<NodeLeaf>& leaves,
                                      const Filter& filter);
/// Replaces each variable's cell (or tensor) by the state's. @throws ModuleError if leaves are
/// missing or left over.
void adopt(const std::function<void(tree::Visitor&)>& visit, const State& state);
/// Writes values (and metadata) of the state's leaves into the module's. @throws ModuleError for
/// unknown paths.
void write_values(const std::vector<NodeLeaf>& leaves, const State& state);
void make_abstract(const std::vector<NodeLeaf>& leaves);
void set_flags(const std::function<void(tree::Visitor&)>& visit,
               const std::vector<std::pair<std::string, bool>>& flags, bool must_exist);

template <class M>
std::function<void(tree::Visitor&)> visitor_of(M& module) {
  return [&module](tree::Visitor& v) { tree::visit(module, v); };
}

/// The module of a graph definition, with types in place of values.
/// @throws ModuleError if M is not the type that was split.
template <class M>
M copy_prototype(const GraphDef& graphdef) {
  const auto& definition = graphdef.definition();
  if (!definition || *definition->type != typeid(M)) {
    throw ModuleError("merge: the graph definition is of another type: " + graphdef.text());
  }
  const RawCopyScope raw;
  return tree::copy(*static_cast<const M*>(definition->prototype.get()));
}

}  // namespace detail

/// The static part alone.
template <class M>
GraphDef graphdef(const M& module) {
  auto definition = std::make_shared<GraphDef::Definition>();
  const auto prototype = [&] {
    const state::PrototypeScope no_values;
    const auto copy = std::make_shared<tree::PrivateCopy<M>>(module);
    return std::shared_ptr<M>(copy, &**copy);
  }();
  for (const auto& leaf :
       detail::walk(detail::visitor_of(const_cast<M&>(module)), &definition->structure)) {
    definition->paths.push_back(leaf.path);
  }
  detail::make_abstract(detail::walk(detail::visitor_of(*prototype)));
  definition->type = &typeid(M);
  definition->prototype = prototype;
  return GraphDef(std::move(definition));
}

/// All variables, or those of the filters, one State each (the rest is dropped, N-051).
template <class M>
State state(M& module) {
  return detail::state_of(detail::walk(detail::visitor_of(module)));
}
template <class M>
State state(M& module, const Filter& filter) {
  return std::move(filter_state(state(module), {filter})[0]);
}
template <class M, class... F>
  requires(sizeof...(F) > 0)
auto state(M& module, const Filter& first, const F&... filters) {
  std::vector<State> parts = filter_state(state(module), {first, filters...});
  return [&]<size_t... I>(std::index_sequence<I...>) {
    return std::make_tuple(std::move(parts[I])...);
  }(std::make_index_sequence<1 + sizeof...(F)>{});
}

/// {GraphDef, State...}: one state per filter, exhaustive; no filter means one state of everything
/// (N-043).
template <class M, class... F>
auto split(M& module, const F&... filters) {
  if constexpr (sizeof...(F) == 0) {
    return std::make_tuple(graphdef(module), state(module));
  } else {
    std::vector<State> parts = split_state(state(module), {filters...});
    return [&]<size_t... I>(std::index_sequence<I...>) {
      return std::make_tuple(graphdef(module), std::move(parts[I])...);
    }(std::make_index_sequence<sizeof...(F)>{});
  }
}

/// The module again, on the variables of the states (N-047).
/// @throws ModuleError if M is not the type that was split, or leaves are missing or too many.
template <class M, class... S>
M merge(const GraphDef& graphdef, const State& first, const S&... states) {
  M out = detail::copy_prototype<M>(graphdef);
  const State all = merge_state({&first, &states...});
  detail::adopt(detail::visitor_of(out), all);
  return out;
}

/// Writes a state's values into an existing module (N-050).
template <class M, class... S>
void update(M& module, const State& first, const S&... states) {
  detail::write_values(detail::walk(detail::visitor_of(module)), merge_state({&first, &states...}));
}

/// An independent module with the same values; sharing inside is kept (N-026, N-054).
template <class M>
M clone(const M& module) {
  return tree::copy(module);
}
/// Sets the named flags on every submodule that has them (N-031).
/// @throws ModuleError listing names found nowhere.
template <class M>
void set_attributes(M& module, const std::vector<std::pair<std::string, bool>>& flags,
                    bool raise_if_not_found = true) {
  detail::set_flags(detail::visitor_of(module), flags, raise_if_not_found);
}
/// Dropout off, running averages in use: `deterministic` and `use_running_average` become true.
template <class M>
void eval(M& module) {
  set_attributes(module, {{"deterministic", true}, {"use_running_average", true}}, false);
}
/// The opposite.
template <class M>
void train(M& module) {
  set_attributes(module, {{"deterministic", false}, {"use_running_average", false}}, false);
}

}  // namespace linnet::nnx

namespace linnet::tree {
template <class T>
struct Traits<nnx::Shared<T>> {
  static void visit(nnx::Shared<T>& shared, Visitor& visitor) {
    static_assert(detail::is_whole<T>,
                  "nnx::Shared of a class with virtual functions shows the members of that class "
                  "only: name the class of the object, or make it final");
    visitor.enter(typeid(nnx::Shared<T>), shared ? 1 : 0);
    // Transparent in paths: a shared member is found under its own name.
    if (shared && visitor.first_visit(shared.pointer().get())) tree::visit(*shared, visitor);
    visitor.leave();
  }
};
template <>
struct Traits<nnx::GraphDef> {
  static void visit(nnx::GraphDef& graphdef, Visitor& visitor) {
    visitor.fixed(typeid(nnx::GraphDef),
                  graphdef.definition() ? graphdef.definition()->structure : std::string());
  }
};
}  // namespace linnet::tree

#pragma GCC visibility pop
