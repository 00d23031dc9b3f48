"""Recurrent cells and layers of both module APIs.

linen/cell/<name>: variables = init(key(0), carry, x), carry = initialize_carry(key(3), x.shape) with
normal values, new_carry and out = apply(variables, carry, x). rnn/<name> is the same for whole
sequences, with the carry that the layer makes or is given. grad/... are the gradients of the sum of
every tensor of (new_carry, out) times normal(key(2), its shape). x = normal(key(1), shape). second/...
(in float32) are the gradients of the sum of those gradients, each times normal(key(6), its shape).
nnx/...: the same with modules made from Rngs(0) and carries from Rngs(3).
flip/<name>: flip_sequences. bridge/<name>: each kind of module inside the other. tagger: the network of
examples/sequence_tagger.
"""

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import nnx
from flax.nnx.nn.recurrent import flip_sequences
from jax import random

from golden_file import GoldenFile

NORMAL = nn.initializers.normal(1.0)
LENGTHS = jnp.array([2, 5, 0, 4])  # of sequences of 5 steps
LONGER = jnp.array([2, 5, 9, 7])


def normal(shape, seed=1):
  return random.normal(random.key(seed), shape)


def _weighted(tree):
  return sum((leaf * normal(leaf.shape, 2)).sum() for leaf in jax.tree.leaves(tree))


def _second(loss, *arguments):
  """Gradients, with respect to all arguments, of what the gradients of `loss` give along a direction."""
  count = tuple(range(len(arguments)))

  def along(*arguments):
    grads = jax.grad(loss, count)(*arguments)
    return sum((leaf * normal(leaf.shape, 6)).sum() for leaf in jax.tree.leaves(grads))

  return jax.jit(jax.grad(along, count))(*arguments)


def _linen_cell(g, name, cell, shape=(2, 3), dtype=jnp.float32):
  x = normal(shape).astype(dtype)
  carry = cell.initialize_carry(random.key(3), shape)
  variables = cell.init(random.key(0), carry, x)

  def loss(params, carry, x):
    return _weighted(cell.apply({"params": params}, carry, x))

  new_carry, out = cell.apply(variables, carry, x)
  d_params, d_carry, d_x = jax.grad(loss, (0, 1, 2))(variables["params"], carry, x)
  parts = {}
  if "bf16" not in name:
    names = ("params", "carry", "x")
    parts["second"] = dict(zip(names, _second(loss, variables["params"], carry, x)))
  g.case(f"linen/cell/{name}", f"{cell.__class__.__name__} on {shape}", x=x, carry=carry,
         variables=variables, new_carry=new_carry, out=out,
         grad={"params": d_params, "carry": d_carry, "x": d_x}, **parts)


def _linen_cells(g):
  bf16 = jnp.bfloat16
  _linen_cell(g, "simple", nn.SimpleCell(4, carry_init=NORMAL))
  _linen_cell(g, "simple_residual", nn.SimpleCell(4, carry_init=NORMAL, residual=True,
                                                  activation_fn=nn.relu))
  for name, cell in (("lstm", nn.LSTMCell), ("optimized_lstm", nn.OptimizedLSTMCell)):
    _linen_cell(g, name, cell(4, carry_init=NORMAL))
    _linen_cell(g, name + "_functions", cell(4, carry_init=NORMAL, gate_fn=nn.hard_sigmoid,
                                             activation_fn=nn.relu, bias_init=NORMAL))
    _linen_cell(g, name + "_bf16", cell(4, carry_init=NORMAL, dtype=bf16))
    _linen_cell(g, name + "_param_bf16", cell(
        4, carry_init=NORMAL, param_dtype=bf16,
        recurrent_kernel_init=nn.initializers.lecun_normal()), dtype=bf16)
  _linen_cell(g, "gru", nn.GRUCell(4, carry_init=NORMAL, bias_init=NORMAL))
  _linen_cell(g, "gru_bf16", nn.GRUCell(4, carry_init=NORMAL, dtype=bf16))
  _linen_cell(g, "mgu", nn.MGUCell(4, carry_init=NORMAL))
  _linen_cell(g, "mgu_no_reset_gate", nn.MGUCell(4, carry_init=NORMAL, reset_gate=False))
  _linen_cell(g, "conv_lstm", nn.ConvLSTMCell(2, (3, 2), carry_init=NORMAL), (2, 4, 3, 2))
  _linen_cell(g, "conv_lstm_1d", nn.ConvLSTMCell(2, (3,), carry_init=NORMAL, use_bias=False),
              (2, 4, 3))


