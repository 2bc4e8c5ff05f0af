"""The tables of swarm.json for people."""

from bench.report import NONE, table


def number(value, digits=0, unit=""):
    return NONE if value is None else f"{value:,.{digits}f}{unit}"


def share(value, digits=1):
    return NONE if value is None else f"{100 * value:.{digits}f} %"


def targets_table(document):
    return table(
        ["target", "wanted", "reached", ""],
        [[row["what"], row["target"], row["reached"], "met" if row["isMet"] else "MISSED"]
         for row in document["targets"]], texts=4)


def spread_table(rows, first):
    header = [first, "crowd", "one copy on the publisher's line, s", "self-sustaining, s",
              "publisher's copies until then", "10 holders a shard, s", "all have all, s",
              "control messages a node", "load of 10 / 50 / 1000 Mbit/s"]
    lines = []
    for name, facts in rows:
        load = facts["load"]
        lines.append([
            name, number(facts["crowd"]), number(facts["copySeconds"]),
            number(facts.get("selfSustainingSeconds")), number(facts.get("publisherCopies"), 2),
            number(facts.get("holdersSeconds")), number(facts["seconds"]),
            number(facts["controlMean"]),
            " / ".join(share(load.get(line), 0)
                       for line in ("10 Mbit/s", "50 Mbit/s", "1 Gbit/s"))])
    return table(header, lines)


def keeping_table(rows):
    header = ["quotas, copies", "churn", "seeds", "there, copies", "readable", "worst seed",
              "reads served in a minute", "in ten", "worst seed", "longest outage, s",
              "repair, of uplink", "worst seed", "of 10 Mbit/s lines", "MB a node and hour",
              "rebuilt", "fetched", "dropped", "lost models",
              "control messages a node and hour"]
    lines = []
    for name, churn, facts in rows:
        lines.append([
            name, churn, number(facts["seeds"]), number(facts["redundancyThere"], 2),
            share(facts["readable"], 3), share(facts["readableWorst"], 3),
            share(facts.get("readsInMinute"), 3), share(facts.get("readsInTime"), 3),
            share(facts.get("readsInTimeWorst"), 3), number(max(0, facts["outageLongestWorst"])),
            share(facts["repairShare"], 2), share(facts["repairShareWorst"], 2),
            share(facts["repairShareSlowest"], 1),
            number(facts["repairBytesPerNodeHour"] / 1e6), number(facts["rebuilt"]),
            number(facts["fetched"]), number(facts["dropped"]), number(facts["lost"], 1),
            number(facts["controlPerNodeHour"])])
    return table(header, lines, texts=2)


def meeting_table(rows):
    header = ["nodes", "looked at", "messages a node and hour", "most of one node",
              "datagrams to the DHT", "dials", "of them in vain", "peer exchange",
              "first holder, s"]
    return table(header, [[
        f"{int(nodes):,}", number(facts["sample"]), number(facts["messages"]),
        number(facts["messagesMost"]), number(facts["datagrams"]), number(facts["dials"], 1),
        number(facts["failedDials"], 1), number(facts["exchanges"], 1),
        number(facts["firstHolderSeconds"], 1)] for nodes, facts in rows])


def by_size(values):
    return sorted(values.items(), key=lambda item: float(item[0]))


def markdown(document):
    what = f"scripts/simulate swarm{' --quick' if document['quick'] else ''}"
    keeping = [(name, "half-life 30 min, 0.8", facts)
               for name, facts in by_size(document["keeping"])]
    keeping += [(name, "and 24 h until a donor goes for good", facts)
                for name, facts in by_size(document["leaving"])]
    sizes = [(f"{int(nodes):,}", facts) for nodes, facts in by_size(document["spread"])]
    text = ["# Swarms in virtual time", "",
            f"Made by `{what} --seed {document['seed']}` on {document['date']} in"
            f" {document['wallSeconds']} s, with {document['processorSeconds']} s of a processor."
            " [How to read this](../docs/SIMULATION.md).", "",
            "## Targets", "", targets_table(document), "",
            "## A new model that becomes wanted", "", spread_table(sizes, "nodes")]
    if document["other"]:
        text += ["", "The same at 40 nodes and 200 MB, with one thing or both left out:", "",
                 spread_table(list(document["other"].items()), "way")]
    text += ["", "## Models that donors keep", "", keeping_table(keeping), "",
             "## What meeting costs", "", meeting_table(by_size(document["meeting"]))]
    return "\n".join(text) + "\n"
