"""Collectives and normalisation over a named axis of vmap.

x = normal(key(1), shape); weights of losses are normal(key(2), shape of the result).
collective/<name>: out, grad/outside of the loss over all elements, grad/inside of one loss each;
second/... are the gradients of the sum of those of sin(out) times normal(key(3), shape). JAX has no derivative of
pmax and pmin; in its place there is that of max and min over the axis.
linen/<name>, nnx/<name>: one module, the same variables for all elements of axis "batch"; out,
updated statistics, gradients.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx
from jax import lax, random

from golden_file import GoldenFile


def normal(shape, seed=1):
  return random.normal(random.key(seed), shape)


def _collectives(g):
  x = normal((3, 3, 2))
  cases = {
      "psum": lambda r: lax.psum(jnp.sin(r), "i"),
      "pmean": lambda r: lax.pmean(r * r, "i") * r,
      "all_gather": lambda r: lax.all_gather(r, "i", axis=1),
      "all_gather_tiled": lambda r: lax.all_gather(r, "i", axis=1, tiled=True),
      "psum_scatter": lambda r: lax.psum_scatter(r, "i", scatter_dimension=0),
      "all_to_all": lambda r: lax.all_to_all(r, "i", split_axis=0, concat_axis=1),
      "all_to_all_tiled": lambda r: lax.all_to_all(r, "i", split_axis=0, concat_axis=1, tiled=True),
      "ppermute": lambda r: lax.ppermute(r, "i", [(0, 2), (1, 0), (2, 1)]) * r,
      "axis_index": lambda r: r * lax.axis_index("i") + lax.psum(1, "i"),
      "softmax": lambda r: jnp.exp(r) / lax.psum(jnp.exp(r), "i"),
  }
  for name, f in cases.items():
    over = jax.vmap(f, axis_name="i")
    out = over(x)
    weights = normal(out.shape, 2)
    grads = {"outside": jax.grad(lambda v, h=over, w=weights: (h(v) * w).sum())(x)}
    if not name.startswith("all_to_all"):  # JAX fails to transpose it there
      one = lambda r, w, h=f: jax.grad(lambda v: (h(v) * w).sum())(r)
      grads["inside"] = jax.vmap(one, axis_name="i")(x, weights)
    along = normal(x.shape, 3)

    def twice(h, v, w, d):
      first = jax.grad(lambda u: (jnp.sin(h(u)) * w).sum())
      return jax.grad(lambda u: (first(u) * d).sum())(v)

    second = {"outside": twice(over, x, weights, along)}
    if "inside" in grads:
      over_elements = jax.vmap(functools.partial(twice, f), axis_name="i")
      second["inside"] = over_elements(x, weights, along)
    g.case(f"collective/{name}", f"{name} over the first axis of (3, 3, 2)",
           **{"in": x, "out": out, "grad": grads, "second": second})


def _extremes(g):
  x = normal((4, 3, 2)).at[1].set(normal((4, 3, 2))[3])  # the same values twice
  for name, collective, over_axis in (("pmax", lax.pmax, jnp.max), ("pmin", lax.pmin, jnp.min)):
    over = jax.vmap(lambda r, f=collective: f(jnp.sin(r), "i") * r, axis_name="i")
    out = over(x)
    weights = normal(out.shape, 2)
    try:
      jax.grad(lambda v, h=over: h(v).sum())(x)
    except NotImplementedError as error:
      assert "Differentiation rule" in str(error), error
    else:
      raise AssertionError(f"JAX differentiates {name}")
    same = lambda v, h=over_axis: h(jnp.sin(v), 0, keepdims=True) * v
    np.testing.assert_array_equal(out, same(x))
    first = jax.grad(lambda v, h=same, w=weights: (h(v) * w).sum())
    bent = jax.grad(lambda v, h=same, w=weights: (jnp.sin(h(v)) * w).sum())
    second = jax.grad(lambda v, h=bent: (h(v) * normal(x.shape, 3)).sum())(x)
    g.case(f"extreme/{name}", f"{name} of sin(x), times x, over the first axis of (4, 3, 2), of which "
           "two elements are equal", **{"in": x, "out": out, "grad": first(x), "second": second})


def _linen(g, name, module, x):
  init = lambda r: module.init({"params": random.key(0)}, r)
  variables = jax.vmap(init, out_axes=None, axis_name="batch")(x)
  over = lambda f: jax.vmap(f, in_axes=(None, 0), out_axes=(0, None), axis_name="batch")
  apply = over(lambda v, r: module.apply(v, r, mutable=["batch_stats"]))
  out, updates = apply(variables, x)
  weights = normal(out.shape, 2)

  def loss(params, first):
    return (apply({**variables, "params": params}, first)[0] * weights).sum()

  d_params, d_in = jax.grad(loss, (0, 1))(variables["params"], x)
  g.case(f"linen/{name}", f"{module.__class__.__name__} with axis_name on {x.shape}", **{
      "in": x, "out": out, "updates": updates, "grad": {"in": d_in, "params": d_params}})


def _nnx(g, name, make, x):
  model = make(nnx.Rngs(0))
  graph, state = nnx.split(model)

  def apply(s, r):
    m = nnx.merge(graph, s)
    out = m(r)
    return out, nnx.to_pure_dict(nnx.state(m, nnx.BatchStat))

  out, stats = jax.vmap(apply, in_axes=(None, 0), out_axes=(0, None), axis_name="batch")(state, x)
  g.case(f"nnx/{name}", f"{model.__class__.__name__} with axis_name on {x.shape}", **{
      "in": x, "out": out, "batch_stats_after": stats} if stats else {"in": x, "out": out})


def _norms(g):
  x = normal((3, 4, 6)) * 2 + 1
  named = {"axis_name": "batch"}
  norm = nn.BatchNorm(use_running_average=False, momentum=0.9, **named)
  _linen(g, "batch_norm", norm, x)
  _linen(g, "batch_norm_slow", norm.clone(use_fast_variance=False), x)
  _linen(g, "layer_norm", nn.LayerNorm(**named), x)
  _linen(g, "rms_norm", nn.RMSNorm(**named), x)
  _linen(g, "group_norm", nn.GroupNorm(3, **named), x)
  _linen(g, "instance_norm", nn.InstanceNorm(**named), x)
  _nnx(g, "batch_norm", lambda r: nnx.BatchNorm(6, momentum=0.9, rngs=r, **named), x)
  _nnx(g, "layer_norm", lambda r: nnx.LayerNorm(6, rngs=r, **named), x)
  _nnx(g, "rms_norm", lambda r: nnx.RMSNorm(6, rngs=r, **named), x)
  _nnx(g, "group_norm", lambda r: nnx.GroupNorm(6, 3, rngs=r, **named), x)
  _nnx(g, "instance_norm", lambda r: nnx.InstanceNorm(6, rngs=r, **named), x)


def make():
  g = GoldenFile("named_axes")
  _collectives(g)
  _extremes(g)
  _norms(g)
  return g
