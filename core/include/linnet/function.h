// Function: a callable member that compiled programs can tell apart. Two std::functions cannot be
// compared, so a program could not know that a member has changed; a Function has an identity.
//
//   struct Mlp {
//     nnx::Linear up, down;
//     Function<Tensor(const Tensor&)> activation = relu;
//     LINNET_FIELDS(up, down, activation)
//   };
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet {

namespace detail {

/// A number that nobody else in this process gets.
uint64_t unique_number();

/// Equal for what is known to do the same: the same plain function, or closures of one type without
/// captures. All else gets a text of its own.
template <class F>
std::string identity_of_callable(const F& function) {
  if constexpr (std::is_pointer_v<F> && std::is_function_v<std::remove_pointer_t<F>>) {
    return std::string(typeid(F).name()) + '@' +
           std::to_string(reinterpret_cast<uintptr_t>(function));
  } else if constexpr (std::is_empty_v<F>) {
    return typeid(F).name();
  } else {
    return "function#" + std::to_string(unique_number());
  }
}

}  // namespace detail

template <class Signature>
class Function;

/// A callable with an identity, which copies share. Assigning another callable changes it.
template <class R, class... A>
class Function<R(A...)> {
 public:
  Function() = default;
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, Function> &&
             std::is_invocable_r_v<R, const std::decay_t<F>&, A...>)
  Function(F&& function)  // NOLINT(runtime/explicit)
      : function_(std::forward<F>(function)), identity_(identity(function)) {}

  R operator()(A... arguments) const { return function_(std::forward<A>(arguments)...); }
  explicit operator bool() const { return static_cast<bool>(function_); }
  const std::string& identity() const { return identity_; }

 private:
  template <class F>
  static std::string identity(const F& function) {
    return detail::identity_of_callable<std::decay_t<const F&>>(function);
  }
  std::function<R(A...)> function_;
  std::string identity_;
};

namespace tree {
template <class R, class... A>
struct Traits<Function<R(A...)>> {
  static void visit(Function<R(A...)>& function, Visitor& visitor) {
    visitor.fixed(typeid(Function<R(A...)>), function.identity());
  }
};
}  // namespace tree

}  // namespace linnet

#pragma GCC visibility pop
