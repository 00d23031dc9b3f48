"""Random trees of layers that change from one API to the other at random places. The structure follows
from a seed alone, through the same numbers as in tests/bridge/random_trees.h (Mersenne Twister, 32
bits a draw), so that only results are stored.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx
from flax.nnx import bridge
from jax import random

from golden_file import GoldenFile
from model_golden import leaves
from model_golden import put_rows
from model_golden import put_tree

SEEDS = 30
RATE = 0.25
UNIT = 4  # all widths are multiples of it: norms of two numbers are badly conditioned
DENSE, LAYER_NORM, BATCH_NORM, DROPOUT, TREE = range(5)


class Draws:
  """std::mt19937(seed)."""

  def __init__(self, seed):
    self.state = np.random.RandomState(seed)

  def below(self, n):
    return int(self.state.randint(0, 2**32, dtype=np.uint32)) % n


@dataclasses.dataclass(eq=False)
class Spec:
  kind: int
  inputs: int
  out: int
  other_api: bool
  residual: bool = False
  children: tuple = ()


def random_tree(draws, width, depth, has_dense=False):
  other_api = draws.below(2) == 1
  children, now = [], width
  for i in range(2 + draws.below(3)):
    dense = has_dense and i == 0
    if depth > 0 and not dense and draws.below(3) == 0:
      children.append(random_tree(draws, now, depth - 1))
    else:
      kind = DENSE if dense else draws.below(4)
      out = UNIT * (2 + draws.below(4)) if kind == DENSE else now
      children.append(Spec(kind, now, out, draws.below(3) == 0))
    now = children[-1].out
  residual = now == width and draws.below(2) == 1
  return Spec(TREE, width, now, other_api, residual, tuple(children))


class FunctionalTree(nn.Module):
  spec: Spec

  @nn.compact
  def __call__(self, x, train):
    h = x
    for i, node in enumerate(self.spec.children):
      h = functional_child(f"c{i}", node, h, train)
    return x + h if self.spec.residual else h


def functional_child(name, node, x, train):
  if node.other_api:
    if node.kind == DENSE:
      return bridge.to_linen(nnx.Linear, node.inputs, node.out, name=name)(x)
    if node.kind == LAYER_NORM:
      return bridge.to_linen(nnx.LayerNorm, node.inputs, name=name)(x)
    if node.kind == BATCH_NORM:
      layer = bridge.to_linen(nnx.BatchNorm, node.inputs, momentum=0.9, name=name)
      return layer(x, use_running_average=not train)
    if node.kind == DROPOUT:
      return bridge.to_linen(nnx.Dropout, RATE, name=name)(x, deterministic=not train)
    return bridge.to_linen(ObjectTree, node, name=name)(x, train)
  if node.kind == DENSE:
    return nn.Dense(node.out, name=name)(x)
  if node.kind == LAYER_NORM:
    return nn.LayerNorm(name=name)(x)
  if node.kind == BATCH_NORM:
    return nn.BatchNorm(momentum=0.9, name=name)(x, use_running_average=not train)
  if node.kind == DROPOUT:
    return nn.Dropout(RATE, name=name)(x, deterministic=not train)
  return FunctionalTree(node, name=name)(x, train)


class ObjectTree(nnx.Module):

  def __init__(self, spec, rngs):
    self.spec = nnx.static(spec) if hasattr(nnx, "static") else spec
    for i, node in enumerate(spec.children):
      setattr(self, f"c{i}", object_child(node, rngs))

  def __call__(self, x, train):
    h = x
    for i, node in enumerate(self.spec.children):
      h = call_child(getattr(self, f"c{i}"), node, h, train)
    return x + h if self.spec.residual else h


def object_child(node, rngs):
  if node.kind == DENSE:
    return nnx.Linear(node.inputs, node.out, rngs=rngs)
  if node.kind == LAYER_NORM:
    return nnx.LayerNorm(node.inputs, rngs=rngs)
  if node.kind == BATCH_NORM:
    return nnx.BatchNorm(node.inputs, momentum=0.9, rngs=rngs)
  if node.kind == DROPOUT:
    return nnx.Dropout(RATE, rngs=rngs)
  if node.other_api:
    # at once: within a functional init nobody else would do it
    return bridge.ToNNX(FunctionalTree(node), rngs=rngs).lazy_init(
        jnp.zeros((1, node.inputs)), False)
  return ObjectTree(node, rngs)


def call_child(layer, node, x, train):
  if node.kind == BATCH_NORM:
    return layer(x, use_running_average=not train)
  if node.kind == DROPOUT:
    return layer(x, deterministic=not train)
  if node.kind == TREE and node.other_api:
    return layer(x, train, mutable=["batch_stats"] if train else False)
  return layer(x, train) if node.kind == TREE else layer(x)


def _x():
  return random.normal(random.key(11), (16, 3 * UNIT))


def _functional(spec, seed):
  """Variables, gradients, changed collections, outputs in evaluation and training."""
  keys = {"params": random.key(seed), "dropout": random.key(seed + 100)}
  model = FunctionalTree(spec)
  variables = model.init(keys, _x(), False)
  rest = {k: v for k, v in variables.items() if k != "params"}
  mutable = [k for k in rest if k != "nnx"]

  def loss(params):
    out, updates = model.apply({"params": params, **rest}, _x(), True, mutable=mutable,
                               rngs={"dropout": keys["dropout"]})
    return jnp.mean(out ** 2), (out, updates)

  grads, (out, updates) = jax.grad(loss, has_aux=True)(variables["params"])
  # wrapped objects are constructed again, with streams of the call
  evaluated = model.apply(variables, _x(), False, rngs={"dropout": keys["dropout"]})
  return variables, grads, updates, {"evaluated": evaluated, "trained": out}


def _object(spec, seed):
  model = ObjectTree(spec, nnx.Rngs(params=seed, dropout=seed + 100))
  bridge.lazy_init(model, _x(), False)
  initial = jax.tree.map(lambda a: a, nnx.state(model))
  evaluated = nnx.clone(model)(_x(), False)

  def loss(m):
    out = m(_x(), True)
    return jnp.mean(out ** 2), out

  grads, out = nnx.grad(loss, has_aux=True)(model)
  return initial, grads, nnx.state(model, nnx.Not(nnx.Param)), {"evaluated": evaluated, "trained": out}


def make():
  golden = GoldenFile("random_models")
  golden.notes["0"] = ("for each of 30 seeds: initial variables, gradients of mean(out ** 2) in "
                       "training, what training changed, outputs in evaluation and in training")
  for seed in range(SEEDS):
    spec = random_tree(Draws(seed), 3 * UNIT, 2, True)
    for kind, run in (("linen", _functional), ("nnx", _object)):
      case = f"{seed}/{kind}"
      with nnx.use_eager_sharding(False):
        initial, grads, updates, out = run(spec, seed)
      put_tree(golden, f"{case}/initial", initial)
      put_rows(golden, f"{case}/gradients", grads)
      if leaves(updates):
        put_rows(golden, f"{case}/updates", updates)
      put_rows(golden, f"{case}/outputs", out)
  return golden
