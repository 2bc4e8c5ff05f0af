"""btfs: a BitTorrent mount, with one seed.

The seed dials the mount: btfs did not use peers on loopback that a tracker named.
"""

import shutil

from bench import reading, tools
from bench.systems.base import System, free_port
from bench.workspace import run, wait_for

REQUIREMENT = "libtorrent==2.1.1"
SEED = "torrent_seed.py"


class Btfs(System):
    name, title = "btfs", "btfs"
    rounds_most = 2
    # A reading of a gigabyte takes minutes, and a round has six.
    bytes_most = 512 << 20

    def install(self):
        self.program = tools.install_debian("btfs", "btfs")
        tools.install_python(REQUIREMENT)
        lines = run(["sh", "-c", f"'{self.program}' --version 2>&1"]).splitlines()
        version = next(line.split()[-1] for line in lines if line.startswith("btfs version"))
        return f"btfs {version}, one libtorrent seed, which dials it"

    def start_origin(self, source):
        self.source = source
        self.torrent = self.folder / "file.torrent"
        self.warm_origin()
        run([tools.venv_program("python3"), self._seed_program(), "make", source, self.torrent])

    def stop_origin(self):
        self.torrent.unlink()
        super().stop_origin()

    def warm_origin(self):
        reading.warm(self.source)

    @staticmethod
    def _seed_program():
        return tools.Path(__file__).with_name(SEED)

    def mount(self):
        """Mounts, and has a seed dial the mount; the seed goes with it."""
        self.mount_folder = self.folder / "mount"
        self.mount_folder.mkdir(exist_ok=True)
        data = self.folder / "data"
        data.mkdir()
        port = free_port()
        process, log = self.workspace.start(
            "btfs",
            [self.program, "-f", f"--min-port={port}", f"--max-port={port}",
             f"--data-directory={data}", self.torrent, self.mount_folder])
        self.client = [process]
        self.workspace.mount(self.mount_folder, process, log)
        seed, log = self.workspace.start(
            "seed", [tools.venv_program("python3"), self._seed_program(), "seed",
                     self.source, self.torrent, port])
        self.origin = [seed]
        wait_for("the connection of the seed",
                 lambda: "connected" in log.read_text().split("started")[-1], seed, log)
        path = self.mount_folder / self.source.name
        wait_for("the file in btfs", lambda: reading.is_there(path), process)
        return path

    def unmount(self):
        # It often does not end by itself when its mount is off.
        self.workspace.stop(self.origin.pop())
        self.workspace.unmount(self.mount_folder, self.client[0], patience=2)
        self.client = []
        shutil.rmtree(self.folder / "data", ignore_errors=True)
