"""Dynamic loss scaling: the factor, the count of finite steps and the parameter over 40 steps.

The loss is p**2 in f16 with a growth interval of 3: the factor grows until the scaled gradient
overflows, then shrinks.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax.training.dynamic_scale import DynamicScale

from golden_file import GoldenFile


def make():
  scale = DynamicScale(growth_interval=3)
  p = jnp.array([1.0, 0.5], jnp.float32)

  def loss(q):
    return jnp.sum(jnp.asarray(q, jnp.float16) ** 2)

  factors, steps, values, finites = [], [], [], []
  for _ in range(40):
    scale, finite, _, grad = scale.value_and_grad(loss)(p)
    p = p - jnp.where(finite, 0.05 * grad, 0.0)
    factors.append(np.float32(scale.scale))
    steps.append(np.int32(scale.fin_steps))
    values.append(np.asarray(p))
    finites.append(np.int32(finite))
  golden = GoldenFile("dynamic_scale")
  golden.case("run", "loss sum(f16(p)**2), growth_interval 3, p -= 0.05 grad where finite",
              factor=np.array(factors), finite_steps=np.array(steps), finite=np.array(finites),
              parameter=np.array(values))
  return golden
