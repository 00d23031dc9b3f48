"""Makes one table of the results that run.sh has collected.

    python3 report.py FOLDER > table.md

FOLDER holds Google Benchmark's JSON files linnet-ROUND-THREADS-PART.json, peer-ROUND-THREADS-PART.json and, of the
bare kernels that were timed in processes of their own, bare-ROUND-THREADS-PART.json.
A sample counts as disturbed when its thread waited for a processor for more than a twentieth of the time; such
samples are dropped as long as three others remain.
"""

import collections
import glob
import json
import os
import re
import shutil
import statistics
import subprocess
import sys

UNITS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
LEAST_CLEAN = 3


class Sample:
    def __init__(self, entry):
        unit = UNITS[entry["time_unit"]]
        self.ns = entry["real_time"] * unit
        self.by_hand = entry["name"].endswith("/manual_time")
        cpu_ns = entry.get("cpu_ns", entry["cpu_time"] * unit)
        self.disturbed = self.ns > 1.05 * cpu_ns + 20
        standard = {"real_time", "cpu_time", "iterations", "threads", "repetitions", "repetition_index",
                    "family_index", "per_family_instance_index"}
        self.counters = {key: value for key, value in entry.items()
                         if isinstance(value, (int, float)) and key not in standard}


def name_of(entry):
    return re.sub(r"/(real_time|manual_time)$", "", entry["name"])


def load(folder, side):
    """{name: {round: Sample}} and the load averages the runs began with."""
    results, loads = collections.OrderedDict(), []
    for path in sorted(glob.glob(os.path.join(folder, side + "-*.json"))):
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        loads.append(data["context"]["load_avg"][0])
        number = int(os.path.basename(path).split("-")[1])
        for entry in data["benchmarks"]:
            if "error_occurred" in entry:
                sys.exit(f"{entry['name']}: {entry.get('error_message')}")
            results.setdefault(name_of(entry), {})[number] = Sample(entry)
    return results, loads


def add_bare(ours, bare):
    """Gives the samples of two processes what one that times both in turns reports. Works that have no bare side
    are the same in both processes and are told by their time not being taken by hand."""
    for name, rounds in bare.items():
        for number, sample in rounds.items():
            mine = ours.get(name, {}).get(number)
            if mine and sample.by_hand:
                mine.counters.update(bare_ns=sample.ns, over_ns=mine.ns - sample.ns, ratio=mine.ns / sample.ns)


def clean(samples):
    kept = [sample for sample in samples if not sample.disturbed]
    return kept if len(kept) >= LEAST_CLEAN else samples


def median_ns(rounds):
    return statistics.median(sample.ns for sample in clean(list(rounds.values())))


