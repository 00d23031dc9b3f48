#include "linnet/detail/format.h"
#include "linnet/detail/optim.h"
#include "linnet/ops.h"
#include "linnet/optim.h"

namespace linnet::optim {
namespace {

/// Like a parameter, where the parameter lies.
Tensor filled_beside(const Tensor& p, double value) {
  const ScopedDevice there(p.device());
  return full(p.shape(), value, p.dtype());
}

TensorList zeros_of(const TensorList& params) {
  TensorList out;
  for (const Tensor& p : params) out.push_back(filled_beside(p, 0));
  return out;
}

/// Beside the parameters: a step must not fetch it from another device.
Tensor zero_count(const TensorList& params) {
  const Tensor zero = scalar_integer(0, DType::kI32);
  return zero.to(params.empty() ? default_device() : params[0].device());
}

/// @throws TreeError if the state was made by another transformation.
TensorList& list_of(TransformState& state, const char* name) {
  const auto found = state.lists.find(name);
  if (found == state.lists.end()) {
    fail<TreeError>(
        "optim: the state has no '{}'\n  hint: it was made by another transformation's init", name);
  }
  return found->second;
}
TransformState& part_of(TransformState& state, size_t i, size_t parts) {
  if (state.parts.size() != parts) {
    fail<TreeError>(
        "optim: a chain of {} parts was given a state of {}\n  hint: it was made by another "
        "transformation's init",
        parts, state.parts.size());
  }
  return state.parts[i];
}
Tensor& count_of(TransformState& state) { return list_of(state, "count").at(0); }
/// One more, but never beyond the largest number.
Tensor next_count(const Tensor& count) {
  const Tensor most = scalar_integer(iinfo(count.dtype()).max, count.dtype());
  return where(count < most, count + scalar_integer(1, count.dtype()), most);
}
void advance(TransformState& state) { count_of(state) = next_count(count_of(state)); }

/// 16-bit numbers in f32, where squares and small steps neither overflow nor vanish.
Tensor wide(const Tensor& x) {
  return is_floating(x.dtype()) && size_of(x.dtype()) < 4 ? astype(x, DType::kF32) : x;
}
/// Keeps a state in the dtype it has.
void store(Tensor& state, const Tensor& value) { state = astype(value, state.dtype()); }

template <class F>
GradientTransformation stateless(std::string description, F per_list) {
  GradientTransformation out;
  out.description = std::move(description);
  out.init_list = [](const TensorList&) { return TransformState{}; };
  out.update_list = [per_list](const TensorList& grads, TransformState&, const TensorList& params) {
    return per_list(grads, params);
  };
  return out;
}

template <class F>
TensorList map(const TensorList& list, F&& f) {
  TensorList out;
  out.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) out.push_back(f(i, list[i]));
  return out;
}

void require_params(const char* name, const TensorList& grads, const TensorList& params) {
  if (grads.size() != params.size()) {
    fail<TreeError>("{}: {} gradients were given for {} parameters", name, grads.size(),
                    params.size());
  }
}

/// 1 - decay^t for the step about to be taken.
Tensor bias_correction(double decay, const Tensor& step) {
  return 1 - pow(scalar(decay, DType::kF32), astype(step, DType::kF32));
}

}  // namespace

TensorList apply_updates(const TensorList& params, const TensorList& updates) {
  require_params("apply_updates", updates, params);
  return map(params,
             [&](size_t i, const Tensor& p) { return astype(wide(p) + updates[i], p.dtype()); });
}

TensorList step_lists(const GradientTransformation& tx, const TensorList& params,
                      const TensorList& grads, TransformState& state) {
  if (tx.step_list) return tx.step_list(grads, state, params);
  return apply_updates(params, tx.update_list(grads, state, params));
}

namespace {

/// Nobody else's: what is unknown is equal to nothing.
std::string described(std::string text) {
  return text.empty() ? fmt::format("unknown#{}", linnet::detail::unique_number()) : text;
}

}  // namespace

