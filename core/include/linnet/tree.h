// Trees: how Linnet sees through user types. A tree is a tensor, a described struct (LINNET_FIELDS
// or a plain aggregate), or a tuple, pair, array, vector, map, unordered_map (in the order of its
// keys), optional, variant or unique_ptr of trees. Numbers, enums and strings are static leaves:
// part of the structure, not of the data. So is a shared_ptr to a const object, by its address.
//
//   struct Batch { Tensor image, label; };
//   TensorList leaves = tree::leaves(batch);
//   Batch half = tree::map(batch, [](const Tensor& t) { return t.astype(DType::kF16); });
//   for (auto& [path, leaf] : tree::leaves_with_path(model)) ...   // "up/kernel"
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include "linnet/detail/type_traits.h"
#include "linnet/fields.h"
#include "linnet/state.h"
#include "linnet/tensor.h"

#pragma GCC visibility push(default)

namespace linnet::tree {

/// One step of a path: a field or map key, or a position.
struct Key {
  std::string name;
  int64_t index = -1;  ///< position, or -1 if `name` counts
  bool operator==(const Key&) const = default;
  auto operator<=>(const Key&) const = default;
};
using Path = std::vector<Key>;
/// `kernel`, `0`: the one text of a key.
std::string to_string(const Key& key);
/// The texts of all keys.
std::vector<std::string> names(const Path& path);
/// `blocks/0/kernel`. A slash or backslash inside a name has a backslash before it, so that
/// different paths have different texts.
std::string to_string(const Path& path);
std::string to_string(const std::vector<std::string>& names);
/// The names again.
std::vector<std::string> split_path(std::string_view text);

/// What a walk over a tree reports, in order. Type-erased, so that algorithms are ordinary code.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void tensor(Tensor& leaf) = 0;
  virtual void cell(state::CellPtr& cell) = 0;
  /// A static leaf: `type` and `bytes` together are its identity.
  virtual void fixed(const std::type_info& type, std::string_view bytes) = 0;
  /// A bool, which some visitors set (train and evaluation mode).
  virtual void flag(bool& value);
  /// A node begins: its type and number of children are part of the structure.
  virtual void enter(const std::type_info& type, size_t children) = 0;
  virtual void leave() = 0;
  /// Before each child.
  virtual void child(std::string_view name) = 0;
  virtual void child(int64_t index) = 0;
  /// A shared node: true on the first visit of `address`; later visits are skipped.
  virtual bool first_visit(const void* address) = 0;
};

/// Numbers addresses in the order in which they are first seen.
class AddressTable {
 public:
  /// The number of an address seen before; -1 the first time.
  int64_t number(const void* address);
  /// Forgets all, but keeps the memory.
  void clear();

 private:
  void grow();
  size_t slot_of(const void* address) const;
  struct Slot {
    const void* address = nullptr;
    uint32_t number = 0, round = 0;
  };
  std::vector<Slot> slots_;         ///< open addressing; the size is a power of 2
  uint32_t count_ = 0, round_ = 1;  ///< slots of other rounds are free
};

/// A visitor that knows where it is and enters shared nodes once; the base of all walks.
class PathVisitor : public Visitor {
 public:
  explicit PathVisitor(bool with_path = true) : with_path_(with_path) {}
  void tensor(Tensor& leaf) override;
  void cell(state::CellPtr& cell) override;
  void fixed(const std::type_info& type, std::string_view bytes) override;
  void enter(const std::type_info& type, size_t children) override;
  void leave() override;
  void child(std::string_view name) override;
  void child(int64_t index) override;
  bool first_visit(const void* address) override { return seen_.number(address) < 0; }

 protected:
  /// Of the leaf that is visited; without paths, empty.
  const Path& path() const { return path_; }
  /// Of the innermost node that has been entered.
  Path node_path() const;
  AddressTable& seen() { return seen_; }

 private:
  void step(Key key);
  bool with_path_;
  Path path_;
  std::vector<size_t> depth_;
  AddressTable seen_;
};

/// Customisation point: specialise with `static void visit(T&, Visitor&)` for types that are
/// neither described nor containers.
template <class T>
struct Traits;

template <class T>
concept HasTraits = requires(T& object, Visitor& visitor) { Traits<T>::visit(object, visitor); };

