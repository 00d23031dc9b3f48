"""Whole models of both module APIs, and of each API with parts of the other, from seeds alone.

Data, of which nothing is stored: x = 2 uniform(key(100)) - 1, labels = randint(key(101)), BATCHES
batches. Functional models: init with params = key(0), dropout = key(1); object models: Rngs(params=0,
dropout=1).
"""

import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import nnx
from flax.nnx import bridge
from jax import random

from golden_file import GoldenFile
from model_golden import BATCHES
from model_golden import put_tree
from model_golden import record_functional
from model_golden import record_object

KEYS = {"params": 0, "dropout": 1}


def examples(shape, classes):
  x = 2 * random.uniform(random.key(100), (BATCHES,) + shape) - 1
  return x, random.randint(random.key(101), (BATCHES, shape[0]), 0, classes)


def cross_entropy(logits, x, labels):
  return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def reconstruction(out, x):
  return ((out - x) ** 2).mean()


# Multilayer perceptron, 8 -> 32 -> 32 -> 4, with annotations.

class Mlp(nn.Module):

  @nn.compact
  def __call__(self, x, train):
    for _ in range(2):
      x = nn.relu(annotated_dense(32)(x))
    return nn.Dense(4, name="head")(x)


def annotated_dense(features, **more):
  return nn.Dense(
      features, kernel_init=nn.with_partitioning(nn.initializers.lecun_normal(), ("in", "out")),
      bias_init=nn.with_logical_partitioning(nn.initializers.zeros, ("mlp",)), **more)


def annotated_linear(inputs, features, rngs):
  return nnx.Linear(
      inputs, features,
      kernel_init=nnx.with_partitioning(nnx.initializers.lecun_normal(), ("in", "out")), rngs=rngs)


class ObjectMlp(nnx.Module):

  def __init__(self, rngs):
    self.layers = nnx.List([annotated_linear(8, 32, rngs), annotated_linear(32, 32, rngs)])
    self.head = nnx.Linear(32, 4, rngs=rngs)

  def __call__(self, x, train):
    for layer in self.layers:
      x = nnx.relu(layer(x))
    return self.head(x)


class MixedMlp(nn.Module):
  """Functional, with an object as its second layer."""

  @nn.compact
  def __call__(self, x, train):
    x = nn.relu(annotated_dense(32)(x))
    x = nn.relu(bridge.to_linen(annotated_linear, 32, 32, name="second")(x))
    return nn.Dense(4, name="head")(x)


class MixedObjectMlp(nnx.Module):
  """An object with a functional module as its second layer."""

  def __init__(self, rngs):
    self.first = annotated_linear(8, 32, rngs)
    self.second = bridge.ToNNX(annotated_dense(32), rngs=rngs)
    self.head = nnx.Linear(32, 4, rngs=rngs)

  def __call__(self, x, train):
    return self.head(nnx.relu(self.second(nnx.relu(self.first(x)))))


# Convolutions with batch norm and dropout, f32[n,12,12,1] -> 6 classes.

class ConvBlock(nn.Module):
  features: int

  @nn.compact
  def __call__(self, x, train):
    x = nn.Conv(self.features, (3, 3), use_bias=False)(x)
    x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
    return nn.avg_pool(nn.relu(x), (2, 2), strides=(2, 2))


class Head(nn.Module):
  """Dropout between two layers."""

  @nn.compact
  def __call__(self, x, train):
    x = nn.relu(nn.Dense(24)(x))
    return nn.Dense(6)(nn.Dropout(0.3, deterministic=not train)(x))


class Cnn(nn.Module):

  @nn.compact
  def __call__(self, x, train):
    x = ConvBlock(8)(x, train)
    x = ConvBlock(12)(x, train)
    return Head(name="head")(x.reshape(x.shape[0], -1), train)


