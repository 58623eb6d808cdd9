"""How commands fail: in one readable line on stderr, with a traceback only for those who ask."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand

from checkmate_queue import QueueError

PROGRAM = "checkmate-queue"
VERBOSE = "--verbose"
FAILED = 1
BAD_USAGE = 2


class CommandError(Exception):
    """Why a command can't do what it was asked to, for people, and its exit code."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


class CommandFailedError(Exception):
    """A command ended by the error that is its cause."""

    def __init__(self, command: str) -> None:
        super().__init__(command)
        self.command = command


class Command(TyperCommand):
    """A command whose errors say which command they are of."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; raises `CommandFailedError`."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.TyperException, BrokenPipeError):
            raise
        except Exception as error:
            raise CommandFailedError(ctx.command_path.removeprefix(f"{PROGRAM} ")) from error


def execute(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code: 0, 1 for errors, 2 for wrong usage."""
    wanted = [argument for argument in arguments if argument != VERBOSE]
    try:
        status = typer.main.get_command(app).main(
            wanted, prog_name=PROGRAM, standalone_mode=False, obj=VERBOSE in arguments
        )
    except CommandFailedError as failed:
        assert failed.__cause__ is not None
        if VERBOSE in arguments:
            traceback.print_exception(failed.__cause__)
        say(f"{failed.command}: {explain(failed.__cause__)}")
        return status_of(failed.__cause__)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        path = PROGRAM if context is None else context.command_path
        say(f"{path}: {error.format_message().rstrip('.')}; '{path} --help' shows how")
        return BAD_USAGE
    except typer.Abort:
        say("nothing was changed")
        return FAILED
    return status if isinstance(status, int) else 0


def explain(error: BaseException) -> str:
    """What an error says to people; one that nobody expected says where to look."""
    if isinstance(error, (CommandError, QueueError, OSError)):
        return str(error)
    return f"this is a bug: {type(error).__name__}: {error} ({VERBOSE} shows where)"


def status_of(error: BaseException) -> int:
    """The exit code of a command that ended by this error."""
    return error.status if isinstance(error, CommandError) else FAILED


def say(message: str) -> None:
    """One line on stderr, whatever the message holds."""
    print(one_line(message), file=sys.stderr, flush=True)


def one_line(text: str) -> str:
    """The text without line breaks, and with control characters made visible."""
    return visible(" ".join(text.split()))


def visible(text: str) -> str:
    """The text with control characters, but for line breaks and tabs, as escapes, so that none acts."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else _escaped(character)
        for character in text
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