GradientTransformation chain(std::vector<GradientTransformation> parts) {
  GradientTransformation out;
  for (const GradientTransformation& part : parts) {
    out.description += (out.description.empty() ? "chain(" : ", ") + described(part.description);
  }
  out.description += out.description.empty() ? "chain()" : ")";
  out.init_list = [parts](const TensorList& params) {
    TransformState state;
    for (const GradientTransformation& part : parts) state.parts.push_back(part.init_list(params));
    return state;
  };
  out.update_list = [parts](const TensorList& grads, TransformState& state,
                            const TensorList& params) {
    TensorList updates = grads;
    for (size_t i = 0; i < parts.size(); ++i)
      updates = parts[i].update_list(updates, part_of(state, i, parts.size()), params);
    return updates;
  };
  if (!parts.empty() && parts.back().step_list) {
    out.step_list = [parts](const TensorList& grads, TransformState& state,
                            const TensorList& params) {
      TensorList updates = grads;
      for (size_t i = 0; i + 1 < parts.size(); ++i)
        updates = parts[i].update_list(updates, part_of(state, i, parts.size()), params);
      return parts.back().step_list(updates, part_of(state, parts.size() - 1, parts.size()),
                                    params);
    };
  }
  return out;
}

GradientTransformation identity() {
  return stateless("identity()", [](const TensorList& grads, const TensorList&) { return grads; });
}
GradientTransformation set_to_zero() {
  return stateless("set_to_zero()",
                   [](const TensorList& grads, const TensorList&) { return zeros_of(grads); });
}
GradientTransformation scale(double factor) {
  return stateless(fmt::format("scale({})", factor),
                   [factor](const TensorList& grads, const TensorList&) {
                     return map(grads, [&](size_t, const Tensor& g) { return wide(g) * factor; });
                   });
}

GradientTransformation scale_by_learning_rate(Rate rate) {
  if (rate.constant()) return scale(-rate.value());
  GradientTransformation out;
  out.description = fmt::format("scale_by_learning_rate({})", rate.text());
  out.init_list = [](const TensorList& params) {
    TransformState state;
    state.lists["count"] = {zero_count(params)};
    return state;
  };
  out.update_list = [rate](const TensorList& grads, TransformState& state, const TensorList&) {
    const Tensor factor = -rate.at(count_of(state));
    advance(state);
    return map(grads, [&](size_t, const Tensor& gradient) {
      const Tensor g = wide(gradient);
      return g * astype(factor, g.dtype());
    });
  };
  return out;
}

GradientTransformation scale_by_adam(AdamOptions o) {
  GradientTransformation out;
  out.description =
      fmt::format("scale_by_adam({}, {}, {}, {}, {})", o.b1, o.b2, o.eps, o.eps_root, o.nesterov);
  out.init_list = [](const TensorList& params) {
    TransformState state;
    state.lists["count"] = {zero_count(params)};
    state.lists["mu"] = zeros_of(params);
    state.lists["nu"] = zeros_of(params);
    return state;
  };
  out.update_list = [o](const TensorList& grads, TransformState& state, const TensorList&) {
    TensorList& mu = list_of(state, "mu");
    TensorList& nu = list_of(state, "nu");
    advance(state);
    const Tensor& step = count_of(state);
    const Tensor c1 = bias_correction(o.b1, step), c2 = bias_correction(o.b2, step);
    return map(grads, [&](size_t i, const Tensor& gradient) {
      const Tensor g = wide(gradient);
      const Tensor first = (1 - o.b1) * g + o.b1 * wide(mu[i]);
      const Tensor second = (1 - o.b2) * square(g) + o.b2 * wide(nu[i]);
      store(mu[i], first);
      store(nu[i], second);
      Tensor m = first / astype(c1, g.dtype());
      if (o.nesterov) {
        const Tensor next = bias_correction(o.b1, next_count(step));
        m = o.b1 * first / astype(next, g.dtype()) + (1 - o.b1) * g / astype(c1, g.dtype());
      }
      return m / (sqrt(second / astype(c2, g.dtype()) + o.eps_root) + o.eps);
    });
  };
  return out;
}

GradientTransformation scale_by_rms(double decay, double eps, double initial_scale) {
  GradientTransformation out;
  out.description = fmt::format("scale_by_rms({}, {}, {})", decay, eps, initial_scale);
  out.init_list = [initial_scale](const TensorList& params) {
    TransformState state;
    state.lists["nu"] =
        map(params, [&](size_t, const Tensor& p) { return filled_beside(p, initial_scale); });
    return state;
  };
  out.update_list = [=](const TensorList& grads, TransformState& state, const TensorList&) {
    TensorList& nu = list_of(state, "nu");
    return map(grads, [&](size_t i, const Tensor& gradient) {
      const Tensor g = wide(gradient);
      const Tensor mean_square = (1 - decay) * square(g) + decay * wide(nu[i]);
      store(nu[i], mean_square);
      return g * rsqrt(mean_square + eps);
    });
  };
  return out;
}

