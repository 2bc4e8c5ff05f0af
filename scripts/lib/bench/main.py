"""The command line of scripts/bench, and the order of things."""

import argparse
import shutil
from pathlib import Path

from bench import (
    llama, publishing, report, results, rounds, samples, scenarios, stages, systems, tools)
from bench.reading import WrongBytes, drop_page_cache
from bench.systems.petalsfs import built_program
from bench.workspace import Pauses, Trouble, Workspace, end_in_order, run, say

ROOT = Path(__file__).resolve().parents[3]
PARTS = [system.name for system in systems.ALL] + [
    "scenarios", "publishing", "llama", "stages"]
CHART_REQUIREMENT = "matplotlib==3.11.2"
DISK_FULL, DISK_QUICK = 44, 8


def arguments_of(command_line):
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Runs petalsfs beside its peers and writes a table and a chart. Needs root, "
        "since it drops the page cache. PETALSFS names a built program to use instead of "
        "building one.")
    parser.add_argument(
        "--only", metavar="NAMES",
        help=f"some parts only, with commas between them: {', '.join(PARTS)}")
    parser.add_argument(
        "--quick", action="store_true", 
        help="one small model, nothing of 1 GiB and more, no llama-server")
    parser.add_argument("--runs", type=int, metavar="N", help="rounds; 5, or 2 with --quick")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", default=ROOT / "bench",
        help="where results.json, results.md and results.png go; bench/ by default")
    arguments = parser.parse_args(command_line)
    usual = [part for part in PARTS if part != "llama" or not arguments.quick]
    arguments.only = arguments.only.split(",") if arguments.only else usual
    if unknown := set(arguments.only) - set(PARTS):
        parser.error(f"there is no part named {', '.join(sorted(unknown))}")
    if arguments.runs is None:
        arguments.runs = 2 if arguments.quick else 5
    if arguments.runs < 1:
        parser.error("--runs takes a number from 1 on")
    return arguments


def installed(workspace, only, found):
    """The systems that take part; those that cannot be had are told in the table."""
    taking_part = []
    for kind in systems.ALL:
        if kind.name not in only:
            continue
        system = kind(workspace)
        entry = found.systems[kind.name] = {"title": kind.title}
        try:
            entry["what"] = system.install()
            taking_part.append(system)
        except Trouble as trouble:
            if kind is systems.Petalsfs:
                raise
            entry["missing"] = str(trouble)
            say(f"{kind.title} cannot be installed: {trouble}")
    return taking_part


def attempt(what, found, part, *arguments):
    """Runs a part that the others can do without; its trouble is told in the table."""
    try:
        part(*arguments)
    except Trouble as trouble:
        found.trouble(what, trouble)
        say(f"{what}: {trouble}")


def measure(arguments, workspace, found):
    pauses = Pauses()
    if arguments.only == ["stages"]:
        return stages.run(found, pauses)
    if "stages" in arguments.only:
        attempt("petalsfs, stages", found, stages.run, found, pauses)
    measure_systems(arguments, workspace, found, pauses)


def measure_systems(arguments, workspace, found, pauses):
    gemma = samples.model("gemma")
    # Links would show their targets' folders; every system gets a folder with one file.
    model = workspace.path / "inputs" / gemma.name
    model.parent.mkdir()
    shutil.copyfile(gemma, model)
    expected = samples.sha256(model)
    taking_part = installed(workspace, arguments.only, found)
    if taking_part:
        found.inputs["model"] = {"name": gemma.name, "bytes": model.stat().st_size}
        rounds.run(taking_part, "model", model, expected, found, pauses)
    if taking_part and not arguments.quick:
        noise = samples.noise(workspace.path / "inputs" / "noise", 1 << 10)
        found.inputs["noise"] = {"name": "pseudo-random", "bytes": noise.stat().st_size}
        rounds.run(taking_part, "noise", noise, samples.sha256(noise), found, pauses)
        noise.unlink()
    if "scenarios" in arguments.only:
        scenarios.run(workspace, built_program(), model, expected, found, pauses)
    if "publishing" in arguments.only:
        publishing.run(workspace, built_program(), found)
    if "llama" in arguments.only:
        attempt("llama-server", found, llama.run, workspace, built_program(), model, found, ROOT)


def write(arguments, found):
    arguments.output.mkdir(parents=True, exist_ok=True)
    only_stages = arguments.only == ["stages"]
    document = found.write(arguments.output, only_stages)
    text = report.markdown(document)
    (arguments.output / "results.md").write_text(text)
    print(text)
    if document["rows"] and not only_stages:
        try:
            tools.install_python(CHART_REQUIREMENT)
            run([tools.venv_program("python3"), Path(__file__).with_name("chart.py"),
                 arguments.output / "results.json", arguments.output / "results.png"])
        except Trouble as trouble:
            say(f"there is no chart: {trouble}")


def check_machine(quick):
    """Says at once what would fail after minutes."""
    if not Path("/dev/fuse").exists():
        raise Trouble("/dev/fuse is missing, so that nothing can be mounted here")
    drop_page_cache()
    workspace = Workspace()
    free = shutil.disk_usage(workspace.path).free >> 30
    workspace.close()
    needed = DISK_QUICK if quick else DISK_FULL
    if free < needed:
        raise Trouble(f"{needed} GiB are needed in the temporary folder, and {free} are free; "
                      "name a larger one in TMPDIR")


def main(command_line):
    arguments = arguments_of(command_line)
    end_in_order()
    found = results.Results(arguments.runs, arguments.quick)
    try:
        if arguments.only != ["stages"]:
            check_machine(arguments.quick)
        workspace = Workspace()
        try:
            measure(arguments, workspace, found)
        finally:
            workspace.close()
    except WrongBytes as wrong:
        say(f"WRONG BYTES: {wrong}")
        return 2
    except Trouble as trouble:
        say(str(trouble))
        return 1
    except (KeyboardInterrupt, SystemExit):
        # What was measured until then is worth keeping, and says that it is not all.
        if not found.rounds and not found.stages:
            return 130
        found.trouble("this run", "it was ended before its end")
    write(arguments, found)
    return 1 if found.troubles else 0
