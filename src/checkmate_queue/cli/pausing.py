"""`checkmate-queue pause` and `checkmate-queue resume`."""

from __future__ import annotations

from checkmate_queue import QueueManager
from checkmate_queue.cli.options import Json, QueueName, Url
from checkmate_queue.cli.output import report
from checkmate_queue.cli.session import known_queue, visit


def pause(queue: QueueName, url: Url, as_json: Json = False) -> None:
    """Start nothing more of a queue.

    It holds for all workers. What runs goes on, and jobs are still accepted.
    """

    async def order(manager: QueueManager) -> None:
        await (await known_queue(manager, queue)).pause()

    visit(url, order)
    report(as_json, {"queue": queue, "paused": True}, f"{queue} is paused")


def resume(queue: QueueName, url: Url, as_json: Json = False) -> None:
    """End a pause."""

    async def order(manager: QueueManager) -> None:
        await (await known_queue(manager, queue)).resume()

    visit(url, order)
    report(as_json, {"queue": queue, "paused": False}, f"{queue} goes on")