class ObjectConvBlock(nnx.Module):

  def __init__(self, inputs, features, rngs):
    self.conv = nnx.Conv(inputs, features, (3, 3), use_bias=False, rngs=rngs)
    self.norm = nnx.BatchNorm(features, momentum=0.9, rngs=rngs)

  def __call__(self, x, train):
    x = self.norm(self.conv(x), use_running_average=not train)
    return nnx.avg_pool(nnx.relu(x), (2, 2), strides=(2, 2))


class ObjectHead(nnx.Module):

  def __init__(self, rngs):
    self.hidden = nnx.Linear(108, 24, rngs=rngs)
    self.dropout = nnx.Dropout(0.3, rngs=rngs)
    self.out = nnx.Linear(24, 6, rngs=rngs)

  def __call__(self, x, train):
    return self.out(self.dropout(nnx.relu(self.hidden(x)), deterministic=not train))


class ObjectCnn(nnx.Module):

  def __init__(self, rngs):
    self.first = ObjectConvBlock(1, 8, rngs)
    self.second = ObjectConvBlock(8, 12, rngs)
    self.head = ObjectHead(rngs)

  def __call__(self, x, train):
    x = self.second(self.first(x, train), train)
    return self.head(x.reshape(x.shape[0], -1), train)


class MixedCnn(nn.Module):
  """Functional; the second block and the head with its dropout are objects."""

  @nn.compact
  def __call__(self, x, train):
    x = ConvBlock(8)(x, train)
    x = bridge.to_linen(ObjectConvBlock, 8, 12, name="second")(x, train)
    return bridge.to_linen(ObjectHead, name="head")(x.reshape(x.shape[0], -1), train)


def of_call(train, *collections):
  return {"mutable": list(collections) if train else False}


class MixedObjectCnn(nnx.Module):
  """An object; the second block and the head with its dropout are functional."""

  def __init__(self, rngs):
    self.first = ObjectConvBlock(1, 8, rngs)
    self.second = bridge.ToNNX(ConvBlock(12), rngs=rngs)
    self.head = bridge.ToNNX(Head(), rngs=rngs)

  def __call__(self, x, train):
    x = self.second(self.first(x, train), train, **of_call(train, "batch_stats"))
    return self.head(x.reshape(x.shape[0], -1), train)


# ResNet-18 with 4 channels in place of 64, f32[n,32,32,3] -> 6 classes.

STAGES = [(4, 1), (4, 1), (8, 2), (8, 1), (16, 2), (16, 1), (32, 2), (32, 1)]

# Of what a block adds to its input. Flax's example begins with 0, which hides gradients inside; with 1
# training is chaotic (in Flax losses differ by a tenth after 20 steps if initial values differ by
# 1e-7), with this and a slow optimiser it is not.
BRANCH_SCALE = 0.25


class BasicBlock(nn.Module):
  features: int
  stride: int

  @nn.compact
  def __call__(self, x, train):
    def norm(**more):
      return nn.BatchNorm(use_running_average=not train, momentum=0.9, **more)
    y = nn.Conv(self.features, (3, 3), (self.stride, self.stride), use_bias=False)(x)
    y = nn.relu(norm()(y))
    y = nn.Conv(self.features, (3, 3), use_bias=False)(y)
    y = norm(scale_init=nn.initializers.constant(BRANCH_SCALE))(y)
    if x.shape != y.shape:
      x = nn.Conv(self.features, (1, 1), (self.stride, self.stride), use_bias=False,
                  name="conv_proj")(x)
      x = norm(name="norm_proj")(x)
    return nn.relu(x + y)


class FunctionalStem(nn.Module):

  @nn.compact
  def __call__(self, x, train):
    x = nn.Conv(4, (7, 7), (2, 2), padding=[(3, 3), (3, 3)], use_bias=False, name="conv_init")(x)
    x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9, name="bn_init")(x))
    return nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")


class ResNet(nn.Module):

  @nn.compact
  def __call__(self, x, train):
    x = FunctionalStem(name="stem")(x, train)
    for features, stride in STAGES:
      x = BasicBlock(features, stride)(x, train)
    return nn.Dense(6)(x.mean((1, 2)))


