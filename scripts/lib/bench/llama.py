"""How soon llama.cpp's server answers from a mount, beside a local file; both cold."""

import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

from bench import reading
from bench.swarm import Swarm
from bench.systems.base import free_port
from bench.workspace import Trouble, run as run_command
from bench.workspace import say, tail

HOLDERS = 4
PATIENCE = 120
ORDER = {"prompt": "The petals of a flower are", "n_predict": 4, "temperature": 0, "seed": 42,
         "return_tokens": True, "cache_prompt": False}
TITLES = {
    "llama_local": "llama-server: start to first tokens, cold local file",
    "llama_mount": f"llama-server: start to first tokens, cold mount, {HOLDERS} holders",
    "llama_warm": "llama-server: start to first tokens, warm local file",
}


def server_program(root):
    """llama.cpp's server; built once, which takes 15 minutes of CPU."""
    script = ("source scripts/lib/nodes; source scripts/lib/samples; source scripts/lib/llama; "
              "prepare_llama >&2; echo \"$llama_server\"")
    return Path(run_command(["bash", "-euo", "pipefail", "-c", script], cwd=root).strip())


def first_tokens(workspace, server, model):
    """Seconds from the server's start until it has made a few tokens, and the tokens."""
    port = free_port()
    began = time.monotonic()
    process, log = workspace.start(
        "llama", [server, "-m", model, "--host", "127.0.0.1", "--port", port, "-c", "512", "-ngl",
                  "0", "--no-webui", "--no-warmup"])
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/completion", json.dumps(ORDER).encode(),
        {"Content-Type": "application/json"})
    try:
        while True:
            if process.poll() is not None:
                raise Trouble(f"llama-server ended: {tail(log)}")
            if time.monotonic() - began > PATIENCE:
                raise Trouble(f"llama-server did not answer within {PATIENCE} s: {tail(log)}")
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                    tokens = json.load(answer)["tokens"]
                return time.monotonic() - began, tokens
            except (urllib.error.URLError, ConnectionError):
                # Not listening yet, or still loading.
                time.sleep(0.01)
    finally:
        workspace.stop(process)


def forget(path):
    """Lets the kernel forget the pages of one file, which are on the disk."""
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def run(workspace, program, source, results, root):
    results.scenarios |= TITLES
    server = server_program(root)
    say(f"llama-server: publishing {source.name} to {HOLDERS} holders")
    swarm = Swarm(workspace, program, workspace.path / "llama-swarm")
    swarm.publish(source)
    swarm.fill(HOLDERS)
    for number in range(results.runs):
        say(f"llama-server, round {number + 1} of {results.runs}")
        results.begin_round("llama-server")
        reading.warm(server)
        forget(source)
        seconds, expected = first_tokens(workspace, server, source)
        results.add_scenario("llama_local", seconds=seconds)
        seconds, _ = first_tokens(workspace, server, source)
        results.add_scenario("llama_warm", seconds=seconds)
        swarm.start_holders([swarm.holder(HOLDERS, holder) for holder in range(HOLDERS)])
        swarm.warm()
        path = swarm.mount()
        seconds, tokens = first_tokens(workspace, server, path)
        swarm.unmount()
        swarm.forget_reader()
        swarm.stop_holders()
        if tokens != expected:
            raise reading.WrongBytes("llama-server made other tokens from the mount")
        results.add_scenario("llama_mount", seconds=seconds)
    swarm.close()
