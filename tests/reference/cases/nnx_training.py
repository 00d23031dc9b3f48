"""Training helpers of the object API: metrics, LoRA, running means, and a loop in both styles."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import random

from golden_file import GoldenFile


def normal(shape, seed):
  return random.normal(random.key(seed), shape)


def _metrics(g):
  masks = [jnp.array([1, 0, 1, 1, 1], bool), jnp.array([0, 1, 1, 0, 1], bool)]
  labels = [jnp.array([0, 1, 1, 2, 0]), jnp.array([2, 2, 1, 0, 0])]
  accuracy, masked = nnx.metrics.Accuracy(), nnx.metrics.Accuracy()
  binary = nnx.metrics.Accuracy(threshold=0.5)
  average, masked_average = nnx.metrics.Average(), nnx.metrics.Average()
  welford = nnx.metrics.Welford()
  for i in range(2):
    logits = normal((5, 3), i)
    accuracy.update(logits=logits, labels=labels[i])
    masked.update(logits=logits, labels=labels[i], mask=masks[i])
    binary.update(logits=logits[:, 0], labels=(labels[i] > 1).astype(jnp.int32))
    average.update(values=logits)
    masked_average.update(values=logits[:, 1], mask=masks[i])
    welford.update(values=logits * (i + 1) + i)
  stats = welford.compute()
  g.case("metrics", "two batches normal(key(i), (5, 3)) with labels [0,1,1,2,0], [2,2,1,0,0] and "
         "masks [1,0,1,1,1], [0,1,1,0,1]; binary: column 0 at 0.5, labels > 1; masked_average: "
         "column 1; welford: logits * (i + 1) + i",
         accuracy=accuracy.compute(), masked=masked.compute(), binary=binary.compute(),
         average=average.compute(), masked_average=masked_average.compute(),
         welford=jnp.stack([stats.mean, stats.standard_error_of_mean, stats.standard_deviation]))


class Mlp(nnx.Module):
  def __init__(self, rngs):
    # A bias before the norm has no gradient but noise, which adam scales up.
    self.up = nnx.Linear(3, 4, use_bias=False, rngs=rngs)
    self.norm = nnx.BatchNorm(4, rngs=rngs)
    self.down = nnx.Linear(4, 2, rngs=rngs)

  def __call__(self, x):
    return self.down(jnp.tanh(self.norm(self.up(x))))


def _loop(g):
  model = Mlp(nnx.Rngs(0))
  optimizer = nnx.Optimizer(model, optax.adamw(0.05, weight_decay=0.1), wrt=nnx.Param)
  ema = nnx.EMA(model, 0.75, only=nnx.Param)
  x, y = normal((8, 3), 1), normal((8, 2), 2)
  losses = []
  for _ in range(5):
    loss, grads = nnx.value_and_grad(lambda m: ((m(x) - y) ** 2).mean())(model)
    updates = optimizer.update(model, grads)
    ema.update(model)
    losses.append(loss)
  pure = lambda s: nnx.to_pure_dict(s)
  g.case("loop", "Linear(3, 4) without bias, BatchNorm(4), tanh, Linear(4, 2) on normal(key(1), "
         "(8, 3)) against normal(key(2), (8, 2)): five steps of adamw(0.05, "
         "weight_decay=0.1); EMA(0.75)",
         losses=jnp.stack(losses), params=pure(nnx.state(model, nnx.Param)),
         stats=pure(nnx.state(model, nnx.BatchStat)), ema=pure(ema.params),
         updates=nnx.to_pure_dict(updates))


class Shared(nnx.Module):
  def __init__(self, rngs):
    self.block = nnx.Linear(3, 3, rngs=rngs)
    self.head = nnx.Linear(3, 1, rngs=rngs)

  def __call__(self, x):
    return self.head(jnp.tanh(self.block(jnp.tanh(self.block(x)))))


def _shared(g):
  model = Shared(nnx.Rngs(0))
  x = normal((4, 3), 1)
  loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).sum())(model)
  g.case("shared", "one Linear(3, 3) used twice, Linear(3, 1): loss sum(y^2) and gradients",
         loss=loss, grads=nnx.to_pure_dict(grads))


def _lora(g):
  x = normal((2, 3), 1)
  rngs = nnx.Rngs(0)
  base = nnx.Linear(3, 4, rngs=rngs)
  wrapper = nnx.LoRA(3, 2, 4, base_module=base, rngs=nnx.Rngs(1))
  wrapper.lora_b[...] = normal((2, 4), 2)
  grads = nnx.grad(lambda m: m(x).sum(), argnums=nnx.DiffState(0, nnx.LoRAParam))(wrapper)
  g.case("lora", "LoRA(3, 2, 4, base Linear(3, 4) of Rngs(0), Rngs(1)), lora_b normal(key(2)), on "
         "normal(key(1), (2, 3)); gradients of the sum",
         a=wrapper.lora_a.get_value(), out=wrapper(x), grads=nnx.to_pure_dict(grads))


def make():
  g = GoldenFile("nnx_training")
  for part in (_metrics, _loop, _shared, _lora):
    part(g)
  return g
