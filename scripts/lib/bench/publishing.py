"""What making a model costs, how large it is when stored, and what one of 4 GiB does to memory."""

import os
import shutil
import time

from bench import processes, reading, samples
from bench.rounds import rate
from bench.swarm import PARTS, SHARDS, Swarm, json_of
from bench.workspace import run as run_command
from bench.workspace import Trouble, say, tail

HOLDERS = 4
TITLES = {
    "publish_1": "publish 1 GiB",
    "publish_4": "publish 4 GiB",
    "large": "sequential, cold, 4 GiB, 4 holders",
    "huge": "hashed while it is read, cold, 16 GiB, from its publisher",
    "minilm": "MiniLM, fp32, published",
}


def publish(workspace, program, source, scenario, results):
    """Publishes into a state of its own; books the rate and the memory."""
    state = workspace.path / "publishing"
    began = time.monotonic()
    process, log = workspace.start(
        "publishing",
        [program, "publish", source, "--shards", SHARDS, "--state", state, "--quiet"])
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    workspace.running.remove(process)
    if process.returncode != 0:
        raise Trouble(f"publishing {source.name} failed: {tail(log)}")
    results.add_scenario(
        scenario, rate=source.stat().st_size / seconds / 1e6, memory=usage.ru_maxrss * 1024 / 1e6)
    shutil.rmtree(state)


def read_large(workspace, program, source, expected, results):
    """A cold read of 4 GiB: memory must not grow with the file."""
    swarm = Swarm(workspace, program, workspace.path / "large-swarm")
    swarm.publish(source)
    swarm.fill(HOLDERS)
    swarm.start_holders([swarm.holder(HOLDERS, number) for number in range(len(PARTS[HOLDERS]))])
    swarm.warm()
    path = swarm.mount()
    facts = reading.read("sequential", path)
    memory = peak_memory(swarm)
    reading.check(path, expected)
    book(swarm, "large", results, rate=rate(facts), memory=memory)


def read_huge(workspace, program, source, expected, results):
    """16 GiB, with a cache of a quarter of that: memory must not grow with the file."""
    swarm = Swarm(workspace, program, workspace.path / "huge-swarm")
    swarm.publish(source)
    swarm.start_holders(["publisher"])
    path = swarm.mount(options=["--cache-size", "4G"])
    reading.check(path, expected)
    book(swarm, "huge", results, memory=peak_memory(swarm))


def peak_memory(swarm):
    return processes.peak_megabytes([swarm.mount_process.pid])


def book(swarm, scenario, results, **figures):
    """Ends a swarm and books its figures, with what was fetched."""
    fetched = swarm.status()["node"]["fetchedBytes"] / swarm.published["stored"]
    swarm.unmount()
    swarm.close()
    results.add_scenario(scenario, fetched=fetched, **figures)


def run(workspace, program, results):
    results.scenarios |= TITLES if not results.quick else {"minilm": TITLES["minilm"]}
    weights = samples.model("minilm")
    say("publishing MiniLM")
    state = workspace.path / "minilm"
    published = json_of(run_command(
        [program, "publish", weights, "--json", "--state", state]))
    results.add_scenario("minilm", share=published["stored"] / weights.stat().st_size)
    shutil.rmtree(state)
    if results.quick:
        return
    for gibibytes in (1, 4):
        say(f"publishing {gibibytes} GiB")
        results.begin_round(f"publishing {gibibytes} GiB")
        source = samples.noise(workspace.path / "noise-large", gibibytes << 10)
        publish(workspace, program, source, f"publish_{gibibytes}", results)
    say("reading 4 GiB")
    read_large(workspace, program, source, samples.sha256(source), results)
    source.unlink()
    say("reading 16 GiB")
    source = samples.noise(workspace.path / "noise-huge", 16 << 10)
    read_huge(workspace, program, source, samples.sha256(source), results)
    source.unlink()
