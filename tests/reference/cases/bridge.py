"""The bridge between the two module APIs: both wrappers, nested, mapped, with state and dropout."""

import warnings

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx
from jax import random

from golden_file import GoldenFile


def normal(shape, seed=1):
  return random.normal(random.key(seed), shape)


def _state(model, *types):
  """Pure state of the given variable types (all but random state if none are given)."""
  which = types or (nnx.Not(nnx.RngState),)
  return nnx.to_pure_dict(nnx.state(model, *which) if len(which) == 1
                          else nnx.state(model, nnx.Any(*which)))


def _documentation(g):
  x = normal((1, 32))
  model = nnx.bridge.ToNNX(nn.Dense(64), rngs=nnx.Rngs(0)).lazy_init(x)
  g.case("to_nnx_dense", "ToNNX(Dense(64), Rngs(0)).lazy_init(x), x = normal(key(1), (1, 32))",
         x=x, state=_state(model), out=model(x))
  model = nnx.bridge.to_linen(nnx.Linear, 32, 64)
  out, variables = model.init_with_output(random.key(0), x)
  g.case("to_linen_linear", "to_linen(Linear, 32, 64).init(key(0), x)", x=x, variables=variables,
         out=out)
  model = nnx.bridge.ToNNX(nn.Dense(4), rngs=random.key(3)).lazy_init(normal((1, 3)))
  g.case("to_nnx_key", "ToNNX(Dense(4), key(3)).lazy_init: the key is used as it is",
         state=_state(model))
  rngs = nnx.Rngs(0)
  first = nnx.bridge.ToNNX(nn.Dense(2), rngs)
  second = nnx.bridge.ToNNX(nn.Dense(2), rngs)
  stateful = nnx.Linear(3, 2, rngs=rngs)
  z = normal((1, 3))
  g.case("to_nnx_shared_rngs", "two ToNNX(Dense(2)) and a Linear(3, 2) from one Rngs(0)",
         first=_state(first.lazy_init(z)), second=_state(second.lazy_init(z)),
         linear=_state(stateful))


class FunctionalDot(nn.Module):
  """Functional block with a nested scope and dropout."""

  features: int
  rate: float

  @nn.compact
  def __call__(self, x):
    x = nn.Dense(self.features, name="dense")(x)
    return nn.Dropout(self.rate, deterministic=False, name="drop")(x)


class StatefulBlock(nnx.Module):
  """Stateful block around the functional one."""

  def __init__(self, din, dout, rate, *, rngs):
    self.linear = nnx.Linear(din, dout, rngs=rngs)
    self.inner = nnx.bridge.ToNNX(FunctionalDot(dout, rate), rngs)

  def __call__(self, x):
    return self.inner(self.linear(x))


class StatefulDropout(nnx.Module):
  """Stateful block with its own dropout."""

  def __init__(self, din, dout, rate, *, rngs):
    self.linear = nnx.Linear(din, dout, rngs=rngs)
    self.dropout = nnx.Dropout(rate, rngs=rngs)

  def __call__(self, x):
    return self.dropout(self.linear(x))


class FunctionalOuter(nn.Module):
  """Functional module around a stateful one."""

  rate: float

  @nn.compact
  def __call__(self, x):
    x = nn.Dense(4, name="first")(x)
    x = nnx.bridge.to_linen(StatefulDropout, 4, 3, self.rate, name="second")(x)
    return nn.Dense(2, name="third")(x)


def _nesting(g):
  x = normal((3, 5))
  for rate in (0.0, 0.5):
    model = StatefulBlock(5, 4, rate, rngs=nnx.Rngs(0, dropout=1))
    nnx.bridge.lazy_init(model, x)
    first, second = model(x), model(x)
    nnx.reseed(model, dropout=2)
    reseeded = model(x)
    g.case(f"stateful_functional_{rate}", "stateful {linear, inner = ToNNX({dense, drop rate r})}, "
           "Rngs(0, dropout=1), lazy_init on x, two calls, then reseed(dropout=2) and a call; r = "
           f"{rate}", x=x, state=_state(model), first=first, second=second, reseeded=reseeded)

    outer = FunctionalOuter(rate)
    keys = {"params": random.key(0), "dropout": random.key(1)}
    out, variables = outer.init_with_output(keys, x)
    applied = outer.apply(variables, x, rngs={"dropout": random.key(2)})
    g.case(f"functional_stateful_{rate}", "functional {first Dense(4), second = to_linen({linear, "
           "dropout rate r}), third Dense(2)}, init with params = key(0), dropout = key(1); apply "
           "with dropout = key(2). The wrapper is built again by its constructor in apply, so its "
           f"dropout key is the stream's first fork; r = {rate}",
           x=x, variables=variables, init_out=out, apply_out=applied)

    model = nnx.bridge.ToNNX(outer, nnx.Rngs(0, dropout=1))
    model.lazy_init(x)
    first, second = model(x), model(x)
    nnx.reseed(model, dropout=2)
    g.case(f"sandwich_{rate}", "ToNNX of the module of functional_stateful, Rngs(0, dropout=1), "
           "lazy_init on x, two calls, reseed(dropout=2), a call", x=x, state=_state(model),
           first=first, second=second, reseeded=model(x))


