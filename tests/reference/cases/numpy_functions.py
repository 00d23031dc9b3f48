"""Functions of jax.numpy, jax.scipy.special, jax.scipy.linalg and jax.image that are composites.

Case `name/k` is the k-th call: operands `in`, results `out` (one or more).
"""

import jax
import jax.image
import jax.numpy as jnp
import jax.scipy.linalg
import jax.scipy.special as special
import numpy as np
from jax import lax

from golden_file import GoldenFile

POINTS = [-np.inf, -30, -7.5, -2, -1, -0.25, -1e-3, -0.0, 0, 1e-3, 0.25, 1, 2, 7.5, 30, np.inf,
          np.nan]
UNIT = [-0.5, 0, 1e-6, 0.01, 0.25, 0.5, 0.75, 0.99, 1, 1.5, np.nan]


def f32(*values):
  return jnp.array(values, jnp.float32)


def i32(*values):
  return jnp.array(values, jnp.int32)


def wave(*shape, dtype=jnp.float32):
  """Distinct numbers in (-2, 2) that look random."""
  n = int(np.prod(shape))
  return jnp.asarray(2 * np.sin(1 + 2.3 * np.arange(n)), dtype).reshape(shape)


def whole(*shape):
  n = int(np.prod(shape))
  return jnp.asarray((np.arange(n) * 7 + 3) % 11 - 5, jnp.int32).reshape(shape)


EMPTY = jnp.zeros((0,), jnp.float32)
ALL = [wave(), wave(1), wave(7), wave(3, 5), wave(2, 3, 4), wave(0, 3), whole(5),
       wave(5, dtype=jnp.bfloat16)]


def _add(g, name, f, *calls):
  for k, args in enumerate(calls):
    args = args if isinstance(args, tuple) else (args,)
    out = f(*args)
    g.case(f"{name}/{k}", name, **{"in": list(args)},
           out=list(out) if isinstance(out, (list, tuple)) else [out])


def _pairs():
  a, b = np.meshgrid(POINTS, POINTS)
  return f32(*a.ravel()), f32(*b.ravel())


def _elementwise(g):
  points = f32(*POINTS)
  others = [whole(5), wave(3, dtype=jnp.bfloat16), wave(2, 3), EMPTY, wave()]
  for name, f in {"log10": jnp.log10, "signbit": jnp.signbit, "sinc": jnp.sinc,
                  "deg2rad": jnp.deg2rad, "rad2deg": jnp.rad2deg, "modf": jnp.modf,
                  "isposinf": jnp.isposinf, "isneginf": jnp.isneginf}.items():
    _add(g, name, f, points, *others)
  pairs = _pairs()
  mixed = [(whole(2, 1), wave(3)), (wave(3, dtype=jnp.bfloat16), wave()), (EMPTY, wave(1))]
  for name, f in {"hypot": jnp.hypot, "logaddexp2": jnp.logaddexp2, "copysign": jnp.copysign,
                  "heaviside": jnp.heaviside, "fmod": jnp.fmod, "fmax": jnp.fmax,
                  "fmin": jnp.fmin, "logical_xor": jnp.logical_xor}.items():
    _add(g, name, f, pairs, *mixed)
  _add(g, "fmax_integers", jnp.fmax, (whole(5), jnp.flip(whole(5))))
  _add(g, "ldexp", jnp.ldexp, (points, jnp.int32(3)), (f32(1, 1.5, -2), i32(-140, 120, 127)))
  _add(g, "piecewise", lambda x: jnp.piecewise(x, [x < -1, x > 1], [jnp.negative, 2., jnp.square]),
       wave(7), wave(2, 3), wave(), EMPTY)
  _add(g, "piecewise_zero", lambda x: jnp.piecewise(x, [x < -1, x > 1], [jnp.negative, 2.]),
       wave(7))


