"""Keys that the module APIs derive: paths, counters, lifted transforms, streams, the bridge."""

import jax
import jax.numpy as jnp
from flax import linen
from flax import nnx
from jax import random


class Draw(linen.Module):
  """Returns the words of `count` requests of one stream."""

  stream: str = "params"
  count: int = 2

  @linen.compact
  def __call__(self, carry=None, _=None):
    keys = [random.key_data(self.make_rng(self.stream)) for _ in range(self.count)]
    out = jnp.stack(keys)
    return (carry, out) if carry is not None else out


class Outer(linen.Module):
  """Nested scopes: root, child `a`, grandchild `a/b`, and a second child."""

  @linen.compact
  def __call__(self):
    class Middle(linen.Module):
      @linen.compact
      def __call__(self):
        return [Draw(name="b")(), random.key_data(self.make_rng("params"))]
    return {"root": random.key_data(self.make_rng("params")), "a": Middle(name="a")(),
            "auto": [Draw()(), Draw()()], "other": Draw("other", 1)()}


def _linen_plain(g):
  rngs = {"params": random.key(0), "other": random.key(1)}
  out = Outer().apply({}, rngs=rngs)
  g.case("linen_nested", "make_rng, params = key(0), other = key(1): root = path () count 1; "
         "a/0 = path (a, b) counts 1, 2; a/1 = path (a) count 1; auto/0, auto/1 = paths (Draw_0), "
         "(Draw_1); other = stream other at path (Draw_2) count 1", out=out)
  g.case("linen_fallback", "stream `dropout` missing: falls back to params = key(3), path ()",
         out=Draw("dropout", 3).apply({}, rngs={"params": random.key(3)}))


def _apply_lifted(lift, *args, count=2, base=0, **kwargs):
  class Root(linen.Module):
    @linen.compact
    def __call__(self):
      return lift("params", count, name="m")(*args, **kwargs)
  return Root().apply({}, rngs={"params": random.key(base)})


def _linen_lifted(g):
  xs = jnp.zeros((3,))
  note = "Draw(count 2) named m, params = key(0); "
  for split in (True, False):
    lift = linen.vmap(Draw, in_axes=None, axis_size=3, split_rngs={"params": split},
                      variable_axes={})
    g.case(f"linen_vmap_split_{split}", note + f"vmap axis size 3, split_rngs {split}",
           out=_apply_lifted(lift))
    scan = linen.scan(Draw, split_rngs={"params": split}, variable_axes={}, length=3)
    g.case(f"linen_scan_split_{split}", note + f"scan length 3, split_rngs {split}: counts 3, 4 "
           "because the body is traced twice",
           out=_apply_lifted(scan, jnp.zeros(()), xs)[1])
  inner = linen.vmap(Draw, in_axes=None, axis_size=2, split_rngs={"params": True},
                     variable_axes={})
  nested = linen.vmap(inner, in_axes=None, axis_size=3, split_rngs={"params": True},
                      variable_axes={})
  g.case("linen_vmap_vmap", note + "vmap 3 of vmap 2, both split: [3, 2, count, words]",
         out=_apply_lifted(nested))
  g.case("linen_jit", note + "jit: base F(key(0), (m, 1)), path (), counts 2, 3",
         out=_apply_lifted(linen.jit(Draw)))
  g.case("linen_remat", note + "remat: no effect", out=_apply_lifted(linen.remat(Draw)))


def _linen_layers(g):
  x = jnp.ones((2, 3))

  class Block(linen.Module):
    @linen.compact
    def __call__(self, carry, _):
      y = linen.Dense(3, name="dense")(carry)
      return linen.Dropout(0.5, deterministic=False, name="drop")(y), None

  def scanned(**kw):
    return linen.scan(Block, length=2, split_rngs={"params": True, "dropout": True},
                      variable_axes={"params": 0}, **kw)(name="layers")

  class Net(linen.Module):
    @linen.compact
    def __call__(self, x):
      return scanned()(x, None)[0]

  rngs = {"params": random.key(0), "dropout": random.key(1)}
  out, variables = Net().init_with_output(rngs, x)
  again = Net().apply(variables, x, rngs={"dropout": random.key(2)})
  g.case("linen_scan_layers", "scan over 2 of {dense = Dense(3), drop = Dropout(0.5)} named "
         "layers, ones (2, 3), params = key(0), dropout = key(1) at init, key(2) in apply",
         variables=variables, init_out=out, apply_out=again)

  class Shared(linen.Module):
    @linen.compact
    def __call__(self, x):
      return linen.scan(Block, length=2, variable_broadcast="params",
                        split_rngs={"params": False, "dropout": True})(name="layers")(x, None)[0]

  out, variables = Shared().init_with_output(rngs, x)
  g.case("linen_scan_broadcast", "same with variable_broadcast params, split_rngs params False",
         variables=variables, init_out=out)

  variables = linen.jit(linen.Dense)(2).init(random.key(0), x)
  g.case("linen_jit_dense", "jit(Dense)(2).init(key(0), ones (2, 3))", variables=variables)
  variables = linen.RNN(linen.SimpleCell(3)).init(random.key(0), jnp.ones((2, 4, 3)))
  g.case("linen_rnn", "RNN(SimpleCell(3)).init(key(0), ones (2, 4, 3))", variables=variables)


