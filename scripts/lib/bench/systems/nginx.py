"""nginx, and curl into a file: what plain HTTP does, with nothing checked and nothing mounted."""

import os
import time

from bench import reading, tools
from bench.systems.base import System, answers, free_port
from bench.workspace import run, wait_for

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{ worker_connections 64; }}
http {{
    access_log off;
    sendfile on;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {root};
    }}
}}
"""


class Nginx(System):
    name, title, mounts = "nginx", "nginx + curl", False

    def install(self):
        # Its package would start a service of the system, hence it is unpacked only.
        self.program = tools.unpack_debian("nginx", "nginx")
        self.curl = tools.install_debian("curl", "curl")
        version = run(["sh", "-c", f"'{self.program}' -v 2>&1"]).strip().rpartition("/")[2]
        return f"nginx {version}, curl {run([self.curl, '--version']).split()[1]}"

    def start_origin(self, source):
        self.source = source
        port = free_port()
        # A worker that is not root could not read a file in root's home.
        user = "user root;" if os.geteuid() == 0 else ""
        configuration = self.folder / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(
            folder=self.folder, port=port, root=source.parent, user=user))
        process, log = self.workspace.start(
            "nginx", [self.program, "-p", self.folder, "-e", self.folder / "error.log", "-c",
                      configuration])
        self.origin = [process]
        wait_for("the start of nginx", lambda: answers(port), process, log)
        self.url = f"http://127.0.0.1:{port}/{source.name}"
        self.warm_origin()

    def warm_origin(self):
        reading.warm(self.source)

    def download(self, expected):
        """Fetches into a file; returns seconds, the CPU seconds and the memory of curl."""
        target = self.folder / "download"
        began = time.monotonic()
        process, log = self.workspace.start(
            "curl", [self.curl, "--silent", "--show-error", "--fail", "--noproxy", "*", "-o",
                     target, self.url])
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        self.workspace.running.remove(process)
        if process.returncode != 0:
            wait_for("the download", lambda: False, process, log)
        reading.check(target, expected)
        target.unlink()
        return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6
