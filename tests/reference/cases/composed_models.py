"""Models that are put together by transformations and wrappers, in both module APIs and with parts of
the other, from seeds alone: bidirectional taggers, a scanned language model, a mixture of experts
under vmap, LoRA fine-tuning, a weight- and spectral-normed GAN. Keys and data are those of models.py.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import nnx
from flax.nnx import bridge
from jax import random

from cases.models import KEYS
from cases.models import cross_entropy
from cases.models import examples
from cases.models import of_functional
from cases.models import of_object
from golden_file import GoldenFile
from model_golden import BATCHES
from model_golden import STEPS
from model_golden import put_rows
from model_golden import put_tree


def sequences(batch, length, words, classes):
  shape = (BATCHES, batch, length)
  return (random.randint(random.key(100), shape, 0, words),
          random.randint(random.key(101), shape, 0, classes))


# Taggers: i32[n,6] of 12 words -> 3 classes for each, bidirectional.

def functional_rnn(cell):
  return nn.Bidirectional(nn.RNN(cell(10)), nn.RNN(cell(10)))


def object_rnn(cell, rngs):
  return nnx.Bidirectional(nnx.RNN(cell(8, 10, rngs=rngs)), nnx.RNN(cell(8, 10, rngs=rngs)))


class Tagger(nn.Module):
  """Functional. (Cells made within a compact method would be submodules of this one.)"""
  rnn: nn.Module

  @nn.compact
  def __call__(self, tokens, train):
    x = nn.Embed(12, 8, name="embed")(tokens)
    x = nn.Dropout(0.2, deterministic=not train)(x)
    return nn.Dense(3, name="head")(self.rnn(x))


class ObjectTagger(nnx.Module):
  """An object."""

  def __init__(self, cell, rngs):
    self.embed = nnx.Embed(12, 8, rngs=rngs)
    self.dropout = nnx.Dropout(0.2, rngs=rngs)
    self.rnn = object_rnn(cell, rngs)
    self.head = nnx.Linear(20, 3, rngs=rngs)

  def __call__(self, tokens, train):
    x = self.dropout(self.embed(tokens), deterministic=not train)
    return self.head(self.rnn(x))


class MixedTagger(nn.Module):
  """Functional, round recurrent layers that are an object."""
  cell: type

  @nn.compact
  def __call__(self, tokens, train):
    x = nn.Embed(12, 8, name="embed")(tokens)
    x = bridge.to_linen(object_rnn, self.cell, name="rnn")(x)
    return nn.Dense(3, name="head")(x)


class MixedObjectTagger(nnx.Module):
  """An object round functional recurrent layers."""

  def __init__(self, cell, rngs):
    self.embed = nnx.Embed(12, 8, rngs=rngs)
    self.rnn = bridge.ToNNX(functional_rnn(cell), rngs=rngs)
    self.head = nnx.Linear(20, 3, rngs=rngs)

  def __call__(self, tokens, train):
    return self.head(self.rnn(self.embed(tokens)))


def with_cell(model, cell):
  make = functools.partial(model, cell)
  make.__name__ = model.__name__
  return make


def _taggers(g):
  data, tx = sequences(8, 6, 12, 3), optax.adam(1e-2)
  for name, cell, object_cell in (("lstm", nn.OptimizedLSTMCell, nnx.OptimizedLSTMCell),
                                  ("gru", nn.GRUCell, nnx.GRUCell)):
    of_functional(g, f"{name}/linen", Tagger(functional_rnn(cell)), data, cross_entropy, tx)
    of_functional(g, f"{name}/linen_mixed", MixedTagger(object_cell), data, cross_entropy, tx)
    for kind, model, of in (("nnx", ObjectTagger, object_cell),
                            ("nnx_mixed", MixedObjectTagger, cell)):
      of_object(g, f"{name}/{kind}", with_cell(model, of), data, cross_entropy, tx)


# Language model: i32[n,8] of 24 words, 16 features, 2 heads, 4 layers that are one block under scan,
# recomputed by remat, head tied to the table.

class GptBlock(nn.Module):
  train: bool

  @nn.compact
  def __call__(self, x):
    h = x + nn.SelfAttention(2, name="attention")(
        nn.LayerNorm(name="norm1")(x), mask=nn.make_causal_mask(x[..., 0]))
    y = nn.gelu(nn.Dense(32, name="up")(nn.LayerNorm(name="norm2")(h)))
    y = nn.Dense(16, name="down")(y)
    return h + nn.Dropout(0.1, deterministic=not self.train, name="dropout")(y), ()


def scanned(block):
  return nn.scan(nn.remat(block), variable_axes={"params": 0},
                 split_rngs={"params": True, "dropout": True}, length=4)


class Gpt(nn.Module):
  """Functional: nn.scan of nn.remat."""

  block = GptBlock

  @nn.compact
  def __call__(self, tokens, train):
    embed = nn.Embed(24, 16, name="embed")
    x = embed(tokens) + self.param("position", nn.initializers.normal(0.02), (8, 16))
    x, _ = scanned(self.block)(train, name="layers")(x)
    return embed.attend(nn.LayerNorm(name="norm")(x))


class ObjectFeedForward(nnx.Module):

  def __init__(self, rngs):
    self.up = nnx.Linear(16, 32, rngs=rngs)
    self.down = nnx.Linear(32, 16, rngs=rngs)
    self.dropout = nnx.Dropout(0.1, rngs=rngs)

  def __call__(self, x, train):
    return self.dropout(self.down(nnx.gelu(self.up(x))), deterministic=not train)


class MixedGptBlock(nn.Module):
  train: bool

  @nn.compact
  def __call__(self, x):
    h = x + nn.SelfAttention(2, name="attention")(
        nn.LayerNorm(name="norm1")(x), mask=nn.make_causal_mask(x[..., 0]))
    y = bridge.to_linen(ObjectFeedForward, name="mlp")(nn.LayerNorm(name="norm2")(h), self.train)
    return h + y, ()


class MixedGpt(Gpt):
  """The same with an object inside the scanned, recomputed block."""

  block = MixedGptBlock


class GptLayers(nn.Module):
  """The scanned blocks as a module of their own."""

  @nn.compact
  def __call__(self, x, train):
    return scanned(GptBlock)(train, name="layers")(x)[0]


class MixedObjectGpt(nnx.Module):
  """An object round functional blocks, scanned and recomputed."""

  def __init__(self, rngs):
    self.embed = nnx.Embed(24, 16, rngs=rngs)
    self.position = nnx.Param(nnx.initializers.normal(0.02)(rngs.params(), (8, 16)))
    self.blocks = bridge.ToNNX(GptLayers(), rngs=rngs)
    self.norm = nnx.LayerNorm(16, rngs=rngs)

  def __call__(self, tokens, train):
    x = self.embed(tokens) + self.position[...]
    return self.embed.attend(self.norm(self.blocks(x, train)))


class ObjectGptBlock(nnx.Module):

  def __init__(self, rngs):
    self.norm1 = nnx.LayerNorm(16, rngs=rngs)
    self.attention = nnx.MultiHeadAttention(2, 16, decode=False, rngs=rngs)
    self.norm2 = nnx.LayerNorm(16, rngs=rngs)
    self.up = nnx.Linear(16, 32, rngs=rngs)
    self.down = nnx.Linear(32, 16, rngs=rngs)
    self.dropout = nnx.Dropout(0.1, rngs=rngs)

  def __call__(self, x, train):
    h = x + self.attention(self.norm1(x), mask=nnx.make_causal_mask(x[..., 0]))
    y = self.down(nnx.gelu(self.up(self.norm2(h))))
    return h + self.dropout(y, deterministic=not train)


class ObjectGpt(nnx.Module):
  """An object: blocks made by nnx.vmap, run by nnx.scan of nnx.remat."""

  def __init__(self, rngs):
    self.embed = nnx.Embed(24, 16, rngs=rngs)
    self.position = nnx.Param(nnx.initializers.normal(0.02)(rngs.params(), (8, 16)))
    make = nnx.vmap(ObjectGptBlock, in_axes=0, out_axes=0)
    self.blocks = nnx.split_rngs(splits=4)(make)(rngs)
    self.norm = nnx.LayerNorm(16, rngs=rngs)

  def __call__(self, tokens, train):
    block = nnx.remat(lambda h, layer: layer(h, train))
    layers = nnx.scan(block, in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
    x = self.embed(tokens) + self.position[...]
    return self.embed.attend(self.norm(layers(x, self.blocks)))


def _gpt(g):
  data, tx = sequences(8, 8, 24, 24), optax.adam(1e-2)
  of_functional(g, "gpt/linen", Gpt(), data, cross_entropy, tx)
  of_functional(g, "gpt/linen_mixed", MixedGpt(), data, cross_entropy, tx)
  of_object(g, "gpt/nnx", ObjectGpt, data, cross_entropy, tx)
  of_object(g, "gpt/nnx_mixed", MixedObjectGpt, data, cross_entropy, tx)


# Mixture of 4 experts under vmap, the two best of which count: f32[n,8] -> 5 classes.

class Expert(nn.Module):
  train: bool

  @nn.compact
  def __call__(self, x):
    x = nn.gelu(nn.Dense(12, name="up")(x))
    return nn.Dense(8, name="down")(nn.Dropout(0.1, deterministic=not self.train)(x))


def mixed_by(gates, outs):
  """gates [n,experts], outs [experts,n,f] -> [n,f], weighted by the softmax of the best two."""
  second = jax.lax.top_k(gates, 2)[0][:, 1:]
  weights = jax.nn.softmax(jnp.where(gates >= second, gates, -1e9))
  return jnp.einsum("ne,enf->nf", weights, outs)


class Moe(nn.Module):
  """Functional: nn.vmap."""

  def gate(self):
    return nn.Dense(4, use_bias=False, name="gate")

  @nn.compact
  def __call__(self, x, train):
    experts = nn.vmap(Expert, variable_axes={"params": 0},
                      split_rngs={"params": True, "dropout": True}, in_axes=None, out_axes=0,
                      axis_size=4)
    x = x + mixed_by(self.gate()(x), experts(train, name="experts")(x))
    return nn.Dense(5, name="head")(x)


class MixedMoe(Moe):
  """The same with an object as gate."""

  def gate(self):
    return bridge.to_linen(nnx.Linear, 8, 4, use_bias=False, name="gate")


class ObjectExpert(nnx.Module):

  def __init__(self, rngs):
    self.up = nnx.Linear(8, 12, rngs=rngs)
    self.dropout = nnx.Dropout(0.1, rngs=rngs)
    self.down = nnx.Linear(12, 8, rngs=rngs)

  def __call__(self, x, train):
    return self.down(self.dropout(nnx.gelu(self.up(x)), deterministic=not train))


class ObjectMoe(nnx.Module):
  """An object: experts made and called by nnx.vmap."""

  def __init__(self, rngs):
    self.gate = nnx.Linear(8, 4, use_bias=False, rngs=rngs)
    self.experts = nnx.split_rngs(splits=4)(nnx.vmap(ObjectExpert))(rngs)
    self.head = self.make_head(rngs)

  def make_head(self, rngs):
    return nnx.Linear(8, 5, rngs=rngs)

  def __call__(self, x, train):
    outs = nnx.vmap(lambda expert, x: expert(x, train), in_axes=(0, None))(self.experts, x)
    return self.head(x + mixed_by(self.gate(x), outs))


class MixedObjectMoe(ObjectMoe):
  """The same with a functional head."""

  def make_head(self, rngs):
    return bridge.ToNNX(nn.Dense(5), rngs=rngs)


def _moe(g):
  data, tx = examples((16, 8), 5), optax.adam(1e-2)
  of_functional(g, "moe/linen", Moe(), data, cross_entropy, tx)
  of_functional(g, "moe/linen_mixed", MixedMoe(), data, cross_entropy, tx)
  of_object(g, "moe/nnx", ObjectMoe, data, cross_entropy, tx)
  of_object(g, "moe/nnx_mixed", MixedObjectMoe, data, cross_entropy, tx)


# LoRA: f32[n,8] -> 16 -> 4 classes, rank 2; only the factors are trained.

class ObjectLora(nnx.Module):
  """An object; gradients and optimizer with respect to LoRAParam."""

  def __init__(self, rngs):
    self.up = nnx.LoRALinear(8, 16, lora_rank=2, rngs=rngs)
    self.norm = nnx.LayerNorm(16, rngs=rngs)
    self.head = nnx.LoRA(16, 2, 4, base_module=nnx.Linear(16, 4, rngs=rngs), rngs=rngs)

  def __call__(self, x):
    return self.head(nnx.relu(self.norm(self.up(x))))


class FunctionalLora(nn.Module):
  """Functional, with an object layer; gradients with respect to its collection."""

  @nn.compact
  def __call__(self, x):
    x = bridge.to_linen(nnx.LoRALinear, 8, 16, lora_rank=2, name="up")(x)
    return nn.Dense(4, name="head")(nn.relu(nn.LayerNorm(name="norm")(x)))


def _object_lora(g, data, tx):
  g.notes["lora/nnx"] = ObjectLora.__doc__
  model = ObjectLora(nnx.Rngs(**KEYS))
  wrt = nnx.LoRAParam
  put_tree(g, "lora/nnx/initial", nnx.state(model))
  g.put("lora/nnx/evaluated", model(data[0][0]))
  optimizer = nnx.Optimizer(model, tx, wrt=wrt)

  @nnx.jit
  def step(model, optimizer, x, labels):
    value, grads = nnx.value_and_grad(lambda m: cross_entropy(m(x), x, labels),
                                      argnums=nnx.DiffState(0, wrt))(model)
    optimizer.update(model, grads)
    return value, grads

  losses = []
  for t in range(STEPS):
    value, grads = step(model, optimizer, data[0][t % BATCHES], data[1][t % BATCHES])
    losses.append(value)
    if t == 1:  # at first one factor of every product is zero
      put_tree(g, "lora/nnx/gradients", grads)
  g.put("lora/nnx/losses", np.array(losses, np.float32))


def _functional_lora(g, data, tx):
  g.notes["lora/linen"] = FunctionalLora.__doc__
  model = FunctionalLora()
  variables = model.init(random.key(0), data[0][0])
  put_tree(g, "lora/linen/initial", variables)
  g.put("lora/linen/evaluated", model.apply(variables, data[0][0]))
  name = next(k for k in variables if k not in ("params", "nnx"))
  factors, frozen = variables[name], {k: v for k, v in variables.items() if k != name}
  state, losses = tx.init(factors), []

  @jax.jit
  def step(factors, state, x, labels):
    value, grads = jax.value_and_grad(
        lambda f: cross_entropy(model.apply({**frozen, name: f}, x), x, labels))(factors)
    updates, state = tx.update(grads, state, factors)
    return optax.apply_updates(factors, updates), state, value, grads

  for t in range(STEPS):
    factors, state, value, grads = step(factors, state, data[0][t % BATCHES], data[1][t % BATCHES])
    losses.append(value)
    if t == 1:
      put_tree(g, "lora/linen/gradients", grads)
  g.put("lora/linen/losses", np.array(losses, np.float32))


def _lora(g):
  data, tx = examples((16, 8), 4), optax.adam(3e-2)
  _object_lora(g, data, tx)
  _functional_lora(g, data, tx)


# GAN: noise f32[n,4] -> f32[n,6], weight-normed; judged by a spectrally normed discriminator.

def weight_normed(features):
  return nn.WeightNorm(nn.Dense(features))


def spectrally_normed(features):
  return nn.SpectralNorm(nn.Dense(features))


class Generator(nn.Module):
  hidden: nn.Module
  out: nn.Module

  @nn.compact
  def __call__(self, z):
    return self.out(nn.relu(self.hidden(z)))


class Discriminator(nn.Module):
  hidden: nn.Module
  out: nn.Module

  @nn.compact
  def __call__(self, x, train):
    x = nn.leaky_relu(self.hidden(x, update_stats=train), 0.2)
    return self.out(x, update_stats=train)


class ObjectGenerator(nnx.Module):

  def __init__(self, rngs):
    self.hidden = bridge.ToNNX(weight_normed(12), rngs=rngs)
    self.out = bridge.ToNNX(weight_normed(6), rngs=rngs)

  def __call__(self, z):
    return self.out(nnx.relu(self.hidden(z)))


class ObjectDiscriminator(nnx.Module):

  def __init__(self, rngs):
    self.hidden = bridge.ToNNX(spectrally_normed(12), rngs=rngs)
    self.out = bridge.ToNNX(spectrally_normed(1), rngs=rngs)

  def __call__(self, x, train):
    more = {"update_stats": train, "mutable": ["batch_stats"] if train else False}
    return self.out(nnx.leaky_relu(self.hidden(x, **more), 0.2), **more)


def _noise(t):
  return random.normal(random.fold_in(random.key(7), t), (16, 4))


def _judged(real, fake):
  """The discriminator's loss: softplus(-D(real)) + softplus(D(fake))."""
  return jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake))


