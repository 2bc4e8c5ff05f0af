"""The command line of scripts/simulate."""

import argparse
from pathlib import Path

from bench.workspace import Trouble, say
from simulate import credit, swarm

ROOT = Path(__file__).resolve().parents[3]
SIMULATIONS = (swarm, credit)


def main(command_line):
    parser = argparse.ArgumentParser(
        prog="scripts/simulate",
        description="Runs swarms in virtual time. PETALSSIMULATION names a built program to use "
        "instead of building one.")
    parser.add_argument(
        "simulation", nargs="?", default=swarm.NAME,
        choices=[simulation.NAME for simulation in SIMULATIONS], help="what is simulated")
    parser.add_argument("--quick", action="store_true", help="fewer sizes, shorter")
    parser.add_argument("--seed", type=int, default=1, help="the row of random numbers")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", default=ROOT / "bench",
        help="where the tables and the picture go; bench/ by default")
    arguments = parser.parse_args(command_line)
    simulation = next(one for one in SIMULATIONS if one.NAME == arguments.simulation)
    try:
        return simulation.run(arguments)
    except Trouble as trouble:
        say(str(trouble))
        return 1
