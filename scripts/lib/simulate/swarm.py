"""The swarm: spreading a new model, keeping models under churn, meeting."""

import json
import math
import os
import signal
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import tools
from bench.main import CHART_REQUIREMENT
from bench.systems.petalsfs import built_program
from bench.workspace import Trouble, say
from bench.workspace import run as run_command
from simulate import report

NAME = "swarm"
SIZES, SIZES_QUICK = (100, 1000, 10_000, 100_000), (100, 1000)
# Nodes that want the model at the same time, by size: what is feasible, and told in the table.
CROWDS = {100: 60, 1000: 100, 10_000: 120, 100_000: 120}
CROWD_QUICK = 40
# Quotas of all donors in copies of the data: each shard once, and 1.5 copies there at 0.8.
# With each, how many rows of random numbers are run, since luck decides which donors go at the same
# time, and for how many hours.
KEPT = {1.5: (5, 1), 1.875: (5, 2), 2.25: (2, 1)}
KEPT_QUICK = {1.875: (1, 0.25)}
LEAVING_RUNS = 2
SECONDS_MOST = 580


def parts(quick):
    """What is run: a key and the arguments of PetalsSimulation. The longest come first.

    What comes several times is run with a row of random numbers of its own each time.
    """
    sizes = SIZES_QUICK if quick else SIZES
    for nodes in reversed(sizes):
        crowd = CROWD_QUICK if quick else CROWDS[nodes]
        yield ("spread", nodes), [
            "spread", "--nodes", nodes, "--crowd", crowd, "--bytes",
            200_000_000 if quick else 400_000_000]
    for redundancy, (runs, hours) in (KEPT_QUICK if quick else KEPT).items():
        for _ in range(runs):
            yield ("keeping", redundancy), [
                "keeping", "--redundancy", redundancy, "--hours", hours]
    for _ in range(0 if quick else LEAVING_RUNS):
        yield ("leaving", 1.875), ["keeping", "--redundancy", 1.875, "--hours", 1,
                                   "--lifetime", 24]
    if not quick:
        for name, options in (("first to last", ["--in-order"]),
                              ("same to all", ["--gives-all"]),
                              ("both", ["--in-order", "--gives-all"])):
            yield ("other", name), [
                "spread", "--nodes", 100, "--crowd", 40, "--bytes", 200_000_000, *options]
        yield ("other", "as it is"), [
            "spread", "--nodes", 100, "--crowd", 40, "--bytes", 200_000_000]
    for nodes in sizes:
        yield ("meeting", nodes), ["meeting", "--nodes", nodes]


def simulate(program, arguments, seed):
    """Runs one part; a broken promise fails it with its first line."""
    # Dictionaries have the same order every time: a seed gives the same figures.
    environment = dict(os.environ, SWIFT_DETERMINISTIC_HASHING="1")
    command = [str(part) for part in (program, *arguments, "--seed", seed)]
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=errors)
        watch = threading.Timer(SECONDS_MOST, process.kill)
        watch.start()
        # Instead of `wait`, which does not say what a process has cost.
        _, status, usage = os.wait4(process.pid, 0)
        watch.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode == -signal.SIGKILL:
            raise Trouble(f"“{' '.join(command[1:])}” took longer than {SECONDS_MOST} s")
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            raise Trouble(f"“{' '.join(command[1:])}” failed: {errors.read().strip()}")
        figures = json.load(output)
    figures["wallSeconds"] = time.monotonic() - began
    figures["processorSeconds"] = usage.ru_utime + usage.ru_stime
    return figures


def kept_row(what, target, kept, key, suffices, digits):
    """A target that luck has a part in: the worst run counts, and the mean is told."""
    if kept.get(key) is None:
        return (what, target, "not long enough to tell", False)
    mean, worst = 100 * kept[key], 100 * kept[key + "Worst"]
    reached = f"{worst:.{digits}f} %"
    if kept["seeds"] > 1:
        reached += f", the worst of {kept['seeds']} seeds (mean {mean:.{digits}f} %)"
    return (what, target, reached, suffices(kept[key + "Worst"]))