GradientTransformation scale_by_lion(double b1, double b2) {
  GradientTransformation out;
  out.description = fmt::format("scale_by_lion({}, {})", b1, b2);
  out.init_list = [](const TensorList& params) {
    TransformState state;
    state.lists["mu"] = zeros_of(params);
    return state;
  };
  out.update_list = [=](const TensorList& grads, TransformState& state, const TensorList&) {
    TensorList& mu = list_of(state, "mu");
    return map(grads, [&](size_t i, const Tensor& gradient) {
      const Tensor g = wide(gradient), momentum = wide(mu[i]);
      store(mu[i], (1 - b2) * g + b2 * momentum);
      return sign((1 - b1) * g + b1 * momentum);
    });
  };
  return out;
}

GradientTransformation add_decayed_weights(double weight_decay) {
  return stateless(fmt::format("add_decayed_weights({})", weight_decay),
                   [weight_decay](const TensorList& grads, const TensorList& params) {
                     require_params("add_decayed_weights", grads, params);
                     return map(grads, [&](size_t i, const Tensor& g) {
                       return wide(g) + weight_decay * wide(params[i]);
                     });
                   });
}

GradientTransformation trace(double decay, bool nesterov) {
  GradientTransformation out;
  out.description = fmt::format("trace({}, {})", decay, nesterov);
  out.init_list = [](const TensorList& params) {
    TransformState state;
    state.lists["trace"] = zeros_of(params);
    return state;
  };
  out.update_list = [=](const TensorList& grads, TransformState& state, const TensorList&) {
    TensorList& momentum = list_of(state, "trace");
    return map(grads, [&](size_t i, const Tensor& gradient) {
      const Tensor g = wide(gradient);
      const Tensor sum = g + decay * wide(momentum[i]);
      store(momentum[i], sum);
      return nesterov ? g + decay * sum : sum;
    });
  };
  return out;
}

GradientTransformation clip(double limit) {
  return stateless(
      fmt::format("clip({})", limit), [limit](const TensorList& grads, const TensorList&) {
        return map(grads, [&](size_t, const Tensor& g) { return linnet::clip(g, -limit, limit); });
      });
}

namespace {

/// A power of two that brings every finite number to where it can be squared, exactly but for
/// numbers too small to matter beside one whose square overflows.
double square_scale(DType dtype) { return dtype == DType::kF64 ? 0x1p-768 : 0x1p-96; }

/// The norm of a list, with derivative 0 where all of it is 0.
Tensor norm_of(const TensorList& list) {
  const Tensor squares = sum_of_squares(list);
  const Tensor positive = squares != 0;
  return where(positive, sqrt(where(positive, squares, 1.0)), 0.0);
}

TensorList clip_rescaled(const TensorList& grads, double limit) {
  const TensorList plain = map(grads, [](size_t, const Tensor& g) { return wide(g); });
  const TensorList scaled =
      map(plain, [](size_t, const Tensor& g) { return g * square_scale(g.dtype()); });
  const Tensor norm = norm_of(plain);
  const Tensor huge = is_inf(norm);
  const Tensor chosen = where(huge, norm_of(scaled), norm);
  const Tensor divisor = where(equal(chosen, 0), 1.0, chosen);
  const Tensor small = norm < limit;
  return map(plain, [&](size_t i, const Tensor& g) {
    const Tensor divided = where(huge, scaled[i], g) / astype(divisor, g.dtype());
    return where(small, g, divided * limit);
  });
}

TensorList clip_as_optax(const TensorList& grads, double limit) {
  const Tensor norm = global_norm(grads);
  const Tensor small = norm < limit;
  return map(grads, [&](size_t, const Tensor& gradient) {
    const Tensor g = wide(gradient);
    return where(small, g, g / astype(norm, g.dtype()) * limit);
  });
}

}  // namespace

GradientTransformation clip_by_global_norm(double limit, GlobalNormOptions options) {
  const bool rescale = options.rescale;
  return stateless(fmt::format("clip_by_global_norm({}{})", limit, rescale ? "" : ", as optax"),
                   [=](const TensorList& grads, const TensorList&) {
                     return rescale ? clip_rescaled(grads, limit) : clip_as_optax(grads, limit);
                   });
}

