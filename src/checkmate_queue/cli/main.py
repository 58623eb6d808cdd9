"""The commands of `checkmate-queue`."""

from __future__ import annotations

import asyncio
import importlib
import io
import signal
import sys
from typing import Annotated

import typer

from checkmate_queue import __version__
from checkmate_queue.cli import backend, failed, groups, jobs, recurring
from checkmate_queue.cli.command import PROGRAM, VERBOSE, Command, execute, say
from checkmate_queue.cli.doctor import doctor
from checkmate_queue.cli.enqueue import enqueue
from checkmate_queue.cli.migrate import migrate
from checkmate_queue.cli.options import VARIABLE
from checkmate_queue.cli.output import console
from checkmate_queue.cli.pausing import pause, resume
from checkmate_queue.cli.stats import stats
from checkmate_queue.cli.worker import worker

INTERRUPTED = 130
DEMO_WIDTH = 100

app = typer.Typer(
    name=PROGRAM,
    help="A job queue with pluggable backends.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a terminal's encoding lacks is no reason to end.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(execute(app, sys.argv[1:]))


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    ctx: typer.Context,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
    _verbose: Annotated[
        bool, typer.Option(VERBOSE, help="Show tracebacks of errors; may stand anywhere.")
    ] = False,
) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


app.command(cls=Command)(worker)
app.command(cls=Command)(enqueue)
app.command(cls=Command)(stats)
app.add_typer(jobs.app, name="jobs")
app.add_typer(failed.app, name="failed")
app.add_typer(recurring.app, name="recurring")
app.add_typer(groups.app, name="groups")
app.add_typer(backend.app, name="backend")
app.command(cls=Command)(pause)
app.command(cls=Command)(resume)
app.command(cls=Command)(doctor)
app.command(cls=Command)(migrate)


@app.command(cls=Command)
def demo(
    seconds: Annotated[float, typer.Option(help="How long work is sent, in seconds.")] = 20.0,
    url: Annotated[
        str | None,
        typer.Option(
            envvar=VARIABLE, help="The backend; its queues stay there.", show_default="a fresh SQLite file"
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep ledgers, exports and logs.")] = False,
    switch: Annotated[
        bool,
        typer.Option("--switch", help="Change from SQLite to Valkey and on to PostgreSQL while it runs."),
    ] = False,
) -> None:
    """Show the queue at work, with a worker killed on the way.

    Five patterns at once, and a table of what was expected and what was seen.

    The exit code is 1 if anything was lost, ran twice or too early, or out of order.
    """
    try:
        ok = asyncio.run(_until_terminated(seconds, url, keep, switch))
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("demo: interrupted; the workers were stopped")
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(0 if ok else 1)


async def _until_terminated(seconds: float, url: str | None, keep: bool, switch: bool) -> bool:
    # Its servers and clients take longer to import than any other command takes to run.
    director = importlib.import_module("checkmate_queue.cli.demo.director")
    task: asyncio.Future[bool] = asyncio.ensure_future(
        director.run(director.Options(seconds, url, keep, switch), console(pipe_width=DEMO_WIDTH))
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task
