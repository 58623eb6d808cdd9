"""SQL from its files, for one schema."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_MARK = "/* schema. */"
_PACKAGE = "checkmate_queue.backends.postgres"


def quote(name: str) -> str:
    """An identifier as SQL."""
    return '"' + name.replace('"', '""') + '"'


@cache
def statement(name: str, schema: str) -> str:
    """A statement of `sql/`, its tables named in this schema."""
    text = files(_PACKAGE).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return text.replace(_MARK, f"{quote(schema)}.")


@cache
def call(function: str, arguments: int, schema: str) -> str:
    """A call of one of `sql/functions/`."""
    places = ", ".join(f"${place}" for place in range(1, arguments + 1))
    return f"SELECT * FROM {quote(schema)}.{quote(function)}({places})"


@cache
def migrations() -> tuple[str, ...]:
    """The steps of the storage's format: step n leads from format n - 1 to format n."""
    return _texts("migrations")


@cache
def functions() -> tuple[str, ...]:
    """The functions that go with the latest format."""
    return _texts("sql", "functions")


def _texts(*path: str) -> tuple[str, ...]:
    folder = files(_PACKAGE).joinpath(*path)
    found = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda f: f.name)
    return tuple(entry.read_text(encoding="utf-8") for entry in found)
