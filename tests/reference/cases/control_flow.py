"""Loops and branches of JAX: values, derivatives, keys inside loops, and small programs that train."""

import jax
import jax.numpy as jnp
from jax import lax

from golden_file import GoldenFile


def _recurrence(w, h0, xs):
  def step(h, x):
    h = jnp.tanh(h @ w + x)
    return h, jnp.sum(h * h)
  h, ys = lax.scan(step, h0, xs)
  return jnp.sum(h) + jnp.sum(ys * ys)


def _loops(golden):
  key = jax.random.key(7)
  k1, k2, k3 = jax.random.split(key, 3)
  w = jax.random.normal(k1, (3, 3)) * 0.5
  h0 = jax.random.normal(k2, (3,))
  xs = jax.random.normal(k3, (6, 3))
  value, grads = jax.value_and_grad(_recurrence, (0, 1, 2))(w, h0, xs)
  golden.case("scan", "tanh recurrence: value, gradients, second derivatives with respect to h0",
              w=w, h0=h0, xs=xs, value=value, grad_w=grads[0], grad_h0=grads[1], grad_xs=grads[2],
              hessian=jax.hessian(_recurrence, 1)(w, h0, xs),
              jvp=jax.jvp(lambda h: _recurrence(w, h, xs), (h0,), (jnp.cos(h0),))[1])

  def draw(key, x):
    key, sub = jax.random.split(key)
    noise = jax.random.normal(sub, (4,))
    return key, x * noise
  last, ys = lax.scan(draw, jax.random.key(3), jnp.arange(5.0))
  golden.case("keys", "a key split in every step", last=last, ys=ys)

  def newton(a):
    return lax.while_loop(lambda c: jnp.abs(c * c - a) > 1e-5, lambda c: 0.5 * (c + a / c), a)
  a = jnp.array([2.0, 9.0, 0.3])
  golden.case("while", "Newton's square root: vmap, and forward derivatives of it",
              a=a, out=jax.vmap(newton)(a), tangent=jax.vmap(jax.jacfwd(newton))(a))

  def branches(i, x):
    return lax.switch(i, [jnp.sin, lambda x: x * x, lambda x: -x], x)
  i = jnp.array([-1, 0, 1, 2, 5])
  x = jnp.linspace(0.5, 1.5, 5)
  golden.case("switch", "clamped branches under vmap, and their gradients",
              i=i, x=x, out=jax.vmap(branches)(i, x), grad=jax.vmap(jax.grad(branches, 1))(i, x))

  elements = jax.random.normal(k3, (7, 2, 2)) * 0.7
  golden.case("associative_scan", "products of matrices from the left, and from the right",
              elements=elements,
              forward=lax.associative_scan(jnp.matmul, elements),
              reverse=lax.associative_scan(jnp.matmul, elements, reverse=True))


def _neural_ode(golden):
  """A vector field fitted by forward derivatives through an adaptive solver."""
  k1, k2, k3 = jax.random.split(jax.random.key(11), 3)
  params = {"w1": jax.random.normal(k1, (2, 6)) * 0.5, "w2": jax.random.normal(k2, (6, 2)) * 0.5}
  starts = jax.random.normal(k3, (4, 2))
  angle = 0.7
  turn = jnp.array([[jnp.cos(angle), jnp.sin(angle)], [-jnp.sin(angle), jnp.cos(angle)]])
  targets = starts @ turn

  def solve(params, y):
    field = lambda y: jnp.tanh(y @ params["w1"]) @ params["w2"]
    def more(state):
      return state[0] < 1.0
    def step(state):
      t, h, y = state
      h = jnp.minimum(h, 1.0 - t)
      a = field(y)
      b = field(y + h * a)
      euler, heun = y + h * a, y + 0.5 * h * (a + b)
      error = jnp.sqrt(jnp.sum((euler - heun) ** 2)) + 1e-8
      good = error < 0.01
      scale = jnp.clip(0.9 * jnp.sqrt(0.01 / error), 0.3, 2.0)
      # One step always reaches the end exactly, so the loop ends.
      return (jnp.where(good, jnp.where(h >= 1.0 - t, 1.0, t + h), t), h * scale,
              jnp.where(good, heun, y))
    return lax.while_loop(more, step, (0.0, 0.1, y))[2]

  def loss(params):
    ends = jax.vmap(lambda y: solve(params, y))(starts)
    return jnp.mean((ends - targets) ** 2)

  @jax.jit
  def update(params):
    grads = jax.jacfwd(loss)(params)
    return loss(params), jax.tree.map(lambda p, g: p - 0.5 * g, params, grads)

  losses, now = [], params
  for _ in range(50):
    value, now = update(now)
    losses.append(value)
  golden.case("ode", "losses of 50 steps of a neural ODE by while_loop under vmap and jacfwd",
              w1=params["w1"], w2=params["w2"], starts=starts, targets=targets,
              losses=jnp.stack(losses))