def _along(g):
  for axis in (0, -1):
    _add(g, f"gradient{axis}", lambda x: jnp.gradient(x, 0.5, axis=axis), wave(5), wave(2, 3),
         wave(3, 2), whole(4))
    _add(g, f"trapezoid{axis}", lambda y: jnp.trapezoid(y, dx=0.5, axis=axis), wave(7), wave(2, 3),
         wave(1), whole(4), wave(1, 3))
  _add(g, "trapezoid_at", jnp.trapezoid, (wave(3, 5), jnp.cumsum(jnp.abs(wave(5)))),
       (wave(3, 5), jnp.cumsum(jnp.abs(wave(3, 5)), 1)))
  _add(g, "unwrap", jnp.unwrap, 5 * wave(11), 9 * wave(2, 5),
       jnp.float32(np.pi) * f32(0, 1, 2, 3, 2, 0.5, -1), wave(1))
  for mode in ("valid", "same", "full"):
    _add(g, f"correlate_{mode}", lambda a, v: jnp.correlate(a, v, mode), (wave(7), wave(3)),
         (wave(3), wave(7)), (wave(7), wave(4)), (wave(4), wave(7)), (wave(5), wave(5)),
         (wave(1), wave(1)))
  _add(g, "vecdot", jnp.vecdot, (wave(3, 5), wave(5)), (wave(5), wave(5)))
  _add(g, "matvec", jnp.matvec, (wave(2, 3, 5), wave(5)), (wave(3, 5), wave(2, 5)))
  _add(g, "vecmat", jnp.vecmat, (wave(3), wave(2, 3, 5)), (wave(2, 3), wave(3, 5)))
  _add(g, "polyval", jnp.polyval, (wave(4), wave(2, 3)), (wave(1), wave(3)), (EMPTY, wave(3)))
  _add(g, "polyder", jnp.polyder, wave(4), wave(2), whole(3))
  _add(g, "polyder2", lambda p: jnp.polyder(p, 2), wave(5))
  _add(g, "polyint", jnp.polyint, wave(4), wave(1))
  _add(g, "polyadd", jnp.polyadd, (wave(4), wave(2)), (wave(1), wave(3)))
  _add(g, "polymul", jnp.polymul, (wave(4), wave(2)))
  _add(g, "polyfit", lambda x, y: jnp.polyfit(x, y, 2), (wave(7), jnp.flip(wave(7))))


def _arrays(g):
  for name, f in {"atleast_1d": jnp.atleast_1d, "atleast_2d": jnp.atleast_2d,
                  "atleast_3d": jnp.atleast_3d}.items():
    _add(g, name, f, *ALL)
  pairs = [(wave(), wave()), (wave(3), wave(3)), (wave(2, 3), wave(2, 3))]
  for name, f in {"hstack": jnp.hstack, "vstack": jnp.vstack, "dstack": jnp.dstack,
                  "column_stack": jnp.column_stack}.items():
    _add(g, name, lambda *x: f(x), *pairs)
  _add(g, "append", jnp.append, (wave(2, 3), wave(2)), (wave(), whole(2)))
  _add(g, "append0", lambda a, b: jnp.append(a, b, 0), (wave(2, 3), wave(1, 3)))
  _add(g, "insert", lambda x, v: jnp.insert(x, 1, v, 0), (wave(3), wave()), (wave(2, 3), wave(3)))
  _add(g, "remove", lambda x: jnp.delete(x, np.array([1, -1]), -1), wave(5), wave(2, 3))
  _add(g, "resize", lambda x: jnp.resize(x, (3, 4)), wave(5), wave(2, 7), wave())
  for k in (0, 1, 2, 3, -1):
    _add(g, f"rot90_{k}", lambda x: jnp.rot90(x, k), wave(3, 5))
    _add(g, f"rot90_axes_{k}", lambda x: jnp.rot90(x, k, (2, 0)), wave(2, 3, 4))
  _add(g, "roll", lambda x: jnp.roll(x, 2), *ALL[:7])
  _add(g, "roll_axes", lambda x: jnp.roll(x, (1, -2), (0, 1)), wave(3, 5))
  for k in (-1, 0, 2, 9):
    _add(g, f"diagonal{k}", lambda x: jnp.diagonal(x, k), wave(3, 5), wave(5, 3), wave(2, 3, 4))
    _add(g, f"trace{k}", lambda x: jnp.trace(x, k), wave(3, 5), wave(2, 3, 4))
    _add(g, f"diagflat{k}", lambda x: jnp.diagflat(x, k), wave(3), wave(2, 2), wave())
    _add(g, f"tril_indices{k}", lambda: jnp.tril_indices(3, k, 4), ())
    _add(g, f"triu_indices{k}", lambda: jnp.triu_indices(3, k), ())
  _add(g, "diagonal_axes", lambda x: jnp.diagonal(x, 1, 2, 0), wave(2, 3, 4))
  _add(g, "fill_diagonal", lambda x, v: jnp.fill_diagonal(x, v, inplace=False),
       (wave(3, 5), wave()), (wave(5, 3), wave(3)), (whole(2, 2), whole(2)))
  _add(g, "indices", lambda: list(jnp.indices((2, 3))), ())
  _add(g, "ravel_multi_index", lambda a, b: jnp.ravel_multi_index((a, b), (3, 4), mode="clip"),
       (whole(4), whole(4)), (whole(), whole()))
  _add(g, "vander", jnp.vander, wave(3), wave(0), whole(4))
  _add(g, "vander_rising", lambda x: jnp.vander(x, 5, increasing=True), wave(3))
  _add(g, "logspace", lambda: jnp.logspace(-1, 2, 7), ())
  _add(g, "geomspace", lambda: jnp.geomspace(-1, -1000, 5), ())


