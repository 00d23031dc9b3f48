#!/usr/bin/env python3
"""Cold starts, into OUT/cold.json: process start to 1 + 1; tracing, compiling and the first step with empty caches.

One process at a time, with two threads.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import sides

THREADS = 2
STATUS = "; print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')))"
ADD = {
    "torch": "import torch; print(float(torch.tensor([1.0]) + torch.tensor([1.0])))",
    "jax": "import jax.numpy as jnp; print(float((jnp.array([1.0]) + jnp.array([1.0]))[0]))",
    "mlx": "import mlx.core as mx; print((mx.array([1.0]) + mx.array([1.0])).item())",
    "python alone": "print(1.0 + 1.0)",
}
WAYS = (("linnet", "jit"), ("torch", "eager"), ("torch", "compile"), ("jax", "jit"), ("mlx", "eager"))


def start_times(machine, repeats):
    """Seconds until a process has printed 1 + 1, and its peak memory then."""
    out = {}
    for _ in range(repeats):
        for side in ("linnet", *ADD):
            command = [str(machine.program("cold"))] if side == "linnet" else [machine.python, "-u", "-c", ADD[side] + STATUS]
            command = ["taskset", "-c", sides.listed(sides.cores_of(THREADS)), *command]
            begin = time.perf_counter()
            with subprocess.Popen(command, env=machine.environment(side, THREADS), stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True) as process:
                result = process.stdout.readline()
                seconds = time.perf_counter() - begin
                rss_kb = process.stdout.readline()
            if process.returncode or float(result) != 2:
                raise SystemExit(f"{side} could not add")
            out.setdefault(side, []).append({"s": seconds, "rss_kb": int(rss_kb)})
    return out


def first_step(machine, work, side, variant, log):
    begin = time.time()
    process = sides.Side(side, machine.command(side, work, variant), machine.environment(side, THREADS, cached=False),
                         sides.cores_of(THREADS), log / f"cold-{side}-{work}-{variant}.txt")
    process.set_up()
    seconds = time.time() - begin
    event = process.ready[0] if process.ready else {}
    error = process.dead or (process.failed[0]["error"] if process.failed else None)
    process.quit()
    first = event.get("first_s")
    print(f"cold {work} {side} {variant}: {first if first else error}", file=sys.stderr, flush=True)
    return {"work": work, "side": side, "variant": variant, "first_s": first, "process_s": seconds,
            "rss_kb": process.rss_kb, "error": error}


def first_steps(machine, names, log):
    rows = []
    for work in names:
        for side, variant in WAYS:
            shutil.rmtree(machine.cache, ignore_errors=True)
            rows.append(dict(first_step(machine, work, side, variant, log), warm=False))
            if variant == "compile":  # what a later start costs
                rows.append(dict(first_step(machine, work, side, variant, log), warm=True))
    shutil.rmtree(machine.cache, ignore_errors=True)
    return rows


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", required=True)
    p.add_argument("--python", required=True)
    p.add_argument("--out", required=True, type=Path)
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--works", default="mlp64_adamw,resnet18_cifar,gpt384")
    args = p.parse_args()
    (args.out / "log").mkdir(parents=True, exist_ok=True)
    machine = sides.Machine(args.build, args.python, args.out / "cold-cache")
    begin = time.time()
    data = {"start": start_times(machine, args.repeats),
            "compile": first_steps(machine, args.works.split(","), args.out / "log"), "seconds": time.time() - begin}
    (args.out / "cold.json").write_text(json.dumps(data, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
