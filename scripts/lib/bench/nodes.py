"""Nodes that serve, each on a state folder of its own, and what they say of themselves."""

from bench.swarm import ALONE, json_of
from bench.workspace import run, wait_for


class Nodes:
    """The nodes of one check."""

    def __init__(self, workspace, program):
        self.workspace, self.program = workspace, program
        self.processes, self.logs = {}, {}

    def state(self, name):
        return self.workspace.path / name

    def petalsfs(self, name, *arguments, **options):
        """Runs a command on a node's state and returns what it printed."""
        return run([self.program, *arguments, "--state", self.state(name)], **options)

    def publish(self, name, source, *arguments):
        return json_of(self.petalsfs(name, "publish", source, "--json", *arguments))

    def serve(self, name, *arguments, peers=()):
        """Starts a node and returns its address."""
        known = [part for peer in peers for part in ("--peer", peer)]
        listen = self.state(name) / "listen"
        listen.unlink(missing_ok=True)
        process, log = self.workspace.start(
            name, [self.program, "serve", "--state", self.state(name), "--listen", "127.0.0.1:0",
                   *ALONE, *known, *arguments])
        wait_for(f"{name} to listen", listen.exists, process, log)
        self.processes[name], self.logs[name] = process, log
        return listen.read_text().strip()

    def stop(self, name):
        self.workspace.stop(self.processes.pop(name))

    def begin_hold(self, name, link, *arguments):
        """Has a running node fetch shards, and does not wait for them."""
        return self.workspace.start(
            f"hold-{name}",
            [self.program, "hold", link, "--state", self.state(name), "--quiet", *arguments])[0]

    def begin_pin(self, name, model):
        """Has a running node fetch a model that it knows, and does not wait for it."""
        return self.workspace.start(
            f"pin-{name}",
            [self.program, "pin", model, "--state", self.state(name), "--quiet"])[0]

    def status(self, name):
        return json_of(self.petalsfs(name, "status", "--json"))

    def log(self, name):
        return self.logs[name].read_text(errors="replace")
