// Transformations of functions. Arguments and results are trees (tree.h); all of them nest in any
// order.
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
#include <tuple>
#include <utility>
#include <vector>

#include "linnet/jit.h"
#include "linnet/ops.h"
#include "linnet/params.h"
#include "linnet/tree.h"

namespace linnet {

namespace detail {

/// A reverse-mode transformation in progress; template-free.
class ReverseCall {
 public:
  /// Starts: gives traced versions of the tensors to differentiate with respect to.
  /// @param scalar_loss insists on floating inputs, as `grad` does.
  ReverseCall(const char* name, const TensorList& primals, bool scalar_loss);
  ~ReverseCall();
  ReverseCall(ReverseCall&&) noexcept;

  const TensorList& traced() const;
  /// Runs `body` inside the transformation and lets state out afterwards.
  void run(const std::function<void()>& body);
  /// The plain value of a result.
  Tensor primal(const Tensor& tensor) const;
  /// Gradients of a scalar loss. @throws ShapeError or DTypeError if it is none.
  TensorList gradients(const Tensor& loss);
  /// Cotangents of the inputs; may be called again and again.
  TensorList pullback(const TensorList& outputs, const TensorList& cotangents);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

TensorList forward_call(const TensorList& primals, const TensorList& tangents,
                        const std::function<TensorList(const TensorList&)>& f,
                        TensorList& tangents_out);
TensorList batch_call(const char* name, const TensorList& inputs,
                      const std::vector<std::optional<int64_t>>& in_axes,
                      const std::function<TensorList(const TensorList&)>& f,
                      const std::function<std::vector<std::optional<int64_t>>(size_t)>& out_axes,
                      std::optional<int64_t> axis_size);
[[noreturn]] void fail_axes_count(const char* option, size_t given, size_t wanted,
                                  const char* what);
TensorList abstract_call(const TensorList& inputs,
                         const std::function<TensorList(const TensorList&)>& f);
TensorList remat_call(const TensorList& inputs,
                      const std::function<TensorList(const TensorList&)>& f);

using FlatFunction = std::function<TensorList(const TensorList&)>;
/// fwd gives results followed by residuals; bwd takes residuals followed by cotangents.
struct CustomVjpRule {
  FlatFunction f, fwd, bwd;
  size_t results = 0;
};
TensorList custom_vjp_call(const TensorList& inputs, std::shared_ptr<const CustomVjpRule> rule);
/// jvp takes inputs followed by tangents, gives results followed by tangents.
struct CustomJvpRule {
  FlatFunction f, jvp;
  size_t results = 0;
};
TensorList custom_jvp_call(const TensorList& inputs, std::shared_ptr<const CustomJvpRule> rule);

template <size_t I, class Tuple>
TensorList leaves_of(Tuple& arguments) {
  return tree::read(tree::flatten(std::get<I>(arguments)).leaves);
}

template <class Tuple>
void append_leaves(TensorList& out, std::vector<size_t>& counts, Tuple& arguments) {
  std::apply(
      [&](auto&... argument) {
        (([&] {
           TensorList part = tree::read(tree::flatten(argument).leaves);
           counts.push_back(part.size());
           out.insert(out.end(), part.begin(), part.end());
         }()),
         ...);
      },
      arguments);
}

template <class Tuple>
void place_leaves(Tuple& arguments, const TensorList& values, const std::vector<size_t>& counts) {
  size_t which = 0, next = 0;
  std::apply(
      [&](auto&... argument) {
        (([&] {
           const size_t count = counts[which++];
           tree::write(tree::flatten(argument).leaves,
                       std::span<const Tensor>(values).subspan(next, count));
           next += count;
         }()),
         ...);
      },
      arguments);
}

template <class T>
T with_primals(const T& object, const ReverseCall& call) {
  return tree::map(object, [&](const Tensor& t) { return call.primal(t); });
}

}  // namespace detail

/// f's value and its gradient with respect to arguments N... (the first if none are named).
///
/// f must return a floating zero-dimensional tensor, or a pair of it and any auxiliary tree. Gives
/// `{value, gradient}`, or `{value, auxiliary, gradient}`; the gradient has the type of the
/// argument, or is a tuple if several are named.
/// @throws ShapeError for a loss that is not a scalar, DTypeError for inputs that are not floating.
template <size_t... N, class F>
auto value_and_grad(F f) {
  return [f = std::move(f)](const auto&... args) {
    auto arguments = tree::copy(std::make_tuple(args...));
    using Which =
        std::conditional_t<sizeof...(N) == 0, std::index_sequence<0>, std::index_sequence<N...>>;
    return [&]<size_t... W>(std::index_sequence<W...>) {
      TensorList primals;
      std::vector<size_t> counts;
      auto chosen = std::tie(std::get<W>(arguments)...);
      detail::append_leaves(primals, counts, chosen);
      detail::ReverseCall call("grad", primals, true);
      detail::place_leaves(chosen, call.traced(), counts);
      using Result = std::decay_t<decltype(std::apply(f, arguments))>;
      std::optional<Result> result;
      call.run([&] { result.emplace(std::apply(f, arguments)); });
      const auto unpack = [&](const Tensor& loss) {
        TensorList gradients = call.gradients(loss);
        size_t next = 0, which = 0;
        std::tuple out{[&] {
          const size_t count = counts[which++];
          auto part = tree::unflatten(std::get<W>(std::tie(args...)),
                                      std::span<const Tensor>(gradients).subspan(next, count));
          next += count;
          return part;
        }()...};
        if constexpr (sizeof...(W) == 1)
          return std::move(std::get<0>(out));
        else
          return out;
      };
      if constexpr (detail::is_pair<Result>) {
        auto gradient = unpack(result->first);
        return std::make_tuple(call.primal(result->first),
                               detail::with_primals(result->second, call), std::move(gradient));
      } else {
        auto gradient = unpack(*result);
        return std::make_pair(call.primal(*result), std::move(gradient));
      }
    }(Which{});
  };
}

/// The gradient alone; with an auxiliary result, `{gradient, auxiliary}`.
template <size_t... N, class F>
auto grad(F f) {
  return [g = value_and_grad<N...>(std::move(f))](const auto&... args) {
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
template <class F, class... A>
auto vjp(F f, const A&... args) {
  auto arguments = tree::copy(std::make_tuple(args...));
  TensorList primals;
  std::vector<size_t> counts;
  detail::append_leaves(primals, counts, arguments);
  auto call = std::make_shared<detail::ReverseCall>("vjp", primals, false);
  detail::place_leaves(arguments, call->traced(), counts);
  using Result = std::decay_t<decltype(std::apply(f, arguments))>;
  std::optional<Result> traced;
  call->run([&] { traced.emplace(std::apply(f, arguments)); });
  Result value = detail::with_primals(*traced, *call);
  auto pullback = [call, outputs = tree::leaves(*traced), counts,
                   prototypes = tree::copy(std::make_tuple(args...))](const Result& cotangent) {
    const TensorList grads = call->pullback(outputs, tree::leaves(cotangent));
    auto out = tree::copy(prototypes);
    detail::place_leaves(out, grads, counts);
    if constexpr (sizeof...(A) == 1)
      return std::move(std::get<0>(out));
    else
      return out;
  };
  return std::make_pair(std::move(value), std::move(pullback));
}

/// f's value at `primals` and its derivative in the direction `tangents` (tuples of argument
/// trees).
/// @throws ShapeError if a tangent's type differs from its primal's.
template <class F, class... A>
auto jvp(F f, const std::tuple<A...>& primals, const std::tuple<A...>& tangents) {
  auto arguments = tree::copy(primals);
  TensorList values, directions;
  std::vector<size_t> counts, tangent_counts;
  detail::append_leaves(values, counts, arguments);
  auto tangent_copy = tangents;
  detail::append_leaves(directions, tangent_counts, tangent_copy);
  using Result = std::decay_t<decltype(std::apply(f, arguments))>;
  std::optional<Result> traced;
  TensorList tangents_out;
  const TensorList outputs = detail::forward_call(
      values, directions,
      [&](const TensorList& lifted) {
        detail::place_leaves(arguments, lifted, counts);
        traced.emplace(std::apply(f, arguments));
        return tree::leaves(*traced);
      },
      tangents_out);
  return std::make_pair(tree::unflatten(*traced, outputs), tree::unflatten(*traced, tangents_out));
}
template <class F, class T>
auto jvp(F f, const T& primal, const T& tangent) {
  return jvp(std::move(f), std::tuple<T>(primal), std::tuple<T>(tangent));
}

/// Marks an argument or result that is not mapped.
inline constexpr std::nullopt_t kNone = std::nullopt;

struct VmapOptions {
  /// One axis per argument, for all its leaves (negative counts from the end; kNone: not mapped).
  /// Empty: 0 for all.
  std::vector<std::optional<int64_t>> in_axes = {};
  /// One axis for all results, or one per element of a tuple or pair result. Empty: 0.
  std::vector<std::optional<int64_t>> out_axes = {};
  /// Needed only if no argument is mapped.
  std::optional<int64_t> axis_size = {};
};

/// f over a batch: every mapped argument has one more dimension, and so has every result (J-082).
/// @throws ShapeError if sizes disagree (all are listed), ValueError if nothing is mapped and no
/// size is given, if there is not an axis for every argument, or if `out_axes` is kNone for a
/// result that is mapped.
template <class F>
auto vmap(F f, VmapOptions options = {}) {
  return [f = std::move(f), options = std::move(options)](const auto&... args) {
    auto arguments = tree::copy(std::make_tuple(args...));
    TensorList values;
    std::vector<size_t> counts;
    detail::append_leaves(values, counts, arguments);
    if (!options.in_axes.empty() && options.in_axes.size() != counts.size()) {
      detail::fail_axes_count("in_axes", options.in_axes.size(), counts.size(), "arguments");
    }
    std::vector<std::optional<int64_t>> axes;
    for (size_t i = 0; i < counts.size(); ++i) {
      const std::optional<int64_t> axis =
          options.in_axes.empty() ? std::optional<int64_t>(0) : options.in_axes[i];
      axes.insert(axes.end(), counts[i], axis);
    }
    using Result = std::decay_t<decltype(std::apply(f, arguments))>;
    std::optional<Result> traced;
    std::vector<std::optional<int64_t>> out_axes;
    const TensorList outputs = detail::batch_call(
        "vmap", values, axes,
        [&](const TensorList& lifted) {
          detail::place_leaves(arguments, lifted, counts);
          traced.emplace(std::apply(f, arguments));
          return tree::leaves(*traced);
        },
        [&](size_t count) {
          std::vector<std::optional<int64_t>> spread;
          if constexpr (tree::detail::is_tuple<Result>) {
            if (options.out_axes.size() > 1) {
              constexpr size_t kParts = std::tuple_size_v<Result>;
              if (options.out_axes.size() != kParts) {
                detail::fail_axes_count("out_axes", options.out_axes.size(), kParts, "results");
              }
              size_t which = 0;
              std::apply(
                  [&](const auto&... part) {
                    ((spread.insert(spread.end(), tree::leaves(part).size(),
                                    options.out_axes.at(which)),
                      ++which),
                     ...);
                  },
                  *traced);
              return spread;
            }
          }
          if (options.out_axes.size() > 1)
            detail::fail_axes_count("out_axes", options.out_axes.size(), 1, "result");
          spread.assign(count,
                        options.out_axes.empty() ? std::optional<int64_t>(0) : options.out_axes[0]);
          return spread;
        },
        options.axis_size);
    return tree::unflatten(*traced, outputs);
  };
}

/// Types of the results, without computing or allocating (J-085): trees of abstract tensors.
template <class F, class... A>
auto eval_shape(F f, const A&... args) {
  auto arguments = tree::copy(std::make_tuple(args...));
  TensorList values;
  std::vector<size_t> counts;
  detail::append_leaves(values, counts, arguments);
  using Result = std::decay_t<decltype(std::apply(f, arguments))>;
  std::optional<Result> traced;
  const TensorList outputs = detail::abstract_call(values, [&](const TensorList& lifted) {
    detail::place_leaves(arguments, lifted, counts);
    traced.emplace(std::apply(f, arguments));
    return tree::leaves(*traced);
  });
  return tree::unflatten(*traced, outputs);
}

/// Jacobian of a tensor function by columns (forward mode): shape output + input (J-081).
/// Further arguments are constants.
template <class F>
auto jacfwd(F f) {
  return [f = std::move(f)](const Tensor& x, const auto&... rest) {
    const int64_t n = x.size();
    const auto column = [&](const Tensor& direction) {
      return jvp([&](const Tensor& y) { return f(y, rest...); }, x, reshape(direction, x.shape()))
          .second;
    };
    const Tensor columns = vmap(column)(eye(n, n, 0, x.dtype()));  // [n, output...]
    Tensor jacobian = moveaxis(columns, 0, -1);
    Shape shape = jacobian.shape();
    shape.pop_back();
    shape.append(x.shape().begin(), x.shape().end());
    return reshape(jacobian, shape);
  };
}

/// The same by rows (reverse mode).
template <class F>
auto jacrev(F f) {
  return [f = std::move(f)](const Tensor& x, const auto&... rest) {
    auto [y, pullback] = vjp([&](const Tensor& z) { return f(z, rest...); }, x);
    const Shape output = y.shape();
    const auto row = [&, pullback = pullback](const Tensor& direction) {
      return pullback(reshape(direction, output));
    };
    const Tensor rows = vmap(row)(eye(y.size(), y.size(), 0, y.dtype()));  // [m, input...]
    Shape shape = output;
    shape.append(x.shape().begin(), x.shape().end());
    return reshape(rows, shape);
  };
}

/// Second derivatives of a scalar function: shape input + input.
template <class F>
auto hessian(F f) {
  return jacfwd(jacrev(std::move(f)));
}

/// Recomputes f in the backward pass instead of keeping its intermediate values (J-086).
template <class F>
auto checkpoint(F f) {
  return [f = std::move(f)](const auto&... args) {
    auto arguments = tree::copy(std::make_tuple(args...));
    TensorList values;
    std::vector<size_t> counts;
    detail::append_leaves(values, counts, arguments);
    using Result = std::decay_t<decltype(std::apply(f, arguments))>;
    std::optional<Result> traced;
    const TensorList outputs = detail::remat_call(values, [&](const TensorList& lifted) {
      auto inner = tree::copy(arguments);
      detail::place_leaves(inner, lifted, counts);
      traced.emplace(std::apply(f, inner));
      return tree::leaves(*traced);
    });
    return tree::unflatten(*traced, outputs);
  };
}

/// f with its own reverse rule: `fwd(args...)` gives `{result, residuals}`, `bwd(residuals,
/// cotangent)` gives the cotangents: one tree, or a tuple if there are several arguments (J-087).
template <class F, class Fwd, class Bwd>
auto custom_vjp(F f, Fwd fwd, Bwd bwd) {
  return
      [f = std::move(f), fwd = std::move(fwd), bwd = std::move(bwd)]<class... A>(const A&... args) {
        using Arguments = std::tuple<A...>;
        using Result = std::decay_t<decltype(f(args...))>;
        using Residuals = std::decay_t<decltype(fwd(args...).second)>;
        struct Shared {
          std::optional<Result> result;
          std::optional<Residuals> residuals;
        };
        const Arguments arguments = tree::copy(Arguments(args...));
        Arguments copy = tree::copy(arguments);
        TensorList values;
        std::vector<size_t> counts;
        detail::append_leaves(values, counts, copy);
        auto shared = std::make_shared<Shared>();
        auto rule = std::make_shared<detail::CustomVjpRule>();
        const auto rebuild = [arguments, counts](const TensorList& leaves) {
          Arguments out = tree::copy(arguments);
          detail::place_leaves(out, leaves, counts);
          return out;
        };
        rule->f = [f, rebuild, shared](const TensorList& leaves) {
          auto inner = rebuild(leaves);
          shared->result.emplace(std::apply(f, inner));
          return tree::leaves(*shared->result);
        };
        rule->fwd = [fwd, rebuild, shared](const TensorList& leaves) {
          auto inner = rebuild(leaves);
          auto pair = std::apply(fwd, inner);
          shared->result.emplace(pair.first);
          shared->residuals.emplace(pair.second);
          TensorList out = tree::leaves(pair.first);
          for (Tensor& t : tree::leaves(pair.second)) out.push_back(std::move(t));
          return out;
        };
        rule->bwd = [bwd, shared](const TensorList& leaves) {
          const size_t count = tree::leaves(*shared->residuals).size();
          const Residuals residuals =
              tree::unflatten(*shared->residuals, std::span<const Tensor>(leaves).first(count));
          const Result cotangent =
              tree::unflatten(*shared->result, std::span<const Tensor>(leaves).subspan(count));
          return tree::leaves(bwd(residuals, cotangent));
        };
        const TensorList outputs = detail::custom_vjp_call(values, rule);
        return tree::unflatten(*shared->result, outputs);
      };
}

/// f with its own forward rule: `rule(primals, tangents)` (tuples of arguments) gives `{result,
/// tangent}`.
template <class F, class Rule>
auto custom_jvp(F f, Rule jvp_rule) {
  return [f = std::move(f), jvp_rule = std::move(jvp_rule)]<class... A>(const A&... args) {
    using Arguments = std::tuple<A...>;
    using Result = std::decay_t<decltype(f(args...))>;
    const Arguments arguments = tree::copy(Arguments(args...));
    Arguments copy = tree::copy(arguments);
    TensorList values;
    std::vector<size_t> counts;
    detail::append_leaves(values, counts, copy);
    auto result = std::make_shared<std::optional<Result>>();
    auto rule = std::make_shared<detail::CustomJvpRule>();
    const auto rebuild = [arguments, counts](const TensorList& leaves) {
      Arguments out = tree::copy(arguments);
      detail::place_leaves(out, leaves, counts);
      return out;
    };
    rule->f = [f, rebuild, result](const TensorList& leaves) {
      auto inner = rebuild(leaves);
      result->emplace(std::apply(f, inner));
      return tree::leaves(**result);
    };
    rule->jvp = [jvp_rule, rebuild](const TensorList& leaves) {
      const size_t half = leaves.size() / 2;
      auto pair =
          jvp_rule(rebuild(TensorList(leaves.begin(), leaves.begin() + static_cast<int64_t>(half))),
                   rebuild(TensorList(leaves.begin() + static_cast<int64_t>(half), leaves.end())));
      TensorList out = tree::leaves(pair.first);
      for (Tensor& t : tree::leaves(pair.second)) out.push_back(std::move(t));
      return out;
    };
    const TensorList outputs = detail::custom_jvp_call(values, rule);
    return tree::unflatten(**result, outputs);
  };
}

}  // namespace linnet