/// While one is alive, copies of shared nodes (nnx::Shared) are independent objects, and sharing
/// inside what is copied is kept. `copy` opens one.
class CopyScope {
 public:
  CopyScope();
  ~CopyScope();
  CopyScope(const CopyScope&) = delete;
  CopyScope& operator=(const CopyScope&) = delete;
  /// The innermost of this thread, or null.
  static CopyScope* current();
  std::map<const void*, std::shared_ptr<void>> copies;
  /// Of the copied nodes, in the order in which they were copied.
  struct Node {
    std::shared_ptr<void> memory;
    void (*end)(void* memory) noexcept;  ///< ends the node in its memory
  };
  std::vector<Node> nodes;

 private:
  CopyScope* previous_;
};

/// An independent copy, with sharing inside kept.
template <class T>
T copy(const T& object) {
  CopyScope scope;
  return object;
}

/// A copy that nobody else sees: with it all its nodes end, also those that refer to each other in
/// a circle.
template <class T>
class PrivateCopy {
 public:
  explicit PrivateCopy(const T& object) {
    CopyScope scope;
    object_.emplace(object);
    nodes_ = std::move(scope.nodes);
  }
  PrivateCopy(const PrivateCopy&) = delete;
  PrivateCopy& operator=(const PrivateCopy&) = delete;
  ~PrivateCopy() {
    object_.reset();
    for (const CopyScope::Node& node : nodes_) node.end(node.memory.get());
  }
  T& operator*() { return *object_; }
  /// From here on it is a copy like others, whose nodes live as long as they are referred to.
  T& share() {
    nodes_.clear();
    return *object_;
  }

 private:
  std::optional<T> object_;
  std::vector<CopyScope::Node> nodes_;
};

/// Where a listed field lies in its object.
struct FieldExtent {
  size_t offset, size, alignment;
  auto operator<=>(const FieldExtent&) const = default;
};
/// Where the object's own bytes lie: a gap that no field covers and no alignment explains holds a
/// member that is not listed. Empty if there is none.
std::optional<FieldExtent> unlisted_bytes(size_t size, size_t alignment, bool polymorphic,
                                          std::vector<FieldExtent> extents);
/// Throws TreeError if the listed fields of T leave such a gap.
void check_fields(const char* type_name, size_t size, size_t alignment, bool polymorphic,
                  std::string_view names, std::vector<FieldExtent> extents);

