"""First training steps of the demo model, one file for each module API.

Five fixed batches of 64 training images (images 0..319 of the file, in order), the demo's
optimizer with a schedule of 10 steps of which 2 are warm-up. A tensor of more than 4096
elements is stored as `<name>/sum`, `<name>/sum_of_squares` (f64) and `<name>/first` (64 values).
"""

import numpy as np

import demo_model
from golden_file import GoldenFile
from golden_file import flatten

BATCH = 64
STEPS = 5
TOTAL_STEPS = 10
WARMUP_STEPS = 2
FULL = 4096


def _put(golden, prefix, collections):
  for path, value in flatten(collections, prefix).items():
    array = np.asarray(value)
    if array.size <= FULL:
      golden.put(path, array)
      continue
    wide = array.astype(np.float64)
    golden.put(path + "/sum", wide.sum())
    golden.put(path + "/sum_of_squares", (wide * wide).sum())
    golden.put(path + "/first", array.reshape(-1)[:64])


def make(api):
  config = demo_model.Config()
  golden = GoldenFile(f"demo_{api}")
  images, labels = demo_model.load("train")
  images, labels = images[:BATCH * STEPS], labels[:BATCH * STEPS]
  trainer = demo_model.TRAINERS[api](config, TOTAL_STEPS, WARMUP_STEPS)
  golden.notes["images"] = "u8[5*64,28,28], step t uses rows 64 t .. 64 t + 63"
  golden.notes["labels"] = "labels of the images"
  golden.notes["initial"] = "variables after initialisation, seed 0: initial/<collection>/<path>"
  golden.notes["loss"] = (f"mean loss of steps 0..4 in training mode, dropout on; schedule "
                          f"warmup {WARMUP_STEPS}, decay_steps {TOTAL_STEPS}, peak "
                          f"{config.peak_rate}, end {config.end_rate}")
  golden.notes["logits_initial"] = "evaluation logits of the first batch before training"
  golden.notes["logits_final"] = "evaluation logits of the first batch after the five steps"
  golden.notes["final"] = "variables after the five steps"
  golden.notes["order"] = "first 16 and last 16 entries of the data order of epochs 0 and 1"
  golden.put("images", images)
  golden.put("labels", labels)
  _put(golden, "initial", trainer.collections())
  golden.put("logits_initial", trainer.logits(images[:BATCH]))
  losses = []
  for t in range(STEPS):
    rows = slice(t * BATCH, (t + 1) * BATCH)
    losses.append(np.float32(trainer.step(images[rows], labels[rows].astype(np.int32))))
  golden.put("loss", np.array(losses))
  golden.put("logits_final", trainer.logits(images[:BATCH]))
  _put(golden, "final", trainer.collections())
  orders = [demo_model.epoch_order(config, e) for e in (0, 1)]
  golden.put("order", np.stack([np.concatenate([o[:16], o[-16:]]) for o in orders]))
  return golden