def _linen_rnn(g, name, module, shape=(4, 5, 3), initial_carry=None, grad=True, second=False,
               **call):
  x = normal(shape)

  def run(variables, x, carry):
    return module.apply(variables, x, initial_carry=carry, return_carry=True, **call)

  variables = module.init(random.key(0), x, initial_carry=initial_carry, **call)
  carry, out = run(variables, x, initial_carry)
  parts = {} if initial_carry is None else {"initial_carry": initial_carry}
  if grad:
    loss = lambda p, x: _weighted(run({"params": p}, x, initial_carry))
    grads = jax.grad(loss, (0, 1))(variables["params"], x)
    parts["grad"] = {"params": grads[0], "x": grads[1]}
    if second:
      parts["second"] = dict(zip(("params", "x"), _second(loss, variables["params"], x)))
  if call.get("seq_lengths") is not None:
    parts["seq_lengths"] = call["seq_lengths"]
  options = {k: v for k, v in call.items() if k != "seq_lengths"}
  g.case(f"linen/rnn/{name}", f"{module.__class__.__name__} on {shape}, {options}", x=x,
         variables=variables, carry=carry, out=out, **parts)


def _linen_layers(g):
  for name, cell in (("simple", nn.SimpleCell(4)), ("lstm", nn.LSTMCell(4)),
                     ("optimized_lstm", nn.OptimizedLSTMCell(4)), ("gru", nn.GRUCell(4)),
                     ("mgu", nn.MGUCell(4))):
    _linen_rnn(g, name, nn.RNN(cell), second=True)
  _linen_rnn(g, "conv_lstm", nn.RNN(nn.ConvLSTMCell(2, (3, 3))), (2, 3, 4, 3, 2),
             second=True)
  lstm, gru = nn.OptimizedLSTMCell(4), nn.GRUCell(4)
  _linen_rnn(g, "reverse", nn.RNN(gru, reverse=True))
  _linen_rnn(g, "reverse_keep_order", nn.RNN(gru, reverse=True, keep_order=True))
  _linen_rnn(g, "keep_order_only", nn.RNN(gru, keep_order=True))
  _linen_rnn(g, "time_major", nn.RNN(gru, time_major=True), (5, 4, 3))
  _linen_rnn(g, "time_major_of_call", nn.RNN(gru), (5, 4, 3), time_major=True, reverse=True)
  _linen_rnn(g, "lengths", nn.RNN(lstm), seq_lengths=LENGTHS)
  _linen_rnn(g, "lengths_reverse", nn.RNN(lstm), seq_lengths=LENGTHS, reverse=True)
  _linen_rnn(g, "lengths_reverse_keep_order", nn.RNN(lstm), seq_lengths=LENGTHS, reverse=True,
             keep_order=True, second=True)
  _linen_rnn(g, "lengths_time_major", nn.RNN(lstm, time_major=True, reverse=True), (5, 4, 3),
             seq_lengths=LENGTHS)
  # JAX reads the last step for a length beyond it, and gives it no gradient.
  _linen_rnn(g, "lengths_beyond_time", nn.RNN(lstm), seq_lengths=LONGER, reverse=True, grad=False)
  _linen_rnn(g, "unroll", nn.RNN(gru, unroll=2))
  _linen_rnn(g, "initial_carry", nn.RNN(lstm), initial_carry=(normal((4, 4), 4), normal((4, 4), 5)))
  _linen_rnn(g, "init_key", nn.RNN(nn.LSTMCell(4, carry_init=NORMAL)), init_key=random.key(7))
  _linen_rnn(g, "init_key_missing", nn.RNN(nn.GRUCell(4, carry_init=NORMAL)))
  _linen_rnn(g, "no_batch", nn.RNN(gru), (5, 3))
  _linen_rnn(g, "two_batch_dims", nn.RNN(lstm), (2, 3, 4, 3))
  _linen_rnn(g, "bf16", nn.RNN(nn.OptimizedLSTMCell(4, dtype=jnp.bfloat16)))
  _linen_rnn(g, "bidirectional", nn.Bidirectional(nn.RNN(gru), nn.RNN(lstm)), second=True)
  _linen_rnn(g, "bidirectional_lengths", nn.Bidirectional(nn.RNN(lstm), nn.RNN(nn.LSTMCell(4))),
             seq_lengths=LENGTHS)
  _linen_rnn(g, "bidirectional_sum", nn.Bidirectional(
      nn.RNN(gru), nn.RNN(nn.GRUCell(4)), merge_fn=lambda a, b: a + b, time_major=True), (5, 4, 3))
  _linen_rnn(g, "bidirectional_init_key", nn.Bidirectional(
      nn.RNN(nn.GRUCell(4, carry_init=NORMAL)), nn.RNN(nn.GRUCell(4, carry_init=NORMAL))),
      init_key=random.key(7))


