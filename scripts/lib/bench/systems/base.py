"""What the rounds ask of a system."""

import socket


class System:
    """A way to read a file that is elsewhere, with both ends on this machine.

    `install` comes first and once; then, for one input at a time, `start_origin`, any number of
    `mount` and `unmount`, and `stop_origin`. Every mount starts with an empty cache.
    """

    # The key in results.json, and the heading of the column.
    name = ""
    title = ""
    # Without a mount there is one figure: fetching the whole file into a file.
    mounts = True
    # A system that takes minutes for a gigabyte takes part in fewer rounds.
    rounds_most = None
    # And with inputs up to this size only.
    bytes_most = None

    def __init__(self, workspace):
        self.workspace = workspace
        self.folder = workspace.path / self.name
        self.folder.mkdir()
        self.origin = []
        self.client = []

    def install(self):
        """Has the programs; returns what the table says about them. `Trouble` if it cannot."""
        raise NotImplementedError

    def start_origin(self, source):
        """Serves one file, from memory: the origin's files are in the page cache afterwards."""
        raise NotImplementedError

    def stop_origin(self):
        for process in self.origin:
            self.workspace.stop(process)
        self.origin = []

    def warm_origin(self):
        """Reads the origin's files again, after the page cache was dropped."""
        raise NotImplementedError

    def mount(self):
        """Mounts with an empty cache and returns the path of the file in the mount."""
        raise NotImplementedError

    def unmount(self):
        """Takes the mount off; its cache goes with it."""
        raise NotImplementedError

    def origin_pids(self):
        return [process.pid for process in self.origin]

    def client_pids(self):
        return [process.pid for process in self.client]

    def pids(self):
        return self.origin_pids() + self.client_pids()


def free_port():
    """A port that nothing listens on; whoever asked should listen there soon."""
    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))
        return end.getsockname()[1]


def answers(port):
    with socket.socket() as end:
        return end.connect_ex(("127.0.0.1", port)) == 0
