"""What each stage of petalsfs takes by itself, as PetalsBench measures it."""

import json

from bench.systems.petalsfs import built_program
from bench.workspace import run as run_command
from bench.workspace import say

SECONDS, SECONDS_QUICK = 0.5, 0.1


def run(results, pauses):
    """Runs all stages in rounds, so that a noisy minute does not decide about one of them."""
    program = built_program("PetalsBench")
    seconds = SECONDS_QUICK if results.quick else SECONDS
    for number in range(results.runs):
        results.begin_stage_round()
        say(f"stages, round {number + 1} of {results.runs}")
        printed = pauses.undisturbed(
            lambda: run_command([program, "--json", "--seconds", seconds]))
        results.add_stages(json.loads(printed)["stages"])
