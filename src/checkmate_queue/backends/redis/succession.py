"""Hearing from Sentinels that another server is the master.

A master that was replaced while it lived is told so late, after ten seconds or so. What it takes meanwhile is
lost. So the word of the first Sentinel is enough to leave it; a new connection asks them again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

    from checkmate_queue.backends.redis.clients import Guarded

_CHANNEL = "+switch-master"
_QUIET_SECONDS = 5.0
_PAUSE_SECONDS = 1.0


class Succession:
    """Closes a client's connections to a master that is none any more."""

    def __init__(self, client: Guarded, service: str) -> None:
        self._client = client
        self._service = service.encode()
        self._watching = [
            asyncio.create_task(self._watch(sentinel), name="checkmate-queue: word of a Sentinel")
            for sentinel in client.sentinels
        ]

    async def stop(self) -> None:
        """Hear no more."""
        for task in self._watching:
            task.cancel()
        await asyncio.wait(self._watching)

    async def _watch(self, sentinel: Redis) -> None:
        while True:
            try:
                async with sentinel.pubsub() as subscription:
                    async with asyncio.timeout(_QUIET_SECONDS):
                        await subscription.subscribe(_CHANNEL)
                    await self._hear(subscription)
            except (RedisError, OSError, TimeoutError):
                pass
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _hear(self, subscription: PubSub) -> None:
        """Until the Sentinel has been silent for too long."""
        asked = False
        while True:
            message = await subscription.get_message(timeout=_QUIET_SECONDS)
            if message is None and asked:
                return
            asked = message is None
            if message is None:
                await subscription.ping()
            elif message["type"] == "message" and message["data"].split()[0] == self._service:
                await self._client.connection_pool.disconnect()
