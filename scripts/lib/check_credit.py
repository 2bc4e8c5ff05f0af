"""Whoever has given is served first where an uplink is contended, and nobody gains by cheating.

A server that sends 20 MB/s owes one node for a model that it fetched there. That node and one that
has given nothing fetch from it at once; then the second alone. Then strangers take what they can
and sign nothing, and sign what is not so, by hand: docs/PROTOCOL.md, section 11.
"""

import time
from base64 import b32encode

from bench import samples
from bench.nodes import Nodes
from bench.swarm import json_of
from bench.workspace import wait_for
from raw_peer import CELL_LEAVES, LEAF, RawPeer, record_blob

LIMIT = 20_000_000
GIVEN, WANTED = 128, 768
SECONDS = 10
STRANGERS = 4


def run(workspace, program):
    nodes = Nodes(workspace, program)
    given = samples.noise(workspace.path / "given.bin", GIVEN)
    wanted = samples.noise(workspace.path / "wanted.bin", WANTED)
    shards = ("--shards", "4/6")
    gift = nodes.publish("contributor", given, *shards)
    published = nodes.publish("server", wanted, *shards)
    contributor = nodes.serve("contributor")
    server = nodes.serve("server", "--upload-limit", str(LIMIT), peers=[contributor])
    # The server keeps what the contributor published: that is what it owes it for. What is held
    # for others is free, so that everything here is pinned.
    nodes.petalsfs("server", "add", gift["link"], "--name", "gift")
    nodes.petalsfs("server", "pin", "gift", "--quiet")
    nodes.stop("contributor")
    # It serves nobody, so that what the other one gets comes from the server.
    nodes.serve("contributor", "--upload-limit", "0", peers=[server])
    nodes.serve("rider", "--upload-limit", "0", peers=[server])
    for name in ("contributor", "rider"):
        nodes.petalsfs(name, "add", published["link"], "--name", "wanted")
    yield from riding(nodes)
    yield from withholding(workspace, nodes, server, published)
    yield from forging(workspace, nodes, server)


def fetched(nodes, name):
    return nodes.status(name)["node"]["fetchedBytes"]


def rates(nodes, *names):
    """Bytes a second that nodes verify, over a while."""
    began, before = time.monotonic(), [fetched(nodes, name) for name in names]
    time.sleep(SECONDS)
    after, ended = [fetched(nodes, name) for name in names], time.monotonic()
    return [(b - a) / (ended - began) for a, b in zip(before, after, strict=True)]


def riding(nodes):
    """Two at once, and one alone."""
    pins = {name: nodes.begin_pin(name, "wanted") for name in ("rider", "contributor")}
    for name in pins:
        wait_for(f"{name} to get something", lambda name=name: fetched(nodes, name) > 0)
    contributor, rider = rates(nodes, "contributor", "rider")
    yield ("a node that has given, and one that has not",
           f"{contributor / 1e6:.2f} and {rider / 1e6:.2f} MB/s, {contributor / max(rider, 1):.1f} "
           "to 1", "4 to 1 at least", contributor >= 4 * rider)
    yield ("both together", f"{(contributor + rider) / 1e6:.2f} MB/s", "20 MB/s within 5 %",
           abs((contributor + rider) / LIMIT - 1) <= 0.05)
    nodes.workspace.stop(pins.pop("contributor"))
    nodes.stop("contributor")
    # Half a second of turns that were given out before.
    time.sleep(2)
    (alone,) = rates(nodes, "rider")
    yield ("the one that has not given, alone", f"{alone / 1e6:.2f} MB/s", "20 MB/s within 5 %",
           abs(alone / LIMIT - 1) <= 0.05)
    nodes.workspace.stop(pins.pop("rider"))


def takers(workspace, server, digest):
    """Strangers that ask for everything: half of them take part in credit, half say nothing."""
    peers = []
    for number in range(STRANGERS):
        peer = RawPeer(workspace.path, server, f"stranger{number}")
        _, topic = record_blob(peer.record(bytes.fromhex(digest)))
        if number % 2:
            peer.balance()
        peer.join(topic)
        for cell in range(16):
            peer.request(cell, topic, cell % 4, cell // 4)
        peers.append(peer)
    return peers


def withholding(workspace, nodes, server, published):
    """What strangers get that do not sign, while others want the uplink, too."""
    nodes.serve("second", "--upload-limit", "0", peers=[server])
    nodes.petalsfs("second", "add", published["link"], "--name", "wanted")
    pins = [nodes.begin_pin(name, "wanted") for name in ("rider", "second")]
    wait_for("the uplink to be contended",
             lambda: nodes.status("server")["node"]["upload"]["contended"])
    peers = takers(workspace, server, published["files"][0]["sha256"])
    time.sleep(SECONDS)
    most = max(peer.leaves for peer in peers) * LEAF
    yield ("sent to a stranger that does not sign", f"{most >> 10} KiB at most, of {STRANGERS}",
           "256 KiB", most <= CELL_LEAVES * LEAF)
    for peer in peers:
        peer.close()
    for pin in pins:
        nodes.workspace.stop(pin)
    nodes.stop("second")


def forging(workspace, nodes, server):
    """Receipts that are forged end the connection; replayed ones change nothing."""
    other = RawPeer(workspace.path, server, "other")
    forgers = []
    for number in range(3):
        forger = RawPeer(workspace.path, server, f"forger{number}")
        forgers.append(forger)
        if number == 0:
            forger.receipt(1, 16, tamper=16_000)
        elif number == 1:
            forger.receipt(1, 16, seed=other.seed)
        else:
            forger.receipt(1, 16, seed=other.seed, debtor=other.id)
    wait_until(lambda: all(forger.closed for forger in forgers))
    closed = sum(forger.closed for forger in forgers)
    yield ("connections of forgers", f"{closed} of {len(forgers)} ended", "all",
           closed == len(forgers))
    replayer = RawPeer(workspace.path, server, "replayer")
    for _ in range(3):
        replayer.receipt(2, 32)
        replayer.receipt(1, 16)
    wait_until(lambda: account(nodes, replayer).get("balance") == -32 * LEAF)
    owed = account(nodes, replayer).get("balance", 0)
    yield ("owed by who signs for 512 KiB, three times over", f"{-owed >> 10} KiB", "512 KiB",
           owed == -32 * LEAF and not replayer.closed)
    replayer.receipt(2, 64)
    contradicts = wait_until(lambda: account(nodes, replayer).get("contradicts"))
    yield ("two receipts with one number", "noticed" if contradicts else "not noticed", "noticed",
           bool(contradicts))
    for peer in (other, replayer):
        peer.close()


def account(nodes, peer):
    """What the server's books say of a peer."""
    name = b32encode(peer.id).decode().lower().rstrip("=")
    credits = json_of(nodes.petalsfs("server", "credits", "--json"))
    return next((known for known in credits["peers"] if known["id"] == name), {})


def wait_until(test):
    """The first value of a test that is true, or its last."""
    deadline = time.monotonic() + 20
    while not (value := test()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return value
