// Gradients with respect to the variables of a module.
//
//   auto [loss, grads] = nnx::value_and_grad([&](Mlp& m) { return cross_entropy(m(x), y); },
// model);
//   optimizer.update(model, grads);             // grads: a State with the paths of the parameters
//
// Other variables that the function writes (batch statistics, random counts) keep their new values.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "linnet/nnx/graph.h"
#include "linnet/transforms.h"

namespace linnet::nnx {

namespace detail {

/// A gradient computation over chosen leaves of a module; template-free.
class GradCall {
 public:
  GradCall(const std::vector<NodeLeaf>& leaves, const Filter& wrt);
  ~GradCall();
  void run(const std::function<void()>& body);
  Tensor primal(const Tensor& tensor) const;
  /// Variables that the run made leave with plain values.
  void lower(const std::vector<NodeLeaf>& leaves) const;
  /// A state with one gradient per chosen leaf.
  State gradients(const Tensor& loss);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace detail

/// {value, gradients} of `f(model)`, or {value, auxiliary, gradients} if f returns a pair;
/// gradients are with respect to the variables `wrt` chooses (N-094, N-095).
/// @throws ShapeError if the loss is not a scalar, DTypeError if a chosen variable is not floating.
template <class F, class M>
auto value_and_grad(F&& f, M& model, const Filter& wrt) {
  detail::GradCall call(detail::walk(detail::visitor_of(model)), wrt);
  using Result = std::decay_t<decltype(f(model))>;
  std::optional<Result> result;
  call.run([&] { result.emplace(f(model)); });
  call.lower(detail::walk(detail::visitor_of(model)));
  if constexpr (linnet::detail::PairOfResults<Result>) {
    State gradients = call.gradients(result->first);
    auto auxiliary = tree::map(result->second, [&](const Tensor& t) { return call.primal(t); });
    return std::make_tuple(call.primal(result->first), std::move(auxiliary), std::move(gradients));
  } else {
    State gradients = call.gradients(*result);
    return std::make_pair(call.primal(*result), std::move(gradients));
  }
}

/// With respect to all variables of one kind; Param unless named.
template <class Kind = Param, class F, class M>
auto value_and_grad(F&& f, M& model) {
  return value_and_grad(std::forward<F>(f), model, of_type<Kind>());
}

/// The gradients alone (with an auxiliary result: {gradients, auxiliary}).
template <class Kind = Param, class F, class M>
auto grad(F&& f, M& model) {
  auto result = nnx::value_and_grad<Kind>(std::forward<F>(f), model);
  if constexpr (std::tuple_size_v<decltype(result)> == 3) {
    return std::make_pair(std::move(std::get<2>(result)), std::move(std::get<1>(result)));
  } else {
    return std::move(std::get<1>(result));
  }
}

}  // namespace linnet::nnx