def _functional_gan(g, data, tx_g, tx_d):
  g.notes["gan/linen"] = "functional; an update of the discriminator, then one of the generator"
  generator = Generator(weight_normed(12), weight_normed(6))
  judge = Discriminator(spectrally_normed(12), spectrally_normed(1))
  of_g = generator.init(random.key(0), _noise(0))["params"]
  of_d = judge.init(random.key(1), data[0], False)
  put_tree(g, "gan/linen/generator", {"params": of_g})
  put_tree(g, "gan/linen/discriminator", of_d)
  g.put("gan/linen/made", generator.apply({"params": of_g}, _noise(0)))
  g.put("gan/linen/judged", judge.apply(of_d, data[0], False))
  params, stats = of_d["params"], of_d["batch_stats"]

  def see(params, stats, x):
    out, changed = judge.apply({"params": params, "batch_stats": stats}, x, True,
                               mutable=["batch_stats"])
    return out, changed["batch_stats"]

  def loss_d(params, stats, of_g, x, z):
    real, stats = see(params, stats, x)
    fake, stats = see(params, stats, generator.apply({"params": of_g}, z))
    return _judged(real, fake), stats

  def loss_g(of_g, params, stats, z):
    fake = judge.apply({"params": params, "batch_stats": stats},
                       generator.apply({"params": of_g}, z), False)
    return jnp.mean(jax.nn.softplus(-fake))

  @jax.jit
  def step(of_g, params, stats, state_g, state_d, x, z):
    (d, stats), grads_d = jax.value_and_grad(loss_d, has_aux=True)(params, stats, of_g, x, z)
    updates, state_d = tx_d.update(grads_d, state_d, params)
    params = optax.apply_updates(params, updates)
    gen, grads_g = jax.value_and_grad(loss_g)(of_g, params, stats, z)
    updates, state_g = tx_g.update(grads_g, state_g, of_g)
    return optax.apply_updates(of_g, updates), params, stats, state_g, state_d, d, gen, grads_d, grads_g

  state_g, state_d, losses = tx_g.init(of_g), tx_d.init(params), []
  for t in range(STEPS):
    of_g, params, stats, state_g, state_d, d, gen, grads_d, grads_g = step(
        of_g, params, stats, state_g, state_d, data[t % BATCHES], _noise(t))
    losses += [d, gen]
    if t == 0:
      put_rows(g, "gan/linen/gradients_d", grads_d)
      put_rows(g, "gan/linen/gradients_g", grads_g)
      put_rows(g, "gan/linen/updates", {"batch_stats": stats})
  g.put("gan/linen/losses", np.array(losses, np.float32))


