"""Draws results.json as a picture: sequential rate and CPU of every system.

    chart.py RESULTS.json PICTURE.png

Runs in the benchmark's venv, which has matplotlib.
"""

import json
import sys

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402  (the backend is chosen before)

PANELS = (("sequential", "sequential, cold: MB/s, more is better"),
          ("cpu", "CPU of all processes: s/GB, less is better"))
COLOURS = ("#7b5ea7", "#c9b8e0")


def draw(axes, document, figure, title):
    systems = [name for name, facts in document["systems"].items() if "missing" not in facts]
    rows = [row for row in document["rows"] if row["figure"] == figure]
    width = 0.8 / max(len(rows), 1)
    for number, row in enumerate(rows):
        for place, system in enumerate(systems):
            if system not in row["systems"]:
                continue
            facts = row["systems"][system]
            middle = facts["median"]
            apart = [[middle - facts["least"]], [facts["most"] - middle]]
            at = place + (number - (len(rows) - 1) / 2) * width
            axes.bar(at, middle, width * 0.92, yerr=apart, capsize=2, ecolor="#444444",
                     color=COLOURS[number % len(COLOURS)],
                     label=row["input"] if place == 0 else None)
            axes.annotate(f"{middle:.0f}" if middle >= 20 else f"{middle:.1f}",
                          (at, facts["most"]), xytext=(0, 3), textcoords="offset points",
                          ha="center", fontsize=7)
    axes.set_xticks(range(len(systems)), [document["systems"][name]["title"] for name in systems])
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.margins(y=0.12)
    axes.legend(frameon=False, fontsize=8)


def main():
    source, target = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        document = json.load(file)
    figure, panels = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for axes, (name, title) in zip(panels, PANELS):
        draw(axes, document, name, title)
    machine = document["machine"]
    figure.suptitle(
        f"petalsfs beside its peers: {machine['cores']} cores, both ends on one machine",
        fontsize=11)
    # Without the date and the version of matplotlib, equal figures give equal bytes.
    figure.savefig(target, dpi=120, metadata={"Software": None})


main()
