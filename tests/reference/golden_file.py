"""Writer of golden files: a safetensors file with notes and versions in its metadata.

    golden = GoldenFile("losses")
    golden.case("l2", "optax.l2_loss(a, b)", a=a, b=b, out=optax.l2_loss(a, b))
    golden.save(directory)

A case named `l2` becomes the tensors `l2/a`, `l2/b`, `l2/out`; its note becomes the metadata
entry `note/l2`. Random keys are stored as their two u32 words. Files are written with sorted
names, so the same inputs give the same bytes.
"""

import importlib.metadata
import json
import os
import struct

import jax
import jax.numpy as jnp
import numpy as np

_NAMES = {
    "bool": "BOOL", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
    "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64",
    "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64",
    "complex64": "C64",
}


def versions():
  """Versions of everything that decides the values."""
  return {name: importlib.metadata.version(name)
          for name in ("jax", "jaxlib", "flax", "optax", "numpy")}


def flatten(tree, prefix=""):
  """Path -> leaf of nested dictionaries, lists and tuples, path parts joined by '/'."""
  if isinstance(tree, dict):
    items = tree.items()
  elif isinstance(tree, (list, tuple)):
    items = enumerate(tree)
  else:
    return {prefix: tree}
  flat = {}
  for key, value in items:
    flat.update(flatten(value, f"{prefix}/{key}" if prefix else str(key)))
  return flat


def _to_numpy(value):
  if hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
    value = jax.random.key_data(value)
  # ascontiguousarray would turn a scalar into a vector
  return np.array(value, order="C")


class GoldenFile:
  """Collects tensors and notes, then writes `<name>.safetensors`."""

  def __init__(self, name):
    self.name = name
    self.tensors = {}
    self.notes = {}

  def put(self, name, value):
    if name in self.tensors:
      raise ValueError(f"{self.name}: {name} is stored twice")
    array = _to_numpy(value)
    if array.dtype.name not in _NAMES:
      raise TypeError(f"{self.name}: {name} has dtype {array.dtype}")
    self.tensors[name] = array

  def tree(self, prefix, tree):
    for path, value in flatten(tree, prefix).items():
      self.put(path, value)

  def case(self, prefix, note, **parts):
    if prefix in self.notes:
      raise ValueError(f"{self.name}: case {prefix} is defined twice")
    self.notes[prefix] = note
    for part, value in parts.items():
      self.tree(f"{prefix}/{part}", value)

  def save(self, directory):
    metadata = versions() | {f"note/{k}": v for k, v in self.notes.items()}
    header = {"__metadata__": dict(sorted(metadata.items()))}
    blobs = []
    offset = 0
    # widest dtypes first, so that every tensor is aligned to its own width
    order = sorted(self.tensors, key=lambda n: (-self.tensors[n].dtype.itemsize, n))
    for name in order:
      array = self.tensors[name]
      blob = array.tobytes()
      header[name] = {"dtype": _NAMES[array.dtype.name], "shape": list(array.shape),
                      "data_offsets": [offset, offset + len(blob)]}
      blobs.append(blob)
      offset += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path = os.path.join(directory, self.name + ".safetensors")
    with open(path, "wb") as f:
      f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    return path
