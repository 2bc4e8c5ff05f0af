"""Attacks on credit: each with its targets, as `PetalsSimulation credit` measures them."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import tools
from bench.main import CHART_REQUIREMENT
from bench.report import table
from bench.systems.petalsfs import built_program
from bench.workspace import Trouble, say
from bench.workspace import run as run_command
from simulate.swarm import simulate

NAME = "credit"
# All 22, the longest first.
ATTACKS = (17, 2, 12, 8, 1, 14, 13, 7, 18, 5, 3, 16, 6, 10, 19, 4, 11, 22, 15, 21, 9, 20)
SECONDS_MOST = 60


def number(value, unit):
    text = f"{value:,.0f}" if value == round(value) else f"{value:,.3g}"
    return f"{text} {unit}".strip()


def rows(found):
    for attack in sorted(found, key=lambda one: one["number"]):
        for measure in attack["measures"]:
            is_met = (measure["value"] <= measure["target"] if measure["isUpperBound"]
                      else measure["value"] >= measure["target"])
            sign = "<=" if measure["isUpperBound"] else ">="
            yield {"number": attack["number"], "name": attack["name"], **measure, "isMet": is_met,
                   "wanted": f"{sign} {number(measure['target'], measure['unit'])}",
                   "reached": number(measure["value"], measure["unit"])}
        yield {"number": attack["number"], "name": attack["name"], "what": "time of the run",
               "value": attack["wallSeconds"], "target": SECONDS_MOST, "isUpperBound": True,
               "unit": "s", "isMet": attack["wallSeconds"] <= SECONDS_MOST,
               "wanted": f"<= {SECONDS_MOST} s", "reached": f"{attack['wallSeconds']:.1f} s"}


def markdown(document):
    lines = [[str(row["number"]), row["name"], row["what"], row["wanted"], row["reached"],
              "met" if row["isMet"] else "MISSED"] for row in document["rows"]]
    return "\n".join([
        "# Attacks on credit", "",
        f"Made by `scripts/simulate credit{' --quick' if document['quick'] else ''}"
        f" --seed {document['seed']}` on {document['date']} in {document['wallSeconds']} s."
        " [How to read this](../docs/SIMULATION.md#credit).", "",
        table(["", "attack", "measured", "wanted", "reached", ""], lines, texts=6)]) + "\n"


def run(arguments):
    program = built_program("PetalsSimulation")
    began = time.monotonic()
    part = 0.3 if arguments.quick else 1
    with ThreadPoolExecutor(max_workers=max(1, min(2, os.cpu_count() or 1))) as pool:
        jobs = [(attack, pool.submit(
            simulate, program, ["credit", "--attack", attack, "--part", part], arguments.seed))
            for attack in ATTACKS]
        found = []
        for attack, job in jobs:
            found.append(job.result())
            say(f"attack {attack}: {found[-1]['wallSeconds']:.0f} s")
    document = {
        "date": time.strftime("%Y-%m-%d"), "quick": arguments.quick, "seed": arguments.seed,
        "wallSeconds": round(time.monotonic() - began), "rows": list(rows(found))}
    arguments.output.mkdir(parents=True, exist_ok=True)
    name = arguments.output / "credit.json"
    name.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    text = markdown(document)
    (arguments.output / "credit.md").write_text(text)
    print(text)
    try:
        tools.install_python(CHART_REQUIREMENT)
        run_command([tools.venv_program("python3"), Path(__file__).with_name("credit_chart.py"),
                     name, arguments.output / "credit.png"])
    except Trouble as trouble:
        say(f"there is no chart: {trouble}")
    return 0 if all(row["isMet"] for row in document["rows"]) else 1
