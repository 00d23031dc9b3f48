"""Layers of both module APIs: parameters from the seed, outputs and gradients.

linen/<name>: variables = init(key(0), x), out = apply(variables, x); x = normal(key(1), shape).
grad/in and grad/params are the gradients of sum(out * normal(key(2), out.shape)).
nnx/<name>: the stateful module built with Rngs(0), same input: state and out.
"""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx
from jax import random

from golden_file import GoldenFile


def normal(shape, seed=1):
  return random.normal(random.key(seed), shape)


def _linen(g, name, note, module, *inputs, grad=True, rngs=None, mutable=False, **kwargs):
  keys = {"params": random.key(0), **(rngs or {})}
  variables = module.init(keys, *inputs, **kwargs)
  parts = {"in": list(inputs), "variables": variables}
  result = module.apply(variables, *inputs, rngs=rngs, mutable=mutable, **kwargs)
  if mutable:
    result, parts["updates"] = result
  parts["out"] = result

  if grad:
    def scalar(params, first):
      out = module.apply({**variables, "params": params}, first, *inputs[1:], rngs=rngs,
                         mutable=mutable, **kwargs)
      out = out[0] if mutable else out
      return (out * normal(out.shape, 2)).sum()

    d_params, d_in = jax.grad(scalar, (0, 1))(variables.get("params", {}), inputs[0])
    parts["grad"] = {"in": d_in, "params": d_params}
  g.case(f"linen/{name}", note, **parts)


def _nnx(g, name, note, make, *inputs, keep=(nnx.Param, nnx.BatchStat), **kwargs):
  model = make(nnx.Rngs(0))
  params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
  parts = {"in": list(inputs), "params": jax.tree.map(jnp.asarray, params)}
  parts["out"] = model(*inputs, **kwargs)
  stats = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
  if stats:
    parts["batch_stats_after"] = stats
  g.case(f"nnx/{name}", note, **parts)


def _dense(g):
  x = normal((2, 3))
  _linen(g, "dense", "Dense(4) on (2, 3)", nn.Dense(4), x)
  _nnx(g, "dense", "Linear(3, 4) on (2, 3)", lambda r: nnx.Linear(3, 4, rngs=r), x)
  _linen(g, "dense_no_bias", "Dense(4, use_bias=False) on (2, 3)", nn.Dense(4, use_bias=False), x)
  _linen(g, "dense_batch", "Dense(2) on (2, 3, 4)", nn.Dense(2), normal((2, 3, 4)))
  _linen(g, "dense_bf16", "Dense(4, dtype=bf16), f32 parameters, on (2, 3)",
         nn.Dense(4, dtype=jnp.bfloat16), x)
  y = normal((2, 3, 4, 5))
  _linen(g, "dense_general", "DenseGeneral((2, 3), axis=(1, -1)) on (2, 3, 4, 5)",
         nn.DenseGeneral((2, 3), axis=(1, -1)), y)
  _nnx(g, "dense_general", "LinearGeneral((3, 5), (2, 3), axis=(1, -1)) on (2, 3, 4, 5)",
       lambda r: nnx.LinearGeneral((3, 5), (2, 3), axis=(1, -1), rngs=r), y)
  _linen(g, "dense_general_batch", "DenseGeneral(3, axis=-1, batch_dims=0) on (2, 3, 4)",
         nn.DenseGeneral(3, axis=-1, batch_dims=(0,)), normal((2, 3, 4)))
  _linen(g, "einsum", "Einsum((5, 2, 3), 'abc,cde->abde') on (2, 3, 5)",
         nn.Einsum((5, 2, 3), "abc,cde->abde"), normal((2, 3, 5)))
  _nnx(g, "einsum", "Einsum('abc,cde->abde', (5, 2, 3), bias (2, 3)) on (2, 3, 5)",
       lambda r: nnx.Einsum("abc,cde->abde", (5, 2, 3), (2, 3), rngs=r), normal((2, 3, 5)))
  tokens = jnp.array([[0, 4, 2], [1, 1, 3]])
  _linen(g, "embed", "Embed(5, 3) of [[0, 4, 2], [1, 1, 3]]", nn.Embed(5, 3), tokens, grad=False)
  _nnx(g, "embed", "Embed(5, 3) of [[0, 4, 2], [1, 1, 3]]", lambda r: nnx.Embed(5, 3, rngs=r),
       tokens)