class LinenDroppedGRU(nn.RNNCellBase):
  """A GRU whose inputs are dropped."""

  @nn.compact
  def __call__(self, carry, x):
    x = nn.Dropout(0.5, deterministic=False, name="drop")(x)
    return nn.GRUCell(4, name="gru")(carry, x)

  @nn.nowrap
  def initialize_carry(self, rng, input_shape):
    return jnp.zeros(input_shape[:-1] + (4,))

  @property
  def num_feature_axes(self):
    return 1


class CountingGRU(nn.RNNCellBase):
  """A GRU that counts its steps and keeps what it gives."""

  @nn.compact
  def __call__(self, carry, x):
    count = self.variable("counts", "steps", lambda: jnp.zeros(()))
    carry, y = nn.GRUCell(4, name="gru")(carry, x * (1 + count.value))
    count.value = count.value + 1
    self.sow("intermediates", "y", y)
    return carry, y

  @nn.nowrap
  def initialize_carry(self, rng, input_shape):
    return jnp.zeros(input_shape[:-1] + (4,))

  @property
  def num_feature_axes(self):
    return 1


def _linen_lifted(g):
  x = normal((2, 5, 3))
  for name, split in (("split", True), ("shared", False)):
    module = nn.RNN(LinenDroppedGRU(), split_rngs={"params": False, "dropout": split})
    rngs = {"params": random.key(0), "dropout": random.key(5)}
    variables = module.init(rngs, x)
    g.case(f"linen/lifted/dropout_{name}", f"split_rngs of dropout {split}; dropout key(5)", x=x,
           variables=variables, out=module.apply(variables, x, rngs={"dropout": random.key(5)}))
  module = nn.RNN(CountingGRU(), variable_carry="counts", variable_axes={"intermediates": 1},
                  reverse=True)
  # Carried variables must be there before.
  inside = CountingGRU().init(random.key(0), jnp.zeros((2, 4)), x[:, 0])
  variables = {name: {"cell": tree} for name, tree in inside.items() if name != "intermediates"}
  out, updates = module.apply(variables, x, mutable=["counts", "intermediates"])
  updates["intermediates"]["cell"]["y"] = updates["intermediates"]["cell"]["y"][0]
  g.case("linen/lifted/counting", "counts carried, intermediates along axis 1, reversed", x=x,
         variables=variables, out=out, updates=updates)


def _params(model):
  return jax.tree.map(jnp.asarray, nnx.to_pure_dict(nnx.state(model, nnx.Param)))


def _nnx_grads(model, loss, *inputs, of=lambda f, *arguments: jax.grad(
    f, tuple(range(len(arguments))))(*arguments)):
  graphdef, params, rest = nnx.split(model, nnx.Param, ...)

  def f(params, *inputs):
    return loss(nnx.merge(graphdef, params, rest, copy=True), *inputs)

  grads = of(f, params, *inputs)
  return (nnx.to_pure_dict(grads[0]),) + grads[1:]


