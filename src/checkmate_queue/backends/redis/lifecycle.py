"""The scripts that open and close queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.redis.connection import Refusal, refused
from checkmate_queue.core.model import RECORD_FORMAT

if TYPE_CHECKING:
    from checkmate_queue.backends.redis.connection import Connection


async def register(connection: Connection, queue: str) -> None:
    """register.lua, establish.lua: enter a name in the registry, and create its storage.

    These are two places of a cluster. Where all is emptied in between, a later generation says so.
    """
    keys = connection.keys
    while True:
        names = [keys.queues, keys.successor, keys.reception, keys.generation]
        answer = await connection.evaluate("register", names, queue)
        if answer[0] != b"done":
            raise refused(answer[0], answer[1:], queue)
        try:
            await connection.run("establish", queue, RECORD_FORMAT, answer[1])
        except Refusal as refusal:
            if refusal.word != b"stale":
                raise
        else:
            return


async def fence(connection: Connection, queue: str, successor: str) -> None:
    """fence.lua: close a registered queue."""
    await connection.run("fence", queue, successor, RECORD_FORMAT)


async def fence_registry(connection: Connection, successor: str) -> None:
    """fence_registry.lua: close the registry."""
    await connection.evaluate("fence_registry", [connection.keys.successor], successor)
