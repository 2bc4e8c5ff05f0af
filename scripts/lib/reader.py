"""Reads a file of a mount as a cold reader does, and prints four facts in one line:

milliseconds until the first 4 KiB of its middle were there, MB/s of reading all of it, MB/s of
reading it again from the kernel's pages, SHA-256.

With a second argument, makes that file when half is read, and goes on when the file is gone.
"""

import hashlib
import os
import sys
import time

CHUNK = 1 << 20


def read_all(path, each):
    """Calls `each` with the pieces of a file and returns the seconds that reading took."""
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    spent = done = 0
    with open(path, "rb", buffering=0) as file:
        while True:
            began = time.monotonic()
            count = file.readinto(buffer)
            spent += time.monotonic() - began
            if not count:
                return spent
            done += count
            each(view[:count], done)


def main():
    path, flag = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    size = os.stat(path).st_size
    began = time.monotonic()
    with open(path, "rb", buffering=0) as file:
        file.seek(size // 2 // 4096 * 4096)
        file.read(4096)
    first = time.monotonic() - began

    def pause(_, done):
        nonlocal flag
        if flag and done >= size // 2:
            open(flag, "w").close()
            while os.path.exists(flag):
                time.sleep(0.01)
            flag = None

    cold = read_all(path, pause)
    # Hashed apart from reading: beside it, read-ahead would work while we hash.
    digest = hashlib.sha256()
    warm = read_all(path, lambda piece, _: digest.update(piece))
    print(f"{first * 1e3:.1f} {size / cold / 1e6:.0f} {size / warm / 1e6:.0f} {digest.hexdigest()}")


main()
