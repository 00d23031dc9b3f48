"""Lifted transformations of linen: variables, outputs, gradients, collections that change, keys.

For most cases: variables = init({params: key(0), dropout: key(1), noise: key(2)}, *in), out and
updates of apply with the same dropout and noise keys and mutable = state, intermediates, batch_stats;
grad/params and grad/in of sum(out * normal(key(2), out.shape)) over the first result. second/params
and second/in are the gradients of the sum of all of those times normal(key(3), their shapes).
"""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import meta
from flax.typing import In, Out
from jax import random

from golden_file import GoldenFile

KEYS = {"params": 0, "dropout": 1, "noise": 2}
MUTABLE = ["state", "intermediates", "batch_stats"]


def normal(shape, seed=1):
  return random.normal(random.key(seed), shape)


def keys(*names):
  return {name: random.key(KEYS[name]) for name in names}


def first(out):
  return jax.tree.leaves(out)[0]


def _case(g, name, note, module, *inputs, grad=True, mutable=MUTABLE):
  init_out, variables = module.init_with_output(keys("params", "dropout", "noise"), *inputs)
  variables = dict(variables)
  variables.pop("intermediates", None)
  rngs = keys("dropout", "noise")
  out, updates = module.apply(variables, *inputs, rngs=rngs, mutable=mutable)
  parts = {"in": list(inputs), "variables": meta.unbox(variables), "init_out": init_out, "out": out,
           "updates": meta.unbox(updates)}
  if grad:
    def scalar(params, x):
      y, _ = module.apply({**variables, "params": params}, x, *inputs[1:], rngs=rngs,
                          mutable=mutable)
      return (first(y) * normal(first(y).shape, 2)).sum()

    def along(params, x):
      grads = meta.unbox(jax.grad(scalar, (0, 1))(params, x))
      return sum((d * normal(d.shape, 3)).sum() for d in jax.tree.leaves(grads))

    for part, f in (("grad", scalar), ("second", along)):
      params, x = jax.jit(jax.grad(f, (0, 1)))(variables.get("params", {}), inputs[0])
      parts[part] = {"params": meta.unbox(params), "in": x}
  g.case(name, note, **parts)


class Block(nn.Module):
  """Dense_0, tanh, Dropout_0 of rate r, a sown mean and, unless told not to, a count of calls."""

  features: int = 4
  rate: float = 0.5
  counts: bool = True

  @nn.compact
  def __call__(self, x):
    y = nn.tanh(nn.Dense(self.features)(x))
    y = nn.Dropout(self.rate, deterministic=False)(y)
    self.sow("intermediates", "mean", y.mean())
    if self.counts:
      exists = self.has_variable("state", "count")
      count = self.variable("state", "count", lambda: jnp.zeros(()))
      if exists:
        count.value = count.value + 1
    return y


class Draw(nn.Module):
  """Adds the words of two keys to nothing: the keys that a module gets."""

  @nn.compact
  def __call__(self, x):
    draw = lambda: random.key_data(self.make_rng("noise"))
    return jnp.stack([draw(), draw()]), x


def compact(f):
  """A module whose call is f(self, *args)."""

  class Outer(nn.Module):
    @nn.compact
    def __call__(self, *args):
      return f(self, *args)

  return Outer()


