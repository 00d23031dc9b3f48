"""Eight-bit floating numbers of ml_dtypes: all values, and casts from f32.

`x64` lies beside the middles of neighbours by less than f32 can tell: ml_dtypes rounds it twice,
and is no reference for it.
"""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from golden_file import GoldenFile


def make():
  g = GoldenFile("float8")
  for name, dtype in {"e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2}.items():
    values = np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32)
    finite = np.unique(values[np.isfinite(values)]).astype(np.float64)
    ties = (finite[1:] + finite[:-1]) / 2
    near = np.concatenate([finite, ties, np.nextafter(ties.astype(np.float32), np.float32(-1e9)),
                           np.nextafter(ties.astype(np.float32), np.float32(1e9))])
    edges = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1e-30, 448, 464, 463.99,
                      464.01, 480, 57344, 61440, 61439, 61441, 65536, 3e38, -3e38])
    x = np.concatenate([near, edges]).astype(np.float32)
    x64 = np.concatenate([ties * (1 + 1e-12), ties * (1 - 1e-12)])
    cast = jnp.asarray(x).astype(dtype)
    direct = x.astype(dtype).view(np.uint8)
    assert ((np.asarray(cast).view(np.uint8) == direct) | np.isnan(x)).all()
    g.case(name, "values of all bits; x and the bits it is cast to; x64 beside ties",
           values=values, x=x, bits=direct, x64=x64)
  return g
