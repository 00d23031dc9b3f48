// Transformations of functions. Arguments and results are trees (tree.h); all of them nest in any
// order. C++ numbers that are to be differentiated become tensors: `grad(f)(3.0)`.
//
//   auto f = [](const Tensor& x) { return sum(sin(x)); };
//   Tensor g = grad(f)(x);                                      // cos(x)
//   auto [value, gradient] = value_and_grad(f)(x);
//   Tensor h = hessian(f)(x);
//   Tensor per_row = vmap(grad(f))(rows);                       // f32[batch, n]
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "linnet/checkpoint_policy.h"
#include "linnet/ops.h"
#include "linnet/traced_call.h"

#pragma GCC visibility push(default)

namespace linnet {

/// Of `grad`, `jacfwd` and the like.
struct GradOptions {
  /// The function is holomorphic: of complex arguments, with a complex result. What is given is its
  /// complex derivative. Without it, results must be real (of `jacfwd`, arguments).
  bool holomorphic = false;
};

namespace detail {

/// A reverse-mode transformation in progress; template-free.
class ReverseCall {
 public:
  /// Starts: gives traced versions of the tensors to differentiate with respect to.
  /// @param scalar_loss insists on floating inputs, as `grad` does.
  /// @param cells while it runs, cells[i] (if there is one) holds traced()[i].
  ReverseCall(const char* name, const TensorList& primals, bool scalar_loss,
              std::vector<state::CellPtr> cells = {});
  ~ReverseCall();
  ReverseCall(ReverseCall&&) noexcept;

