#!/usr/bin/env python3
"""report.py OUT > DATE-peers.md: one table of what driver.py and cold.py left in OUT.

Goals and causes are those of causes.toml. Fails if a row where a peer is faster has no cause, so that no row
stays unexplained.
"""

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import sides
import works

# (heading, side, variants); a side may have several ways to a work, of which the fastest counts.
COLUMNS = (("Linnet jit", "linnet", ("jit", "scan")), ("Linnet eager", "linnet", ("eager",)),
           ("torch", "torch", ("eager",)), ("torch.compile", "torch", ("compile",)),
           ("JAX", "jax", ("eager", "jit", "call", "layer", "scan")), ("MLX", "mlx", ("eager",)),
           ("MLX compile", "mlx", ("compile",)), ("libtorch 1.13", "libtorch", ("eager",)))
# libtorch is years older than the others: shown, and not one of the peers to beat.
PEERS = ("torch", "jax", "mlx")
# Part of a processor that other programs took during a measurement, from which it is marked.
DISTURBED = 0.1


def time_text(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}" if ns < 1000 * size else f"{ns / size:.0f} {unit}"
    return f"{ns:.3g} ns"


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def print_table(header, rows, left=1):
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * left + "--:|" * (len(header) - left))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


class Cell:
    """The samples of one case with one number of threads."""

    def __init__(self, side, variant, rounds):
        self.side, self.variant = side, variant
        self.rounds = {r["round"]: statistics.median(r["ns"]) for r in rounds}
        self.ns = statistics.median(self.rounds.values())
        self.disturbed = max(r["foreign"] for r in rounds) > DISTURBED


def fastest(cells):
    return min(cells, key=lambda cell: cell.ns, default=None)


class Row:
    """One work with one number of threads."""

    def __init__(self, work, threads, cells):
        self.work, self.threads, self.cells = work, threads, cells
        self.ours = fastest(c for c in cells if c.side == "linnet")
        self.peer = fastest(c for c in cells if c.side in PEERS)

    def ratios(self):
        """Best peer over Linnet in each round that both have; sorted, empty if one is missing."""
        if not (self.ours and self.peer):
            return []
        common = self.ours.rounds.keys() & self.peer.rounds.keys()
        return sorted(self.peer.rounds[r] / self.ours.rounds[r] for r in common) or [self.peer.ns / self.ours.ns]

    def ratio(self):
        ratios = self.ratios()
        return statistics.median(ratios) if ratios else None

    def column(self, side, variants):
        cell = fastest(c for c in self.cells if c.side == side and c.variant in variants)
        return time_text(cell.ns) if cell else "—"


def peer_name(cell):
    return next(heading for heading, side, variants in COLUMNS if side == cell.side and cell.variant in variants)


def load_rows(data):
    cells = {}
    for entry in data["results"]:
        if entry["rounds"]:
            cell = Cell(entry["side"], entry["variant"], entry["rounds"])
            cells.setdefault((entry["work"], entry["threads"]), []).append(cell)
    order = list(dict.fromkeys(work for work, _ in cells))
    threads = sorted({count for _, count in cells})
    return [Row(w, t, cells[w, t]) for w in order for t in threads if (w, t) in cells]


def load_peaks(data):
    """{threads: best of the measurements before and after}."""
    out = {}
    for peak in data["peaks"]:
        best = out.setdefault(peak["threads"], {})
        for key, value in peak.items():
            if key != "threads" and value is not None:
                best[key] = max(value, best.get(key, 0))
    return out


def goal_of(cause, threads):
    """The goal with that many threads, from a number or a list by threads."""
    goal = cause.get("goal")
    return goal[min(threads, len(goal)) - 1] if isinstance(goal, list) else goal


