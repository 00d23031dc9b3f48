// Transformations that look at a whole parameter: its norm, its rows and columns, its place as a
// matrix.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "linnet/complex.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"
#include "linnet/optim/transforms.h"
#include "modules/optim/transform.h"

namespace linnet::optim {
namespace {

Tensor norm_of(const Tensor& x) { return sqrt(sum(abs_squared(x))); }
Tensor rms_of(const Tensor& x) { return sqrt(mean(abs_squared(x))); }

Axes axes_from(int64_t first, int64_t end) {
  Axes out;
  for (int64_t d = first; d < end; ++d) out.push_back(d);
  return out;
}

Axes axes_without(int64_t rank, int64_t axis) {
  Axes out;
  for (int64_t d = 0; d < rank; ++d)
    if (d != axis) out.push_back(d);
  return out;
}

}  // namespace

GradientTransformation scale_by_novograd(NovogradOptions o) {
  GradientTransformation out;
  out.description = fmt::format("scale_by_novograd({}, {}, {}, {}, {})", o.b1, o.b2, o.eps,
                                o.eps_root, o.weight_decay);
  out.init_list = [](const TensorList& params) {
    TransformState state;
    state.lists["count"] = {zero_count(params)};
    state.lists["mu"] = zeros_of(params);
    state.lists["nu"] = map(
        params, [](size_t, const Tensor& p) { return number_beside({p}, scalar(0, p.dtype())); });
    return state;
  };
  out.update_list = [o](const TensorList& grads, TransformState& state, const TensorList& params) {
    require_params("scale_by_novograd", grads, params);
    advance(state);
    const Tensor first = equal(count_of(state), 1);
    TensorList& mu = list_of(state, "mu");
    TensorList& nu = list_of(state, "nu");
    return map(grads, [&](size_t i, const Tensor& gradient) {
      const Tensor g = wide(gradient), squares = sum(abs_squared(g));
      const Tensor mean_square = where(first, squares, (1 - o.b2) * squares + o.b2 * wide(nu[i]));
      const Tensor added =
          g / (sqrt(mean_square + o.eps_root) + o.eps) + o.weight_decay * wide(params[i]);
      const Tensor momentum = o.b1 * wide(mu[i]) + added;
      store(nu[i], mean_square);
      store(mu[i], momentum);
      return momentum;
    });
  };
  return out;
}

namespace {

/// Accumulators of one parameter: one per axis, and one in all for a scalar.
TensorList sm3_zeros(const Tensor& p) {
  TensorList out;
  for (int64_t d = 0; d < std::max<int64_t>(p.rank(), 1); ++d) {
    const Shape shape = p.rank() == 0 ? Shape{} : Shape{p.shape(d)};
    out.push_back(number_beside({p}, zeros(shape, p.dtype())));
  }
  return out;
}

/// The smallest accumulator that covers each element.
Tensor sm3_cover(const TensorList& accumulators, size_t first, const Tensor& like) {
  const int64_t rank = like.rank();
  if (rank < 2) return wide(accumulators.at(first));
  Tensor least;
  for (int64_t d = 0; d < rank; ++d) {
    Shape shape(static_cast<size_t>(rank), 1);
    shape[static_cast<size_t>(d)] = like.shape(d);
    const Tensor row = reshape(wide(accumulators.at(first + static_cast<size_t>(d))), shape);
    least = least.defined() ? minimum(least, row) : row;
  }
  return least;
}

}  // namespace

GradientTransformation scale_by_sm3(double b1, double b2, double eps) {
  GradientTransformation out;
  out.description = fmt::format("scale_by_sm3({}, {}, {})", b1, b2, eps);
  out.init_list = [](const TensorList& params) {
    TransformState state;
    TensorList& accumulators = state.lists["accumulators"];
    for (const Tensor& p : params)
      for (Tensor& zero : sm3_zeros(p)) accumulators.push_back(std::move(zero));
    state.lists["momentum"] = zeros_of(params);
    return state;
  };
  out.update_list = [=](const TensorList& grads, TransformState& state, const TensorList&) {
    TensorList& accumulators = list_of(state, "accumulators");
    TensorList& momentum = list_of(state, "momentum");
    size_t first = 0;
    return map(grads, [&](size_t i, const Tensor& gradient) {
      const Tensor g = wide(gradient);
      const double share = b2 == 1 ? 1 : 1 - b2;
      const Tensor total = share * square(g) + b2 * sm3_cover(accumulators, first, g);
      const Tensor scaled = g * where(total > 0, rsqrt(total + eps), 0.0);
      const Tensor next = (1 - b1) * scaled + b1 * wide(momentum[i]);
      store(momentum[i], next);
      for (int64_t d = 0; d < std::max<int64_t>(g.rank(), 1); ++d) {
        store(accumulators.at(first++),
              g.rank() < 2 ? total : max(total, axes_without(g.rank(), d)));
      }
      return next;
    });
  };
  return out;
}

GradientTransformation centralize() {
  return stateless("centralize()", [](const TensorList& grads, const TensorList&) {
    return map(grads, [](size_t, const Tensor& gradient) {
      const Tensor g = wide(gradient);
      return g.rank() > 1 ? g - mean(g, axes_from(1, g.rank()), true) : g;
    });
  });
}

GradientTransformation normalize_by_update_norm(double scale_factor, double eps) {
  return stateless(fmt::format("normalize_by_update_norm({}, {})", scale_factor, eps),
                   [=](const TensorList& grads, const TensorList&) {
                     const Tensor norm = (global_norm(grads) + eps) / scale_factor;
                     return map(grads, [&](size_t, const Tensor& gradient) {
                       const Tensor g = wide(gradient);
                       return g / astype(norm, g.dtype());
                     });
                   });
}

GradientTransformation keep_params_nonnegative() {
  return stateless("keep_params_nonnegative()",
                   [](const TensorList& grads, const TensorList& params) {
                     require_params("keep_params_nonnegative", grads, params);
                     return map(grads, [&](size_t i, const Tensor& update) {
                       const Tensor u = wide(update), p = wide(params[i]);
                       return where(p + u < 0, -p, u);
                     });
                   });
}

GradientTransformation zero_nans() {
  GradientTransformation out;
  out.description = "zero_nans()";
  out.init_list = [](const TensorList& params) {
    TransformState state;
    state.lists["found_nan"] = map(params, [](size_t, const Tensor& p) {
      return number_beside({p}, zeros({}, DType::kBool));
    });
    return state;
  };
  out.update_list = [](const TensorList& grads, TransformState& state, const TensorList&) {
    TensorList& found = list_of(state, "found_nan");
    return map(grads, [&](size_t i, const Tensor& g) {
      const Tensor nan = is_nan(g);
      found.at(i) = any(nan);
      return where(nan, zeros_like(g), g);
    });
  };
  return out;
}

GradientTransformation scale_by_trust_ratio(TrustRatioOptions o) {
  return stateless(
      fmt::format("scale_by_trust_ratio({}, {}, {})", o.min_norm, o.trust_coefficient, o.eps),
      [o](const TensorList& grads, const TensorList& params) {
        require_params("scale_by_trust_ratio", grads, params);
        return map(grads, [&](size_t i, const Tensor& update) {
          const Tensor u = wide(update);
          const Tensor p_norm = maximum(norm_of(wide(params[i])), o.min_norm);
          const Tensor u_norm = maximum(norm_of(u), o.min_norm);
          const Tensor zero = logical_or(equal(p_norm, 0), equal(u_norm, 0));
          const Tensor ratio = o.trust_coefficient * p_norm / where(zero, 1.0, u_norm + o.eps);
          return u * where(zero, 1.0, ratio);
        });
      });
}

namespace {

/// Times the size of the parameter.
template <class Size>
GradientTransformation by_size(const char* name, double min_scale, Size size) {
  return stateless(fmt::format("{}({})", name, min_scale),
                   [=](const TensorList& grads, const TensorList& params) {
                     require_params(name, grads, params);
                     return map(grads, [&](size_t i, const Tensor& u) {
                       return wide(u) * maximum(size(wide(params[i])), min_scale);
                     });
                   });
}

}  // namespace

GradientTransformation scale_by_param_block_norm(double min_scale) {
  return by_size("scale_by_param_block_norm", min_scale, norm_of);
}
GradientTransformation scale_by_param_block_rms(double min_scale) {
  return by_size("scale_by_param_block_rms", min_scale, rms_of);
}

GradientTransformation clip_by_block_rms(double threshold) {
  return stateless(fmt::format("clip_by_block_rms({})", threshold),
                   [=](const TensorList& grads, const TensorList&) {
                     return map(grads, [&](size_t, const Tensor& update) {
                       const Tensor u = wide(update);
                       return u / maximum(1.0, rms_of(u) / threshold);
                     });
                   });
}

namespace {

/// The axes that a unit's weights spread over.
Axes unit_axes(const Tensor& x) {
  int64_t sizes = 0;
  for (int64_t size : x.shape()) sizes += size != 1;
  if (sizes <= 1) return axes_from(0, x.rank());
  if (x.rank() == 2 || x.rank() == 3) return {0};
  if (x.rank() == 4 || x.rank() == 5) return axes_from(0, x.rank() - 1);
  fail<ShapeError>("adaptive_grad_clip: expected a parameter of at most 5 axes, got {}",
                   to_string(x.type()));
}

Tensor unit_norm(const Tensor& x) {
  const Axes axes = unit_axes(x);
  return axes.empty() ? abs(x) : sqrt(sum(abs_squared(x), axes, true));
}

}  // namespace

GradientTransformation adaptive_grad_clip(double clipping, double eps) {
  return stateless(fmt::format("adaptive_grad_clip({}, {})", clipping, eps),
                   [=](const TensorList& grads, const TensorList& params) {
                     require_params("adaptive_grad_clip", grads, params);
                     return map(grads, [&](size_t i, const Tensor& gradient) {
                       const Tensor g = wide(gradient), norm = unit_norm(g);
                       const Tensor most = clipping * maximum(unit_norm(wide(params[i])), eps);
                       return where(norm < most, g, g * (most / maximum(norm, 1e-6)));
                     });
                   });
}

namespace {

/// The dimensions that v is a product over: the second largest and the largest.
std::optional<std::pair<int64_t, int64_t>> factored_dims(const Shape& shape,
                                                         const FactoredRmsOptions& o) {
  if (!o.factored || shape.size() < 2) return {};
  std::vector<int64_t> order(shape.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return shape[static_cast<size_t>(a)] < shape[static_cast<size_t>(b)];
  });
  const int64_t second = order[order.size() - 2], largest = order.back();
  if (shape[static_cast<size_t>(second)] < o.min_dim_size_to_factor) return {};
  return std::pair{second, largest};
}

Shape without(const Shape& shape, int64_t axis) {
  Shape out;
  for (size_t d = 0; d < shape.size(); ++d)
    if (static_cast<int64_t>(d) != axis) out.push_back(shape[d]);
  return out;
}

/// Gradient over the root of its second moment, which is kept by rows and columns.
Tensor factored_update(const Tensor& g, const Tensor& squares, const Tensor& decay,
                       std::pair<int64_t, int64_t> dims, Tensor& row, Tensor& column) {
  const auto [d1, d0] = dims;
  const auto blend = [&](const Tensor& running, const Tensor& value) {
    return decay * wide(running) + (1 - decay) * value;
  };
  store(row, blend(row, mean(squares, d0)));
  store(column, blend(column, mean(squares, d1)));
  const int64_t reduced = d1 > d0 ? d1 - 1 : d1;
  const Tensor r = wide(row), row_factor = rsqrt(r / mean(r, reduced, true));
  return g * expand_dims(row_factor, d0) * expand_dims(rsqrt(wide(column)), d1);
}

}  // namespace

