// Gradients with respect to the variables of a module.
//
//   auto [loss, grads] = nnx::value_and_grad([&](Mlp& m) { return cross_entropy(m(x), y); },
// model);
//   optimizer.update(model, grads);             // grads: a State with the paths of the parameters
//
// Other variables that the function writes (batch statistics, random counts) keep their new values.
#pragma once

#include <functional>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "linnet/nnx/graph.h"
#include "linnet/transforms.h"

#pragma GCC visibility push(default)

namespace linnet::nnx {

namespace detail {

/// The leaves that `wrt` chooses, and their values.
struct Differentiated {
  std::vector<NodeLeaf> leaves;
  TensorList values;
  std::vector<state::CellPtr> cells;  ///< null for plain tensors
  /// One gradient per leaf, under its path.
  State gradients(const TensorList& values) const;
};
/// @throws ValueError if `wrt` chooses nothing, DTypeError for a variable that is not floating.
Differentiated differentiated(const std::vector<NodeLeaf>& leaves, const Filter& wrt);

/// Tensors that a module holds directly, while it runs in a transformation: unless the run is kept,
/// they are as before afterwards.
class PlainTensors {
 public:
  using Visit = std::function<void(tree::Visitor&)>;
  explicit PlainTensors(Visit visit);
  ~PlainTensors();
  PlainTensors(const PlainTensors&) = delete;
  PlainTensors& operator=(const PlainTensors&) = delete;
  /// Traced values in place of those that are differentiated.
  void place(const Differentiated& chosen, const TensorList& traced) const;
  /// The values that leave the transformation.
  void keep(const linnet::detail::ReverseCall& call);

 private:
  Visit visit_;
  std::vector<NodeLeaf> leaves_;
  TensorList before_;
  bool kept_ = false;
};

}  // namespace detail

/// {value, gradients} of `f(model)`, or {value, auxiliary, gradients} if f returns a pair;
/// gradients are with respect to the variables `wrt` chooses (N-094, N-095). A call that throws
/// changes no variable.
/// @throws ValueError if `wrt` chooses nothing, ShapeError if the loss is not a scalar, DTypeError
/// if it or a chosen variable is not floating.
template <class F, class M>
auto value_and_grad(F&& f, M& model, const Filter& wrt) {
  const auto visit = detail::visitor_of(model);
  const detail::Differentiated chosen = detail::differentiated(detail::walk(visit), wrt);
  linnet::detail::ReverseCall call("grad", chosen.values, true, chosen.cells);
  detail::PlainTensors plain(visit);
  using Result = std::decay_t<decltype(f(model))>;
  std::optional<Result> result;
  call.run([&] {
    plain.place(chosen, call.traced());
    result.emplace(f(model));
  });
  const auto finish = [&](auto out) {
    plain.keep(call);
    call.commit();
    return out;
  };
  if constexpr (linnet::detail::PairOfResults<Result>) {
    State gradients = chosen.gradients(call.gradients(result->first));
    return finish(std::make_tuple(call.primal(result->first),
                                  linnet::detail::with_primals(result->second, call),
                                  std::move(gradients)));
  } else {
    State gradients = chosen.gradients(call.gradients(*result));
    return finish(std::make_pair(call.primal(*result), std::move(gradients)));
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

#pragma GCC visibility pop
