// A setting that is given to a module or to its call, but once.
//
//   struct Noise {
//     std::optional<bool> deterministic = {};
//     Tensor operator()(linen::Scope& s, const Tensor& x, std::optional<bool> of_call = {}) const {
//       if (linen::merge_param("deterministic", deterministic, of_call)) return x;
//       ...
#pragma once

#include <optional>
#include <string_view>

#pragma GCC visibility push(default)

namespace linnet::layers {

namespace detail {
[[noreturn]] void fail_not_given_once(std::string_view layer, std::string_view name, bool both);
}  // namespace detail

/// The one of both that is given (L-072); `layer` begins the text of the error.
/// @throws ValueError if both or neither are.
template <class T>
T merge_param(std::string_view layer, std::string_view name, const std::optional<T>& of_layer,
              const std::optional<T>& of_call) {
  if (of_layer.has_value() == of_call.has_value())
    detail::fail_not_given_once(layer, name, of_layer.has_value());
  return of_layer ? *of_layer : *of_call;
}
template <class T>
T merge_param(std::string_view name, const std::optional<T>& of_layer,
              const std::optional<T>& of_call) {
  return merge_param("merge_param", name, of_layer, of_call);
}

}  // namespace linnet::layers

namespace linnet::linen {
using layers::merge_param;
}  // namespace linnet::linen

namespace linnet::nnx {
using layers::merge_param;
}  // namespace linnet::nnx

#pragma GCC visibility pop
