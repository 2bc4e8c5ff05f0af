"""Nodes that nobody introduces find each other's models: in a private DHT, and on one wire.

Three nodes each publish a model and know the links of the other two, and no address of anybody. The
time is that from the start of the last node until all three have all manifests. On the wire, each
node is in a network namespace of its own, which has no route to anywhere.
"""

import json
import os
import shutil
import subprocess
import time

from bench import samples
from bench.nodes import Nodes
from bench.workspace import run as run_command
from bench.workspace import wait_for

NAMES = ("first", "second", "third")
DHT_SECONDS = 5
WIRE_SECONDS = 3


def run(workspace, program):
    yield from dht(Nodes(workspace, program))
    if os.geteuid() == 0 and shutil.which("ip"):
        yield from wire(Nodes(workspace, program))
    else:
        print("  not tried: one wire, which needs root and ip(8)", flush=True)


def prepare(nodes, prefix):
    """Publishes a model on each state, and registers those of the others."""
    names = [f"{prefix}-{name}" for name in NAMES]
    links = {}
    for name in names:
        source = samples.noise(nodes.workspace.path / f"{name}.bin", 1)
        links[name] = nodes.publish(name, source)["link"]
    for name in names:
        for other in names:
            if other != name:
                nodes.petalsfs(name, "add", links[other], "--no-lan", "--no-dht")
    return names


def start(nodes, name, *command):
    """Starts a node and does not wait for it."""
    process, log = nodes.workspace.start(name, [*command, "-v"])
    nodes.processes[name] = process
    return process, log


def seconds_to_meet(nodes, names, began, patience):
    """Seconds until each node has the manifests of all models."""

    def has_all(name):
        models = json.loads(nodes.petalsfs(name, "ls", "--json"))
        return len(models) == len(names) and not any(model["pending"] for model in models)

    waiting = set(names)

    def all_met():
        waiting.difference_update([name for name in waiting if has_all(name)])
        return not waiting

    wait_for("the nodes to meet", all_met, patience=patience)
    return time.monotonic() - began


def dht(nodes):
    names = prepare(nodes, "dht")
    bootstrap = []
    for number, name in enumerate(names):
        # A DHT takes what comes from one address for one node, hence one loopback address each.
        host = f"127.0.0.{number + 2}"
        began = time.monotonic()
        process, log = start(
            nodes, name, nodes.program, "serve", "--state", nodes.state(name), "--listen",
            f"{host}:0", "--no-lan", "--dht-private", *bootstrap)
        wait_for(f"{name} to listen", (nodes.state(name) / "listen").exists, process, log)
        if not bootstrap:
            table = nodes.status(name)["node"]["dht"]["listen"][0]
            bootstrap = ["--dht-bootstrap", table]
    seconds = seconds_to_meet(nodes, names, began, 60)
    yield ("three nodes with a private DHT", f"{seconds:.1f} s", f"at most {DHT_SECONDS} s",
           seconds <= DHT_SECONDS)
    for name in names:
        nodes.stop(name)


def namespace(workspace, name):
    """A process that keeps a network namespace alive, and the command that enters it."""
    keeper, _ = workspace.start(f"net-{name}", ["unshare", "-n", "sleep", "600"])
    own = os.readlink("/proc/self/ns/net")

    def is_apart():
        return os.readlink(f"/proc/{keeper.pid}/ns/net") != own

    wait_for("a network namespace", is_apart, keeper)
    return keeper, ["nsenter", "-t", str(keeper.pid), "-n"]


def wire(nodes):
    names = prepare(nodes, "wire")
    switch, inside = namespace(nodes.workspace, "switch")
    run_command([*inside, "ip", "link", "add", "wire", "type", "bridge"])
    run_command([*inside, "ip", "link", "set", "wire", "up"])
    keepers, enter = [switch], {}
    for number, name in enumerate(names):
        keeper, enter[name] = namespace(nodes.workspace, name)
        keepers.append(keeper)
        run_command([*inside, "ip", "link", "add", f"port{number}", "type", "veth", "peer", "name",
                     "wire0", "netns", str(keeper.pid)])
        run_command([*inside, "ip", "link", "set", f"port{number}", "master", "wire", "up"])
        run_command([*enter[name], "ip", "link", "set", "lo", "up"])
        run_command([*enter[name], "ip", "address", "add", f"10.66.0.{number + 1}/24", "dev",
                     "wire0"])
        run_command([*enter[name], "ip", "link", "set", "wire0", "up"])
    for name in names:
        began = time.monotonic()
        process, log = start(
            nodes, name, *enter[name], nodes.program, "serve", "--state", nodes.state(name),
            "--lan-only")
        wait_for(f"{name} to listen", (nodes.state(name) / "listen").exists, process, log)
    seconds = seconds_to_meet(nodes, names, began, 60)
    yield ("three nodes on one wire", f"{seconds:.1f} s", f"at most {WIRE_SECONDS} s",
           seconds <= WIRE_SECONDS)
    for name in names:
        nodes.stop(name)
    for keeper in keepers:
        try:
            nodes.workspace.stop(keeper)
        except subprocess.SubprocessError:
            pass
