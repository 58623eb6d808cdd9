"""Hearing what the server tells those who sleep: one connection that listens, for all queues of a store."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from checkmate_queue.backends.postgres.server import FAILURES, Server, is_pooled
from checkmate_queue.backends.postgres.statements import call

if TYPE_CHECKING:
    from checkmate_queue.store import News

log = logging.getLogger("checkmate_queue.postgres")

_CHECK_SECONDS = 30.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class Waker:
    """Listens as long as it runs, and connects again when the connection is lost.

    What is notified meanwhile is lost: news are a hint, and the runtime looks every second. Behind a pooler
    it does not listen: one that shares connections out by transaction would listen for somebody else.
    """

    def __init__(self, server: Server, schema: str) -> None:
        self._server = server
        self._schema = schema
        self._on_news: News | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, on_news: News) -> None:
        """Have `on_news(queue)` called on the running loop."""
        self._on_news = on_news
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Hear nothing any more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                if not await self._listen():
                    return
                pause = _FIRST_PAUSE
            except FAILURES:
                pause = min(pause * 2, _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _listen(self) -> bool:
        """Listen until the connection is lost; one that the network has forgotten is found by asking.

        False: this is no place to listen.
        """
        connection = await self._server.connect()
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            if await is_pooled(connection):
                log.info("No news can be heard through a pooler; this process looks every second instead.")
                return False
            channel = await connection.fetchval(call("channel", 0, self._schema))
            await connection.add_listener(channel, self._hear)
            while not lost.is_set():
                try:
                    await asyncio.wait_for(lost.wait(), _CHECK_SECONDS)
                except TimeoutError:
                    await connection.execute("SELECT 1", timeout=self._server.timeout)
            return True
        finally:
            connection.terminate()

    def _hear(self, connection: object, process: int, channel: str, queue: object) -> None:
        if self._on_news is not None and isinstance(queue, str):
            self._on_news(queue)
