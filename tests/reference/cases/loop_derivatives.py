"""First and second derivatives of loops and branches of JAX, in float64, and keys inside them.

Every case is a function of w [2, 2] and xs [4, 2, 2] that gives a scalar; `in` holds both, and v of
the shape of xs, ws of three w. Stored are `value`, `grad_w`, `grad_xs`; with respect to w
`forward_reverse`, `reverse_reverse` and `forward_forward`, [2, 2, 2, 2] each; `hvp`, the gradient
with respect to w of <grad_xs, v>; `batched`, the gradients for each of ws by vmap, and
`batched_hvp`. Loops of unknown length have no reverse mode: `grad_w` is by forward mode, and there
is no `grad_xs`, `hvp` or second derivative with reverse mode in it (make() sees to it that JAX
refuses).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, random
from jax.ad_checkpoint import checkpoint_name

from golden_file import GoldenFile


def _step(h, w, x):
  return jnp.tanh(h @ w + x) + 0.1 * jnp.sin(h)


def _start(w):
  return w.T * 0.5


def _scan(w, xs, **options):
  def step(h, x):
    h = _step(h, w, x)
    return h, h * h
  h, ys = lax.scan(step, _start(w), xs, **options)
  return jnp.sum(h) + jnp.sum(ys * xs)


def _scan_tree(w, xs):
  """A counter, a value that the loop reads but does not change, and two that change places."""
  def step(carry, x):
    i, fixed, (a, b) = carry
    return (i + 1, fixed, (b + fixed, jnp.sin(a) @ w + x * i)), (i, a * b)
  (i, _, (a, b)), (_, ys) = lax.scan(step, (0, w[0], (_start(w), w)), xs)
  return jnp.sum(a * b) * i + jnp.sum(ys * xs)


def _scan_length(w, xs):
  h, ys = lax.scan(lambda h, _: (_step(h, w, xs[0]), jnp.sum(h)), _start(w), length=5)
  return jnp.sum(h) + jnp.sum(ys * ys)


def _scan_nested(w, xs):
  def outer(h, x):
    def inner(g, row):
      g = jnp.tanh(g + (row @ x)[:, None] * h)
      return g, g @ w
    h, rows = lax.scan(inner, h, w, reverse=True)
    return h, jnp.sum(rows, 0)
  h, ys = lax.scan(outer, _start(w), xs)
  return jnp.sum(h) + jnp.sum(ys * xs)


def _scan_of_gradients(w, xs):
  def step(v, x):
    g = jax.grad(lambda u: jnp.sum(jnp.sin(u @ x) * w))(v)
    return v - 0.1 * g, jnp.sum(g)
  v, ys = lax.scan(step, w, xs)
  return jnp.sum(v) + jnp.sum(ys * ys)


def _scan_noise(w, xs):
  """A key that is split in every turn."""
  def step(carry, x):
    h, key = carry
    key, sub = random.split(key)
    return (_step(h, w, x) * random.uniform(sub, (2, 2)), key), h
  (h, _), ys = lax.scan(step, (_start(w), random.key(3)), xs)
  return jnp.sum(h) + jnp.sum(ys * xs)


def _map(w, xs):
  return jnp.sum(lax.map(lambda x: jnp.sin(x @ w) * x, xs) ** 2)


def _map_of_gradients(w, xs):
  return jnp.sum(lax.map(jax.grad(lambda x: jnp.sum(jnp.sin(x @ w) ** 2)), xs) ** 2)


def _fori(w, xs):
  return jnp.sum(lax.fori_loop(1, 4, lambda i, h: _step(h, w, xs[i]) * i, _start(w)) ** 2)


def _fori_noise(w, xs):
  """A key that the number of the turn is folded into."""
  def body(i, h):
    return _step(h, w, xs[i]) * random.uniform(random.fold_in(random.key(5), i), (2, 2))
  return jnp.sum(lax.fori_loop(0, 4, body, _start(w)) ** 2)


def _fori_unknown(w, xs):
  """Bounds that depend on the data: three turns."""
  last = jnp.sum(xs * 0).astype(jnp.int32) + 3
  return jnp.sum(lax.fori_loop(0, last, lambda i, h: _step(h, w, xs[i]), _start(w)) ** 2)


def _while(w, xs):
  """Ends by what it computes; the number of turns differs between the elements of a batch."""
  def condition(carry):
    return (jnp.sum(carry[0] ** 2) < 20.0) & (carry[1] < 30)
  def body(carry):
    h, i = carry
    return 1.2 * h + jnp.sin(h @ w) + 0.1 * xs[0], i + 1
  h, i = lax.while_loop(condition, body, (_start(w), 0))
  return jnp.sum(h * h) * i


def _while_noise(w, xs):
  """Draws until a number is large enough."""
  def body(carry):
    key, h, last = carry
    key, sub = random.split(key)
    drawn = random.uniform(sub)
    return key, jnp.tanh(h @ w) + drawn, drawn
  h = lax.while_loop(lambda carry: carry[2] < 0.8, body, (random.key(9), _start(w), 0.0))[1]
  return jnp.sum(h * h)


def _cond(w, xs):
  """Decided by the element, by the state and by what is differentiated."""
  def step(h, x):
    h = lax.cond(jnp.sum(x) > 0.1, lambda h: _step(h, w, x), lambda h: h @ x - jnp.cos(w), h)
    return h, h
  h, ys = lax.scan(step, _start(w), xs)
  return lax.cond(jnp.sum(w) > 0, lambda: jnp.sum(h * h), lambda: jnp.sum(h * w)) + jnp.sum(ys * xs)


def _cond_noise(w, xs):
  """Only one branch draws."""
  def step(carry, x):
    h, key = carry
    key, sub = random.split(key)
    h = lax.cond(jnp.sum(x) > 0.1, lambda h, k: h * random.uniform(k, (2, 2)),
                 lambda h, k: _step(h, w, x), h, sub)
    return (h, key), h
  (h, _), ys = lax.scan(step, (_start(w), random.key(4)), xs)
  return jnp.sum(h * h) + jnp.sum(ys * xs)


def _branches(w):
  return [lambda h, x: jnp.sin(h) @ w, lambda h, x: h * x, lambda h, x: h @ jnp.exp(-x * x)]


def _switch(w, xs):
  def step(carry, x):
    i, h = carry
    h = lax.switch(i % 4 - 1, _branches(w), h, x)
    return (i + 1, h), h
  (_, h), ys = lax.scan(step, (0, _start(w)), xs)
  return jnp.sum(h) + jnp.sum(ys * ys)


def _switch_batched(w, xs):
  """A number of a branch for each element, two of them beyond the ends."""
  i = jnp.array([2, -1, 1, 7])
  return jnp.sum(jax.vmap(lambda i, x: lax.switch(i, _branches(w), _start(w), x))(i, xs) ** 2)


def _cond_batched(w, xs):
  """The branch that is not taken would give a number that is none, and derivatives likewise."""
  def one(x):
    return lax.cond(x[0, 0] > 0, lambda: jnp.sum(jnp.sqrt(x[0, 0]) * w), lambda: jnp.sum(x @ w))
  return jnp.sum(lax.map(one, xs) ** 2)


def _associative(w, xs, **options):
  return jnp.sum(lax.associative_scan(jnp.matmul, xs @ w + 0.5 * jnp.eye(2), **options) * xs)


def _associative_pairs(w, xs):
  """A linear recurrence along axis 1 with factors and terms that differ."""
  def combine(a, b):
    return a[0] * b[0], b[0] * a[1] + b[1]
  x = jnp.concatenate([xs, jnp.cos(xs), xs * xs], 1)
  _, h = lax.associative_scan(combine, (jnp.sin(x @ w), x), axis=1)
  return jnp.sum(h * h)


_POLICIES = {
    "nothing": jax.checkpoint_policies.nothing_saveable,
    "everything": jax.checkpoint_policies.everything_saveable,
    "dots": jax.checkpoint_policies.dots_saveable,
    "names": jax.checkpoint_policies.save_only_these_names("product"),
}


def _checkpoint(w, xs, policy=None):
  def block(h, x):
    return jnp.tanh(checkpoint_name(_step(h, w, x) @ w, "product")) * x
  block = jax.checkpoint(block, policy=policy)
  h, ys = lax.scan(lambda h, x: (block(h, x), h), _start(w), xs)
  return jnp.sum(h) + jnp.sum(ys * ys)


REVERSIBLE = {
    "scan": (_scan, "a carry of two dimensions"),
    "scan_reverse": (lambda w, xs: _scan(w, xs, reverse=True), "from the end"),
    "scan_tree": (_scan_tree, _scan_tree.__doc__),
    "scan_length": (_scan_length, "without a sequence"),
    "scan_nested": (_scan_nested, "a scan from the end in a scan"),
    "scan_of_gradients": (_scan_of_gradients, "gradients inside the body"),
    "scan_noise": (_scan_noise, _scan_noise.__doc__),
    "map": (_map, "map of a product"),
    "map_of_gradients": (_map_of_gradients, "map of a gradient"),
    "fori": (_fori, "fori_loop from 1 to 4, which reads the number of the turn"),
    "fori_noise": (_fori_noise, _fori_noise.__doc__),
    "cond": (_cond, _cond.__doc__),
    "cond_noise": (_cond_noise, _cond_noise.__doc__),
    "cond_batched": (_cond_batched, _cond_batched.__doc__),
    "switch": (_switch, "the branch follows from a counter, clamped"),
    "switch_batched": (_switch_batched, _switch_batched.__doc__),
    "associative": (_associative, "products of matrices from the left"),
    "associative_reverse": (lambda w, xs: _associative(w, xs, reverse=True), "from the right"),
    "associative_pairs": (_associative_pairs, _associative_pairs.__doc__),
    "checkpoint": (_checkpoint, "scan of checkpoint, the same with every policy"),
}
FORWARD = {
    "fori_unknown": (_fori_unknown, _fori_unknown.__doc__),
    "while": (_while, _while.__doc__),
    "while_noise": (_while_noise, _while_noise.__doc__),
}


def _derivatives(f, w, xs, v, ws):
  out = {"value": f(w, xs), "grad_w": jax.grad(f)(w, xs), "grad_xs": jax.grad(f, 1)(w, xs),
         "forward_reverse": jax.jacfwd(jax.grad(f))(w, xs),
         "reverse_reverse": jax.jacrev(jax.grad(f))(w, xs),
         "forward_forward": jax.jacfwd(jax.jacfwd(f))(w, xs)}
  hvp = jax.grad(lambda w: jnp.vdot(jax.grad(f, 1)(w, xs), v))
  out["hvp"] = hvp(w)
  out["batched"] = jax.vmap(jax.grad(f), (0, None))(ws, xs)
  out["batched_hvp"] = jax.vmap(hvp)(ws)
  return out


def _forward_derivatives(f, w, xs, ws):
  try:
    jax.grad(f)(w, xs)
  except ValueError as error:
    assert "Reverse-mode differentiation does not work" in str(error), error
  else:
    raise AssertionError("JAX differentiates it in reverse mode")
  return {"value": f(w, xs), "grad_w": jax.jacfwd(f)(w, xs),
          "forward_forward": jax.jacfwd(jax.jacfwd(f))(w, xs),
          "batched": jax.vmap(jax.jacfwd(f), (0, None))(ws, xs)}


def make():
  golden = GoldenFile("loop_derivatives")
  with jax.enable_x64(True):
    k1, k2, k3, k4 = random.split(random.key(17), 4)
    w, xs = random.normal(k1, (2, 2)) * 0.6, random.normal(k2, (4, 2, 2))
    v, ws = random.normal(k3, (4, 2, 2)), random.normal(k4, (3, 2, 2)) * 0.6
    golden.case("in", "arguments of all cases", w=w, xs=xs, v=v, ws=ws)
    for name, (f, note) in REVERSIBLE.items():
      golden.case(name, note, **_derivatives(jax.jit(f), w, xs, v, ws))
    for name, (f, note) in FORWARD.items():
      golden.case(name, note, **_forward_derivatives(jax.jit(f), w, xs, ws))
    plain = _derivatives(_checkpoint, w, xs, v, ws)
    for policy in _POLICIES.values():
      for name, value in _derivatives(lambda w, xs: _checkpoint(w, xs, policy), w, xs, v, ws).items():
        np.testing.assert_allclose(value, plain[name], rtol=1e-12, atol=1e-12)
  return golden
