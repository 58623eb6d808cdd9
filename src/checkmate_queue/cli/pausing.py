"""`checkmate-queue pause` and `checkmate-queue resume`."""

from __future__ import annotations

from checkmate_queue import QueueManager
from checkmate_queue.cli.options import QueueName, Url
from checkmate_queue.cli.session import known_queue, visit


def pause(queue: QueueName, url: Url) -> None:
    """Start nothing more of a queue.

    It holds for all workers. What runs goes on, and jobs are still accepted.
    """

    async def order(manager: QueueManager) -> None:
        await (await known_queue(manager, queue)).pause()

    visit(url, order)
    print(f"{queue} is paused")


def resume(queue: QueueName, url: Url) -> None:
    """End a pause."""

    async def order(manager: QueueManager) -> None:
        await (await known_queue(manager, queue)).resume()

    visit(url, order)
    print(f"{queue} goes on")
