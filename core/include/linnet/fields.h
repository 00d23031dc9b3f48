// The one reflection macro: lists the members of a struct so that trees, parameters, state and
// printing can see them.
//
//   struct Mlp {
//     nnx::Linear up, down;
//     LINNET_FIELDS(up, down)
//   };
#pragma once

#include <array>
#include <string_view>
#include <type_traits>
#include <utility>

/// Lists every member that holds tensors, variables, modules or configuration, in any order.
/// A forgotten member that could hold a pointer is reported at first use; a derived class with
/// members and no list of its own does not compile.
#define LINNET_FIELDS(...)                                                        \
  auto linnet_fields() { return ::linnet::detail::FieldList(__VA_ARGS__); }       \
  auto linnet_fields() const { return ::linnet::detail::FieldList(__VA_ARGS__); } \
  void linnet_fields_owner() const {}                                             \
  static constexpr std::string_view linnet_field_names() { return #__VA_ARGS__; }

/// The same in a class derived from `Base`, which has a list: these members, then the base's.
///
///   struct Gated : nnx::Linear { nnx::Param gate; LINNET_FIELDS_AND_BASE(nnx::Linear, gate) };
#define LINNET_FIELDS_AND_BASE(Base, ...)                                                \
  auto linnet_fields() {                                                                 \
    return ::linnet::detail::FieldList(__VA_ARGS__) + Base::linnet_fields();             \
  }                                                                                      \
  auto linnet_fields() const {                                                           \
    return ::linnet::detail::FieldList(__VA_ARGS__) + Base::linnet_fields();             \
  }                                                                                      \
  void linnet_fields_owner() const {}                                                    \
  static constexpr std::string_view linnet_field_names() {                               \
    return ::linnet::detail::JoinedFieldNames<::linnet::detail::FieldText(#__VA_ARGS__), \
                                              Base>::value();                            \
  }

#pragma GCC visibility push(default)

namespace linnet {

namespace detail {

/// References to the members of an object. Every list is made by everybody who includes its class:
/// a std::tuple of them was half of what compiling the umbrella header took.
template <class... T>
struct FieldList {
  static constexpr size_t kCount = sizeof...(T);
  void* at[kCount + 1];  // there may be none

  explicit FieldList(T&... fields)
      : at{(void*)__builtin_addressof(fields)...} {}  // NOLINT(readability/casting)
  /// What `f` gives for all of them.
  template <class F>
  decltype(auto) apply(F&& f) const {
    return [&]<size_t... I>(std::index_sequence<I...>) -> decltype(auto) {
      return f(*static_cast<T*>(at[I])...);
    }(std::index_sequence_for<T...>());
  }
  template <class... U>
  FieldList<T..., U...> operator+(const FieldList<U...>& others) const {
    return apply([&](T&... own) {
      return others.apply([&](U&... rest) { return FieldList<T..., U...>(own..., rest...); });
    });
  }
};

/// The text of a list of fields as a template argument.
template <size_t N>
struct FieldText {
  char text[N];
  constexpr FieldText(const char (&from)[N]) {  // NOLINT(runtime/explicit)
    for (size_t i = 0; i < N; ++i) text[i] = from[i];
  }
};

/// `own names, base's names`.
template <FieldText kOwn, class Base>
struct JoinedFieldNames {
  static constexpr std::string_view kFirst{kOwn.text, sizeof(kOwn.text) - 1};
  static constexpr std::string_view kThen = Base::linnet_field_names();
  static constexpr std::string_view kMark = kFirst.empty() || kThen.empty() ? "" : ", ";
  static constexpr std::array<char, kFirst.size() + kMark.size() + kThen.size() + 1> kText = [] {
    std::array<char, kFirst.size() + kMark.size() + kThen.size() + 1> out{};
    size_t next = 0;
    for (std::string_view part : {kFirst, kMark, kThen}) {
      for (char c : part) out[next++] = c;
    }
    return out;
  }();
  static constexpr std::string_view value() { return {kText.data(), kText.size() - 1}; }
};

template <class C>
std::type_identity<C> fields_owner(void (C::*)() const);

}  // namespace detail

template <class T>
concept HasFields = requires(const T& object) {
  object.linnet_fields();
  T::linnet_field_names();
};

/// False for a class that has members of its own and no list but its base's.
template <class T>
constexpr bool lists_own_fields() {
  if constexpr (requires { &T::linnet_fields_owner; }) {
    using Owner = typename decltype(detail::fields_owner(&T::linnet_fields_owner))::type;
    return std::is_same_v<Owner, T> || sizeof(Owner) == sizeof(T);
  } else {
    return true;
  }
}

namespace detail {

/// True if every name of the list `names` is in the list `among`. Characters are compared one by
/// one: under -fsanitize=undefined std::string_view::find is no constant expression in GCC 12.
constexpr bool names_are_among(std::string_view names, std::string_view among) {
  struct List {
    std::string_view text;
    size_t at = 0;
    constexpr std::string_view next() {
      size_t begin = at;
      while (at < text.size() && text[at] != ',') ++at;
      size_t end = at;
      if (at < text.size()) ++at;
      while (begin < end && text[begin] == ' ') ++begin;
      while (end > begin && text[end - 1] == ' ') --end;
      return text.substr(begin, end - begin);
    }
    constexpr bool has(std::string_view wanted) const {
      for (List rest{text}; rest.at < text.size();) {
        const std::string_view name = rest.next();
        bool same = name.size() == wanted.size();
        for (size_t i = 0; same && i < name.size(); ++i) same = name[i] == wanted[i];
        if (same) return true;
      }
      return false;
    }
  };
  const List all{among};
  for (List wanted{names}; wanted.at < names.size();) {
    const std::string_view name = wanted.next();
    if (!name.empty() && !all.has(name)) return false;
  }
  return true;
}

template <class... Bases>
struct BaseList {
  template <class T>
  static constexpr bool are_listed_by() {
    return ([] {
      if constexpr (requires { Bases::linnet_field_names(); })
        return names_are_among(Bases::linnet_field_names(), T::linnet_field_names());
      else
        return true;
    }() && ...);
  }
};

}  // namespace detail

/// False for a class whose list leaves out members that its direct base lists. (Compilers that
/// cannot name the bases of a class leave this to the check at first use.)
template <class T>
constexpr bool lists_base_fields() {
#if defined(__GNUC__) && !defined(__clang__)
  return detail::BaseList<__direct_bases(T)...>::template are_listed_by<T>();
#else
  return true;
#endif
}

/// The `index`-th name in the text of a LINNET_FIELDS list, without blanks around it and without
/// the trailing underscore of private members.
constexpr std::string_view field_name(std::string_view names, size_t index) {
  size_t begin = 0;
  for (; index > 0; --index) begin = names.find(',', begin) + 1;
  size_t end = names.find(',', begin);
  if (end == std::string_view::npos) end = names.size();
  while (begin < end && names[begin] == ' ') ++begin;
  while (end > begin && (names[end - 1] == ' ' || names[end - 1] == '_')) --end;
  return names.substr(begin, end - begin);
}

}  // namespace linnet

#pragma GCC visibility pop
