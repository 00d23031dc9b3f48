"""Regenerates every file of golden/ from JAX, Flax and Optax.

    pip install -r requirements.txt
    python generate.py                 # everything
    python generate.py losses optim    # only these files

The versions used are recorded in the metadata of every file. golden/INDEX.md is written from
the notes of the cases: it says what each tensor is.
"""

import json
import os
import struct
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Work split over a varying number of threads must not change the reference.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import jax

from cases import bridge
from cases import bridge_module
from cases import complex_numbers
from cases import composed_models
from cases import contrib
from cases import control_flow
from cases import demo
from cases import dynamic_scale
from cases import event_file
from cases import flax_files
from cases import float8
from cases import layers
from cases import linen_transforms
from cases import loop_derivatives
from cases import losses
from cases import models
from cases import named_axes
from cases import nnx_training
from cases import nnx_transforms
from cases import numpy_functions
from cases import ops
from cases import optim
from cases import optim_long
from cases import promotion
from cases import random_models
from cases import random_numbers
from cases import recurrent
from cases import stacked_metadata
from cases import torch_weights
from golden_file import versions

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "golden")

MAKERS = {
    "demo_linen": lambda: demo.make("linen"),
    "demo_nnx": lambda: demo.make("nnx"),
    "random": random_numbers.make,
    "layers": layers.make,
    "linen_transforms": linen_transforms.make,
    "named_axes": named_axes.make,
    "stacked_metadata": stacked_metadata.make,
    "contrib": contrib.make,
    "optim": optim.make,
    "optim_long": optim_long.make,
    "losses": losses.make,
    "models": models.make,
    "nnx_training": nnx_training.make,
    "nnx_transforms": nnx_transforms.make,
    "float8": float8.make,
    "numpy": numpy_functions.make,
    "ops": ops.make,
    "complex": complex_numbers.make,
    "bridge": bridge.make,
    "bridge_module": bridge_module.make,
    "recurrent": recurrent.make,
    "control_flow": control_flow.make,
    "loop_derivatives": loop_derivatives.make,
    "dynamic_scale": dynamic_scale.make,
    "flax_files": flax_files.make_all,
    "composed_models": composed_models.make,
    "random_models": random_models.make,
    "torch": torch_weights.make_all,
    "event_file": event_file.make,
}


def read_notes():
  """Notes and tensor shapes of every safetensors file in golden/."""
  found = {}
  for file in sorted(os.listdir(GOLDEN)):
    if file.endswith(".safetensors"):
      with open(os.path.join(GOLDEN, file), "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
      found[file] = header
  return found


def write_index():
  lines = ["# Index of the golden files", "",
           "Written by generate.py. `case`: what was computed; then the case's tensors.", ""]
  for file, header in read_notes().items():
    metadata = header.pop("__metadata__")
    notes = {k[5:]: v for k, v in metadata.items() if k.startswith("note/")}
    lines += [f"## {file}", ""]
    for case, note in notes.items():
      parts = []
      for name in sorted(n for n in header if n == case or n.startswith(case + "/")):
        shape = ",".join(str(s) for s in header[name]["shape"])
        parts.append(f"{name[len(case) + 1:]} {header[name]['dtype'].lower()}[{shape}]")
      lines.append(f"- `{case}`: {note}  ")
      lines.append(f"  {'; '.join(parts)}")
    lines.append("")
  with open(os.path.join(GOLDEN, "INDEX.md"), "w") as f:
    f.write("\n".join(lines))


def main(names):
  os.makedirs(GOLDEN, exist_ok=True)
  unknown = set(names) - set(MAKERS) - {"promotion"}
  if unknown:
    raise SystemExit(f"unknown golden files: {', '.join(sorted(unknown))}")
  print("versions", versions())
  if not names or "promotion" in names:
    promotion.make(GOLDEN)
  for name, make in MAKERS.items():
    if not names or name in names:
      made = make()
      for file in made.values() if isinstance(made, dict) else [made]:
        path = file.save(GOLDEN)
        print(f"{path} {os.path.getsize(path)} bytes", flush=True)
      # thousands of small compiled programs would otherwise stay in memory
      jax.clear_caches()
  write_index()


if __name__ == "__main__":
  main(sys.argv[1:])
