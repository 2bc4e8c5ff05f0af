"""The swarm: spreading a new model, keeping models under churn, meeting."""

import json
import math
import os
import subprocess
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
REDUNDANCIES, REDUNDANCIES_QUICK = (1.5, 1.875, 2.25), (1.875,)
SECONDS_MOST = 580


def parts(quick):
    """What is run: a key and the arguments of PetalsSimulation. The longest come first."""
    sizes = SIZES_QUICK if quick else SIZES
    for redundancy in REDUNDANCIES_QUICK if quick else REDUNDANCIES:
        yield ("keeping", redundancy), [
            "keeping", "--redundancy", redundancy, "--hours", 0.25 if quick else 2]
    if not quick:
        yield ("leaving", 1.875), ["keeping", "--redundancy", 1.875, "--hours", 1,
                                   "--lifetime", 24]
    for nodes in reversed(sizes):
        crowd = CROWD_QUICK if quick else CROWDS[nodes]
        yield ("spread", nodes), [
            "spread", "--nodes", nodes, "--crowd", crowd, "--bytes",
            200_000_000 if quick else 400_000_000]
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
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=SECONDS_MOST,
            check=False)
    except subprocess.TimeoutExpired:
        raise Trouble(f"“{' '.join(command[1:])}” took longer than {SECONDS_MOST} s") from None
    if done.returncode != 0:
        raise Trouble(f"“{' '.join(command[1:])}” failed: {done.stderr.strip()}")
    figures = json.loads(done.stdout)
    figures["wallSeconds"] = time.monotonic() - began
    return figures


def targets(found):
    """Each target with what was reached and whether that is enough."""
    rows = []
    for nodes, figures in sorted(found["spread"].items()):
        copies = figures.get("publisherCopies")
        rows.append((f"publisher's upload until self-sustaining, {nodes:,} nodes", "<= 1.3 copies",
                     "never" if copies is None else f"{copies:.2f}",
                     copies is not None and copies <= 1.3))
    kept = found["keeping"][1.875]
    rows.append(("reads that succeed, redundancy 1.5 of donors that are there", ">= 99.9 %",
                 f"{100 * kept['readable']:.3f} %", kept["readable"] >= 0.999))
    rows.append(("repair traffic of the same", "<= 10 % of uplink",
                 f"{100 * kept['repairShare']:.1f} %", kept["repairShare"] <= 0.1))
    sizes = sorted(found["meeting"])
    least, most = found["meeting"][sizes[0]], found["meeting"][sizes[-1]]
    growth = most["messages"] / least["messages"]
    allowed = math.log2(sizes[-1]) / math.log2(sizes[0])
    rows.append((f"control messages a node, {sizes[-1]:,} nodes to {sizes[0]:,}",
                 f"<= {allowed:.2f} (log n)", f"{growth:.2f}", growth <= allowed))
    return [dict(zip(("what", "target", "reached", "isMet"), row)) for row in rows]


def run_parts(program, arguments):
    found = {"spread": {}, "keeping": {}, "leaving": {}, "other": {}, "meeting": {}}
    todo = list(parts(arguments.quick))
    with ThreadPoolExecutor(max_workers=max(1, min(2, os.cpu_count() or 1))) as pool:
        jobs = [(key, pool.submit(simulate, program, options, arguments.seed))
                for key, options in todo]
        for (kind, name), job in jobs:
            found[kind][name] = job.result()
            say(f"{kind}, {name}: {found[kind][name]['wallSeconds']:.0f} s")
    return found


def run(arguments):
    program = built_program("PetalsSimulation")
    began = time.monotonic()
    found = run_parts(program, arguments)
    document = {
        "date": time.strftime("%Y-%m-%d"), "quick": arguments.quick, "seed": arguments.seed,
        "wallSeconds": round(time.monotonic() - began), "targets": targets(found),
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
