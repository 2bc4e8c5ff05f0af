"""Readers of a mount, each a child process, and what the kernel has in its page cache."""

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.workspace import Trouble

READER = Path(__file__).with_name("reader.py")
# No single reading takes longer, on any system that is worth comparing.
PATIENCE = 300


def _command(way, path, *arguments, drop_pages=False):
    command = [sys.executable, READER, way, path, *arguments]
    if drop_pages:
        command.append("--drop-pages")
    return [str(part) for part in command]


def read(way, path, *arguments, drop_pages=False):
    """Reads in one of the ways of reader.py and returns the facts that it printed."""
    try:
        done = subprocess.run(
            _command(way, path, *arguments, drop_pages=drop_pages), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise Trouble(f"reading {path} did not end within {PATIENCE} s") from None
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Trouble(f"reading {path} failed: {said}")
    return json.loads(done.stdout)


def read_together(way, path, count):
    """Lets several processes read the same file at the same time and returns all their facts."""
    readers = [
        subprocess.Popen(_command(way, path), stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    facts = []
    for reader in readers:
        try:
            output, _ = reader.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            for other in readers:
                other.kill()
            raise Trouble(f"{count} readers of {path} did not end in {PATIENCE} s") from None
        if reader.returncode != 0:
            raise Trouble(f"one of {count} readers of {path} failed")
        facts.append(json.loads(output))
    return facts


def check(path, expected):
    """Compares what the mount gives with the SHA-256 of what was put in."""
    found = read("digest", path)["sha256"]
    if found != expected:
        raise WrongBytes(f"{path} read as SHA-256 {found}, and {expected} was published")


class WrongBytes(Exception):
    """The one thing that no benchmark goes on after."""


def warm(folder):
    """Reads every file of a folder, so that the origin answers from memory."""
    buffer = bytearray(1 << 20)
    paths = [folder] if Path(folder).is_file() else sorted(Path(folder).rglob("*"))
    for path in paths:
        if path.is_file():
            with open(path, "rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass


def drop_page_cache():
    """Lets the kernel forget all file pages, after writing what is dirty."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except OSError as error:
        raise Trouble(f"the page cache cannot be dropped, which takes root: {error}") from None


def is_there(path):
    """Whether a mount shows the file; asked in a child, since a mount may not answer."""
    done = subprocess.run(["test", "-s", path], check=False, timeout=PATIENCE)
    return done.returncode == 0
