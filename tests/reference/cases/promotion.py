"""Promotion tables: `a b result` for every ordered pair of dtypes and weak scalars.

`int`, `float` and `complex` are weakly typed scalars (plain numbers). A result marked `*` is weak.
promotion_x64.txt has 64-bit types on; promotion_x32.txt has them off, with the eleven
dtypes that exist then.
"""

import os

import jax
import jax.numpy as jnp

from golden_file import versions

DTYPES = {
    "bool": jnp.bool_, "i8": jnp.int8, "i16": jnp.int16, "i32": jnp.int32, "i64": jnp.int64,
    "u8": jnp.uint8, "u16": jnp.uint16, "u32": jnp.uint32, "u64": jnp.uint64,
    "f16": jnp.float16, "bf16": jnp.bfloat16, "f32": jnp.float32, "f64": jnp.float64,
    "c64": jnp.complex64, "c128": jnp.complex128,
}
WIDE = {"i64", "u64", "f64", "c128"}
NAMES = {jnp.dtype(v).name: k for k, v in DTYPES.items()}


def _operand(name):
  if name == "int":
    return jnp.asarray(1)
  if name == "float":
    return jnp.asarray(1.0)
  if name == "complex":
    return jnp.asarray(1.0 + 0j)
  return jnp.ones((), DTYPES[name])


def _table(wide):
  names = [n for n in DTYPES if wide or n not in WIDE] + ["int", "float", "complex"]
  lines = [f"# jax {versions()['jax']}, 64-bit types {'on' if wide else 'off'}"]
  for a in names:
    for b in names:
      # multiplication keeps bool, as promotion itself does
      out = jnp.multiply(_operand(a), _operand(b))
      weak = "*" if out.aval.weak_type else ""
      lines.append(f"{a} {b} {NAMES[out.dtype.name]}{weak}")
  return "\n".join(lines) + "\n"


def make(directory):
  for wide in (True, False):
    with jax.enable_x64(wide):
      text = _table(wide)
    with open(os.path.join(directory, f"promotion_x{64 if wide else 32}.txt"), "w") as f:
      f.write(text)
