"""Draws swarm.json as a picture.

    chart.py SWARM.json PICTURE.png

Runs in the benchmark's venv, which has matplotlib.
"""

import json
import sys

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402  (the backend is chosen before)

DARK, LIGHT = "#7b5ea7", "#c9b8e0"


def dress(axes, title):
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)


def bars(axes, values, digits, colour=DARK):
    names = list(values)
    axes.bar(range(len(names)), values.values(), 0.6, color=colour)
    for place, value in enumerate(values.values()):
        axes.annotate(f"{value:.{digits}f}", (place, value), xytext=(0, 3),
                      textcoords="offset points", ha="center", fontsize=7)
    axes.set_xticks(range(len(names)), names)
    axes.margins(y=0.15)


def sizes(document, part):
    return sorted(document[part].items(), key=lambda item: float(item[0]))


def main():
    source, target = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        document = json.load(file)
    figure, panels = pyplot.subplots(1, 4, figsize=(15, 3.6), layout="constrained")
    spread = [(f"{int(name):,}", facts) for name, facts in sizes(document, "spread")]
    bars(panels[0], {name: facts.get("publisherCopies") or 0 for name, facts in spread}, 2)
    panels[0].axhline(1.3, color="#444444", linewidth=0.8, linestyle="--")
    dress(panels[0], "publisher's copies until self-sustaining")
    bars(panels[1], {name: facts.get("holdersSeconds") or 0 for name, facts in spread}, 0)
    dress(panels[1], "seconds to 10 holders a shard")
    kept = sizes(document, "keeping")
    bars(panels[2], {name: 100 * (1 - facts["readable"]) for name, facts in kept}, 3, LIGHT)
    panels[2].axhline(0.1, color="#444444", linewidth=0.8, linestyle="--")
    dress(panels[2], "% of reads in vain, by copies of quota")
    met = sizes(document, "meeting")
    panels[3].plot([float(name) for name, _ in met], [facts["messages"] for _, facts in met],
                   color=DARK, marker="o")
    panels[3].set_xscale("log")
    panels[3].set_ylim(0, 1.15 * max(facts["messages"] for _, facts in met))
    dress(panels[3], "control messages a node and hour")
    figure.savefig(target, dpi=120, metadata={"Software": None})


main()
