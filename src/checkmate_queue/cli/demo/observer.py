"""Follows the ledgers while the demo runs."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from checkmate_queue.cli.demo.errors import DemoError
from checkmate_queue.cli.demo.history import Delivery, History
from checkmate_queue.cli.demo.ledger import Entry, LedgerReader
from checkmate_queue.cli.demo.plan import Plan
from checkmate_queue.cli.demo.snapshot import Latencies

READY_SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.05


class Observer:
    """All that the ledgers have told so far."""

    def __init__(self, plan: Plan) -> None:
        self.latencies = Latencies()
        self._entries: list[Entry] = []
        self._lease_seconds = plan.lease_seconds
        self._reader = LedgerReader(plan.ledgers)
        self._ready: set[str] = set()
        self._in_hand: dict[str, set[tuple[Delivery, int]]] = defaultdict(set)

    def look(self) -> None:
        """Read what is new."""
        news = self._reader.news()
        self._entries += news
        self.latencies.add(news)
        for entry in news:
            run = Delivery(entry.queue, entry.group, entry.job), entry.attempt
            match entry.kind:
                case "ready":
                    self._ready.add(entry.process)
                case "started":
                    self._in_hand[entry.process].add(run)
                case "finished" | "postponed" | "failed":
                    self._in_hand[entry.process].discard(run)
                case _:
                    pass

    def in_hand(self, process: str) -> list[Delivery]:
        """What a process has begun and not ended, as far as was read."""
        return [delivery for delivery, _ in self._in_hand[process]]

    def history(self) -> History:
        """Everything that was read, in order."""
        return History(tuple(self._entries), self._lease_seconds)

    @property
    def length(self) -> int:
        return len(self._entries)

    async def until_ready(self, process: str) -> None:
        """Wait until a process consumes."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                while process not in self._ready:
                    await asyncio.sleep(LOOK_EVERY_SECONDS)
                    self.look()
        except TimeoutError:
            raise DemoError(f"{process} was not ready within {READY_SECONDS:g} s") from None