def _conv(g):
  cases = {
      "conv1d": ((2, 8, 3), 4, (3,), {}),
      "conv1d_causal": ((2, 8, 3), 4, (3,), {"padding": "CAUSAL"}),
      "conv1d_dilated": ((2, 9, 2), 3, (3,), {"kernel_dilation": 2, "padding": "VALID"}),
      "conv2d_same": ((2, 6, 5, 3), 4, (3, 3), {}),
      "conv2d_valid_strided": ((2, 7, 6, 2), 3, (3, 2), {"strides": (2, 3), "padding": "VALID"}),
      "conv2d_same_strided": ((1, 7, 6, 2), 3, (3, 3), {"strides": 2}),
      "conv2d_dilated": ((1, 9, 8, 2), 3, (3, 3), {"kernel_dilation": (2, 3)}),
      "conv2d_input_dilated": ((1, 4, 4, 2), 3, (3, 3),
                               {"input_dilation": 2, "padding": ((1, 1), (2, 1))}),
      "conv2d_grouped": ((2, 5, 5, 4), 6, (3, 3), {"feature_group_count": 2}),
      "conv2d_depthwise": ((2, 5, 5, 4), 4, (3, 3), {"feature_group_count": 4}),
      "conv2d_circular": ((1, 5, 6, 2), 3, (3, 3), {"padding": "CIRCULAR"}),
      "conv2d_reflect": ((1, 5, 6, 2), 3, (3, 3), {"padding": "REFLECT"}),
      "conv2d_explicit": ((1, 5, 6, 2), 3, (3, 3), {"padding": ((2, 0), (1, 3))}),
      "conv2d_no_bias": ((1, 5, 5, 2), 3, (1, 1), {"use_bias": False}),
      "conv3d": ((1, 4, 5, 4, 2), 3, (2, 3, 2), {"strides": (1, 2, 1)}),
  }
  for name, (shape, features, kernel, options) in cases.items():
    note = f"kernel {kernel}, {features} features, {options} on {shape}"
    x = normal(shape)
    _linen(g, name, "Conv " + note, nn.Conv(features, kernel, **options), x)
    _nnx(g, name, "Conv " + note, functools.partial(
        lambda r, s, f, k, o: nnx.Conv(s[-1], f, k, rngs=r, **o), s=shape, f=features, k=kernel,
        o=options), x)
  transposed = {
      "conv_transpose1d": ((2, 5, 3), 2, (3,), {"strides": (2,)}),
      "conv_transpose2d_same": ((1, 4, 3, 2), 3, (3, 3), {"strides": (2, 2)}),
      "conv_transpose2d_valid": ((1, 4, 3, 2), 3, (3, 2),
                                 {"strides": (2, 3), "padding": "VALID"}),
      "conv_transpose2d_circular": ((1, 4, 4, 2), 3, (3, 3),
                                    {"strides": (2, 2), "padding": "CIRCULAR"}),
      "conv_transpose2d_kernel": ((1, 4, 3, 2), 3, (3, 3),
                                  {"strides": (2, 2), "transpose_kernel": True}),
  }
  for name, (shape, features, kernel, options) in transposed.items():
    note = f"ConvTranspose kernel {kernel}, {features} features, {options} on {shape}"
    x = normal(shape)
    _linen(g, name, note, nn.ConvTranspose(features, kernel, **options), x)
    _nnx(g, name, note, functools.partial(
        lambda r, s, f, k, o: nnx.ConvTranspose(s[-1], f, k, rngs=r, **o), s=shape, f=features,
        k=kernel, o=options), x)
  _linen(g, "conv_local", "ConvLocal(3, (3,)) on (2, 6, 2)", nn.ConvLocal(3, (3,)),
         normal((2, 6, 2)))


