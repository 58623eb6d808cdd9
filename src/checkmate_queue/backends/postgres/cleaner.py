"""Vacuuming what the queue's work leaves behind, as often as that work makes it worth while."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from checkmate_queue.backends.postgres.server import FAILURES, Server
from checkmate_queue.backends.postgres.statements import statement

if TYPE_CHECKING:
    from checkmate_queue.backends.postgres.server import Connection

_LOOK_EVERY = 5_000
_LONGEST_SECONDS = 600.0
_FIRST_PAUSE = 2.0
_LONGEST_PAUSE = 300.0


class Cleaner:
    """Autovacuum looks once a minute: by then a busy queue has left many times what it holds.

    After about every five thousand deliveries that ended, whichever process ended them, one process looks how
    much is dead. Where vacuuming does not help, since a transaction is open that may still see the dead, it
    tries less and less often.
    """

    def __init__(self, server: Server, schema: str) -> None:
        self._server = server
        self._schema = schema
        self._task: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._pause = _FIRST_PAUSE

    def note(self, ended: int) -> None:
        """So many deliveries have ended."""
        # A lot, since processes that count for themselves would wait for each other.
        if ended < _LOOK_EVERY * random.random() or (self._task and not self._task.done()):
            return
        loop = asyncio.get_running_loop()
        if loop.time() >= self._not_before:
            self._task = loop.create_task(self._clean())

    async def stop(self) -> None:
        """Leave off."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _clean(self) -> None:
        try:
            helped = await self._vacuum()
        except FAILURES:
            helped = False
        self._pause = _FIRST_PAUSE if helped else min(self._pause * 2, _LONGEST_PAUSE)
        self._not_before = 0.0 if helped else asyncio.get_running_loop().time() + self._pause

    async def _vacuum(self) -> bool:
        """Vacuum while it is worth while; False once it makes nothing better."""
        connection = await self._server.connect()
        try:
            found = await self._garbage(connection)
            while found:
                for name in found:
                    await connection.execute(
                        f"VACUUM (SKIP_LOCKED, TRUNCATE off, PARALLEL 0) {name}", timeout=_LONGEST_SECONDS
                    )
                left = await self._garbage(connection)
                if any(dead >= found.get(name, dead + 1) for name, dead in left.items()):
                    return False
                found = left
            return True
        finally:
            connection.terminate()

    async def _garbage(self, connection: Connection) -> dict[str, int]:
        query = statement("garbage", self._schema)
        return {row["name"]: row["dead"] for row in await connection.fetch(query, self._schema)}