def targets(found):
    """Each target with what was reached and whether that is enough."""
    rows = []
    for nodes, figures in sorted(found["spread"].items()):
        copies = figures.get("publisherCopies")
        rows.append((f"publisher's upload until self-sustaining, {nodes:,} nodes", "<= 1.3 copies",
                     "never" if copies is None else f"{copies:.2f}",
                     copies is not None and copies <= 1.3))
    for nodes, figures in sorted(found["spread"].items()):
        seconds = figures.get("holdersSeconds")
        rows.append((f"until each shard has {figures['holdersWanted']:.0f} holders, {nodes:,} nodes",
                     "ever", "never" if seconds is None else f"{seconds:.0f} s",
                     seconds is not None))
    for nodes, figures in sorted(found["spread"].items()):
        most = max(figures["load"].items(), key=lambda item: item[1])
        rows.append((f"bytes that a node sent, of its uplink, {nodes:,} nodes", "<= 100 %",
                     f"{100 * most[1]:.0f} % of {most[0]}", most[1] <= 1))
    for redundancy, kept in sorted(found["keeping"].items()):
        quotas = f"quotas of {redundancy} copies"
        rows.append(kept_row(f"instants at which a model is readable, {quotas}", ">= 99.9 %",
                             kept, "readable", lambda part: part >= 0.999, 3))
        # A minute has no target; what the mount promises is in `--read-timeout`.
        rows.append(kept_row(f"reads that are served in 10 minutes, {quotas}", ">= 99.9 %",
                             kept, "readsInTime", lambda part: part >= 0.999, 3))
        rows.append(kept_row("repair traffic of the same", "<= 10 % of uplink",
                             kept, "repairShare", lambda part: part <= 0.1, 1))
    sizes = sorted(found["meeting"])
    least, most = found["meeting"][sizes[0]], found["meeting"][sizes[-1]]
    growth = most["messages"] / least["messages"]
    allowed = math.log2(sizes[-1]) / math.log2(sizes[0])
    rows.append((f"control messages a node, {sizes[-1]:,} nodes to {sizes[0]:,}",
                 f"<= {allowed:.2f} (log n)", f"{growth:.2f}", growth <= allowed))
    return [dict(zip(("what", "target", "reached", "isMet"), row)) for row in rows]


def combined(runs):
    """The mean of each figure over all runs of a part, and the worst of those with a target."""
    means = {}
    for key in dict.fromkeys(key for run in runs for key in run):
        known = [run[key] for run in runs if run.get(key) is not None]
        numbers = all(isinstance(value, (int, float)) for value in known)
        means[key] = sum(known) / len(known) if numbers else known[0]
    means["seeds"] = len(runs)
    for key, worst in (("readable", min), ("readsInTime", min), ("readsInMinute", min),
                       ("repairShare", max), ("outageLongest", max)):
        if key in means:
            means[key + "Worst"] = worst(run[key] for run in runs)
    for key in ("wallSeconds", "processorSeconds"):
        means[key] = sum(run[key] for run in runs)
    return means


def run_parts(program, arguments):
    found = {"spread": {}, "keeping": {}, "leaving": {}, "other": {}, "meeting": {}}
    jobs = {}
    with ThreadPoolExecutor(max_workers=max(1, min(2, os.cpu_count() or 1))) as pool:
        for key, options in parts(arguments.quick):
            before = jobs.setdefault(key, [])
            before.append(
                pool.submit(simulate, program, options, arguments.seed + len(before)))
        for (kind, name), runs in jobs.items():
            found[kind][name] = figures = combined([run.result() for run in runs])
            say(f"{kind}, {name}: {figures['wallSeconds']:.0f} s,"
                f" {figures['processorSeconds']:.0f} s of a processor")
    return found


def run(arguments):
    program = built_program("PetalsSimulation")
    began = time.monotonic()
    found = run_parts(program, arguments)
    document = {
        "date": time.strftime("%Y-%m-%d"), "quick": arguments.quick, "seed": arguments.seed,
        "wallSeconds": round(time.monotonic() - began),
        "processorSeconds": round(sum(
            figures["processorSeconds"] for kind in found.values() for figures in kind.values())),
        "targets": targets(found),
        **{kind: {str(name): figures for name, figures in values.items()}
           for kind, values in found.items()}}
    arguments.output.mkdir(parents=True, exist_ok=True)
    name = arguments.output / "swarm.json"
    name.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    text = report.markdown(document)
    (arguments.output / "swarm.md").write_text(text)
    print(text)
    try:
        tools.install_python(CHART_REQUIREMENT)
        run_command([tools.venv_program("python3"), Path(__file__).with_name("chart.py"), name,
                     arguments.output / "swarm.png"])
    except Trouble as trouble:
        say(f"there is no chart: {trouble}")
    return 0 if all(row["isMet"] for row in document["targets"]) else 1
