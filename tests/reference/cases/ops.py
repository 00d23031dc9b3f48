"""Tensor operations: activations, reductions, products, convolutions, windows, indexing, edges.

Names ending in `_f64` were computed with 64-bit types on. `grad` is the gradient of
sum(out * weight) where `weight` is stored, or of sum(out) where it is not.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax import random

from golden_file import GoldenFile

POINTS = np.array([-100, -88, -30, -10, -6, -4, -3, -2.5, -2, -1.5, -1, -0.75, -0.5, -0.25, -0.1,
                   -1e-3, -1e-6, 0, 1e-6, 1e-3, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4, 6, 10,
                   30, 88, 100, np.inf, -np.inf, np.nan])
UNIT = np.array([-1, -0.9999999, -0.999, -0.9, -0.5, -0.1, -1e-4, 0, 1e-4, 0.1, 0.5, 0.9, 0.999,
                 0.9999999, 1, 1.5, np.nan])


def normal(shape, seed=1, dtype=jnp.float32):
  return random.normal(random.key(seed), shape, dtype)


def _pointwise(g, name, f, points):
  for suffix, dtype in (("", jnp.float32), ("_f64", jnp.float64)):
    with jax.enable_x64(True):
      x = jnp.asarray(points, dtype)
      out = f(x)
      grad = jax.vmap(jax.grad(f))(x)
      assert out.dtype == dtype, name
      g.case(f"{name}{suffix}", "value and derivative at the points", x=x, out=out, grad=grad)


def _activations(g):
  nn = jax.nn
  table = {
      "relu": nn.relu, "relu6": nn.relu6, "leaky_relu": nn.leaky_relu, "elu": nn.elu,
      "celu": nn.celu, "selu": nn.selu, "sigmoid": nn.sigmoid, "log_sigmoid": nn.log_sigmoid,
      "softplus": nn.softplus, "silu": nn.silu, "gelu_tanh": nn.gelu,
      "gelu_exact": lambda x: nn.gelu(x, approximate=False), "tanh": jnp.tanh,
      "hard_tanh": nn.hard_tanh, "hard_sigmoid": nn.hard_sigmoid, "hard_silu": nn.hard_silu,
      "soft_sign": nn.soft_sign, "squareplus": nn.squareplus, "mish": nn.mish,
      "sparse_plus": nn.sparse_plus, "sparse_sigmoid": nn.sparse_sigmoid,
  }
  for name, f in table.items():
    _pointwise(g, f"activation/{name}", f, POINTS)


def _elementary(g):
  table = {
      "exp": jnp.exp, "exp2": jnp.exp2, "expm1": jnp.expm1, "log": jnp.log, "log1p": jnp.log1p,
      "sqrt": jnp.sqrt, "rsqrt": lax.rsqrt, "cbrt": jnp.cbrt, "sin": jnp.sin, "cos": jnp.cos,
      "tan": jnp.tan, "sinh": jnp.sinh, "cosh": jnp.cosh, "arctan": jnp.arctan,
      "arcsinh": jnp.arcsinh, "erf": lax.erf, "erfc": lax.erfc, "abs": jnp.abs, "sign": jnp.sign,
      "lgamma": lax.lgamma, "digamma": lax.digamma, "reciprocal": jnp.reciprocal,
      "square": jnp.square,
  }
  for name, f in table.items():
    _pointwise(g, f"unary/{name}", f, POINTS)
  for name, f in {"erf_inv": lax.erf_inv, "arcsin": jnp.arcsin, "arccos": jnp.arccos,
                  "arctanh": jnp.arctanh}.items():
    _pointwise(g, f"unary/{name}", f, UNIT)
  for name, f in {"round": jnp.round, "floor": jnp.floor, "ceil": jnp.ceil,
                  "trunc": jnp.trunc}.items():
    x = jnp.array([-2.5, -1.5, -0.5, -0.4, 0.0, 0.5, 1.5, 2.5, 2.6, jnp.inf, jnp.nan])
    g.case(f"unary/{name}", "value at the points", x=x, out=f(x))


def _binary(g):
  a = jnp.array([-7.5, -7, -1, 0, 0, 1, 7, 7.5, jnp.inf, jnp.nan, 5, 0, 2])
  b = jnp.array([2, -2, 3, 2, 0, 0, -3, 2.5, 2, 1, jnp.inf, 0, 0.5])
  table = {"floor_divide": jnp.floor_divide, "remainder": jnp.remainder, "power": jnp.power,
           "maximum": jnp.maximum, "minimum": jnp.minimum, "logaddexp": jnp.logaddexp,
           "arctan2": jnp.arctan2, "divide": jnp.divide, "hypot": jnp.hypot}
  for name, f in table.items():
    grads = jax.vmap(jax.grad(f, (0, 1)))(a, b)
    g.case(f"binary/{name}", "f(a, b) with both derivatives", a=a, b=b, out=f(a, b),
           grad_a=grads[0], grad_b=grads[1])
  i = jnp.array([-7, -7, 7, 7, 0, 5, -2147483648])
  j = jnp.array([2, -2, -3, 3, 4, -1, -1])
  g.case("binary/integer", "i32: floor_divide, remainder, lax.div, lax.rem, left shift by "
         "abs(j), arithmetic right shift", a=i, b=j, floor_divide=jnp.floor_divide(i, j),
         remainder=jnp.remainder(i, j), div=lax.div(i, j), rem=lax.rem(i, j),
         left=i << jnp.abs(j), right=i >> jnp.abs(j))
  x = jnp.array([0.0, 1.0, -1.0, 300.7, -300.7, 2.0**31, 65504.0, 65520.0, 1e-8, 3.3895e38])
  g.case("convert", "f32 to bf16, f16, i32, bool and, of values in range, u8", x=x,
         bf16=x.astype(jnp.bfloat16), f16=x.astype(jnp.float16),
         i32=x[:5].astype(jnp.int32), bool=x.astype(bool))


def _reductions(g):
  x = normal((3, 4, 5)) * 3
  for suffix, dtype in (("", jnp.float32), ("_f64", jnp.float64), ("_bf16", jnp.bfloat16)):
    with jax.enable_x64(True):
      v = x.astype(dtype)
      w = normal((3, 4, 5), 2).astype(dtype)
      for name, f in (("softmax", jax.nn.softmax), ("log_softmax", jax.nn.log_softmax),
                      ("standardize", jax.nn.standardize)):
        g.case(f"reduce/{name}{suffix}", f"{name} over the last axis", x=v, weight=w, out=f(v),
               grad=jax.grad(lambda t: (f(t) * w).sum())(v))
      for name, f in (("logsumexp", jax.nn.logsumexp), ("var", jnp.var), ("std", jnp.std),
                      ("mean", jnp.mean), ("prod", jnp.prod), ("max", jnp.max),
                      ("sum", jnp.sum)):
        out = f(v, axis=1)
        g.case(f"reduce/{name}{suffix}", f"{name} over axis 1; grad of the sum", x=v, out=out,
               grad=jax.grad(lambda t: f(t, axis=1).sum())(v))
  edge = jnp.array([[-jnp.inf, -jnp.inf, -jnp.inf], [-jnp.inf, 0.0, 1.0], [jnp.inf, 0.0, 1.0],
                    [jnp.nan, 0.0, 1.0], [1e38, 1e38, 1e38]])
  g.case("reduce/edge_rows", "rows with infinities and NaN: softmax, log_softmax, logsumexp (axis "
         "-1), max, and argmax", x=edge, softmax=jax.nn.softmax(edge),
         log_softmax=jax.nn.log_softmax(edge), logsumexp=jax.nn.logsumexp(edge, axis=-1),
         max=edge.max(-1), argmax=edge.argmax(-1))
  mask = jnp.array([[1, 0, 1, 1, 0]], bool)
  g.case("reduce/softmax_where", "softmax(x, where=mask) and log_softmax", x=x, mask=mask,
         out=jax.nn.softmax(x, where=mask), log=jax.nn.log_softmax(x, where=mask))
  for name, f in (("cumsum", jnp.cumsum), ("cumprod", jnp.cumprod), ("cummax", lax.cummax),
                  ("cumlogsumexp", lax.cumlogsumexp)):
    w = normal((3, 4, 5), 2)
    g.case(f"reduce/{name}", f"{name} over axis 1", x=x, weight=w, out=f(x, 1),
           grad=jax.grad(lambda t: (f(t, 1) * w).sum())(x))
  g.case("reduce/cumsum_reverse", "lax.cumsum(x, 2, reverse=True)", x=x,
         out=lax.cumsum(x, 2, reverse=True))
  t = jnp.array([3.0, 1.0, jnp.nan, 1.0, -jnp.inf, 3.0, -0.0, 0.0])
  g.case("reduce/sort", "sort, argsort (stable), top_k 3 of the values without NaN", x=t,
         sort=jnp.sort(t), argsort=jnp.argsort(t), top=lax.top_k(t[jnp.array([0, 1, 3, 5])], 3)[0],
         top_index=lax.top_k(t[jnp.array([0, 1, 3, 5])], 3)[1])


def _products(g):
  cases = {
      "matmul": ((4, 3), (3, 5), (((1,), (0,)), ((), ()))),
      "batched": ((2, 4, 3), (2, 3, 5), (((2,), (1,)), ((0,), (0,)))),
      "transposed": ((3, 4), (5, 3), (((0,), (1,)), ((), ()))),
      "two_contracted": ((2, 3, 4), (4, 5, 3), (((1, 2), (2, 0)), ((), ()))),
      "two_batched": ((2, 3, 4, 5), (3, 5, 2, 6), (((3,), (1,)), ((0, 1), (2, 0)))),
      "outer": ((2, 3), (4,), (((), ()), ((), ()))),
      "vector": ((5,), (5,), (((0,), (0,)), ((), ()))),
  }
  for name, (sa, sb, dims) in cases.items():
    a, b = normal(sa), normal(sb, 2)
    out = lax.dot_general(a, b, dims)
    w = normal(out.shape, 3)
    ga, gb = jax.grad(lambda p, q: (lax.dot_general(p, q, dims) * w).sum(), (0, 1))(a, b)
    g.case(f"dot/{name}", f"dot_general, dimension numbers {dims}", a=a, b=b, weight=w, out=out,
           grad_a=ga, grad_b=gb)
  a, b = normal((4, 30)).astype(jnp.bfloat16), normal((30, 3), 2).astype(jnp.bfloat16)
  g.case("dot/bf16", "bf16 matmul, result bf16 and with preferred f32", a=a, b=b, out=a @ b,
         wide=lax.dot_general(a, b, (((1,), (0,)), ((), ())), preferred_element_type=jnp.float32))
  ia = jnp.arange(-6, 6).reshape(3, 4)
  g.case("dot/i32", "i32 matmul", a=ia, b=ia.T, out=ia @ ia.T)
  x, y = normal((2, 3, 4)), normal((2, 4, 5), 2)
  for i, spec in enumerate(("bij,bjk->bik", "bij,bjk->kb", "bij,bjk->ibk")):
    g.case(f"einsum/{i}", spec, a=x, b=y, out=jnp.einsum(spec, x, y))
  g.case("einsum/diagonal", "ii->i and ii->", a=normal((4, 4)),
         diagonal=jnp.einsum("ii->i", normal((4, 4))), trace=jnp.einsum("ii->", normal((4, 4))))


def _convolutions(g):
  from cases import conv_cases
  for name, (shape_x, shape_k, options) in conv_cases.CASES.items():
    x, k = normal(shape_x), normal(shape_k, 2)
    f = lambda p, q: lax.conv_general_dilated(p, q, **options)
    out = f(x, k)
    w = normal(out.shape, 3)
    gx, gk = jax.grad(lambda p, q: (f(p, q) * w).sum(), (0, 1))(x, k)
    g.case(f"conv/{name}", f"conv_general_dilated {options}", x=x, kernel=k, weight=w, out=out,
           grad_x=gx, grad_kernel=gk)


def _windows(g):
  ties = jnp.array([1., 2., 2., 1., 2., 2., 0., 0., 2., 1., 1., 2., 0., 0., 0., 0.]).reshape(
      1, 4, 4, 1)
  rand = normal((2, 6, 5, 3))
  geometry = {
      "valid": ((1, 2, 2, 1), (1, 2, 2, 1), "VALID", None),
      "same": ((1, 3, 3, 1), (1, 2, 2, 1), "SAME", None),
      "overlap": ((1, 3, 2, 1), (1, 1, 1, 1), "VALID", None),
      "explicit": ((1, 3, 2, 1), (1, 2, 1, 1), ((0, 0), (1, 0), (0, 1), (0, 0)), None),
      "dilated": ((1, 2, 2, 1), (1, 1, 2, 1), "VALID", (1, 2, 2, 1)),
  }
  for name, (window, strides, padding, dilation) in geometry.items():
    for op_name, op, start in (("max", lax.max, -jnp.inf), ("min", lax.min, jnp.inf),
                               ("add", lax.add, 0.0)):
      for source, x in (("ties", ties), ("normal", rand)):
        if op_name == "add" and source == "ties":
          continue
        f = lambda t: lax.reduce_window(t, start, op, window, strides, padding,
                                        window_dilation=dilation)
        out = f(x)
        w = normal(out.shape, 2)
        parts = {}
        if op_name == "add" or dilation is None:
          parts["grad"] = jax.grad(lambda t: (f(t) * w).sum())(x)
        g.case(f"window/{name}_{op_name}_{source}",
               f"reduce_window {op_name}, window {window}, strides {strides}, padding {padding}, "
               f"window dilation {dilation}", x=x, weight=w, out=out, **parts)


def _indexing(g):
  x = normal((5, 3))
  i = jnp.array([0, 4, 2, 2, -1, 5, -6, 7])
  for mode in ("fill", "clip", "wrap"):
    g.case(f"index/take_{mode}", f"take(x, i, axis=0, mode={mode})", x=x, i=i,
           out=jnp.take(x, i, axis=0, mode=mode))
  f = lambda t: jnp.take(t, i, axis=0, mode="fill")
  w = normal((8, 3), 2)
  g.case("index/take_grad", "gradient of sum(where(finite, take(x, i, fill), 0) * weight)", x=x,
         i=i, weight=w, grad=jax.grad(lambda t: jnp.where(
             jnp.isfinite(f(t)), f(t) * w, 0).sum())(x))
  g.case("index/read", "x[i] with i out of range (negative wraps once, then clamped)", x=x, i=i,
         out=x[i])
  u = normal((8, 3), 3)
  g.case("index/set", "x.at[j].set(u[:3]) with unique j = [1, 7, -1]", x=x, u=u,
         out=x.at[jnp.array([1, 7, -1])].set(u[:3]))
  for name in ("add", "multiply", "min", "max"):
    g.case(f"index/{name}", f"x.at[i].{name}(u): duplicates accumulate, out of range is dropped",
           x=x, i=i, u=u, out=getattr(x.at[i], name)(u))
  for mode in ("clip", "drop"):
    g.case(f"index/add_{mode}", f"x.at[i].add(u, mode={mode})", x=x, i=i, u=u,
           out=x.at[i].add(u, mode=mode))
  y = normal((4, 5))
  for a, b in ((0, 0), (1, 2), (3, 4), (-1, -2), (9, 9)):
    g.case(f"index/dynamic_slice_{a}_{b}", f"dynamic_slice(y, ({a}, {b}), (2, 3)): lax.dynamic_"
           "slice, negative starts count from the end, then clamped", y=y,
           out=lax.dynamic_slice(y, (a, b), (2, 3)),
           update=lax.dynamic_update_slice(y, jnp.zeros((2, 3)), (a, b)))
  along = jnp.array([[0, 4, -1], [2, 2, 5], [1, -5, 0], [3, 3, -6]])
  g.case("index/take_along_axis", "take_along_axis(y, along, 1): fill mode", y=y, along=along,
         out=jnp.take_along_axis(y, along, 1))
  g.case("index/one_hot", "one_hot([0, 2, -1, 3, 9], 3)", out=jax.nn.one_hot(
      jnp.array([0, 2, -1, 3, 9]), 3))
  z = jnp.arange(12.0).reshape(3, 4)
  for mode in ("constant", "edge", "reflect", "symmetric", "wrap"):
    g.case(f"index/pad_{mode}", f"pad(arange(12).reshape(3, 4), ((1, 2), (3, 1)), {mode})",
           out=jnp.pad(z, ((1, 2), (3, 1)), mode=mode))
  g.case("index/lax_pad", "lax.pad(arange(12).reshape(3, 4), -1, ((1, -1, 2), (-2, 3, 1)))",
         out=lax.pad(z, jnp.float32(-1.0), ((1, -1, 2), (-2, 3, 1))))
  g.case("index/searchsorted", "searchsorted([1, 2, 2, 3], [0, 2, 2.5, 4], left and right)",
         left=jnp.searchsorted(jnp.array([1., 2, 2, 3]), jnp.array([0, 2, 2.5, 4])),
         right=jnp.searchsorted(jnp.array([1., 2, 2, 3]), jnp.array([0, 2, 2.5, 4]), "right"))


def _edges(g):
  d = lambda f, *x: jnp.stack([jnp.asarray(v) for v in jax.grad(f, tuple(range(len(x))))(*x)])
  nan_where = lambda x: jnp.where(x > 0, jnp.log(x), 0.0)
  safe_where = lambda x: jnp.where(x > 0, jnp.log(jnp.where(x > 0, x, 1.0)), 0.0)
  table = {
      "relu_0": (jax.nn.relu, 0.0), "abs_0": (jnp.abs, 0.0), "sqrt_0": (jnp.sqrt, 0.0),
      "rsqrt_0": (lax.rsqrt, 0.0), "log_0": (jnp.log, 0.0), "relu6_6": (jax.nn.relu6, 6.0),
      "max_tie": (jnp.maximum, 1.0, 1.0), "min_tie": (jnp.minimum, 1.0, 1.0),
      "pow_x_0": (jnp.power, 0.0, 0.0), "pow_0_x": (jnp.power, 0.0, 2.0),
      "pow_2_0": (jnp.power, 2.0, 0.0), "pow_0_1": (jnp.power, 0.0, 1.0),
      "clip_low": (lambda x: jnp.clip(x, 0.0, 1.0), 0.0),
      "clip_high": (lambda x: jnp.clip(x, 0.0, 1.0), 1.0),
      "clamp_low": (lambda x: lax.clamp(0.0, x, 1.0), 0.0),
      "where_log_0": (nan_where, 0.0), "double_where_log_0": (safe_where, 0.0),
      "leaky_relu_0": (jax.nn.leaky_relu, 0.0), "elu_0": (jax.nn.elu, 0.0),
      "selu_0": (jax.nn.selu, 0.0), "hard_tanh_1": (jax.nn.hard_tanh, 1.0),
      "logaddexp_inf": (jnp.logaddexp, -jnp.inf, -jnp.inf), "sign_0": (jnp.sign, 0.0),
      "square_root_of_square_0": (lambda x: jnp.sqrt(x * x), 0.0),
      "integer_pow_0": (lambda x: x ** 3, 0.0),
  }
  for name, (f, *x) in table.items():
    x = [jnp.float32(v) for v in x]
    g.case(f"edge/{name}", "derivative of every argument at x", x=jnp.stack(x), out=f(*x),
           grad=d(f, *x))
  vectors = {
      "max_ties": (jnp.max, [2., 1., 2., 2.]), "min_ties": (jnp.min, [1., 1., 2., 1.]),
      "norm_0": (jnp.linalg.norm, [0., 0., 0.]), "prod_zero": (jnp.prod, [2., 0., 3.]),
      "prod_zeros": (jnp.prod, [2., 0., 0.]), "sort_ties": (
          lambda v: (jnp.sort(v) * jnp.array([1., 2., 3., 4.])).sum(), [2., 1., 2., 1.]),
      "logsumexp_minus_inf": (jax.nn.logsumexp, [-np.inf, -np.inf]),
      "softmax_first_minus_inf": (lambda v: jax.nn.softmax(v)[0], [0.0, -np.inf, 1.0]),
      "std_constant": (jnp.std, [1., 1., 1.]), "var_constant": (jnp.var, [1., 1., 1.]),
      "cumprod_zero": (lambda v: jnp.cumprod(v).sum(), [2., 0., 3.]),
      "cummax_ties": (lambda v: lax.cummax(v).sum(), [1., 1., 3., 3., 2.]),
      "abs_sum": (lambda v: jnp.abs(v).sum(), [-1., 0., 2.]),
  }
  for name, (f, x) in vectors.items():
    x = jnp.array(x, jnp.float32)
    g.case(f"edge/{name}", "gradient at x", x=x, out=f(x), grad=jax.grad(f)(x))


def make():
  g = GoldenFile("ops")
  for part in (_activations, _elementary, _binary, _reductions, _products, _convolutions, _windows,
               _indexing, _edges):
    part(g)
  return g