def _order(g):
  _add(g, "dynamic_slice_in_dim", lambda x, i: lax.dynamic_slice_in_dim(x, i, 2, 0),
       *[(wave(5, 2), jnp.int32(i)) for i in (-9, -2, 0, 4, 9)])
  _add(g, "dynamic_index_in_dim", lambda x, i: lax.dynamic_index_in_dim(x, i, -1, False),
       *[(wave(2, 5), jnp.int32(i)) for i in (-1, 3, 7)])
  _add(g, "dynamic_update_slice_in_dim",
       lambda x, u, i: lax.dynamic_update_slice_in_dim(x, u, i, 1),
       *[(wave(2, 5), wave(2, 2), jnp.int32(i)) for i in (-1, 1, 7)])
  _add(g, "select_n", lambda w, *c: lax.select_n(w, *c),
       (jnp.array([True, False]), wave(2), -wave(2)), (jnp.bool_(True), wave(2), -wave(2)))
  _add(g, "select_three", lambda w, *c: lax.select_n(w, *c),
       (i32(0, 1, 2, 1), wave(4), -wave(4), 2 * wave(4)))
  _add(g, "put_along_axis", lambda x, i, v: jnp.put_along_axis(x, i, v, 1, inplace=False),
       (wave(2, 5), jnp.array([[1, -1], [4, 0]]), wave(2, 2)),
       (wave(2, 5), jnp.array([[9], [-7]]), wave(2, 1)))
  _add(g, "argwhere", lambda x: jnp.argwhere(x, size=5, fill_value=-1), whole(2, 5), whole(3),
       jnp.zeros((2, 2)))
  _add(g, "flatnonzero", lambda x: jnp.flatnonzero(x, size=5, fill_value=-1), whole(2, 5))
  _add(g, "lexsort", lambda *k: jnp.lexsort(k), (wave(7), whole(7) % 3), (whole(7) % 2,))
  x = f32(3, 1, 1, np.nan, 0, -np.inf)
  for axis in (0, -1):
    _add(g, f"cummin{axis}", lambda x: lax.cummin(x, axis % x.ndim), wave(7), wave(3, 5), x,
         whole(5), jnp.array([-128, 127, 5], jnp.int8), jnp.array([3, 255, 0], jnp.uint8),
         wave(0, 3))
    _add(g, f"diff{axis}", lambda x: jnp.diff(x, axis=axis), wave(7), wave(3, 5), whole(5),
         jnp.array([True, False, False]), wave(1), EMPTY)
  _add(g, "diff2", lambda x: jnp.diff(x, 2), wave(7), wave(2, 5), wave(1))
  _add(g, "isin", jnp.isin, (whole(2, 5), i32(1, 4, -5)), (wave(3), wave(2)), (whole(3), i32()))
  a, b = i32(4, 2, 9, 2, 7), i32(7, 2, 5, 5)
  for size in (2, 8):
    _add(g, f"union1d_{size}", lambda a, b: jnp.union1d(a, b, size=size), (a, b))
    _add(g, f"union1d_{size}_filled", lambda a, b: jnp.union1d(a, b, size=size, fill_value=-1),
         (a, b))
    _add(g, f"intersect1d_{size}", lambda a, b: jnp.intersect1d(a, b, size=size), (a, b))
    _add(g, f"intersect1d_{size}_filled",
         lambda a, b: jnp.intersect1d(a, b, size=size, fill_value=-1), (a, b), (a, i32(1)))
    _add(g, f"setdiff1d_{size}", lambda a, b: jnp.setdiff1d(a, b, size=size), (a, b))
    _add(g, f"setdiff1d_{size}_filled",
         lambda a, b: jnp.setdiff1d(a, b, size=size, fill_value=-1), (a, b), (a, i32()))


