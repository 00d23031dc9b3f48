"""Reference of the Fashion-MNIST demo: one network, written in each of the two module APIs.

    python demo_model.py --api nnx          # stateful root, functional convolution blocks
    python demo_model.py --api linen        # functional root, stateful convolution blocks

This header is the full specification: a program that follows it reproduces the initial
parameters, the dropout masks and the order of the data from the seed. Random numbers are
those of docs/rng.md (threefry, default layout); `F(key, path + (count,))` is the path fold
of its section 8.

Network (both variants; x is f32[n,28,28,1], axis order n,h,w,c)
----------------------------------------------------------------
    stem   ConvBlock 1 -> 32      f32[n,14,14,32]
    body   ConvBlock 32 -> 64     f32[n,7,7,64]
    flatten, row-major            f32[n,3136]
    dense  3136 -> 128 with bias, then relu
    dropout, rate 0.4
    head   128 -> 10 with bias    logits f32[n,10]

    ConvBlock: convolution 3x3, stride 1, SAME padding, no bias   (submodule "conv")
               max pooling 2x2, stride 2, VALID padding
               batch normalisation over n,h,w; scale and bias;    (submodule "norm")
                 momentum 0.9, epsilon 1e-5
               relu
               Called as block(x, train). In training the batch statistics are used
               (mean and biased variance mean(x^2) - mean(x)^2, not below 0) and the moving ones
               become 0.9 * old + 0.1 * batch; in evaluation the moving ones are used.

All parameters are float32. Kernels are lecun_normal (a truncated normal), biases and
moving means zero, scales and moving variances one. About 410 thousand parameters in 8
tensors plus 4 moving statistics:

    params/stem/conv/kernel  (3,3,1,32)      params/body/conv/kernel  (3,3,32,64)
    params/stem/norm/scale   (32,)           params/body/norm/scale   (64,)
    params/stem/norm/bias    (32,)           params/body/norm/bias    (64,)
    params/dense/kernel      (3136,128)      params/dense/bias        (128,)
    params/head/kernel       (128,10)        params/head/bias         (10,)
    batch_stats/stem/norm/mean, var (32,)    batch_stats/body/norm/mean, var (64,)

Forward pass 8.5 million, forward and backward 25 million floating-point operations per image.

Variant api=nnx
---------------
    StatefulNetwork(config, rngs), rngs = Rngs(params=seed, dropout=seed+1), members built in
    this order:
        stem    ToNNX(ConvBlock(32), rngs)     the wrapper forks both streams of rngs:
        body    ToNNX(ConvBlock(64), rngs)     params and dropout counts 0 (stem) and 1 (body)
        dense   nnx Linear(3136, 128, rngs)    params counts 2 (kernel), 3 (bias)
        dropout nnx Dropout(0.4, rngs)         forks dropout: count 2
        head    nnx Linear(128, 10, rngs)      params counts 4 (kernel), 5 (bias)
    then lazy_init(network, zeros f32[1,28,28,1], train=false), which makes every wrapper draw
    one key from each of its two forked streams. With key() the seed's key:
        stem params stream  P = fold_in(key(seed), 0);  lazy_init passes p = fold_in(P, 0)
        stem/conv/kernel    lecun_normal(F(p, ("conv", 1)))      (path below the wrapper only)
        body                the same from fold_in(key(seed), 1)
        dense/kernel        lecun_normal(fold_in(key(seed), 2))
        head/kernel         lecun_normal(fold_in(key(seed), 4))
    Convolution blocks are called with mutable = ["batch_stats"] in training, false otherwise.
    Dropout of training step t (0, 1, ...): D = fold_in(key(seed+1), 2), key of step t is
    fold_in(D, t): the stream's own count, which evaluation does not move. Calls of the wrappers
    keep drawing from their own forks, which nobody else sees.

Variant api=linen
-----------------
    FunctionalNetwork, compact, explicit names:
        stem    to_linen(StatefulConvBlock, 1, 32)       StatefulConvBlock(in, out, rngs):
        body    to_linen(StatefulConvBlock, 32, 64)        conv (nnx Conv), norm (nnx BatchNorm)
        dense   linen Dense(128)
        dropout linen Dropout(0.4)
        head    linen Dense(10)
    init(key(seed), zeros f32[1,28,28,1], train=false): the one stream is params = key(seed).
        stem/conv/kernel    lecun_normal(fold_in(F(key(seed), ("stem", 1)), 0))
        body/conv/kernel    lecun_normal(fold_in(F(key(seed), ("body", 1)), 0))
        dense/kernel        lecun_normal(F(key(seed), ("dense", 1)))
        head/kernel         lecun_normal(F(key(seed), ("head", 1)))
    apply in training, step t: rngs = {dropout: fold_in(key(seed+1), t)}, mutable = ["batch_stats"];
    the mask's key is F(fold_in(key(seed+1), t), ("dropout", 1)). In evaluation no rngs.

Mask of either variant: bernoulli(key, 0.6, (n,128)); kept values are divided by 0.6.

Training
--------
    images   x = (u8 / 255 - 0.2860) / 0.3530 in float32, in this order of operations
    loss     mean over the batch of the softmax cross entropy with integer labels
    batches  128; epoch e (0, 1, ...) visits permutation(fold_in(key(seed), e), 60000) in
             order, 468 full batches, the last 96 images of the order are dropped
    epochs   6, so 2808 steps
    optimizer  chain(clip_by_global_norm(1.0),
                     adamw(rate, b1=0.9, b2=0.999, eps=1e-8, weight_decay=0.05)), decay on all
                     parameters (scales and biases too)
    rate     warmup_cosine_decay_schedule(init 0, peak 3e-3, warm-up 200 steps,
             decay 2808 steps in all, end 1e-5); the step index starts at 0
    seed     0

Measured with the default seed on the 10000 test images after the last epoch:
api=linen 92.64 %, api=nnx 92.44 %.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import os
import struct
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen
from flax import nnx

DATA_DIR = "/usr/share/datasets/fashion-mnist"
CLASSES = 10
MEAN = 0.2860
STD = 0.3530
TRAIN_IMAGES = 60000


@dataclasses.dataclass(frozen=True)
class Config:
  """Everything that decides a training run; the defaults are the demo's."""

  stem_features: int = 32
  body_features: int = 64
  hidden_features: int = 128
  dropout_rate: float = 0.4
  bn_momentum: float = 0.9
  bn_epsilon: float = 1e-5
  batch_size: int = 128
  epochs: int = 6
  peak_rate: float = 3e-3
  warmup_steps: int = 200
  end_rate: float = 1e-5
  weight_decay: float = 5e-2
  clip_norm: float = 1.0
  seed: int = 0

  @property
  def steps_per_epoch(self) -> int:
    return TRAIN_IMAGES // self.batch_size

  @property
  def total_steps(self) -> int:
    return self.steps_per_epoch * self.epochs


