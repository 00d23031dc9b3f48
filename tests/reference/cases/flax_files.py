"""Checkpoints as Flax users have them: MessagePack and safetensors files of a model that mixes both
APIs, once functional and once an object, and what the model computes with them."""

import os

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx
from flax import serialization
from flax.traverse_util import flatten_dict
from flax.traverse_util import unflatten_dict

from golden_file import GoldenFile


class Functional(nn.Module):
  @nn.compact
  def __call__(self, x):
    x = nn.Dense(4, name="dense")(x)
    x = nn.BatchNorm(use_running_average=True, name="norm")(x)
    x = nnx.bridge.to_linen(nnx.Linear, 4, 3, name="inner")(jnp.tanh(x))
    return nn.Dense(2, name="out")(x)


class Object(nnx.Module):
  def __init__(self, rngs):
    self.dense = nnx.bridge.ToNNX(nn.Dense(4), rngs=rngs)
    self.norm = nnx.BatchNorm(4, use_running_average=True, rngs=rngs)
    self.inner = nnx.Linear(4, 3, rngs=rngs)
    self.out = nnx.Linear(3, 2, rngs=rngs)

  def __call__(self, x):
    return self.out(self.inner(jnp.tanh(self.norm(self.dense(x)))))


def _trained(tree, seed):
  """Values that no initialiser gives, variances positive."""
  leaves = flatten_dict(tree)
  keys = jax.random.split(jax.random.key(seed), len(leaves))
  fresh = {path: jnp.abs(v) + 0.5 if path[-1] == "var" else v
           for (path, old), key in zip(leaves.items(), keys)
           for v in [jax.random.normal(key, old.shape)]}
  return unflatten_dict(fresh)


def _save_flat(name, note, tree):
  g = GoldenFile(name)
  g.case("weights", note)
  for path, value in flatten_dict(tree, sep="/").items():
    g.put(path, value)
  return g


class _Bytes:
  """A file that is written as it is."""

  def __init__(self, name, data):
    self.name, self.data = name, data

  def save(self, directory):
    path = os.path.join(directory, self.name)
    with open(path, "wb") as f:
      f.write(self.data)
    return path


def make_all():
  x = jax.random.normal(jax.random.key(9), (3, 5))
  functional = Functional()
  variables = functional.init(jax.random.key(0), x)
  variables = _trained({k: variables[k] for k in ("params", "batch_stats")}, 1)

  model = Object(nnx.Rngs(0))
  model.dense.lazy_init(x[:, :5])
  state = nnx.state(model, nnx.Not(nnx.RngState))
  pure = _trained(nnx.to_pure_dict(state), 2)
  nnx.replace_by_pure_dict(state, pure)
  nnx.update(model, state)

  g = GoldenFile("flax_files")
  g.case("mixed", "a functional model with an object layer, variables in flax_linen.*; an object "
         "with a functional layer, state in flax_nnx.*", x=x,
         linen=functional.apply(variables, x), nnx=model(x))
  return {
      "flax_files": g,
      "flax_linen": _save_flat("flax_linen", "flatten_dict(variables, sep='/')", variables),
      "flax_nnx": _save_flat("flax_nnx", "flatten_dict(to_pure_dict(state), sep='/')", pure),
      "flax_linen_msgpack": _Bytes("flax_linen.msgpack", serialization.to_bytes(variables)),
      "flax_nnx_msgpack": _Bytes("flax_nnx.msgpack", serialization.to_bytes(pure)),
  }