namespace detail {

struct AnyField {
  template <class T>
  operator T() const;  // NOLINT(runtime/explicit)
};

template <class T, class... A>
concept BraceConstructible = requires { T{std::declval<A>()...}; };

template <class T, class... A>
constexpr size_t aggregate_arity() {
  if constexpr (BraceConstructible<T, A..., AnyField>)
    return aggregate_arity<T, A..., AnyField>();
  else
    return sizeof...(A);
}

// One binding for each number of members, since a binding takes no pack.
#define LINNET_TIE(count, ...)    \
  if constexpr (n == count) {     \
    auto& [__VA_ARGS__] = o;      \
    return std::tie(__VA_ARGS__); \
  } else
template <class T>
auto aggregate_fields(T& o) {
  constexpr size_t n = aggregate_arity<std::remove_const_t<T>>();
  static_assert(n <= 12, "aggregates of more than 12 members need LINNET_FIELDS");
  // clang-format off
  LINNET_TIE(1, a)
  LINNET_TIE(2, a, b)
  LINNET_TIE(3, a, b, c)
  LINNET_TIE(4, a, b, c, d)
  LINNET_TIE(5, a, b, c, d, e)
  LINNET_TIE(6, a, b, c, d, e, f)
  LINNET_TIE(7, a, b, c, d, e, f, g)
  LINNET_TIE(8, a, b, c, d, e, f, g, h)
  LINNET_TIE(9, a, b, c, d, e, f, g, h, i)
  LINNET_TIE(10, a, b, c, d, e, f, g, h, i, j)
  LINNET_TIE(11, a, b, c, d, e, f, g, h, i, j, k)
  LINNET_TIE(12, a, b, c, d, e, f, g, h, i, j, k, l)
  return std::tie();
  // clang-format on
}
#undef LINNET_TIE

using linnet::detail::is_vector;
template <class T>
inline constexpr bool is_array = false;
template <class T, size_t N>
inline constexpr bool is_array<std::array<T, N>> = true;
template <class T>
inline constexpr bool is_map = false;
template <class K, class V, class C, class A>
inline constexpr bool is_map<std::map<K, V, C, A>> = true;
using linnet::detail::is_optional;
template <class T>
inline constexpr bool is_unique = false;
template <class T>
inline constexpr bool is_unique<std::unique_ptr<T>> = true;
template <class T>
inline constexpr bool is_variant = false;
template <class... T>
inline constexpr bool is_variant<std::variant<T...>> = true;
template <class T>
inline constexpr bool is_tuple = false;
template <class... T>
inline constexpr bool is_tuple<std::tuple<T...>> = true;
template <class A, class B>
inline constexpr bool is_tuple<std::pair<A, B>> = true;
using linnet::detail::is_shared_pointer;
using linnet::detail::is_small_vector;
template <class T>
inline constexpr bool is_function = false;
template <class F>
inline constexpr bool is_function<std::function<F>> = true;
template <class T>
concept UnorderedMap = requires(T& map) {
  typename T::hasher;
  typename T::mapped_type;
  map.begin()->second;
};

/// A pointer to it shows all of it: it is not the base of something larger.
template <class T>
inline constexpr bool is_whole = HasTraits<T> || !std::is_polymorphic_v<T> || std::is_final_v<T>;

/// Of something that is not const and holds leaves.
template <class T>
inline constexpr bool is_pointer_to_tree = false;
template <class T>
inline constexpr bool is_pointer_to_tree<T*> =
    !std::is_const_v<T> && (std::is_same_v<T, Tensor> || HasTraits<T> || HasFields<T>);

template <class Key>
void name_child(Visitor& v, const Key& key) {
  if constexpr (std::is_convertible_v<const Key&, std::string_view>)
    v.child(std::string_view(key));
  else
    v.child(static_cast<int64_t>(key));
}

template <class T>
std::vector<FieldExtent> field_extents(T& object) {
  std::vector<FieldExtent> extents;
  object.linnet_fields().apply([&](auto&... field) {
    (extents.push_back({static_cast<size_t>(reinterpret_cast<const char*>(&field) -
                                            reinterpret_cast<const char*>(&object)),
                        sizeof(field), alignof(std::remove_cvref_t<decltype(field)>)}),
     ...);
  });
  return extents;
}

template <class T>
void check_described(T& object) {
  static const bool checked = [&] {
    check_fields(typeid(T).name(), sizeof(T), alignof(T), std::is_polymorphic_v<T>,
                 T::linnet_field_names(), field_extents(object));
    return true;
  }();
  (void)checked;
}

}  // namespace detail

