"""Servers as Debian packages them, for long tests: `python -m tests.servers.debian` installs what lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

PACKAGES = {"pgbouncer": "pgbouncer", "redis-server": "redis-server"}
"""What is looked for on the path, and the package that has it."""


def find_program(name: str) -> str:
    """Where it is; a test that needs it is skipped on a machine without it."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs Debian's package {PACKAGES[name]}")
    return path


def main() -> None:
    """Install what lacks, where this user may."""
    lacking = sorted({package for name, package in PACKAGES.items() if shutil.which(name) is None})
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
