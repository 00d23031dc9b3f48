"""Rarer optimisers of Optax on a small problem, and losses of segmentations and rankings.

`steps/<name>/<leaf>`: the parameters after each of six steps, [6, ...]. The function is
sum(log cosh(a - 0.3)) + sum((b [1, 2, 3, 4])²) / 2, its value is given to the update.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import random
from optax import contrib

from golden_file import GoldenFile

STEPS = 6


def _loss(p):
  return (jnp.sum(jnp.log(jnp.cosh(p["a"] - 0.3))) +
          jnp.sum((p["b"] * jnp.arange(1.0, 5.0)) ** 2) / 2)


def _optimizers():
  warm = optax.linear_schedule(0.0, 0.1, 4)
  return {
      "sign_sgd": optax.sign_sgd(0.1), "signum": optax.signum(0.1),
      "fromage": optax.fromage(0.1), "fromage_schedule": optax.fromage(warm),
      "optimistic": optax.optimistic_gradient_descent(0.05, 0.8, 0.5),
      "polyak": optax.polyak_sgd(), "polyak_bounded": optax.polyak_sgd(0.02, f_min=-1.0, eps=0.1),
      "polyak_plus": optax.polyak_sgd(variant="sps+", f_min=5.0),
      "ademamix": contrib.ademamix(0.01, weight_decay=0.1),
      "ademamix_schedule": contrib.ademamix(
          0.01, b3=optax.linear_schedule(0.9, 0.99, 4), alpha=optax.linear_schedule(0.0, 5.0, 4)),
      "adopt": contrib.adopt(0.05), "adopt_nesterov": contrib.adopt(0.05, nesterov=True),
      "adopt_free": contrib.adopt(0.05, use_clipping=False),
      "schedule_free": contrib.schedule_free(optax.sgd(0.1), 0.1),
      "schedule_free_sgd": contrib.schedule_free_sgd(0.1, warmup_steps=3, weight_decay=0.01),
      "schedule_free_adamw": contrib.schedule_free_adamw(0.05, warmup_steps=2, weight_decay=0.1),
  }


def _steps(g):
  start = {"a": random.normal(random.key(0), (3, 4)), "b": random.normal(random.key(1), (4,))}
  g.case("start", "parameters to begin with", **start)
  for name, tx in _optimizers().items():
    tx = optax.with_extra_args_support(tx)
    params, state, seen = start, tx.init(start), []
    for _ in range(STEPS):
      value, grads = jax.value_and_grad(_loss)(params)
      updates, state = tx.update(grads, state, params, value=value)
      params = optax.apply_updates(params, updates)
      seen.append(params)
    g.case(f"steps/{name}", name, a=jnp.stack([p["a"] for p in seen]),
           b=jnp.stack([p["b"] for p in seen]))
    if name.startswith("schedule_free"):
      g.case(f"eval/{name}", "what to evaluate with at the end",
             **contrib.schedule_free_eval_params(state, params))


def _value(g, name, note, f, *inputs):
  out = f(*inputs)
  grad = jax.grad(lambda *x: f(*x).sum())(*inputs)
  g.case(name, note + "; gradient of the sum by the first", **{"in": list(inputs)}, out=out,
         grad=grad)


def _losses(g):
  logits = 3 * random.normal(random.key(2), (2, 3, 5, 4))
  hot = jax.nn.one_hot(random.randint(random.key(3), (2, 3, 5), 0, 4), 4)
  _value(g, "dice", "dice_loss(logits, targets)", optax.losses.dice_loss, logits, hot)
  _value(g, "dice_options", "weights 1 … 4, alpha 0.3, beta 0.7, smooth 0.5, no background",
         lambda a, b: optax.losses.dice_loss(a, b, class_weights=jnp.arange(1.0, 5.0), alpha=0.3,
                                             beta=0.7, smooth=0.5, ignore_background=True),
         logits, hot)
  _value(g, "dice_axis", "axis (0, 1), per class",
         lambda a, b: optax.losses.dice_loss(a, b, axis=(0, 1), reduction="none"), logits, hot)
  _value(g, "dice_generalized", "multiclass_generalized_dice_loss",
         optax.losses.multiclass_generalized_dice_loss, logits, hot)
  _value(g, "dice_binary", "binary_dice_loss of [2, 3, 5]", optax.losses.binary_dice_loss,
         logits[..., 0], hot[..., 0])
  scores = random.normal(random.key(4), (6, 5))
  labels = jnp.array([0, 4, 2, 2, 1, 3])
  _value(g, "sparsemax", "sparsemax_loss(scores, scores > 0)", optax.losses.sparsemax_loss, scores,
         (jnp.flip(scores) > 0).astype(jnp.int32))
  _value(g, "multiclass_sparsemax", "multiclass_sparsemax_loss(scores, labels)",
         optax.losses.multiclass_sparsemax_loss, scores, labels)
  _value(g, "simplex", "projection of each row, times [1 … 5]",
         lambda x: jax.vmap(optax.projections.projection_simplex)(x) * jnp.arange(1.0, 6.0), scores)
  relevance = jax.nn.relu(jnp.flip(scores))
  _value(g, "ranking", "ranking_softmax_loss, no reduction",
         lambda a, b: optax.losses.ranking_softmax_loss(a, b, reduce_fn=None), scores, relevance)
  items = jnp.arange(5)[None, :] < jnp.array([5, 3, 0, 1, 2, 4])[:, None]
  _value(g, "ranking_some", "of the first 5, 3, 0, 1, 2, 4 items, weights 1 … 5",
         lambda a, b: optax.losses.ranking_softmax_loss(
             a, b, where=items, weights=jnp.arange(1.0, 6.0), reduce_fn=None), scores, relevance)
  endless = scores.at[:, 0].set(-np.inf)
  _value(g, "safe_softmax", "label 0 where the logit is -inf",
         optax.losses.safe_softmax_cross_entropy, endless, jax.nn.one_hot(1 + labels % 4, 5))


def make():
  g = GoldenFile("contrib")
  _steps(g)
  _losses(g)
  return g
