"""Donors keep a model alive: they spread, stay within what they give, and make again what is lost.

A model of two files, 256 MiB, in two groups of 8 + 4 shards. Twelve donors give 1.5 copies in all,
to the byte; the publisher leaves; four donors are killed at once; four fresh ones make up for them.
Then eight are given more, four are killed again, and the eight make up for them alone. What is
measured is what lies on the disks, and what a reader that mounts the model gets.
"""

import json
import time

from bench import samples
from bench.workspace import Trouble, run as command, wait_for

MEBIBYTES = 128
DATA, SHARDS, FILES = 8, 12, 2
SHARD_BYTES = MEBIBYTES * (1 << 20) // DATA
LOST = SHARDS - DATA
REPAIR_SECONDS = 120
ALONE = ("--no-lan", "--no-dht")


class Swarm:
    """The nodes of the check, by name."""

    def __init__(self, workspace, program):
        self.workspace, self.program = workspace, program
        self.processes, self.addresses = {}, {}

    def state(self, name):
        return self.workspace.path / name

    def serve(self, name, *options):
        listen = self.state(name) / "listen"
        listen.unlink(missing_ok=True)
        peers = [part for peer in self.addresses.values() for part in ("--peer", peer)]
        process, log = self.workspace.start(name, [
            self.program, "serve", "--state", self.state(name), "--listen", "127.0.0.1:0", *ALONE,
            *peers, *options])
        wait_for(f"the start of {name}", lambda: listen.exists() and listen.read_text().strip(),
                 process, log)
        self.processes[name], self.addresses[name] = process, listen.read_text().strip()

    def stop(self, name):
        del self.addresses[name]
        self.workspace.stop(self.processes.pop(name))

    def kill(self, names):
        for name in names:
            del self.addresses[name]
            self.processes[name].kill()
        for name in names:
            self.processes[name].wait()
            self.workspace.stop(self.processes.pop(name))

    def status(self, name):
        return json.loads(command([self.program, "status", "--json", "--state", self.state(name)]))

    def whole_shards(self, name):
        """(blob, shard) of all shards of which every byte lies on the disk of a node."""
        found = set()
        for path in (self.state(name) / "blobs").glob("*/*.data"):
            stat = path.stat()
            if stat.st_size and stat.st_blocks * 512 >= stat.st_size:
                found.add((path.parent.name, int(path.stem)))
        return found

    def held_bytes(self, name):
        """Bytes of cells on the disk of a node."""
        return sum(path.stat().st_blocks * 512
                   for path in (self.state(name) / "blobs").glob("*/*.data"))

    def digests(self, names):
        """The SHA-256 of every whole shard."""
        digests = {}
        for name in names:
            for blob, shard in self.whole_shards(name):
                path = self.state(name) / "blobs" / blob / f"{shard}.data"
                digests.setdefault((blob, shard), set()).add(samples.sha256(path))
        return digests


def spread(swarm, names):
    """How many shards of each blob can be named a donor of their own: a largest matching."""
    held = {name: swarm.whole_shards(name) for name in names}
    blobs = {blob for shards in held.values() for blob, _ in shards}
    counts = []
    for blob in blobs:
        donors = {}

        def place(name, seen, blob=blob, donors=donors):
            for shard in sorted(shard for other, shard in held[name] if other == blob):
                if shard in seen:
                    continue
                seen.add(shard)
                if shard not in donors or place(donors[shard], seen):
                    donors[shard] = name
                    return True
            return False

        counts.append(sum(place(name, set()) for name in names))
    return counts if len(blobs) == FILES else [0]


def covered(swarm, names):
    """How many shards lie whole on some donor's disk."""
    return len(set().union(*(swarm.whole_shards(name) for name in names)))


def until(test, seconds):
    """Seconds until `test()` holds; None where it does not in time."""
    began = time.monotonic()
    while not test():
        if time.monotonic() - began > seconds:
            return None
        time.sleep(0.5)
    return time.monotonic() - began


def reads_right(swarm, number, link, wanted):
    """Whether a node that has nothing reads the whole model, and gets what was published."""
    name, mount = f"reader{number}", swarm.workspace.path / f"mount{number}"
    mount.mkdir()
    command([swarm.program, "add", "-", "--name", "model", "--state", swarm.state(name)],
            input=link)
    peers = [part for peer in swarm.addresses.values() for part in ("--peer", peer)]
    process, log = swarm.workspace.start(name, [
        swarm.program, "mount", mount, "--state", swarm.state(name), "--listen", "127.0.0.1:0",
        *ALONE, *peers])
    swarm.workspace.mount(mount, process, log)
    wait_for("the model in the mount", lambda: any(mount.iterdir()), process, log)
    got = {}
    for path in sorted((mount / "model").iterdir()):
        got[path.name] = command(["sha256sum", path]).split()[0]
    swarm.workspace.unmount(mount, process)
    return got == wanted


