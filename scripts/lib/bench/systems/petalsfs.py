"""petalsfs: four holders, any two of which could rebuild everything; checked and decrypted."""

import os
import subprocess
from pathlib import Path

from bench.swarm import PARTS, SHARDS, Swarm
from bench.systems.base import System
from bench.workspace import Trouble, run

HOLDERS = 4
ROOT = Path(__file__).resolve().parents[4]


def built_program(name="petalsfs"):
    """A program: $PETALSFS or $PETALSBENCH, or a release build of this checkout."""
    variable = name.upper()
    if given := os.environ.get(variable):
        program = Path(given).resolve()
    else:
        try:
            subprocess.run([ROOT / "scripts/setup"], cwd=ROOT, stdout=2, check=True)
            subprocess.run(
                ["swift", "build", "-c", "release", "--product", name, "--scratch-path",
                 ".build-release", "--quiet"], cwd=ROOT, stdout=2, check=True)
        except subprocess.CalledProcessError:
            raise Trouble(f"{name} was not built; the lines above say why") from None
        program = ROOT / ".build-release/release" / name
    if not os.access(program, os.X_OK):
        raise Trouble(f"{program} is no program; unset {variable} to build one")
    return program


class Petalsfs(System):
    name, title = "petalsfs", "petalsfs"

    def install(self):
        self.program = built_program()
        version = run([self.program, "--version"]).strip()
        return f"petalsfs {version}, {HOLDERS} holders, shards {SHARDS}, verified and decrypted"

    def start_origin(self, source):
        self.swarm = Swarm(self.workspace, self.program, self.folder / "swarm")
        self.swarm.publish(source)
        self.swarm.fill(HOLDERS)
        self.swarm.start_holders([
            self.swarm.holder(HOLDERS, number) for number in range(len(PARTS[HOLDERS]))])
        self.warm_origin()

    def stop_origin(self):
        self.swarm.close()

    def warm_origin(self):
        self.swarm.warm()

    def mount(self):
        path = self.swarm.mount()
        self.client = [self.swarm.mount_process]
        return path

    def unmount(self):
        self.swarm.unmount()
        self.swarm.forget_reader()
        self.client = []

    def origin_pids(self):
        return [process.pid for process, _ in self.swarm.holders.values()]
