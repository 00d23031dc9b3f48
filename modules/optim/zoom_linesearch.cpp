// Line search for the strong conditions of Wolfe, as in optax: first an interval that holds a good
// step, then ever smaller ones (Nocedal and Wright 2006, algorithms 3.5 and 3.6).
#include <cmath>

#include "linnet/control_flow.h"
#include "linnet/detail/format.h"
#include "linnet/ops.h"
#include "linnet/optim/lbfgs.h"
#include "modules/optim/transform.h"

namespace linnet::optim {
namespace {

/// A step along the line, with the value and its slope there.
struct Trial {
  Tensor step, value, slope;
  LINNET_FIELDS(step, value, slope)
};
Trial choose(const Tensor& condition, const Trial& a, const Trial& b) {
  return {where(condition, a.step, b.step), where(condition, a.value, b.value),
          where(condition, a.slope, b.slope)};
}

struct Zoom {
  Tensor count;
  Trial now;
  Trial low, high;  ///< ends of the interval; low has the smaller value
  Trial reference;  ///< a third point for the cubic
  Trial safe;       ///< the best that decreases the value enough; step 0 if there is none
  Tensor decrease_error, curvature_error;
  Tensor found, done, failed;  ///< whether there is an interval; whether the search is over
  LINNET_FIELDS(count, now, low, high, reference, safe, decrease_error, curvature_error, found,
                done, failed)
};

/// What is violated, 0 if nothing; NaN is infinitely bad.
Tensor violation(const Tensor& error) {
  return where(is_nan(error), HUGE_VAL, maximum(error, 0.0));
}

/// Armijo's condition or, close to a minimum, where rounding hides the decrease, that of Hager and
/// Zhang (2006, equation 23).
Tensor decrease_error_of(const ZoomOptions& o, const Trial& at, const Trial& start) {
  const Tensor armijo = at.value - start.value - o.slope_rtol * at.step * start.slope;
  const Tensor approximate = maximum(at.slope - (2 * o.slope_rtol - 1) * start.slope,
                                     at.value - start.value - o.approx_dec_rtol * abs(start.value));
  return violation(minimum(approximate, armijo));
}
Tensor curvature_error_of(const ZoomOptions& o, const Trial& at, const Trial& start) {
  return violation(abs(at.slope) - o.curv_rtol * abs(start.slope));
}

/// Where the parabola through two points, with the slope of the first, is least.
Tensor least_of_parabola(const Trial& a, const Trial& b) {
  const Tensor width = b.step - a.step;
  const Tensor curvature = (b.value - a.value - a.slope * width) / square(width);
  return a.step - a.slope / (2 * curvature);
}
/// Likewise the cubic through three.
Tensor least_of_cubic(const Trial& a, const Trial& b, const Trial& c) {
  const Tensor db = b.step - a.step, dc = c.step - a.step;
  const Tensor rb = b.value - a.value - a.slope * db, rc = c.value - a.value - a.slope * dc;
  const Tensor scale = square(db * dc) * (db - dc);
  const Tensor third = (square(dc) * rb - square(db) * rc) / scale;
  const Tensor second = (db * db * db * rc - dc * dc * dc * rb) / scale;
  return a.step + (-second + sqrt(square(second) - 3 * third * a.slope)) / (3 * third);
}

/// The step to try inside the interval: by the cubic or the parabola, if that is not too close to
/// an end, else the middle.
Tensor step_inside(const Zoom& s) {
  const Tensor width = abs(s.high.step - s.low.step);
  const Tensor left = minimum(s.high.step, s.low.step), right = maximum(s.high.step, s.low.step);
  const auto inside = [&](const Tensor& step, double margin) {
    return logical_and(step > left + margin * width, step < right - margin * width);
  };
  const Tensor cubic = least_of_cubic(s.low, s.high, s.reference);
  const Tensor parabola = least_of_parabola(s.low, s.high);
  return where(inside(cubic, 0.2), cubic,
               where(inside(parabola, 0.1), parabola, (s.low.step + s.high.step) / 2));
}

/// After a step beyond the last one, while there is no interval.
Zoom widened(const ZoomOptions& o, const Zoom& s, const Trial& at, const Zoom& judged) {
  const Tensor good = maximum(judged.decrease_error, judged.curvature_error) <= o.tol;
  const Tensor later = s.count > scalar_integer(0, DType::kI32);
  const Tensor to_high =
      logical_or(judged.decrease_error > 0, logical_and(at.value >= s.now.value, later));
  const Tensor to_low = logical_and(at.slope >= 0, logical_not(to_high));
  Zoom next = judged;
  next.low = choose(to_low, at, s.now);
  next.high = choose(to_low, s.now, at);
  next.reference = next.low;
  next.found = logical_or(logical_or(to_high, to_low), good);
  const Tensor at_most = o.max_learning_rate ? at.step >= *o.max_learning_rate : Tensor(false);
  next.done = logical_or(good, logical_and(at_most, logical_not(next.found)));
  next.safe = choose(judged.decrease_error <= o.tol, at, s.safe);
  next.failed =
      logical_and(next.count >= scalar_integer(o.max_steps, DType::kI32), logical_not(next.done));
  return next;
}

/// After a step inside the interval.
Zoom narrowed(const ZoomOptions& o, const Zoom& s, const Trial& at, const Zoom& judged) {
  Zoom next = judged;
  next.done = maximum(judged.decrease_error, judged.curvature_error) <= o.tol;
  const Tensor to_high = logical_or(judged.decrease_error > 0, at.value >= s.low.value);
  const Tensor turned =
      logical_and(at.slope * (s.high.step - s.low.step) >= 0, logical_not(to_high));
  next.high = choose(turned, s.low, choose(to_high, at, s.high));
  next.low = choose(to_high, s.low, at);
  next.reference = choose(logical_or(to_high, turned), s.high, s.low);
  next.safe =
      choose(logical_and(judged.decrease_error <= o.tol, at.value < s.safe.value), at, s.safe);
  const Tensor small = abs(s.high.step - s.low.step) <= o.stepsize_precision;
  const Tensor over = logical_or(next.count >= scalar_integer(o.max_steps, DType::kI32),
                                 logical_and(small, next.safe.step > 0));
  next.failed = logical_and(over, logical_not(next.done));
  return next;
}

Zoom choose(const Tensor& condition, const Zoom& a, const Zoom& b) {
  TensorList all = tree::leaves(a);
  const TensorList others = tree::leaves(b);
  for (size_t i = 0; i < all.size(); ++i) all[i] = where(condition, all[i], others[i]);
  return tree::unflatten(a, all);
}

Zoom searched(const ZoomOptions& o, const Tensor& guess, const TensorList& updates,
              const TensorList& params, const ExtraArguments& extra) {
  const auto on_line = [&](const Tensor& step) {
    const auto [value, gradient] =
        value_and_grad(extra.value_fn)(map(params, [&](size_t i, const Tensor& p) {
          const Tensor w = wide(p);
          return astype(w + astype(step, w.dtype()) * wide(updates[i]), p.dtype());
        }));
    return Trial{step, astype(value, DType::kF32), dot_of(gradient, updates)};
  };
  const Trial start{scalar(0, DType::kF32), astype(extra.value, DType::kF32),
                    dot_of(updates, extra.gradients)};
  const Tensor no = scalar(0, DType::kBool), infinite = scalar(HUGE_VAL, DType::kF32);
  const Zoom first{scalar_integer(0, DType::kI32),
                   start,
                   start,
                   start,
                   start,
                   start,
                   infinite,
                   infinite,
                   no,
                   no,
                   no};
  return while_loop([](const Zoom& s) { return logical_not(logical_or(s.done, s.failed)); },
                    [&](const Zoom& s) {
                      Tensor beyond = where(equal(s.count, scalar_integer(0, DType::kI32)), guess,
                                            o.increase_factor * s.now.step);
                      if (o.max_learning_rate) beyond = minimum(beyond, *o.max_learning_rate);
                      const Trial at = on_line(where(s.found, step_inside(s), beyond));
                      Zoom judged = s;
                      judged.count = s.count + 1;
                      judged.now = at;
                      judged.decrease_error = decrease_error_of(o, at, start);
                      judged.curvature_error = curvature_error_of(o, at, start);
                      Zoom next =
                          choose(s.found, narrowed(o, s, at, judged), widened(o, s, at, judged));
                      // Of a search that failed the best step is taken that at least decreases the
                      // value.
                      const Tensor fall_back = logical_and(
                          next.failed, logical_or(next.safe.step > 0, is_inf(next.decrease_error)));
                      next.now = choose(fall_back, next.safe, next.now);
                      return next;
                    },
                    first);
}

}  // namespace

GradientTransformation scale_by_zoom_linesearch(ZoomOptions o) {
  GradientTransformation out;
  out.description =
      fmt::format("scale_by_zoom_linesearch({}, {}, {}, {}, {}, {}, {}, {}, {})", o.max_steps,
                  o.max_learning_rate ? fmt::format("{}", *o.max_learning_rate) : "none", o.tol,
                  o.increase_factor, o.slope_rtol, o.curv_rtol, o.approx_dec_rtol,
                  o.stepsize_precision, o.keep_step);
  out.init_list = [](const TensorList& params) {
    TransformState state;
    const auto number = [&](double x) { return number_beside(params, scalar(x, DType::kF32)); };
    state.lists["learning_rate"] = {number(1)};
    for (const char* name : {"value", "decrease_error", "curvature_error"})
      state.lists[name] = {number(HUGE_VAL)};
    state.lists["steps"] = {zero_count(params)};
    return state;
  };
  set_update(out, [o](const TensorList& grads, TransformState& state, const TensorList& params,
                      const ExtraArguments& extra) {
    require_value("scale_by_zoom_linesearch", extra);
    require_params("scale_by_zoom_linesearch", grads, params);
    Tensor& rate = list_of(state, "learning_rate").at(0);
    const Zoom found =
        searched(o, o.keep_step ? rate : scalar(1, DType::kF32), grads, params, extra);
    rate = found.now.step;
    list_of(state, "value") = {found.now.value};
    list_of(state, "decrease_error") = {found.decrease_error};
    list_of(state, "curvature_error") = {found.curvature_error};
    list_of(state, "steps") = {found.count};
    return scaled(grads, rate);
  });
  return out;
}

}  // namespace linnet::optim