def time_text(ns):
    for unit, size in (("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}" if ns < 1e3 * size else f"{ns / size:.0f} {unit}"
    return f"{ns:.3g} ns"


def ratios(ours, peer):
    """peer / ours in each round, disturbed rounds left out if enough others remain."""
    pairs = [(ours[r], peer[r]) for r in sorted(ours) if r in peer]
    kept = [pair for pair in pairs if not (pair[0].disturbed or pair[1].disturbed)]
    if len(kept) < LEAST_CLEAN:
        kept = pairs
    return sorted(b.ns / a.ns for a, b in kept)


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def rate_text(rounds):
    """The throughput counter, if there is one."""
    samples = clean(list(rounds.values()))
    for key, unit in (("GF/s", "GF/s"), ("GB/s", "GB/s"), ("numbers/s", "M numbers/s")):
        if key in samples[0].counters:
            value = statistics.median(sample.counters[key] for sample in samples)
            return f"{value / 1e6 if key == 'numbers/s' else value:.3g} {unit}"
    return ""


def split_threads(name):
    match = re.search(r"/threads:(\d+)", name)
    return (name.replace(match.group(0), ""), match.group(1)) if match else (name, "1")


def print_table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("|---|" + "--:|" * (len(header) - 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def print_against_peer(ours, peer):
    rows = []
    for name in ours:
        if name not in peer:
            continue
        values = ratios(ours[name], peer[name])
        low, high = quartiles(values)
        label, threads = split_threads(name)
        rows.append([label, threads, time_text(median_ns(ours[name])), time_text(median_ns(peer[name])),
                     f"**{statistics.median(values):.2f}**", f"{low:.2f} – {high:.2f}", rate_text(ours[name])])
    if rows:
        print("## Against libtorch\n\nRatio: time of libtorch over time of Linnet; above one, Linnet is faster.\n")
        print_table(["work", "threads", "Linnet", "libtorch", "ratio", "quartiles", "Linnet's rate"], rows)


def print_over_bare(ours):
    rows = []
    for name, rounds in ours.items():
        samples = list(rounds.values())
        if "bare_ns" not in samples[0].counters:
            continue
        middle = {key: statistics.median(sample.counters[key] for sample in samples)
                  for key in ("bare_ns", "over_ns", "ratio")}
        label, threads = split_threads(name)
        rows.append([label, threads, time_text(median_ns(rounds)), time_text(middle["bare_ns"]),
                     f"{middle['over_ns']:.0f} ns", f"{middle['ratio']:.2f}"])
    if rows:
        print("## Over the bare kernel\n\nThe same kernel called without Linnet above it: own kernels for the small"
              " operations, oneDNN's primitive for `product` and `convolution`, a hand-written loop for"
              " `fused_chain`. Ratio: Linnet over bare; below one, Linnet is faster.\n")
        print_table(["work", "threads", "Linnet", "bare", "difference", "ratio"], rows)


def print_alone(ours, peer):
    rows = []
    for name, rounds in ours.items():
        samples = list(rounds.values())
        if name in peer or "bare_ns" in samples[0].counters:
            continue
        label, threads = split_threads(name)
        rows.append([label, threads, time_text(median_ns(rounds)), rate_text(rounds)])
    if rows:
        print("## Linnet alone\n")
        print_table(["work", "threads", "Linnet", "rate"], rows)


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        text = file.read()
    model = re.search(r"model name\s*: (.*)", text)
    return f"{model.group(1) if model else 'unknown'}, {os.cpu_count()} logical processors"


def package(name):
    if not shutil.which("dpkg-query"):
        return "unknown"
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True, check=False)
    return done.stdout or "not packaged"


def main():
    folder = sys.argv[1]
    ours, our_loads = load(folder, "linnet")
    peer, peer_loads = load(folder, "peer")
    bare, _ = load(folder, "bare")
    add_bare(ours, bare)
    if not ours:
        sys.exit("no results")
    rounds = max(len(r) for r in ours.values())
    samples = [s for side in (ours, peer) for r in side.values() for s in r.values()]
    disturbed = sum(s.disturbed for s in samples)
    path = sorted(glob.glob(os.path.join(folder, "linnet-*.json")))[0]
    with open(path, encoding="utf-8") as file:
        date = json.load(file)["context"]["date"][:10]
    loads = our_loads + peer_loads

    print(f"# CPU benchmarks, {date}\n")
    print_table(["condition", ""], [
        ["processor", processor()],
        ["Linnet", f"commit {os.environ.get('LINNET_COMMIT', 'unknown')}, oneDNN {package('libdnnl2')}"],
        ["compiler", subprocess.run(["c++", "--version"], capture_output=True, text=True,
                                    check=False).stdout.split("\n")[0]],
        ["libtorch", (package("libtorch1.13") + ", tuned as run.sh says") if peer else "not built"],
        ["rounds", f"{rounds}, Linnet and libtorch in turns"],
        ["scheduling", "real time" if os.sched_getscheduler(0) == os.SCHED_FIFO else f"nice {os.nice(0)}"],
        ["load average before the runs", f"{min(loads):.1f} to {max(loads):.1f}"],
        ["disturbed samples", f"{disturbed} of {len(samples)}"],
    ])
    print("Medians over the rounds. A load average well above the number of threads in use means that other"
          " programs ran too, and shared caches and memory even where they did not take the processor: then ratios"
          " say more than times, and those with wide quartiles say little.\n")
    print_against_peer(ours, peer)
    print_over_bare(ours)
    print_alone(ours, peer)


if __name__ == "__main__":
    main()