template <class T>
void visit(T& object, Visitor& v) {
  using U = std::remove_const_t<T>;
  U& o = const_cast<U&>(object);
  if constexpr (HasTraits<U>) {
    Traits<U>::visit(o, v);
  } else if constexpr (std::is_same_v<U, Tensor>) {
    v.tensor(o);
  } else if constexpr (std::is_same_v<U, bool>) {
    v.flag(o);
  } else if constexpr (std::is_arithmetic_v<U> || std::is_enum_v<U> || std::is_pointer_v<U> ||
                       std::is_empty_v<U>) {
    static_assert(
        !detail::is_pointer_to_tree<U>,
        "the object behind a plain pointer is not seen, so it would not be trained, saved "
        "or traced: hold it as a member, in a std::unique_ptr or in an nnx::Shared");
    v.fixed(typeid(U), std::string_view(reinterpret_cast<const char*>(&o),
                                        std::is_empty_v<U> ? 0 : sizeof(U)));
  } else if constexpr (std::is_same_v<U, std::string> || std::is_same_v<U, std::string_view>) {
    v.fixed(typeid(U), o);
  } else if constexpr (detail::is_small_vector<U>) {
    v.fixed(typeid(U), std::string_view(reinterpret_cast<const char*>(o.data()),
                                        o.size() * sizeof(*o.data())));
  } else if constexpr (HasFields<U>) {
    static_assert(lists_own_fields<U>(),
                  "this class has members of its own but no list of them: give it "
                  "LINNET_FIELDS_AND_BASE(Base, members...)");
    static_assert(lists_base_fields<U>(),
                  "the list of this class leaves out members of its base: use "
                  "LINNET_FIELDS_AND_BASE(Base, members...)");
    detail::check_described(o);
    auto fields = o.linnet_fields();
    v.enter(typeid(U), fields.kCount);
    size_t index = 0;
    fields.apply([&](auto&... field) {
      ((v.child(field_name(U::linnet_field_names(), index++)), visit(field, v)), ...);
    });
    v.leave();
  } else if constexpr (std::is_same_v<U, std::vector<bool>>) {
    std::string bits;
    for (bool bit : o) bits.push_back(bit ? '1' : '0');
    v.fixed(typeid(U), bits);
  } else if constexpr (detail::is_vector<U> || detail::is_array<U>) {
    v.enter(typeid(U), o.size());
    int64_t index = 0;
    for (auto& element : o) {
      v.child(index++);
      visit(element, v);
    }
    v.leave();
  } else if constexpr (detail::is_map<U>) {
    v.enter(typeid(U), o.size());
    for (auto& [key, value] : o) {
      detail::name_child(v, key);
      visit(value, v);
    }
    v.leave();
  } else if constexpr (detail::UnorderedMap<U>) {
    std::map<typename U::key_type, typename U::mapped_type*> in_order;
    for (auto& [key, value] : o) in_order.emplace(key, &value);
    v.enter(typeid(U), o.size());
    for (auto& [key, value] : in_order) {
      detail::name_child(v, key);
      visit(*value, v);
    }
    v.leave();
  } else if constexpr (detail::is_shared_pointer<U>) {
    static_assert(
        std::is_const_v<typename U::element_type>,
        "a copy of a shared_ptr shows the same object, so that gradients and copies would "
        "write into the original: use nnx::Shared<T>, or shared_ptr<const T> for what "
        "holds no parameters");
    const void* address = o.get();
    v.fixed(typeid(U), std::string_view(reinterpret_cast<const char*>(&address), sizeof(address)));
  } else if constexpr (detail::is_function<U>) {
    static_assert(
        !detail::is_function<U>,
        "two std::functions cannot be compared, so that a compiled program would not know "
        "when the member has changed: make it a linnet::Function");
  } else if constexpr (detail::is_optional<U> || detail::is_unique<U>) {
    if constexpr (detail::is_unique<U>) {
      static_assert(detail::is_whole<typename U::element_type>,
                    "a pointer to a class with virtual functions shows the members of that class "
                    "only, not those of the object: use std::variant of the layers, or specialise "
                    "linnet::tree::Traits for the base and visit through a virtual function");
    }
    v.enter(typeid(U), o ? 1 : 0);
    if (o) visit(*o, v);
    v.leave();
  } else if constexpr (detail::is_variant<U>) {
    v.enter(typeid(U), o.index());
    std::visit([&](auto& alternative) { visit(alternative, v); }, o);
    v.leave();
  } else if constexpr (detail::is_tuple<U>) {
    v.enter(typeid(U), std::tuple_size_v<U>);
    int64_t index = 0;
    std::apply([&](auto&... element) { ((v.child(index++), visit(element, v)), ...); }, o);
    v.leave();
  } else {
    static_assert(std::is_aggregate_v<U>,
                  "this type is no tree: add LINNET_FIELDS(members...) to it");
    auto fields = detail::aggregate_fields(o);
    v.enter(typeid(U), std::tuple_size_v<decltype(fields)>);
    int64_t index = 0;
    std::apply([&](auto&... field) { ((v.child(index++), visit(field, v)), ...); }, fields);
    v.leave();
  }
}

/// Every leaf by address, in order: tensors in place, and the cells of variables.
struct LeafRef {
  Tensor* tensor = nullptr;
  state::CellPtr cell;
};
struct Flattened {
  std::vector<LeafRef> leaves;
  std::vector<Path> paths;  ///< of each leaf; filled on request
  std::string structure;    ///< equal for trees of equal structure and static leaves
};

/// What a walk collects besides the leaves and the structure.
struct FlattenOptions {
  bool paths = false;  ///< where each leaf is
  bool types = false;  ///< dtypes and shapes of the leaves as part of the structure
};

/// Collects leaves and structure. A cell that is met again is no second leaf.
class Flattener final : public PathVisitor {
 public:
  explicit Flattener(FlattenOptions options = {}) : PathVisitor(options.paths), options_(options) {}
  void tensor(Tensor& leaf) override;
  void cell(state::CellPtr& cell) override;
  void fixed(const std::type_info& type, std::string_view bytes) override;
  void enter(const std::type_info& type, size_t children) override;
  void leave() override;
  void child(std::string_view name) override;
  void child(int64_t index) override;
  bool first_visit(const void* address) override;
  const Flattened& result() const { return result_; }
  Flattened take() { return std::move(result_); }
  /// Forgets what it has seen but keeps the memory: another walk over a tree of the same structure
  /// needs no more, so that it can be made where memory may be short.
  void reset();
  /// The same, with the memory of `kept` for the next result.
  void reset(Flattened&& kept);

