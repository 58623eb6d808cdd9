"""Producer and worker processes that go on while the backend moves on.

`python -m tests.chaos.caravan ROLE URL FOLDER NAME`
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from checkmate_queue import Fixed, Job, LeaseLost, QueueManager
from tests.chaos.ledger import Ledger

QUEUE = "caravan"
GROUPS = ("left", "right")
PAUSE_SECONDS = 0.03
SLOW_SECONDS = 3.0


class SyncedLedger(Ledger):
    """Says nothing that a power loss could take back."""

    def say(self, *words: object) -> None:
        super().say(*words)
        os.fsync(self._file)


class Teller:
    """Enqueues, and writes down what was accepted, what failed, and how long the longest call took."""

    def __init__(self, manager: QueueManager, ledger: Ledger) -> None:
        self._queue = manager.get_queue(QUEUE, str)
        self._ledger = ledger
        self.longest = (0.0, 0.0)

    async def enqueue(self, kind: str, job_id: str, **options: Any) -> None:
        """One job."""
        began = time.monotonic()
        try:
            await self._queue.enqueue(kind, job_id=job_id, **options)
        except Exception as error:
            self._ledger.say("error", type(error).__name__, str(error).replace(" ", "_"))
        else:
            self._ledger.say("accepted", job_id)
        self.longest = max(self.longest, (time.monotonic() - began, began))


async def produce(manager: QueueManager, ledger: Ledger, name: str, stop: asyncio.Event) -> None:
    """Four callers, jobs of all kinds."""
    teller, numbers, dice = Teller(manager, ledger), itertools.count(), random.Random(name)

    async def call() -> None:
        while not stop.is_set():
            number = next(numbers)
            kind = "slow" if number % 100 == 7 else dice.choice(("plain", "plain", "retry", "parent"))
            delay = dice.choice((0, 0, 0.5, 3))
            await teller.enqueue(kind, f"{name}-{number}", start_delay=delay, priority=dice.randrange(3))
            await asyncio.sleep(PAUSE_SECONDS)

    await asyncio.gather(*(call() for _ in range(4)))
    ledger.say("longest", *teller.longest)


async def work(manager: QueueManager, ledger: Ledger, stop: asyncio.Event) -> None:
    """Both groups."""
    teller = Teller(manager, ledger)
    manager.on(LeaseLost, lambda _: ledger.say("lost"))

    async def handle(job: Job[str]) -> None:
        ledger.say("start", job.consumer_group, job.id, job.attempts, time.monotonic_ns())
        if job.data == "retry" and job.attempts == 0:
            raise RuntimeError("once more")
        if job.data == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        if job.data == "parent":
            await teller.enqueue("plain", f"child-{job.consumer_group}-{job.id}")
        ledger.say("end", job.consumer_group, job.id)

    queue = manager.get_queue(QUEUE, str)
    for group in GROUPS:
        await queue.consume(handle, consumer_group=group, concurrency=20, backoff=Fixed(0.5))
    ledger.say("ready")
    await stop.wait()


async def main(role: str, url: str, folder: str, name: str) -> None:
    ledger = SyncedLedger(Path(folder), name)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with QueueManager(url) as manager:
        if role == "producer":
            await produce(manager, ledger, name, stop)
        else:
            await work(manager, ledger, stop)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
