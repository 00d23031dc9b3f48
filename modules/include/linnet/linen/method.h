// Other methods of a module than its call operator, as modules.
//
//   struct Autoencoder {
//     Tensor encode(linen::Scope& s, const Tensor& x) const;
//     Tensor decode(linen::Scope& s, const Tensor& z) const;
//     Tensor operator()(linen::Scope& s, const Tensor& x) const { return decode(s, encode(s, x)); }
//   };
//   Tensor z = linen::apply(linen::method<&Autoencoder::encode>(model), variables, x);
//
// What Flax gives as `method=` is here the module itself: any function of a scope will do,
// `apply([&](linen::Scope& s, const Tensor& x) { ... }, variables, x)`, also one that calls a
// submodule alone.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "linnet/linen/scope.h"

#pragma GCC visibility push(default)

namespace linnet::linen {

namespace detail {

/// The text in which the compiler names its template argument.
template <auto kMethod>
constexpr std::string_view text_with_method() {
  return __PRETTY_FUNCTION__;
}
/// `encode` of `… [with auto kMethod = &Autoencoder::encode; …]`.
constexpr std::string_view method_in(std::string_view text) {
  text = text.substr(text.find("kMethod = ") + 10);
  size_t end = 0;
  while (end < text.size() && text[end] != ';' && text[end] != ']') ++end;
  text = text.substr(0, end);
  const size_t scope = text.rfind("::");
  return scope == std::string_view::npos ? text : text.substr(scope + 2);
}

}  // namespace detail

/// The method of a module (L-065): runs in the scope of the module, and is named after it.
template <auto kMethod, class Module>
struct Method {
  Module module;

  LINNET_FIELDS(module)

  template <class... A>
    requires std::is_invocable_v<decltype(kMethod), const Module&, Scope&, A...>
  auto operator()(Scope& s, A&&... args) const {
    return std::invoke(kMethod, module, s, std::forward<A>(args)...);
  }
  std::string class_name() const { return class_name_of(module); }
  std::string method_name() const {
    return std::string(detail::method_in(detail::text_with_method<kMethod>()));
  }
};

template <auto kMethod, class Module>
Method<kMethod, Module> method(Module module) {
  return {std::move(module)};
}

}  // namespace linnet::linen

#pragma GCC visibility pop
