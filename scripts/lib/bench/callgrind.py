"""Instruction counts of what every byte goes through, kept under version control.

Stages by themselves: PetalsBench does N operations of one, then three times as many in another
process, and half of what lies between, divided by N, is what an operation takes; starting up and
making the inputs cancel out. Then two whole commands on a fixed file of 16 MiB: `publish`, which
reads, codes, seals, erasure-codes and hashes it, and `verify` of what a relay holds, which reads
cells and hashes their leaves. A mount and the network depend on timing and are left to
scripts/bench.

The loops of libraries (hash, cipher, erasure code, compression, copies) are counted apart. They are
most of every count, all the more as valgrind's processor has no SHA instructions and no AVX-512, and
anything else could double beside them unseen.
"""

import argparse
import collections
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
COMMANDS = ["publish", "verify"]
# So few more instructions are no regression, whatever their share: 100 take 20 to 50 ns.
FLOOR = 100
# How many functions are named when a count grew, and what share of a count one needs to be kept.
NAMED, KEPT_SHARE = 8, 0.01
NAME_LENGTH = 120
LINE = re.compile(r"^\s*([\d,]+) \([^)]*\)\s+\S*?:(.*?)(?: \[([^]]*)\])?$")
LIBRARY_OBJECTS = re.compile(r"^lib(crypto|sodium|isal|blosc|lz4)\.")
LIBRARY_FUNCTIONS = re.compile(r"sha256_block_data_order|^__mem(cpy|move|set|cmp)_")


class Counter:
    """Runs a program under callgrind."""

    def __init__(self, workspace, program):
        self.folder = workspace.path / f"callgrind-{program.name}"
        self.folder.mkdir()
        self.valgrind = tools.install_debian("valgrind", "valgrind")
        self.program = self.folder / program.name
        # Valgrind 3.19 cannot read the debug format of this compiler; the symbols are enough.
        run(["strip", "--strip-debug", "-o", self.program, program])
        compiler = shutil.which("clang") or shutil.which("cc")
        if not compiler:
            raise Trouble("there is no C compiler; install clang or gcc")
        shim = self.folder / "sigsuspend.so"
        run([compiler, "-shared", "-fPIC", "-O2", "-o", shim, SHIM])
        # A dictionary must have the same order every time.
        self.environment = dict(os.environ, LD_PRELOAD=str(shim), SWIFT_DETERMINISTIC_HASHING="1")

    def count(self, *arguments):
        """The instructions that a command took, by `Function`; `None` has all of them."""
        output = self.folder / "out"
        run([self.valgrind, "--tool=callgrind", f"--callgrind-out-file={output}", self.program,
             *arguments], env=self.environment)
        annotated = run(["callgrind_annotate", "--threshold=100", output])
        total = re.search(r"^\s*([\d,]+).*PROGRAM TOTALS", annotated, re.MULTILINE)
        if not total:
            raise Trouble(f"callgrind_annotate said no total for {' '.join(map(str, arguments))}")
        functions = {None: as_number(total[1])}
        for line in annotated.splitlines():
            if found := LINE.match(line):
                function = Function.of(found[2].strip(), Path(found[3] or "").name)
                functions[function] = functions.get(function, 0) + as_number(found[1])
        return functions


def as_number(text):
    return int(text.replace(",", ""))


class Function(collections.namedtuple("Function", "name is_library")):
    """A function of the program, or of a library if it is one of those that are counted apart."""

    @staticmethod
    def of(name, library):
        is_library = bool(LIBRARY_OBJECTS.match(library) or LIBRARY_FUNCTIONS.search(name))
        if name.startswith("0x"):
            name = f"{library} 0x{name[2:].lstrip('0')}"
        return Function(name[:NAME_LENGTH], is_library)


def split(name, functions):
    """The counts to keep: of libraries, and of everything else."""
    parts = {True: {}, False: {}}
    for function, count in functions.items():
        if function:
            parts[function.is_library][function.name] = count
    in_libraries = sum(parts[True].values())
    counts = {f"{name}, all else": entry(functions[None] - in_libraries, parts[False])}
    if in_libraries >= 1:
        counts = {f"{name}, libraries": entry(in_libraries, parts[True])} | counts
    return counts


def entry(total, functions):
    ordered = sorted(functions.items(), key=lambda item: -item[1])
    return {
        "instructions": round(total),
        "functions": {
            name: round(count) for name, count in ordered if count >= KEPT_SHARE * total
        },
    }