def _vmap(g):
  x = normal((3, 2, 5))
  stacked = {"params": 0, "state": 0, "intermediates": 0}
  split = {"params": True, "dropout": True}
  batched = nn.vmap(Block, variable_axes=stacked, split_rngs=split)
  _case(g, "vmap_split", "VmapBlock_0 of Block(4): all collections on axis 0, keys split; x (3, 2, 5)",
        compact(lambda m, x: batched()(x)), x)
  shared = nn.vmap(Block, variable_axes={"params": None, "state": None},
                   split_rngs={"params": False, "dropout": True})
  _case(g, "vmap_shared", "params and state shared, dropout split",
        compact(lambda m, x: shared()(x)), x)
  axes = nn.vmap(Block, variable_axes={"params": -1, "intermediates": 0}, in_axes=1, out_axes=-1,
                 split_rngs={"params": True, "dropout": False})
  _case(g, "vmap_axes", "params on axis -1, no count, x (2, 3, 5) on 1, result on -1",
        compact(lambda m, x: axes(counts=False, name="b")(x)), normal((2, 3, 5)))
  size = nn.vmap(nn.Dense, variable_axes={"params": 0}, split_rngs={"params": True}, in_axes=None,
                 axis_size=3)
  _case(g, "vmap_size", "Dense(4), x (2, 5) not mapped, axis_size 3",
        compact(lambda m, x: size(4)(x)), normal((2, 5)))
  twice = nn.vmap(nn.vmap(Block, variable_axes=stacked, split_rngs=split), variable_axes=stacked,
                  split_rngs=split)
  _case(g, "vmap_nested", "vmap of vmap of Block, x (2, 3, 5)",
        compact(lambda m, x: twice()(x)), normal((2, 3, 5)))

  def method(m, x):
    y = nn.Dense(4)(x)
    f = nn.vmap(lambda m, y: nn.Dense(3)(y), variable_axes={"params": None},
                split_rngs={"params": False})
    z = f(m, y)
    return nn.Dense(2)(z)

  _case(g, "vmap_method", "Dense(4), vmap of a function of self with a shared Dense(3), Dense(2)",
        compact(method), x)

  draw = nn.vmap(Draw, split_rngs={"noise": True})
  unsplit = nn.vmap(Draw, split_rngs={"noise": False})
  _case(g, "vmap_keys", "keys of the stream noise under vmap of size 3, split and not",
        compact(lambda m, x: (draw()(x), unsplit()(x))), x, grad=False)

  def pair(m, x):
    shared = nn.Dense(5, name="shared")

    class Uses(nn.Module):
      inner: nn.Module

      @nn.compact
      def __call__(self, x):
        return nn.Dense(5)(self.inner(x))

    f = nn.vmap(Uses, variable_axes={"params": 0}, split_rngs={"params": True})
    return f(shared, name="uses")(x)

  _case(g, "vmap_scopes", "vmap of {shared Dense(5) of the parent, own Dense(5)}: both stacked",
        compact(pair), x)

  only = nn.vmap(Block, variable_axes={"params": 0, "state": In(0), "intermediates": Out(0)},
                 split_rngs=split)
  _case(g, "vmap_in_out", "intermediates out only, no count; nothing is let in but params",
        compact(lambda m, x: only(counts=False)(x)), x)


def _named_axis(g):
  x = normal((3, 4, 5)) * 2 + 1
  norm = nn.vmap(nn.BatchNorm, variable_axes={"params": None, "batch_stats": None},
                 split_rngs={"params": False}, axis_name="batch")
  outer = compact(lambda m, x: norm(use_running_average=False, momentum=0.5, axis_name="batch",
                                    name="norm")(x))
  _case(g, "vmap_batch_norm", "BatchNorm(momentum 0.5) under vmap over axis 0 of (3, 4, 5), whose "
        "statistics are those of the whole batch", outer, x)


class Normed(nn.Module):
  """Dense_0, BatchNorm_0 of momentum 0.5, tanh."""

  @nn.compact
  def __call__(self, x):
    return nn.tanh(nn.BatchNorm(use_running_average=False, momentum=0.5)(nn.Dense(4)(x)))