GradientTransformation scale_by_factored_rms(FactoredRmsOptions o) {
  GradientTransformation out;
  out.description = fmt::format("scale_by_factored_rms({}, {}, {}, {}, {})", o.factored,
                                o.decay_rate, o.step_offset, o.min_dim_size_to_factor, o.epsilon);
  out.init_list = [o](const TensorList& params) {
    TransformState state;
    state.lists["count"] = {zero_count(params)};
    for (const Tensor& p : params) {
      const auto dims = factored_dims(p.shape(), o);
      const auto add = [&](const char* list, const Shape& shape) {
        state.lists[list].push_back(number_beside({p}, zeros(shape, p.dtype())));
      };
      add("v_row", dims ? without(p.shape(), dims->second) : Shape{1});
      add("v_column", dims ? without(p.shape(), dims->first) : Shape{1});
      add("v", dims ? Shape{1} : p.shape());
    }
    return state;
  };
  out.update_list = [o](const TensorList& grads, TransformState& state, const TensorList& params) {
    require_params("scale_by_factored_rms", grads, params);
    const Tensor t =
        astype(count_of(state) - scalar_integer(o.step_offset, DType::kI32) + 1, DType::kF32);
    const Tensor decay_now = 1 - pow(t, -o.decay_rate);
    advance(state);
    TensorList& row = list_of(state, "v_row");
    TensorList& column = list_of(state, "v_column");
    TensorList& v = list_of(state, "v");
    return map(grads, [&](size_t i, const Tensor& gradient) {
      const Tensor g = wide(gradient), squares = abs_squared(g) + o.epsilon;
      const Tensor decay = astype(decay_now, g.dtype());
      if (const auto dims = factored_dims(g.shape(), o))
        return factored_update(g, squares, decay, *dims, row.at(i), column.at(i));
      store(v.at(i), decay * wide(v[i]) + (1 - decay) * squares);
      return g * rsqrt(wide(v[i]));
    });
  };
  return out;
}