def make_schedule(config: Config, total_steps: int, warmup_steps: int):
  return optax.warmup_cosine_decay_schedule(
      init_value=0.0,
      peak_value=config.peak_rate,
      warmup_steps=warmup_steps,
      decay_steps=total_steps,
      end_value=config.end_rate,
  )


def make_optimizer(config: Config, total_steps: int, warmup_steps: int):
  return optax.chain(
      optax.clip_by_global_norm(config.clip_norm),
      optax.adamw(
          make_schedule(config, total_steps, warmup_steps),
          b1=0.9,
          b2=0.999,
          eps=1e-8,
          weight_decay=config.weight_decay,
      ),
  )


class ConvBlock(linen.Module):
  """Functional block: convolution, max pooling, batch normalisation, relu."""

  features: int
  momentum: float
  epsilon: float

  @linen.compact
  def __call__(self, x, train: bool):
    x = linen.Conv(self.features, (3, 3), use_bias=False, name="conv")(x)
    x = linen.max_pool(x, (2, 2), strides=(2, 2))
    x = linen.BatchNorm(
        use_running_average=not train,
        momentum=self.momentum,
        epsilon=self.epsilon,
        name="norm",
    )(x)
    return linen.relu(x)


class StatefulConvBlock(nnx.Module):
  """The same block, stateful."""

  def __init__(self, in_features, features, momentum, epsilon, *, rngs: nnx.Rngs):
    self.conv = nnx.Conv(in_features, features, (3, 3), use_bias=False, rngs=rngs)
    self.norm = nnx.BatchNorm(features, momentum=momentum, epsilon=epsilon, rngs=rngs)

  def __call__(self, x, train: bool):
    x = nnx.max_pool(self.conv(x), (2, 2), strides=(2, 2))
    return nnx.relu(self.norm(x, use_running_average=not train))