def _batch_stats(g):
  x = normal((6, 4))
  stacked = {"params": 0, "batch_stats": 0}
  remat = nn.remat(Normed)
  _case(g, "batch_stats_remat", "CheckpointNormed_0", compact(lambda m, x: remat()(x)), x)

  class Layer(nn.Module):
    @nn.compact
    def __call__(self, x, _):
      return remat()(x), None

  layers = nn.scan(Layer, variable_axes=stacked, split_rngs={"params": True}, length=3)
  _case(g, "batch_stats_scan", "ScanLayer_0: three times remat of Normed, all on axis 0",
        compact(lambda m, x: layers()(x, None)[0]), x)
  _case(g, "batch_stats_remat_scan", "Remat_scanNormed_0 of lengths (2, 2)",
        compact(lambda m, x: nn.remat_scan(Normed, lengths=(2, 2))()(x)), x)

  class Step(nn.Module):
    @nn.compact
    def __call__(self, h, x):
      h = Normed(name="normed")(h + x)
      return h, h.mean()

  class Carried(nn.Module):
    @nn.compact
    def __call__(self, x, xs):
      if self.is_initializing():
        start = {"mean": jnp.zeros(4), "var": jnp.ones(4)}
        self.put_variable("batch_stats", "cell", {"normed": {"BatchNorm_0": start}})
      cell = nn.scan(Step, variable_broadcast="params", variable_carry="batch_stats",
                     split_rngs={"params": False})
      return cell(name="cell")(x, xs)

  _case(g, "batch_stats_carried", "one Normed for three steps, whose statistics are carried; xs "
        "(3, 6, 4)", Carried(), x, normal((3, 6, 4)))


class NoisyCell(nn.RNNCellBase):
  """h' = tanh(i(x) + h(h)) with dropout, a sown mean and a count of steps."""

  features: int = 4

  @nn.compact
  def __call__(self, h, x):
    y = nn.tanh(nn.Dense(self.features, name="i")(x) +
                nn.Dense(self.features, use_bias=False, name="h")(h))
    y = nn.Dropout(0.5, deterministic=False)(y)
    self.sow("intermediates", "mean", y.mean())
    count = self.variable("state", "count", lambda: jnp.zeros(()))
    count.value = count.value + 1
    return y, y

  def initialize_carry(self, rng, input_shape):
    return jnp.zeros(input_shape[:-1] + (self.features,))

  @property
  def num_feature_axes(self):
    return 1


def _rnn(g):
  rnn = nn.RNN(NoisyCell(), variable_axes={"state": 0, "intermediates": 0},
               split_rngs={"params": False, "dropout": True})
  _case(g, "rnn_variables", "RNN of a cell with dropout, whose state and intermediates are stacked; "
        "x (2, 3, 5)", rnn, normal((2, 3, 5)))


def _gradients(g):
  x = normal((2, 5))
  remat = nn.remat(Block)
  _case(g, "remat", "CheckpointBlock_0", compact(lambda m, x: remat()(x)), x)

  def method(m, x):
    def body(m, y):
      h = nn.tanh(nn.Dense(4)(y))
      return nn.Dense(3)(h)

    y = nn.remat(body)(m, x)
    return nn.Dense(2)(y)

  _case(g, "remat_method", "remat of a function of self with Dense(4), Dense(3); then Dense(2)",
        compact(method), x)

  def vjp(m, x):
    y, bwd = nn.vjp(lambda m, x: Block()(x), m, x)
    variables, dx = bwd(jnp.ones_like(y))
    return y, variables, dx

  _case(g, "vjp", "(y, cotangents of params and of x) of Block_0 for ones", compact(vjp), x,
        grad=False)

  def value_and_grad(m, x, z):
    def f(m, x, z):
      return (Block(rate=0.5)(x) * z).sum(), x.sum()

    (y, aux), (dx, dz) = nn.value_and_grad(f, m, x, z, has_aux=True)
    return y, aux, dx, dz, nn.grad(lambda m, x: Block(rate=0.0)(x).sum(), m, x)

  _case(g, "value_and_grad", "value, auxiliary, gradients of sum(Block_0(x) * z); then grad of "
        "sum(Block_1(x)) with rate 0", compact(value_and_grad), x, normal((2, 4), 3), grad=False)

  def grad_twice(m, x):
    def slope(m, x):
      dx, = nn.grad(lambda m, x: jnp.sin(nn.Dense(4)(x)).sum(), m, x)
      return (dx * dx).sum()

    return nn.grad(slope, m, x)

  _case(g, "grad_twice", "grad of the squared norm of grad of sum(sin(Dense_0(x)))",
        compact(grad_twice), x)

  def jvp(m, x):
    f = lambda m, x: nn.tanh(nn.Dense(4)(x))
    if m.is_initializing():
      return f(m, x)
    tangents = {"params": jax.tree.map(jnp.ones_like, m.variables["params"]), "empty": {}}
    return nn.jvp(f, m, (x,), (jnp.ones_like(x),), tangents)

  _case(g, "jvp", "value and tangent of tanh(Dense_0(x)), all tangents one", compact(jvp), x,
        grad=False)

  def custom(m, x):
    f = lambda m, x: nn.Dense(4)(x)

    def fwd(m, x):
      y, pullback = nn.vjp(f, m, x)
      return y, pullback

    def bwd(pullback, ct):
      params, dx = pullback(ct)
      return jax.tree.map(jnp.sign, params), dx * 2

    return nn.custom_vjp(f, fwd, bwd)(m, x)

  _case(g, "custom_vjp", "Dense_0 whose gradient of params is its sign and of x twice",
        compact(custom), x)

  def twice(cls):
    def f(m, x):
      y = cls()(x)
      return cls()(y)

    return compact(f)

  _case(g, "jit", "JitBlock_0, then JitBlock_1 with the same settings", twice(nn.jit(Block)), x)
  _case(g, "fold_rngs", "Fold_rngsBlock_0, then Fold_rngsBlock_1", twice(nn.fold_rngs(Block)), x)