def row_cells(row, peaks, causes):
    ratio, cause = row.ratio(), causes.get(row.work, {})
    ratio_text = floor_text = "—"
    if ratio:
        low, high = quartiles(row.ratios())
        ratio_text = f"**{ratio:.2f}** ({low:.2f}–{high:.2f})"
    floor = works.floor_ns(row.work, {"bf16_gfs": None, **peaks[row.threads]}) if row.threads in peaks else None
    if floor and row.ours:
        floor_text = f"{time_text(floor[0])} {floor[1]}, {100 * floor[0] / row.ours.ns:.0f} %"
    goal = goal_of(cause, row.threads)
    # What a row says once, it does not say again for the next number of threads.
    held = cause.get("holds", "") if row.threads == 1 else "as above" if cause.get("holds") else ""
    mark = " †" if any(cell.disturbed for cell in row.cells) else ""
    return [works.LABELS.get(row.work, row.work) + mark, row.threads,
            *(row.column(side, variants) for _, side, variants in COLUMNS),
            peer_name(row.peer) if row.peer else "—", ratio_text, goal or "—", floor_text, held]


def versions(machine):
    code = ("import torch, jax, jaxlib, flax, optax, mlx.core as mx, numpy\n"
            "print(f'torch {torch.__version__} (MKL {torch.backends.mkl.is_available()}, '"
            "f'{torch.backends.cpu.get_cpu_capability()}), jax {jax.__version__}, jaxlib {jaxlib.__version__}, '"
            "f'flax {flax.__version__}, optax {optax.__version__}, mlx {mx.__version__}, numpy {numpy.__version__}')")
    done = subprocess.run([machine.python, "-c", code], capture_output=True, text=True, check=False,
                          env=machine.environment("mlx", 1))
    return done.stdout.strip() or "unknown"


def print_conditions(data, cold, machine):
    cpu = Path("/proc/cpuinfo").read_text(encoding="ascii")
    field = {name: re.search(name + r"\s*: (.*)", cpu) for name in ("model name", "cpu family", "model\t")}
    model, family, number = (match.group(1) if match else "unknown" for match in field.values())
    commit = os.environ.get("LINNET_COMMIT") or subprocess.run(
        ["git", "-C", str(sides.HERE), "log", "-1", "--format=%h %cd", "--date=short"],
        capture_output=True, text=True, check=False).stdout.strip()
    seconds = f"{data['seconds']:.0f} s" + (f" and {cold['seconds']:.0f} s of cold starts" if cold else "")
    print_table(["condition", ""], [
        ["processor", f"{model}, family {family}, model {number}, {os.cpu_count()} processors"],
        ["Linnet", commit or "unknown"], ["peers", versions(machine)],
        ["environment of all", "taskset to as many processors as threads; OMP_NUM_THREADS; a malloc that keeps memory"],
        ["rounds", f"{data['rounds']}, sides in turns, the order reversed every second round; {seconds}"],
        ["load average before", " ".join(f"{value:.2f}" for value in data["load_before"])]], left=2)


def print_peaks(peaks):
    names = {"f32_gfs": "f32 multiply-add, GF/s", "bf16_gfs": "bf16 products, GF/s", "copy_gbs": "copy in DRAM, GB/s",
             "streaming_gbs": "the same written past the caches", "read_gbs": "read from DRAM, GB/s",
             "cache_gbs": "copy of 1 MB, GB/s"}
    rows = [[name] + [f"{peaks[t][key]:.0f}" if key in peaks[t] else "—" for t in peaks] for key, name in names.items()]
    print_table(["peak measured in this run"] + [f"{t} thread(s)" for t in peaks], rows)


def print_main_table(rows, peaks, causes):
    print("Times are medians of the rounds' medians. Ratio: fastest peer over fastest of Linnet's two, round by round; above"
          " one Linnet is faster; in brackets the quartiles of the rounds. Floor: operations or bytes over this run's peak,"
          " and how much of Linnet's time that is; convolutions count as direct ones, so Winograd's can pass 100 %."
          f" †: other programs took more than {DISTURBED:.0%} of a processor during a measurement.\n")
    header = ["work", "threads", *(heading for heading, _, _ in COLUMNS), "fastest peer", "fastest peer ÷ Linnet", "goal",
              "floor, % of it", "what holds it"]
    print_table(header, [row_cells(row, peaks, causes) for row in rows])
    notes = [f"- {works.LABELS[w]}: {note}" for w, note in works.NOTES.items() if any(r.work == w for r in rows)]
    print("\n".join(notes) + "\n")


