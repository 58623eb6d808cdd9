"""Whether a command line of the documentation is one that our program takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import typer

from checkmate_queue.cli.main import app

EVERYWHERE = frozenset(("--help", "--verbose", "--version"))


def check_command(words: Sequence[str], *, complete: bool = True) -> None:
    """Raise for a command or an option that does not exist; `complete`: for missing arguments, too."""
    program, *rest = words
    assert program == "checkmate-queue", f"{program} is not our program"
    command: Any = typer.main.get_command(app)
    path = [program]
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"'{' '.join([*path, rest[0]])}' is no command"
        path.append(rest[0])
        command = command.commands[rest.pop(0)]
    arguments = [word for word in rest if word not in EVERYWHERE]
    if complete and not hasattr(command, "commands"):
        with command.make_context(" ".join(path), arguments):
            return
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | EVERYWHERE
    unknown = [word for word in rest if word.startswith("-") and word.partition("=")[0] not in known]
    assert not unknown, f"'{' '.join(path)}' has no option {unknown[0]}"


def all_commands() -> Iterator[tuple[str, Any]]:
    """Every command that is no group, by the words that name it."""
    pending: list[tuple[list[str], Any]] = [([], typer.main.get_command(app))]
    while pending:
        path, command = pending.pop()
        if hasattr(command, "commands"):
            pending += [([*path, name], each) for name, each in command.commands.items()]
        elif not command.hidden:
            yield " ".join(path), command
