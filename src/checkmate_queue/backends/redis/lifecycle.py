"""The scripts that open and close queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkmate_queue.backends.redis.connection import refused
from checkmate_queue.core.model import RECORD_FORMAT

if TYPE_CHECKING:
    from checkmate_queue.backends.redis.connection import Connection


async def register(connection: Connection, queue: str) -> None:
    """register.lua: enter a name in the registry."""
    keys = connection.keys
    answer = await connection.evaluate("register", [keys.queues, keys.successor], queue)
    if answer[0] != b"done":
        raise refused(answer[0], answer[1:], queue)


async def establish(connection: Connection, queue: str) -> None:
    """establish.lua: create the storage of a registered queue."""
    await connection.run("establish", queue, RECORD_FORMAT)


async def fence(connection: Connection, queue: str, successor: str) -> None:
    """fence.lua: close a registered queue."""
    await connection.run("fence", queue, successor, RECORD_FORMAT)


async def fence_registry(connection: Connection, successor: str) -> None:
    """fence_registry.lua: close the registry."""
    await connection.evaluate("fence_registry", [connection.keys.successor], successor)
