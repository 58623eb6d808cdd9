"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import typer
from pydantic_core import to_jsonable_python
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from checkmate_queue.cli.command import CommandError, say, visible
from checkmate_queue.cli.grid import Column, Grid

PIPE_WIDTH = 500
SHORT = 60
NONE = "-"
WAITING = ("delivery waits", "deliveries wait")


def console(*, stderr: bool = False, pipe_width: int = PIPE_WIDTH) -> Console:
    """Where tables go: as wide as the terminal, or so wide into a file or pipe."""
    wide = Console(stderr=stderr, highlight=False)
    return wide if wide.is_terminal else Console(stderr=stderr, highlight=False, width=pipe_width)


def show(renderable: RenderableType) -> None:
    """Print a table or text; a table decides itself how long its lines are."""
    console().print(renderable, crop=False)


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


def table(
    columns: Sequence[str],
    rows: Iterable[Iterable[object]],
    *,
    short: Collection[str] = (),
    spare: Sequence[str] = (),
    wraps: bool = False,
) -> Grid:
    """A table; numbers are on the right.

    Where a terminal is narrow, the columns `short` are shortened and those of `spare` left out, the first
    ones first; all others stay whole, as ids and names must. With `wraps` the last one holds sentences,
    which go on in the next line.
    """
    found = [list(row) for row in rows]
    return Grid(
        [
            Column(
                name,
                cells=[_in_line(_cell(row[index])) for row in found],
                brief=[_in_line(_brief_cell(row[index])) for row in found],
                numeric=any(isinstance(row[index], int | float) for row in found),
                short=name in short,
                wraps=wraps and index == len(columns) - 1,
            )
            for index, name in enumerate(columns)
        ],
        spare,
    )


def facts(rows: Iterable[tuple[str, object]]) -> Table:
    """One thing, as names and values."""
    grid = Table(box=None, pad_edge=False, show_header=False)
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, Text(_cell(value)))
    return grid


def brief(value: object) -> str:
    """A payload on one line."""
    text = json.dumps(as_json(value), ensure_ascii=False)
    return text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"


def moment(at: datetime | None) -> str:
    """A time, in UTC."""
    return NONE if at is None else at.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")


def brief_moment(at: datetime) -> str:
    """A time in UTC, in less room: without the year and the seconds."""
    return at.strftime("%m-%d %H:%MZ")


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


def _cell(value: object) -> str:
    match value:
        case datetime():
            return moment(value)
        case None:
            return NONE
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:g}"
        case _:
            return visible(str(value))


def _brief_cell(value: object) -> str:
    return brief_moment(value) if isinstance(value, datetime) else _cell(value)


def _in_line(text: str) -> str:
    return text.replace("\n", "\\n").replace("\t", "\\t")