namespace {

/// Moves all singular values towards 1, with the quintic of Jordan et al. 2024.
Tensor orthogonalized(const Tensor& x, const MuonOptions& o) {
  const bool tall = x.shape(0) > x.shape(1);
  Tensor y = tall ? transpose(x) : x;
  y = y / (norm_of(y) + o.eps);
  for (int64_t i = 0; i < o.newton_schulz_steps; ++i) {
    const Tensor a = matmul(y, transpose(y));
    y = 3.4445 * y + matmul(-4.7750 * a + matmul(2.0315 * a, a), y);
  }
  return tall ? transpose(y) : y;
}

}  // namespace

GradientTransformation scale_by_muon(MuonOptions o) {
  return leafwise(
      fmt::format("scale_by_muon({}, {}, {}, {})", o.beta, o.eps, o.nesterov,
                  o.newton_schulz_steps),
      {{"mu"}}, [o](Leaf& x, const Tensor& step) {
        if (x.gradient.rank() != 2) {
          fail<ShapeError>(
              "scale_by_muon: expected a matrix, got {}\n  hint: muon() gives other parameters to "
              "Adam",
              to_string(x.gradient.type()));
        }
        const auto bias = [&](const Tensor& t) {
          return astype(bias_correction(o.beta, t), x.gradient.dtype());
        };
        x.state[0] = (1 - o.beta) * x.gradient + o.beta * x.state[0];
        Tensor momentum = x.state[0] / bias(step);
        if (o.nesterov) {
          momentum =
              o.beta * x.state[0] / bias(next_count(step)) + (1 - o.beta) * x.gradient / bias(step);
        }
        const double rows = static_cast<double>(x.gradient.shape(0)),
                     columns = static_cast<double>(x.gradient.shape(1));
        return std::sqrt(std::max(1.0, columns / rows)) * orthogonalized(momentum, o);
      });
}

}  // namespace linnet::optim
