"""Instruction counts of what every byte goes through, kept under version control.

Two commands on a fixed file of 16 MiB: `publish`, which reads, codes, seals, erasure-codes and
hashes it, and `verify` of what a relay holds, which reads cells and hashes their leaves. A mount
and the network depend on timing and are left to scripts/bench.

Hashing is counted apart. Valgrind's processor has no SHA instructions, so that hashing is nine
tenths of all counts there, and anything else could double unseen.
"""

import argparse
import json
import os
import platform
import re
import shutil
from pathlib import Path

from bench import samples, tools
from bench.swarm import SHARDS, Swarm
from bench.systems.petalsfs import built_program
from bench.workspace import Trouble, Workspace, end_in_order, run, say

ROOT = Path(__file__).resolve().parents[3]
KEPT = ROOT / "bench/callgrind.json"
SHIM = ROOT / "scripts/lib/sigsuspend.c"
TOLERANCE = 0.03
MEBIBYTES = 16
# How many functions are named when a count grew.
NAMED = 8
HASHING = re.compile("sha256_block")


class Counter:
    """Runs commands of petalsfs under callgrind."""

    def __init__(self, workspace):
        self.workspace = workspace
        self.folder = workspace.path / "callgrind"
        self.folder.mkdir()
        self.valgrind = tools.install_debian("valgrind", "valgrind")
        self.program = self.folder / "petalsfs"
        # Valgrind 3.19 cannot read the debug format of this compiler; the symbols are enough.
        run(["strip", "--strip-debug", "-o", self.program, built_program()])
        compiler = shutil.which("clang") or shutil.which("cc")
        if not compiler:
            raise Trouble("there is no C compiler; install clang or gcc")
        self.shim = self.folder / "sigsuspend.so"
        run([compiler, "-shared", "-fPIC", "-O2", "-o", self.shim, SHIM])

    def count(self, name, *arguments):
        """The instructions that a command took, in parts, each with its functions."""
        output = self.folder / f"{name}.out"
        run([self.valgrind, "--tool=callgrind", f"--callgrind-out-file={output}", self.program,
             *arguments], env=dict(os.environ, LD_PRELOAD=str(self.shim)))
        annotated = run(["callgrind_annotate", "--threshold=100", output])
        total = re.search(r"^\s*([\d,]+).*PROGRAM TOTALS", annotated, re.MULTILINE)
        if not total:
            raise Trouble(f"callgrind_annotate said no total for {name}")
        functions = {}
        for line in annotated.splitlines():
            if found := re.match(r"^\s*([\d,]+) \([^)]*\)\s+\S*?:(.*?)(?: \[[^]]*\])?$", line):
                function = found[2].strip()
                functions[function] = functions.get(function, 0) + as_number(found[1])
        return split(name, as_number(total[1]), functions)


def as_number(text):
    return int(text.replace(",", ""))


def split(name, total, functions):
    """Two counts of one: hashing, and everything else; each with its functions."""
    hashing = {name: count for name, count in functions.items() if HASHING.search(name)}
    others = {name: count for name, count in functions.items() if name not in hashing}
    hashed = sum(hashing.values())
    return {f"{name}, hashing": (hashed, hashing),
            f"{name}, all else": (total - hashed, others)}


def measure(workspace):
    """The counts, by what was done."""
    counter = Counter(workspace)
    source = workspace.path / "fixed"
    samples.noise(source, MEBIBYTES)
    swarm = Swarm(workspace, counter.program, workspace.path / "swarm")
    say(f"counting publish of {MEBIBYTES} MiB")
    counts = counter.count(
        "publish", "publish", source, "--shards", SHARDS, "--quiet", "--state",
        workspace.path / "counted")
    swarm.publish(source)
    swarm.fill(1)
    say("counting verify of what a relay holds of it")
    counts |= counter.count(
        "verify", "verify", "--quiet", "--state", swarm.state(swarm.holder(1, 0)))
    return counts


def compare(kept, counts):
    """Says how each count stands to the kept one; returns whether all are within the tolerance."""
    if kept["architecture"] != platform.machine():
        raise Trouble(f"the kept counts are of {kept['architecture']}, and this is "
                      f"{platform.machine()}")
    within = True
    for name, (total, functions) in counts.items():
        old = kept["counts"].get(name)
        if old is None:
            print(f"{name}: {total} instructions, and none are kept; run with --update")
            within = False
            continue
        change = total / old["instructions"] - 1
        print(f"{name}: {total} instructions, {change:+.2%} of the kept count")
        if change > TOLERANCE:
            within = False
            print(f"  more than {TOLERANCE:.0%} above; what grew most:")
            before = old["functions"]
            grown = sorted(functions, key=lambda name: before.get(name, 0) - functions[name])
            for function in grown[:NAMED]:
                if (more := functions[function] - before.get(function, 0)) > 0:
                    print(f"  {more:+14,}  {function[:120]}")
        elif change < -TOLERANCE:
            print("  less than before: run with --update, so that it stays so")
    return within


def kept_counts():
    if not KEPT.exists():
        raise Trouble(f"{KEPT.relative_to(ROOT)} is missing; run with --update")
    return json.loads(KEPT.read_text())


def document_of(counts):
    return {
        "format": 1, "tolerance": TOLERANCE, "architecture": platform.machine(),
        "counts": {
            name: {
                "instructions": total,
                "functions": dict(sorted(functions.items(), key=lambda item: -item[1])[:60]),
            } for name, (total, functions) in counts.items()
        },
    }


def main(command_line):
    parser = argparse.ArgumentParser(prog="scripts/callgrind")
    parser.add_argument("--update", action="store_true", help="keep the counts of this program")
    arguments = parser.parse_args(command_line)
    end_in_order()
    workspace = Workspace()
    try:
        counts = measure(workspace)
        if not arguments.update:
            return 0 if compare(kept_counts(), counts) else 1
    except Trouble as trouble:
        say(str(trouble))
        return 1
    finally:
        workspace.close()
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(document_of(counts), indent=1) + "\n")
    for name, (total, _) in counts.items():
        print(f"{name}: {total} instructions, kept")
    return 0
