"""The LSTM of linnet_bench_recurrent in JAX: 64 steps, batch 32, 256 wide, by lax.scan under jit.

    python3 recurrent_jax.py            # one thread; needs jax

Prints the least processor time of a call, which holds on a machine that others use as well.
"""

import os
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp
from jax import random

TIME, BATCH, SIZE = 64, 32, 256


def lstm(parameters, x):
  kernel, recurrent, bias = parameters
  zero = jnp.zeros((BATCH, SIZE))

  def step(carry, of_x):
    c, h = carry
    i, f, g, o = jnp.split(of_x + h @ recurrent, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (c, h), h

  # XLA does not move the products with the inputs out of the loop.
  return jax.lax.scan(step, (zero, zero), x @ kernel + bias)[1]


def least(name, f, *args, runs=20):
  jax.block_until_ready(f(*args))
  best = float("inf")
  for _ in range(runs):
    start = time.process_time()
    jax.block_until_ready(f(*args))
    best = min(best, time.process_time() - start)
  print(f"{name:32} {best * 1e3:8.2f} ms")


def main():
  keys = random.split(random.key(0), 5)
  bound = SIZE ** -0.5
  uniform = lambda key, shape: random.uniform(key, shape, minval=-bound, maxval=bound)
  parameters = (uniform(keys[0], (SIZE, 4 * SIZE)), uniform(keys[1], (SIZE, 4 * SIZE)),
                uniform(keys[2], (4 * SIZE,)))
  x, weights = random.normal(keys[3], (TIME, BATCH, SIZE)), random.normal(
      keys[4], (TIME, BATCH, SIZE))
  least("lstm_scan_forward", jax.jit(lstm), parameters, x)
  gradients = jax.jit(jax.grad(lambda p, v: (lstm(p, v) * weights).sum(), (0, 1)))
  least("lstm_scan_forward_backward", gradients, parameters, x)


if __name__ == "__main__":
  main()
