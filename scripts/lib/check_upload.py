"""Uploads keep to their limit, share it fairly, and stop at 0.

One node serves at 1 MB/s; four others fetch from it for a minute, as much as they get. What left is
counted by the node, by those who got it and, where there is `ss`, by the kernel.
"""

import re
import shutil
import subprocess
import time

from bench import samples
from bench.nodes import Nodes
from bench.workspace import wait_for

LIMIT = 1_000_000
SECONDS = 60
READERS = 4
TOLERANCE = 0.05
# Longer than a reader needs to connect, ask and have the first megabytes on loopback.
SILENT_SECONDS = 10


def run(workspace, program):
    nodes = Nodes(workspace, program)
    source = samples.noise(workspace.path / "model.bin", 96)
    published = nodes.publish("seeder", source, "--shards", "4/6")
    yield from rate(nodes, published["relay"])
    yield from nothing(nodes, published["relay"])


def kernel_bytes(address):
    """Bytes that the kernel has sent from a port, of all its connections; None without `ss`."""
    if not shutil.which("ss"):
        return None
    port = address.rpartition(":")[2]
    said = subprocess.run(["ss", "-tinH", "sport", "=", f":{port}"], capture_output=True, text=True,
                          check=False).stdout
    return sum(int(count) for count in re.findall(r"bytes_sent:(\d+)", said))


def within(value, wanted):
    return abs(value / wanted - 1) <= TOLERANCE


def per_second(bytes_before, bytes_after, seconds):
    return (bytes_after - bytes_before) / seconds


def rate(nodes, relay):
    """A minute at the limit, by all who can count it."""
    address = nodes.serve("seeder", "--upload-limit", str(LIMIT))
    names = [f"reader{number}" for number in range(READERS)]
    holds = []
    for name in names:
        # They would have parts of it from each other, which is what a swarm is for.
        nodes.serve(name, "--upload-limit", "0", peers=[address])
        holds.append(nodes.begin_hold(name, relay))
    for name in names:
        wait_for(f"{name} to get something", lambda name=name: fetched(nodes, name) > 0)

    def sample():
        began = time.monotonic()
        sent = nodes.status("seeder")["node"]["upload"]["bytes"]
        kernel = kernel_bytes(address)
        middle = (began + time.monotonic()) / 2
        return middle, sent, kernel, [fetched(nodes, name) for name in names]

    began, sent_before, kernel_before, got_before = sample()
    time.sleep(SECONDS)
    ended, sent_after, kernel_after, got_after = sample()
    seconds = ended - began
    sent = per_second(sent_before, sent_after, seconds)
    yield ("sent, as the node counts", f"{sent / 1e6:.3f} MB/s over {seconds:.0f} s",
           "1 MB/s within 5 %", within(sent, LIMIT))
    got = [per_second(*pair, seconds) for pair in zip(got_before, got_after, strict=True)]
    yield ("verified, as the readers count", f"{sum(got) / 1e6:.3f} MB/s",
           "1 MB/s within 5 %", within(sum(got), LIMIT))
    if kernel_before is not None:
        wire = per_second(kernel_before, kernel_after, seconds)
        yield ("sent, as the kernel counts", f"{wire / 1e6:.3f} MB/s, TLS and replies included",
               "1 MB/s within 5 %", within(wire, LIMIT))
    shares = ", ".join(f"{share / 1e3:.0f}" for share in got)
    fair = LIMIT / READERS
    yield ("each reader's share", f"{shares} kB/s", "a quarter each within 10 %",
           all(abs(share / fair - 1) <= 0.1 for share in got))
    status = nodes.status("seeder")["node"]
    yield ("connections that lasted", f"{len(status['peers'])} of {READERS}", "all",
           len(status["peers"]) == READERS)
    for hold in holds:
        nodes.workspace.stop(hold)
    for name in [*names, "seeder"]:
        nodes.stop(name)


def fetched(nodes, name):
    return nodes.status(name)["node"]["fetchedBytes"]


def nothing(nodes, relay):
    """Not a byte at 0, and all of it when the limit is taken off while the node runs."""
    address = nodes.serve("seeder", "--upload-limit", "0")
    nodes.serve("late", peers=[address])
    hold = nodes.begin_hold("late", relay)
    wait_for("the reader to connect", lambda: nodes.status("late")["node"]["peers"])
    time.sleep(SILENT_SECONDS)
    seeder, late = nodes.status("seeder")["node"], nodes.status("late")["node"]
    counts = (seeder["servedBytes"], seeder["upload"]["bytes"], late["fetchedBytes"])
    yield ("sent at 0, by both sides", f"{counts[0]} and {counts[1]} B sent, {counts[2]} B fetched",
           "not one byte", counts == (0, 0, 0))
    yield ("connected at 0", f"{len(seeder['peers'])} peers", "1", len(seeder["peers"]) == 1)
    nodes.petalsfs("seeder", "limit", "none")
    wait_for("the hold to end", lambda: hold.poll() is not None)
    yield ("fetched when the limit is off", "all of it" if hold.returncode == 0 else "not all",
           "all of it", hold.returncode == 0)