class StatefulNetwork(nnx.Module):
  """api=nnx: stateful root and head, functional convolution blocks."""

  def __init__(self, config: Config, rngs: nnx.Rngs):
    c = config
    self.stem = nnx.bridge.ToNNX(
        ConvBlock(c.stem_features, c.bn_momentum, c.bn_epsilon), rngs)
    self.body = nnx.bridge.ToNNX(
        ConvBlock(c.body_features, c.bn_momentum, c.bn_epsilon), rngs)
    self.dense = nnx.Linear(7 * 7 * c.body_features, c.hidden_features, rngs=rngs)
    self.dropout = nnx.Dropout(c.dropout_rate, rngs=rngs)
    self.head = nnx.Linear(c.hidden_features, CLASSES, rngs=rngs)

  def __call__(self, x, train: bool):
    mutable = ["batch_stats"] if train else False
    x = self.stem(x, train, mutable=mutable)
    x = self.body(x, train, mutable=mutable)
    x = x.reshape((x.shape[0], -1))
    x = nnx.relu(self.dense(x))
    x = self.dropout(x, deterministic=not train)
    return self.head(x)


class FunctionalNetwork(linen.Module):
  """api=linen: functional root and head, stateful convolution blocks."""

  config: Config

  @linen.compact
  def __call__(self, x, train: bool):
    c = self.config
    x = nnx.bridge.to_linen(
        StatefulConvBlock, 1, c.stem_features, c.bn_momentum, c.bn_epsilon,
        name="stem")(x, train)
    x = nnx.bridge.to_linen(
        StatefulConvBlock, c.stem_features, c.body_features, c.bn_momentum,
        c.bn_epsilon, name="body")(x, train)
    x = x.reshape((x.shape[0], -1))
    x = linen.relu(linen.Dense(c.hidden_features, name="dense")(x))
    x = linen.Dropout(c.dropout_rate, name="dropout")(x, deterministic=not train)
    return linen.Dense(CLASSES, name="head")(x)


def normalise(images_u8):
  """u8[n,28,28] to f32[n,28,28,1]."""
  x = images_u8.astype(jnp.float32) / jnp.float32(255.0)
  return ((x - jnp.float32(MEAN)) / jnp.float32(STD))[..., None]


def cross_entropy(logits, labels):
  return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def read_idx(path):
  with gzip.open(path, "rb") as f:
    data = f.read()
  _, kind, rank = struct.unpack(">HBB", data[:4])
  if kind != 8:
    raise ValueError(f"{path}: expected unsigned bytes")
  shape = struct.unpack(">" + "I" * rank, data[4:4 + 4 * rank])
  return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def load(split, data_dir=DATA_DIR):
  prefix = {"train": "train", "test": "t10k"}[split]
  images = read_idx(os.path.join(data_dir, f"{prefix}-images-idx3-ubyte.gz"))
  labels = read_idx(os.path.join(data_dir, f"{prefix}-labels-idx1-ubyte.gz"))
  return images, labels