def _mapped(g):
  x = normal((2, 4))

  @nnx.split_rngs(splits=5)
  @nnx.vmap(in_axes=(0, None), out_axes=0)
  def make(rngs, x):
    return nnx.bridge.ToNNX(nn.Dense(3), rngs=rngs).lazy_init(x)

  model = make(nnx.Rngs(0), x)

  @nnx.vmap(in_axes=(0, None), out_axes=0)
  def call(model, x):
    return model(x)

  g.case("vmap_to_nnx", "vmap of size 5 over ToNNX(Dense(3), rngs).lazy_init(x) with Rngs(0) split "
         "in 5; outputs of the five on x (2, 4)", x=x, state=_state(model, nnx.Param),
         out=call(model, x))

  class Mapped(nn.Module):
    @nn.compact
    def __call__(self, x):
      lift = nn.vmap(nnx.bridge.ToLinen, variable_axes={"params": 0},
                     split_rngs={"params": True})
      return lift(nnx.Linear, args=(4, 3), name="m")(x)

  out, variables = Mapped().init_with_output(random.key(0), x)
  g.case("vmap_to_linen", "linen vmap over ToLinen(Linear, (4, 3)) named m, params on axis 0 and "
         "split; batch axis 0 of x (2, 4)", x=x, variables=variables, out=out)


def _batch_norm(g):
  x = normal((4, 3)) * 2 + 1
  model = nnx.bridge.ToNNX(nn.BatchNorm(use_running_average=False, momentum=0.9),
                           rngs=nnx.Rngs(0))
  model.lazy_init(x)
  before = _state(model)
  out = model(x, mutable=["batch_stats"])
  g.case("batch_norm_to_nnx", "ToNNX(BatchNorm train, momentum 0.9) on (4, 3): state after "
         "lazy_init, output and state of one call with mutable batch_stats",
         x=x, before=before, out=out, after=_state(model))

  model = nnx.bridge.to_linen(nnx.BatchNorm, 3, momentum=0.9)
  variables = model.init(random.key(0), x, use_running_average=False)
  out, updates = model.apply(variables, x, use_running_average=False, mutable=["batch_stats"])
  g.case("batch_norm_to_linen", "to_linen(BatchNorm, 3, momentum 0.9) on (4, 3): variables of "
         "init, output and updates of one training apply",
         x=x, variables=variables, out=out, updates=updates)


class Counter(nn.Module):
  """Functional counter in a collection of its own."""

  @nn.compact
  def __call__(self, x):
    count = self.variable("counter", "count", lambda: jnp.zeros((), jnp.int32))
    if not self.is_initializing():
      count.value += 1
    return x + self.param("bias", nn.initializers.normal(), (2,))


class Count(nnx.Variable):
  """Stateful counter variable."""


class StatefulCounter(nnx.Module):
  """Counts its calls."""

  def __init__(self, *, rngs):
    self.bias = nnx.Param(random.normal(rngs.params(), (2,)))
    self.count = Count(jnp.zeros((), jnp.int32))

  def __call__(self, x):
    self.count[...] += 1
    return x + self.bias


def _counters(g):
  x = normal((3, 2))
  model = nnx.bridge.ToNNX(Counter(), nnx.Rngs(0)).lazy_init(x)
  before = _state(model)
  out = model(x, mutable=True)
  g.case("counter_to_nnx", "functional counter in collection `counter`: state after lazy_init and "
         "after one call with mutable=True", x=x, before=before, out=out, after=_state(model))
  model = nnx.bridge.to_linen(StatefulCounter)
  variables = model.init(random.key(0), x)
  out, updates = model.apply(variables, x, mutable=["Count"])
  g.case("counter_to_linen", "stateful counter (collection Count): init variables, then output and "
         "updates of apply with mutable Count", x=x, variables=variables, out=out, updates=updates)


def _gradients(g):
  x = normal((3, 5))
  model = StatefulBlock(5, 4, 0.0, rngs=nnx.Rngs(0, dropout=1))
  nnx.bridge.lazy_init(model, x)
  loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
  g.case("gradients_stateful", "mean of squares of the model of stateful_functional_0.0: value and "
         "gradients of every parameter", x=x, loss=loss, grads=nnx.to_pure_dict(grads))
  outer = FunctionalOuter(0.0)
  params = outer.init({"params": random.key(0), "dropout": random.key(1)}, x)["params"]
  loss, grads = jax.value_and_grad(
      lambda p: (outer.apply({"params": p}, x) ** 2).mean())(params)
  g.case("gradients_functional", "same for functional_stateful_0.0", x=x, loss=loss, grads=grads)


def make():
  g = GoldenFile("bridge")
  with warnings.catch_warnings():
    warnings.simplefilter("error", DeprecationWarning)
    for part in (_documentation, _nesting, _mapped, _batch_norm, _counters, _gradients):
      part(g)
  return g
