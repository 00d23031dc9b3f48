"""What the sides in Python share: registering cases, and the protocol with the driver.

`main()` sets up the cases of a group, then measures them on command: see ../harness/main.cpp, which
does the same in C++ and says what is written.
"""

import json
import os
import sys
import time

import numpy as np

THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))

# Standard output belongs to the protocol: what a library prints goes to standard error.
_output = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

_cases = []  # (group, work, variant, set_up)


def case(group, work, variant):
    """Registers the decorated function, which gives a Work."""
    def add(set_up):
        _cases.append((group, work, variant, set_up))
        return set_up
    return add


class Work:
    """`run(n)` makes n calls; `check` is what the sides compare."""

    def __init__(self, run, check=None, first_s=None):
        self.run, self.check, self.first_s, self.fresh = run, check, first_s, True


def repeat(f, check, sync=None, gate=1, batched=False):
    """A work that calls f; the result of the `gate`th call is checked.

    `sync(result)` waits for it: after each call, or with `batched` after the last of all, which is how
    a loop that does not read its results runs.
    """
    begin = time.perf_counter()
    out = f()
    if sync:
        sync(out)
    first = time.perf_counter() - begin
    for _ in range(gate - 1):
        out = f()

    def run(n):
        out = None
        for _ in range(n):
            out = f()
            if sync and not batched:
                sync(out)
        if sync and batched:
            sync(out)
    return Work(run, check(out), first)


def training(step, gate, value, sync=None):
    """A work of training steps; step() gives the loss."""
    return repeat(step, value, sync, gate, batched=True)


def checked_by(other, work):
    """`work` with the check of `other`: the same without what differs by random numbers."""
    work.check = other.check
    return work


def mean_abs(a):
    return float(np.abs(np.asarray(a, dtype=np.float64)).mean())


def mean_square(a):
    """What tells results of softmax apart, whose mean is known."""
    return float(np.square(np.asarray(a, dtype=np.float64)).mean())


def dropped(a):
    """Ten times the part that is zero."""
    return 10 * float((np.asarray(a) == 0).mean())


def _say(**fields):
    _output.write(json.dumps(fields) + "\n")
    _output.flush()


def _peak_kb():
    # Not ru_maxrss, which begins at what the parent had.
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


# A first call that takes longer than this is a sample: the case is warm enough by its set-up.
SLOW_FIRST, SLOW = 3, 0.25
# Shorter calls are measured in batches of about BATCH seconds.
SHORT, PROBE, BATCH = 0.002, 0.0005, 0.005


def _take(run, n):
    """Mean seconds of n calls, by the clock and of the processor."""
    now, cpu = time.perf_counter, time.process_time
    cpu_begin, begin = cpu(), now()
    run(n)
    wall = now() - begin
    return wall / n, (cpu() - cpu_begin) / n


def measure(work, min_seconds):
    """Samples in seconds, each by the clock and of the processor."""
    # The first call of all may touch fresh memory, which is dear on a virtual machine.
    if work.fresh:
        work.fresh = False
        sample = _take(work.run, 1)
        if sample[0] > SLOW_FIRST:
            return [sample]
    sample = _take(work.run, 1)
    once, n = sample[0], 1
    if once > SLOW:
        return [sample]
    if once < SHORT:
        once, _ = _take(work.run, max(1, round(PROBE / max(once, 1e-9))))
        n = max(1, round(BATCH / max(once, 1e-9)))
    samples, begin = [], time.perf_counter()
    least = 1 if once > 0.05 else 3
    while time.perf_counter() - begin < min_seconds or len(samples) < least:
        samples.append(_take(work.run, n))
    return samples


def _chosen(arguments):
    names = set(arguments[0].split("+")) if arguments else {"all"}
    variants = set(arguments[1].split(",")) if len(arguments) > 1 and arguments[1] else None
    for group, work, variant, set_up in _cases:
        if names & {"all", group, work} and (variants is None or variant in variants):
            yield work, variant, set_up


def main():
    works = {}
    for work, variant, set_up in _chosen(sys.argv[1:]):
        try:
            made = works[work, variant] = set_up()
            _say(event="ready", work=work, variant=variant, check=made.check, first_s=made.first_s)
        except Exception as error:  # pylint: disable=broad-except  # a line of the report
            _say(event="failed", work=work, variant=variant, error=f"{type(error).__name__}: {error}"[:300])
    _say(event="done", rss_kb=_peak_kb())
    for line in sys.stdin:
        words = line.split()
        if not words or words[0] != "go":
            break
        samples = measure(works[words[1], words[2]], float(words[3]))
        _say(event="result", rss_kb=_peak_kb(), ns=[wall * 1e9 for wall, _ in samples],
             cpu_ns=[cpu * 1e9 for _, cpu in samples])
    _output.flush()
    os._exit(0)