def _nnx_cell(g, name, make, dtype=jnp.float32):
  shape = (2, 3)
  x = normal(shape).astype(dtype)
  cell = make(nnx.Rngs(0))
  carry = cell.initialize_carry(shape, nnx.Rngs(3), carry_init=NORMAL)
  new_carry, out = cell(carry, x)
  loss = lambda m, c, x: _weighted(m(c, x))
  d_params, d_carry, d_x = _nnx_grads(cell, loss, carry, x)
  parts = {}
  if "bf16" not in name:
    names = ("params", "carry", "x")
    parts["second"] = dict(zip(names, _nnx_grads(cell, loss, carry, x, of=_second)))
  g.case(f"nnx/cell/{name}", f"{cell.__class__.__name__} on {shape}", x=x, carry=carry,
         params=_params(cell), new_carry=new_carry, out=out,
         grad={"params": d_params, "carry": d_carry, "x": d_x}, **parts)


def _nnx_cells(g):
  bf16 = jnp.bfloat16
  _nnx_cell(g, "simple", lambda r: nnx.SimpleCell(3, 4, rngs=r))
  _nnx_cell(g, "simple_residual", lambda r: nnx.SimpleCell(3, 4, residual=True, rngs=r))
  _nnx_cell(g, "simple_bf16", lambda r: nnx.SimpleCell(3, 4, rngs=r), dtype=bf16)
  _nnx_cell(g, "lstm", lambda r: nnx.LSTMCell(3, 4, rngs=r))
  _nnx_cell(g, "lstm_param_bf16", lambda r: nnx.LSTMCell(3, 4, param_dtype=bf16, rngs=r),
            dtype=bf16)
  _nnx_cell(g, "lstm_functions", lambda r: nnx.LSTMCell(
      3, 4, gate_fn=nnx.hard_sigmoid, activation_fn=nnx.relu, bias_init=NORMAL, rngs=r))
  _nnx_cell(g, "optimized_lstm", lambda r: nnx.OptimizedLSTMCell(3, 4, rngs=r))
  _nnx_cell(g, "optimized_lstm_bf16",
            lambda r: nnx.OptimizedLSTMCell(3, 4, dtype=bf16, rngs=r))
  _nnx_cell(g, "gru", lambda r: nnx.GRUCell(3, 4, bias_init=NORMAL, rngs=r))


def _nnx_rnn(g, name, make, shape=(4, 5, 3), **call):
  x = normal(shape)
  model = make(nnx.Rngs(0))
  parts = {"params": _params(model)}

  def run(m, x):
    return m(x, return_carry=True, **call)

  d_params, d_x = _nnx_grads(model, lambda m, x: _weighted(run(m, x)), x)
  carry, out = run(model, x)
  if call.get("seq_lengths") is not None:
    parts["seq_lengths"] = call["seq_lengths"]
  options = {k: v for k, v in call.items() if k != "seq_lengths"}
  g.case(f"nnx/rnn/{name}", f"{model.__class__.__name__} on {shape}, {options}", x=x, carry=carry,
         out=out, grad={"params": d_params, "x": d_x}, **parts)


class DroppedGRU(nnx.RNNCellBase):
  """A GRU whose inputs are dropped."""

  def __init__(self, rngs):
    self.cell = nnx.GRUCell(3, 4, rngs=rngs)
    self.drop = nnx.Dropout(0.5, rngs=rngs)

  def __call__(self, carry, x):
    return self.cell(carry, self.drop(x))

  def initialize_carry(self, input_shape, rngs=None, carry_init=None):
    return self.cell.initialize_carry(input_shape, rngs, carry_init)

  @property
  def num_feature_axes(self):
    return 1


