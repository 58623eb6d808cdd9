"""Hearing of news: a message on a queue's channel, which scripts publish only where somebody sleeps."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from redis.asyncio.client import PubSub

    from checkmate_queue.backends.redis.connection import Connection
    from checkmate_queue.store import News

_QUIET_SECONDS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


class Newsreader:
    """One subscription for all queues that this process consumes; it comes back by itself.

    News are a hint. After each subscription every queue has some, for what may have been missed.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._listeners: list[News] = []
        self._queues: dict[bytes, str] = {}
        self._subscription: PubSub | None = None
        self._reading: asyncio.Task[None] | None = None

    def listen(self, on_news: News) -> None:
        """Call this with the name of each queue that has news."""
        self._listeners.append(on_news)

    async def follow(self, queue: str) -> None:
        """Hear of this queue from now on, if anybody listens."""
        channel = self._connection.keys.part(queue, "news").encode()
        if not self._listeners or channel in self._queues:
            return
        self._queues[channel] = queue
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="checkmate-queue: news of Redis")
        elif self._subscription is not None:
            with contextlib.suppress(RedisError, OSError):
                await self._subscription.subscribe(channel)

    async def close(self) -> None:
        """Hear no more."""
        reading, self._reading = self._reading, None
        self._queues.clear()
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])

    async def _read(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._read_once()
                pause = _FIRST_PAUSE
            except (RedisError, OSError, TimeoutError):
                pause = min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _read_once(self) -> None:
        """Read until the server has been silent for too long."""
        async with asyncio.timeout(2 * _QUIET_SECONDS):
            client = await self._connection.connect_to_any()
        async with client, client.pubsub() as subscription:
            try:
                await self._subscribe_all(subscription)
                self._subscription = subscription
                await self._hear(subscription)
            finally:
                self._subscription = None

    async def _subscribe_all(self, subscription: PubSub) -> None:
        """Those included that come while this is under way."""
        known: set[bytes] = set()
        while missing := self._queues.keys() - known:
            async with asyncio.timeout(2 * _QUIET_SECONDS):
                await subscription.subscribe(*missing)
            known |= missing

    async def _hear(self, subscription: PubSub) -> None:
        asked = False
        while True:
            message = await subscription.get_message(timeout=_QUIET_SECONDS)
            if message is not None:
                asked = False
                self._tell(message)
            elif asked:
                return
            else:
                asked = True
                await subscription.ping()

    def _tell(self, message: dict[str, Any]) -> None:
        queue = self._queues.get(message["channel"]) if message["type"] in ("message", "subscribe") else None
        if queue is not None:
            for on_news in self._listeners:
                on_news(queue)
