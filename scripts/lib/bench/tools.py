"""Where the programs of the peers come from: Debian, and PyPI into a folder of our own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.workspace import Trouble, run

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "petalsfs-bench"
VENV = CACHE / "venv"


def venv_program(name):
    return VENV / "bin" / name


def install_python(*requirements):
    """Has packages of PyPI in the venv; asks no registry when they are there already."""
    marker = CACHE / "installed"
    have = set(marker.read_text().split()) if marker.exists() else set()
    if set(requirements) <= have and venv_program("python3").exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    if not venv_program("pip").exists():
        # Without pip of its own, as on a Debian that lacks ensurepip, the outer one fills it.
        run([sys.executable, "-m", "venv", "--without-pip", VENV])
    run([sys.executable, "-m", "pip", "--python", venv_program("python3"), "install", "--quiet",
         "--disable-pip-version-check", *requirements])
    marker.write_text("\n".join(sorted(have | set(requirements))) + "\n")


def find_program(name):
    """A program on the path or where Debian keeps servers."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def install_debian(package, program):
    """Has a program of a Debian package, and installs the package if it is missing."""
    if not find_program(program):
        _apt_get("install", "-y", "-qq", "--no-install-recommends", package)
    return find_program(program) or _missing(program, package)


def unpack_debian(package, program):
    """Has a program of a Debian package without installing it.

    For servers, which an installation would start as a service of the system.
    """
    if found := find_program(program):
        return found
    folder = CACHE / package
    place = folder / "usr/sbin" / program
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _apt_get("download", package, cwd=folder)
        archives = list(folder.glob("*.deb"))
        if not archives:
            _missing(program, package)
        run(["dpkg", "-x", archives[0], folder])
    missing = [line.split()[0] for line in run(["ldd", place]).splitlines() if "not found" in line]
    if missing:
        raise Trouble(f"{program} of Debian's {package} needs {', '.join(missing)}; install them")
    return place


def _missing(program, package):
    raise Trouble(f"Debian's package {package} brought no program {program}")


def _apt_get(*arguments, **options):
    apt = shutil.which("apt-get")
    if not apt:
        raise Trouble("apt-get is missing, and with it a way to get Debian packages")
    as_root = [] if os.geteuid() == 0 or arguments[0] == "download" else ["sudo", "-n"]
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    try:
        run([*as_root, apt, *arguments], env=environment, **options)
    except Trouble:
        # An index that is old names packages that are gone; with a new one it may work.
        subprocess.run([*(["sudo", "-n"] if os.geteuid() else []), apt, "update", "-qq"],
                       env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       check=False)
        run([*as_root, apt, *arguments], env=environment, **options)