def within(swarm, names, quota):
    """The most that any donor has on its disk, and whether that is what it gave at most."""
    most = max(swarm.held_bytes(name) for name in names)
    return most, most <= quota


def run(workspace, program):
    swarm = Swarm(workspace, program)
    source = workspace.path / "model"
    source.mkdir()
    noise = samples.noise(workspace.path / "noise", MEBIBYTES * FILES)
    with open(noise, "rb") as whole:
        for number in range(FILES):
            (source / f"{number}.bin").write_bytes(whole.read(MEBIBYTES << 20))
    noise.unlink()
    wanted = {path.name: samples.sha256(path) for path in source.iterdir()}
    published = json.loads(command([
        program, "publish", source, "--shards", f"{DATA}/{SHARDS}", "--json", "--state",
        swarm.state("publisher")]))
    quota = FILES * SHARD_BYTES
    donate = ("--donate", str(quota), published["relay"])

    swarm.serve("publisher")
    donors = [f"donor{number}" for number in range(SHARDS)]
    for name in donors:
        swarm.serve(name, *donate)
    took = until(lambda: spread(swarm, donors) == [SHARDS] * FILES, 600)
    yield ("twelve donors with 1.5 copies: shards at donors of their own",
           f"{spread(swarm, donors)} after {took or 600:.0f} s", "all 12 of each group",
           took is not None)
    if took is None:
        raise Trouble("the donors did not spread")
    before = swarm.digests(donors)
    swarm.stop("publisher")
    yield ("the publisher has left: the model is read", "by a new node", "the published SHA-256",
           reads_right(swarm, 0, published["link"], wanted))

    swarm.kill(donors[:LOST])
    killed = time.monotonic()
    survivors = donors[LOST:]
    fresh = [f"fresh{number}" for number in range(LOST)]
    for name in fresh:
        swarm.serve(name, *donate)
    readable = reads_right(swarm, 1, published["link"], wanted)
    yield ("four donors are killed: the model is read", "by a new node", "the published SHA-256",
           readable)
    now = survivors + fresh
    until(lambda: spread(swarm, now) == [SHARDS] * FILES, REPAIR_SECONDS)
    took = time.monotonic() - killed
    full = spread(swarm, now) == [SHARDS] * FILES
    yield ("four fresh donors make up for them", f"{spread(swarm, now)} after {took:.0f} s",
           f"all 12 of each group within {REPAIR_SECONDS} s", full and took <= REPAIR_SECONDS)
    after = swarm.digests(now)
    same = sum(after[shard] == before[shard] for shard in after)
    yield ("rebuilt shards are bit-identical", f"{same} of {len(before)} shards",
           "all 24", same == len(before) == SHARDS * FILES)
    most, holds = within(swarm, now, quota)
    yield "the most that a donor has on its disk", f"{most} bytes", f"at most {quota}", holds
    yield from larger_quotas(swarm, published, wanted, before, now)


def larger_quotas(swarm, published, wanted, before, donors):
    """Eight are restarted with half as much again; four others are killed."""
    victims, survivors = donors[:LOST], donors[LOST:]
    quota = FILES * SHARD_BYTES * SHARDS // DATA
    for name in survivors:
        held = swarm.whole_shards(name)
        swarm.stop(name)
        swarm.serve(name, "--donate", str(quota))
        if not held <= swarm.whole_shards(name):
            raise Trouble(f"{name} lost shards when it was restarted")
    until(lambda: all(len(swarm.whole_shards(name)) == FILES * SHARDS // DATA
                      for name in survivors), 120)
    time.sleep(5)
    swarm.kill(victims)
    killed = time.monotonic()
    yield ("four are killed, eight with larger quotas stay: the model is read", "by a new node",
           "the published SHA-256", reads_right(swarm, 2, published["link"], wanted))
    until(lambda: covered(swarm, survivors) == SHARDS * FILES, REPAIR_SECONDS)
    took = time.monotonic() - killed
    count = covered(swarm, survivors)
    yield ("the eight make up for them", f"{count} of {SHARDS * FILES} shards after {took:.0f} s",
           f"all within {REPAIR_SECONDS} s", count == SHARDS * FILES and took <= REPAIR_SECONDS)
    after = swarm.digests(survivors)
    same = sum(after[shard] == before[shard] for shard in after)
    yield ("all shards are bit-identical", f"{same} of {len(before)} shards", "all 24",
           same == len(before))
    most, holds = within(swarm, survivors, quota)
    yield "the most that a donor has on its disk", f"{most} bytes", f"at most {quota}", holds
