"""Nodes of petalsfs on this machine: a publisher, holders, and one that mounts."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench import reading
from bench.workspace import Trouble, run, wait_for

LEAF = 16 << 10
SHARDS = "5/8"
# Nodes that meet no others than those that a measurement names.
ALONE = ["--no-lan", "--no-dht"]
DATA_SHARDS, ALL_SHARDS = 5, 8
# What each holder holds, by how many there are. Of four, any two can rebuild everything.
PARTS = {
    1: ["0,1,2,3,4,5,6,7"],
    4: ["0,1,2,3", "4,5,6,7", "0,2,4,6", "1,3,5,7"],
    8: ["0", "1", "2", "3", "4", "5", "6", "7"],
}


def json_of(text):
    """The JSON document in what a command printed."""
    return json.loads(text[text.index("{"):])


class Swarm:
    """One published file and the nodes around it, in one folder."""

    def __init__(self, workspace, program, folder):
        self.workspace, self.program, self.folder = workspace, program, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.holders = {}
        self.mount_folder = folder / "mount"
        self.mount_process = None
        self.published = {}

    def state(self, name):
        return self.folder / name

    def petalsfs(self, *arguments, name, **options):
        return run([self.program, *arguments, "--state", self.state(name)], **options)

    def publish(self, source):
        self.source = source
        self.published = json_of(
            self.petalsfs("publish", source, "--shards", SHARDS, "--json", name="publisher"))

    def fill(self, *counts):
        """Has relays fetch their shards from the publisher, which then goes away."""
        publisher, address = self._serve("publisher")
        for count in counts:
            for number, part in enumerate(PARTS[count]):
                self.petalsfs(
                    "hold", "-", "--shards", part, "--peer", address, *ALONE,
                    name=self.holder(count, number), input=self.published["relay"] + "\n")
        self.workspace.stop(publisher)

    @staticmethod
    def holder(count, number):
        return f"holder-{count}-{number}"

    def _serve(self, name):
        listen = self.state(name) / "listen"
        listen.unlink(missing_ok=True)
        process, log = self.workspace.start(
            f"{self.folder.name}-{name}",
            [self.program, "serve", "--state", self.state(name), "--listen", "127.0.0.1:0", *ALONE])
        wait_for(f"the start of {name}",
                 lambda: listen.exists() and listen.read_text().strip(), process, log)
        return process, listen.read_text().strip()

    def start_holders(self, names):
        """Starts nodes; their addresses are in the order of the names."""
        for name in names:
            self.holders[name] = self._serve(name)

    def stop_holders(self):
        for process, _ in self.holders.values():
            self.workspace.stop(process)
        self.holders = {}

    def kill_holder(self, name):
        process, _ = self.holders.pop(name)
        process.kill()
        process.wait()
        self.workspace.running.remove(process)

    def addresses(self):
        return [address for _, address in self.holders.values()]

    def warm(self):
        for name in self.holders:
            reading.warm(self.state(name) / "blobs")

    def mount(self, addresses=None, keep_cache=False, options=()):
        """Mounts on a node that knows the holders, or the addresses instead."""
        peers = []
        for address in self.addresses() if addresses is None else addresses:
            peers += ["--peer", address]
        self.mount_folder.mkdir(exist_ok=True)
        self.petalsfs("add", "-", name="reader", input=self.published["link"] + "\n")
        process, log = self.workspace.start(
            f"{self.folder.name}-mount",
            [self.program, "mount", self.mount_folder, "--state", self.state("reader"), "--listen",
             "127.0.0.1:0", *ALONE, *peers, *(["--keep-cache"] if keep_cache else []), *options])
        self.mount_process = process
        self.workspace.mount(self.mount_folder, process, log)
        path = self.mount_folder / self.source.name
        wait_for("the model in the mount", lambda: reading.is_there(path), process, log)
        wait_for("the connections to the holders",
                 lambda: len(self.status()["node"]["peers"]) >= len(peers) // 2, process, log)
        return path

    def unmount(self):
        self.workspace.unmount(self.mount_folder, self.mount_process)
        self.mount_process = None

    def forget_reader(self):
        shutil.rmtree(self.state("reader"), ignore_errors=True)

    def status(self):
        return json_of(self.petalsfs("status", "--json", name="reader"))

    def close(self):
        self.stop_holders()
        shutil.rmtree(self.folder)

    def rot(self, source, target, every):
        """Copies a holder and flips a bit in every so-manieth of its leaves; says in how many."""
        shutil.rmtree(self.state(target), ignore_errors=True)
        run(["cp", "-a", self.state(source), self.state(target)])
        flipped = leaves = 0
        for path in sorted((self.state(target) / "blobs").rglob("*.data")):
            with open(path, "r+b") as file:
                for at in range(0, os.path.getsize(path), LEAF):
                    leaves += 1
                    if leaves % every:
                        continue
                    file.seek(at + leaves % LEAF if at + leaves % LEAF < path.stat().st_size
                              else at)
                    byte = file.read(1)[0]
                    file.seek(-1, os.SEEK_CUR)
                    file.write(bytes([byte ^ 1]))
                    flipped += 1
        return flipped, leaves


class Links:
    """A process of slow_link.py in front of some addresses."""

    def __init__(self, workspace, targets, rate_mbit, delay_ms=0):
        self.workspace = workspace
        self.process, log = workspace.start(
            "slow-link",
            [sys.executable, Path(__file__).with_name("slow_link.py"), "--rate-mbit", rate_mbit,
             "--delay-ms", delay_ms, *targets],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        first = self.process.stdout.readline()
        if not first:
            wait_for("the start of the slow links", lambda: False, self.process, log)
        self.addresses = json.loads(first)

    def close(self):
        """Ends the links and returns how many bytes each has carried."""
        self.process.stdin.close()
        carried = json.loads(self.process.stdout.readline() or "[]")
        self.workspace.stop(self.process)
        if not carried:
            raise Trouble("the slow links ended without saying what they carried")
        return carried
