"""Optimizers, gradient transformations and schedules of Optax.

Parameters `a` f32[3,4] and `b` f32[4]; five steps of fixed gradients. For every optimizer
`<name>/params/<step>/<leaf>` are the parameters after the step (steps 0..4).
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import random

from golden_file import GoldenFile

STEPS = 5


def _problem():
  params = {"a": random.normal(random.key(0), (3, 4)), "b": random.normal(random.key(1), (4,))}
  grads = []
  for t in range(STEPS):
    k = random.key(100 + t)
    scale = (1.0, 3.0, 0.1, 1.0, 0.0)[t]
    grads.append({"a": scale * random.normal(k, (3, 4)),
                  "b": scale * random.normal(random.fold_in(k, 1), (4,))})
  return params, grads


def _optimizers():
  chain = optax.chain
  warm = optax.warmup_cosine_decay_schedule(0.0, 0.1, 2, 5, 0.01)
  mask = {"a": True, "b": False}
  return {
      "sgd": ("sgd(0.1)", optax.sgd(0.1)),
      "momentum": ("sgd(0.1, momentum=0.9)", optax.sgd(0.1, momentum=0.9)),
      "nesterov": ("sgd(0.1, momentum=0.9, nesterov=True)",
                   optax.sgd(0.1, momentum=0.9, nesterov=True)),
      "adam": ("adam(0.01)", optax.adam(0.01)),
      "adam_options": ("adam(0.01, b1=0.8, b2=0.95, eps=1e-6, eps_root=1e-8)",
                       optax.adam(0.01, 0.8, 0.95, 1e-6, 1e-8)),
      "adam_nesterov": ("adam(0.01, nesterov=True)", optax.adam(0.01, nesterov=True)),
      "adamw": ("adamw(0.01, weight_decay=0.1)", optax.adamw(0.01, weight_decay=0.1)),
      "adamw_mask": ("adamw(0.01, weight_decay=0.1, mask={a: true, b: false})",
                     optax.adamw(0.01, weight_decay=0.1, mask=mask)),
      "adamw_schedule": ("adamw(warmup_cosine_decay_schedule(0, 0.1, 2, 5, 0.01))",
                         optax.adamw(warm)),
      "nadam": ("nadam(0.01)", optax.nadam(0.01)),
      "nadamw": ("nadamw(0.01, weight_decay=0.1)", optax.nadamw(0.01, weight_decay=0.1)),
      "adamax": ("adamax(0.01)", optax.adamax(0.01)),
      "amsgrad": ("amsgrad(0.01)", optax.amsgrad(0.01)),
      "adabelief": ("adabelief(0.01)", optax.adabelief(0.01)),
      "adadelta": ("adadelta(0.5)", optax.adadelta(0.5)),
      "adan": ("adan(0.01)", optax.adan(0.01)),
      "radam": ("radam(0.01)", optax.radam(0.01)),
      "yogi": ("yogi(0.01)", optax.yogi(0.01)),
      "novograd": ("novograd(0.01)", optax.novograd(0.01)),
      "rprop": ("rprop(0.01)", optax.rprop(0.01)),
      "sm3": ("sm3(0.1)", optax.sm3(0.1)),
      "rmsprop": ("rmsprop(0.01)", optax.rmsprop(0.01)),
      "rmsprop_centered": ("rmsprop(0.01, centered=True)", optax.rmsprop(0.01, centered=True)),
      "rmsprop_momentum": ("rmsprop(0.01, decay=0.8, momentum=0.9, nesterov=True)",
                           optax.rmsprop(0.01, decay=0.8, momentum=0.9, nesterov=True)),
      "lion": ("lion(0.01)", optax.lion(0.01)),
      "adagrad": ("adagrad(0.1)", optax.adagrad(0.1)),
      "adafactor": ("adafactor(0.01)", optax.adafactor(0.01)),
      "adafactor_default": ("adafactor() with its own relative step", optax.adafactor()),
      "adafactor_factored": ("adafactor(0.01, min_dim_size_to_factor=3)",
                             optax.adafactor(0.01, min_dim_size_to_factor=3)),
      "lamb": ("lamb(0.01, weight_decay=0.1)", optax.lamb(0.01, weight_decay=0.1)),
      "lars": ("lars(0.5, weight_decay=0.1)", optax.lars(0.5, weight_decay=0.1)),
      "clip_by_global_norm": ("chain(clip_by_global_norm(1), sgd(0.1))",
                              chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1))),
      "clip": ("chain(clip(0.5), sgd(0.1))", chain(optax.clip(0.5), optax.sgd(0.1))),
      "clip_by_block_rms": ("chain(clip_by_block_rms(0.5), sgd(0.1))",
                            chain(optax.clip_by_block_rms(0.5), optax.sgd(0.1))),
      "adaptive_grad_clip": ("chain(adaptive_grad_clip(0.1), sgd(0.1))",
                             chain(optax.adaptive_grad_clip(0.1), optax.sgd(0.1))),
      "clip_adamw": ("chain(clip_by_global_norm(1), adamw(schedule of adamw_schedule, "
                     "weight_decay=0.05))",
                     chain(optax.clip_by_global_norm(1.0), optax.adamw(warm, weight_decay=0.05))),
      "add_decayed_weights": ("chain(add_decayed_weights(0.1), sgd(0.1))",
                              chain(optax.add_decayed_weights(0.1), optax.sgd(0.1))),
      "ema": ("chain(ema(0.9), scale(-0.1))", chain(optax.ema(0.9), optax.scale(-0.1))),
      "ema_biased": ("chain(ema(0.9, debias=False), scale(-0.1))",
                     chain(optax.ema(0.9, debias=False), optax.scale(-0.1))),
      "centralize": ("chain(centralize(), sgd(0.1))", chain(optax.centralize(), optax.sgd(0.1))),
      "normalize_by_update_norm": ("chain(normalize_by_update_norm(), sgd(0.1)), first 4 "
                                   "gradients are non-zero",
                                   chain(optax.normalize_by_update_norm(), optax.sgd(0.1))),
      "trust_ratio": ("chain(scale_by_trust_ratio(), scale(-0.1))",
                      chain(optax.scale_by_trust_ratio(), optax.scale(-0.1))),
      "param_block_rms": ("chain(scale_by_param_block_rms(), scale(-0.1))",
                          chain(optax.scale_by_param_block_rms(), optax.scale(-0.1))),
      "masked": ("masked(sgd(0.1), {a: true, b: false}): b receives the raw gradient",
                 optax.masked(optax.sgd(0.1), mask)),
      "multi_transform": ("multi_transform({x: adam(0.01), y: set_to_zero()}, {a: x, b: y})",
                          optax.multi_transform({"x": optax.adam(0.01), "y": optax.set_to_zero()},
                                                {"a": "x", "b": "y"})),
      "multi_steps": ("MultiSteps(adam(0.01), 2)",
                      optax.MultiSteps(optax.adam(0.01), 2).gradient_transformation()),
      "apply_every": ("chain(apply_every(2), scale(-0.1))",
                      chain(optax.apply_every(2), optax.scale(-0.1))),
      "keep_nonnegative": ("chain(sgd(0.1), keep_params_nonnegative()) from abs(parameters)",
                           chain(optax.sgd(0.1), optax.keep_params_nonnegative())),
  }


def _run(g, name, note, tx):
  params, grads = _problem()
  if name == "keep_nonnegative":
    params = jax.tree.map(jnp.abs, params)
  state = tx.init(params)
  history = []
  for grad in grads:
    updates, state = tx.update(grad, state, params)
    params = optax.apply_updates(params, updates)
    history.append(params)
  g.case(name, note, params=history)


def _nan_cases(g):
  params, grads = _problem()
  bad = jax.tree.map(lambda x: x.at[0].set(jnp.nan), grads[0])
  tx = optax.apply_if_finite(optax.adam(0.01), 2)
  state = tx.init(params)
  history = []
  for grad in (grads[0], bad, grads[1], bad, bad, bad):
    updates, state = tx.update(grad, state, params)
    params = optax.apply_updates(params, updates)
    history.append(params)
  g.case("apply_if_finite", "apply_if_finite(adam(0.01), 2) on gradients 0, bad, 1, bad, bad, "
         "bad; bad = gradient 0 with NaN in row (element) 0", params=history)


def _helpers(g):
  params, grads = _problem()
  g.case("global_norm", "global_norm(gradient t)",
         out=jnp.stack([optax.global_norm(x) for x in grads]))
  g.case("incremental_update", "incremental_update(gradient 0, parameters, 0.1)",
         out=optax.incremental_update(grads[0], params, 0.1))


def _schedules(g):
  s = optax
  table = {
      "constant": ("constant_schedule(0.3)", s.constant_schedule(0.3)),
      "linear": ("linear_schedule(1, 0.1, 10, transition_begin=3)",
                 s.linear_schedule(1.0, 0.1, 10, 3)),
      "polynomial": ("polynomial_schedule(1, 0.1, power=2, transition_steps=10, begin=3)",
                     s.polynomial_schedule(1.0, 0.1, 2, 10, 3)),
      "cosine": ("cosine_decay_schedule(1, 15, alpha=0.1)", s.cosine_decay_schedule(1.0, 15, 0.1)),
      "cosine_exponent": ("cosine_decay_schedule(1, 15, alpha=0.1, exponent=2)",
                          s.cosine_decay_schedule(1.0, 15, 0.1, 2.0)),
      "exponential": ("exponential_decay(1, 5, 0.5)", s.exponential_decay(1.0, 5, 0.5)),
      "exponential_staircase": ("exponential_decay(1, 5, 0.5, begin=2, staircase, end_value=0.2)",
                                s.exponential_decay(1.0, 5, 0.5, 2, True, 0.2)),
      "piecewise": ("piecewise_constant_schedule(1, {5: 0.5, 12: 0.1})",
                    s.piecewise_constant_schedule(1.0, {5: 0.5, 12: 0.1})),
      "piecewise_interpolate_linear": (
          "piecewise_interpolate_schedule(linear, 1, {5: 0.5, 12: 0.1})",
          s.piecewise_interpolate_schedule("linear", 1.0, {5: 0.5, 12: 0.1})),
      "piecewise_interpolate_cosine": (
          "piecewise_interpolate_schedule(cosine, 1, {5: 0.5, 12: 0.1})",
          s.piecewise_interpolate_schedule("cosine", 1.0, {5: 0.5, 12: 0.1})),
      "warmup_constant": ("warmup_constant_schedule(0, 1, 5)",
                          s.warmup_constant_schedule(0.0, 1.0, 5)),
      "warmup_cosine": ("warmup_cosine_decay_schedule(0.1, 1, 5, 18, 0.05)",
                        s.warmup_cosine_decay_schedule(0.1, 1.0, 5, 18, 0.05)),
      "warmup_exponential": ("warmup_exponential_decay_schedule(0, 1, 5, 4, 0.5, "
                             "transition_begin=2, end_value=0.2)",
                             s.warmup_exponential_decay_schedule(0.0, 1.0, 5, 4, 0.5, 2,
                                                                 end_value=0.2)),
      "join": ("join_schedules([linear 0->1 in 4, constant 1, cosine 1 in 6], [4, 9])",
               s.join_schedules([s.linear_schedule(0.0, 1.0, 4), s.constant_schedule(1.0),
                                 s.cosine_decay_schedule(1.0, 6)], [4, 9])),
      "sgdr": ("sgdr_schedule of two cycles {init 0, peak 1, warm-up 2, decay_steps 8, end 0.1} "
               "and {init 0.1, peak 0.5, warm-up 3, decay_steps 9, end 0}",
               s.sgdr_schedule([
                   {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 2, "decay_steps": 8,
                    "end_value": 0.1},
                   {"init_value": 0.1, "peak_value": 0.5, "warmup_steps": 3, "decay_steps": 9,
                    "end_value": 0.0}])),
      "cosine_onecycle": ("cosine_onecycle_schedule(18, 1)", s.cosine_onecycle_schedule(18, 1.0)),
      "linear_onecycle": ("linear_onecycle_schedule(18, 1)", s.linear_onecycle_schedule(18, 1.0)),
  }
  for name, (note, f) in table.items():
    g.case(f"schedule/{name}", note + ", steps 0..20",
           out=np.array([f(jnp.int32(t)) for t in range(21)], np.float32))


def make():
  g = GoldenFile("optim")
  params, grads = _problem()
  g.case("problem", "initial parameters and the five gradients (the last is zero)", params=params,
         grads=grads)
  for name, (note, tx) in _optimizers().items():
    _run(g, name, note, tx)
  _nan_cases(g)
  _helpers(g)
  _schedules(g)
  return g
