"""The files that everything reads."""

import hashlib
import subprocess
from pathlib import Path

from bench.workspace import Trouble, run

ROOT = Path(__file__).resolve().parents[3]
# A key that never changes, so that the noise is the same everywhere.
KEY, VECTOR = "00112233445566778899aabbccddeeff", "0" * 32


def model(name):
    """The path of a sample model of scripts/lib/samples."""
    command = f"source scripts/lib/nodes; source scripts/lib/samples; sample_{name}"
    return Path(run(["bash", "-euo", "pipefail", "-c", command], cwd=ROOT).strip())


def noise(path, mebibytes):
    """Makes a file of pseudo-random bytes, which nothing compresses."""
    count = mebibytes << 20
    with open("/dev/zero", "rb") as zeros, open(path, "wb") as file:
        cipher = subprocess.Popen(
            ["openssl", "enc", "-aes-128-ctr", "-nosalt", "-K", KEY, "-iv", VECTOR],
            stdin=subprocess.PIPE, stdout=file, stderr=subprocess.DEVNULL)
        piece = zeros.read(1 << 20)
        for _ in range(mebibytes):
            cipher.stdin.write(piece)
        cipher.stdin.close()
        if cipher.wait() != 0 or path.stat().st_size != count:
            raise Trouble(f"openssl did not make {mebibytes} MiB of noise")
    return path


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
