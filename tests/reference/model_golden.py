"""What a golden file keeps of a whole model: its tree as text, its leaves as short rows, its losses.

A tree is text with a line for each leaf, sorted by path:

    params/Dense_0/kernel f32[8,32] Partitioned(out_sharding=(in,out))      functional variables
    Param layers/0/kernel f32[8,32] out_sharding=(in,out)                   state of an object

A leaf is a row of seven f64: sum, sum of absolute values, sum of v[i] cos(i), first, middle and last
value (in row-major order; middle is index n // 2), largest absolute value. The cosines tell orders
apart that the plain sum does not. Random keys count as their two words. Rows are in the order of the lines.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx
from jax import random

STEPS = 50
BATCHES = 4

_DTYPES = {"float32": "f32", "float64": "f64", "uint32": "u32", "int32": "i32", "bool": "bool", "float16": "f16",
           "bfloat16": "bf16"}
# What every variable has, and what says nothing when it is none.
_DEFAULTS = {"hijax", "ref", "eager_sharding", "linen_meta_type"}


def _array(leaf):
  if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
    leaf = random.key_data(leaf)
  return np.asarray(leaf)


def _value_text(value):
  if isinstance(value, (tuple, list)):
    return "(" + ",".join("None" if v is None else str(v) for v in value) + ")"
  return str(value)


def _metadata_text(metadata):
  return ",".join(f"{k}={_value_text(v)}" for k, v in sorted(metadata.items())
                  if k not in _DEFAULTS and v is not None)


def _box_text(box):
  if isinstance(box, nn.Partitioned):
    return f"{type(box).__name__}({_metadata_text({'out_sharding': box.names})})"
  return f"{type(box).__name__}({_metadata_text(box.get_metadata() if hasattr(box, 'get_metadata') else box.metadata)})"


def _functional_leaves(tree, prefix=()):
  """(path, text after the path, array or None) of nested dictionaries."""
  for name, value in tree.items():
    path = prefix + (str(name),)
    if isinstance(value, nnx.GraphDef) or name == "graphdef":
      yield "/".join(path), "static", None
    elif isinstance(value, dict):
      yield from _functional_leaves(value, path)
    else:
      boxed = isinstance(value, nn.meta.AxisMetadata)
      array = _array(nn.meta.unbox(value))
      yield ("/".join(path), _type_text(array) + (" " + _box_text(value) if boxed else ""), array)


def _object_leaves(state):
  for path, variable in nnx.to_flat_state(state):
    array = _array(variable[...])
    text = _metadata_text(variable.get_metadata())
    yield ("/".join(map(str, path)),
           f"{_type_text(array)} {type(variable).__name__}" + (" " + text if text else ""), array)


def _type_text(array):
  return f"{_DTYPES[array.dtype.name]}[{','.join(map(str, array.shape))}]"


def leaves(tree):
  """(path, description, array or None) by path, of variables or of a state."""
  found = _object_leaves(tree) if isinstance(tree, nnx.State) else _functional_leaves(tree)
  return sorted(found)


def row(array):
  v = array.astype(np.float64).reshape(-1)
  return [v.sum(), np.abs(v).sum(), (v * np.cos(np.arange(v.size))).sum(), v[0], v[v.size // 2],
          v[-1], np.abs(v).max()]


def put_tree(golden, name, tree):
  """`name`/tree (text as u8) and `name`/rows."""
  found = leaves(tree)
  text = "".join(f"{path} {description}\n" for path, description, _ in found)
  golden.put(f"{name}/tree", np.frombuffer(text.encode(), np.uint8))
  put_rows(golden, name, tree)


def put_rows(golden, name, tree):
  golden.put(f"{name}/rows", np.array([row(a) for _, _, a in leaves(tree) if a is not None]))


def record_functional(golden, case, note, model, data, loss, tx, keys):
  """Initialises with `keys` (params, dropout) in evaluation mode, and records a linen model.

  `data` has BATCHES batches; step t takes batch t % BATCHES and the dropout key
  fold_in(keys["dropout"], t).
  """
  golden.notes[case] = note
  first = jax.tree.map(lambda a: a[0], data)
  x = first[0]
  variables = model.init(keys, x, False)
  put_tree(golden, f"{case}/initial", variables)
  rest = {k: v for k, v in variables.items() if k != "params"}
  mutable = [k for k in rest if k != "nnx"]

  def dropout(t):
    return {"dropout": random.fold_in(keys["dropout"], t)}

  def run(params, state, x, t):
    return model.apply({"params": params, **rest, **state}, x, True, mutable=mutable,
                       rngs=dropout(t))

  golden.put(f"{case}/evaluated", model.apply(variables, x, False))
  state = {k: rest[k] for k in mutable}
  out, updates = run(variables["params"], state, x, 0)
  golden.put(f"{case}/trained", out)
  if updates:
    put_rows(golden, f"{case}/updates", updates)

  def objective(params, state, batch, t):
    out, updates = run(params, state, batch[0], t)
    return loss(out, *batch), updates

  grads = jax.grad(objective, has_aux=True)(variables["params"], state, first, 0)[0]
  put_rows(golden, f"{case}/gradients", grads)

  @jax.jit
  def step(params, state, opt_state, batch, t):
    (value, updates), grads = jax.value_and_grad(objective, has_aux=True)(params, state, batch, t)
    changes, opt_state = tx.update(grads, opt_state, params)
    return jax.tree.map(lambda p, u: p + u, params, changes), {**state, **updates}, opt_state, value

  params, opt_state, losses = variables["params"], tx.init(variables["params"]), []
  for t in range(STEPS):
    batch = jax.tree.map(lambda a: a[t % BATCHES], data)
    params, state, opt_state, value = step(params, state, opt_state, batch, t)
    losses.append(value)
  golden.put(f"{case}/losses", np.array(losses, np.float32))
  return variables


def record_object(golden, case, note, model, data, loss, tx, call):
  """Records an nnx model; call(model, x, train)."""
  golden.notes[case] = note
  first = jax.tree.map(lambda a: a[0], data)
  put_tree(golden, f"{case}/initial", nnx.state(model))
  golden.put(f"{case}/evaluated", call(nnx.clone(model), first[0], False))
  copy = nnx.clone(model)
  golden.put(f"{case}/trained", call(copy, first[0], True))
  rest = nnx.state(copy, nnx.Not(nnx.Param))
  if nnx.to_flat_state(rest):
    put_rows(golden, f"{case}/updates", rest)
  grads = nnx.grad(lambda m: loss(call(m, first[0], True), *first))(nnx.clone(model))
  put_rows(golden, f"{case}/gradients", grads)
  optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

  @nnx.jit
  def step(model, optimizer, batch):
    value, grads = nnx.value_and_grad(lambda m: loss(call(m, batch[0], True), *batch))(model)
    optimizer.update(model, grads)
    return value

  losses = []
  for t in range(STEPS):
    losses.append(step(model, optimizer, jax.tree.map(lambda a: a[t % BATCHES], data)))
  golden.put(f"{case}/losses", np.array(losses, np.float32))
