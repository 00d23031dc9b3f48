"""Random numbers: bits, samplers, initialisers and the key derivations of both module APIs.

All samplers use key(1701) unless the note says otherwise. Names follow docs/rng.md.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import random
from jax.nn import initializers

from golden_file import GoldenFile

KEY = 1701
HALF = {"f16": jnp.float16, "bf16": jnp.bfloat16}
INTEGERS = {"i8": jnp.int8, "u8": jnp.uint8, "i16": jnp.int16, "u16": jnp.uint16,
            "i32": jnp.int32, "u32": jnp.uint32}
WIDE_INTEGERS = {"i64": jnp.int64, "u64": jnp.uint64}


def _keys(g):
  k = random.key(KEY)
  g.case("key", "key(seed) for the seeds in the tensor, 64-bit types off",
         seed=np.array([0, 1, 1701, -1, -3, 2147483647], np.int32),
         out=jnp.stack([random.key_data(random.key(s))
                        for s in (0, 1, 1701, -1, -3, 2147483647)]))
  g.case("split", "split(k, 4)", out=random.split(k, 4))
  g.case("split_shape", "split(k, (2, 3))", out=random.split(k, (2, 3)))
  data = np.array([0, 1, 255, 2**31, 2**32 - 1], np.uint32)
  g.case("fold_in", "fold_in(k, data)", data=data,
         out=jnp.stack([random.key_data(random.fold_in(k, d)) for d in data]))


def _bits(g):
  k = random.key(KEY)
  for width, dtype in ((8, jnp.uint8), (16, jnp.uint16), (32, jnp.uint32)):
    g.case(f"bits{width}", f"bits(k, (2, 3), {width})", out=random.bits(k, (2, 3), dtype))
  with jax.enable_x64(True):
    g.case("bits64", "bits(k, (2, 3), 64)", out=random.bits(k, (2, 3), jnp.uint64))


def _floats(g):
  k = random.key(KEY)
  with jax.enable_x64(True):
    for name, dtype in {"f32": jnp.float32, "f64": jnp.float64, **HALF}.items():
      g.case(f"uniform_{name}", f"uniform(k, (32,), {name})", out=random.uniform(k, (32,), dtype))
      g.case(f"uniform_range_{name}", f"uniform(k, (32,), {name}, -2.5, 7)",
             out=random.uniform(k, (32,), dtype, -2.5, 7.0))
      g.case(f"normal_{name}", f"normal(k, (64,), {name})", out=random.normal(k, (64,), dtype))
      g.case(f"truncated_normal_{name}", f"truncated_normal(k, -2, 2, (64,), {name})",
             out=random.truncated_normal(k, -2, 2, (64,), dtype))
  g.case("truncated_normal_onesided", "truncated_normal(k, 0.5, 10, (16,))",
         out=random.truncated_normal(k, 0.5, 10.0, (16,)))
  g.case("normal_tail", "normal(k, (4096,)): the 8 smallest and 8 largest, sorted",
         out=jnp.sort(random.normal(k, (4096,)))[jnp.r_[0:8, 4088:4096]])


def _randint(g):
  k = random.key(KEY)
  ranges = {"i8": [(-5, 9), (-128, 127), (-128, 128), (-200, 300)],
            "u8": [(0, 10), (0, 255), (0, 256)],
            "i16": [(-7, 1000), (-32768, 32768)],
            "u16": [(0, 50000), (0, 65536)],
            "i32": [(0, 10), (-100000, 100000), (0, 65537), (5, 5), (7, 3),
                    (-2**31, 2**31 - 1)],
            "u32": [(0, 10), (0, 2**31 - 1)]}
  for name, bounds in ranges.items():
    for lo, hi in bounds:
      g.case(f"randint_{name}_{lo}_{hi}", f"randint(k, (8,), {lo}, {hi}, {name})",
             out=random.randint(k, (8,), lo, hi, INTEGERS[name]))
  top = jnp.array(2**32 - 1, jnp.uint32)
  g.case("randint_u32_high", "randint(k, (8,), 0, u32 2^32 - 1, u32)",
         out=random.randint(k, (8,), 0, top, jnp.uint32))
  g.case("randint_vector", "randint(k, (3, 2), [0, -10], [5, 10])",
         out=random.randint(k, (3, 2), jnp.array([0, -10]), jnp.array([5, 10])))
  with jax.enable_x64(True):
    for name, lo, hi in (("i64", -10, 10), ("i64", -2**62, 2**62), ("u64", 0, 2**40),
                         ("i64", 0, 2**33 + 1)):
      g.case(f"randint_{name}_{lo}_{hi}", f"randint(k, (8,), {lo}, {hi}, {name})",
             out=random.randint(k, (8,), lo, hi, WIDE_INTEGERS[name]))


def _discrete(g):
  k = random.key(KEY)
  g.case("bernoulli", "bernoulli(k, 0.3, (64,))", out=random.bernoulli(k, 0.3, (64,)))
  g.case("bernoulli_vector", "bernoulli(k, [0, .25, .5, .75, 1])",
         out=random.bernoulli(k, jnp.array([0, .25, .5, .75, 1])))
  g.case("bernoulli_high", "bernoulli(k, 0.3, (64,), mode='high')",
         out=random.bernoulli(k, 0.3, (64,), mode="high"))
  g.case("rademacher", "rademacher(k, (16,))", out=random.rademacher(k, (16,)))
  g.case("permutation_5", "permutation(k, 5)", out=random.permutation(k, 5))
  g.case("permutation_2000", "permutation(k, 2000), two rounds, as u16",
         out=random.permutation(k, 2000).astype(jnp.uint16))
  m = jnp.arange(24).reshape(6, 4)
  g.case("permutation_axis0", "permutation(k, arange(24).reshape(6, 4), axis=0)",
         out=random.permutation(k, m, axis=0))
  g.case("permutation_axis1", "permutation(k, arange(24).reshape(6, 4), axis=1)",
         out=random.permutation(k, m, axis=1))
  g.case("permutation_independent", "permutation(k, arange(24).reshape(6, 4), 0, independent)",
         out=random.permutation(k, m, axis=0, independent=True))
  big = jnp.arange(2000).reshape(1000, 2)
  g.case("permutation_rounds_axis", "permutation(k, arange(2000).reshape(1000, 2)): 1000 rows, "
         "first 16 rows and the sum of i * row[i][0] modulo 2^32",
         out=random.permutation(k, big)[:16],
         checksum=(random.permutation(k, big)[:, 0].astype(jnp.uint32)
                   * jnp.arange(1000, dtype=jnp.uint32)).sum(dtype=jnp.uint32))
  p = jnp.array([0.1, 0.0, 0.4, 0.3, 0.2])
  g.case("choice", "choice(k, 5, (8,))", out=random.choice(k, 5, (8,)))
  g.case("choice_no_replace", "choice(k, 10, (2, 3), replace=False)",
         out=random.choice(k, 10, (2, 3), replace=False))
  g.case("choice_p", "choice(k, 5, (16,), p=p)", p=p, out=random.choice(k, 5, (16,), p=p))
  g.case("choice_p_no_replace", "choice(k, 5, (3,), replace=False, p=p)",
         out=random.choice(k, 5, (3,), replace=False, p=p))
  g.case("choice_axis", "choice(k, arange(24).reshape(6, 4), (3,), axis=1)",
         out=random.choice(k, m, (3,), axis=1))
  logits = jnp.array([[0.1, 0.2, 0.3, 0.4], [2.0, 0.0, -1.0, 0.5], [-jnp.inf, 0.0, 0.0, 1.0]])
  g.case("categorical", "categorical(k, logits)", logits=logits,
         out=random.categorical(k, logits))
  g.case("categorical_shape", "categorical(k, logits, shape=(5, 3))",
         out=random.categorical(k, logits, shape=(5, 3)))
  g.case("categorical_axis0", "categorical(k, logits, axis=0, shape=(2, 4))",
         out=random.categorical(k, logits, axis=0, shape=(2, 4)))
  g.case("categorical_no_replace", "categorical(k, logits, shape=(2, 3), replace=False)",
         out=random.categorical(k, logits, shape=(2, 3), replace=False))
  g.case("categorical_keys", "categorical(split(k, 8)[i], [.1, .2, .3, .4, .5])",
         out=jax.vmap(lambda s: random.categorical(s, jnp.array([.1, .2, .3, .4, .5])))(
             random.split(k, 8)))


def _inversion(g):
  k = random.key(KEY)
  s = (16,)
  for mode in ("low", "high", "highest"):
    g.case(f"gumbel_{mode}", f"gumbel(k, (16,), mode='{mode}')",
           out=random.gumbel(k, s, mode=mode))
  with jax.enable_x64(True):
    g.case("gumbel_f64", "gumbel(k, (16,), f64)", out=random.gumbel(k, s, jnp.float64))
    g.case("gumbel_bf16", "gumbel(k, (16,), bf16)", out=random.gumbel(k, s, jnp.bfloat16))
    g.case("exponential_f64", "exponential(k, (16,), f64)",
           out=random.exponential(k, s, jnp.float64))
  g.case("exponential", "exponential(k, (16,))", out=random.exponential(k, s))
  g.case("laplace", "laplace(k, (16,))", out=random.laplace(k, s))
  g.case("logistic", "logistic(k, (16,))", out=random.logistic(k, s))
  g.case("cauchy", "cauchy(k, (16,))", out=random.cauchy(k, s))
  g.case("pareto", "pareto(k, 1.5, (16,))", out=random.pareto(k, 1.5, s))
  g.case("weibull_min", "weibull_min(k, scale 2, concentration 1.5, (16,))",
         out=random.weibull_min(k, 2.0, 1.5, s))
  g.case("rayleigh", "rayleigh(k, 2, (16,))", out=random.rayleigh(k, 2.0, s))
  g.case("geometric", "geometric(k, 0.3, (16,))", out=random.geometric(k, 0.3, s))
  g.case("triangular", "triangular(k, -1, 0.5, 2, (16,))",
         out=random.triangular(k, -1.0, 0.5, 2.0, s))
  g.case("lognormal", "lognormal(k, 0.5, (16,))", out=random.lognormal(k, 0.5, s))
  g.case("maxwell", "maxwell(k, (16,))", out=random.maxwell(k, s))
  g.case("double_sided_maxwell", "double_sided_maxwell(k, 1, 2, (16,))",
         out=random.double_sided_maxwell(k, 1.0, 2.0, s))
  g.case("double_sided_maxwell_vector", "double_sided_maxwell(k, [1, 2], [1, 3])",
         out=random.double_sided_maxwell(k, jnp.array([1., 2.]), jnp.array([1., 3.])))
  g.case("wald", "wald(k, 1.5, (16,))", out=random.wald(k, 1.5, s))


def _gamma_family(g):
  k = random.key(KEY)
  s = (16,)
  for a in (0.3, 1.0, 2.5, 30.0):
    g.case(f"gamma_{a}", f"gamma(k, {a}, (16,))", out=random.gamma(k, a, s))
    g.case(f"loggamma_{a}", f"loggamma(k, {a}, (16,))", out=random.loggamma(k, a, s))
  g.case("gamma_vector", "gamma(k, [0.1, 1, 10], (2, 3))",
         out=random.gamma(k, jnp.array([0.1, 1.0, 10.0]), (2, 3)))
  g.case("beta", "beta(k, 2, 3, (16,))", out=random.beta(k, 2.0, 3.0, s))
  g.case("dirichlet", "dirichlet(k, [1, 2, 3], (4,))",
         out=random.dirichlet(k, jnp.array([1., 2., 3.]), (4,)))
  g.case("chisquare", "chisquare(k, 3, (16,))", out=random.chisquare(k, 3.0, shape=s))
  g.case("t", "t(k, 4, (16,))", out=random.t(k, 4.0, s))
  g.case("f", "f(k, 3, 5, (16,))", out=random.f(k, 3.0, 5.0, shape=s))
  g.case("generalized_normal", "generalized_normal(k, 1.5, (16,))",
         out=random.generalized_normal(k, 1.5, s))
  g.case("ball", "ball(k, 3, 2, (4,))", out=random.ball(k, 3, 2, (4,)))


def _counting(g):
  k = random.key(KEY)
  for lam in (0.5, 3.0, 9.5, 15.0, 1000.0):
    g.case(f"poisson_{lam}", f"poisson(k, {lam}, (16,))", out=random.poisson(k, lam, (16,)))
  lam = jnp.array([0.0, 2.0, 20.0, 200.0, 5.0, jnp.nan, -1.0, 10.0])
  g.case("poisson_vector", "poisson(k, lam): both branches at once", lam=lam,
         out=random.poisson(k, lam))
  for n, p in ((10.0, 0.3), (10.0, 0.9), (100.0, 0.4), (1000.0, 0.7)):
    g.case(f"binomial_{int(n)}_{p}", f"binomial(k, {n}, {p}, (16,))",
           out=random.binomial(k, n, p, (16,)))
  n = jnp.array([5.0, 200.0, 50.0, 0.0])
  p = jnp.array([0.5, 0.5, 0.1, 0.5])
  g.case("binomial_vector", "binomial(k, n, p): both branches at once", n=n, p=p,
         out=random.binomial(k, n, p))
  g.case("multinomial", "multinomial(k, 20, [.1, .2, .3, .4])",
         out=random.multinomial(k, jnp.array(20.0), jnp.array([.1, .2, .3, .4])))


def _matrices(g):
  k = random.key(KEY)
  g.case("orthogonal_4", "orthogonal(k, 4)", out=random.orthogonal(k, 4))
  g.case("orthogonal_3x2", "orthogonal(k, 3, m=2)", out=random.orthogonal(k, 3, m=2))
  g.case("orthogonal_2x3_batch", "orthogonal(k, 2, (2,), m=3)",
         out=random.orthogonal(k, 2, (2,), m=3))
  cov = jnp.array([[2.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 0.5]])
  mean = jnp.array([1.0, -1.0, 0.0])
  for method in ("cholesky", "eigh", "svd"):
    g.case(f"multivariate_normal_{method}",
           "multivariate_normal(k, mean, cov, (4,)); eigh and svd only up to the signs of the "
           "eigenvectors", mean=mean, cov=cov,
           out=random.multivariate_normal(k, mean, cov, (4,), method=method))


def _initialisers(g):
  k = random.key(KEY)
  named = {
      "uniform": initializers.uniform(), "normal": initializers.normal(),
      "truncated_normal": initializers.truncated_normal(),
      "lecun_normal": initializers.lecun_normal(), "lecun_uniform": initializers.lecun_uniform(),
      "glorot_normal": initializers.glorot_normal(),
      "glorot_uniform": initializers.glorot_uniform(),
      "he_normal": initializers.he_normal(), "he_uniform": initializers.he_uniform(),
      "orthogonal": initializers.orthogonal(),
  }
  for name, f in named.items():
    g.case(f"init_{name}", f"{name}(k, (5, 3)) and (3, 3, 2, 4)",
           dense=f(k, (5, 3)), conv=f(k, (3, 3, 2, 4)))
  g.case("init_delta_orthogonal", "delta_orthogonal(k, (3, 3, 2, 4))",
         out=initializers.delta_orthogonal()(k, (3, 3, 2, 4)))
  g.case("init_orthogonal_column_axis", "orthogonal(2, column_axis=0)(k, (2, 3, 2))",
         out=initializers.orthogonal(2.0, column_axis=0)(k, (2, 3, 2)))
  vs = initializers.variance_scaling
  for mode in ("fan_in", "fan_out", "fan_avg", "fan_geo_avg"):
    for distribution in ("truncated_normal", "normal", "uniform"):
      g.case(f"init_vs_{mode}_{distribution}",
             f"variance_scaling(1.5, {mode}, {distribution})(k, (3, 2, 4))",
             out=vs(1.5, mode, distribution)(k, (3, 2, 4)))
  g.case("init_vs_axes", "variance_scaling(1, fan_in, normal, in_axis=(0, 1), out_axis=2, "
         "batch_axis=3)(k, (2, 3, 4, 2))",
         out=vs(1.0, "fan_in", "normal", in_axis=(0, 1), out_axis=2, batch_axis=3)(
             k, (2, 3, 4, 2)))
  for name, dtype in HALF.items():
    g.case(f"init_lecun_normal_{name}", f"lecun_normal(k, (5, 3), {name})",
           out=initializers.lecun_normal()(k, (5, 3), dtype))
  with jax.enable_x64(True):
    g.case("init_lecun_normal_f64", "lecun_normal(k, (5, 3), f64)",
           out=initializers.lecun_normal()(k, (5, 3), jnp.float64))


def make():
  from cases import random_keys
  g = GoldenFile("random")
  for part in (_keys, _bits, _floats, _randint, _discrete, _inversion, _gamma_family, _counting,
               _matrices, _initialisers):
    part(g)
  random_keys.add(g)
  return g
