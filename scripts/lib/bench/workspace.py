"""A temporary folder with processes in it, which end with the bench whatever happens."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench import processes

PATIENCE = 120
PR_SET_PDEATHSIG = 1


class Trouble(Exception):
    """What went wrong, in one sentence for a person."""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def tail(log, lines=3):
    text = Path(log).read_text(errors="replace") if Path(log).exists() else ""
    return " / ".join(text.strip().splitlines()[-lines:]) or "it said nothing"


def run(command, **options):
    """Runs a command to its end and returns its output; what it says goes wrong is told."""
    done = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, check=False, **options)
    if done.returncode != 0:
        name = Path(str(command[0])).name
        said = " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise Trouble(f"{name} {command[1] if len(command) > 1 else ''} failed: {said}")
    return done.stdout


def wait_for(what, test, process=None, log=os.devnull, patience=PATIENCE):
    """Waits until `test()` holds; gives up when the process has ended or patience has."""
    until = time.monotonic() + patience
    while not test():
        if process is not None and process.poll() is not None:
            raise Trouble(f"{what} did not happen: {tail(log)}")
        if time.monotonic() > until:
            raise Trouble(f"{what} did not happen within {patience} s: {tail(log)}")
        time.sleep(0.02)


def is_mounted(folder):
    with open("/proc/mounts") as mounts:
        return any(line.split(" ", 2)[1] == str(folder) for line in mounts)


def _end_with_parent():
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def end_in_order():
    """Lets an order to end unwind everything, so that no process and no mount is left."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))


class Workspace:
    """The folder, and everything that was started in it."""

    def __init__(self):
        base = os.environ.get("TMPDIR", "/tmp")
        self.path = Path(tempfile.mkdtemp(prefix="petalsfs-bench.", dir=base))
        self.running = []
        self.mounts = set()

    def start(self, name, command, **options):
        """Starts a process whose output goes to a log of that name, which it returns beside it."""
        log = self.path / f"{name}.log"
        options.setdefault("stdin", subprocess.DEVNULL)
        with open(log, "wb") as output:
            options.setdefault("stdout", output)
            process = subprocess.Popen(
                [str(part) for part in command], stderr=output, preexec_fn=_end_with_parent,
                **options)
        self.running.append(process)
        return process, log

    def stop(self, process):
        """Ends a process and its children, by their numbers."""
        if process in self.running:
            self.running.remove(process)
        children = processes.tree([process.pid])
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._end_children(children[1:])

    @staticmethod
    def _end_children(children):
        """Ends what a process left behind; `children` are numbers with the time of their birth."""
        for child in children:
            if processes.is_same(child):
                os.kill(child.pid, signal.SIGKILL)

    def mount(self, folder, process, log):
        """Waits until a file system is mounted on the folder."""
        self.mounts.add(folder)
        wait_for(f"the mount {folder.name}", lambda: is_mounted(folder), process, log)

    def unmount(self, folder, process, patience=20):
        """Takes a mount off in order, and ends the process if it does not end with it."""
        until = time.monotonic() + 10
        while is_mounted(folder) and time.monotonic() < until:
            # A reader that has just closed its file may still be seen for a moment.
            if subprocess.run(["fusermount3", "-u", folder], stderr=subprocess.DEVNULL,
                              check=False).returncode == 0:
                break
            time.sleep(0.1)
        if is_mounted(folder):
            subprocess.run(["fusermount3", "-u", "-z", folder], check=False)
        self.mounts.discard(folder)
        children = processes.tree([process.pid])
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            pass
        self.stop(process)
        self._end_children(children[1:])

    def close(self):
        for folder in list(self.mounts):
            if is_mounted(folder):
                subprocess.run(["fusermount3", "-u", "-z", folder], check=False)
        for process in list(self.running):
            self.stop(process)
        shutil.rmtree(self.path, ignore_errors=True)


class Pauses:
    """Notices when this process was not run for a while: stopped, or on a machine that slept.

    A time that was taken across such a pause says nothing, and is taken again.
    """

    LONGEST = 1.0

    def __init__(self):
        self.count = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        last = time.monotonic()
        while True:
            time.sleep(0.1)
            now = time.monotonic()
            if now - last > self.LONGEST:
                self.count += 1
            last = now

    def undisturbed(self, measure, tries=4):
        """Returns what `measure()` returns from a try that no pause interrupted."""
        for attempt in range(tries):
            before = self.count
            value = measure()
            time.sleep(0.15)
            if self.count == before or attempt == tries - 1:
                return value
            say("this was interrupted; measuring it again")
        return None
