"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import typer
from pydantic_core import to_jsonable_python
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from checkmate_queue.cli.command import CommandError, say, visible

PIPE_WIDTH = 500
SHORT = 60
NONE = "-"
WAITING = ("delivery waits", "deliveries wait")


def console(*, stderr: bool = False) -> Console:
    """Where tables go: as wide as the terminal, or without wrapping into a file."""
    wide = Console(stderr=stderr, highlight=False)
    return wide if wide.is_terminal else Console(stderr=stderr, highlight=False, width=PIPE_WIDTH)


def show(renderable: RenderableType) -> None:
    """Print a table or text."""
    console().print(renderable)


def show_json(value: object, *, indent: int | None = 2) -> None:
    """Print plain data as JSON, in ASCII, so that nothing in it acts on a terminal."""
    print(json.dumps(as_json(value), indent=indent), flush=True)


def report(as_json: bool, value: object, message: str) -> None:
    """What was done, for programs or for people."""
    if as_json:
        show_json(value)
    else:
        print(message)


def as_json(value: object) -> Any:
    """Plain data as JSON knows it."""
    return to_jsonable_python(value, fallback=_fallback)


def _fallback(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table; numbers are on the right."""
    cells = [list(row) for row in rows]
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) for row in cells)
        grid.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        grid.add_row(*(_cell(value) for value in row))
    return grid


def facts(rows: Iterable[tuple[str, object]]) -> Table:
    """One thing, as names and values."""
    grid = Table(box=None, pad_edge=False, show_header=False)
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, _cell(value))
    return grid


def brief(value: object) -> str:
    """A payload on one line."""
    text = json.dumps(as_json(value), ensure_ascii=False)
    return text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"


def moment(at: datetime | None) -> str:
    """A time, in UTC."""
    return NONE if at is None else at.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")


def span(seconds: float | None) -> str:
    """A number of seconds, in words as short as it goes."""
    if seconds is None:
        return NONE
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 or not seconds else f"{seconds:.1f} s"


def counted(number: int, one: str, many: str) -> str:
    """A number of something, in the grammar that it asks for."""
    return f"{number:,} {one if number == 1 else many}"


def mention_rest(rest: Sequence[object], after: str) -> None:
    """Say how a list goes on, where it was cut off before the rest."""
    if rest:
        say(f"there is more: --after {shlex.quote(after)}")


def confirmed(question: str, yes: bool) -> None:
    """Go on only if the answer is yes; without a terminal to ask on, only with `--yes`."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Nobody can be asked here; say --yes")
    # An event loop takes Ctrl-C for its tasks, which do not run while somebody is asked.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        typer.confirm(question, abort=True, err=True)
    finally:
        signal.signal(signal.SIGINT, before)


def _cell(value: object) -> Text:
    match value:
        case datetime():
            return Text(moment(value))
        case None:
            return Text(NONE)
        case bool():
            return Text("yes" if value else "no")
        case int():
            return Text(f"{value:,}")
        case float():
            return Text(f"{value:g}")
        case _:
            return Text(visible(str(value)))