def print_summary(rows, causes):
    ratios = {row: row.ratio() for row in rows if row.ratio()}
    if not ratios:
        return
    mean = math.exp(statistics.fmean(map(math.log, ratios.values())))
    names = {row.work for row in ratios}
    ahead = {w for w in names if all(r > 1 for row, r in ratios.items() if row.work == w)}
    met = [row for row, r in ratios.items() if (goal := goal_of(causes.get(row.work, {}), row.threads)) and r >= goal]
    with_goal = [row for row in ratios if goal_of(causes.get(row.work, {}), row.threads)]
    print(f"Geometric mean of the ratios {mean:.2f}; Linnet is ahead of every peer with each number of threads on"
          f" {len(ahead)} of {len(names)} works; {len(met)} of {len(with_goal)} rows reach their goal.\n")
    behind = sorted(((r, row) for row, r in ratios.items() if r < 1), key=lambda pair: pair[0])
    if behind:
        print("## Where a peer is faster\n")
        print_table(["work", "threads", "peer", "peer ÷ Linnet", "what holds it"],
                    [[works.LABELS.get(row.work, row.work), row.threads, peer_name(row.peer), f"{r:.2f}",
                      causes.get(row.work, {}).get("holds", "**unexplained**")] for r, row in behind])


def print_checks(events):
    print("## Same work\n\nLoss after the first steps, or a sum over results and gradients, from the same numbers; compared"
          " before anything was timed.\n")
    kept = [e for e in events if e["event"] == "ready" and e["check"] is not None]
    by_work = {}
    for event in kept:
        by_work.setdefault(event["work"], []).append(event["check"])
    off = []
    for event in kept:
        reference = works.middle(by_work[event["work"]])
        off.append((abs(event["check"] - reference) / max(abs(reference), 1e-12), event))
    off.sort(key=lambda pair: -pair[0])
    largest = ", ".join(f"{e['work']} {e['side']} {e['variant']} {d:.1e}" for d, e in off[:4])
    print(f"- {len(by_work)} works, {len(kept)} values. Largest relative differences: {largest}")
    for e in events:
        if e["event"] != "ready":
            what = f"{e['check']:.7g}, the others {e['reference']:.7g}" if e["event"] == "disagrees" else e["error"]
            print(f"- {e['event']}: {e.get('work', 'a group')}, {e['side']} {e.get('variant', '')}, {e['threads']} thread(s): {what}")
    print()


def print_cold(cold):
    print("## Cold starts\n\nTwo threads, empty caches, one process at a time.\n")
    print_table(["process start to 1 + 1", "seconds", "peak memory, MB"], [
        [side, f"{statistics.median(x['s'] for x in v):.3f}", f"{statistics.median(x['rss_kb'] for x in v) / 1024:.0f}"]
        for side, v in cold["start"].items()])
    print_table(["work", "side", "trace, compile, first step", "whole process", "peak memory, MB"], [
        [works.LABELS.get(r["work"], r["work"]), f"{r['side']} {r['variant']}" + (", caches filled" if r["warm"] else ""),
         time_text(r["first_s"] * 1e9) if r["first_s"] else r["error"], f"{r['process_s']:.1f} s",
         f"{r['rss_kb'] / 1024:.0f}" if r["rss_kb"] else "—"] for r in cold["compile"]], left=2)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("out", type=Path)
    p.add_argument("--build", required=True)
    p.add_argument("--python", required=True)
    args = p.parse_args()
    machine = sides.Machine(args.build, args.python, args.out)
    data = json.loads((args.out / "results.json").read_text(encoding="utf-8"))
    cold_file = args.out / "cold.json"
    cold = json.loads(cold_file.read_text(encoding="utf-8")) if cold_file.exists() else None
    causes = tomllib.loads((sides.HERE / "causes.toml").read_text(encoding="utf-8"))
    rows, peaks = load_rows(data), load_peaks(data)

    print(f"# Linnet beside its peers on the CPU, {data['date']}\n")
    print_conditions(data, cold, machine)
    print_peaks(peaks)
    print_summary(rows, causes)
    print("## All works\n")
    print_main_table(rows, peaks, causes)
    print_checks(data["events"])
    if cold:
        print_cold(cold)
    unexplained = sorted({row.work for row in rows if (row.ratio() or 1) < 1 and not causes.get(row.work, {}).get("holds")})
    if unexplained:
        sys.exit(f"causes.toml does not say what holds {', '.join(unexplained)}")


if __name__ == "__main__":
    main()
