"""The arguments and options that commands share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

MOST = 10_000

VARIABLE = "CHECKMATE_QUEUE_URL"

Url: TypeAlias = Annotated[
    str,
    typer.Option(
        "--url",
        envvar=VARIABLE,
        help="The backend, such as sqlite:///queue.db.",
        show_default=False,
    ),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
QueueName: TypeAlias = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]
OnlyQueue: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="QUEUE", help="Only this queue.", show_default=False)
]
JobName: TypeAlias = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]
Limit: TypeAlias = Annotated[int, typer.Option("--limit", min=1, max=MOST, help="The most to list.")]