class LinenTrainer:
  """The api=linen variant with its variables, optimizer and step counter."""

  def __init__(self, config: Config, total_steps: int, warmup_steps: int):
    self.config = config
    self.model = FunctionalNetwork(config)
    variables = self.model.init(
        jax.random.key(config.seed), jnp.zeros((1, 28, 28, 1)), False)
    self.params = variables["params"]
    self.batch_stats = variables["batch_stats"]
    self.tx = make_optimizer(config, total_steps, warmup_steps)
    self.opt_state = self.tx.init(self.params)
    self.dropout_key = jax.random.key(config.seed + 1)
    self.step_index = 0

    @jax.jit
    def step(params, batch_stats, opt_state, index, images, labels):
      def loss_fn(p):
        logits, updates = self.model.apply(
            {"params": p, "batch_stats": batch_stats}, normalise(images), True,
            rngs={"dropout": jax.random.fold_in(self.dropout_key, index)},
            mutable=["batch_stats"])
        return cross_entropy(logits, labels), updates["batch_stats"]

      (loss, stats), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
      updates, opt_state = self.tx.update(grads, opt_state, params)
      return optax.apply_updates(params, updates), stats, opt_state, loss

    @jax.jit
    def evaluate(params, batch_stats, images):
      return self.model.apply(
          {"params": params, "batch_stats": batch_stats}, normalise(images), False)

    self._step = step
    self._evaluate = evaluate

  def step(self, images, labels):
    self.params, self.batch_stats, self.opt_state, loss = self._step(
        self.params, self.batch_stats, self.opt_state,
        jnp.uint32(self.step_index), images, labels)
    self.step_index += 1
    return loss

  def logits(self, images):
    return self._evaluate(self.params, self.batch_stats, images)

  def collections(self):
    return {"params": self.params, "batch_stats": self.batch_stats}


class NnxTrainer:
  """The api=nnx variant with its optimizer."""

  def __init__(self, config: Config, total_steps: int, warmup_steps: int):
    rngs = nnx.Rngs(params=config.seed, dropout=config.seed + 1)
    self.model = StatefulNetwork(config, rngs)
    nnx.bridge.lazy_init(self.model, jnp.zeros((1, 28, 28, 1)), False)
    self.optimizer = nnx.Optimizer(
        self.model, make_optimizer(config, total_steps, warmup_steps), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, images, labels):
      def loss_fn(m):
        return cross_entropy(m(normalise(images), True), labels)

      loss, grads = nnx.value_and_grad(loss_fn)(model)
      optimizer.update(model, grads)
      return loss

    @nnx.jit
    def evaluate(model, images):
      return model(normalise(images), False)

    self._step = step
    self._evaluate = evaluate

  def step(self, images, labels):
    return self._step(self.model, self.optimizer, images, labels)

  def logits(self, images):
    return self._evaluate(self.model, images)

  def collections(self):
    return {
        "params": nnx.to_pure_dict(nnx.state(self.model, nnx.Param)),
        "batch_stats": nnx.to_pure_dict(nnx.state(self.model, nnx.BatchStat)),
    }


TRAINERS = {"linen": LinenTrainer, "nnx": NnxTrainer}


def accuracy(trainer, images, labels, batch=1000):
  hits = 0
  for i in range(0, len(images), batch):
    predicted = np.argmax(np.asarray(trainer.logits(images[i:i + batch])), axis=-1)
    hits += int((predicted == labels[i:i + batch]).sum())
  return hits / len(images)


def epoch_order(config: Config, epoch: int):
  key = jax.random.fold_in(jax.random.key(config.seed), epoch)
  return np.asarray(jax.random.permutation(key, TRAIN_IMAGES))


def train(config: Config, api: str):
  images, labels = load("train")
  test_images, test_labels = load("test")
  trainer = TRAINERS[api](config, config.total_steps, config.warmup_steps)
  start = time.time()
  for epoch in range(config.epochs):
    order = epoch_order(config, epoch)
    total = 0.0
    for i in range(config.steps_per_epoch):
      pick = order[i * config.batch_size:(i + 1) * config.batch_size]
      total += float(trainer.step(images[pick], labels[pick].astype(np.int32)))
    print(f"epoch {epoch + 1} loss {total / config.steps_per_epoch:.4f} "
          f"test accuracy {accuracy(trainer, test_images, test_labels):.4f} "
          f"seconds {time.time() - start:.1f}", flush=True)
  return trainer


if __name__ == "__main__":
  parser = argparse.ArgumentParser(description="Trains the Fashion-MNIST demo in JAX.")
  parser.add_argument("--api", choices=sorted(TRAINERS), default="linen")
  for field in dataclasses.fields(Config):
    parser.add_argument("--" + field.name, type=type(field.default), default=field.default)
  options = vars(parser.parse_args())
  which = options.pop("api")
  train(Config(**options), which)
