"""An event file as TensorBoard's own writer makes it: the bytes of every kind of record.

The messages are made with TensorBoard's classes, the classes of the distribution by NumPy, and the
records with TensorBoard's writer. The file is then read by TensorBoard's reader, which checks the sums.
"""

import io

import numpy as np
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from golden_file import GoldenFile

VALUES = np.array([-1.5, -1.5, 0.0, 0.25, 0.25, 3.0, 1e-13, np.inf], np.float64)
IMAGE = b"not really a PNG file"


def distribution(values):
  """HistogramProto over the finite values, without empty classes at the ends."""
  positive = []
  limit = 1e-12
  while limit < 1e20:
    positive.append(limit)
    limit *= 1.1
  positive.append(np.finfo(np.float64).max)
  edges = [-v for v in reversed(positive)] + [0.0] + positive
  values = values[np.isfinite(values)]
  counts, _ = np.histogram(values, bins=[-np.inf] + edges)
  used = np.nonzero(counts)[0]
  kept = slice(used[0], used[-1] + 1)
  return summary_pb2.HistogramProto(
      min=values.min(), max=values.max(), num=len(values), sum=values.sum(),
      sum_squares=np.sum(values * values), bucket_limit=edges[kept], bucket=counts[kept])


def make():
  file = io.BytesIO()
  file.close = lambda: None
  writer = RecordWriter(file)
  time = [1000.0]

  def write(**content):
    event = event_pb2.Event(wall_time=time[0], **content)
    time[0] += 0.5
    writer.write(event.SerializeToString())

  def value(step, **content):
    write(step=step, summary=summary_pb2.Summary(value=[summary_pb2.Summary.Value(**content)]))

  write(file_version="brain.Event:2")
  value(0, tag="train/loss", simple_value=0.25)
  value(300, tag="train/loss", simple_value=0.0)
  value(300, tag="up/kernel", histo=distribution(VALUES))
  value(301, tag="sample", image=summary_pb2.Summary.Image(
      height=2, width=3, colorspace=1, encoded_image_string=IMAGE))
  write(step=128, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))
  golden = GoldenFile("event_file")
  golden.case("file", "version, two scalars, a distribution, a picture, a restart; clock 1000 + 0.5 n",
              bytes=np.frombuffer(file.getvalue(), np.uint8), values=VALUES)
  return golden