 private:
  void add(LeafRef leaf);
  FlattenOptions options_;
  Flattened result_;
};

/// A Flattener of this thread with the memory of its earlier walks: most need none.
class LentFlattener {
 public:
  LentFlattener();
  ~LentFlattener();
  LentFlattener(const LentFlattener&) = delete;
  LentFlattener& operator=(const LentFlattener&) = delete;
  Flattener& operator*() const { return *flattener_; }

 private:
  std::unique_ptr<Flattener> flattener_;
};

template <class T>
Flattened flatten(T& object, FlattenOptions options) {
  Flattener flattener(options);
  visit(object, flattener);
  return flattener.take();
}
template <class T>
Flattened flatten(T& object, bool with_paths = false) {
  return flatten(object, FlattenOptions{.paths = with_paths});
}

/// The path of each tensor: those of a list in one variable are numbered.
std::vector<Path> tensor_paths(const Flattened& flat);

/// The tensors of a list of leaves; variables are read (lists of them give several).
TensorList read(const std::vector<LeafRef>& leaves);
/// Puts tensors back, in the order of `read`.
/// @throws TreeError if the counts differ.
void write(const std::vector<LeafRef>& leaves, std::span<const Tensor> values);

/// The same, past all state scopes; for values of the scope in which the cells were made.
void write_raw(const std::vector<LeafRef>& leaves, std::span<const Tensor> values);

/// All tensors, in order.
template <class T>
TensorList leaves(const T& object) {
  const LentFlattener walk;
  visit(const_cast<T&>(object), *walk);
  return read((*walk).result().leaves);
}

/// Paths and tensors.
template <class T>
std::vector<std::pair<std::string, Tensor>> leaves_with_path(const T& object) {
  Flattened flat = flatten(const_cast<T&>(object), true);
  TensorList tensors = read(flat.leaves);
  const std::vector<Path> paths = tensor_paths(flat);
  std::vector<std::pair<std::string, Tensor>> out;
  for (size_t i = 0; i < tensors.size(); ++i) out.emplace_back(to_string(paths[i]), tensors[i]);
  return out;
}

/// A text that is equal for trees of the same types, sizes and static leaves.
template <class T>
std::string structure(const T& object) {
  return flatten(const_cast<T&>(object)).structure;
}

/// A copy of `prototype` with other tensors.
/// @throws TreeError if their number does not fit.
template <class T>
T unflatten(const T& prototype, std::span<const Tensor> tensors) {
  T out = copy(prototype);
  const LentFlattener walk;
  visit(out, *walk);
  write((*walk).result().leaves, tensors);
  return out;
}

/// A copy with `f(leaf)` in place of each leaf.
template <class T, class F>
T map(const T& object, F&& f) {
  TensorList tensors = leaves(object);
  for (Tensor& tensor : tensors) tensor = f(tensor);
  return unflatten(object, tensors);
}

/// Throws TreeError that lists what only one of them has; both were flattened with paths.
[[noreturn]] void fail_different_structure(const Flattened& a, const Flattened& b,
                                           const char* operation);

/// Leaf by leaf over two trees of one structure.
/// @throws TreeError naming the leaves that only one of them has.
template <class T, class F>
T map(const T& first, const T& second, F&& f) {
  Flattened a = flatten(const_cast<T&>(first));
  Flattened b = flatten(const_cast<T&>(second));
  if (a.structure != b.structure) {
    fail_different_structure(flatten(const_cast<T&>(first), true),
                             flatten(const_cast<T&>(second), true), "tree::map");
  }
  TensorList x = read(a.leaves), y = read(b.leaves);
  for (size_t i = 0; i < x.size(); ++i) x[i] = f(x[i], y[i]);
  return unflatten(first, x);
}

/// `f(path, leaf)` for each leaf.
template <class T, class F>
T map_with_path(const T& object, F&& f) {
  Flattened flat = flatten(const_cast<T&>(object), true);
  TensorList tensors = read(flat.leaves);
  const std::vector<Path> paths = tensor_paths(flat);
  for (size_t i = 0; i < tensors.size(); ++i) tensors[i] = f(to_string(paths[i]), tensors[i]);
  return unflatten(object, tensors);
}

}  // namespace linnet::tree

#pragma GCC visibility pop