def _nnx_layers(g):
  lstm = lambda r, **k: nnx.OptimizedLSTMCell(3, 4, rngs=r, **k)
  gru = lambda r, **k: nnx.GRUCell(3, 4, rngs=r, **k)
  _nnx_rnn(g, "simple", lambda r: nnx.RNN(nnx.SimpleCell(3, 4, rngs=r)))
  _nnx_rnn(g, "lstm", lambda r: nnx.RNN(nnx.LSTMCell(3, 4, rngs=r)))
  _nnx_rnn(g, "optimized_lstm", lambda r: nnx.RNN(lstm(r)))
  _nnx_rnn(g, "gru", lambda r: nnx.RNN(gru(r)))
  _nnx_rnn(g, "reverse", lambda r: nnx.RNN(gru(r), reverse=True))
  _nnx_rnn(g, "lengths_reverse_keep_order",
           lambda r: nnx.RNN(lstm(r), reverse=True, keep_order=True), seq_lengths=LENGTHS)
  _nnx_rnn(g, "lengths_time_major", lambda r: nnx.RNN(lstm(r)), (5, 4, 3), seq_lengths=LENGTHS,
           time_major=True)
  _nnx_rnn(g, "bidirectional", lambda r: nnx.Bidirectional(nnx.RNN(gru(r)), nnx.RNN(lstm(r))))
  _nnx_rnn(g, "bidirectional_lengths", lambda r: nnx.Bidirectional(
      nnx.RNN(gru(r)), nnx.RNN(gru(r))), seq_lengths=LENGTHS)

  x = normal((4, 5, 3))

  def twice(name, note, make, **call):
    model = make(nnx.Rngs(0))
    g.case(f"nnx/twice/{name}", note, x=x, first=model(x, **call), second=model(x, **call))

  twice("carry_stream", "RNN(GRUCell(3, 4, carry_init=normal)) called twice",
        lambda r: nnx.RNN(gru(r, carry_init=NORMAL)))
  twice("carry_of_rngs", "the same with rngs=Rngs(0) after the cell",
        lambda r: nnx.RNN(gru(r, carry_init=NORMAL), rngs=r))
  twice("carry_of_call", "the same with rngs=Rngs(5) in the calls",
        lambda r: nnx.RNN(gru(r, carry_init=NORMAL)), rngs=nnx.Rngs(5))
  twice("bidirectional_carry", "Bidirectional of two of them",
        lambda r: nnx.Bidirectional(nnx.RNN(gru(r, carry_init=NORMAL)),
                                    nnx.RNN(lstm(r, carry_init=NORMAL))))
  twice("dropout", "RNN(Dropout(0.5) before GRUCell(3, 4)) called twice",
        lambda r: nnx.RNN(DroppedGRU(r)))
  twice("dropout_broadcast", "the same with broadcast_rngs='dropout'",
        lambda r: nnx.RNN(DroppedGRU(r), broadcast_rngs="dropout"))


def _flips(g):
  x = jnp.arange(24.0).reshape(4, 2, 3).swapaxes(1, 2)  # (4, 3, 2)
  lengths = jnp.array([1, 2, 3, 0])
  g.case("flip/plain", "batch first", x=x, out=flip_sequences(x, None, 1, False))
  g.case("flip/lengths", "lengths [1, 2, 3, 0]", x=x, out=flip_sequences(x, lengths, 1, False))
  y = x.swapaxes(0, 1)
  g.case("flip/time_major", "lengths [1, 2, 3, 0]", x=y, out=flip_sequences(y, lengths, 1, True))
  ids = jnp.arange(12).reshape(4, 3)
  g.case("flip/no_features", "integers [4, 3], lengths [1, 2, 3, 0]", x=ids,
         out=flip_sequences(ids, lengths, 1, False))
  more = jnp.arange(24).reshape(2, 2, 3, 2)
  g.case("flip/two_batch_dims", "lengths [[1, 2], [3, 0]]", x=more,
         out=flip_sequences(more, lengths.reshape(2, 2), 2, False))


class Encoder(nnx.Module):
  """An LSTM over time with its last output."""

  def __init__(self, rngs):
    self.rnn = nnx.RNN(nnx.OptimizedLSTMCell(3, 4, rngs=rngs))

  def __call__(self, x):
    (_, h), y = self.rnn(x, return_carry=True)
    return y + h[:, None]


def _bridge(g):
  x = normal((2, 5, 3))
  for name, module in (("to_nnx_rnn", nn.RNN(nn.LSTMCell(4))),
                       ("to_nnx_bidirectional",
                        nn.Bidirectional(nn.RNN(nn.GRUCell(4)), nn.RNN(nn.GRUCell(4))))):
    model = nnx.bridge.ToNNX(module, rngs=nnx.Rngs(0)).lazy_init(x)
    g.case(f"bridge/{name}", "ToNNX with Rngs(0)", x=x, params=_params(model), out=model(x))
  cell = nnx.bridge.to_linen(nnx.LSTMCell, 3, 4)
  carry = (normal((2, 4), 4), normal((2, 4), 5))
  variables = cell.init(random.key(0), carry, x[:, 0])
  new_carry, out = cell.apply(variables, carry, x[:, 0])
  g.case("bridge/to_linen_lstm_cell", "to_linen(LSTMCell, 3, 4) with key(0)", x=x[:, 0],
         carry=carry, params=variables["params"], new_carry=new_carry, out=out)
  encoder = nnx.bridge.to_linen(Encoder)
  variables = encoder.init(random.key(0), x)
  g.case("bridge/to_linen_encoder", "to_linen(a module with nnx.RNN) with key(0)", x=x,
         params=variables["params"], out=encoder.apply(variables, x))


