"""`checkmate-queue worker`."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated

import typer

from checkmate_queue.cli.options import VARIABLE
from checkmate_queue.cli.work.plan import Plan
from checkmate_queue.cli.work.process import work_alone
from checkmate_queue.cli.work.signals import be_deaf_in_the_end
from checkmate_queue.cli.work.supervisor import Supervisor


class LogLevel(StrEnum):
    """From which level on log lines are shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def worker(
    ctx: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:MANAGER",
            help="Where the manager is, such as app:manager; modules of the current folder come first.",
        ),
    ],
    url: Annotated[
        str | None,
        typer.Option(envvar=VARIABLE, help="The backend, whatever URL the module names.", show_default=False),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, max=1000, help="How many processes consume.")] = 1,
    concurrency: Annotated[
        int | None, typer.Option(help="How many handlers run at once where a consumer does not say.")
    ] = None,
    queues: Annotated[
        str | None, typer.Option(metavar="A,B", help="Only the consumers of these queues.")
    ] = None,
    reload: Annotated[
        bool,
        typer.Option("--reload", help="Start again when a Python file below here changes (development)."),
    ] = False,
    health_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve /health over HTTP; 0 picks a free port.")
    ] = None,
    health_host: Annotated[str, typer.Option(help="The address to serve it on.")] = "127.0.0.1",
    log_level: Annotated[LogLevel, typer.Option(help="Show log lines from this level on.")] = LogLevel.INFO,
) -> None:
    """Run the consumers that a module declares.

    SIGTERM and Ctrl-C let what runs finish and start nothing new (exit code 0); a second one cancels it and
    gives it back to the queue (exit code 128 + signal); a third one ends the process at once. A process of
    several that dies by itself is replaced.

    /health answers 200 while each consumer's last contact with the backend is younger than the lease, or 10
    seconds where that is longer, else 503.
    """
    plan = Plan(target, url, concurrency, _names(queues), log_level.value, verbose=bool(ctx.obj))
    be_deaf_in_the_end()
    address = None if health_port is None else (health_host, health_port)
    if processes == 1 and not reload:
        raise typer.Exit(asyncio.run(work_alone(plan, address)))
    raise typer.Exit(asyncio.run(Supervisor(plan, processes, reload=reload).run(address)))


def _names(queues: str | None) -> tuple[str, ...] | None:
    if queues is None:
        return None
    names = tuple(name.strip() for name in queues.split(","))
    if not all(names):
        raise typer.BadParameter(f"{queues!r} is not QUEUE,QUEUE,…", param_hint="--queues")
    return names
