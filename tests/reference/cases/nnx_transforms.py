"""Object transformations: streams, stacked variables, loops over modules, and their gradients.

Every model is built from Rngs(0) unless the note says otherwise; inputs are normal(key(1), shape).
State is stored under the paths of the variables, keys as two words. second/... (or `second`, of an
input) are the gradients of the sum of the gradients, each times normal(key(3), its shape).
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import random

from golden_file import GoldenFile


def normal(shape, seed=1):
  return random.normal(random.key(seed), shape)


def _state(node, *filters):
  tree = nnx.to_pure_dict(nnx.state(node, *filters))
  return jax.tree.map(lambda x: x, tree)


def _along(grads):
  return sum((d * normal(d.shape, 3)).sum() for d in jax.tree.leaves(grads))


def _second(loss, *arguments, wrt=0):
  """nnx.grad of what nnx.grad gives, along a direction."""
  grads = nnx.grad(lambda *a: _along(nnx.grad(loss, argnums=wrt)(*a)), argnums=wrt)(*arguments)
  return nnx.to_pure_dict(grads) if wrt == 0 else [nnx.to_pure_dict(grads[0]), grads[1]]


def _streams(rngs):
  return {name: {"key": stream.key[...], "count": stream.count[...]}
          for name, stream in rngs.items()}


def _rngs(g):
  make = lambda: nnx.Rngs(params=0, dropout=1)
  rngs = make()
  backups = nnx.split_rngs(rngs, splits=5)
  split = _streams(rngs)
  nnx.restore_rngs(backups)
  g.case("rngs/split", "split_rngs(Rngs(params=0, dropout=1), splits=5), then restored",
         split=split, restored=_streams(rngs))
  rngs = make()
  nnx.split_rngs(rngs, splits=(2, 3), only="params")
  g.case("rngs/split_only", "splits=(2, 3), only='params'", split=_streams(rngs))
  rngs = make()
  nnx.split_rngs(rngs, splits=1, squeeze=True)
  g.case("rngs/squeeze", "splits=1, squeeze=True", split=_streams(rngs))
  rngs = make()
  backups = nnx.fork_rngs(rngs, split={"params": 3, "dropout": None})
  forked = _streams(rngs)
  nnx.restore_rngs(backups)
  g.case("rngs/fork", "fork_rngs(split={'params': 3, 'dropout': None}), then restored",
         forked=forked, restored=_streams(rngs))
  rngs = nnx.Rngs(params=0, dropout=1, noise=2)
  split = rngs.split({"params": 5, "dropout": None, ...: (2, 3)})
  g.case("rngs/split_copy", "Rngs(params=0, dropout=1, noise=2).split({'params': 5, "
         "'dropout': None, ...: (2, 3)}), and the original afterwards",
         copy=_streams(split), after=_streams(rngs))
  rngs = nnx.Rngs(params=0, dropout=1)
  repeated = rngs.broadcast(3)
  g.case("rngs/broadcast", "Rngs(params=0, dropout=1).broadcast(3), and the original afterwards",
         copy=_streams(repeated), after=_streams(rngs))
  rngs = nnx.Rngs(params=0, dropout=1, noise=2)
  mixed = nnx.with_rngs(rngs, split={"params": 4}, broadcast={"dropout": 2}, fork=...,
                        graph_updates=False)
  g.case("rngs/with_rngs", "with_rngs(split={'params': 4}, broadcast={'dropout': 2}, fork=...) of "
         "Rngs(params=0, dropout=1, noise=2), and the original afterwards",
         copy=_streams(mixed), after=_streams(rngs))


class Mlp(nnx.Module):

  def __init__(self, rngs):
    self.up = nnx.Linear(2, 4, rngs=rngs)
    self.down = nnx.Linear(4, 1, rngs=rngs)

  def __call__(self, x):
    return self.down(jnp.tanh(self.up(x)))


def _ensemble(g):
  rngs = nnx.Rngs(0)
  models = nnx.split_rngs(splits=3)(nnx.vmap(Mlp))(rngs)
  x = normal((5, 2))
  forward = nnx.vmap(lambda m, x: m(x), in_axes=(0, None))

  def loss(m):
    return (forward(m, x) ** 2).mean()

  def member_loss(m, x):
    return (m(x) ** 2).mean()

  member = nnx.vmap(nnx.grad(member_loss), in_axes=(0, None), out_axes=0)(models, x)
  member_second = nnx.vmap(nnx.grad(lambda m, x: _along(nnx.grad(member_loss)(m, x))),
                           in_axes=(0, None), out_axes=0)(models, x)
  g.case("ensemble", "three Mlp by split_rngs and vmap; forward with x for all; gradients of the "
         "mean square over all, and of each member's own", x=x, params=_state(models, nnx.Param),
         count=rngs.default.count[...], out=forward(models, x),
         grad=nnx.to_pure_dict(nnx.grad(loss)(models)), member=nnx.to_pure_dict(member),
         second=_second(loss, models), member_second=nnx.to_pure_dict(member_second))


class Noisy(nnx.Module):
  """A block with parameters, statistics and a random stream."""

  def __init__(self, rngs):
    self.linear = nnx.Linear(3, 3, rngs=rngs)
    self.norm = nnx.BatchNorm(3, rngs=rngs)
    self.dropout = nnx.Dropout(0.5, rngs=rngs)

  def __call__(self, x):
    return self.dropout(jnp.tanh(self.norm(self.linear(x))))


def _all(node):
  return _state(node, nnx.Not(nnx.RngKey))


def _vmap_state(g):
  models = nnx.split_rngs(splits=2)(nnx.vmap(Noisy))(nnx.Rngs(params=0, dropout=7))
  x = normal((2, 4, 3))
  before = _state(models)
  out = nnx.vmap(lambda m, x: m(x))(models, x)
  g.case("vmap_state", "two Noisy blocks of Rngs(params=0, dropout=7), stacked; each on its own "
         "input; state before and after", x=x, before=before, out=out, after=_all(models))


def _layers(g):
  for name, count_axis in (("layers", 0), ("layers_last", -1)):
    make = nnx.split_rngs(splits=3)(nnx.vmap(Noisy, out_axes=count_axis))
    x = normal((4, 3))

    def run(model, x):
      @nnx.scan(in_axes=(nnx.Carry, count_axis), out_axes=nnx.Carry)
      def forward(x, block):
        return block(x)

      return forward(x, model)

    model = make(nnx.Rngs(params=0, dropout=7))
    before = _state(model, nnx.Param)
    out = run(model, x)
    after = _all(model)

    def loss(model, x):
      return (run(model, x) ** 2).mean()

    model = make(nnx.Rngs(params=0, dropout=7))
    grads, dx = nnx.grad(loss, argnums=(0, 1))(model, x)
    model = make(nnx.Rngs(params=0, dropout=7))
    second, second_in = _second(loss, model, x, wrt=(0, 1))
    g.case(f"scan/{name}", f"three Noisy blocks by vmap (out_axes={count_axis}) and scan, with "
           "gradients of the mean square", x=x, params=before, out=out, after=after,
           grad=nnx.to_pure_dict(grads), dx=dx, second=second, second_in=second_in)

  model = nnx.split_rngs(splits=3)(nnx.vmap(Noisy))(nnx.Rngs(params=0, dropout=7))
  x = normal((4, 3))

  @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
  @nnx.remat
  def remat_forward(x, block):
    return block(x)

  def remat_loss(model, x):
    return (remat_forward(x, model) ** 2).mean()

  value, grads = nnx.value_and_grad(remat_loss)(model, x)
  after = _all(model)
  model = nnx.split_rngs(splits=3)(nnx.vmap(Noisy))(nnx.Rngs(params=0, dropout=7))
  second = _second(remat_loss, model, x)
  g.case("scan/remat", "the same layers with remat in the scan", value=value,
         grad=nnx.to_pure_dict(grads), after=after, second=second)


class Counter(nnx.Module):

  def __init__(self, rngs):
    self.linear = nnx.Linear(3, 3, rngs=rngs)
    self.steps = nnx.BatchStat(jnp.zeros(()))

  def __call__(self, x):
    self.steps[...] += 1
    return jnp.tanh(self.linear(x))


def _carried(g):
  rngs = nnx.Rngs(0)
  model = Counter(rngs)
  noise = nnx.Rngs(5)
  xs = normal((4, 3))
  axes = nnx.StateAxes({nnx.BatchStat: nnx.Carry, ...: None})
  streams = nnx.StateAxes({...: nnx.Carry})

  @nnx.scan(in_axes=(nnx.Carry, axes, streams, 0), out_axes=(nnx.Carry, 0))
  def step(h, model, noise, x):
    h = model(h + x + noise.normal((3,)))
    return h, 2 * h

  h, ys = step(jnp.zeros(3), model, noise, xs)
  g.case("scan/carried", "one Counter for all steps, its count carried, a stream Rngs(5) carried",
         xs=xs, params=_state(model, nnx.Param), h=h, ys=ys, steps=model.steps[...],
         count=noise.default.count[...])

  def carried_loss(model, xs):
    h, ys = step(jnp.zeros(3), model, nnx.Rngs(5), xs)
    return (ys * ys).sum() + h.sum()

  grads, d_xs = nnx.grad(carried_loss, argnums=(0, 1))(Counter(nnx.Rngs(0)), xs)
  second, second_in = _second(carried_loss, Counter(nnx.Rngs(0)), xs, wrt=(0, 1))
  g.case("scan/carried_grad", "gradients of the sum of squares of ys and of h of scan/carried",
         grad=nnx.to_pure_dict(grads), d_xs=d_xs, second=second, second_in=second_in)

  @nnx.scan(in_axes=(nnx.Carry, axes, 0), out_axes=(nnx.Carry, 0))
  def normed_step(h, block, x):
    h = jnp.tanh(block.norm(block.linear(h + x)))
    return h, h.mean()

  make = lambda: Noisy(nnx.Rngs(params=0, dropout=7))

  def normed_loss(block, xs):
    h, means = normed_step(jnp.zeros((4, 3)), block, xs)
    return (h * h).mean() + means.sum()

  sequence, block = normal((3, 4, 3)), make()
  value, (grads, d_xs) = nnx.value_and_grad(normed_loss, argnums=(0, 1))(block, sequence)
  second, second_in = _second(normed_loss, make(), sequence, wrt=(0, 1))
  g.case("scan/carried_norm", "linear and norm of one Noisy block for three steps, statistics carried",
         xs=sequence, value=value, after=_state(block, nnx.BatchStat), grad=nnx.to_pure_dict(grads),
         d_xs=d_xs, second=second, second_in=second_in)

  shared = nnx.Rngs(5)
  draw = nnx.scan(lambda c, r: (c + 1, r.uniform((2,))), in_axes=(nnx.Carry, None),
                  out_axes=(nnx.Carry, 0), length=3)
  _, values = draw(jnp.zeros(()), shared)
  g.case("scan/broadcast_stream", "a stream for all steps: each begins from the same count",
         values=values, count=shared.default.count[...])

  model = Counter(nnx.Rngs(0))

  def body(carry):
    model, x, left = carry
    return model, model(x), left - 1

  x = normal((3,))
  _, y, _ = nnx.while_loop(lambda carry: carry[-1] > 0, body, (model, x, jnp.array(3)))
  g.case("while", "three steps of a Counter", x=x, y=y, steps=model.steps[...])

  model = Counter(nnx.Rngs(0))

  def scaled(i, carry):
    model, x = carry
    model.linear.bias[...] += i.astype(jnp.float32)
    return model, model(x)

  _, y = nnx.fori_loop(2, 5, scaled, (model, x))
  g.case("fori", "steps 2 to 4 of a Counter that adds the step to its bias", y=y,
         steps=model.steps[...], bias=model.linear.bias[...])

  model = Counter(nnx.Rngs(0))
  taken = nnx.cond(jnp.array(True), lambda m, x: m(x), lambda m, x: x, model, x)
  skipped = nnx.cond(jnp.array(False), lambda m, x: m(x), lambda m, x: x, model, x)
  third = nnx.switch(jnp.array(2), [lambda m, x: x, lambda m, x: m(x), lambda m, x: m(m(x))],
                     model, x)
  g.case("cond", "branches with a Counter: taken, not taken, and the third of three",
         taken=taken, skipped=skipped, third=third, steps=model.steps[...])


def _keys(g):
  """A stream that is drawn from inside loops and branches, one after the other."""
  rngs = nnx.Rngs(5)

  def draw(i, carry):
    stream, out = carry
    return stream, out.at[i].set(stream.uniform((2,)))

  _, looped = nnx.fori_loop(0, 3, draw, (rngs, jnp.zeros((3, 2))))
  last = nnx.while_loop(lambda c: c[1][0] < 0.8, lambda c: (c[0], c[0].uniform((2,)), c[2] + 1),
                        (rngs, jnp.zeros(2), jnp.array(0)))
  one = lambda r: r.uniform((2,))
  taken = nnx.cond(jnp.array(True), one, lambda r: jnp.zeros(2), rngs)
  skipped = nnx.cond(jnp.array(False), one, lambda r: jnp.zeros(2), rngs)
  chosen = nnx.switch(jnp.array(2), [one, lambda r: jnp.ones(2), lambda r: one(r) + one(r)], rngs)
  g.case("keys", "Rngs(5) in fori_loop, while_loop until a number is 0.8 or more, cond (taken, not "
         "taken), switch, in this order; the count in the end", looped=looped, drawn=last[1],
         turns=last[2], taken=taken, skipped=skipped, chosen=chosen, count=rngs.default.count[...])


class Pair(nnx.Module):

  def __init__(self):
    self.a = nnx.Param(jnp.array(1.5))
    self.b = nnx.Param(jnp.array(-0.5))
    self.c = nnx.BatchStat(jnp.array(2.0))


def _gradients(g):
  def f(m, x):
    m.c[...] = m.c[...] * 3
    return jnp.sin(m.a[...] * x) * m.b[...] * m.c[...]

  m, x = Pair(), jnp.array(0.7)
  value, (dm, dx) = nnx.value_and_grad(f, argnums=(0, 1))(m, x)
  g.case("grad/argnums", "sin(a x) b c', c' = 3 c, a = 1.5, b = -0.5, c = 2, x = 0.7", value=value,
         m=nnx.to_pure_dict(dm), x=dx, c=m.c[...])
  second, second_in = _second(f, Pair(), x, wrt=(0, 1))
  g.case("grad/second", "second derivatives of that", m=second, x=second_in)
  stat = nnx.grad(f, argnums=nnx.DiffState(0, nnx.BatchStat))(Pair(), x)
  g.case("grad/diff_state", "with respect to the BatchStat", m=nnx.to_pure_dict(stat))

  @nnx.custom_vjp
  def h(m, x):
    return jnp.sin(m.a[...] * x) * m.b[...]

  def h_fwd(m, x):
    return h(m, x), (m.a[...], m.b[...], x)

  def h_bwd(residuals, gradient):
    a, b, x = residuals
    (m_g, _), out_g = gradient
    m_g = jax.tree.map(lambda v: v, m_g)
    m_g["a"][...] = 10 * out_g * jnp.cos(a * x) * b
    m_g["b"][...] = 20 * out_g
    m_g["c"][...] = jnp.zeros(())
    return m_g, 30 * out_g * a

  h.defvjp(h_fwd, h_bwd)
  dm, dx = nnx.grad(h, argnums=(0, 1))(Pair(), x)
  g.case("custom_vjp", "a rule that multiplies by 10, 20 and 30", m=nnx.to_pure_dict(dm), x=dx)

  model = Noisy(nnx.Rngs(params=0, dropout=7))
  y = normal((4, 3))
  remat_loss = lambda m: (nnx.remat(lambda m, y: m(y))(m, y) ** 2).mean()
  value, grads = nnx.value_and_grad(remat_loss)(model)
  g.case("remat", "a Noisy block with remat", value=value, grad=nnx.to_pure_dict(grads),
         after=_all(model), second=_second(remat_loss, Noisy(nnx.Rngs(params=0, dropout=7))))

  def chosen(m, x):
    y = nnx.cond(x.sum() > 0, lambda m, x: m(x), lambda m, x: -m(x), m, x)
    z = nnx.switch(jnp.array(1), [lambda m, x: x, lambda m, x: m(m(x))], m, x)
    _, h = nnx.fori_loop(0, 3, lambda i, c: (c[0], c[0](c[1])), (m, x))
    return (y * z).sum() + (h * h).sum()

  x = normal((3,))
  value, (grads, dx) = nnx.value_and_grad(chosen, argnums=(0, 1))(Counter(nnx.Rngs(0)), x)
  second, second_in = _second(chosen, Counter(nnx.Rngs(0)), x, wrt=(0, 1))
  g.case("branches", "gradients through cond, switch and fori_loop over a Counter", x=x, value=value,
         grad=nnx.to_pure_dict(grads), dx=dx, second=second, second_in=second_in)


def make():
  g = GoldenFile("nnx_transforms")
  for part in (_rngs, _ensemble, _vmap_state, _layers, _carried, _keys,
               _gradients):
    part(g)
  return g
