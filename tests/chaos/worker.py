"""A worker process of the chaos tests.

`python -m tests.chaos.worker URL FOLDER NAME CONCURRENCY MILLISECONDS`
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

from checkmate_queue import Job, LeaseLost, QueueManager
from tests.chaos.ledger import Ledger

QUEUE = "chaos"
GROUPS = ("left", "right")


async def main(url: str, folder: str, name: str, concurrency: int, milliseconds: int) -> None:
    ledger = Ledger(Path(folder), name)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def handle(job: Job[int]) -> None:
        ledger.say("start", job.consumer_group, job.data, time.monotonic_ns())
        await asyncio.sleep(milliseconds / 1000)
        ledger.say("end", job.consumer_group, job.data, 0)

    manager = QueueManager(url, lease_seconds=2, max_stalls=1_000)
    manager.on(LeaseLost, lambda _: ledger.say("lost", "-", "-", 0))
    queue = manager.get_queue(QUEUE, int)
    for group in GROUPS:
        queue.consumer(group, concurrency=concurrency)(handle)
    async with manager:
        ledger.say("ready", "-", "-", 0)
        await stop.wait()


if __name__ == "__main__":
    url, folder, name, concurrency, milliseconds = sys.argv[1:]
    asyncio.run(main(url, folder, name, int(concurrency), int(milliseconds)))
