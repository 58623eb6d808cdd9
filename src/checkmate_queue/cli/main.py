"""The commands of `checkmate-queue`."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from checkmate_queue import QueueError, __version__
from checkmate_queue.cli.demo.director import Options, run
from checkmate_queue.cli.demo.errors import DemoError

INTERRUPTED = 130
PIPE_WIDTH = 100

app = typer.Typer(
    name="checkmate-queue",
    help="A job queue with pluggable backends.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line."""
    app(prog_name="checkmate-queue")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"checkmate-queue {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    seconds: Annotated[float, typer.Option(help="How long work is sent, in seconds.")] = 20.0,
    url: Annotated[
        str | None, typer.Option(help="The backend's URL.", show_default="a fresh SQLite file")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep ledgers, exports and logs.")] = False,
) -> None:
    """Show the queue at work: five patterns at once, with a worker killed on the way.

    The exit code is 1 if anything was lost, ran twice or too early, or out of order.
    """
    try:
        ok = asyncio.run(_until_terminated(Options(seconds, url, keep)))
    except (DemoError, QueueError, OSError) as error:
        _fail(f"demo: {error}", 1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        _fail("demo: interrupted; the workers were stopped", INTERRUPTED)
    except Exception as error:
        _fail(f"demo: this is a bug: {type(error).__name__}: {error}", 1)
    raise typer.Exit(0 if ok else 1)


async def _until_terminated(options: Options) -> bool:
    task = asyncio.ensure_future(run(options, _console()))
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


def _fail(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(code)
