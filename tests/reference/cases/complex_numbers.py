"""Complex numbers and discrete Fourier transforms, with JAX's convention of derivatives.

Case `name/k` is the k-th call: operands `in`, results `out`; `vjp` has the cotangents of the
operands for the cotangents `ct` of the results.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.nn import initializers

from golden_file import GoldenFile

AXIS = [-3.5, -1.0, -0.25, 0.0, 0.5, 1.0, 2.0]


def grid():
  re, im = np.meshgrid(AXIS, AXIS)
  return jnp.asarray((re + 1j * im).ravel(), jnp.complex64)


def inner():
  """Points at which all functions are smooth."""
  re, im = np.meshgrid([-1.3, 0.4, 0.9], [-0.7, 0.3, 1.6])
  return jnp.asarray((re + 1j * im).ravel(), jnp.complex64)


def wave(*shape, dtype=jnp.complex64):
  n = int(np.prod(shape))
  re, im = 2 * np.sin(1 + 2.3 * np.arange(n)), 2 * np.cos(2 + 1.7 * np.arange(n))
  z = re + 1j * im if jnp.issubdtype(dtype, jnp.complexfloating) else re
  return jnp.asarray(z, dtype).reshape(shape)


def _call(g, name, f, *args, derivative=True):
  out, pull = jax.vjp(f, *args)
  parts = {"in": list(args), "out": [out]}
  if derivative:
    ct = wave(*out.shape, dtype=out.dtype)
    parts["ct"] = [ct]
    parts["vjp"] = list(pull(ct))
  g.case(name, name, **parts)


UNARY = {"neg": jnp.negative, "square": jnp.square, "reciprocal": jnp.reciprocal,
         "sqrt": jnp.sqrt, "rsqrt": lax.rsqrt, "exp": jnp.exp, "exp2": jnp.exp2,
         "expm1": jnp.expm1, "log": jnp.log, "log2": jnp.log2, "log1p": jnp.log1p, "sin": jnp.sin,
         "cos": jnp.cos, "tan": jnp.tan, "asin": jnp.arcsin, "acos": jnp.arccos,
         "atan": jnp.arctan, "sinh": jnp.sinh, "cosh": jnp.cosh, "tanh": jnp.tanh,
         "asinh": jnp.arcsinh, "acosh": jnp.arccosh, "atanh": jnp.arctanh, "sigmoid": jax.nn.sigmoid,
         "abs": jnp.abs, "real": jnp.real, "imag": jnp.imag, "conj": jnp.conj, "angle": jnp.angle,
         "sign": jnp.sign, "cube": lambda z: z**3, "inverse_square": lambda z: z**-2,
         "sum": jnp.sum, "mean": jnp.mean, "prod": jnp.prod,
         "var": lambda z: jnp.var(z), "cumsum": jnp.cumsum}

BINARY = {"add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply, "div": jnp.divide,
          "pow": jnp.power}


def _functions(g):
  for name, f in UNARY.items():
    _call(g, f"{name}/0", f, inner())
    if name not in ("sum", "mean", "prod", "var", "cumsum"):
      _call(g, f"{name}/1", f, grid(), derivative=False)
  for name, f in BINARY.items():
    _call(g, f"{name}/0", f, inner(), jnp.flip(inner()) + 0.25)
    _call(g, f"{name}/1", f, inner(), jnp.asarray(2.5, jnp.float32))
    _call(g, f"{name}/2", f, wave(3, 1), wave(1, 4, dtype=jnp.float32) + 3)
  _call(g, "complex/0", lax.complex, wave(7, dtype=jnp.float32), wave(7, dtype=jnp.float32) * 2)
  _call(g, "matmul/0", jnp.matmul, wave(3, 4), wave(4, 5))
  _call(g, "matmul/1", jnp.matmul, wave(2, 3, 4), wave(4, 2, dtype=jnp.float32))
  _call(g, "take/0", lambda x: jnp.take(x, jnp.array([0, 2, 2, 5]), axis=0), wave(4, 2))
  _call(g, "pad/0", lambda x: jnp.pad(x, ((1, 2), (0, 1))), wave(3, 2))
  _call(g, "where/0", lambda x, y: jnp.where(jnp.array([True, False, True]), x, y), wave(3),
        wave(3) * 1j)
  _call(g, "concatenate/0", lambda x, y: jnp.concatenate([x, y], 1), wave(2, 3), wave(2, 2) * 2)
  _call(g, "transpose/0", lambda x: jnp.transpose(x, (2, 0, 1)), wave(2, 3, 4))
  _call(g, "real_of_real/0", jnp.real, wave(5, dtype=jnp.float32))
  # Not holomorphic: the gradient is df/dx - i df/dy.
  _call(g, "energy/0", lambda z: jnp.sum(jnp.abs(jnp.exp(z) * jnp.conj(z)) ** 2), inner())


LENGTHS = [1, 2, 3, 4, 5, 6, 7, 8, 15, 31, 37, 64, 74, 100]


def _transforms(g):
  for n in LENGTHS:
    _call(g, f"fft/{n}", jnp.fft.fft, wave(2, n))
    _call(g, f"ifft/{n}", jnp.fft.ifft, wave(2, n))
    _call(g, f"rfft/{n}", jnp.fft.rfft, wave(2, n, dtype=jnp.float32))
    _call(g, f"irfft/{n}", lambda x, n=n: jnp.fft.irfft(x, n), wave(2, n // 2 + 1))
  for norm in ("backward", "ortho", "forward"):
    _call(g, f"fft_{norm}/0", lambda x, m=norm: jnp.fft.fft(x, 6, 0, m), wave(4, 3))
    _call(g, f"ifft_{norm}/0", lambda x, m=norm: jnp.fft.ifft(x, 3, 0, m), wave(4, 3))
    _call(g, f"rfft_{norm}/0", lambda x, m=norm: jnp.fft.rfft(x, None, 0, m),
          wave(5, 3, dtype=jnp.float32))
    _call(g, f"irfft_{norm}/0", lambda x, m=norm: jnp.fft.irfft(x, None, 0, m), wave(4, 3))
    _call(g, f"hfft_{norm}/0", lambda x, m=norm: jnp.fft.hfft(x, 7, -1, m), wave(2, 4))
    _call(g, f"ihfft_{norm}/0", lambda x, m=norm: jnp.fft.ihfft(x, None, -1, m),
          wave(2, 6, dtype=jnp.float32))
    _call(g, f"fftn_{norm}/0", lambda x, m=norm: jnp.fft.fftn(x, None, None, m), wave(2, 3, 4))
    _call(g, f"irfftn_{norm}/0", lambda x, m=norm: jnp.fft.irfftn(x, (3, 5), (0, 2), m),
          wave(3, 2, 3))
  _call(g, "fftn/0", lambda x: jnp.fft.fftn(x, (4, 2), (2, 0)), wave(2, 3, 5))
  _call(g, "ifftn/0", lambda x: jnp.fft.ifftn(x, (4, 2)), wave(2, 3, 5))
  _call(g, "rfftn/0", jnp.fft.rfftn, wave(2, 3, 4, dtype=jnp.float32))
  _call(g, "fft2/0", jnp.fft.fft2, wave(2, 3, 4))
  _call(g, "ifft2/0", jnp.fft.ifft2, wave(2, 3, 4))
  _call(g, "rfft2/0", jnp.fft.rfft2, wave(2, 3, 5, dtype=jnp.float32))
  _call(g, "irfft2/0", jnp.fft.irfft2, wave(2, 3, 4))
  _call(g, "fft_of_real/0", jnp.fft.fft, wave(5, dtype=jnp.float32))
  _call(g, "fftshift/0", jnp.fft.fftshift, wave(5, 4))
  _call(g, "fftshift/1", lambda x: jnp.fft.fftshift(x, 1), wave(2, 5))
  _call(g, "ifftshift/0", jnp.fft.ifftshift, wave(5, 4))
  for n in (1, 4, 7):
    g.case(f"fftfreq/{n}", "fftfreq(n, 0.5)", out=[jnp.fft.fftfreq(n, 0.5)])
    g.case(f"rfftfreq/{n}", "rfftfreq(n, 0.5)", out=[jnp.fft.rfftfreq(n, 0.5)])


def _numpy(g):
  """Functions of numpy that conjugate, or take the size of a number."""
  tilted = lambda *shape: wave(*shape) * (0.6 + 0.8j)
  _call(g, "vdot/0", jnp.vdot, wave(2, 3), tilted(2, 3) + 1)
  _call(g, "inner/0", jnp.inner, wave(2, 3), tilted(4, 3))
  _call(g, "vecdot/0", jnp.vecdot, wave(2, 3), tilted(2, 3) + 1)
  _call(g, "vecmat/0", jnp.vecmat, wave(3), tilted(3, 2))
  _call(g, "einsum/0", lambda a, b: jnp.einsum("ij,kj->ik", a, b), wave(2, 3), tilted(4, 3))
  _call(g, "convolve/0", jnp.convolve, wave(5), tilted(3))
  _call(g, "convolve/1", jnp.convolve, wave(2), wave(4, dtype=jnp.float32))
  full = lambda a, v: jnp.correlate(a, v, mode="full")
  _call(g, "correlate/0", full, wave(5), tilted(3))
  _call(g, "correlate/1", full, wave(2), tilted(4))
  _call(g, "cov/0", jnp.cov, wave(3, 5))
  _call(g, "corrcoef/0", jnp.corrcoef, wave(3, 5))
  _call(g, "average/0", lambda x, w: jnp.average(x, weights=w), wave(4),
        jnp.arange(4, dtype=jnp.float32) + 1)
  holes = wave(6).at[jnp.array([1, 4])].set(jnp.nan)
  _call(g, "nanvar/0", jnp.nanvar, holes, derivative=False)
  _call(g, "nansum/0", jnp.nansum, holes, derivative=False)
  _call(g, "masked_var/0", lambda x: jnp.var(x, where=jnp.arange(6) % 3 > 0), wave(6))
  _call(g, "sinc/0", jnp.sinc, inner())
  _call(g, "polyval/0", jnp.polyval, wave(4), tilted(3))
  _call(g, "ramp/0", lambda x: jnp.pad(x, (3, 2), "linear_ramp"), wave(3))
  _call(g, "norms/0", lambda x, y: optax.global_norm((x, y)), wave(3), wave(2, dtype=jnp.float32))
  _call(g, "silu/0", jax.nn.silu, inner())
  _call(g, "soft_sign/0", jax.nn.soft_sign, inner())
  # The size has a corner at zero, where its derivative is zero by convention.
  _call(g, "abs/2", jnp.abs, jnp.array([0, 1 + 1j, -2j], jnp.complex64))


def _initializers(g):
  for name in ("truncated_normal", "normal", "uniform"):
    f = initializers.variance_scaling(2.0, "fan_in", name)
    g.case(f"variance_{name}", f"variance_scaling(2, fan_in, {name})(key(5), (4, 3), complex64)",
           out=[f(jax.random.key(5), (4, 3), jnp.complex64)])
  g.case("normal_half", "initializers.normal(0.5)(key(5), (3,), complex64)",
         out=[initializers.normal(0.5)(jax.random.key(5), (3,), jnp.complex64)])


OPTIMISERS = {
    "sgd": optax.sgd(0.1, momentum=0.9), "adam": optax.adam(0.1), "adamw": optax.adamw(0.1),
    "rmsprop": optax.rmsprop(0.1), "adabelief": optax.adabelief(0.1), "yogi": optax.yogi(0.1),
    "adadelta": optax.adadelta(0.1), "lion": optax.lion(0.1),
    "clipped": optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1))}


def _optimisers(g):
  for name, tx in OPTIMISERS.items():
    params = {"a": wave(3), "b": wave(2, dtype=jnp.float32)}
    state = tx.init(params)
    for step in range(3):
      grads = jax.tree.map(lambda p, k=step + 1: k * p / 3 + p[::-1] * k, params)
      updates, state = tx.update(grads, state, params)
      params = optax.apply_updates(params, updates)
    g.case(f"optimiser_{name}", f"three steps of {name}; gradients k p / 3 + k reversed(p)",
           out=[params["a"], params["b"]])


def _layers(g):
  dense = nn.Dense(3, param_dtype=jnp.complex64)
  variables = dense.init(jax.random.key(0), wave(2, 4))
  x = wave(2, 4, dtype=jnp.float32)
  g.case("dense", "Dense(3, param_dtype=complex64), init(key(0)) of complex and real operands",
         kernel=variables["params"]["kernel"], bias=variables["params"]["bias"],
         out=[dense.apply(variables, wave(2, 4)), dense.apply(variables, x)])
  norm = nn.LayerNorm(param_dtype=jnp.complex64)
  z = wave(2, 5)
  g.case("layer_norm", "LayerNorm(param_dtype=complex64)",
         out=[norm.apply(norm.init(jax.random.key(0), z), z)])


def make():
  g = GoldenFile("complex")
  g.case("normal", "random.normal(key(3), (5,), complex64)",
         out=[jax.random.normal(jax.random.key(3), (5,), jnp.complex64)])
  _functions(g)
  _transforms(g)
  _numpy(g)
  _initializers(g)
  _optimisers(g)
  _layers(g)
  return g