def _views(g):
  x = normal((2, 5))

  class Transposed(nn.Module):
    @nn.compact
    def __call__(self, x):
      t = lambda variables: jax.tree.map(lambda p: p.T, variables)
      dense = nn.Dense(5, use_bias=False, name="tied")
      y = nn.tanh(dense(x))

      def again(m, y):
        return m(y)

      return nn.map_variables(again, "params", trans_in_fn=t)(dense, y)

  _case(g, "map_tied", "tanh(x W) W' with W of (5, 5): the second use sees the transpose",
        Transposed(), x)
  sign = lambda variables: jax.tree.map(jnp.sign, variables)
  bits = lambda init: nn.map_variables(nn.Dense, "params", trans_in_fn=sign, init=init)
  _case(g, "map_init", "Map_variablesDense_0 of Dense(4): computes with the signs of its parameters",
        compact(lambda m, x: bits(m.is_initializing())(4)(x)), x)
  twice = lambda variables: jax.tree.map(lambda p: 2 * p, variables)
  half = lambda variables: jax.tree.map(lambda p: p / 2, variables)
  state = nn.map_variables(Block, "state", trans_in_fn=half, trans_out_fn=twice, mutable=True)
  _case(g, "map_mutable", "state seen halved and kept doubled", compact(lambda m, x: state()(x)), x)