def _norms(g):
  x = normal((4, 3, 5)) * 2 + 1
  for train in (True, False):
    mode = "train" if train else "eval"
    _linen(g, f"batch_norm_{mode}", f"BatchNorm(momentum 0.9), {mode}, on (4, 3, 5)",
           nn.BatchNorm(use_running_average=not train, momentum=0.9), x,
           mutable=["batch_stats"] if train else False)
    _nnx(g, f"batch_norm_{mode}", f"BatchNorm(5, momentum 0.9), {mode}, on (4, 3, 5)",
         lambda r: nnx.BatchNorm(5, momentum=0.9, rngs=r), x, use_running_average=not train)
  mask = jnp.array([1, 0, 1, 1], bool)[:, None, None] & jnp.ones((4, 3, 1), bool)
  _linen(g, "batch_norm_mask", "BatchNorm train with mask [1, 0, 1, 1] over the batch",
         nn.BatchNorm(use_running_average=False), x, mutable=["batch_stats"], mask=mask)
  _linen(g, "batch_norm_slow", "BatchNorm train, use_fast_variance=False, no scale",
         nn.BatchNorm(use_running_average=False, use_fast_variance=False, use_scale=False), x,
         mutable=["batch_stats"])
  _linen(g, "layer_norm", "LayerNorm on (4, 3, 5)", nn.LayerNorm(), x)
  _nnx(g, "layer_norm", "LayerNorm(5) on (4, 3, 5)", lambda r: nnx.LayerNorm(5, rngs=r), x)
  _linen(g, "layer_norm_axes", "LayerNorm(reduction_axes (1, 2), feature_axes -1)",
         nn.LayerNorm(reduction_axes=(1, 2), feature_axes=-1), x)
  _linen(g, "rms_norm", "RMSNorm on (4, 3, 5)", nn.RMSNorm(), x)
  _nnx(g, "rms_norm", "RMSNorm(5) on (4, 3, 5)", lambda r: nnx.RMSNorm(5, rngs=r), x)
  y = normal((2, 3, 6)) * 2 + 1
  _linen(g, "group_norm", "GroupNorm(3) on (2, 3, 6)", nn.GroupNorm(3), y)
  _nnx(g, "group_norm", "GroupNorm(6, 3) on (2, 3, 6)", lambda r: nnx.GroupNorm(6, 3, rngs=r), y)
  _linen(g, "instance_norm", "InstanceNorm on (2, 3, 6)", nn.InstanceNorm(), y)
  _nnx(g, "instance_norm", "InstanceNorm(6) on (2, 3, 6)", lambda r: nnx.InstanceNorm(6, rngs=r),
       y)
  _linen(g, "weight_norm", "WeightNorm(Dense(4)) on (2, 3)",
         nn.WeightNorm(nn.Dense(4)), normal((2, 3)))
  class Spectral(nn.Module):
    @nn.compact
    def __call__(self, x):
      return nn.SpectralNorm(nn.Dense(4, name="dense"), name="norm")(x, update_stats=True)
  _linen(g, "spectral_norm", "SpectralNorm(Dense(4) named dense) named norm, update_stats, (2, 3)",
         Spectral(), normal((2, 3)), mutable=["batch_stats"])


def _attention(g):
  x = normal((2, 4, 6))
  mask = nn.make_causal_mask(jnp.ones((2, 4)))
  attention = nn.MultiHeadDotProductAttention(num_heads=2, qkv_features=8)
  _linen(g, "attention", "MultiHeadDotProductAttention(2 heads, qkv_features 8), self attention "
         "with causal mask, on (2, 4, 6)", attention, x, mask=mask)
  _nnx(g, "attention", "MultiHeadAttention(2, 6, 8, decode=False), causal mask, on (2, 4, 6)",
       lambda r: nnx.MultiHeadAttention(2, 6, 8, decode=False, rngs=r), x, mask=mask)
  _linen(g, "attention_cross", "same, keys and values from (2, 5, 6), no mask", attention, x,
         normal((2, 5, 6), 3))
  _linen(g, "attention_qk_norm", "MultiHeadDotProductAttention(2, normalize_qk=True)",
         nn.MultiHeadDotProductAttention(num_heads=2, normalize_qk=True), x)
  _linen(g, "attention_dropout", "dropout_rate 0.4, dropout = key(3)",
         nn.MultiHeadDotProductAttention(num_heads=2, dropout_rate=0.4, deterministic=False), x,
         rngs={"dropout": random.key(3)})
  _linen(g, "attention_dropout_full", "dropout_rate 0.4, broadcast_dropout=False, dropout = key(3)",
         nn.MultiHeadDotProductAttention(num_heads=2, dropout_rate=0.4, deterministic=False,
                                         broadcast_dropout=False), x,
         rngs={"dropout": random.key(3)})
  module = nn.MultiHeadDotProductAttention(num_heads=2, decode=True)
  variables = module.init(random.key(0), x)
  cache, outs = variables["cache"], []
  for t in range(4):
    out, updated = module.apply({"params": variables["params"], "cache": cache}, x[:, t:t + 1],
                                mutable=["cache"])
    cache = updated["cache"]
    outs.append(out)
  g.case("linen/attention_decode", "decode=True, 2 heads: four single steps, concatenated on "
         "axis 1; the cache after them", **{"in": x}, variables={"params": variables["params"]},
         out=jnp.concatenate(outs, 1), cache=cache)


