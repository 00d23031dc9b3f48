#!/usr/bin/env python3
"""Compiles every public header alone, without warnings and without making anything: what it uses it
includes itself.

  headers_alone.py COMPILER FLAG... -- FOLDER...

FOLDERs hold the headers. A header may be read after others that it includes anyway, which then are
compiled once for many: it has their contents either way, and they are compiled alone themselves.
"""
import functools
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# As many as save more than they cost.
PRECOMPILED = 8


def find_headers(folders):
    return {str(path.relative_to(folder)): path
            for folder in map(Path, folders) for path in sorted(folder.rglob("*.h"))}


def closures(headers):
    """The headers that each one includes, itself among them."""
    includes = {name: [found for found in re.findall(r'^#include [<"]([^>"]+)[>"]', path.read_text(), re.M)
                       if found in headers]
                for name, path in headers.items()}

    @functools.cache
    def closure(name):
        return frozenset([name]).union(*(closure(other) for other in includes[name]))

    return {name: closure(name) for name in headers}


def best(name, chosen, closure, lines):
    """Of those that `name` includes the one with the most lines, or none."""
    return max((other for other in chosen if other != name and other in closure[name]),
               key=lambda other: lines[other], default=None)


def choose(closure, lines):
    """Greedily, those after which the least is left to read."""
    def left(chosen):
        saved = sum(lines[found] for name in closure if (found := best(name, chosen, closure, lines)))
        return sum(lines[name] for name in chosen) - saved

    chosen = []
    while len(chosen) < PRECOMPILED:
        chosen.append(min((name for name in closure if name not in chosen),
                          key=lambda name: left(chosen + [name])))
    return chosen


def main():
    separator = sys.argv.index("--")
    compiler, folders = sys.argv[1:separator], sys.argv[separator + 1:]
    headers = find_headers(folders)
    closure = closures(headers)
    # The standard library's headers are most of the text of small ones.
    lines = {name: 20000 + sum(headers[other].read_text().count("\n") for other in closure[name])
             for name in headers}
    chosen = choose(closure, lines)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        def compiled(name):
            return f"{folder}/{chosen.index(name)}.pch"

        def compile_header(name, *options):
            result = subprocess.run([*compiler, *options, "-"], input=f'#include "{name}"\n', text=True,
                                    capture_output=True)
            return "" if result.returncode == 0 else f"{compiler[0]}: {name} alone\n{result.stderr}"

        def precompile(name):
            return compile_header(name, "-x", "c++-header", "-o", compiled(name))

        def check(name):
            before = best(name, chosen, closure, lines)
            options = ["-include-pch", compiled(before)] if before else []
            return compile_header(name, *options, "-fsyntax-only", "-x", "c++")

        faults = [text for text in pool.map(precompile, chosen) if text]
        if not faults:
            faults = [text for text in pool.map(check, [n for n in headers if n not in chosen]) if text]
    print("".join(faults), end="", file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