def _scan(g):
  x = normal((2, 4))
  xs = normal((3, 2, 4))
  stacked = {"params": 0, "state": 0, "intermediates": 0}
  split = {"params": True, "dropout": True}

  class Layer(nn.Module):
    @nn.compact
    def __call__(self, x, _):
      return Block()(x), x.sum()

  layers = nn.scan(Layer, variable_axes=stacked, split_rngs=split, length=3)
  _case(g, "scan_layers", "ScanLayer_0: three Block(4), collections on axis 0, keys split",
        compact(lambda m, x: layers()(x, None)), x)
  checkpointed = nn.scan(nn.remat(Layer), variable_axes=stacked, split_rngs=split, length=3)
  _case(g, "scan_remat", "the same with remat of the layer",
        compact(lambda m, x: checkpointed()(x, None)), x)

  class Cell(nn.Module):
    @nn.compact
    def __call__(self, h, x, scale):
      h = nn.tanh(nn.Dense(4)(h) + nn.Dense(4, use_bias=False)(x) * scale)
      h = nn.Dropout(0.5, deterministic=False)(h)
      count = self.variable("state", "count", lambda: jnp.zeros(()))
      count.value = count.value + 1
      return h, (h, h.mean())

  def rnn(**options):
    cell = nn.scan(Cell, variable_broadcast="params", in_axes=(0, nn.broadcast),
                   **{"split_rngs": {"params": False, "dropout": True},
                      "variable_axes": {"state": 0}, **options})
    return compact(lambda m, x, xs: cell()(x, xs, 0.5))

  _case(g, "scan_rnn", "ScanCell_0: shared params, dropout split, state stacked; carry (2, 4), xs "
        "(3, 2, 4), scale 0.5 broadcast", rnn(), x, xs)
  _case(g, "scan_reverse", "the same in reverse, unroll 2, dropout shared",
        rnn(reverse=True, unroll=2, split_rngs={"params": False, "dropout": False}), x, xs)

  class Carried(nn.Module):
    @nn.compact
    def __call__(self, x, xs):
      cell = nn.scan(Cell, variable_broadcast="params", variable_carry="state",
                     in_axes=(1, nn.broadcast), out_axes=(-1, 0),
                     split_rngs={"params": False, "dropout": True})
      self.put_variable("state", "cell", {"count": jnp.zeros(())}) if self.is_initializing() else 0
      return cell(name="cell")(x, xs, 0.5)

  _case(g, "scan_carry", "state carried; xs (2, 3, 4) cut along 1, stacked along -1 and 0",
        Carried(), x, normal((2, 3, 4)))

  class Axes(nn.Module):
    @nn.compact
    def __call__(self, h, x):
      w = self.param("w", nn.initializers.normal(), (4, 4))
      limit = self.variable("state", "limit", lambda: jnp.float32(2.0))
      return nn.tanh(h @ w + x), (h, limit.value * 3)

  axes = nn.scan(Axes, variable_axes={"params": -1}, variable_broadcast="state", in_axes=-1,
                 out_axes=(1, nn.broadcast), split_rngs={"params": True})
  _case(g, "scan_axes", "params on axis -1, xs (2, 4, 3) on -1, results on 1 and broadcast",
        compact(lambda m, x, xs: axes()(x, xs)), x, normal((2, 4, 3)))

  once = nn.scan(Layer, variable_axes=stacked, split_rngs=split, length=3,
                 check_constancy_invariants=False)
  _case(g, "scan_once", "scan_layers with check_constancy_invariants=False",
        compact(lambda m, x: once()(x, None)), x)

  class Nested(nn.Module):
    @nn.compact
    def __call__(self, x, _):
      inner = nn.scan(Layer, variable_axes=stacked, split_rngs=split, length=2)
      return inner()(x, None)

  nested = nn.scan(Nested, variable_axes=stacked, split_rngs=split, length=3)
  _case(g, "scan_nested", "three times ScanLayer_0 of length 2",
        compact(lambda m, x: nested()(x, None)), x)
  both = nn.vmap(layers, variable_axes=stacked, split_rngs=split, in_axes=(0, None))
  _case(g, "scan_vmap", "vmap of size 2 of scan_layers; x (2, 2, 4)",
        compact(lambda m, x: both()(x, None)), normal((2, 2, 4)))

  def method(m, x):
    y = nn.Dense(4)(x)

    def body(m, c, _):
      return nn.tanh(nn.Dense(4)(c)), None

    y, _ = nn.scan(body, variable_broadcast="params", split_rngs={"params": False}, length=3)(
        m, y, None)
    return nn.Dense(2)(y)

  _case(g, "scan_method", "Dense_0, scan of a function of self with Dense_1, Dense_2",
        compact(method), x)

  class Step(nn.Module):
    @nn.compact
    def __call__(self, c, _):
      return c, Draw()(c)[0]

  step = lambda split, **options: nn.scan(Step, split_rngs={"noise": split}, length=3, **options)
  _case(g, "scan_keys", "keys of the stream noise in a scan of length 3, split and not",
        compact(lambda m, x: (step(True)()(x, None)[1], step(False)()(x, None)[1])), x, grad=False)
  _case(g, "remat_scan", "Remat_scanBlock_0 of lengths (2, 3)",
        compact(lambda m, x: nn.remat_scan(Block, lengths=(2, 3))()(x)), x)