def _tagger_batch(key, count, time):
  """make_batch of examples/sequence_tagger."""
  keys = random.split(key)
  lengths = random.randint(keys[0], (count,), time // 2, time + 1)
  position = jnp.arange(time)
  tokens = jnp.where(position < lengths[:, None], random.randint(keys[1], (count, time), 0, 12), 2)
  tags = jnp.zeros_like(tokens)
  for b in range(count):
    row, last = [int(t) for t in tokens[b]], 2
    for t in range(time):
      last = row[t] if row[t] < 2 else last
      after = next((u for u in row[t:] if u < 2), 2)
      tags = tags.at[b, t].set(int(last == 0 and after == 1 and row[t] >= 2))
  return tokens, tags, lengths


class Tagger(nn.Module):
  """The functional tagger of examples/sequence_tagger. (Layers made within a compact method would
  be submodules of this one.)"""
  rnn: nn.Module

  @nn.compact
  def __call__(self, tokens, lengths):
    x = nn.Embed(12, 16, name="embed")(tokens)
    return nn.Dense(2, name="head")(self.rnn(x, seq_lengths=lengths))


class StatefulTagger(nnx.Module):
  """The stateful tagger of examples/sequence_tagger."""

  def __init__(self, cell, rngs):
    self.embed = nnx.Embed(12, 16, rngs=rngs)
    self.rnn = nnx.Bidirectional(nnx.RNN(cell(16, 32, rngs=rngs)), nnx.RNN(cell(16, 32, rngs=rngs)))
    self.head = nnx.Linear(64, 2, rngs=rngs)

  def __call__(self, tokens, lengths):
    return self.head(self.rnn(self.embed(tokens), seq_lengths=lengths))


def _tagger(g):
  batch = _tagger_batch(random.key(1), 16, 12)
  tokens, tags, lengths = batch
  weights = (jnp.arange(12) < lengths[:, None]).astype(jnp.float32)

  def loss_of(logits):
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, tags)
    return (losses * weights).sum() / weights.sum()

  g.case("tagger", "batch of key(1); losses of 50 steps of adam(0.01) with seed 0", tokens=tokens,
         tags=tags, lengths=lengths)
  tx = optax.adam(0.01)
  for name, cell in (("lstm", nn.OptimizedLSTMCell), ("gru", nn.GRUCell)):
    module = Tagger(nn.Bidirectional(nn.RNN(cell(32)), nn.RNN(cell(32))))
    params = module.init(random.key(0), tokens, lengths)["params"]
    state = tx.init(params)

    @jax.jit
    def step(params, state):
      loss, grads = jax.value_and_grad(
          lambda p: loss_of(module.apply({"params": p}, tokens, lengths)))(params)
      updates, state = tx.update(grads, state, params)
      return loss, optax.apply_updates(params, updates), state

    losses = []
    for _ in range(50):
      loss, params, state = step(params, state)
      losses.append(loss)
    g.case(f"tagger_losses/linen_{name}", f"{cell.__name__}", losses=jnp.stack(losses))
  for name, cell in (("lstm", nnx.OptimizedLSTMCell), ("gru", nnx.GRUCell)):
    model = StatefulTagger(cell, nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
      loss, grads = nnx.value_and_grad(lambda m: loss_of(m(tokens, lengths)))(model)
      optimizer.update(model, grads)
      return loss

    losses = [step(model, optimizer) for _ in range(50)]
    g.case(f"tagger_losses/nnx_{name}", f"{cell.__name__}", losses=jnp.stack(losses))


def make():
  g = GoldenFile("recurrent")
  _linen_cells(g)
  _linen_layers(g)
  _linen_lifted(g)
  _nnx_cells(g)
  _nnx_layers(g)
  _flips(g)
  _bridge(g)
  _tagger(g)
  return g