def _stream_keys(rngs, name, n):
  return jnp.stack([random.key_data(rngs[name]()) for _ in range(n)])


def _nnx(g):
  rngs = nnx.Rngs(0, params=1701)
  fork = rngs.fork()
  g.case("nnx_rngs", "Rngs(0, params=1701): fork(), then 2 keys of the fork's params, 2 of its "
         "default, 2 of params, 2 of dropout (the default stream), 1 of default",
         fork_params=_stream_keys(fork, "params", 2), fork_default=_stream_keys(fork, "default", 2),
         params=_stream_keys(rngs, "params", 2), dropout=_stream_keys(rngs, "dropout", 2),
         default=_stream_keys(rngs, "default", 1))
  rngs = nnx.Rngs(params=1, dropout=2)
  halves = rngs.split(3)
  g.case("nnx_rngs_split", "Rngs(params=1, dropout=2).split(3): key arrays of the new streams; "
         "then the next key of the original params",
         params=halves.params.key[...], dropout=halves.dropout.key[...],
         next_params=_stream_keys(rngs, "params", 1))

  model = nnx.Dropout(0.5, rngs=nnx.Rngs(dropout=5))
  before = model.rngs.key[...]
  saved = nnx.split_rngs(model, splits=3)
  split_key = model.rngs.key[...]
  nnx.restore_rngs(saved)
  g.case("nnx_split_rngs", "Dropout(Rngs(dropout=5)): stream key, key array after "
         "split_rngs(splits=3), key and count after restore",
         before=before, split=split_key, restored=model.rngs.key[...],
         count=model.rngs.count[...])
  nnx.reseed(model, dropout=9)
  g.case("nnx_reseed", "then reseed(dropout=9): key and count", key=model.rngs.key[...],
         count=model.rngs.count[...])


def _bridge(g):
  class Requests(linen.Module):
    @linen.compact
    def __call__(self):
      return {"root": random.key_data(self.make_rng("params")),
              "dropout": random.key_data(self.make_rng("dropout")),
              "child": Draw(name="child")()}

  for name, rngs in (("default", nnx.Rngs(0)), ("named", nnx.Rngs(params=0, dropout=1)),
                     ("both", nnx.Rngs(7, params=0))):
    model = nnx.bridge.ToNNX(Requests(), rngs)
    g.case(f"to_nnx_{name}", "ToNNX of a module that returns make_rng(params), "
           "make_rng(dropout) at its root and two requests of child; two calls in a row. "
           "default: Rngs(0); named: Rngs(params=0, dropout=1); both: Rngs(7, params=0)",
           first=model(), second=model())

  class Word(nnx.Variable):
    """Words of a key, in a collection of its own."""

  class Streams(nnx.Module):
    def __init__(self, *, rngs):
      self.params = Word(random.key_data(rngs.params()))
      self.dropout = Word(random.key_data(rngs.dropout()))

    def __call__(self):
      return {"params": self.params[...], "dropout": self.dropout[...]}

  class Root(linen.Module):
    @linen.compact
    def __call__(self):
      return {"first": nnx.bridge.to_linen(Streams, name="first")(),
              "second": nnx.bridge.to_linen(Streams, name="second")()}

  rngs = {"params": random.key(0), "dropout": random.key(1)}
  out, _ = Root().init_with_output(rngs)
  g.case("to_linen_init", "to_linen of a module that draws one key of each of its streams in the "
         "constructor, named first and second; init with params = key(0), dropout = key(1)",
         out=out)


def add(g):
  for part in (_linen_plain, _linen_lifted, _linen_layers, _nnx, _bridge):
    part(g)
