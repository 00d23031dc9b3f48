"""Stateful modules with functional init and apply: nnx.bridge.Module, its compact style and its submodules."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx
from flax.nnx import bridge
from jax import random

from golden_file import GoldenFile


def normal(shape, seed=1):
  return random.normal(random.key(seed), shape)


class Dense(bridge.Module):
  """Makes its parameters when it is called."""

  features: int

  @bridge.compact
  def __call__(self, x):
    w = self.param("w", nn.initializers.lecun_normal(), (x.shape[-1], self.features))
    b = self.param("b", nn.initializers.normal(0.1), (self.features,))
    return x @ w[...] + b[...]


class Compact(bridge.Module):
  """Automatic and given names; one submodule under two names."""

  hidden: int

  @bridge.compact
  def __call__(self, x):
    first = Dense(self.hidden)
    self.alias = first
    x = Dense(3, name="named")(first(x))
    scale = self.param("scale", lambda key: random.normal(key, ()))
    return Dense(2)(x) * scale[...]


class Streams(bridge.Module):
  """The keys of streams that exist and of one that does not."""

  @bridge.compact
  def __call__(self, x):
    Dense(2)(x)
    return {"params": self.make_rng("params"), "dropout": self.make_rng("dropout"),
            "default": self.make_rng(), "again": self.make_rng("dropout")}


class Leaf(bridge.Module):
  """A parameter made in setup."""

  def setup(self):
    self.w = self.param("w", lambda key: random.normal(key, (2,)))

  def __call__(self, x):
    return x * self.w[...]


class Parent(bridge.Module):
  """A child that is a field, one that setup makes, and a list of them."""

  child: Leaf

  def setup(self):
    self.before = self.param("before", lambda key: random.normal(key, (2,)))
    self.made = Leaf()
    self.layers = [Leaf(name="layer_0"), Leaf()]
    self.after = self.param("after", lambda key: random.normal(key, (2,)))

  def __call__(self, x):
    x = self.made(self.child(x)) + self.before[...] * self.after[...]
    return self.layers[1](self.layers[0](x))


class Counter(bridge.Module):
  """A variable beside a parameter."""

  @bridge.compact
  def __call__(self, x):
    count = self.variable("counter", "count", lambda: jnp.zeros((), jnp.int32))
    count[...] += 1
    bias = self.param("bias", nn.initializers.normal(), (2,))
    return x + bias[...] * count[...]


class Layer(nnx.Module):
  """A plain stateful layer with dropout that counts its calls."""

  def __init__(self, dim, rate, rngs):
    self.linear = nnx.Linear(dim, dim, use_bias=False, rngs=rngs)
    self.dropout = nnx.Dropout(rate, rngs=rngs)
    self.count = nnx.Intermediate(jnp.array([0.0]))

  def __call__(self, x):
    if not bridge.current_module().is_initializing():
      self.count[...] = self.count[...] + 1
    return self.dropout(self.linear(x))


class CompactLayers(bridge.Module):
  """Two plain stateful layers in compact style."""

  @bridge.compact
  def __call__(self, x):
    x = bridge.nnx_in_bridge_mdl(lambda rngs: Layer(4, 0.5, rngs))(x)
    return bridge.nnx_in_bridge_mdl(lambda rngs: Layer(4, 0.5, rngs), name="second")(x)


class SetupLayers(bridge.Module):
  """The same made in setup."""

  def setup(self):
    self.first = bridge.nnx_in_bridge_mdl(lambda rngs: Layer(4, 0.5, rngs))
    self.second = bridge.nnx_in_bridge_mdl(lambda rngs: Layer(4, 0.5, rngs))

  def __call__(self, x):
    return self.second(self.first(x))


class FunctionalLayer(nn.Module):
  """A functional layer with dropout that sows."""

  @nn.compact
  def __call__(self, x):
    self.sow("intermediates", "seen", x.sum())
    x = nn.Dense(3, name="linear")(x)
    return nn.Dropout(0.5, deterministic=False)(x)


class CompactFunctional(bridge.Module):
  """Two functional layers in compact style."""

  @bridge.compact
  def __call__(self, x):
    x = bridge.linen_in_bridge_mdl(FunctionalLayer())(x)
    return bridge.linen_in_bridge_mdl(FunctionalLayer(), name="second")(x)


class Holder(bridge.Module):
  """Refers to a module that its parent has too."""

  dense: Leaf

  def __call__(self, x):
    return self.dense(x)


class SharedModules(bridge.Module):
  """One module under three paths."""

  first: int

  def setup(self):
    self.zzz = Leaf()
    self.aaa = Holder(self.zzz)
    self.dense = self.zzz
    if self.first:
      self.set_attr_priority("zzz", bridge.AttrPriority.HIGH)

  def __call__(self, x):
    return self.aaa(x) + self.dense(x)


class Annotated(bridge.Module):
  """An annotated parameter beside a plain one."""

  @bridge.compact
  def __call__(self, x):
    w = self.param("w", bridge.with_partitioning(nn.initializers.lecun_normal(), ("in", "out")),
                   (2, 6))
    return x @ w[...] + self.param("b", nn.initializers.ones_init(), (6,))[...]


def _functions(g):
  x = normal((2, 3))
  out, variables = Dense(4).init_with_output(0, x)
  grads = jax.grad(lambda p: (Dense(4).apply({"params": p}, x) ** 2).mean())(variables["params"])
  g.case("dense", "bridge.Module Dense(4): init_with_output(0, x); gradients of the mean square",
         x=x, out=out, variables=variables, grads=grads)
  out, variables = Compact(5).init_with_output({"params": random.key(3)}, x)
  g.case("compact", "compact module {Dense_0 (also `alias`), named, scale, Dense_1}, params = "
         "key(3)", x=x, out=out, variables=variables, applied=Compact(5).apply(variables, x))
  keys, variables = Streams().init_with_output(
      {"params": random.key(0), "default": random.key(5)}, x)
  g.case("streams", "make_rng of `params`, `dropout` (not given), the default and `dropout` again, "
         "after a Dense(2); params = key(0), default = key(5)", x=x, keys=keys,
         variables=variables)
  z = normal((2,))
  out, variables = Parent(Leaf()).init_with_output(7, z)
  g.case("setup", "children as field, made in setup and in a list, init(7, x)", x=z, out=out,
         variables=variables)
  out, variables = Counter().init_with_output(0, z)
  second, updates = Counter().apply(variables, z, mutable=["counter"])
  g.case("counter", "variable counter/count goes up at init and at apply", x=z, out=out,
         variables=variables, second=second, updates=updates)
  for first in (0, 1):
    out, variables = SharedModules(first).init_with_output(2, z)
    g.case(f"shared_{first}", "one Leaf as zzz, aaa/dense and dense; priority of zzz HIGH: "
           f"{bool(first)}", x=z, out=out, variables=variables)


def _layers(g):
  x = normal((3, 4))
  keys = {"params": random.key(0), "dropout": random.key(1)}
  for name, model in (("compact", CompactLayers()), ("setup", SetupLayers())):
    out, variables = model.init_with_output(keys, x)
    applied, updates = model.apply(variables, x, rngs={"dropout": random.key(2), "params":
                                                       random.key(9)}, mutable=True)
    g.case(f"nnx_layers_{name}", f"two nnx layers (Linear, Dropout 0.5, a counter) in {name} style, "
           "params = key(0), dropout = key(1); apply with dropout = key(2), params = key(9)",
           x=x, out=out, variables=variables, applied=applied, updates=updates)
  model = CompactFunctional()
  out, variables = model.init_with_output(keys, x)
  applied, updates = model.apply(variables, x, rngs={"dropout": random.key(2)}, mutable=True)
  g.case("linen_layers", "two linen layers (sow, Dense(3), Dropout 0.5) in compact style, keys as "
         "before; apply with dropout = key(2), everything mutable",
         x=x, out=out, variables=variables, applied=applied,
         updates=jax.tree.map(lambda leaf: leaf, updates))


def _annotated(g):
  x = normal((3, 2))
  # Without a mesh nothing can be placed.
  with nnx.use_eager_sharding(False):
    out, variables = Annotated().init_with_output(0, x)
  g.case("annotated", "w annotated (in, out) by bridge.with_partitioning, b plain; the values",
         x=x, out=out, variables=nn.unbox(variables))


def make():
  g = GoldenFile("bridge_module")
  for part in (_functions, _layers, _annotated):
    part(g)
  return g
