"""What was measured, and what it is called."""

import collections
import datetime
import hashlib
import json
import os
import platform
import statistics
import time
from pathlib import Path

Figure = collections.namedtuple("Figure", "title unit digits better")

# In the order of the table.
FIGURES = {
    "first": Figure("first 4 KiB, cold", "ms", 1, "less"),
    "sequential": Figure("sequential, cold", "MB/s", 0, "more"),
    "random_p50": Figure("random 1 MiB, cold, p50", "ms", 1, "less"),
    "random_p99": Figure("random 1 MiB, cold, p99", "ms", 1, "less"),
    "disk_cache": Figure("again, from its disk cache, which is in memory", "MB/s", 0, "more"),
    "disk_cache_dropped": Figure("again, after the page cache was dropped", "MB/s", 0, "more"),
    "page_cache": Figure("again, from the page cache", "MB/s", 0, "more"),
    "cpu": Figure("CPU of all processes, sequential cold", "s/GB", 2, "less"),
    "memory": Figure("peak memory, the reading side", "MB", 0, "less"),
    "memory_origin": Figure("peak memory, the giving side", "MB", 0, "less"),
}

# Of the stages of petalsfs, in nanoseconds; the unit is the stage's own.
STAGE_DIGITS = 3

# Of the scenarios of petalsfs, each of which has some of them.
SCENARIO_FIGURES = {
    "rate": Figure("rate", "MB/s", 0, "more"),
    "seconds": Figure("time", "s", 2, "less"),
    "p50": Figure("1 MiB, p50", "ms", 1, "less"),
    "p99": Figure("1 MiB, p99", "ms", 1, "less"),
    "fetched": Figure("fetched / stored", "", 3, "less"),
    "rebuilt": Figure("cells rebuilt", "", 0, "less"),
    "damaged": Figure("damaged leaves received", "", 0, "less"),
    "memory": Figure("peak memory", "MB", 0, "less"),
    "share": Figure("stored / size", "", 3, "less"),
}


def hash_speed():
    """MB/s of SHA-256 on one core now: how fast the machine happens to be."""
    piece = bytes(1 << 20)
    digest = hashlib.sha256()
    count, began = 0, time.monotonic()
    while time.monotonic() - began < 0.3:
        digest.update(piece)
        count += 1
    return round(count * len(piece) / (time.monotonic() - began) / 1e6)


def machine():
    """The kind of machine; nothing that names it."""
    with open("/proc/cpuinfo") as info:
        names = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    kernel = platform.release().split("-")[0]
    return {
        "cores": os.cpu_count(), "processor": names[0] if names else platform.machine(),
        "memory_gib": round(memory / (1 << 30)), "kernel": f"Linux {kernel}",
    }


def summary(samples, digits):
    """Median, least and most of the samples, which are kept as well."""
    rounded = [round(sample, max(digits, 1) + 1) for sample in samples]
    return {
        "median": statistics.median(rounded), "least": min(rounded), "most": max(rounded),
        "samples": rounded,
    }


def noise(what):
    """How fast and how busy the machine is before a round."""
    return {
        "of": what, "sha256_megabytes_per_second": hash_speed(),
        "load": round(os.getloadavg()[0], 1),
    }


def today():
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]


class Results:
    """All samples of a run, as they come in."""

    def __init__(self, runs, quick):
        self.runs, self.quick = runs, quick
        self.systems, self.inputs, self.rounds = {}, {}, []
        self.cells = collections.defaultdict(list)
        self.scenarios, self.scenario_cells = {}, collections.defaultdict(list)
        self.stages, self.stage_rounds = {}, []
        self.troubles = []

    def add(self, figure, name, system, value):
        self.cells[figure, name, system].append(value)

    def add_scenario(self, scenario, **values):
        for figure, value in values.items():
            self.scenario_cells[scenario, figure].append(value)

    def leave_out(self, system, name):
        """Books that a system is too slow for an input, so that the table says so."""
        self.systems[system].setdefault("left_out", []).append(name)

    def add_stages(self, figures):
        """Books one round of PetalsBench."""
        for stage in figures:
            facts = self.stages.setdefault(
                stage["stage"], {"what": stage["what"], "unit": stage["unit"], "medians": [],
                                 "leasts": []})
            facts["medians"].append(stage["median"])
            facts["leasts"].append(stage["least"])

    def begin_round(self, what):
        self.rounds.append(noise(what))

    def begin_stage_round(self):
        self.stage_rounds.append(noise("stages"))

    def trouble(self, where, text):
        self.troubles.append({"where": where, "what": str(text)})

    def document(self):
        rows = []
        for figure, facts in FIGURES.items():
            for name in self.inputs:
                values = {
                    system: summary(self.cells[figure, name, system], facts.digits)
                    for system in self.systems if self.cells.get((figure, name, system))
                }
                if values:
                    rows.append({
                        "figure": figure, "input": name, "title": facts.title,
                        "unit": facts.unit, "better": facts.better, "systems": values,
                    })
        scenarios = []
        for scenario, title in self.scenarios.items():
            values = {
                figure: summary(self.scenario_cells[scenario, figure], facts.digits)
                for figure, facts in SCENARIO_FIGURES.items()
                if self.scenario_cells.get((scenario, figure))
            }
            scenarios.append({"scenario": scenario, "title": title, "figures": values})
        return {
            "format": 1,
            "date": today(),
            "machine": machine(), "runs": self.runs, "quick": self.quick,
            "systems": self.systems, "inputs": self.inputs, "rounds": self.rounds,
            "rows": rows, "scenarios": scenarios, "troubles": self.troubles,
        }

    def stages_document(self, troubles):
        """The stages by themselves: they have a date of their own."""
        rows = []
        for stage, facts in self.stages.items():
            nanoseconds = summary(facts["medians"], STAGE_DIGITS)
            row = {
                "stage": stage, "what": facts["what"], "unit": facts["unit"],
                "nanoseconds": nanoseconds,
                "least_batch": round(min(facts["leasts"]), STAGE_DIGITS + 1),
            }
            if facts["unit"] == "byte":
                row["megabytes_per_second"] = round(1e3 / nanoseconds["median"])
            rows.append(row)
        return {
            "date": today(), "machine": machine(), "rounds": self.stage_rounds, "rows": rows,
            "troubles": troubles,
        }

    def write(self, folder, only_stages):
        """Writes results.json and returns the document in it.

        The stages are a run of their own: whoever measures only them keeps all that an earlier run
        has written, and whoever leaves them out keeps the earlier ones.
        """
        path = Path(folder, "results.json")
        earlier = json.loads(path.read_text()) if path.exists() else {}
        document = earlier if only_stages and earlier else self.document()
        if self.stages:
            document["stages"] = self.stages_document(self.troubles if only_stages else [])
        elif "stages" in earlier:
            document["stages"] = earlier["stages"]
        path.write_text(json.dumps(document, indent=1) + "\n")
        return document