namespace {

/// parameters, state and rate -> new parameters, through the fused composite.
TensorList adamw_step(const Rate& rate, const AdamWOptions& o, const TensorList& grads,
                      TransformState& state, const TensorList& params) {
  require_params("adamw", grads, params);
  if (state.parts.empty())
    fail<TreeError>("adamw: the state was made by another transformation's init");
  TransformState& adam = state.parts[0];
  const Tensor rate_now = astype(rate.at(count_of(adam)), DType::kF32);
  advance(adam);
  const Tensor& step = count_of(adam);
  TensorList operands{rate_now, bias_correction(o.b1, step), bias_correction(o.b2, step)};
  TensorList& mu = list_of(adam, "mu");
  TensorList& nu = list_of(adam, "nu");
  for (const TensorList* list : std::initializer_list<const TensorList*>{&params, &grads, &mu, &nu})
    operands.insert(operands.end(), list->begin(), list->end());
  const int64_t n = static_cast<int64_t>(params.size());
  TensorList out = emit(adamw_update_primitive(), operands,
                        AdamWParams{n, o.b1, o.b2, o.eps, o.eps_root, o.weight_decay});
  mu.assign(out.begin() + n, out.begin() + 2 * n);
  nu.assign(out.begin() + 2 * n, out.end());
  out.resize(static_cast<size_t>(n));
  for (TransformState& part : state.parts) {
    if (&part != &adam && part.lists.count("count")) advance(part);
  }
  return out;
}

}  // namespace

GradientTransformation adamw(Rate rate, AdamWOptions o) {
  GradientTransformation out =
      chain(scale_by_adam({.b1 = o.b1, .b2 = o.b2, .eps = o.eps, .eps_root = o.eps_root}),
            add_decayed_weights(o.weight_decay), scale_by_learning_rate(rate));
  out.description = "adamw " + out.description;  // its rounding is not that of the chain
  out.step_list = [rate, o](const TensorList& grads, TransformState& state,
                            const TensorList& params) {
    return adamw_step(rate, o, grads, state, params);
  };
  return out;
}

GradientTransformation adam(Rate rate, AdamOptions o) {
  GradientTransformation out = chain(scale_by_adam(o), scale_by_learning_rate(rate));
  if (o.nesterov) return out;
  out.description = "adam " + out.description;
  out.step_list = [rate, o](const TensorList& grads, TransformState& state,
                            const TensorList& params) {
    return adamw_step(
        rate, {.b1 = o.b1, .b2 = o.b2, .eps = o.eps, .eps_root = o.eps_root, .weight_decay = 0},
        grads, state, params);
  };
  return out;
}

GradientTransformation sgd(Rate rate, std::optional<double> momentum, bool nesterov) {
  if (!momentum) return chain(scale_by_learning_rate(rate));
  return chain(trace(*momentum, nesterov), scale_by_learning_rate(rate));
}
GradientTransformation rmsprop(Rate rate, double decay, double eps) {
  return chain(scale_by_rms(decay, eps), scale_by_learning_rate(rate));
}
GradientTransformation lion(Rate rate, double b1, double b2, double weight_decay) {
  return chain(scale_by_lion(b1, b2), add_decayed_weights(weight_decay),
               scale_by_learning_rate(rate));
}

GradientTransformation adagrad(Rate rate, double initial_accumulator, double eps) {
  GradientTransformation sums;
  sums.description = fmt::format("scale_by_rss({}, {})", initial_accumulator, eps);
  sums.init_list = [=](const TensorList& params) {
    TransformState state;
    state.lists["sum_of_squares"] =
        map(params, [&](size_t, const Tensor& p) { return filled_beside(p, initial_accumulator); });
    return state;
  };
  sums.update_list = [=](const TensorList& grads, TransformState& state, const TensorList&) {
    TensorList& total = list_of(state, "sum_of_squares");
    return map(grads, [&](size_t i, const Tensor& gradient) {
      const Tensor g = wide(gradient);
      const Tensor squares = square(g) + wide(total[i]);
      store(total[i], squares);
      return where(squares > 0, rsqrt(squares + eps), 0.0) * g;
    });
  };
  return chain(std::move(sums), scale_by_learning_rate(rate));
}

