// Optimisers as chains of gradient transformations, schedules and losses, named and behaving as in
// optax.
//
//   auto rate = optim::warmup_cosine_decay_schedule(0, 3e-3, 200, 2808, 1e-5);
//   auto tx = optim::chain(optim::clip_by_global_norm(1.0), optim::adamw(rate));
//   optim::Optimizer optimizer(model, tx);              // object API: state beside the model
//   optimizer.update(model, grads);                     // grads: nnx::State
//
//   optim::TransformState state = tx.init(params);      // functional API: params is any tree
//   optim::step(tx, params, grads, state);              // new parameters and state in place
//
// More of optax is in linnet/optim/: optimizers.h (lamb, adafactor, muon …), transforms.h (their
// parts), wrappers.h (masked, partition, multi_steps …), schedules.h (one-cycle …), lbfgs.h.
#pragma once

#if __cplusplus < 202002L
#error "Linnet needs C++20: add -std=c++20, or in CMake link linnet::linnet"
#else

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/function.h"
#include "linnet/nnx/graph.h"
#include "linnet/tree.h"

#pragma GCC visibility push(default)

namespace linnet::optim {

/// A value that depends on the step, a traced integer scalar (i32 from the optimisers, i64 in the
/// parts of `join_schedules`); gives f32 (J-128). Any callable will do.
///
/// Its text is its identity in the keys of compiled programs: equal settings give equal texts, and
/// a callable of unknown state one that only its copies share.
class Schedule {
 public:
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, Schedule> &&
             std::is_invocable_r_v<Tensor, const std::decay_t<F>&, const Tensor&>)
  Schedule(F&& function)  // NOLINT(runtime/explicit)
      : function_(std::forward<F>(function)), text_(function_.identity()) {}
  /// @param text what the function does, with all settings.
  Schedule(Function<Tensor(const Tensor&)> function, std::string text)
      : function_(std::move(function)), text_(std::move(text)) {}

  Tensor operator()(const Tensor& step) const { return function_(step); }
  const std::string& text() const { return text_; }

 private:
  Function<Tensor(const Tensor&)> function_;
  std::string text_;
};

Schedule constant_schedule(double value);
/// (init - end) (1 - t/T)^power + end, from step `begin` on (J-129). As in optax, no steps mean the
/// constant `init`, and a negative `begin` means 0.
Schedule polynomial_schedule(double init, double end, double power, int64_t steps,
                             int64_t begin = 0);
Schedule linear_schedule(double init, double end, int64_t steps, int64_t begin = 0);
/// init ((1 - alpha) (½ (1 + cos πt/T))^exponent + alpha) (J-130).
Schedule cosine_decay_schedule(double init, int64_t steps, double alpha = 0, double exponent = 1);
/// init rate^((t - begin)/T), in whole powers if `staircase`, not beyond `end_value` (J-131).
/// As in optax, no steps or a rate of 0 mean the constant `init`, and a negative `begin` means 0.
Schedule exponential_decay(double init, int64_t transition_steps, double rate, int64_t begin = 0,
                           bool staircase = false, std::optional<double> end_value = {});
/// Scales multiply cumulatively after each boundary (J-132).
Schedule piecewise_constant_schedule(double init, const std::map<int64_t, double>& scales);
/// Linear warm-up to `peak`, then cosine decay to `end`; `decay_steps` includes the warm-up
/// (J-133), which may be 0.
/// @throws ValueError if nothing is left for the decay.
Schedule warmup_cosine_decay_schedule(double init, double peak, int64_t warmup_steps,
                                      int64_t decay_steps, double end = 0, double exponent = 1);
/// Each schedule sees the step minus its boundary (J-134).
Schedule join_schedules(std::vector<Schedule> schedules, std::vector<int64_t> boundaries);

/// A learning rate: a number or a schedule.
class Rate {
 public:
  Rate(double value);       // NOLINT(runtime/explicit)
  Rate(Schedule schedule);  // NOLINT(runtime/explicit)
  template <class F>
    requires(!std::is_arithmetic_v<std::remove_cvref_t<F>> &&
             !std::is_same_v<std::remove_cvref_t<F>, Rate> && std::is_convertible_v<F, Schedule>)
  Rate(F&& function)  // NOLINT(runtime/explicit)
      : Rate(Schedule(std::forward<F>(function))) {}
  bool constant() const { return !schedule_; }
  double value() const { return value_; }
  Tensor at(const Tensor& step) const;
  /// Identity for comparing configurations.
  const std::string& text() const { return text_; }