def _dropout_and_pools(g):
  x = normal((3, 4, 5))
  rngs = {"dropout": random.key(3)}
  _linen(g, "dropout", "Dropout(0.3), dropout = key(3), on (3, 4, 5)",
         nn.Dropout(0.3, deterministic=False), x, rngs=rngs)
  _linen(g, "dropout_broadcast", "Dropout(0.5, broadcast_dims=(1,)), dropout = key(3)",
         nn.Dropout(0.5, broadcast_dims=(1,), deterministic=False), x, rngs=rngs)
  model = nnx.Dropout(0.3, rngs=nnx.Rngs(dropout=3))
  g.case("nnx/dropout", "Dropout(0.3, Rngs(dropout=3)): two calls on (3, 4, 5)",
         **{"in": [x]}, out=jnp.stack([model(x), model(x)]))
  y = normal((2, 6, 7, 2))
  pools = {
      "max_pool": lambda v: nn.max_pool(v, (2, 2), (2, 2)),
      "max_pool_same": lambda v: nn.max_pool(v, (3, 2), (2, 1), "SAME"),
      "avg_pool": lambda v: nn.avg_pool(v, (2, 2), (2, 2)),
      "avg_pool_same": lambda v: nn.avg_pool(v, (3, 3), (2, 2), "SAME"),
      "avg_pool_same_no_pad": lambda v: nn.avg_pool(v, (3, 3), (2, 2), "SAME",
                                                    count_include_pad=False),
      "min_pool": lambda v: nnx.min_pool(v, (2, 3), (1, 2)),
  }
  notes = {"max_pool": "window (2, 2), strides (2, 2), VALID", "max_pool_same":
           "window (3, 2), strides (2, 1), SAME",
           "avg_pool": "window (2, 2), strides (2, 2), VALID",
           "avg_pool_same": "window (3, 3), strides (2, 2), SAME, padding counted",
           "avg_pool_same_no_pad": "same, padding not counted",
           "min_pool": "window (2, 3), strides (1, 2), VALID"}
  for name, f in pools.items():
    out = f(y)
    grad = jax.grad(lambda v: (f(v) * normal(out.shape, 2)).sum())(y)
    g.case(f"pool/{name}", notes[name], **{"in": y}, out=out, grad=grad)


def _recurrent(g):
  x = normal((2, 5, 3))
  cells = {"simple": nn.SimpleCell, "gru": nn.GRUCell, "mgu": nn.MGUCell, "lstm": nn.LSTMCell,
           "optimized_lstm": nn.OptimizedLSTMCell}
  for name, cell in cells.items():
    _linen(g, f"rnn_{name}", f"RNN({cell.__name__}(4)) on (2, 5, 3)", nn.RNN(cell(4)), x)
  stateful = {"simple": nnx.SimpleCell, "gru": nnx.GRUCell, "lstm": nnx.LSTMCell,
              "optimized_lstm": nnx.OptimizedLSTMCell}
  for name, cell in stateful.items():
    _nnx(g, f"rnn_{name}", f"RNN({cell.__name__}(3, 4)) on (2, 5, 3)",
         lambda r, c=cell: nnx.RNN(c(3, 4, rngs=r), rngs=r), x)
  _linen(g, "rnn_reverse", "RNN(SimpleCell(4), reverse, keep_order, seq_lengths [3, 5])",
         nn.RNN(nn.SimpleCell(4), reverse=True, keep_order=True), x,
         seq_lengths=jnp.array([3, 5]))
  _linen(g, "bidirectional", "Bidirectional(RNN(GRUCell(4)), RNN(GRUCell(4)))",
         nn.Bidirectional(nn.RNN(nn.GRUCell(4)), nn.RNN(nn.GRUCell(4))), x)
  _linen(g, "rnn_conv_lstm", "RNN(ConvLSTMCell(2, (3,))) on (1, 3, 4, 2)",
         nn.RNN(nn.ConvLSTMCell(2, (3,))), normal((1, 3, 4, 2)))
  _linen(g, "prelu", "PReLU on (2, 5, 3)", nn.PReLU(), x)
  _nnx(g, "lora_linear", "LoRALinear(3, 4, lora_rank=2) on (2, 5, 3)",
       lambda r: nnx.LoRALinear(3, 4, lora_rank=2, rngs=r), x)


def make():
  g = GoldenFile("layers")
  for part in (_dense, _conv, _norms, _attention, _dropout_and_pools, _recurrent):
    part(g)
  return g