class Downsample(nnx.Module):

  def __init__(self, inputs, features, stride, rngs):
    self.conv = nnx.Conv(inputs, features, (1, 1), (stride, stride), use_bias=False, rngs=rngs)
    self.norm = nnx.BatchNorm(features, momentum=0.9, rngs=rngs)

  def __call__(self, x, train):
    return self.norm(self.conv(x), use_running_average=not train)


class ObjectBasicBlock(nnx.Module):

  def __init__(self, inputs, features, stride, rngs):
    self.conv1 = nnx.Conv(inputs, features, (3, 3), (stride, stride), use_bias=False, rngs=rngs)
    self.norm1 = nnx.BatchNorm(features, momentum=0.9, rngs=rngs)
    self.conv2 = nnx.Conv(features, features, (3, 3), use_bias=False, rngs=rngs)
    self.norm2 = nnx.BatchNorm(features, momentum=0.9, rngs=rngs,
                               scale_init=nnx.initializers.constant(BRANCH_SCALE))
    same = inputs == features
    self.downsample = None if same else Downsample(inputs, features, stride, rngs)

  def __call__(self, x, train):
    y = nnx.relu(self.norm1(self.conv1(x), use_running_average=not train))
    y = self.norm2(self.conv2(y), use_running_average=not train)
    return nnx.relu(y + (x if self.downsample is None else self.downsample(x, train)))


class ObjectStem(nnx.Module):

  def __init__(self, rngs):
    self.conv = nnx.Conv(3, 4, (7, 7), (2, 2), padding=[(3, 3), (3, 3)], use_bias=False, rngs=rngs)
    self.norm = nnx.BatchNorm(4, momentum=0.9, rngs=rngs)

  def __call__(self, x, train):
    x = nnx.relu(self.norm(self.conv(x), use_running_average=not train))
    return nnx.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")


class ObjectResNet(nnx.Module):

  def __init__(self, rngs):
    self.stem = ObjectStem(rngs)
    self.layers = nnx.List([])
    inputs = 4
    for features, stride in STAGES:
      self.layers.append(ObjectBasicBlock(inputs, features, stride, rngs))
      inputs = features
    self.head = nnx.Linear(32, 6, rngs=rngs)

  def __call__(self, x, train):
    x = self.stem(x, train)
    for layer in self.layers:
      x = layer(x, train)
    return self.head(x.mean((1, 2)))


class MixedResNet(nn.Module):
  """Functional, with objects as every second block."""

  @nn.compact
  def __call__(self, x, train):
    x = FunctionalStem(name="stem")(x, train)
    for i, (features, stride) in enumerate(STAGES):
      if i % 2:
        x = bridge.to_linen(ObjectBasicBlock, x.shape[-1], features, stride,
                            name=f"block_{i}")(x, train)
      else:
        x = BasicBlock(features, stride, name=f"block_{i}")(x, train)
    return nn.Dense(6)(x.mean((1, 2)))


class MixedObjectResNet(nnx.Module):
  """An object with functional blocks."""

  def __init__(self, rngs):
    self.stem = ObjectStem(rngs)
    self.layers = nnx.List([bridge.ToNNX(BasicBlock(*stage), rngs=rngs) for stage in STAGES])
    self.head = nnx.Linear(32, 6, rngs=rngs)

  def __call__(self, x, train):
    x = self.stem(x, train)
    for layer in self.layers:
      x = layer(x, train, **of_call(train, "batch_stats"))
    return self.head(x.mean((1, 2)))


# Vision transformer: patches of 4 x 4, 16 features, 2 heads, 2 blocks, f32[n,16,16,3] -> 6 classes.

class EncoderBlock(nn.Module):

  @nn.compact
  def __call__(self, x, train):
    y = nn.LayerNorm()(x)
    y = nn.MultiHeadDotProductAttention(2, dropout_rate=0.1, deterministic=not train)(y)
    x = x + nn.Dropout(0.1, deterministic=not train)(y)
    y = nn.Dense(32)(nn.LayerNorm()(x))
    y = nn.Dropout(0.1, deterministic=not train)(nn.gelu(y))
    return x + nn.Dense(16)(y)