def _policy(golden):
  """REINFORCE on a walk, an episode by scan with actions drawn inside."""
  theta = jnp.zeros((3, 2))

  def episode(theta, key):
    def step(state, key):
      position, speed = state
      seen = jnp.array([position, speed, 1.0])
      logits = seen @ theta
      action = jax.random.categorical(key, logits)
      speed = 0.9 * speed + 0.2 * (2.0 * action.astype(jnp.float32) - 1.0)
      position = position + speed
      return (position, speed), (jax.nn.log_softmax(logits)[action], -jnp.abs(position - 1.0), action)
    return lax.scan(step, (0.0, 0.0), jax.random.split(key, 20))[1]

  def loss(theta, key):
    logp, reward, action = jax.vmap(lambda k: episode(theta, k))(jax.random.split(key, 8))
    togo = jnp.cumsum(reward[:, ::-1], axis=1)[:, ::-1]
    advantage = lax.stop_gradient(togo - jnp.mean(togo, axis=0))
    return -jnp.mean(jnp.sum(logp * advantage, axis=1)), (jnp.mean(reward), action)

  @jax.jit
  def update(theta, key):
    (value, (reward, action)), grad = jax.value_and_grad(loss, has_aux=True)(theta, key)
    return theta - 0.02 * grad, value, reward, action

  losses, rewards = [], []
  now = theta
  for i in range(50):
    now, value, reward, action = update(now, jax.random.fold_in(jax.random.key(5), i))
    losses.append(value)
    rewards.append(reward)
  golden.case("policy", "losses and rewards of 50 updates, and the last actions",
              losses=jnp.stack(losses), rewards=jnp.stack(rewards), actions=action, theta=now)


def _beam(golden):
  """Beam search over a bigram model; branches leave when all beams have ended."""
  table = jax.random.normal(jax.random.key(21), (9, 9)) * 1.5
  beams, length, end = 3, 8, 0
  logp = jax.nn.log_softmax(table)

  def search(first):
    tokens = jnp.full((beams, length), end).at[:, 0].set(first)
    scores = jnp.array([0.0] + [-1e9] * (beams - 1))
    def step(i, state):
      def extend(state):
        tokens, scores = state
        last = tokens[:, i - 1]
        done = (last == end) & (i > 1)
        stay = jnp.full((9,), -1e9).at[end].set(0.0)
        options = scores[:, None] + jnp.where(done[:, None], stay, logp[last])
        best, flat = lax.top_k(options.reshape(-1), beams)
        tokens = tokens[flat // 9].at[:, i].set(flat % 9)
        return tokens, best
      ended = jnp.all((state[0][:, i - 1] == end)) & (i > 1)
      return lax.cond(ended, lambda s: s, extend, state)
    return lax.fori_loop(1, length, step, (tokens, scores))

  first = jnp.array([3, 5, 7])
  tokens, scores = jax.vmap(search)(first)
  golden.case("beam", "tokens and scores of three beams", table=table, first=first, tokens=tokens,
              scores=scores)


def make():
  golden = GoldenFile("control_flow")
  _loops(golden)
  _neural_ode(golden)
  _policy(golden)
  _beam(golden)
  return golden
