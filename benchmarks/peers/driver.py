#!/usr/bin/env python3
"""Measures Linnet and its peers in turns and keeps every sample in OUT/results.json. See `run`.

For each number of threads and each group of works, one process per side sets its cases up. Their checks are
compared, and what disagrees is left out. Then the sides measure one after the other, round by round, the order
reversed every second round; a process that does not measure sleeps on a pipe.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sides
import works

# A case whose call takes longer than this is measured in the first round only.
SLOW_NS = 3e9


class Run:
    """All samples and events so far."""

    def __init__(self, args, machine):
        self.args, self.machine, self.begin = args, machine, time.time()
        self.results, self.events, self.peaks, self.times = {}, [], [], []
        self.load = os.getloadavg()

    def note(self, side, threads, event):
        self.events.append(dict(event, side=side, threads=threads))

    def save(self):
        names = ("work", "side", "variant", "threads")
        data = {"results": [dict(zip(names, key), rounds=rounds) for key, rounds in self.results.items()],
                "events": self.events, "peaks": self.peaks, "times": self.times, "load_before": self.load,
                "rounds": self.args.rounds, "seconds": time.time() - self.begin,
                "date": time.strftime("%Y-%m-%d %H:%M", time.localtime(self.begin))}
        part = self.args.out / "results.json.part"
        part.write_text(json.dumps(data), encoding="utf-8")
        part.replace(self.args.out / "results.json")

    def measure_peaks(self, threads):
        program = self.machine.program("peaks")
        if program.exists():
            command = ["taskset", "-c", sides.listed(sides.cores_of(threads)), str(program), str(threads)]
            self.peaks.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def start(run, group, threads, chosen):
    """The sides with their cases set up.

    With one thread two sides set up at a time, PyTorch beside the others, which takes as long as they together;
    they measure later, one by one and on the same processor.
    """
    args, cores = run.args, sides.cores_of(threads)
    lanes = [chosen]
    if threads == 1 and len(os.sched_getaffinity(0)) > 1:
        lanes = [[s for s in chosen if s == "torch"], [s for s in chosen if s != "torch"]]

    def set_up(number):
        out = {}
        own = sorted(os.sched_getaffinity(0))[number:number + 1] if len(lanes) > 1 else cores
        for name in lanes[number]:
            log = args.out / "log" / f"{name}-{group}-{threads}.txt"
            env = run.machine.environment(name, threads)
            if args.setup_only:
                env["OMP_WAIT_POLICY"] = "passive"  # other programs may run, and nothing is timed
            side = out[name] = sides.Side(name, run.machine.command(name, group), env, own, log)
            side.set_up()
            if not side.dead:
                side.move(cores)
        return out
    with ThreadPoolExecutor(len(lanes)) as pool:
        started = {name: side for lane in pool.map(set_up, range(len(lanes))) for name, side in lane.items()}
    return {name: started[name] for name in chosen}


def comparable(run, started, threads):
    """[(work, side, variant)] of the cases whose checks agree; notes the others."""
    ready = [(event, name) for name, side in started.items() for event in side.ready]
    checks = {}
    for event, _ in ready:
        if event["check"] is not None:
            checks.setdefault(event["work"], []).append(event["check"])
    out = []
    for event, name in ready:
        work, check = event["work"], event["check"]
        if check is not None:
            reference = works.middle(checks[work])
            if not works.agrees(work, check, reference):
                run.note(name, threads, dict(event, event="disagrees", reference=reference))
                continue
        run.note(name, threads, event)
        out.append((work, name, event["variant"]))
    for name, side in started.items():
        for event in side.failed:
            run.note(name, threads, event)
        if side.dead:
            run.note(name, threads, {"event": "dead", "error": side.dead})
    return out


def measure_rounds(run, started, threads, cases):
    order = list(dict.fromkeys(work for work, _, _ in cases))
    for number in range(run.args.rounds):
        for work in order:
            turn = [case for case in cases if case[0] == work]
            for case in turn if number % 2 == 0 else turn[::-1]:
                measure_one(run, started[case[1]], case, threads, number)


def measure_one(run, side, case, threads, number):
    work, name, variant = case
    kept = run.results.setdefault((work, name, variant, threads), [])
    if side.dead or any(min(sample["ns"]) > SLOW_NS for sample in kept):
        return
    time.sleep(0.003)  # others' threads go to sleep
    sample = side.measure(work, variant, run.args.min_time)
    if sample:
        kept.append(dict(sample, round=number))
    else:
        run.note(name, threads, {"event": "dead", "work": work, "variant": variant, "error": side.dead})


def run_group(run, group, threads):
    begin = time.time()
    started = start(run, group, threads, run.args.sides)
    ready = time.time() - begin
    cases = comparable(run, started, threads)
    if not run.args.setup_only:
        measure_rounds(run, started, threads, cases)
    for side in started.values():
        side.quit()
    run.times.append({"group": group, "threads": threads, "seconds": round(time.time() - begin, 1),
                      "setup_seconds": round(ready, 1), "rss_kb": {n: s.rss_kb for n, s in started.items()}})
    print(f"{time.time() - run.begin:6.0f} s  {threads} thread(s)  {group}: {time.time() - begin:.0f} s, of which "
          f"set-up {ready:.0f} s; {len(cases)} cases", file=sys.stderr, flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", required=True, help="build directory with bin/linnet_peers_linnet")
    p.add_argument("--python", required=True, help="Python that has torch, jax, flax, optax and mlx")
    p.add_argument("--out", required=True, type=Path)
    p.add_argument("--cache", required=True, help="folder for the compilers' caches")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", default="1,2")
    p.add_argument("--groups", default=",".join(works.GROUPS))
    p.add_argument("--sides", default=",".join(sides.NAMES))
    p.add_argument("--min-time", type=float, default=0.05, help="seconds of each measurement")
    p.add_argument("--setup-only", action="store_true", help="compare checks and fill caches; time nothing")
    args = p.parse_args()
    (args.out / "log").mkdir(parents=True, exist_ok=True)
    machine = sides.Machine(args.build, args.python, args.cache)
    args.sides = [side for side in args.sides.split(",") if machine.available(side)]
    run = Run(args, machine)
    for threads in map(int, args.threads.split(",")):
        run.measure_peaks(threads)
        for group in args.groups.split(","):
            run_group(run, group, threads)
            run.save()
        run.measure_peaks(threads)
    run.save()


if __name__ == "__main__":
    main()