class Vit(nn.Module):

  def block(self, i):
    return EncoderBlock(name=f"encoderblock_{i}")

  @nn.compact
  def __call__(self, x, train):
    n = x.shape[0]
    x = nn.Conv(16, (4, 4), (4, 4), padding="VALID", name="embedding")(x).reshape(n, -1, 16)
    token = self.param("cls", nn.initializers.zeros, (1, 1, 16))
    x = jnp.concatenate([jnp.tile(token, (n, 1, 1)), x], axis=1)
    x = x + self.param("pos_embedding", nn.initializers.normal(0.02), (1, 17, 16))
    for i in range(2):
      x = self.block(i)(x, train)
    return nn.Dense(6, name="head")(nn.LayerNorm(name="encoder_norm")(x)[:, 0])


class ObjectEncoderBlock(nnx.Module):

  def __init__(self, rngs):
    self.norm1 = nnx.LayerNorm(16, rngs=rngs)
    self.attention = nnx.MultiHeadAttention(2, 16, dropout_rate=0.1, decode=False, rngs=rngs)
    self.norm2 = nnx.LayerNorm(16, rngs=rngs)
    self.up = nnx.Linear(16, 32, rngs=rngs)
    self.down = nnx.Linear(32, 16, rngs=rngs)
    self.dropout = nnx.Dropout(0.1, rngs=rngs)

  def __call__(self, x, train):
    y = self.attention(self.norm1(x), deterministic=not train)
    x = x + self.dropout(y, deterministic=not train)
    y = nnx.gelu(self.up(self.norm2(x)))
    return x + self.down(self.dropout(y, deterministic=not train))


class MixedVit(Vit):
  """Functional, with an object as its second block."""

  def block(self, i):
    return bridge.to_linen(ObjectEncoderBlock, name="encoderblock_1") if i else super().block(i)


class ObjectVit(nnx.Module):

  def block(self, i, rngs):
    return ObjectEncoderBlock(rngs)

  def __init__(self, rngs):
    self.embedding = nnx.Conv(3, 16, (4, 4), (4, 4), padding="VALID", rngs=rngs)
    self.cls = nnx.Param(jnp.zeros((1, 1, 16)))
    self.pos_embedding = nnx.Param(nnx.initializers.normal(0.02)(rngs.params(), (1, 17, 16)))
    self.blocks = nnx.List([self.block(i, rngs) for i in range(2)])
    self.norm = nnx.LayerNorm(16, rngs=rngs)
    self.head = nnx.Linear(16, 6, rngs=rngs)

  def __call__(self, x, train):
    n = x.shape[0]
    x = self.embedding(x).reshape(n, -1, 16)
    x = jnp.concatenate([jnp.tile(self.cls[...], (n, 1, 1)), x], axis=1) + self.pos_embedding[...]
    for block in self.blocks:
      x = block(x, train)
    return self.head(self.norm(x)[:, 0])


class MixedObjectVit(ObjectVit):
  """An object with a functional second block."""

  def block(self, i, rngs):
    return bridge.ToNNX(EncoderBlock(), rngs=rngs) if i else super().block(i, rngs)


# Autoencoder with two methods, 20 -> 4 -> 20.

class Autoencoder(nn.Module):

  def setup(self):
    self.encoder = [nn.Dense(16), nn.Dense(4)]
    self.decoder = [nn.Dense(16), nn.Dense(20)]

  def encode(self, x):
    return self.encoder[1](nn.tanh(self.encoder[0](x)))

  def decode(self, z):
    return self.decoder[1](nn.tanh(self.decoder[0](z)))

  def __call__(self, x, train):
    return self.decode(self.encode(x))


