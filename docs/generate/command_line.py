"""The reference of the command line: what every command prints for `--help`."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any
from unittest.mock import patch

import typer

from checkmate_queue.cli.command import PROGRAM, execute
from checkmate_queue.cli.main import app

COLUMNS = "88"
INTRODUCTION = """\
# The command line

<!-- Written by `python -m docs.generate` from what `--help` prints. -->

`checkmate-queue` works on any backend: name it by `--url`, or once for all by the environment variable
`CHECKMATE_QUEUE_URL`. Where there is output for programs, `--json` prints it.

Errors are one line on stderr. The exit code is 0 when all went well, 1 for an error, 2 for wrong usage, and
128 + signal for a worker that had to cancel what it ran. `--verbose`, anywhere, shows tracebacks.

Tables keep ids and names whole. On a terminal that is too narrow, texts are shortened (…), times lose their
year and seconds, and columns are left out, which the last line names; where that is not enough, lines are
longer than the terminal is wide. Into a pipe goes all of it, each row on one line.

`checkmate-queue --install-completion` makes the Tab key complete commands and options in bash, zsh, fish and
PowerShell.
"""


def command_line() -> str:
    """The page."""
    with patch.dict(os.environ, COLUMNS=COLUMNS, NO_COLOR="1"):
        return "\n".join((INTRODUCTION, *_sections()))


def _sections() -> Iterator[str]:
    for words in _commands(typer.main.get_command(app), ()):
        title = " ".join((PROGRAM, *words))
        yield f"{'##' if len(words) < 2 else '###'} `{title}`\n\n```text\n{_help_of(words)}\n```\n"


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield words
    for name, each in getattr(command, "commands", {}).items():
        yield from _commands(each, (*words, name))


def _help_of(words: tuple[str, ...]) -> str:
    shown = io.StringIO()
    with redirect_stdout(shown):
        execute(app, [*words, "--help"])
    return "\n".join(line.rstrip() for line in shown.getvalue().strip().splitlines())