 private:
  double value_ = 0;
  std::optional<Schedule> schedule_;
  std::string text_;
};

/// A setting of each parameter, such as whether it decays: in the order of the parameters' leaves,
/// or a function of the parameter, or of where it is and the parameter. Its text is its identity,
/// as that of a Schedule.
template <class T>
class PerParameter {
 public:
  using Paths = std::vector<tree::Path>;
  PerParameter(std::vector<T> values) : values_(std::move(values)) {  // NOLINT(runtime/explicit)
    text_ = "[";
    for (const T& value : values_) text_.append(text_of(value)).append(", ");
    text_ += "]";
  }
  template <class F>
    requires std::is_invocable_r_v<T, const std::decay_t<F>&, const Tensor&>
  PerParameter(F&& function)  // NOLINT(runtime/explicit)
      : of_tensor_(std::forward<F>(function)), text_(of_tensor_.identity()) {}
  template <class F>
    requires std::is_invocable_r_v<T, const std::decay_t<F>&, const tree::Path&, const Tensor&>
  PerParameter(F&& function)  // NOLINT(runtime/explicit)
      : of_path_(std::forward<F>(function)), text_(of_path_.identity()) {}

  bool needs_paths() const { return static_cast<bool>(of_path_); }
  /// @param paths of the parameters; null if they are not known, which is right for what needs
  /// none.
  std::vector<T> operator()(const Paths* paths, const TensorList& params) const {
    if (!of_tensor_ && !of_path_) return values_;
    std::vector<T> out;
    for (size_t i = 0; i < params.size(); ++i)
      out.push_back(of_tensor_ ? of_tensor_(params[i]) : of_path_((*paths)[i], params[i]));
    return out;
  }
  const std::string& text() const { return text_; }

 private:
  static std::string text_of(const std::string& value) { return value; }
  static std::string text_of(bool value) { return value ? "true" : "false"; }
  std::vector<T> values_;
  Function<T(const Tensor&)> of_tensor_;
  Function<T(const tree::Path&, const Tensor&)> of_path_;
  std::string text_;
};
/// Which parameters a transformation is for:
///   [](const tree::Path& path, const Tensor&) { return path.back().name != "bias"; }
using Mask = PerParameter<bool>;

/// What a transformation remembers: named lists of tensors (one per parameter, or a single count),
/// and the states of the parts of a chain.
struct TransformState {
  std::map<std::string, TensorList> lists;
  std::vector<TransformState> parts;
  LINNET_FIELDS(lists, parts)
};

/// What some transformations need besides the gradients.
struct ExtraArguments {
  Tensor value = {};  ///< of the function that is minimised, at the parameters
  std::function<Tensor(const TensorList& params)> value_fn = {};  ///< that function
  TensorList gradients = {};  ///< of it; by default those that the update begins with
};

/// Maps gradients to updates. All lists are in the order of the parameters' leaves (J-097). Updates
/// of 16-bit gradients are computed and given in f32, and states rounded to the parameters' dtype
/// only when they are stored, so that `update` with `apply_updates` does what `step` does.
struct GradientTransformation {
  std::function<TransformState(const TensorList& params)> init_list;
  std::function<TensorList(const TensorList& grads, TransformState& state,
                           const TensorList& params)>
      update_list;
  /// Optional whole step: new parameters at once, equal to params + update.
  std::function<TensorList(const TensorList& grads, TransformState& state,
                           const TensorList& params)>
      step_list;
  /// Name and settings; equal texts mean equal transformations. Empty: unknown, equal to none.
  std::string description;
  /// Of a transformation that depends on where parameters are: the one for parameters at `paths`,
  /// which has no `bind` any more. What works on trees calls it; the lists above know no paths.
  std::function<GradientTransformation(const std::vector<tree::Path>& paths)> bind = {};
  /// Instead of `update_list` where extra arguments are given.
  std::function<TensorList(const TensorList& grads, TransformState& state, const TensorList& params,
                           const ExtraArguments& extra)>
      update_extra = {};

  template <class Tree>
  TransformState init(const Tree& params) const;
  /// {updates, new state}.
  template <class Tree>
  std::pair<Tree, TransformState> update(const Tree& grads, const TransformState& state,
                                         const Tree& params,
                                         const ExtraArguments& extra = {}) const;
};

