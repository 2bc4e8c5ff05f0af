"""Reads a file of a mount in one of several ways and prints what it saw as one JSON line.

Started as a child by `reading`. Times are those of the reads alone.
"""

import hashlib
import json
import os
import random
import resource
import sys
import threading
import time

CHUNK = 1 << 20


def drop_pages(path):
    """Lets the kernel forget the pages of this one file; what a cache on disk has, stays."""
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def first(path):
    """Milliseconds until the first 4 KiB of the middle of a file are there."""
    began = time.monotonic()
    with open(path, "rb", buffering=0) as file:
        file.seek(os.fstat(file.fileno()).st_size // 2 // 4096 * 4096)
        file.read(4096)
    return {"milliseconds": (time.monotonic() - began) * 1e3}


def sequential(path):
    buffer = bytearray(CHUNK)
    done = 0
    began = time.monotonic()
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            done += count
    return {"bytes": done, "seconds": time.monotonic() - began}


def digest(path):
    with open(path, "rb", buffering=0) as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def random_reads(path, count, budget):
    """Milliseconds of reads of 1 MiB at random places, none twice, until the budget is used up."""
    file, dice, times = os.open(path, os.O_RDONLY), random.Random(1), []
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
    places = list(range(os.fstat(file).st_size >> 20))
    until = time.monotonic() + float(budget)
    for place in dice.sample(places, min(int(count), len(places))):
        began = time.monotonic()
        if len(os.pread(file, CHUNK, place << 20)) != CHUNK:
            sys.exit(f"a read at {place} MiB came back short")
        times.append((time.monotonic() - began) * 1e3)
        if time.monotonic() > until:
            break
    return {"milliseconds": times, "bytes": len(times) * CHUNK}


def threads(path, count):
    """Every thread reads its own part in order, 2 MiB at a time, all at once."""
    size = os.stat(path).st_size
    count = int(count)
    share = -(-size // count)
    gate = threading.Barrier(count + 1)
    done = [0] * count

    def read(number):
        file = os.open(path, os.O_RDONLY)
        buffer = memoryview(bytearray(2 * CHUNK))
        at, end = number * share, min((number + 1) * share, size)
        gate.wait()
        while at < end:
            got = os.preadv(file, [buffer[:min(len(buffer), end - at)]], at)
            if not got:
                break
            at += got
            done[number] += got
        os.close(file)

    workers = [threading.Thread(target=read, args=(number,)) for number in range(count)]
    for worker in workers:
        worker.start()
    gate.wait()
    began = time.monotonic()
    for worker in workers:
        worker.join()
    return {"bytes": sum(done), "seconds": time.monotonic() - began}


WAYS = {
    "first": first, "sequential": sequential, "digest": digest, "random": random_reads,
    "threads": threads,
}


def main():
    way, path, *arguments = sys.argv[1:]
    if arguments and arguments[-1] == "--drop-pages":
        arguments.pop()
        drop_pages(path)
    before = resource.getrusage(resource.RUSAGE_SELF)
    facts = WAYS[way](path, *arguments)
    after = resource.getrusage(resource.RUSAGE_SELF)
    facts["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps(facts))


main()