def _statistics(g):
  gaps = f32(3, np.nan, -1, 0.5, np.nan, 2).reshape(2, 3)
  none = jnp.full((2, 3), np.nan, jnp.float32).at[0, 1].set(2.)
  _add(g, "histogram", lambda x: jnp.histogram(x, 4), wave(23), whole(2, 5), wave(1))
  _add(g, "histogram_range", lambda x: jnp.histogram(x, 4, (-1, 1.5)), wave(23))
  _add(g, "histogram_density", lambda x, w: jnp.histogram(x, 4, weights=w, density=True),
       (wave(23), jnp.abs(wave(23))))
  _add(g, "histogram_edges", jnp.histogram,
       (f32(-1, 0, 0.5, 1, 2, 2.5, np.nan, np.inf), f32(0, 0.5, 2)))
  edges = f32(-1, 0, 1.5)
  for right in (False, True):
    _add(g, f"digitize{int(right)}", lambda x, e: jnp.digitize(x, e, right),
         (f32(-2, -1, -0.5, 0, 1.5, 3, np.nan), edges), (f32(-2, -1, 0, 3), jnp.flip(edges)),
         (wave(2, 2), EMPTY))
  _add(g, "average", jnp.average, wave(2, 3), whole(4))
  _add(g, "average_weighted", lambda x, w: jnp.average(x, 1, w), (wave(2, 3), jnp.abs(wave(3))),
       (wave(2, 3), jnp.abs(wave(2, 3))))
  _add(g, "cov", jnp.cov, wave(3, 7), wave(7), whole(2, 5))
  _add(g, "cov_columns", lambda x: jnp.cov(x, rowvar=False, ddof=0), wave(3, 7))
  _add(g, "corrcoef", jnp.corrcoef, wave(3, 7), wave(7))
  _add(g, "ptp", lambda x: jnp.ptp(x, 0), wave(3, 7), whole(5))
  q = f32(0, 0.3, 0.5, 1)
  for method in ("linear", "lower", "higher", "midpoint", "nearest"):
    _add(g, f"quantile_{method}", lambda x, q: jnp.quantile(x, q, 1, method=method),
         (wave(2, 5), q), (wave(3, 1), q), (gaps, q), (wave(2, 5), q[1]), (whole(2, 3), q))
    _add(g, f"nanquantile_{method}",
         lambda x, q: jnp.nanquantile(x, q, 0, method=method, keepdims=True),
         (gaps, q), (none, q), (wave(4, 3), q[1]))
  _add(g, "percentile", jnp.percentile, (wave(2, 5), 100 * q), (wave(7), jnp.float32(25)))
  _add(g, "nanpercentile", jnp.nanpercentile, (gaps, 100 * q))
  _add(g, "nanmedian", lambda x: jnp.nanmedian(x, keepdims=True), gaps, wave(4))
  for name, f in {"nanprod": jnp.nanprod, "nanvar": jnp.nanvar, "nanstd": jnp.nanstd,
                  "nanargmax": jnp.nanargmax, "nanargmin": jnp.nanargmin}.items():
    _add(g, name, f, gaps, wave(5))
    _add(g, name + "1", lambda x: f(x, 1), gaps, none, wave(2, 3))
  _add(g, "nancumsum", lambda x: jnp.nancumsum(x, 1), gaps)
  _add(g, "nancumprod", lambda x: jnp.nancumprod(x, 1), gaps)


