"""Draws credit.json as a picture: what was reached of each target.

    credit_chart.py CREDIT.json PICTURE.png

Runs in the benchmark's venv, which has matplotlib.
"""

import json
import sys

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402  (the backend is chosen before)

MET, MISSED = "#7b5ea7", "#c0504d"


def part(row):
    """How near a measure is to its bound: 1 is on it, less is better."""
    value, target = row["value"], row["target"]
    if row["isUpperBound"]:
        return value / target if target else (0 if value <= 0 else 2)
    return target / value if value > 0 else (0 if target <= 0 else 2)


def main():
    source, target = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        rows = [row for row in json.load(file)["rows"] if row["what"] != "time of the run"]
    rows.reverse()
    figure, axes = pyplot.subplots(figsize=(11, 0.27 * len(rows) + 1), layout="constrained")
    values = [max(0.0, min(part(row), 2)) for row in rows]
    axes.barh(range(len(rows)), values, 0.65,
              color=[MET if row["isMet"] else MISSED for row in rows])
    for place, row in enumerate(rows):
        axes.annotate(f"{row['reached']}  ({row['wanted']})", (values[place], place),
                      xytext=(4, 0), textcoords="offset points", va="center", fontsize=7)
    axes.axvline(1, color="#444444", linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(rows)), [f"{row['number']}  {row['what']}" for row in rows],
                    fontsize=7)
    axes.set_xlim(0, 2.4)
    axes.set_title("attacks on credit: part of what is allowed", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, dpi=120, metadata={"Software": None})


main()