def _branches(g):
  x = normal((2, 4))

  class Loop(nn.Module):
    @nn.compact
    def __call__(self, x):
      def condition(m, c):
        return m.get_variable("state", "steps") < 3

      def body(m, c):
        steps = m.variable("state", "steps", lambda: jnp.zeros((), jnp.int32))
        steps.value = steps.value + 1
        return nn.tanh(nn.Dense(4)(c))

      if self.is_initializing():
        return body(self, x)
      return nn.while_loop(condition, body, self, x, carry_variables="state")

  _case(g, "while_loop", "tanh(Dense_0) until state/steps, 1 after init, is 3", Loop(), x,
        grad=False)

  def loop_keys(m, x):
    def condition(m, c):
      i, _, words = c
      return i < 3

    def body(m, c):
      i, words, at = c
      key = random.key_data(m.make_rng("noise"))
      return i + 1, words.at[i].set(key), at

    words = jnp.zeros((3, 2), jnp.uint32)
    return nn.while_loop(condition, body, m, (0, words, x), split_rngs={"noise": True})[1]

  _case(g, "while_keys", "keys of the stream noise in the body of three turns, split",
        compact(loop_keys), x, grad=False)

  def condition_keys(m, x):
    def condition(m, c):
      i, words = c
      key = random.key_data(m.make_rng("noise"))
      return (i < 2) & (key[0] != 0)

    def body(m, c):
      i, words = c
      return i + 1, words.at[i].set(random.key_data(m.make_rng("noise")))

    words = jnp.zeros((2, 2), jnp.uint32)
    return nn.while_loop(condition, body, m, (0, words), split_rngs={"noise": True})[1]

  _case(g, "while_condition_keys", "the same where the condition draws a key, two turns",
        compact(condition_keys), x, grad=False)

  def cond(m, x):
    m.variable("state", "true", lambda: 0.0)
    m.variable("state", "false", lambda: 0.0)

    def on_true(m, x):
      count = m.variable("state", "true")
      count.value = count.value + 1
      return nn.Dense(3)(x)

    def on_false(m, x):
      count = m.variable("state", "false")
      count.value = count.value + 1
      return -nn.Dense(3)(x)

    a = nn.cond(x.sum() > 0, on_true, on_false, m, x)
    b = nn.cond(x.sum() < 0, on_true, on_false, m, x)
    return a + 2 * b

  _case(g, "cond", "a + 2 b of two branches on Dense_0, Dense_1 and counts", compact(cond), x)

  class Heads(nn.Module):
    def setup(self):
      self.heads = [nn.Sequential([nn.Dense(n), nn.Dense(3)]) for n in (10, 11, 12)]

    @nn.compact
    def __call__(self, x, index):
      def branch(i):
        return lambda m, x: m.heads[i](x)

      branches = [branch(i) for i in range(3)]
      if self.is_initializing():
        for b in branches:
          b(self, x)
      return nn.switch(index, branches, self, x)

  for index in (1, 7):
    _case(g, f"switch_{index}", f"head {index} of three (clamped), each Dense, Dense; heads_0, 1, 2",
          Heads(), x, jnp.int32(index))

  def switch_keys(m, x):
    draw = lambda m, x: random.key_data(m.make_rng("noise"))
    return jnp.stack([nn.switch(i, [draw, draw, draw], m, x) for i in range(3)])

  _case(g, "switch_keys", "keys of the stream noise of branch i of three, i = 0, 1, 2",
        compact(switch_keys), x, grad=False)


def make():
  g = GoldenFile("linen_transforms")
  _vmap(g)
  _named_axis(g)
  _batch_stats(g)
  _rnn(g)
  _gradients(g)
  _views(g)
  _scan(g)
  _branches(g)
  return g
