"""What processes cost, as the kernel counts it in /proc."""

import collections
import os
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")

# A process by its number and its birth, since a number may come again.
Process = collections.namedtuple("Process", "pid born")


def _stat(pid):
    """The fields after the name, which may hold spaces and parentheses; nothing if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def is_same(process):
    fields = _stat(process.pid)
    return fields is not None and int(fields[19]) == process.born


def tree(pids):
    """The processes with these numbers and all that descend from them, roots first."""
    children = collections.defaultdict(list)
    born = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(name)):
            children[int(fields[1])].append(int(name))
            born[int(name)] = int(fields[19])
    found = []
    waiting = [pid for pid in pids if pid in born]
    while waiting:
        pid = waiting.pop(0)
        found.append(Process(pid, born[pid]))
        waiting += children[pid]
    return found


def cpu_seconds(pids):
    """User and system time so far of processes, their descendants, and those that ended."""
    total = 0
    for process in tree(pids):
        if fields := _stat(process.pid):
            total += sum(int(field) for field in fields[11:15])
    return total / TICKS


def settled_cpu_seconds(pids, patience=5.0):
    """The same, once the processes have come to rest: caches are written after the read."""
    until = time.monotonic() + patience
    last = cpu_seconds(pids)
    while True:
        time.sleep(0.3)
        now = cpu_seconds(pids)
        if now - last < 2.5 / TICKS or time.monotonic() > until:
            return now
        last = now


def peak_megabytes(pids):
    """The most memory that each of the processes has had resident, added up."""
    total = 0
    for process in tree(pids):
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return total * 1024 / 1e6