namespace detail {

/// `tx`, or what it is for the parameters of a tree, which is then kept in `bound`.
template <class Tree>
const GradientTransformation& bound_to(const GradientTransformation& tx, const Tree& params,
                                       GradientTransformation& bound) {
  if (!tx.bind) return tx;
  bound = tx.bind(tree::tensor_paths(tree::flatten(const_cast<Tree&>(params), true)));
  return bound;
}

/// Updates, with extra arguments if the transformation takes any.
TensorList update_lists(const GradientTransformation& tx, const TensorList& grads,
                        TransformState& state, const TensorList& params,
                        const ExtraArguments& extra);

}  // namespace detail

template <class Tree>
TransformState GradientTransformation::init(const Tree& params) const {
  GradientTransformation bound;
  return detail::bound_to(*this, params, bound).init_list(tree::leaves(params));
}
template <class Tree>
std::pair<Tree, TransformState> GradientTransformation::update(const Tree& grads,
                                                               const TransformState& state,
                                                               const Tree& params,
                                                               const ExtraArguments& extra) const {
  GradientTransformation bound;
  TransformState next = state;
  TensorList updates = detail::update_lists(detail::bound_to(*this, params, bound),
                                            tree::leaves(grads), next, tree::leaves(params), extra);
  return {tree::unflatten(grads, updates), std::move(next)};
}

/// p + u, in p's dtype (J-098).
TensorList apply_updates(const TensorList& params, const TensorList& updates);
template <class Tree>
Tree apply_updates(const Tree& params, const Tree& updates) {
  return tree::unflatten(params, apply_updates(tree::leaves(params), tree::leaves(updates)));
}

/// One step on lists: new parameters; `state` is replaced.
TensorList step_lists(const GradientTransformation& tx, const TensorList& params,
                      const TensorList& grads, TransformState& state,
                      const ExtraArguments& extra = {});
/// One step in place, on trees of one structure.
template <class Tree>
void step(const GradientTransformation& tx, Tree& params, const Tree& grads, TransformState& state,
          const ExtraArguments& extra = {}) {
  GradientTransformation bound;
  TransformState next = state;
  params =
      tree::unflatten(params, step_lists(detail::bound_to(tx, params, bound), tree::leaves(params),
                                         tree::leaves(grads), next, extra));
  state = std::move(next);
}

GradientTransformation chain(std::vector<GradientTransformation> parts);
template <class... T>
GradientTransformation chain(GradientTransformation first, T... rest) {
  return chain(std::vector<GradientTransformation>{std::move(first), std::move(rest)...});
}

GradientTransformation identity();
GradientTransformation set_to_zero();
GradientTransformation scale(double factor);
/// Times minus the rate; the schedule sees the count before it advances (J-108).
GradientTransformation scale_by_learning_rate(Rate rate);
struct AdamOptions {
  double b1 = 0.9, b2 = 0.999, eps = 1e-8, eps_root = 0;
  bool nesterov = false;
  std::optional<DType> mu_dtype = {};  ///< of the running mean of gradients; by default theirs
};
GradientTransformation scale_by_adam(AdamOptions options = {});
/// g rsqrt(v + eps), v the running mean of g² (J-112).
GradientTransformation scale_by_rms(double decay = 0.9, double eps = 1e-8,
                                    double initial_scale = 0);
GradientTransformation scale_by_lion(double b1 = 0.9, double b2 = 0.99);
/// u + wd p (J-109), of all parameters or of those in the mask. A schedule sees the count before it
/// advances.
GradientTransformation add_decayed_weights(Rate weight_decay, std::optional<Mask> mask = {});
/// m' = g + decay m; Nesterov: g + decay m' (J-110).
GradientTransformation trace(double decay, bool nesterov = false);
/// Elementwise to [-limit, limit].
GradientTransformation clip(double limit);
struct GlobalNormOptions {
  /// Gradients whose squares overflow are scaled before they are squared, and a norm of zero gives
  /// zero updates whatever the limit. Without: the formula of optax, which gives zero updates
  /// for the first and NaN for the second if the limit is 0 (docs/numerics.md).
  bool rescale = true;
};
/// Scaled by limit / max(norm, limit) (J-111); NaN in one gradient makes all NaN.
GradientTransformation clip_by_global_norm(double limit, GlobalNormOptions options = {});

