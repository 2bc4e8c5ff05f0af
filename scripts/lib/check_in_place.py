"""A published file stays where it is: what that costs, and what happens when it changes.

A raw file and a coded one of 1 GiB each are published without parity and with it. Then the raw one
is touched, changed and put back while a node seeds it.
"""

import os
import time
from pathlib import Path

from bench import samples
from bench.nodes import Nodes
from bench.workspace import Trouble, wait_for

MEBIBYTES = 1024
BAR = 11_000_000


def run(workspace, program):
    nodes = Nodes(workspace, program)
    raw = samples.noise(workspace.path / "raw.bin", MEBIBYTES)
    coded = weights(workspace.path / "coded.bin", raw)
    for name, source in (("raw", raw), ("coded", coded)):
        yield from cost(nodes, name, source)
    yield from changes(nodes, raw)


def weights(path, noise):
    """Numbers of 16 bits with few exponents, as bfloat16 weights are: a codec shrinks them."""
    table = bytes(0x38 + (value & 7) for value in range(256))
    with open(noise, "rb") as source, open(path, "wb") as target:
        while piece := source.read(1 << 20):
            mixed = bytearray(piece)
            mixed[1::2] = piece[1::2].translate(table)
            target.write(mixed)
    return path


def blocks(folder):
    """What the disk gives for a folder and all in it, as `du` counts."""
    files = [Path(root, name) for root, _, names in os.walk(folder) for name in names]
    return 512 * sum(os.lstat(path).st_blocks for path in [folder, *files])


def cost(nodes, name, source):
    """The state folder after a publication, and from the one setting to the other and back."""
    share = 1e-2 * source.stat().st_size
    published = nodes.publish(name, source, "--parity", "none")
    codec = "raw" if published["stored"] == published["size"] else "coded"
    if codec != name:
        raise Trouble(f"{source} was to be stored {name} and is {codec}")
    alone = blocks(nodes.state(name))
    yield (f"a {name} file of 1 GiB, stored as {published['stored'] / 1e6:.0f} MB",
           f"{alone / 1e6:.2f} MB in the state folder",
           f"at most {BAR / 1e6:.0f} MB", alone <= min(BAR, 1.03 * share))
    nodes.publish(name, source, "--parity", "stored")
    parity = usage(nodes, name)
    kept = blocks(nodes.state(name))
    yield (f"published again with parity ({parity / 1e6:.0f} MB)",
           f"{(kept - parity) / 1e6:.2f} MB besides", f"at most {BAR / 1e6:.0f} MB",
           parity > 0 and kept - parity <= BAR)
    nodes.publish(name, source, "--parity", "none")
    again = blocks(nodes.state(name))
    yield ("and without it again", f"{again / 1e6:.2f} MB", f"at most {BAR / 1e6:.0f} MB",
           again <= BAR)
    verify(nodes, name)
    yield ("verify", "clean", "clean", True)


def usage(nodes, name):
    return sum(nodes.status(name)["store"].values())


def verify(nodes, name):
    nodes.petalsfs(name, "verify", "--quiet")


def changes(nodes, source):
    """A node seeds the file while it is touched and changed."""
    link = nodes.publish("raw", source, "--parity", "none")["relay"]
    address = nodes.serve("raw")
    nodes.serve("reader", peers=[address])
    size = blocks(nodes.state("raw"))
    os.utime(source)
    hold = nodes.begin_hold("reader", link, "--shards", "0")
    wait_for("the change to be noticed", lambda: stale(nodes))
    time.sleep(2)
    got = nodes.status("reader")["node"]["fetchedBytes"]
    yield ("touched: bytes that a reader gets", f"{got} B", "none", got == 0)
    said = [line for line in nodes.log("raw").splitlines() if str(source) in line]
    yield ("touched: lines in the log", f"{len(said)}: {said[0] if said else ''}", "one",
           len(said) == 1 and "publish it again" in said[0])
    verify(nodes, "raw")
    wait_for("the hold to end", lambda: hold.poll() is not None)
    yield ("after `petalsfs verify`", "served again" if hold.returncode == 0 else "not served",
           "served again", hold.returncode == 0 and not stale(nodes))
    grown = blocks(nodes.state("raw")) - size
    yield ("what that cost on the disk", f"{grown / 1e6:.2f} MB", "under 1 MB", grown < 1_000_000)
    with open(source, "r+b") as file:
        file.seek(100)
        file.write(b"another byte or two")
    before = nodes.status("raw")["node"]["servedBytes"]
    hold = nodes.begin_hold("reader", link, "--shards", "1")
    wait_for("the change to be noticed", lambda: stale(nodes))
    time.sleep(2)
    served = nodes.status("raw")["node"]["servedBytes"] - before
    yield ("changed: bytes that a reader gets", f"{served} B", "none", served == 0)
    nodes.workspace.stop(hold)
    try:
        verify(nodes, "raw")
        clean = True
    except Trouble:
        clean = False
    yield ("changed: what verify says", "clean" if clean else "not clean", "not clean", not clean)
    nodes.publish("raw", source, "--parity", "none")
    yield ("published again", "stale" if stale(nodes) else "served", "served", not stale(nodes))


def stale(nodes):
    return nodes.status("raw")["changedFiles"]