class ObjectAutoencoder(nnx.Module):

  def __init__(self, rngs):
    self.encoder = nnx.Sequential(nnx.Linear(20, 16, rngs=rngs), nnx.tanh,
                                  nnx.Linear(16, 4, rngs=rngs))
    self.decoder = nnx.Sequential(nnx.Linear(4, 16, rngs=rngs), nnx.tanh,
                                  nnx.Linear(16, 20, rngs=rngs))

  def encode(self, x):
    return self.encoder(x)

  def decode(self, z):
    return self.decoder(z)

  def __call__(self, x, train):
    return self.decode(self.encode(x))


class MixedAutoencoder(nn.Module):
  """Functional, round an object whose methods are called by name."""

  def setup(self):
    self.inner = bridge.to_linen(ObjectAutoencoder)

  def encode(self, x):
    return self.inner(x, nnx_method=ObjectAutoencoder.encode)

  def decode(self, z):
    return self.inner(z, nnx_method=ObjectAutoencoder.decode)

  def __call__(self, x, train):
    return self.decode(self.encode(x))


class MixedObjectAutoencoder(nnx.Module):
  """An object round a functional module whose methods are called by name."""

  def __init__(self, rngs):
    self.inner = bridge.ToNNX(Autoencoder(), rngs=rngs)

  def encode(self, x):
    return self.inner(x, method="encode")

  def decode(self, z):
    return self.inner(z, method="decode")

  def __call__(self, x, train):
    return self.inner(x, train)


def of_functional(golden, case, model, data, loss, tx):
  keys = {name: random.key(seed) for name, seed in KEYS.items()}
  x = data[0][0]
  variables = record_functional(golden, case, type(model).__name__, model, data, loss, tx, keys)
  if hasattr(model, "encode"):
    golden.put(f"{case}/encoded", model.apply(variables, x, method="encode"))
    golden.put(f"{case}/decoded", model.apply(variables, x[:, :4], method="decode"))
    put_tree(golden, f"{case}/of_encode", model.init(keys, x, method="encode"))


def of_object(golden, case, make, data, loss, tx):
  model = make(nnx.Rngs(**KEYS))
  x = data[0][0]
  bridge.lazy_init(model, x, False)
  if hasattr(model, "encode"):
    golden.put(f"{case}/encoded", nnx.clone(model).encode(x))
    golden.put(f"{case}/decoded", nnx.clone(model).decode(x[:, :4]))
  record_object(golden, case, make.__name__, model, data, loss, tx,
                lambda m, x, train: m(x, train))


MODELS = {
    "mlp": (((16, 8), 4), optax.sgd(0.1, momentum=0.9), (Mlp, MixedMlp),
            (ObjectMlp, MixedObjectMlp)),
    "cnn": (((16, 12, 12, 1), 6), optax.adam(3e-3), (Cnn, MixedCnn), (ObjectCnn, MixedObjectCnn)),
    "resnet": (((16, 32, 32, 3), 6), optax.sgd(0.0025), (ResNet, MixedResNet),
               (ObjectResNet, MixedObjectResNet)),
    "vit": (((16, 16, 16, 3), 6), optax.adamw(2e-3), (Vit, MixedVit),
            (ObjectVit, MixedObjectVit)),
    "autoencoder": (((16, 20), 1), optax.adam(1e-2), (Autoencoder, MixedAutoencoder),
                    (ObjectAutoencoder, MixedObjectAutoencoder)),
}


def make():
  golden = GoldenFile("models")
  # Without a mesh nothing can be placed.
  with nnx.use_eager_sharding(False):
    for name, (sizes, tx, functional, objects) in MODELS.items():
      data, loss = examples(*sizes), cross_entropy
      if name == "autoencoder":
        data, loss = data[:1], reconstruction
      for model, kind in zip(functional, ("linen", "linen_mixed")):
        of_functional(golden, f"{name}/{kind}", model(), data, loss, tx)
      for model, kind in zip(objects, ("nnx", "nnx_mixed")):
        of_object(golden, f"{name}/{kind}", model, data, loss, tx)
  return golden
