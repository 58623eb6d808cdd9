"""The SQL of this backend: one statement a file."""

from __future__ import annotations

import sqlite3
from functools import cache
from importlib import resources

PACKAGE = "checkmate_queue.backends.sqlite"


@cache
def statement(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return resources.files(PACKAGE).joinpath("sql", f"{name}.sql").read_text("utf-8")


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """The migrations by version: each file's number and text."""
    folder = resources.files(PACKAGE).joinpath("migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda f: f.name)
    return tuple((int(file.name.split("_")[0]), file.read_text("utf-8")) for file in files)


def split(script: str) -> list[str]:
    """The statements of a script."""
    statements = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if line.rstrip().endswith(";") and sqlite3.complete_statement(pending):
            statements.append(pending.strip())
            pending = ""
    return statements