def _object_gan(g, data, tx_g, tx_d):
  g.notes["gan/nnx"] = "objects round the functional norms, with an nnx.Optimizer each"
  generator = ObjectGenerator(nnx.Rngs(0))
  judge = ObjectDiscriminator(nnx.Rngs(1))
  bridge.lazy_init(generator, _noise(0))
  bridge.lazy_init(judge, data[0], False)
  put_tree(g, "gan/nnx/generator", nnx.state(generator))
  put_tree(g, "gan/nnx/discriminator", nnx.state(judge))
  g.put("gan/nnx/made", generator(_noise(0)))
  g.put("gan/nnx/judged", judge(data[0], False))
  optimizer_g = nnx.Optimizer(generator, tx_g, wrt=nnx.Param)
  optimizer_d = nnx.Optimizer(judge, tx_d, wrt=nnx.Param)

  @nnx.jit
  def step(generator, judge, optimizer_g, optimizer_d, x, z):
    d, grads_d = nnx.value_and_grad(
        lambda j, x, fake: _judged(j(x, True), j(fake, True)))(judge, x, generator(z))
    optimizer_d.update(judge, grads_d)
    gen, grads_g = nnx.value_and_grad(
        lambda m, j, z: jnp.mean(jax.nn.softplus(-j(m(z), False))))(generator, judge, z)
    optimizer_g.update(generator, grads_g)
    return d, gen, grads_d, grads_g

  losses = []
  for t in range(STEPS):
    d, gen, grads_d, grads_g = step(generator, judge, optimizer_g, optimizer_d, data[t % BATCHES],
                                    _noise(t))
    losses += [d, gen]
    if t == 0:
      put_rows(g, "gan/nnx/gradients_d", grads_d)
      put_rows(g, "gan/nnx/gradients_g", grads_g)
      put_rows(g, "gan/nnx/updates", nnx.state(judge, nnx.BatchStat))
  g.put("gan/nnx/losses", np.array(losses, np.float32))


def _gan(g):
  data = examples((16, 6), 1)[0]
  txs = optax.adam(3e-3), optax.adam(3e-3, b1=0.5)
  _functional_gan(g, data, *txs)
  _object_gan(g, data, *txs)


def make():
  golden = GoldenFile("composed_models")
  for part in (_taggers, _gpt, _moe, _lora, _gan):
    with nnx.use_eager_sharding(False):
      part(golden)
  return golden
