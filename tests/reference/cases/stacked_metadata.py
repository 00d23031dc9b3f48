"""Parameters that transformations of modules stack: paths, shapes, names of axes, values.

Trees are text and rows of seven numbers (model_golden.py). <kind>/<axis> has the tree `made` from
key(0) (nnx: Rngs(0)) with parameters along that axis and other variables along axis 0, and the tree
`after` a call. Flax puts names at negative positions one place before that of the array (except for
the first place) and fails to take them away again; what is stored is under the position from the
front that means the same, so negative axes are to give the tree of that.
"""

import jax.numpy as jnp
from flax import linen as nn
from flax import nnx
from jax import random

from golden_file import GoldenFile
from model_golden import put_tree

NAMES = {nn.PARTITION_NAME: "layers"}
INIT = nn.initializers.lecun_normal()
COUNT, WIDTH = 4, 3


class Layer(nn.Module):
  """Parameters in boxes of both kinds and in none, and a count in a box."""

  @nn.compact
  def __call__(self, x, _=None):
    kernel = self.param("kernel", nn.with_partitioning(INIT, ("in", "out")), (WIDTH, WIDTH))
    scale = self.param("scale", nn.with_logical_partitioning(nn.initializers.ones, (None, "mlp")),
                       (1, WIDTH))
    bare = self.param("bare", INIT, (WIDTH, WIDTH))
    seen = self.variable("stats", "seen", nn.with_partitioning(lambda: jnp.zeros((WIDTH,)), ("in",)))
    if not self.is_initializing():
      seen.value = seen.value + 1
    return jnp.tanh(x @ kernel * scale) @ bare, None


def _record(g, name, note, module, *inputs):
  g.notes[name] = note
  variables = module.init(random.key(0), *inputs)
  put_tree(g, f"{name}/made", variables)
  (y, _), updates = module.apply(variables, *inputs, mutable=True)
  put_tree(g, f"{name}/after", updates)
  g.put(f"{name}/out", y)


def _linen(g):
  x = random.normal(random.key(1), (2, WIDTH))
  split = {"params": True}

  def batch(target, axis, name="layers", size=COUNT):
    return nn.vmap(target, variable_axes={"params": axis, "stats": 0}, split_rngs=split,
                   in_axes=None, axis_size=size, metadata_params={nn.PARTITION_NAME: name})

  def layers(target, axis, name="layers"):
    return nn.scan(target, variable_axes={"params": axis, "stats": 0}, split_rngs=split,
                   length=COUNT, metadata_params={nn.PARTITION_NAME: name})

  for axis in (0, 1, 2):
    _record(g, f"vmap/{axis}", f"vmap of size {COUNT}, parameters along {axis}",
            batch(Layer, axis)(), x)
    _record(g, f"scan/{axis}", f"scan of length {COUNT}, parameters along {axis}",
            layers(Layer, axis)(), x, None)
    added = nn.add_metadata_axis(Layer, variable_axes={"params": axis}, metadata_params=NAMES)
    _record(g, f"add_metadata_axis/{axis}", f"names without an axis, at {axis}", added(), x)
  shared = nn.scan(Layer, variable_broadcast="params", variable_carry="stats", length=COUNT,
                   split_rngs={"params": False}, metadata_params=NAMES)
  g.notes["scan/shared"] = "parameters broadcast, count carried, by apply of plain variables"
  variables = Layer().init(random.key(0), x)
  (y, _), updates = shared().apply(variables, x, None, mutable=True)
  put_tree(g, "scan/shared/after", updates)
  g.put("scan/shared/out", y)

  class Block(nn.Module):
    @nn.compact
    def __call__(self, x, _=None):
      return batch(Layer, 1, "heads", 2)(name="heads")(x)[0].sum(0), None

  _record(g, "scan_of_vmap", "scan along 0 (layers) of vmap of size 2 along 1 (heads)",
          layers(Block, 0)(), x, None)
  _record(g, "scan_of_remat", "scan along 1 of remat", layers(nn.remat(Layer), 1)(), x, None)


class Annotated(nnx.Module):
  """The same as an object; a second annotation follows the axes too."""

  def __init__(self, rngs):
    options = {"eager_sharding": False}
    self.kernel = nnx.Param(rngs.params.normal((WIDTH, WIDTH)), out_sharding=("in", "out"),
                            nickname=("a", "b"), **options)
    self.scale = nnx.Param(jnp.ones((1, WIDTH)), out_sharding=(None, "mlp"), **options)
    self.bare = nnx.Param(rngs.params.normal((WIDTH, WIDTH)), tag="plain")
    self.seen = nnx.BatchStat(jnp.zeros(WIDTH), out_sharding=("in",), **options)

  def __call__(self, x):
    self.seen[...] += 1
    return jnp.tanh(x @ self.kernel * self.scale) @ self.bare


def _nnx(g):
  x = random.normal(random.key(1), (2, WIDTH))
  names = {nnx.PARTITION_NAME: "layers", "nickname": "nick"}
  variables = lambda m: nnx.state(m, (nnx.Param, nnx.BatchStat))
  for axis in (0, 1, 2):
    axes = nnx.StateAxes({nnx.Param: axis, ...: 0})
    make = nnx.split_rngs(splits=COUNT)(nnx.vmap(
        Annotated, in_axes=0, out_axes=axes, transform_metadata=names))
    model = make(nnx.Rngs(0))
    g.notes[f"nnx/{axis}"] = (f"{COUNT} objects by vmap, parameters along {axis}; called by vmap, then "
                              "one after the other by scan")
    put_tree(g, f"nnx/{axis}/made", variables(model))
    calls = []

    def call(m, x):
      # One element has the names that one object has.
      assert m.kernel.out_sharding == ("in", "out") and m.kernel.nickname == ("a", "b")
      assert m.scale.out_sharding == (None, "mlp") and m.seen.out_sharding == ("in",)
      calls.append(axis)
      return m(x)

    g.put(f"nnx/{axis}/mapped", nnx.vmap(call, in_axes=(axes, None), transform_metadata=names)(model, x))
    put_tree(g, f"nnx/{axis}/after_vmap", variables(model))
    out = nnx.scan(lambda x, m: call(m, x), in_axes=(nnx.Carry, axes), out_axes=nnx.Carry, transform_metadata=names)(
        x, model)
    g.put(f"nnx/{axis}/scanned", out)
    put_tree(g, f"nnx/{axis}/after_scan", variables(model))
    assert len(calls) >= 2


def make():
  g = GoldenFile("stacked_metadata")
  _linen(g)
  _nnx(g)
  return g