  const TensorList& traced() const;
  /// Runs `body` inside the transformation and lets state out afterwards; of a scalar loss, only
  /// `commit` does.
  void run(const std::function<void()>& body);
  /// The plain value of a result.
  Tensor primal(const Tensor& tensor) const;
  /// Gradients of a scalar loss. @throws ShapeError or DTypeError if it is none.
  TensorList gradients(const Tensor& loss, const GradOptions& options = {});
  /// Lets out what a function with a scalar loss wrote, after everything that can fail.
  void commit();
  /// Cotangents of the inputs; may be called again and again.
  TensorList pullback(const TensorList& outputs, const TensorList& cotangents);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

TensorList forward_call(const TensorList& primals, const TensorList& tangents,
                        const std::function<TensorList(const TensorList&)>& f,
                        TensorList& tangents_out);
/// @param axis_name that collectives in `f` use for the batch; may be empty.
TensorList batch_call(const char* name, const TensorList& inputs,
                      const std::vector<std::optional<int64_t>>& in_axes,
                      const std::function<TensorList(const TensorList&)>& f,
                      const std::function<std::vector<std::optional<int64_t>>(size_t)>& out_axes,
                      std::optional<int64_t> axis_size, const std::string& axis_name);
/// The axis of each leaf. `axes` has one entry for each part (an argument, an element of the
/// result), a single one for all, or none, which means 0; `counts` are the leaves of the parts.
/// @throws ValueError if there is not one for each part.
std::vector<std::optional<int64_t>> spread_axes(const char* option,
                                                const std::vector<std::optional<int64_t>>& axes,
                                                const std::vector<size_t>& counts,
                                                const char* what);
/// Leaves of each element of a pair or tuple, or of the whole.
template <class T>
std::vector<size_t> leaf_counts(const T& result) {
  if constexpr (tree::detail::is_tuple<T>) {
    return std::apply(
        [](const auto&... part) { return std::vector<size_t>{tree::leaves(part).size()...}; },
        result);
  } else {
    return {tree::leaves(result).size()};
  }
}
TensorList abstract_call(const TensorList& inputs,
                         const std::function<TensorList(const TensorList&)>& f);
TensorList remat_call(const TensorList& inputs,
                      const std::function<TensorList(const TensorList&)>& f,
                      const CheckpointPolicy& policy);

using FlatFunction = std::function<TensorList(const TensorList&)>;
/// fwd gives results followed by residuals; bwd takes residuals followed by cotangents.
struct CustomVjpRule {
  FlatFunction f, fwd, bwd;
};
TensorList custom_vjp_call(const TensorList& inputs, std::shared_ptr<const CustomVjpRule> rule);
/// jvp takes inputs followed by tangents, gives results followed by tangents.
struct CustomJvpRule {
  FlatFunction f, jvp;
};
TensorList custom_jvp_call(const TensorList& inputs, std::shared_ptr<const CustomJvpRule> rule);

template <class T>
T with_primals(const T& object, const ReverseCall& call) {
  return tree::map(object, [&](const Tensor& t) { return call.primal(t); });
}

/// The tensors of a tangent, of which floating numbers are tensors if those of its primal are.
/// @tparam Primal the type with which the function is called, `Given` the one that was passed.
template <class Primal, class Given, class Tangent>
void append_tangent(TensorList& out, const Tangent& tangent) {
  constexpr bool numbers = !std::is_same_v<Primal, Given> || std::is_same_v<Primal, Tensor>;
  using Wanted = std::conditional_t<numbers, with_tensors<Tangent>, Tangent>;
  const TensorList leaves = tree::leaves(as_tensors<Wanted>(tangent));
  out.insert(out.end(), leaves.begin(), leaves.end());
}

template <class T>
concept PairOfResults = requires(const T& result) {
  result.first;
  result.second;
};

/// @param run calls the function of `function`.
template <class Call, class... A>
auto value_and_gradient(Call& function, const GradOptions& options,
                        const std::function<void()>& run, const A&... args) {
  ReverseCall call("grad", function.inputs(), true);
  function.place(call.traced());
  call.run(run);
  const auto& result = function.traced();
  if constexpr (PairOfResults<typename Call::Result>) {
    auto gradient = function.chosen(call.gradients(result.first, options), args...);
    auto out = std::make_tuple(call.primal(result.first), with_primals(result.second, call),
                               std::move(gradient));
    call.commit();
    return out;
  } else {
    auto gradient = function.chosen(call.gradients(result, options), args...);
    auto out = std::make_pair(call.primal(result), std::move(gradient));
    call.commit();
    return out;
  }
}

/// The value of a function that `run` calls, and its pullback.
template <class Call, class... A>
auto value_and_pullback(const std::shared_ptr<Call>& function,
                        const std::function<TensorList()>& run, const A&... args) {
  return all_or_nothing([&] {
    auto call = std::make_shared<ReverseCall>("vjp", function->inputs(), false);
    function->place(call->traced());
    TensorList outputs;
    call->run([&] { outputs = run(); });
    auto value = with_primals(function->traced(), *call);
    auto pullback = [call, function, outputs, prototypes = tree::copy(std::make_tuple(args...))](
                        const typename Call::Result& cotangent) {
      const TensorList grads = call->pullback(outputs, tree::leaves(cotangent));
      return std::apply([&](const auto&... given) { return function->chosen(grads, given...); },
                        prototypes);
    };
    return std::make_pair(std::move(value), std::move(pullback));
  });
}

}  // namespace detail

/// f's value and its gradient with respect to arguments N... (the first if none are named).
///
/// f must return a floating zero-dimensional tensor, or a pair of it and any auxiliary tree. Gives
/// `{value, gradient}`, or `{value, auxiliary, gradient}`; the gradient has the type of the
/// argument (Tensor for a number), or is a tuple if several are named. With respect to a complex
/// argument x + iy it is df/dx - i df/dy.
/// @throws ShapeError for a loss that is not a scalar, DTypeError for inputs that are not floating
/// and losses that are not real (or not complex, if that is asked for), ValueError if the arguments
/// hold nothing to differentiate with respect to.
template <size_t... N, class F>
auto value_and_grad(F f, GradOptions options = {}) {
  return [f = std::move(f), options]<class... A>(const A&... args) {
    using Which =
        std::conditional_t<sizeof...(N) == 0, std::index_sequence<0>, std::index_sequence<N...>>;
    detail::DifferentiatedCall<const F, Which, A...> function(args...);
    return detail::value_and_gradient(
        function, options, [&] { function.run(f); }, args...);
  };
}

/// The gradient alone; with an auxiliary result, `{gradient, auxiliary}`.
template <size_t... N, class F>
auto grad(F f, GradOptions options = {}) {
  return [g = value_and_grad<N...>(std::move(f), options)](const auto&... args) {
    auto result = g(args...);
    if constexpr (std::tuple_size_v<decltype(result)> == 3) {
      return std::make_pair(std::move(std::get<2>(result)), std::move(std::get<1>(result)));
    } else {
      return std::move(std::get<1>(result));
    }
  };
}

/// f's value at `args` and a function from cotangents of the result (a tree of its type) to those
/// of the arguments: one tree, or a tuple if f has several arguments. It may be called many times.
/// @throws ValueError if the arguments hold nothing to differentiate with respect to.
template <class F, class... A>
auto vjp(F f, const A&... args) {
  using Call = detail::DifferentiatedCall<F, std::index_sequence_for<A...>, A...>;
  auto function = std::make_shared<Call>(args...);
  return detail::value_and_pullback(
      function, [&] { return function->run(f); }, args...);
}

/// f's value at `primals` and its derivative in the direction `tangents` (tuples of argument
/// trees).
/// @throws ShapeError if a tangent's type differs from its primal's, ValueError if the arguments
/// hold nothing to differentiate with respect to.
template <class F, class... A, class... T>
auto jvp(F f, const std::tuple<A...>& primals, const std::tuple<T...>& tangents) {
  static_assert(sizeof...(A) == sizeof...(T), "jvp needs as many tangents as primals");
  using Which = std::index_sequence_for<A...>;
  using Call = detail::DifferentiatedCall<F, Which, A...>;
  auto function = std::apply([](const A&... args) { return Call(args...); }, primals);
  TensorList directions, tangents_out;
  [&]<size_t... I>(std::index_sequence<I...>) {
    (detail::append_tangent<std::tuple_element_t<I, typename Call::Arguments>, A>(
         directions, std::get<I>(tangents)),
     ...);
  }(Which{});
  return detail::all_or_nothing([&] {
    const TensorList outputs = detail::forward_call(
        function.inputs(), directions,
        [&](const TensorList& lifted) { return function.run(f, lifted); }, tangents_out);
    return std::make_pair(function.result(outputs), function.result(tangents_out));
  });
}
template <class F, class A, class T>
auto jvp(F f, const A& primal, const T& tangent) {
  return jvp(std::move(f), std::tuple<A>(primal), std::tuple<T>(tangent));
}

/// Marks an argument or result that is not mapped.
inline constexpr std::nullopt_t kNone = std::nullopt;

struct VmapOptions {
  /// One axis per argument, for all its leaves (negative counts from the end; kNone: not mapped).
  /// Empty: 0 for all.
  std::vector<std::optional<int64_t>> in_axes = {};
  /// One axis for all results, or one per element of a tuple or pair result. Empty: 0.
  std::vector<std::optional<int64_t>> out_axes = {};
  /// What collectives inside call the batch (collectives.h). Empty: nothing.
  std::string axis_name = {};
  /// Needed only if no argument is mapped.
  std::optional<int64_t> axis_size = {};
};

namespace detail {
/// @param run calls the function of `function` for one element of the batch.
template <class Call>
auto over_batch(Call& function, const VmapOptions& options,
                const std::function<TensorList(const TensorList&)>& run) {
  const std::vector<std::optional<int64_t>> axes =
      spread_axes("in_axes", options.in_axes, function.counts(), "argument");
  return all_or_nothing([&] {
    const TensorList outputs = batch_call(
        "vmap", function.inputs(), axes, run,
        [&](size_t count) {
          return spread_axes("out_axes", options.out_axes,
                             options.out_axes.size() > 1 ? leaf_counts(function.traced())
                                                         : std::vector<size_t>{count},
                             "result");
        },
        options.axis_size, options.axis_name);
    return function.result(outputs);
  });
}
}  // namespace detail

/// f over a batch: every mapped argument has one more dimension, and so has every result (J-082).
/// @throws ShapeError if sizes disagree (all are listed), ValueError if nothing is mapped and no
/// size is given, if there is not an axis for every argument, or if `out_axes` is kNone for a
/// result that is mapped.
template <class F>
auto vmap(F f, VmapOptions options = {}) {
  return [f = std::move(f), options = std::move(options)]<class... A>(const A&... args) {
    detail::CallOf<const F, A...> function(args...);
    return detail::over_batch(function, options,
                              [&](const TensorList& lifted) { return function.run(f, lifted); });
  };
}

/// Types of the results, without computing or allocating (J-085): trees of abstract tensors.
template <class F, class... A>
auto eval_shape(F f, const A&... args) {
  detail::CallOf<F, A...> function(args...);
  return function.result(detail::abstract_call(
      function.inputs(), [&](const TensorList& lifted) { return function.run(f, lifted); }));
}

namespace detail {
/// One direction for each element of `of`, [n, n].
/// @throws DTypeError if `of` is complex and the function is not holomorphic, or the other way
/// round.
Tensor unit_directions(const char* transformation, const char* what, const Tensor& of,
                       const GradOptions& options);
/// [n, output...] and [m, input...] as [output..., input...]; `x` is the input.
/// @throws DTypeError if the function is said to be holomorphic and one of its sides is real.
Tensor jacobian_of_columns(const Tensor& columns, const Tensor& x, const GradOptions& options);
Tensor jacobian_of_rows(const Tensor& rows, const Shape& output, const Tensor& x,
                        const GradOptions& options);
}  // namespace detail

/// Jacobian of a tensor function by columns (forward mode): shape output + input (J-081).
/// Further arguments are constants.
template <class F>
auto jacfwd(F f, GradOptions options = {}) {
  return [f = std::move(f), options](const Tensor& x, const auto&... rest) {
    return detail::all_or_nothing([&] {
      const auto column = [&](const Tensor& direction) {
        return jvp([&](const Tensor& y) { return f(y, rest...); }, x, reshape(direction, x.shape()))
            .second;
      };
      const Tensor directions = detail::unit_directions("jacfwd", "argument", x, options);
      return detail::jacobian_of_columns(vmap(column)(directions), x, options);
    });
  };
}

/// The same by rows (reverse mode).
template <class F>
auto jacrev(F f, GradOptions options = {}) {
  return [f = std::move(f), options](const Tensor& x, const auto&... rest) {
    return detail::all_or_nothing([&] {
      auto [y, pullback] = vjp([&](const Tensor& z) { return f(z, rest...); }, x);
      const Shape output = y.shape();
      const auto row = [&, pullback = pullback](const Tensor& direction) {
        return pullback(reshape(direction, output));
      };
      const Tensor directions = detail::unit_directions("jacrev", "result", y, options);
      return detail::jacobian_of_rows(vmap(row)(directions), output, x, options);
    });
  };
}

/// Second derivatives of a scalar function: shape input + input.
template <class F>
auto hessian(F f, GradOptions options = {}) {
  return jacfwd(jacrev(std::move(f), options), options);
}

/// Recomputes f in the backward pass instead of keeping its intermediate values, but for those that
/// the policy keeps (J-086).
template <class F>
auto checkpoint(F f, CheckpointPolicy policy = {}) {
  return [f = std::move(f), policy = std::move(policy)]<class... A>(const A&... args) {
    detail::CallOf<const F, A...> function(args...);
    return detail::all_or_nothing([&] {
      return function.result(detail::remat_call(
          function.inputs(), [&](const TensorList& lifted) { return function.run(f, lifted); },
          policy));
    });
  };
}

namespace detail {

/// What the rules of one call of a function with a custom derivative share.
template <class Call, class Residuals>
struct CustomCall {
  template <class... A>
  explicit CustomCall(const A&... args) : function(args...), inputs(function.take_inputs()) {}
  Call function;
  TensorList inputs;
  // Blank: they say how lists of tensors are put together.
  std::optional<typename Call::Result> result;
  std::optional<Residuals> residuals;
};

/// `first`'s tensors followed by those of `second`.
template <class A, class B>
TensorList joined_leaves(const A& first, const B& second) {
  TensorList out = tree::leaves(first);
  for (Tensor& t : tree::leaves(second)) out.push_back(std::move(t));
  return out;
}

}  // namespace detail

/// f with its own reverse rule: `fwd(args...)` gives `{result, residuals}`, `bwd(residuals,
/// cotangent)` gives the cotangents: one tree, or a tuple if there are several arguments (J-087).
template <class F, class Fwd, class Bwd>
auto custom_vjp(F f, Fwd fwd, Bwd bwd) {
  return
      [f = std::move(f), fwd = std::move(fwd), bwd = std::move(bwd)]<class... A>(const A&... args) {
        using Call = detail::CallOf<const F, A...>;
        using Residuals = std::decay_t<decltype(fwd(args...).second)>;
        auto call = std::make_shared<detail::CustomCall<Call, Residuals>>(args...);
        auto rule = std::make_shared<detail::CustomVjpRule>();
        rule->f = [f, call](const TensorList& leaves) {
          auto arguments = call->function.arguments(leaves);
          const auto result = std::apply(f, arguments);
          call->result.emplace(detail::blank(result));
          return tree::leaves(result);
        };
        rule->fwd = [fwd, call](const TensorList& leaves) {
          auto arguments = call->function.arguments(leaves);
          const auto pair = std::apply(fwd, arguments);
          call->result.emplace(detail::blank(pair.first));
          call->residuals.emplace(detail::blank(pair.second));
          return detail::joined_leaves(pair.first, pair.second);
        };
        rule->bwd = [bwd, call](const TensorList& leaves) {
          const size_t count = tree::leaves(*call->residuals).size();
          const std::span<const Tensor> all(leaves);
          return tree::leaves(bwd(tree::unflatten(*call->residuals, all.first(count)),
                                  tree::unflatten(*call->result, all.subspan(count))));
        };
        return detail::all_or_nothing([&] {
          const TensorList outputs = detail::custom_vjp_call(std::move(call->inputs), rule);
          return tree::unflatten(*call->result, outputs);
        });
      };
}

/// f with its own forward rule: `rule(primals, tangents)` (tuples of arguments) gives `{result,
/// tangent}`.
template <class F, class Rule>
auto custom_jvp(F f, Rule jvp_rule) {
  return [f = std::move(f), jvp_rule = std::move(jvp_rule)]<class... A>(const A&... args) {
    using Call = detail::CallOf<const F, A...>;
    auto call = std::make_shared<detail::CustomCall<Call, std::tuple<>>>(args...);
    auto rule = std::make_shared<detail::CustomJvpRule>();
    rule->f = [f, call](const TensorList& leaves) {
      auto arguments = call->function.arguments(leaves);
      const auto result = std::apply(f, arguments);
      call->result.emplace(detail::blank(result));
      return tree::leaves(result);
    };
    rule->jvp = [jvp_rule, call](const TensorList& leaves) {
      const auto middle = leaves.begin() + static_cast<int64_t>(leaves.size() / 2);
      const auto pair = jvp_rule(call->function.arguments(TensorList(leaves.begin(), middle)),
                                 call->function.arguments(TensorList(middle, leaves.end())));
      return detail::joined_leaves(pair.first, pair.second);
    };
    return detail::all_or_nothing([&] {
      const TensorList outputs = detail::custom_jvp_call(std::move(call->inputs), rule);
      return tree::unflatten(*call->result, outputs);
    });
  };
}

}  // namespace linnet

#pragma GCC visibility pop
