"""Servers as Debian packages them, for long tests: `python -m tests.servers.debian` installs what lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = {"pgbouncer": "pgbouncer", "pg_ctl": "postgresql", "redis-server": "redis-server"}
"""What is looked for, and the package that has it."""


def find_program(name: str) -> str:
    """Where it is; a test that needs it is skipped on a machine without it."""
    path = _path(name)
    if path is None:
        pytest.skip(f"needs Debian's package {PACKAGES[name]}")
    return path


def _path(name: str) -> str | None:
    # Debian keeps a server's own programs off the path, in a folder for each version.
    folders = [os.environ.get("PATH", os.defpath), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    return shutil.which(name, path=os.pathsep.join(folders))


def main() -> None:
    """Install what lacks, where this user may."""
    lacking = sorted({package for name, package in PACKAGES.items() if _path(name) is None})
    if not lacking:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        sys.stderr.write(f"not installed, so their tests are skipped: {' '.join(lacking)}\n")
        return
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run(["apt-get", "update", "-qq"], env=quietly, check=True)
    subprocess.run(["apt-get", "install", "-y", "-qq", *lacking], env=quietly, check=True)


if __name__ == "__main__":
    main()
