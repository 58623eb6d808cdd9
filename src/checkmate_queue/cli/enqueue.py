"""`checkmate-queue enqueue`."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from checkmate_queue import JobId, QueueManager
from checkmate_queue.cli.command import say
from checkmate_queue.cli.options import Json, QueueName, Url
from checkmate_queue.cli.output import show_json
from checkmate_queue.cli.session import visit


def enqueue(
    queue: QueueName,
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="The payload as JSON, or - to read it from stdin.")
    ],
    url: Url,
    priority: Annotated[int, typer.Option(help="Higher ones start first.")] = 0,
    delay: Annotated[float, typer.Option(help="Seconds before it may start.")] = 0,
    job_id: Annotated[
        str | None, typer.Option("--id", help="While a job of this id lives, no second one is stored.")
    ] = None,
    expires_in: Annotated[
        float | None, typer.Option(help="Seconds after which it is not started any more.")
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Travels with the job; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Store a job, and print its id.

    The queue is made where it does not exist yet. The payload's type is checked where the job is handled.
    """
    payload = _parsed(sys.stdin.read() if data == "-" else data)
    pairs = dict(_pair(text) for text in metadata or ())

    async def store(manager: QueueManager) -> JobId:
        return await manager.get_queue(queue).enqueue(
            payload,
            priority=priority,
            start_delay=delay,
            job_id=job_id,
            expires_in=expires_in,
            metadata=pairs or None,
        )

    stored = visit(url, store, makes=True)
    if as_json:
        show_json({"id": str(stored), "created": stored.created})
        return
    print(stored)
    if not stored.created:
        say("a job of this id is in the queue already; nothing was stored")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"not JSON: {error} (a string needs its quotes: '\"text\"')", param_hint="DATA"
        ) from None
    except RecursionError:
        raise typer.BadParameter("JSON that is nested too deep to be read", param_hint="DATA") from None


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--metadata")
    return key, value
