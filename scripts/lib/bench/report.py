"""The table: results.json for people."""

from bench.results import FIGURES, SCENARIO_FIGURES, STAGE_DIGITS

NONE = "–"


def number(value, digits):
    return f"{value:.{digits}f}"


def cell(summary, digits):
    """The median, and how far the samples lie apart."""
    median = number(summary["median"], digits)
    least, most = number(summary["least"], digits), number(summary["most"], digits)
    return median if least == most else f"{median} ({least} to {most})"


def table(header, rows, texts=1):
    """A table whose first columns are texts and the others numbers."""
    lines = [header, ["---"] * texts + ["--:"] * (len(header) - texts), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def systems_table(document):
    systems = document["systems"]
    header = ["figure", *(facts["title"] for facts in systems.values())]
    rows = []
    for row in document["rows"]:
        digits = FIGURES[row["figure"]].digits
        values = []
        for system, facts in systems.items():
            if "missing" in facts:
                values.append("not installed")
            elif row["input"] in facts.get("left_out", []):
                values.append("too slow")
            elif system in row["systems"]:
                values.append(cell(row["systems"][system], digits))
            else:
                values.append(NONE)
        rows.append([f"{row['title']}, {row['unit']}: {row['input']}", *values])
    return table(header, rows)


def scenarios_table(document):
    used = [figure for figure in SCENARIO_FIGURES
            if any(figure in entry["figures"] for entry in document["scenarios"])]
    header = ["petalsfs"]
    for figure in used:
        facts = SCENARIO_FIGURES[figure]
        header.append(f"{facts.title}, {facts.unit}" if facts.unit else facts.title)
    rows = []
    for entry in document["scenarios"]:
        values = [
            cell(entry["figures"][figure], SCENARIO_FIGURES[figure].digits)
            if figure in entry["figures"] else NONE for figure in used
        ]
        rows.append([entry["title"], *values])
    return table(header, rows)


def stages_table(document):
    header = ["stage", "one operation", "for a", "ns", "least batch, ns", "MB/s"]
    rows = []
    for row in document["stages"]["rows"]:
        # A scheduler's microsecond needs no thousandths.
        digits = STAGE_DIGITS if row["nanoseconds"]["median"] < 100 else 0
        rows.append([
            f"`{row['stage']}`", row["what"], row["unit"], cell(row["nanoseconds"], digits),
            number(row["least_batch"], digits), str(row.get("megabytes_per_second", NONE))])
    return table(header, rows, texts=3)


def made_by(what, document, rounds, count):
    """When and where something was measured, and how noisy it was there."""
    machine = document["machine"]
    speeds = [entry["sha256_megabytes_per_second"] for entry in rounds]
    loads = [entry["load"] for entry in rounds]
    return (
        f"Made by `{what}` on {document['date']}:"
        f" {machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB,"
        f" {machine['kernel']}; rounds: {count}; both ends of everything on this"
        f" machine. How noisy it was: SHA-256 on one core ran at {min(speeds)} to {max(speeds)}"
        f" MB/s before the rounds, and the load average was {min(loads)} to {max(loads)}, some of"
        " it the benchmark's own.")


def markdown(document):
    inputs = ", ".join(
        f"{name} of {facts['bytes'] / 1e6:.0f} MB" for name, facts in document["inputs"].items())
    what = f"scripts/bench{' --quick' if document['quick'] else ''}"
    parts = ["# petalsfs beside its peers", ""]
    if document["rounds"]:
        parts.append(
            made_by(what, document, document["rounds"], document["runs"])
            + " [How to read this](README.md).")
    else:
        parts.append("[How to read this](README.md).")
    if document["rows"]:
        parts += ["", f"Median (least to most). Inputs: {inputs}.", "", systems_table(document)]
        parts.append("")
        for facts in document["systems"].values():
            parts.append(f"* {facts['title']}: "
                         + (f"not installed: {facts['missing']}" if "missing" in facts
                            else facts["what"]))
    if document["scenarios"]:
        parts += ["", "## petalsfs in company", "", scenarios_table(document)]
    if "stages" in document:
        stages = document["stages"]
        parts += ["", "## petalsfs stage by stage", "",
                  made_by("scripts/bench --only stages", stages, stages["rounds"],
                          len(stages["rounds"])),
                  "", stages_table(document)]
    troubles = document["troubles"] + document.get("stages", {}).get("troubles", [])
    if troubles:
        parts += ["", "## Trouble", ""]
        parts += [f"* {trouble['where']}: {trouble['what']}" for trouble in troubles]
    return "\n".join(parts) + "\n"