GradientTransformation sgd(Rate rate, std::optional<double> momentum = {}, bool nesterov = false);
GradientTransformation adam(Rate rate, AdamOptions options = {});
struct AdamWOptions {
  double b1 = 0.9, b2 = 0.999, eps = 1e-8, eps_root = 0, weight_decay = 1e-4;
  std::optional<Mask> mask = {};  ///< the parameters that decay; by default all
  bool nesterov = false;
  std::optional<DType> mu_dtype = {};  ///< as AdamOptions
};
/// Decay is decoupled: added after the Adam scaling, before the rate (J-119).
GradientTransformation adamw(Rate rate, AdamWOptions options = {});
GradientTransformation rmsprop(Rate rate, double decay = 0.9, double eps = 1e-8);
GradientTransformation lion(Rate rate, double b1 = 0.9, double b2 = 0.99,
                            double weight_decay = 1e-3);
/// g / sqrt(sum of squares + eps).
GradientTransformation adagrad(Rate rate, double initial_accumulator = 0.1, double eps = 1e-7);

namespace detail {

/// What states that belong to a parameter take over from it.
struct ParameterTraits {
  Shape shape;
  Metadata metadata;
};
using ParameterList = std::vector<ParameterTraits>;

/// A TransformState whose tensors are variables.
struct StateVariables {
  std::map<std::string, std::vector<nnx::OptState>> lists;
  std::vector<StateVariables> parts;
  LINNET_FIELDS(lists, parts)

  using Writes = std::vector<std::pair<state::CellPtr, state::Value>>;

  TransformState read() const;
  /// Makes and removes variables until there is one for each tensor of `state`.
  void shape_like(const TransformState& state, const ParameterList& parameters);
  /// What is to be written for `state`, which has the same structure.
  void append_writes(const TransformState& state, Writes& out) const;
  void write(const TransformState& state, const ParameterList& parameters);
};

}  // namespace detail

/// Optimiser of an object model: the transformation and its state, in variables of the kinds of
/// optim/state_kinds.h. It knows the model by the paths of its variables only; a jitted step
/// may take it by reference or capture it.
class Optimizer {
 public:
  /// @param wrt the variables to optimise.
  /// @throws ValueError if `wrt` chooses nothing, ModuleError for a chosen tensor that is no
  /// variable.
  template <class M>
  Optimizer(M& model, GradientTransformation tx, nnx::Filter wrt = nnx::of_type<nnx::Param>())
      : Optimizer(std::move(tx), std::move(wrt),
                  nnx::detail::walk(nnx::detail::visitor_of(model))) {}
  Optimizer(const Optimizer&) = default;
  Optimizer(Optimizer&&) = default;
  /// Writes into the variables of this one.
  Optimizer& operator=(const Optimizer& other);

  /// New parameters in the model; `grads` has the paths of the parameters. A call that throws
  /// changes nothing.
  /// @throws ModuleError if the paths differ, ShapeError if a gradient does not fit.
  template <class M>
  void update(M& model, const nnx::State& grads, const ExtraArguments& extra = {}) {
    update_state(nnx::state(model, wrt_), grads, extra, nullptr);
  }
  /// The same, and gives the updates that were added, under the paths of the parameters (N-142).
  template <class M>
  nnx::State update_returning(M& model, const nnx::State& grads, const ExtraArguments& extra = {}) {
    nnx::State updates;
    update_state(nnx::state(model, wrt_), grads, extra, &updates);
    return updates;
  }

  /// Updates so far, u32[].
  Tensor step() const { return step_.value(); }
  TransformState state() const { return state_.read(); }
  void set_state(const TransformState& state) { state_.write(state, parameters_); }
  const std::string& description() const { return tx_.description; }
  void visit(tree::Visitor& visitor);

 private:
  Optimizer(GradientTransformation tx, nnx::Filter wrt,
            const std::vector<nnx::detail::NodeLeaf>& leaves);
  Optimizer(GradientTransformation tx, nnx::Filter wrt, const nnx::State& chosen);
  void update_state(const nnx::State& params, const nnx::State& grads, const ExtraArguments& extra,
                    nnx::State* updates);
  GradientTransformation tx_;
  nnx::Filter wrt_;
  nnx::OptState step_;
  detail::ParameterList parameters_;
  detail::StateVariables state_;
};

}  // namespace linnet::optim

namespace linnet::nnx {
using optim::Optimizer;
}  // namespace linnet::nnx

namespace linnet::tree {
template <>
struct Traits<optim::Optimizer> {
  static void visit(optim::Optimizer& optimizer, Visitor& visitor) { optimizer.visit(visitor); }
};
}  // namespace linnet::tree

#pragma GCC visibility pop

#endif  // C++20