def count_stage(counter, stage):
    """What one operation of a stage takes."""
    name, operations = stage["stage"], stage["countedOperations"]
    say(f"counting {name}")
    fewer = counter.count(name, "--count", operations)
    more = counter.count(name, "--count", 3 * operations)
    return split(name, {
        function: (count - fewer.get(function, 0)) / (2 * operations)
        for function, count in more.items()
    })


def count_commands(counter, workspace, only):
    source = workspace.path / "fixed"
    samples.noise(source, MEBIBYTES)
    swarm = Swarm(workspace, counter.program, workspace.path / "swarm")
    counts = {}
    if "publish" in only:
        say(f"counting publish of {MEBIBYTES} MiB")
        counts |= split("publish", counter.count(
            "publish", source, "--shards", SHARDS, "--quiet", "--state",
            workspace.path / "counted"))
    if "verify" in only:
        swarm.publish(source)
        swarm.fill(1)
        say("counting verify of what a relay holds of it")
        counts |= split("verify", counter.count(
            "verify", "--quiet", "--state", swarm.state(swarm.holder(1, 0))))
    return counts


def measure(workspace, only):
    """The counts, by what was done; `only` is empty for all."""
    bench = built_program("PetalsBench")
    stages = [stage for stage in json.loads(run([bench, "list", "--json"]))["stages"]
              if "countedOperations" in stage]
    names = [stage["stage"] for stage in stages] + COMMANDS
    if unknown := set(only) - set(names):
        raise Trouble(f"there is no count of {', '.join(sorted(unknown))}; there are "
                      f"{', '.join(names)}")
    only = only or names
    counts = {}
    counter = Counter(workspace, bench)
    for stage in stages:
        if stage["stage"] in only:
            counts |= count_stage(counter, stage)
    if set(only) & set(COMMANDS):
        counts |= count_commands(Counter(workspace, built_program()), workspace, only)
    return counts


def compare(kept, counts):
    """Says how each count stands to the kept one; returns whether all are within the tolerance."""
    if kept["architecture"] != platform.machine():
        raise Trouble(f"the kept counts are of {kept['architecture']}, and this is "
                      f"{platform.machine()}")
    within = True
    for name, found in counts.items():
        total = found["instructions"]
        old = kept["counts"].get(name)
        if old is None:
            print(f"{name}: {total:,} instructions, and none are kept; run with --write")
            within = False
            continue
        more = total - old["instructions"]
        change = more / old["instructions"]
        print(f"{name}: {total:,} instructions, {change:+.2%} of the kept count")
        if abs(change) <= TOLERANCE or abs(more) <= FLOOR:
            continue
        if more < 0:
            print("  less than before: run with --write, so that it stays so")
            continue
        within = False
        print(f"  more than {TOLERANCE:.0%} above, {more:+,}; what grew most:")
        name_growth(old["functions"], found["functions"])
    return within


def name_growth(before, now):
    growth = {function: count - before.get(function, 0) for function, count in now.items()}
    for function in sorted(growth, key=growth.get, reverse=True)[:NAMED]:
        if growth[function] > 0:
            print(f"  {growth[function]:+14,}  {function}")


def kept_counts():
    if not KEPT.exists():
        raise Trouble(f"{KEPT.relative_to(ROOT)} is missing; run with --write")
    return json.loads(KEPT.read_text())


def write(counts, is_partial):
    if is_partial:
        counts = kept_counts()["counts"] | counts
    document = {
        "format": 2, "tolerance": TOLERANCE, "architecture": platform.machine(),
        "counts": counts,
    }
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(document, indent=1) + "\n")


def main(command_line):
    parser = argparse.ArgumentParser(prog="scripts/callgrind")
    parser.add_argument("--write", action="store_true", help="keep the counts of this program")
    parser.add_argument(
        "--only", metavar="NAMES", default="",
        help=f"some counts only, with commas between them: {', '.join(COMMANDS)}, or stages as "
        "`PetalsBench list` names them")
    arguments = parser.parse_args(command_line)
    only = [name for name in arguments.only.split(",") if name]
    end_in_order()
    workspace = Workspace()
    try:
        counts = measure(workspace, only)
        if not arguments.write:
            return 0 if compare(kept_counts(), counts) else 1
    except Trouble as trouble:
        say(str(trouble))
        return 1
    finally:
        workspace.close()
    write(counts, is_partial=bool(only))
    for name, found in counts.items():
        print(f"{name}: {found['instructions']:,} instructions, kept")
    return 0
