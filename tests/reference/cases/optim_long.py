"""Trajectories of 100 steps of Optax's optimizers, and of its wrappers, on a noisy quadratic.

The problem: parameters `a` [3, 4] and `b` [4] as in `optim`; targets normal(key(2)), normal(key(3)); the
gradient of step t at p is (p - target) / 4 + normal(fold_in(key(7), 2 t)) for `a`, 2 t + 1 for `b`. Kept
are the parameters after 50 and after 100 steps.
"""

import jax
import jax.numpy as jnp
import optax
from jax import random
from optax import contrib

from cases import optim
from golden_file import GoldenFile

STEPS = 100
KEPT = (50, 100)


def _gradient(params, t):
  target = {"a": random.normal(random.key(2), (3, 4)), "b": random.normal(random.key(3), (4,))}
  key = random.key(7)
  noise = {"a": random.normal(random.fold_in(key, 2 * t), (3, 4)),
           "b": random.normal(random.fold_in(key, 2 * t + 1), (4,))}
  return jax.tree.map(lambda p, c, n: (p - c) / 4 + n, params, target, noise)


def _wrapped():
  mask = {"a": True, "b": False}
  rate = optax.cosine_decay_schedule(0.1, 80)
  return {
      "adamax_w": ("adamaxw(0.01, weight_decay=0.1)", optax.adamaxw(0.01, weight_decay=0.1)),
      "muon": ("contrib.muon(0.01, weight_decay=0.1)", contrib.muon(0.01, weight_decay=0.1)),
      "muon_plain": ("contrib.muon(0.01, nesterov=False)", contrib.muon(0.01, nesterov=False)),
      "decay_schedule": ("chain(add_decayed_weights(cosine_decay_schedule(0.1, 80), mask a), sgd(0.1))",
                         optax.chain(optax.add_decayed_weights(rate, mask), optax.sgd(0.1))),
      "inject": ("inject_hyperparams(sgd)(cosine_decay_schedule(0.1, 80), momentum=0.9)",
                 optax.inject_hyperparams(optax.sgd)(rate, momentum=0.9)),
      "multi_steps_3": ("MultiSteps(adamw(0.01), 3)",
                        optax.MultiSteps(optax.adamw(0.01), 3).gradient_transformation()),
      "multi_steps_schedule": ("MultiSteps(sgd(0.1), k = 2 until 10 steps are made, then 4)",
                               optax.MultiSteps(optax.sgd(0.1), lambda s: jnp.where(s < 10, 2, 4))
                               .gradient_transformation()),
      "noisy": ("noisy_sgd(0.05, eta=0.01, gamma=0.55, key=9)",
                optax.noisy_sgd(0.05, 0.01, 0.55, key=9)),
      "param_block_norm": ("chain(scale_by_param_block_norm(), scale(-0.01))",
                           optax.chain(optax.scale_by_param_block_norm(), optax.scale(-0.01))),
      "rms_corrected": ("rmsprop(0.01, eps_in_sqrt=False, bias_correction=True)",
                        optax.rmsprop(0.01, eps_in_sqrt=False, bias_correction=True)),
      "adafactor_momentum": ("adafactor(0.01, min_dim_size_to_factor=3, momentum=0.9, "
                             "weight_decay_rate=0.01)",
                             optax.adafactor(0.01, min_dim_size_to_factor=3, momentum=0.9,
                                             weight_decay_rate=0.01)),
      "lbfgs": ("chain(scale_by_lbfgs(5), scale(-0.02))",
                optax.chain(optax.scale_by_lbfgs(5), optax.scale(-0.02))),
  }


def _run(g, name, note, tx):
  params, _ = optim._problem()

  @jax.jit
  def step(params, state, t):
    updates, state = tx.update(_gradient(params, t), state, params)
    return optax.apply_updates(params, updates), state

  state, kept = tx.init(params), {}
  for t in range(STEPS):
    params, state = step(params, state, t)
    if t + 1 in KEPT:
      kept[str(t + 1)] = params
  g.case(name, note, **kept)


def _lookahead(g):
  params, _ = optim._problem()
  for name, reset in (("lookahead", False), ("lookahead_reset", True)):
    tx = optax.lookahead(optax.adam(0.01), 6, 0.5, reset)
    both = optax.LookaheadParams.init_synced(params)
    state, kept = tx.init(both), {}
    for t in range(STEPS):
      updates, state = tx.update(_gradient(both.fast, t), state, both)
      both = optax.apply_updates(both, updates)
      if t + 1 in KEPT:
        kept[str(t + 1)] = both.fast
    g.case(name, f"lookahead(adam(0.01), 6, 0.5, reset_state={reset}): the fast parameters", **kept)


def _plateau(g):
  tx = contrib.reduce_on_plateau(factor=0.5, patience=2, cooldown=1, accumulation_size=2,
                                 rtol=1e-2, min_scale=0.1)
  values = [5, 4, 3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
            2, 2, 2, 2, 2, 2, 2, 2]
  x = jnp.ones(2)
  state, scales = tx.init(x), []
  for v in values:
    updates, state = tx.update(x, state, x, value=jnp.float32(v))
    scales.append(updates[0])
  g.case("plateau", "contrib.reduce_on_plateau(factor=0.5, patience=2, cooldown=1, accumulation_size=2, "
         "rtol=1e-2, min_scale=0.1) on updates of 1", value=jnp.array(values, jnp.float32),
         out=jnp.stack(scales))


def _lbfgs(g):
  def f(p):
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2

  for name, note, tx in (
      ("lbfgs_backtracking", "lbfgs(linesearch=scale_by_backtracking_linesearch(20))",
       optax.lbfgs(linesearch=optax.scale_by_backtracking_linesearch(20))),
      ("lbfgs_zoom", "lbfgs()", optax.lbfgs())):

    @jax.jit
    def step(p, state, tx=tx):
      value, grad = jax.value_and_grad(f)(p)
      updates, state = tx.update(grad, state, p, value=value, grad=grad, value_fn=f)
      return optax.apply_updates(p, updates), state

    p = jnp.array([-1.2, 1.0])
    state, params, rates = tx.init(p), [], []
    for _ in range(12):
      p, state = step(p, state)
      params.append(p)
      rates.append(state[2].learning_rate)
    g.case(name, note + " on Rosenbrock's function from (-1.2, 1), 12 steps",
           params=jnp.stack(params), rates=jnp.stack(rates))


def make():
  g = GoldenFile("optim_long")
  # Chains whose steps do not shrink on noise that never ends are left to the short trajectories.
  short = {"keep_nonnegative", "masked"}
  for name, (note, tx) in {**optim._optimizers(), **_wrapped()}.items():
    if name not in short:
      _run(g, name, note + ", 100 steps", tx)
  _lookahead(g)
  _plateau(g)
  _lbfgs(g)
  return g