namespace detail {

TransformState StateVariables::read() const {
  TransformState out;
  for (const auto& [name, variables] : lists) {
    TensorList& list = out.lists[name];
    for (const nnx::OptState& variable : variables) list.push_back(variable.value());
  }
  for (const StateVariables& part : parts) out.parts.push_back(part.read());
  return out;
}

void StateVariables::shape_like(const TransformState& state) {
  std::erase_if(lists, [&](const auto& list) { return !state.lists.count(list.first); });
  for (const auto& [name, tensors] : state.lists) {
    std::vector<nnx::OptState>& variables = lists[name];
    while (variables.size() > tensors.size()) variables.pop_back();
    for (size_t i = variables.size(); i < tensors.size(); ++i) variables.emplace_back(tensors[i]);
  }
  parts.resize(state.parts.size());
  for (size_t i = 0; i < parts.size(); ++i) parts[i].shape_like(state.parts[i]);
}

void StateVariables::append_writes(const TransformState& state, Writes& out) const {
  for (const auto& [name, tensors] : state.lists) {
    const std::vector<nnx::OptState>& variables = lists.at(name);
    for (size_t i = 0; i < tensors.size(); ++i)
      out.emplace_back(variables[i].cell(), state::Value(variables[i].stored(tensors[i])));
  }
  for (size_t i = 0; i < parts.size(); ++i) parts[i].append_writes(state.parts[i], out);
}

void StateVariables::write(const TransformState& state) {
  shape_like(state);
  Writes writes;
  append_writes(state, writes);
  for (auto& [cell, value] : writes) state::write(cell, std::move(value));
}

}  // namespace detail

namespace {

TensorList chosen_values(const std::vector<nnx::detail::NodeLeaf>& leaves, const nnx::Filter& wrt) {
  const nnx::State chosen = std::move(filter_state(nnx::detail::state_of(leaves), {wrt})[0]);
  if (chosen.empty()) nnx::detail::fail_nothing_chosen("optimizer", leaves, wrt);
  TensorList out;
  for (const auto& [path, leaf] : chosen.entries()) {
    if (!leaf.cell) {
      fail<ModuleError>("optimizer: '{}' is a plain tensor, not a variable", tree::to_string(path));
    }
    out.push_back(leaf.value());
  }
  return out;
}

}  // namespace

Optimizer::Optimizer(GradientTransformation tx, nnx::Filter wrt,
                     const std::vector<nnx::detail::NodeLeaf>& leaves)
    : Optimizer(std::move(tx), wrt, chosen_values(leaves, wrt)) {}

Optimizer::Optimizer(GradientTransformation tx, nnx::Filter wrt, const TensorList& params)
    : tx_(std::move(tx)), wrt_(std::move(wrt)), step_(zero_count(params)) {
  tx_.description = described(std::move(tx_.description));
  state_.write(tx_.init_list(params));
}

Optimizer& Optimizer::operator=(const Optimizer& other) {
  if (this == &other) return *this;
  const TransformState state = other.state();
  tx_ = other.tx_;
  wrt_ = other.wrt_;
  step_ = other.step_;
  state_.write(state);
  return *this;
}

void Optimizer::visit(tree::Visitor& visitor) {
  visitor.enter(typeid(Optimizer), 4);
  visitor.child("description");
  visitor.fixed(typeid(std::string), tx_.description);
  visitor.child("wrt");
  visitor.fixed(typeid(std::string), wrt_.text());
  visitor.child("step");
  tree::visit(step_, visitor);
  visitor.child("state");
  tree::visit(state_, visitor);
  visitor.leave();
}

void Optimizer::update_state(const nnx::State& params, const nnx::State& grads) {
  TensorList values, gradients;
  for (const auto& [path, leaf] : params.entries()) {
    const nnx::StateLeaf* gradient = grads.find(path);
    if (!gradient)
      fail<ModuleError>("optimizer: there is no gradient for '{}'", tree::to_string(path));
    if (!leaf.cell)
      fail<ModuleError>("optimizer: '{}' is a plain tensor, not a variable", tree::to_string(path));
    values.push_back(leaf.value());
    gradients.push_back(gradient->value());
    if (values.back().shape() != gradients.back().shape()) {
      fail<ShapeError>("optimizer: the gradient of '{}', {}, does not fit the parameter, {}",
                       tree::to_string(path), to_string(gradients.back().type()),
                       to_string(values.back().type()));
    }
  }
  if (grads.size() != params.size()) {
    fail<ModuleError>("optimizer: {} gradients were given for {} parameters", grads.size(),
                      params.size());
  }
  TransformState next_state = state();
  const TensorList next = step_lists(tx_, values, gradients, next_state);
  detail::StateVariables::Writes writes;
  size_t i = 0;
  for (const auto& [path, leaf] : params.entries())
    writes.emplace_back(leaf.cell, state::Value(nnx::Variable(leaf.cell).stored(next[i++])));
  writes.emplace_back(step_.cell(), state::Value(next_count(step_.value())));
  state_.shape_like(next_state);
  state_.append_writes(next_state, writes);
  // Nothing has been written until here, and nothing can fail any more.
  for (auto& [cell, value] : writes) state::write(cell, std::move(value));
}

}  // namespace linnet::optim
