"""Everything that queues of one manager share while it runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from checkmate_queue.runtime.events import EventHub
from checkmate_queue.runtime.heart import Heart
from checkmate_queue.runtime.settings import RuntimeSettings
from checkmate_queue.runtime.threads import HandlerThreads
from checkmate_queue.transactions import TransactionalStore


@dataclass(frozen=True)
class Runtime:
    """An open store, and the services over it."""

    store: TransactionalStore
    settings: RuntimeSettings
    hub: EventHub
    heart: Heart
    loop: asyncio.AbstractEventLoop
    threads: HandlerThreads = field(default_factory=HandlerThreads)

    async def close(self) -> None:
        """End the services, then the store."""
        try:
            await self.hub.drain()
        finally:
            try:
                await self.heart.stop()
            finally:
                self.threads.close()
                await self.store.close()