def _special(g):
  points, unit = f32(*POINTS), f32(*UNIT)
  many = f32(*POINTS, -1000, -15, -9, -6, -3, 4, 6, 9, 1000)
  for name, f, x in (("entr", special.entr, points), ("logit", special.logit, unit),
                     ("expit", special.expit, points), ("ndtr", special.ndtr, many),
                     ("log_ndtr", special.log_ndtr, many), ("ndtri", special.ndtri, unit),
                     ("gammaln", special.gammaln, points),
                     ("gamma", special.gamma, f32(-2.5, -1.5, -0.5, 0.25, 1, 2.5, 5, 20, np.nan)),
                     ("factorial", special.factorial, f32(-1, 0, 1, 2.5, 5, 12))):
    # jax.scipy's normal distribution takes no 16-bit floats.
    half = [] if "nd" in name else [wave(2, 3, dtype=jnp.bfloat16)]
    _add(g, name, f, x, EMPTY, *half)
  pairs = _pairs()
  for name, f in {"xlogy": special.xlogy, "xlog1py": special.xlog1py,
                  "rel_entr": special.rel_entr, "kl_div": special.kl_div}.items():
    _add(g, name, f, pairs, (whole(2, 1), jnp.abs(wave(3))))
  a, b = f32(0.25, 1, 2.5, 7, 30), f32(3, 0.5, 1, 12, 0.1)
  for name, f in {"betaln": special.betaln, "beta": special.beta, "boxcox": special.boxcox,
                  "boxcox1p": special.boxcox1p}.items():
    _add(g, name, f, (a, b), (a, jnp.float32(0)), (a, -b))
  _add(g, "multigammaln", lambda a: special.multigammaln(a, 3), f32(1.5, 2.5, 7))


def _linalg(g):
  la = jnp.linalg
  a = wave(2, 3, 3)
  positive = a @ a.swapaxes(-1, -2) + jnp.eye(3)
  _add(g, "expm", jax.scipy.linalg.expm, 0.1 * a, 3 * a, 20 * a[0], jnp.zeros((2, 2)), wave(1, 1))
  _add(g, "cho_solve", lambda l, b: jax.scipy.linalg.cho_solve((l, True), b),
       (la.cholesky(positive[0]), wave(3)), (la.cholesky(positive[1]), wave(3, 2)))
  low = jnp.outer(wave(5), wave(3)) + jnp.outer(jnp.flip(wave(5)), wave(3) ** 2)
  _add(g, "matrix_rank", la.matrix_rank, low, a, jnp.zeros((2, 3)))
  _add(g, "cond", la.cond, a + jnp.eye(3), jnp.exp(wave(3, 5)))
  _add(g, "multi_dot", lambda *m: la.multi_dot(m), (wave(3, 5), wave(5, 2), wave(2, 4)),
       (wave(5), wave(5, 2), wave(2)), (wave(2, 2), wave(2, 2)))
  _add(g, "tensorinv", la.tensorinv, wave(2, 3, 6) + jnp.eye(6).reshape(2, 3, 6))
  _add(g, "tensorsolve", la.tensorsolve,
       (wave(2, 3, 6) + jnp.eye(6).reshape(2, 3, 6), wave(2, 3)))


def _image(g):
  methods = ("nearest", "linear", "cubic", "lanczos3", "lanczos5", "cubic-pytorch", "area")
  for method in methods:
    for antialias in (True, False):
      name = f"resize_{method}_{int(antialias)}"
      for k, (x, shape) in enumerate([(wave(5, 7), (3, 11)), (wave(5, 7), (13, 2)),
                                      (wave(1, 4, 4, 2), (1, 8, 6, 2)), (wave(3), (1,)),
                                      (wave(1), (5,)), (whole(6), (4,)),
                                      (wave(7, dtype=jnp.bfloat16), (3,))]):
        g.case(f"{name}/{k}", name, **{"in": [x]}, shape=np.array(shape, np.int32),
               out=[jax.image.resize(x, shape, method, antialias)])
  for method in methods[1:]:
    for antialias in (True, False):
      _add(g, f"scale_and_translate_{method}_{int(antialias)}",
           lambda x, s, t: jax.image.scale_and_translate(x, (6, 4), (0, 1), s, t, method,
                                                         antialias),
           (wave(5, 7), f32(1.3, 0.5), f32(-0.7, 0.4)), (wave(5, 7), f32(0.4, 2), f32(3, -9)))


def make():
  g = GoldenFile("numpy")
  for part in (_elementwise, _along, _arrays, _order, _statistics, _special, _linalg, _image):
    part(g)
  return g
